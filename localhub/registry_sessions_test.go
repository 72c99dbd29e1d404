package localhub

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

func TestDesiredPatchesReachTheConnection(t *testing.T) {
	b := newBench(t)
	b.create("d", "other")
	s, other := b.connectTo("d"), b.connectTo("other")
	for _, step := range []struct{ body, told string }{
		{`{"properties":{"desired":{"a":1,"b":{"c":null}}}}`, `desired 2 {"a":1,"b":{"c":null},"$version":2}`},
		{`{"properties":{"desired":{"a":1}}}`, `desired 3 {"a":1,"$version":3}`}, // equal values are sent again
		{`{"properties":{"desired":{"a":null,"$version":1}}}`, `desired 4 {"a":null,"$version":4}`},
		{`{"properties":{"desired":{}}}`, `desired 5 {"$version":5}`},
		{`{"tags":{"x":1},"properties":{"desired":{"n":1.0}}}`, `desired 6 {"n":1.0,"$version":6}`},
		{`{"properties":{"desired":null}}`, `desired 7 {"b":null,"n":null,"$version":7}`},
	} {
		b.patch("d", step.body)
		if got := s.next(t); got != step.told {
			t.Errorf("%s: told %s, want %s", step.body, got, step.told)
		}
	}
	b.patch("d", `{"tags":{"x":2}}`) // tags never reach a device
	b.patch("d", `{}`)
	b.disconnect(dev("d"), s)
	b.patch("d", `{"properties":{"desired":{"late":1}}}`)
	s.silent(t)
	other.silent(t)
	b.connectTo("d").silent(t) // nothing is kept for later
}

func TestReadingTheTwin(t *testing.T) {
	b := newBench(t)
	b.create("d")
	s := b.connectTo("d")
	b.readTwin(dev("d"), s, "rid/%41")
	if got := s.next(t); got != `twin rid/%41 {"desired":{"$version":1},"reported":{"$version":1}}` {
		t.Error(got)
	}
	// In order with the writes around it.
	b.patchReported(dev("d"), s, "1", []byte(`{"a":{"b":1}}`), nil)
	b.readTwin(dev("d"), s, "2")
	b.patchReported(dev("d"), s, "3", []byte(`{"a":null}`), nil)
	b.readTwin(dev("d"), s, "4")
	for _, want := range []string{
		"reported 1 2", `twin 2 {"desired":{"$version":1},"reported":{"a":{"b":1},"$version":2}}`,
		"reported 3 3", `twin 4 {"desired":{"$version":1},"reported":{"$version":3}}`,
	} {
		if got := s.next(t); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	b.readTwin(dev("none"), s, "5")
	if got := s.next(t); got != "twin 5  error DeviceNotFound" {
		t.Error(got)
	}
}

func TestReportsThatAreRefused(t *testing.T) {
	b := newBench(t)
	b.create("d")
	s := b.connectTo("d")
	before := b.get("d").Version
	stale := int64(7)
	for _, test := range []struct {
		patch string
		base  *int64
		code  string
	}{
		{`{"a":`, nil, "IotHubFormatError"},
		{``, nil, "IotHubFormatError"},
		{`[1]`, nil, "IotHubFormatError"},
		{`null`, nil, "IotHubFormatError"},
		{`{"a b":1}`, nil, "ArgumentInvalid"},
		{`{"a":[null]}`, nil, "ArgumentInvalid"},
		{`{"a":4503599627370496}`, nil, "ArgumentInvalid"},
		{`{"a":1}`, &stale, "PreconditionFailed"},
	} {
		b.patchReported(dev("d"), s, "x", []byte(test.patch), test.base)
		if got := s.next(t); got != "reported x 0 error "+test.code {
			t.Errorf("%s: %s, want %s", test.patch, got, test.code)
		}
	}
	current := b.get("d").Properties.Reported.Version
	b.patchReported(dev("d"), s, "y", []byte(`{"a":1,"$version":99,"$metadata":{}}`), &current)
	if got := s.next(t); got != "reported y 2" || b.get("d").Version != before+1 {
		t.Errorf("%s, version %d", got, b.get("d").Version)
	}
}

func TestOneConnectionADevice(t *testing.T) {
	b := newBench(t)
	b.create("d")
	_, sub, _ := b.changes.Subscribe(b.changes.Last())
	defer sub.Close()
	first := b.connectTo("d")
	if c := (<-sub.C()).Value; c.Kind != iothub.ChangeConnection || c.Patch["connectionState"] != "Connected" || c.DeviceID != "d" {
		t.Errorf("event %+v", c)
	}
	second := b.connectTo("d")
	if got := first.next(t); got != "end: the device opened a new connection" {
		t.Error(got)
	}
	b.disconnect(dev("d"), first) // late: must not take the second down
	if b.connected() != 1 || b.get("d").ConnectionState != iothub.Connected {
		t.Errorf("%d connected", b.connected())
	}
	b.patch("d", `{"properties":{"desired":{"a":1}}}`)
	second.next(t)
	first.silent(t)
	if c := (<-sub.C()).Value; c.Kind != iothub.ChangeDesired {
		t.Errorf("a new connection in place of the old is no change of state: %+v", c)
	}
	b.disconnect(dev("d"), second)
	b.disconnect(dev("d"), second)
	if c := (<-sub.C()).Value; c.Patch["connectionState"] != "Disconnected" || b.connected() != 0 {
		t.Errorf("event %+v, %d connected", c, b.connected())
	}
	if d, err := b.device(t.Context(), "d"); err != nil || d.ConnectionState != iothub.Disconnected || d.ConnectionStateUpdatedTime.IsZero() || d.LastActivityTime.IsZero() {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDisabledDevicesAreCutAndRefused(t *testing.T) {
	b := newBench(t)
	b.create("d")
	s := b.connectTo("d")
	_, err := b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "d", Status: iothub.StatusDisabled}, iothub.Any)
	b.check(err)
	if got := s.next(t); got != "end: the device was disabled" || b.connected() != 0 {
		t.Errorf("%s, %d connected", got, b.connected())
	}
	wantCode(t, b.connect(t.Context(), dev("d"), "", s), iothub.ErrDeviceDisabled)
	wantCode(t, b.connect(t.Context(), dev("none"), "", s), iothub.ErrDeviceNotFound)
	// Its twin stays readable and writable by the service.
	if twin := b.patch("d", `{"tags":{"a":1},"properties":{"desired":{"a":1}}}`); twin.Status != iothub.StatusDisabled {
		t.Errorf("status is %s", twin.Status)
	}
	s.silent(t)
}

func TestModelIDComesFromTheConnection(t *testing.T) {
	b := newBench(t)
	b.create("d")
	before := b.get("d")
	b.check(b.connect(t.Context(), dev("d"), "dtmi:com:example:A;1", newRecorder()))
	b.connectTo("d")
	if twin := b.get("d"); twin.ModelID != "dtmi:com:example:A;1" || twin.Version != before.Version || twin.ETag != before.ETag {
		t.Errorf("model %q, version %d, etag %s", twin.ModelID, twin.Version, twin.ETag)
	}
}

func TestChangesTellWhatWhoAndFromWhat(t *testing.T) {
	b := newBench(t)
	_, sub, _ := b.changes.Subscribe(0)
	defer sub.Close()
	b.create("d")
	b.patch("d", `{"tags":{"a":1,"b":{"c":2}},"properties":{"desired":{"p":1}}}`)
	b.patch("d", `{"tags":{"b":{"c":3},"new":4},"properties":{"desired":{"p":null}}}`)
	_, err := b.replaceTwin(t.Context(), actor{Policy: "service"}, dev("d"), parsePatch(t, `{"tags":{"a":5}}`), "")
	b.check(err)
	s := b.connectTo("d")
	b.reportThrough(s, "d", `{"r":1}`)
	b.telemetry(dev("d"), "%24.ct=application%2Fjson&a%20b=c%2Fd+e&flag&x=%zz", []byte(`{"t":1}`))
	b.telemetry(dev("d"), "", []byte{0xff, 0})
	b.check(b.deleteDevice(t.Context(), owner, "d", iothub.Any))
	want := []string{
		`identity create iothubowner/ v2 AAAAAAAAAAE= 0 {"status":"enabled"} null`,
		`tags update iothubowner/ v3 AAAAAAAAAAI= 0 {"a":1,"b":{"c":2}} {"a":null,"b":null}`,
		`desired update iothubowner/ v3 AAAAAAAAAAI= 2 {"p":1} {"p":null}`,
		`tags update iothubowner/ v4 AAAAAAAAAAM= 0 {"b":{"c":3},"new":4} {"b":{"c":2},"new":null}`,
		`desired update iothubowner/ v4 AAAAAAAAAAM= 3 {"p":null} {"p":1}`,
		`tags replace service/ v5 AAAAAAAAAAQ= 0 {"a":5,"b":null,"new":null} {"a":1,"b":{"c":3},"new":4}`,
		`desired replace service/ v5 AAAAAAAAAAQ= 4 {} {}`,
		`connection  /d v0  0 {"connectionState":"Connected"} null`,
		`reported update /d v6 AAAAAAAAAAQ= 2 {"r":1} {"r":null}`,
		`telemetry  /d v0  0 null null {"properties":{"$.ct":"application/json","a b":"c/d+e","flag":"","x":"%zz"},"body":"{\"t\":1}","size":7}`,
		`telemetry  /d v0  0 null null {"body":"/wA=","base64":true,"size":2}`,
		`connection  /d v0  0 {"connectionState":"Disconnected"} null`,
		`identity delete iothubowner/ v6 AAAAAAAAAAQ= 0 null null`,
	}
	var got []string
	for range want {
		c := (<-sub.C()).Value
		if c.DeviceID != "d" || c.Time.IsZero() {
			t.Errorf("event without device or time: %+v", c)
		}
		got = append(got, shownChange(t, c))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func shownChange(t *testing.T, c iothub.Change) string {
	fields := []string{
		string(c.Kind), c.Operation, c.Policy + "/" + c.Device, "v" + toJSON(t, c.Version), string(c.ETag),
		toJSON(t, c.SectionVersion), toJSON(t, c.Patch), toJSON(t, c.Old),
	}
	if c.Telemetry != nil {
		fields = append(fields, toJSON(t, c.Telemetry))
	}
	return strings.Join(fields, " ")
}
