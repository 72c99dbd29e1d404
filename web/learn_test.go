package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"myDeviceId": "myDeviceId", "": "''", "O'Neil": `'O'\''Neil'`, "a b": "'a b'", "$HOME": "'$HOME'", "100%": "100%", "a;rm": "'a;rm'", "a#b": "'a#b'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

// lessonWalk is a walk over a trace, begun at noon.
func lessonWalk(entries ...iothub.WireEntry) walk {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	trace := feed.New[iothub.WireEntry](10)
	for i, e := range entries {
		e.Time = noon.Add(time.Duration(i+1) * time.Second)
		trace.Publish(e)
	}
	return walk{hub: &Hub{Slug: "local", Trace: trace, HostName: "localhost:8443", DeviceHostName: "localhost"}, device: "d'1", started: noon, done: map[int]time.Time{}}
}

func TestOnlyAReceivedPatchProvesStep6(t *testing.T) {
	const topic, payload = "$iothub/twin/PATCH/properties/desired/?$version=3", `{"power_level":1,"$version":3}`
	patch := iothub.WireEntry{Protocol: "MQTT", Packet: "PUBLISH", DeviceID: "d'1", Topic: topic, Payload: payload}
	change := func(f func(*iothub.WireEntry)) iothub.WireEntry {
		e := patch
		f(&e)
		return e
	}
	for name, tt := range map[string]struct {
		entry iothub.WireEntry
		want  bool
	}{
		"the patch":                  {patch, true},
		"what the device sends":      {change(func(e *iothub.WireEntry) { e.Outgoing = true }), false},
		"a patch of another device":  {change(func(e *iothub.WireEntry) { e.DeviceID = "d2" }), false},
		"the twin, read":             {change(func(e *iothub.WireEntry) { e.Topic = "$iothub/twin/res/200/?$rid=1" }), false},
		"a patch of another setting": {change(func(e *iothub.WireEntry) { e.Payload = `{"other":1,"$version":3}` }), false},
		"another value":              {change(func(e *iothub.WireEntry) { e.Payload = `{"power_level":2,"$version":3}` }), false},
		"the subscription":           {change(func(e *iothub.WireEntry) { e.Packet = "SUBSCRIBE" }), false},
	} {
		w := lessonWalk(tt.entry)
		if got := w.received(w.started); got != tt.want {
			t.Errorf("%s: received = %v", name, got)
		}
	}
	if w := lessonWalk(patch); w.received(w.started.Add(time.Minute)) {
		t.Error("a patch from before the report counts")
	}
}

func TestQueriesCountHoweverTheyAreSpaced(t *testing.T) {
	body := func(q string) string {
		b, err := json.Marshal(map[string]string{"query": q})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	entry := iothub.WireEntry{
		Protocol: "HTTP", Method: http.MethodPost, URL: "https://localhost/devices/query?api-version=2021-04-12", Status: 200,
		RequestBody: body(strings.ReplaceAll(lessonPlantQuery, " ", "\n  ")),
	}
	w := lessonWalk(entry)
	if !w.ran(lessonPlantQuery, w.started) || w.ran(lessonCellularQuery, w.started) {
		t.Error("the query that was run is not recognised")
	}
	entry.Status = 400
	if w := lessonWalk(entry); w.ran(lessonPlantQuery, w.started) {
		t.Error("a refused query counts")
	}
}

func TestCommandsHoldNoSecretAndQuoteTheDevice(t *testing.T) {
	w := lessonWalk()
	for n := 1; n <= lessonSteps; n++ {
		for _, tool := range lessonTools(t.Context(), w, n) {
			for _, c := range tool.Code {
				if strings.Contains(c.Text, "SharedAccessKey=") || strings.Contains(c.Text, "sig=") {
					t.Errorf("step %d, %s holds a secret:\n%s", n, tool.Name, c.Text)
				}
				if strings.Contains(c.Text, "d'1") && !strings.Contains(c.Text, `d'\''1`) && !strings.Contains(c.Text, "localhost/d'1") {
					t.Errorf("step %d, %s does not quote the device:\n%s", n, tool.Name, c.Text)
				}
			}
		}
	}
}
