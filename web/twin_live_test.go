package web

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

// drifted compares a twin made of JSON, an hour after it was written.
func drifted(t *testing.T, desired, reported string) iothub.Drift {
	t.Helper()
	at := iothub.Time{Time: time.Now().Add(-time.Hour)}
	twin := &iothub.Twin{DeviceID: "d", ConnectionState: iothub.Connected}
	twin.Properties.Desired = iothub.NewSection(at.Time).Patch(document(t, desired), at.Time, true)
	twin.Properties.Reported = iothub.NewSection(at.Time).Patch(document(t, reported), at.Time, false)
	return iothub.Compare(twin, iothub.DriftOptions{Now: time.Now()})
}

func TestLayout(t *testing.T) {
	const ten = `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1}`
	fold := func(l layout) []string {
		var out []string
		for name := range strings.SplitSeq("abcdefghijk", "") {
			if l.folded[rowID(iothub.Path{name})] {
				out = append(out, name)
			}
		}
		return out
	}
	l := newLayout(drifted(t, ten, strings.Replace(ten, `"j":1`, `"j":2`, 1)))
	if got := fold(l); !slices.Equal(got, []string{"h", "i"}) {
		t.Fatalf("folded %v, want h and i: j differs and stands first", got)
	}
	if l := newLayout(drifted(t, `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`, ten)); len(l.folded) > 0 {
		t.Errorf("a fold for one setting: %v", fold(l))
	}
	tests := []struct {
		name, desired, reported string
		moved                   bool
		folded                  []string
	}{
		{"nothing", ten, strings.Replace(ten, `"j":1`, `"j":2`, 1), false, []string{"h", "i"}},
		{"one that differed comes right, and stays", ten, ten, false, []string{"h", "i"}},
		{"one that is shown goes wrong", ten, strings.Replace(ten, `"a":1`, `"a":2`, 1), false, []string{"h", "i"}},
		{"one in the fold goes wrong, and comes out", ten, strings.Replace(ten, `"i":1`, `"i":2`, 1), true, []string{"h"}},
		{"a new setting", strings.Replace(ten, "}", `,"k":1}`, 1), ten, true, []string{"h", "i"}},
		{"a setting goes", strings.Replace(ten, `"a":1,`, ``, 1), strings.Replace(ten, `"a":1,`, ``, 1), true, []string{"h", "i"}},
		{"a new value of the device", ten, strings.Replace(ten, "}", `,"x":1}`, 1), true, []string{"h", "i"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := drifted(t, tt.desired, tt.reported)
			told := parseLayout(l.String(), d)
			next, moved := told.after(d)
			if moved != tt.moved {
				t.Errorf("moved is %t", moved)
			}
			if told.rows == nil {
				return // the rows are others than the page's: it gets a table of its own
			}
			if diff := cmp.Diff(tt.folded, fold(next)); diff != "" {
				t.Errorf("folded (-want +got):\n%s", diff)
			}
		})
	}
	for _, s := range []string{"", "x", "0-0", "ffffffff-zz", l.String() + "f-"} {
		if got := parseLayout(s, drifted(t, `{"z":1}`, ten)); got.rows != nil {
			t.Errorf("parseLayout(%q) is a layout", s)
		}
	}
}

// open is a tab with the page of a device.
func (b *board) open(path string) *tab {
	b.t.Helper()
	p := b.get(path).wantStatus(200)
	stream := attr(p.all("body")[0], "data-live")
	if stream == "" {
		b.t.Fatalf("%s is not live", path)
	}
	at, err := url.Parse(stream)
	if err != nil || at.Query().Get("after") == "" {
		b.t.Fatalf("live address %q: %v", stream, err)
	}
	tab := openTab(b.t, b.url+stream, nil)
	if f := tab.next(); f.event != "version" {
		b.t.Fatalf("first event %+v", f)
	}
	return tab
}

// until reads frames until one has a text in the element with an id.
func (tab *tab) until(id, text string) {
	tab.t.Helper()
	for range 1000 {
		f := tab.next()
		if i := strings.Index(f.data, `id="`+id+`"`); i >= 0 && strings.Contains(f.data[i:], text) {
			return
		}
		if f.event == "gap" || f.event == "reload" {
			tab.t.Fatalf("unexpected %s", f.event)
		}
	}
	tab.t.Fatalf("no frame has %q in %s", text, id)
}

func TestTwinPageIsLive(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"interval":30}`)
	eventually(t, func() bool { return b.fleet.Status().Live }, "the picture follows the hub")
	eventually(t, func() bool { d, ok := b.fleet.Get("pump-07"); return ok && d.Wanted == 1 }, "the picture knows the device")
	tab := b.open(pump)
	report, disconnect := b.connect("pump-07")
	tab.until("twin-connection", "online")
	report(`{"interval":60}`)
	tab.until(rowID(iothub.Path{"interval"}), "60")
	report(`{"interval":30}`)
	tab.until("twin-lead", "The one setting is in sync.")
	b.write("pump-07", iothub.TwinPatch{Tags: document(t, `{"site":"oslo"}`)})
	tab.until("twin-tags", "oslo")
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"mode":"eco"}`)})
	tab.until("twin-compare", "mode")
	disconnect()
	tab.until("twin-connection", "offline")
	if err := b.client.DeleteDevice(t.Context(), "pump-07", nil); err != nil {
		t.Fatal(err)
	}
	tab.until("twin-lead", "This device is no longer registered on the hub.")
}

func TestTwinFramesHoldOnlyWhatChanged(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo"}`, `{"a":1,"b":1}`)
	report, _ := b.connect("pump-07")
	report(`{"a":1,"b":1}`)
	eventually(t, func() bool { d, ok := b.fleet.Get("pump-07"); return ok && d.State == iothub.InSync }, "the picture knows the device")
	p := b.server.newTwinPainter(b.server.hubs[0], subject{device: "pump-07"}, "")
	if first, err := p.paint(english()); err != nil || len(first) < 7 {
		t.Fatalf("the first painting has %d parts: %v", len(first), err)
	}
	if _, err := p.paint(english()); err != nil { // the rows after the whole table
		t.Fatal(err)
	}
	report(`{"b":2}`)
	eventually(t, func() bool { d, _ := b.fleet.Get("pump-07"); return d.State != iothub.InSync }, "the picture sees the change")
	parts, err := p.paint(english())
	if err != nil {
		t.Fatal(err)
	}
	var html strings.Builder
	for _, part := range parts {
		if err := part.Render(english(), &html); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]bool{
		rowID(iothub.Path{"b"}): true, "twin-lead": true, "twin-version": true,
		rowID(iothub.Path{"a"}): false, "twin-tags": false, "twin-compare": false, "twin-connection": false,
	} {
		if got := strings.Contains(html.String(), `id="`+id+`"`); got != want {
			t.Errorf("the frame has %s: %t", id, got)
		}
	}
}
