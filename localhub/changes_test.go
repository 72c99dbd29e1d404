package localhub

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// TestMessagesOnTheFeed sends bodies of every length over MQTT and reads them
// back: the short ones on the feed, the long ones beside it.
func TestMessagesOnTheFeed(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	d, _ := w.online(w.deviceConnect("d1"))
	_, next := w.changes("", w.token("service"))
	if e, err := next(); err != nil || e.kind != "reset" {
		t.Fatalf("%+v, %v", e, err)
	}
	binary := append([]byte{0xff}, bytes.Repeat([]byte("é"), iothub.MaxTelemetryBytes/2-1)...)
	for n, c := range []struct {
		name  string
		body  []byte
		shown string // on the feed
		whole bool   // in need of a second request
	}{
		{"nothing", nil, "", false},
		{"text", []byte(`{"a":"<é>"}`), `{"a":"<é>"}`, false},
		{"bytes", []byte{0xff, 0}, "/wA=", false},
		{"4 KB", bytes.Repeat([]byte("x"), maxAnnounced), strings.Repeat("x", maxAnnounced), false},
		{"one more", bytes.Repeat([]byte("x"), maxAnnounced+1), strings.Repeat("x", maxAnnounced), true},
		{"a character at the edge", []byte("x" + strings.Repeat("é", maxAnnounced)), "x" + strings.Repeat("é", maxAnnounced/2-1), true},
		{"as long as it may be", bytes.Repeat([]byte("y"), iothub.MaxTelemetryBytes), strings.Repeat("y", maxAnnounced), true},
		{"many bytes", binary, base64.StdEncoding.EncodeToString(binary[:maxAnnounced]), true},
	} {
		d.send(publish(1, uint16(n+1), "devices/d1/messages/events/%24.ct=text%2Fplain&k=v%261", c.body))
		d.next(packets.Puback)
		change := w.change(next())
		want := &iothub.Telemetry{
			Properties: map[string]string{"$.ct": "text/plain", "k": "v&1"}, Body: c.shown, Size: len(c.body),
			Base64: c.name == "bytes" || c.name == "many bytes", Whole: change.Telemetry.Whole,
		}
		if diff := cmp.Diff(want, change.Telemetry); diff != "" || (change.Telemetry.Whole != "") != c.whole {
			t.Errorf("%s (-want +got):\n%.2000s", c.name, diff)
		}
		if !c.whole {
			continue
		}
		r := w.mustCall(http.MethodGet, "/changes/bodies/"+change.Telemetry.Whole, "")
		if r.Body != string(c.body) || r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d bytes, %v", c.name, len(r.Body), r.Header)
		}
	}
}

// TestLongMessagesAreKeptWithinBounds sends more than is kept.
func TestLongMessagesAreKeptWithinBounds(t *testing.T) {
	w := startWire(t)
	r := w.hub.registry
	whole := func(n int) string {
		return r.message("", bytes.Repeat([]byte{byte('a' + n%26)}, iothub.MaxTelemetryBytes)).Whole
	}
	fit := keptBodyBytes / iothub.MaxTelemetryBytes
	first, second := whole(0), whole(1)
	for n := 2; n <= fit; n++ {
		whole(n)
	}
	for id, status := range map[string]int{first: 404, second: 200, "none": 404, "0-1": 404, strings.Replace(second, "-", "-9000", 1): 404} {
		got := w.call(http.MethodGet, "/changes/bodies/"+id, "")
		if got.Status != status || status == 404 && got.Header.Get(headerErrorCode) != "ResourceNotFound" {
			t.Errorf("%s: %d %.200s", id, got.Status, got.Body)
		}
	}
	if got := len(r.bodies.Recent(keptBodies, nil)); got != fit {
		t.Errorf("%d bodies are kept, %d fit", got, fit)
	}
}

// TestChangesAreKeptWithinBounds writes more than the memory of the feed.
func TestChangesAreKeptWithinBounds(t *testing.T) {
	changes := newChanges()
	large := iothub.Change{Patch: iothub.Document{}}
	for _, name := range "abcdef" {
		large.Patch[string(name)] = strings.Repeat("x", 4096)
	}
	for range keptChanges {
		changes.Publish(large)
	}
	kept := len(changes.Recent(keptChanges, nil))
	if each := large.Weight(); kept == 0 || kept*each > keptChangeBytes || (kept+1)*each <= keptChangeBytes {
		t.Errorf("%d changes of %d bytes are kept within %d", kept, each, keptChangeBytes)
	}
	for range keptChanges + 1 {
		changes.Publish(iothub.Change{})
	}
	if kept := len(changes.Recent(2*keptChanges, nil)); kept != keptChanges {
		t.Errorf("%d small changes are kept", kept)
	}
}

func TestLongMethodsAreMarked(t *testing.T) {
	b := newBench(t)
	long := []byte(`"` + strings.Repeat("x", maxAnnounced) + `"`)
	for _, c := range []struct {
		payload, answer []byte
		cut             bool
	}{
		{[]byte("1"), long[:maxAnnounced], false},
		{long, []byte("1"), true},
		{[]byte("1"), long, true},
	} {
		b.announceMethod(owner, dev("d"), methodCall{name: "m", payload: c.payload}, methodAnswer{200, c.answer}, nil)
		m := b.changes.Recent(1, nil)[0].Value.Method
		if m.Cut != c.cut || len(m.Payload) > maxAnnounced || len(m.Answer) > maxAnnounced {
			t.Errorf("cut %v with %d and %d bytes", m.Cut, len(m.Payload), len(m.Answer))
		}
	}
}
