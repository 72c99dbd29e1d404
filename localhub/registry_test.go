package localhub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// bench is a registry on a file of its own, without servers.
type bench struct {
	testing.TB
	*registry
	path  string
	clock *ticker
	time  func() time.Time // what the registry reads
}

// ticker is a clock that moves by a second each time it is read, as the registry
// does for each operation.
type ticker struct {
	mu sync.Mutex
	at time.Time
}

func (c *ticker) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Second)
	return c.at
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{TB: t, path: filepath.Join(t.TempDir(), "hub.db"), clock: &ticker{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}}
	b.time = b.clock.now
	b.open()
	t.Cleanup(b.shut)
	return b
}

func (b *bench) open() {
	b.Helper()
	s, err := store.Open(context.Background(), b.path)
	b.check(err)
	b.registry, err = newRegistry(context.Background(), s, newChanges(), slog.New(slog.DiscardHandler), b.time)
	b.check(err)
}

func (b *bench) shut() {
	b.Helper()
	b.close()
	b.check(b.store.Close())
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

var owner = actor{Policy: "iothubowner"}

func (b *bench) create(ids ...string) {
	b.Helper()
	for _, id := range ids {
		_, err := b.createDevice(b.Context(), owner, iothub.Device{DeviceID: id})
		b.check(err)
	}
}

func parsePatch(t testing.TB, body string) iothub.TwinPatch {
	t.Helper()
	p, err := iothub.ParseTwinPatch([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func dev(id string) twinKey { return twinKey{DeviceID: id} }

func (b *bench) patch(id, body string) *iothub.Twin {
	b.Helper()
	twin, err := b.updateTwin(b.Context(), owner, dev(id), parsePatch(b, body), "")
	b.check(err)
	return twin
}

func (b *bench) get(id string) *iothub.Twin {
	b.Helper()
	twin, err := b.twin(b.Context(), dev(id))
	b.check(err)
	return twin
}

// report patches reported through a connection and waits for the answer.
func (b *bench) report(id, body string) { b.Helper(); b.reportThrough(b.connectTo(id), id, body) }

func (b *bench) reportThrough(s *recorder, id, body string) {
	b.Helper()
	b.patchReported(dev(id), s, "r", []byte(body), nil)
	if got := s.next(b); !strings.HasPrefix(got, "reported r ") || strings.Contains(got, "error") {
		b.Fatalf("reporting %s was answered %q", body, got)
	}
}

// recorder is a connection that writes down what the registry sends it.
type recorder struct{ got chan string }

func newRecorder() *recorder { return &recorder{make(chan string, 4096)} }

func (s *recorder) sendDesired(version int64, body []byte) {
	s.got <- fmt.Sprintf("desired %d %s", version, body)
}

func (s *recorder) sendMethod(name, rid string, payload []byte) bool {
	s.got <- fmt.Sprintf("method %s %s", name, payload)
	return true
}

func (s *recorder) answerReported(rid string, version int64, err error) {
	s.got <- fmt.Sprintf("reported %s %d%s", rid, version, errorText(err))
}

func (s *recorder) answerTwin(rid string, _ int64, body []byte, err error) {
	s.got <- fmt.Sprintf("twin %s %s%s", rid, body, errorText(err))
}

func (s *recorder) end(reason string) { s.got <- "end: " + reason }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " error " + iothub.AsError(err).Code
}

func (s *recorder) next(t testing.TB) string {
	t.Helper()
	select {
	case m := <-s.got:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("the connection heard nothing")
		return ""
	}
}

// silent fails if anything has arrived. What came before an answered operation
// has arrived when the answer has.
func (s *recorder) silent(t testing.TB) {
	t.Helper()
	select {
	case m := <-s.got:
		t.Errorf("unexpected: %s", m)
	default:
	}
}

func (b *bench) connectTo(id string) *recorder {
	b.Helper()
	s := newRecorder()
	b.check(b.connect(b.Context(), dev(id), "", s))
	return s
}

func wantCode(t testing.TB, err error, want *iothub.Error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %s", err, want.Code)
	}
}

func toJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTwinsOfTheDocumentation holds the fresh twin and the twin after one
// service write and one report, member by member.
func TestTwinsOfTheDocumentation(t *testing.T) {
	b := newBench(t)
	b.create("dev1")
	fresh := b.get("dev1")
	const head = `{"deviceId":"dev1","etag":"%s","deviceEtag":"%s","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z",` +
		`"connectionState":"Disconnected","lastActivityTime":"%s","cloudToDeviceMessageCount":0,"authenticationType":"sas",` +
		`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":%d,`
	want := fmt.Sprintf(head, "AAAAAAAAAAE=", fresh.DeviceETag, "0001-01-01T00:00:00Z", 2) +
		`"properties":{"desired":{"$metadata":{"$lastUpdated":"2026-11-22T10:00:01.0000000Z"},"$version":1},` +
		`"reported":{"$metadata":{"$lastUpdated":"2026-11-22T10:00:01.0000000Z"},"$version":1}},"capabilities":{"iotEdge":false}}`
	sameJSON(t, toJSON(t, fresh), want)

	b.patch("dev1", `{"tags":{"site":"b1"},"properties":{"desired":{"fan":{"speed":3}}}}`)
	b.report("dev1", `{"fan":{"speed":3}}`)
	after := b.get("dev1")
	t1, t2 := after.Properties.Desired.Metadata.LastUpdated, after.Properties.Reported.Metadata.LastUpdated
	if !t2.After(t1.Time) {
		t.Errorf("reported at %v, desired at %v", t2, t1)
	}
	stamp1 := fmt.Sprintf(`"$lastUpdated":%s,"$lastUpdatedVersion":2`, toJSON(t, t1))
	stamp2 := fmt.Sprintf(`"$lastUpdated":%s`, toJSON(t, t2))
	sameJSON(t, toJSON(t, after.Properties), fmt.Sprintf(
		`{"desired":{"fan":{"speed":3},"$metadata":{%[1]s,"fan":{%[1]s,"speed":{%[1]s}}},"$version":2},`+
			`"reported":{"fan":{"speed":3},"$metadata":{%[2]s,"fan":{%[2]s,"speed":{%[2]s}}},"$version":2}}`, stamp1, stamp2))
	if after.ETag != "AAAAAAAAAAI=" || after.Version != 4 || toJSON(t, after.Tags) != `{"site":"b1"}` || after.DeviceETag != fresh.DeviceETag {
		t.Errorf("etag %s, version %d, tags %v, deviceEtag %s", after.ETag, after.Version, after.Tags, after.DeviceETag)
	}
}

func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal([]byte(got), &g), json.Unmarshal([]byte(want), &w)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(w, g); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestVersionsAndETags holds which counters each event moves.
func TestVersionsAndETags(t *testing.T) {
	type counters struct {
		etag, version, desired, reported int64
		device                           bool // deviceEtag moved
	}
	patch := func(body string) func(*bench) { return func(b *bench) { b.patch("d", body) } }
	put := func(body string) func(*bench) {
		return func(b *bench) {
			_, err := b.replaceTwin(b.Context(), owner, dev("d"), parsePatch(b, body), "")
			b.check(err)
		}
	}
	for _, test := range []struct {
		name string
		do   func(*bench)
		want counters
	}{
		{"tags only", patch(`{"tags":{"a":1}}`), counters{1, 1, 0, 0, false}},
		{"desired only", patch(`{"properties":{"desired":{"a":1}}}`), counters{1, 1, 1, 0, false}},
		{"tags and desired", patch(`{"tags":{"a":1},"properties":{"desired":{"a":1}}}`), counters{1, 1, 1, 0, false}},
		{"equal values", patch(`{"tags":{"t":"x"},"properties":{"desired":{"p":1}}}`), counters{1, 1, 1, 0, false}},
		{"neither section", patch(`{"properties":{"reported":{"a":1}},"deviceId":"d"}`), counters{}},
		{"empty tags", patch(`{"tags":{}}`), counters{1, 1, 0, 0, false}},
		{"empty desired", patch(`{"properties":{"desired":{}}}`), counters{1, 1, 1, 0, false}},
		{"cleared tags", patch(`{"tags":null}`), counters{1, 1, 0, 0, false}},
		{"cleared desired", patch(`{"properties":{"desired":null}}`), counters{1, 1, 1, 0, false}},
		{"put", put(`{"tags":{"a":1},"properties":{"desired":{"a":1}}}`), counters{1, 1, 1, 0, false}},
		{"put of nothing", put(`{}`), counters{1, 1, 1, 0, false}},
		{"report", func(b *bench) { b.report("d", `{"a":1}`) }, counters{0, 1, 0, 1, false}},
		{"empty report", func(b *bench) { b.report("d", `{}`) }, counters{0, 1, 0, 1, false}},
		{"connect", func(b *bench) { b.connectTo("d") }, counters{}},
		{"telemetry", func(b *bench) { b.telemetry(dev("d"), "", []byte("x")) }, counters{}},
		{"identity", func(b *bench) {
			_, err := b.updateDevice(b.Context(), owner, iothub.Device{DeviceID: "d"}, iothub.Any)
			b.check(err)
		}, counters{device: true}},
	} {
		b := newBench(t)
		b.create("d")
		b.patch("d", `{"tags":{"t":"x"},"properties":{"desired":{"p":1}}}`)
		before := b.get("d")
		test.do(b)
		after := b.get("d")
		got := counters{
			after.Version - before.Version - (after.Properties.Reported.Version - before.Properties.Reported.Version),
			after.Version - before.Version,
			after.Properties.Desired.Version - before.Properties.Desired.Version,
			after.Properties.Reported.Version - before.Properties.Reported.Version,
			after.DeviceETag != before.DeviceETag,
		}
		if got != test.want {
			t.Errorf("%s: moved %+v, want %+v", test.name, got, test.want)
		}
		if moved := after.ETag != before.ETag; moved != (got.etag > 0) {
			t.Errorf("%s: etag %s became %s", test.name, before.ETag, after.ETag)
		}
	}
}

func TestSectionsAfterWrites(t *testing.T) {
	const start = `{"tags":{"a":{"b":1,"c":2},"l":[1,2]},"properties":{"desired":{"a":{"b":1,"c":2},"n":1.0}}}`
	for _, test := range []struct{ name, body, tags, desired string }{
		{
			"merge", `{"tags":{"a":{"b":9}},"properties":{"desired":{"a":{"d":3}}}}`,
			`{"a":{"b":9,"c":2},"l":[1,2]}`, `{"a":{"b":1,"c":2,"d":3},"n":1.0}`,
		},
		{"null removes", `{"tags":{"a":{"b":null,"x":null},"l":null},"properties":{"desired":{"a":null}}}`, `{"a":{"c":2}}`, `{"n":1.0}`},
		{"last child leaves an object", `{"tags":{"a":{"b":null,"c":null}}}`, `{"a":{},"l":[1,2]}`, `{"a":{"b":1,"c":2},"n":1.0}`},
		{"array replaces", `{"tags":{"l":[3]}}`, `{"a":{"b":1,"c":2},"l":[3]}`, `{"a":{"b":1,"c":2},"n":1.0}`},
		{"scalar over object and back", `{"tags":{"a":1,"l":{"x":null}}}`, `{"a":1,"l":{}}`, `{"a":{"b":1,"c":2},"n":1.0}`},
		{"cleared", `{"tags":null,"properties":{"desired":null}}`, `{}`, `{}`},
		{"metadata sent back", `{"properties":{"desired":{"$version":77,"$metadata":{"x":1},"n":2}}}`, `{"a":{"b":1,"c":2},"l":[1,2]}`, `{"a":{"b":1,"c":2},"n":2}`},
	} {
		b := newBench(t)
		b.create("d")
		b.patch("d", start)
		twin := b.patch("d", test.body)
		if got := toJSON(t, twin.Tags); got != test.tags {
			t.Errorf("%s: tags %s, want %s", test.name, got, test.tags)
		}
		if got := toJSON(t, twin.Properties.Desired.Value); got != test.desired {
			t.Errorf("%s: desired %s, want %s", test.name, got, test.desired)
		}
	}
}

func TestReplaceTwin(t *testing.T) {
	b := newBench(t)
	b.create("d")
	s := b.connectTo("d")
	b.reportThrough(s, "d", `{"r":1}`)
	b.patch("d", `{"tags":{"t":1},"properties":{"desired":{"a":1,"b":2,"n":{"x":1,"y":2}}}}`)
	s.next(t)
	before := b.get("d")
	twin, err := b.replaceTwin(t.Context(), owner, dev("d"), parsePatch(t, `{"properties":{"desired":{"a":1,"c":100,"z":null,"n":{"y":3}},"reported":{"no":1}}}`), before.ETag)
	b.check(err)
	if got := toJSON(t, twin.Properties.Desired.Value); got != `{"a":1,"c":100,"n":{"y":3}}` {
		t.Errorf("desired is %s", got)
	}
	if len(twin.Tags) != 0 || toJSON(t, twin.Properties.Reported) != toJSON(t, before.Properties.Reported) {
		t.Errorf("tags %v, reported %v", twin.Tags, twin.Properties.Reported)
	}
	if got := s.next(t); got != `desired 3 {"a":1,"b":null,"c":100,"n":{"x":null,"y":3},"$version":3}` {
		t.Errorf("the device was told %s", got)
	}
	if _, stamped := twin.Properties.Desired.Metadata.Children["b"]; stamped {
		t.Error("what vanished still has metadata")
	}
}

func TestIfMatch(t *testing.T) {
	b := newBench(t)
	b.create("d")
	stale := b.get("d").ETag
	current := b.patch("d", `{"tags":{"a":1}}`).ETag
	p := parsePatch(t, `{"tags":{"a":2}}`)
	_, err := b.updateTwin(t.Context(), owner, dev("d"), p, stale)
	wantCode(t, err, iothub.ErrPreconditionFailed)
	_, err = b.replaceTwin(t.Context(), owner, dev("d"), p, stale)
	wantCode(t, err, iothub.ErrPreconditionFailed)
	_, err = b.updateTwin(t.Context(), owner, dev("d"), iothub.TwinPatch{}, stale)
	wantCode(t, err, iothub.ErrPreconditionFailed)
	_, err = b.updateTwin(t.Context(), owner, dev("none"), p, stale)
	wantCode(t, err, iothub.ErrDeviceNotFound)
	if got := b.get("d"); got.ETag != current || toJSON(t, got.Tags) != `{"a":1}` {
		t.Errorf("a refused write changed the twin: %s %v", got.ETag, got.Tags)
	}
	b.report("d", `{"x":1}`) // does not move the etag
	twin, err := b.updateTwin(t.Context(), owner, dev("d"), p, current)
	b.check(err)
	_, err = b.updateTwin(t.Context(), owner, dev("d"), p, iothub.Any)
	b.check(err)
	_, err = b.replaceTwin(t.Context(), owner, dev("d"), p, twin.ETag)
	wantCode(t, err, iothub.ErrPreconditionFailed)
}

// TestLimitsHoldForTheResult checks the size of what a write leaves behind, at
// the bound and above.
func TestLimitsHoldForTheResult(t *testing.T) {
	b := newBench(t)
	b.create("d")
	text := func(n int) string { return strings.Repeat("x", n) }
	tags := func(name string, n int) iothub.TwinPatch {
		return iothub.TwinPatch{Tags: iothub.Document{name: text(n)}}
	}
	write := func(p iothub.TwinPatch) error {
		_, err := b.updateTwin(b.Context(), owner, dev("d"), p, "")
		return err
	}
	b.check(write(tags("a", 4095)))
	wantCode(t, write(tags("b", 4096)), iothub.ErrArgumentInvalid)
	b.check(write(tags("b", 4095))) // 8,192 in all
	wantCode(t, write(tags("c", 1)), iothub.ErrArgumentInvalid)
	b.check(write(tags("a", 10)))
	wantCode(t, write(tags("a", 4097)), iothub.ErrArgumentInvalid) // one text too long
	var limit *iothub.LimitError
	if err := write(iothub.TwinPatch{Desired: iothub.Document{"a.b": "x"}}); !errors.As(err, &limit) || limit.Kind != iothub.LimitKeyCharacter {
		t.Errorf("the limit is not in the chain: %v", err)
	}
	big := iothub.Document{}
	for i := range 9 {
		big[fmt.Sprint(i)] = text(4095)
	}
	wantCode(t, write(iothub.TwinPatch{Desired: big}), iothub.ErrArgumentInvalid)
	s := b.connectTo("d")
	b.patchReported(dev("d"), s, "1", []byte(toJSON(t, big)), nil)
	if got := s.next(t); got != "reported 1 0 error ArgumentInvalid" {
		t.Error(got)
	}
	delete(big, "8")
	b.check(write(iothub.TwinPatch{Desired: big})) // 32 KiB exactly
	wantCode(t, write(iothub.TwinPatch{Desired: iothub.Document{"": "x"}}), iothub.ErrArgumentInvalid)
	if _, err := b.replaceTwin(t.Context(), owner, dev("d"), iothub.TwinPatch{Tags: iothub.Document{"l": []any{nil}}}, ""); !errors.Is(err, iothub.ErrArgumentInvalid) {
		t.Errorf("null in an array: %v", err)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	b := newBench(t)
	b.create("a", "gone", "b")
	s := b.connectTo("a")
	b.reportThrough(s, "a", `{"deep":{"x":[1.0,{"y":"z"}]}}`)
	b.patch("a", `{"tags":{"Größe":"<ü>"},"properties":{"desired":{"big":4503599627370495,"f":1e3}}}`)
	b.check(b.connect(t.Context(), dev("a"), "dtmi:com:example:Thermostat;1", newRecorder()))
	_, err := b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "b", Status: iothub.StatusDisabled, StatusReason: "lost"}, iothub.Any)
	b.check(err)
	b.check(b.deleteDevice(t.Context(), owner, "gone", iothub.Any))
	before := b.get("a")
	devices, err := b.devices(t.Context(), 0)
	b.check(err)
	b.shut()
	b.open()
	after := b.get("a")
	if before.ConnectionState != iothub.Connected || after.ConnectionState != iothub.Disconnected || b.connected() != 0 {
		t.Errorf("%s before, %s after", before.ConnectionState, after.ConnectionState)
	}
	after.ConnectionState = before.ConnectionState
	if d := cmp.Diff(toJSON(t, before), toJSON(t, after)); d != "" || before.LastActivityTime.IsZero() {
		t.Errorf("(-want +got):\n%s", d)
	}
	again, err := b.devices(t.Context(), 0)
	b.check(err)
	for i := range devices { // the hub's end is when the connection changed
		devices[i].ConnectionState, devices[i].ConnectionStateUpdatedTime = "", iothub.Time{}
		again[i].ConnectionState, again[i].ConnectionStateUpdatedTime = "", iothub.Time{}
	}
	if d := cmp.Diff(devices, again); d != "" || len(again) != 2 {
		t.Errorf("devices (-want +got):\n%s", d)
	}
}

// waitFor polls until something holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
