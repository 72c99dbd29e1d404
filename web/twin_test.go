package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

const pump = "/h/local/devices/pump-07"

func TestTwinPageStates(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo","location":{"line":3}}`,
		`{"interval":2,"limits":{"min":"5","max":80},"setpoint":4,"mode":"eco","silent":true,"plain":1}`)
	p := b.get(pump).wantStatus(http.StatusOK)
	p.want("h1", "pump-07")
	p.want("[data-testid=lead]", "The device is offline. It will get 7 of 7 settings when it connects.")
	p.wantPart("[data-testid=compare]", "The device has never reported anything.")

	report, disconnect := b.connect("pump-07")
	version := b.twin("pump-07").Properties.Desired.Version
	report(strings.ReplaceAll(`{"interval":{"value":10,"ac":400,"av":V,"ad":"below \u202e5 s"},"limits":{"min":5,"max":80},
		"setpoint":{"value":6,"ac":202,"av":V},"mode":"eco","plain":2,"fw":"1.4","uptime":11240}`, "V", string(jsonNumber(version))))
	p = b.get(pump)
	p.want("[data-testid=lead]", "1 of 7 settings was refused. 4 are on their way. 2 are in sync.")
	p.want("title", "pump-07 · 1 rejected — Twinboard")
	for path, want := range map[string]string{
		"interval":   "interval 2 Rejected",
		"limits.min": `limits.min "5" Waiting`,
		"setpoint":   "setpoint 4 Applying",
		"mode":       "mode eco In sync",
		"silent":     "silent true Waiting",
		"plain":      "plain 1 Waiting",
	} {
		p.wantPart(p.settingRow(path), want)
	}
	p.wantPart(p.settingRow("interval"), "below \u202e5 s (400)")
	p.want(p.settingRow("interval")+" q > bdi", "below \u202e5 s")
	p.want(p.settingRow("interval")+" [data-testid=mend]", "Put back 10")
	if n := len(p.all(".travel > svg")); n != 4 {
		t.Errorf("%d arrows, want one for each change on its way: 4", n)
	}
	p.wantPart("[data-testid=device-only]", "2 values only from the device")
	p.wantPart("[data-testid=device-only]", `fw "1.4" uptime 11240`)
	p.want("[data-testid=tags] dl", "location.line 3 site oslo")
	p.want("#twin-connection", "online")

	b.ahead.Store(int64(2 * time.Minute))
	p = b.get(pump)
	p.want("[data-testid=lead]", "1 of 7 settings was refused. 3 more need a look. 1 is being applied. 2 are in sync.")
	p.wantPart(p.settingRow("limits.min"), `"5" Same value, other type`)
	p.want(p.settingRow("limits.min")+" [data-testid=mend]", "Use number 5")
	if n := len(p.all(".travel > svg")); n != 1 {
		t.Errorf("%d arrows, want one for each change on its way: 1", n)
	}
	p.wantPart(p.settingRow("silent"), "The device has never mentioned this setting.")

	disconnect()
	eventually(t, func() bool { return b.twin("pump-07").ConnectionState == iothub.Disconnected }, "the hub notices the device has gone")
	b.get(pump).wantPart("#twin-connection", "offline since")
}

func TestTwinPageInSpanish(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"a":1,"b":2}`)
	report, _ := b.connect("pump-07")
	report(`{"a":1,"b":2}`)
	p := b.get(pump + "?lang=es")
	p.want("[data-testid=lead]", "Los 2 ajustes están sincronizados.")
	p.want("title", "pump-07 · sincronizado — Twinboard")
	p.wantPart("[data-testid=tags]", "Aún sin etiquetas.")
}

func TestTwinPageEmpty(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	p := b.get(pump).wantStatus(http.StatusOK)
	p.want("[data-testid=lead]", "Nothing is wanted from this device yet.")
	if links := p.all("[data-testid=empty] a[href='" + pump + "/edit/desired']"); len(links) != 1 {
		t.Errorf("%d links to add a setting", len(links))
	}
}

func TestTwinPageFoldsEqualSettings(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1}`)
	report, _ := b.connect("pump-07")
	report(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":2}`)
	b.ahead.Store(int64(2 * time.Minute))
	p := b.get(pump)
	p.want("[data-testid=folded] > summary", "2 more in sync")
	if n := len(p.all("[data-testid=folded] [data-testid=setting]")); n != 2 {
		t.Errorf("%d rows in the fold, want 2", n)
	}
	if first := p.text("[data-testid=compare] > table tbody tr:first-child th"); first != "j" {
		t.Errorf("the first row is %s, want what needs attention: j", first)
	}
}

func TestTwinPageAsData(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo"}`, `{"a":1.0}`)
	for _, path := range []string{pump + "?format=json", pump + "?view=json&format=json"} {
		p := b.get(path).wantStatus(http.StatusOK)
		var got iothub.Twin
		if err := got.UnmarshalJSON([]byte(p.body)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		wantDocument(t, "desired", got.Properties.Desired.Value, `{"a":1.0}`)
	}
	p := b.get(pump + "?view=json").wantStatus(http.StatusOK)
	p.wantPart("#twin-json-tags", "site : \"oslo\"")
	p.wantPart("#twin-json-whole", `"a": 1.0`)
}

func TestTwinPageOfStrangeDevices(t *testing.T) {
	b := newBoard(t)
	for _, id := range []string{"100%", "a?b", "O'Neil", "pump.json", "a#b", "%2F", "..", "x@y:z"} {
		t.Run(id, func(t *testing.T) {
			b.device(id, `{}`, `{"a":1}`)
			h := &Hub{Slug: "local"}
			p := b.get(h.devicePath(id)).wantStatus(http.StatusOK)
			p.want("h1", id)
			f := b.get(h.editPath(subject{device: id}, "tags")).wantStatus(http.StatusOK).form("#twin-edit")
			f.last("t", kindText, "x")
			f.press("review").wantStatus(http.StatusOK).form("#twin-review").press("apply").wantStatus(http.StatusOK).want("h1", id)
			wantDocument(t, "tags", b.twin(id).Tags, `{"t":"x"}`)
		})
	}
}

func TestTwinPageNotFound(t *testing.T) {
	b := newBoard(t)
	b.get("/h/local/devices/none").wantStatus(http.StatusNotFound)
	b.get("/h/local/devices/none/edit/tags").wantStatus(http.StatusNotFound)
	b.device("pump-07", `{}`, `{}`)
	b.get(pump + "/edit/reported").wantStatus(http.StatusNotFound)
	b.get(pump + "?view=nonsense").wantStatus(http.StatusNotFound)
}

func TestDeviceTextCanDoNothing(t *testing.T) {
	b := newBoard(t)
	evil := `<script>alert(1)</script>\u202e\"'><img src=x onerror=alert(1)>`
	b.device("pump-07", `{"<b>t":"`+evil+`"}`, `{"<i>d":"`+evil+`"}`)
	report, _ := b.connect("pump-07")
	report(`{"<i>d":{"value":"` + strings.Repeat("x", 4000) + `","ac":500,"av":99,"ad":"` + evil + `"},"<u>r":"` + evil + `"}`)
	for _, path := range []string{"", "?view=json", "/edit/tags", "/edit/desired", "/edit/desired?as=json"} {
		p := b.get(pump + path).wantStatus(http.StatusOK)
		for _, tag := range []string{"img", "main script", "main b", "main i", "main u"} {
			if n := len(p.all(tag)); n > 0 {
				t.Errorf("%s: %d of %s became markup", p.path, n, tag)
			}
		}
		if !strings.Contains(p.body, "&lt;script&gt;") {
			t.Errorf("%s does not show the text at all", p.path)
		}
	}
}

func TestTwinPageWhileTheHubIsAway(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo"}`, `{"a":1}`)
	eventually(t, func() bool {
		d, ok := b.fleet.Get("pump-07")
		return ok && len(d.Twin().Tags) == 1
	}, "the picture knows the device")
	b.stopHub()
	p := b.get(pump).wantStatus(http.StatusOK)
	p.wantPart("[data-testid=twin-notice]", "The hub cannot be reached. These values are from")
	p.wantPart("[data-testid=tags]", "site oslo")
	if len(p.all("[data-testid=mend]")) > 0 {
		t.Error("a change is offered that cannot be made")
	}
}

// TestTwinOfASlowHub: a page does not wait for long when something is known; it
// says so, unless the hub tells what changes, and comes up to date when it answers.
func TestTwinOfASlowHub(t *testing.T) {
	newBoard(t).twinOfASlowHub(t, "")
	newCrawledBoard(t, 20*time.Millisecond).twinOfASlowHub(t, "The hub has not answered yet. These values are from ")
}

func (b *board) twinOfASlowHub(t *testing.T, notice string) {
	t.Helper()
	b.device("pump", `{}`, `{"interval":30}`)
	eventually(t, func() bool {
		d, known := b.fleet.Get("pump")
		return known && d.Wanted == 1 && b.fleet.Status().Complete
	}, "the picture has the device as it is")
	wait := make(chan struct{})
	slow := func(r *http.Request) *iothub.Error {
		if r.URL.Path == "/twins/pump" {
			select {
			case <-wait:
			case <-r.Context().Done():
			}
		}
		return nil
	}
	b.refuse.Store(&slow)
	for _, view := range []string{"", "?view=json"} {
		p := b.get("/h/local/devices/pump" + view).wantStatus(http.StatusOK)
		p.wantPart("main", notice)
		p.wantPart("main", "interval")
		if said := strings.Contains(p.text("main"), "not answered yet"); said != (notice != "") {
			t.Errorf("that it is slow is said: %t", said)
		}
	}
	close(wait)
	if got := b.get("/h/local/devices/pump").text("#twin-notice"); got != "" {
		t.Errorf("a hub that answers is said to be slow: %q", got)
	}
}
