package devicesim_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
)

// hub is a local hub with a service client of it.
type hub struct {
	*localhub.Hub
	t       testing.TB
	service *hubclient.Client
}

func newHub(t testing.TB) *hub {
	t.Helper()
	return openHub(t, localhub.Options{Data: t.TempDir(), HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
}

func openHub(t testing.TB, o localhub.Options) *hub {
	t.Helper()
	h, err := localhub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	opened := &hub{Hub: h, t: t}
	t.Cleanup(opened.close)
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	cs, err := h.ConnectionString("iothubowner")
	if err != nil {
		t.Fatal(err)
	}
	if opened.service, err = hubclient.New(cs, &hubclient.Options{RootCAs: h.RootCAs()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.service.Close)
	return opened
}

func (h *hub) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		h.t.Error(err)
	}
}

// fleet is a fleet of this hub.
func (h *hub) fleet(o devicesim.Options) *devicesim.Fleet {
	h.t.Helper()
	o.MQTTAddr, o.RootCAs = h.MQTTAddr(), h.RootCAs()
	return newFleet(h.t, o)
}

// register creates an identity and returns its device.
func (h *hub) register(id string) devicesim.Spec {
	h.t.Helper()
	d, err := h.service.CreateDevice(h.t.Context(), iothub.Device{DeviceID: id})
	if err != nil {
		h.t.Fatal(err)
	}
	return devicesim.Spec{ConnectionString: iothub.DeviceConnectionString{
		HostName: h.DeviceHostName(), DeviceID: id, SharedAccessKey: d.Authentication.SymmetricKey.Primary,
	}}
}

func (h *hub) twin(id string) *iothub.Twin {
	h.t.Helper()
	twin, err := h.service.GetTwin(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return twin
}

func (h *hub) desire(id, patch string) {
	h.t.Helper()
	d, err := iothub.ParseDocument([]byte(patch))
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.service.UpdateTwin(h.t.Context(), id, iothub.TwinPatch{Desired: d}, nil); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hub) setStatus(id, status string) {
	h.t.Helper()
	d, err := h.service.GetDevice(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	d.Status = status
	if _, err := h.service.UpdateDevice(h.t.Context(), d, nil); err != nil {
		h.t.Fatal(err)
	}
}

// The device app of the tutorial, from its start to the patch it prints.
func TestTutorial(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("myDeviceId")
	h.desire("myDeviceId", `{"power_level":1}`)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, spec)

	var kinds []devicesim.Kind
	for len(kinds) == 0 || kinds[len(kinds)-1] != devicesim.KindReported {
		e := events.until("any event", func(devicesim.Event) bool { return true })
		kinds = append(kinds, e.Kind)
	}
	want := []devicesim.Kind{
		devicesim.KindConnecting, devicesim.KindConnected, devicesim.KindSubscribed,
		devicesim.KindTwinRead, devicesim.KindReported,
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("events are %v, want %v", kinds, want)
	}
	twin := h.twin("myDeviceId")
	if twin.ConnectionState != iothub.Connected || compact(t, twin.Properties.Reported.Value) != `{"connectivity":"cellular"}` {
		t.Errorf("the hub says %s, reported %v", twin.ConnectionState, twin.Properties.Reported.Value)
	}
	status := device(t, f, "myDeviceId")
	if status.State != devicesim.Online || status.DesiredVersion != 2 || compact(t, status.Desired) != `{"power_level":1}` ||
		status.ConnectivityVersion != twin.Properties.Reported.Version || status.LastPatch != nil {
		t.Errorf("status is %+v", status)
	}

	// The service app, run again, sends the same value: the device is told.
	h.desire("myDeviceId", `{"power_level":1}`)
	if e := events.next(devicesim.KindPatch); e.Version != 3 || compact(t, e.Payload) != `{"power_level":1}` {
		t.Errorf("patch is %+v", e)
	}
	status = device(t, f, "myDeviceId")
	if status.Patches != 1 || status.LastPatch == nil || status.LastPatch.Version != 3 {
		t.Errorf("status is %+v", status)
	}
	if err := f.Stop(t.Context(), "myDeviceId"); err != nil {
		t.Fatal(err)
	}
	events.next(devicesim.KindDisconnected)
	events.next(devicesim.KindStopped)
	h.wantConnected(0)
}

// The trace holds the packets of the tutorial as they crossed the wire.
func TestTrace(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("dev1")
	trace := feed.New[iothub.WireEntry](1000)
	f := h.fleet(devicesim.Options{Trace: trace})
	events := follow(t, f)
	if err := f.Start(iothub.WithAction(t.Context(), "begin"), spec); err != nil {
		t.Fatal(err)
	}
	h.desire("dev1", `{"power_level":1}`)
	events.next(devicesim.KindPatch)
	if err := f.SetConnectivity(iothub.WithAction(t.Context(), "switch"), "dev1", "wifi"); err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(iothub.WithAction(t.Context(), "end"), "dev1"); err != nil {
		t.Fatal(err)
	}

	var sent, received []string
	for _, item := range trace.Recent(1000, nil) {
		e := item.Value
		line := e.Packet + " " + e.Topic
		if e.Packet == "PUBLISH" {
			line += " " + e.Payload
		}
		line += " " + e.Action
		if e.Outgoing {
			sent = append(sent, line)
		} else {
			received = append(received, line)
		}
		if e.Protocol != "MQTT" || e.DeviceID != "dev1" || e.Time.IsZero() {
			t.Errorf("entry is %+v", e)
		}
	}
	wantLines(t, "sent", sent, []string{
		"CONNECT  begin",
		"SUBSCRIBE $iothub/twin/res/# begin",
		"SUBSCRIBE $iothub/twin/PATCH/properties/desired/# begin",
		"PUBLISH $iothub/twin/GET/?$rid=1   begin",
		`PUBLISH $iothub/twin/PATCH/properties/reported/?$rid=2 {"connectivity":"cellular"} begin`,
		`PUBLISH $iothub/twin/PATCH/properties/reported/?$rid=3 {"connectivity":"wifi"} switch`,
		"DISCONNECT  end",
	})
	wantLines(t, "received", received, []string{
		"CONNACK  begin",
		"SUBACK  begin",
		"SUBACK  begin",
		"PUBACK  begin",
		`PUBLISH $iothub/twin/res/200/?$rid=1 {"desired":{"$version":1},"reported":{"$version":1}} begin`,
		"PUBACK  begin",
		"PUBLISH $iothub/twin/res/204/?$rid=2&$version=2  begin",
		`PUBLISH $iothub/twin/PATCH/properties/desired/?$version=2 {"power_level":1,"$version":2} `,
		"PUBACK  switch",
		"PUBLISH $iothub/twin/res/204/?$rid=3&$version=3  switch",
	})
}

// wantLines compares without regard to order: acknowledgements and answers may
// overtake each other.
func wantLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s:", what)
		for _, line := range got {
			t.Logf("  got  %q", line)
		}
		for _, line := range want {
			t.Logf("  want %q", line)
		}
	}
}

// CONNECT says who the device is in the words of the service, and keeps the
// signature to itself.
func TestTraceOfConnect(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	trace := feed.New[iothub.WireEntry](1000)
	now := time.Now()
	f := h.fleet(devicesim.Options{Trace: trace, Now: func() time.Time { return now }, TokenLifetime: time.Minute})
	start(t, f, h.register("dev1"))
	connect := trace.Recent(1000, func(e iothub.WireEntry) bool { return e.Packet == "CONNECT" })
	want := "client id: dev1\n" +
		"user name: localhost/dev1/?api-version=2021-04-12&DeviceClientType=twinboard\n" +
		"password: SharedAccessSignature sr=localhost%2Fdevices%2Fdev1&sig=***&se=" + expiry(now.Add(time.Minute)) + "\n" +
		"clean session: false\nkeep-alive: 60 s\nprotocol: MQTT level 4"
	if len(connect) != 1 || connect[0].Value.Payload != want {
		t.Errorf("CONNECT is %+v, want %s", connect, want)
	}
}

func TestSetConnectivity(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	spec := h.register("dev1")
	spec.Connectivity = "ethernet"
	start(t, f, spec)
	if e := events.next(devicesim.KindReported); compact(t, e.Payload) != `{"connectivity":"ethernet"}` {
		t.Errorf("reported %v", e.Payload)
	}
	for _, c := range []string{"wifi", "cellular", "cellular"} {
		if err := f.SetConnectivity(t.Context(), "dev1", c); err != nil {
			t.Fatal(err)
		}
		if got := h.twin("dev1").Properties.Reported.Value["connectivity"]; got != c {
			t.Errorf("the hub says %v, want %s", got, c)
		}
		if got := device(t, f, "dev1").Connectivity; got != c {
			t.Errorf("the status says %s, want %s", got, c)
		}
		if e := events.next(devicesim.KindConnectivityChanged); e.Text != c {
			t.Errorf("event says %s", e.Text)
		}
		events.next(devicesim.KindReported)
	}
	wantError(t, f.SetConnectivity(t.Context(), "dev1", "carrier pigeon"), devicesim.ErrConnectivity)
	wantError(t, f.SetConnectivity(t.Context(), "dev2", "wifi"), devicesim.ErrUnknown)
	if err := f.Stop(t.Context(), "dev1"); err != nil {
		t.Fatal(err)
	}
	wantError(t, f.SetConnectivity(t.Context(), "dev1", "wifi"), devicesim.ErrNotRunning)
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	spec := h.register("dev1")
	start(t, f, spec)
	wantError(t, f.Start(t.Context(), spec), devicesim.ErrRunning)
	for range 2 {
		if err := f.Stop(t.Context(), "dev1"); err != nil {
			t.Fatal(err)
		}
	}
	if state := device(t, f, "dev1").State; state != devicesim.Stopped {
		t.Errorf("state is %s", state)
	}
	events.next(devicesim.KindStopped)
	spec.Connectivity = "wifi"
	start(t, f, spec)
	if e := events.next(devicesim.KindReported); compact(t, e.Payload) != `{"connectivity":"wifi"}` {
		t.Errorf("reported %v", e.Payload)
	}
	if recent := f.Recent("dev1"); len(recent) == 0 || recent[0].Value.Kind != devicesim.KindConnecting || recent[len(recent)-1].ID != f.Events().Last() {
		t.Errorf("the journal does not hold both runs: %v", recent)
	}
	wantError(t, f.Stop(t.Context(), "dev2"), devicesim.ErrUnknown)
	spec.Connectivity = "telepathy"
	wantError(t, f.Start(t.Context(), spec), devicesim.ErrConnectivity)
	if err := f.Remove(t.Context(), "dev1"); err != nil {
		t.Fatal(err)
	}
	if all := f.Devices(); len(all) != 0 {
		t.Errorf("after Remove there is %v", all)
	}
	for range 2 {
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	spec.Connectivity = "wifi"
	wantError(t, f.Start(t.Context(), spec), devicesim.ErrClosed)
}

// Ids that need care somewhere between a string and a topic.
func TestUnusualIDs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.fleet(devicesim.Options{})
	for _, id := range []string{"100%", "a?b", "O'Neil", "a#b", "a+b", "x:y@z", "$d", "a,b;c=d"} {
		if err := iothub.CheckDeviceID(id); err != nil {
			t.Error(err)
		}
		start(t, f, h.register(id))
		if got := h.twin(id).Properties.Reported.Value["connectivity"]; got != "cellular" {
			t.Errorf("%s reports %v", id, got)
		}
	}
}

// Patches in quick succession all arrive, in order.
func TestBurst(t *testing.T) {
	t.Parallel()
	const count = 100
	h := newHub(t)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, h.register("dev1"))
	for i := range count {
		h.desire("dev1", fmt.Sprintf(`{"step%d":%d}`, i, i))
	}
	for i := range count {
		if e := events.next(devicesim.KindPatch); e.Version != int64(i+2) {
			t.Fatalf("patch %d has version %d", i, e.Version)
		}
	}
	s := device(t, f, "dev1")
	if s.Patches != count || compact(t, s.Desired) != compact(t, h.twin("dev1").Properties.Desired.Value) {
		t.Errorf("%d patches, desired %v", s.Patches, s.Desired)
	}
	if n := len(f.Recent("dev1")); n != 32 {
		t.Errorf("the journal keeps %d events", n)
	}
}

// A page that comes back reads on after the last event it saw.
func TestReplay(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, h.register("dev1"))
	events.next(devicesim.KindReported)
	seen := events.last
	if err := f.SetConnectivity(t.Context(), "dev1", "wifi"); err != nil {
		t.Fatal(err)
	}
	missed, sub, complete := f.Events().Subscribe(seen)
	defer sub.Close()
	if !complete || len(missed) != 2 || missed[0].ID != seen+1 ||
		missed[0].Value.Kind != devicesim.KindConnectivityChanged || missed[1].Value.Kind != devicesim.KindReported {
		t.Errorf("missed %v, complete %t", missed, complete)
	}
}
