package web

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

var traceStart = time.Date(2026, 3, 1, 14, 5, 2, 100_000_000, time.Local)

func after(seconds float64) time.Time {
	return traceStart.Add(time.Duration(seconds * float64(time.Second)))
}

// traced writes the steps of a trace: their words, and when.
func traced(t *testing.T, tr trail, set iothub.Setting) []string {
	t.Helper()
	var out []string
	for _, s := range traceProps(english(), "id", tr.trace(set)).Steps {
		line := s.Text
		if s.Time.Text != "" {
			line += " " + s.Time.Text
		}
		if !s.Done {
			line += " …"
		}
		out = append(out, line)
	}
	return out
}

func TestTrace(t *testing.T) {
	interval := iothub.Path{"interval"}
	wrote := iothub.Change{Kind: iothub.ChangeDesired, Time: traceStart, SectionVersion: 4, Policy: "service"}
	out := func(s float64, version int64) iothub.Change {
		return iothub.Change{Kind: iothub.ChangeDelivered, Time: after(s), SectionVersion: version}
	}
	says := func(s float64, patch string) iothub.Change {
		return iothub.Change{Kind: iothub.ChangeReported, Time: after(s), Patch: document(t, patch)}
	}
	applying := says(0.4, `{"interval":{"value":1,"ac":202,"av":4}}`)
	online, offline := func(seen ...iothub.Change) trail { return trail{seen: seen, online: true} }, trail{}
	const accepted = "Accepted by the hub as version 4 14:05:02.1"
	for name, c := range map[string]struct {
		trail trail
		state iothub.State
		at    time.Time // answered
		want  []string
	}{
		"all of the way": {
			online(wrote, out(0.2, 4), applying, says(6.1, `{"interval":{"value":1,"ac":200,"av":4}}`)), iothub.InSync, after(6.1),
			[]string{"Accepted by the hub as version 4, from service 14:05:02.1", "Went out to the device +0.2 s", "The device says it is applying it +0.4 s", "The device says it is done +6.1 s"},
		},
		"a later delivery carries it": {
			online(out(-5, 3), out(90, 7)), iothub.Waiting,
			time.Time{},
			[]string{accepted, "Went out to the device +1 min", "No answer yet …"},
		},
		"waiting, not sent":  {online(), iothub.Waiting, after(-10), []string{accepted, "Not sent yet: the device has not asked for it …", "No answer yet …"}},
		"waiting for device": {offline, iothub.WaitingOffline, time.Time{}, []string{accepted, "Not sent yet: the device is offline …", "No answer yet …"}},
		"applying, told before we watched": {
			online(), iothub.Applying, after(3),
			[]string{accepted, "Went out to the device; when is not known", "The device says it is applying it +3.0 s", "Not done yet …"},
		},
		"refused":         {online(out(0.2, 4)), iothub.Rejected, after(1), []string{accepted, "Went out to the device +0.2 s", "The device refused (400) +1.0 s"}},
		"another value":   {online(out(0.2, 4)), iothub.Differs, after(1), []string{accepted, "Went out to the device +0.2 s", "The device says another value +1.0 s"}},
		"another type":    {online(out(0.2, 4)), iothub.TypeDiffers, after(1), []string{accepted, "Went out to the device +0.2 s", "The device says another value +1.0 s"}},
		"expected":        {online(out(0.2, 4)), iothub.Expected, after(1), []string{accepted, "Went out to the device +0.2 s", "The device says another value +1.0 s"}},
		"differs, silent": {online(out(0.2, 4)), iothub.Differs, after(-1), []string{accepted, "Went out to the device +0.2 s", "No answer yet …"}},
		"never reported":  {online(out(0.2, 4)), iothub.Silent, time.Time{}, []string{accepted, "Went out to the device +0.2 s", "No answer yet …"}},
		"it was so before": {
			online(out(0.2, 4)), iothub.InSync, after(-100),
			[]string{accepted, "Went out to the device +0.2 s", "The device had this value already"},
		},
		"a cloud hub": {
			trail{hidden: true, online: true},
			iothub.InSync, after(2),
			[]string{accepted, "On its way to the device: not visible on this hub", "The device says it is done +2.0 s"},
		},
		"an answer to an older version": {
			online(says(0.1, `{"interval":{"value":1,"ac":202,"av":3}}`)), iothub.Waiting, after(-1),
			[]string{accepted, "Not sent yet: the device has not asked for it …", "No answer yet …"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			set := iothub.Setting{Path: interval, State: c.state, Asked: traceStart, AskedVersion: 4, Answered: c.at, Ack: &iothub.Acknowledgement{Code: 400}}
			if diff := cmp.Diff(c.want, traced(t, c.trail, set)); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTraceOfRealDevice follows one change from the save to the device's last
// word, on an open page.
func TestTraceOfRealDevice(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.known(1)
	client := b.dial("pump-07")
	b.wait(client.Subscribe(iothub.FilterDesired, 0, nil))
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"setpoint":4}`)})
	b.heard(pump, "Went out to the device +0")
	version := jsonNumber(b.twin("pump-07").Properties.Desired.Version)
	say := func(patch string) {
		b.wait(client.Publish(iothub.ReportedTopic("2"), 0, false, strings.ReplaceAll(patch, "V", string(version))))
	}
	tab := b.open(pump)
	say(`{"setpoint":{"value":6,"ac":202,"av":V}}`)
	tab.until(rowID(iothub.Path{"setpoint"})+"-trace", "The device says it is applying it")
	say(`{"setpoint":{"value":4,"ac":200,"av":V}}`)
	tab.until(rowID(iothub.Path{"setpoint"})+"-trace", "The device says it is done")
	p := b.get(pump)
	words := p.text(p.settingRow("setpoint") + " [data-testid=trace]")
	at := -1
	for _, want := range []string{"Accepted by the hub as version 3, from iothubowner", "Went out to the device +", "applying it +", "done +"} {
		i := strings.Index(words, want)
		if i <= at {
			t.Errorf("the trace does not go on with %q: %s", want, words)
		}
		at = i
	}
	if steps := p.all(p.settingRow("setpoint") + " [data-testid=trace] li"); len(steps) != 4 {
		t.Errorf("%d steps", len(steps))
	}
}

func TestTwinPageBranches(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", `{"net":{"wifi":{"ssid":"a","power":{"level":3,"save":true}},"name":"x"},"one":{"deep":{"leaf":1}}}`)
	report, _ := b.connect("pump-07")
	report(`{"net":{"wifi":{"ssid":"a","power":{"level":3,"save":true}},"name":"x"},"one":{"deep":{"leaf":1}},"radio":{"a":{"b":1,"c":{"d":2}}}}`)
	p := b.get(pump).wantStatus(http.StatusOK)
	var branches []string
	for _, n := range p.all("[data-testid=branch] summary bdi:first-child") {
		branches = append(branches, strings.Join(wordsOf(n), " "))
	}
	if want := []string{"net.wifi", "radio.a"}; !slices.Equal(branches, want) {
		t.Errorf("branches %q, want %q", branches, want)
	}
	p.wantPart("[data-testid=branch]", "net.wifi 3 settings In sync")
	if n := len(p.all("[data-testid=branch] > td > details[open]")); n != 0 {
		t.Errorf("%d branches in sync are open", n)
	}
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"net":{"wifi":{"power":{"level":2}}}}`)})
	p = b.get(pump)
	p.wantPart("[data-testid=branch]", "net.wifi 3 settings Waiting")
	if n := len(p.all("[data-testid=branch] > td > details[open]")); n != 1 {
		t.Errorf("%d branches that need a look are open, want 1", n)
	}
}
