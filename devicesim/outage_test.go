package devicesim_test

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
)

func expiry(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// A second connection with the same id ends the first, which backs off, says
// why, and comes back.
func TestDroppedBySecondConnection(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("dev1")
	f, rival := h.fleet(devicesim.Options{}), h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, spec)
	start(t, rival, spec)
	if e := events.next(devicesim.KindDisconnected); e.Problem == nil || e.Problem.Kind != devicesim.Closed {
		t.Errorf("disconnected: %+v", e)
	}
	if e := events.next(devicesim.KindRetry); e.Wait < 250*time.Millisecond || e.Wait > 500*time.Millisecond {
		t.Errorf("first wait is %s", e.Wait)
	}
	if err := rival.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.next(devicesim.KindReported)
	h.desire("dev1", `{"power_level":2}`)
	if e := events.next(devicesim.KindPatch); e.Version != 2 {
		t.Errorf("patch is %+v", e)
	}
	if s := device(t, f, "dev1"); s.State != devicesim.Online || s.Problem != nil {
		t.Errorf("status is %+v", s)
	}
}

// A device outlives its hub and learns what it missed by reading its twin.
func TestHubRestart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	first := openHub(t, localhub.Options{Data: data, HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	f := first.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, first.register("dev1"))
	first.close()
	events.next(devicesim.KindDisconnected)
	events.next(devicesim.KindRetry)
	if s := device(t, f, "dev1"); s.State == devicesim.Online {
		t.Errorf("status is %+v", s)
	}
	if err := f.SetConnectivity(t.Context(), "dev1", "wifi"); err != nil {
		t.Fatal(err)
	}
	if e := events.until("an attempt in vain", func(e devicesim.Event) bool { return e.Kind == devicesim.KindError }); e.Problem.Kind != devicesim.Unreachable {
		t.Errorf("problem is %s", e.Problem.Kind)
	}
	second := openHub(t, localhub.Options{Data: data, HTTPS: "127.0.0.1:0", MQTT: first.MQTTAddr()})
	second.desire("dev1", `{"power_level":3}`)
	events.until("the missed value", func(e devicesim.Event) bool {
		return (e.Kind == devicesim.KindTwinRead || e.Kind == devicesim.KindPatch) && compact(t, e.Payload) == `{"power_level":3}`
	})
	events.until("wifi", func(e devicesim.Event) bool {
		return e.Kind == devicesim.KindReported && e.Payload["connectivity"] == "wifi"
	})
	if got := second.twin("dev1").Properties.Reported.Value["connectivity"]; got != "wifi" {
		t.Errorf("the hub says %v", got)
	}
}

// Before its token expires a device connects with a fresh one, and no desired
// patch is lost over it.
func TestTokenRenewal(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	trace := feed.New[iothub.WireEntry](100)
	f := h.fleet(devicesim.Options{TokenLifetime: 5 * time.Second, Trace: trace})
	events := follow(t, f)
	start(t, f, h.register("dev1"))
	if err := f.SetConnectivity(iothub.WithAction(t.Context(), "switch"), "dev1", "wifi"); err != nil {
		t.Fatal(err)
	}
	before := device(t, f, "dev1").TokenExpiry
	if e := events.next(devicesim.KindDisconnected); e.Problem != nil || !strings.Contains(e.Text, "about to expire") {
		t.Errorf("disconnected: %+v", e)
	}
	events.next(devicesim.KindReported)
	connects := trace.Recent(100, func(e iothub.WireEntry) bool { return e.Packet == "CONNECT" })
	if len(connects) != 2 || connects[1].Value.Action != "" || connects[1].Value.Payload == connects[0].Value.Payload {
		t.Errorf("CONNECT packets: %+v", connects)
	}
	after := device(t, f, "dev1")
	if !after.TokenExpiry.After(before) || after.Attempt != 0 {
		t.Errorf("token until %s, then %s; %d attempts", before, after.TokenExpiry, after.Attempt)
	}
	h.desire("dev1", `{"power_level":1}`)
	events.next(devicesim.KindPatch)
}

// Whatever is wrong with the identity, IoT Hub says CONNACK 5 and no more.
func TestRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	good := h.register("dev1")
	wrongKey, unknown, disabled := good, good, h.register("off")
	wrongKey.ConnectionString.SharedAccessKey = "d3Jvbmc="
	unknown.ConnectionString.DeviceID = "nobody"
	h.setStatus("off", iothub.StatusDisabled)
	for _, c := range []struct {
		name string
		spec devicesim.Spec
	}{{"wrong key", wrongKey}, {"unknown", unknown}, {"disabled", disabled}} {
		t.Run(c.name, func(t *testing.T) {
			f := h.fleet(devicesim.Options{})
			problem := wantProblem(t, f.Start(t.Context(), c.spec), devicesim.Refused)
			id := c.spec.ConnectionString.DeviceID
			if problem.Code != 5 || problem.DeviceID != id || problem.Address != h.MQTTAddr() {
				t.Errorf("problem is %+v", problem)
			}
			if s := device(t, f, id); s.State != devicesim.Backoff || s.Problem != problem || s.Attempt != 1 {
				t.Errorf("status is %+v", s)
			}
		})
	}
}

// A device in Backoff can be started with another key at once.
func TestStartWithTheRightKeyAfterTheWrongOne(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	good := h.register("dev1")
	wrong := good
	wrong.ConnectionString.SharedAccessKey = "d3Jvbmc="
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	wantProblem(t, f.Start(t.Context(), wrong), devicesim.Refused)
	start(t, f, good)
	events.next(devicesim.KindStopped)
	events.next(devicesim.KindConnecting) // the old run is over before the new one begins
	events.next(devicesim.KindReported)
	if s := device(t, f, "dev1"); s.State != devicesim.Online {
		t.Errorf("status is %+v", s)
	}
}

// Disabling or removing a device cuts it; enabling it lets it come back.
func TestDisabledAndRemovedWhileOnline(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, h.register("dev1"))
	events.next(devicesim.KindReported)
	h.setStatus("dev1", iothub.StatusDisabled)
	events.next(devicesim.KindDisconnected)
	if e := events.next(devicesim.KindError); e.Problem == nil || e.Problem.Kind != devicesim.Refused {
		t.Errorf("error is %+v", e)
	}
	h.setStatus("dev1", iothub.StatusEnabled)
	events.next(devicesim.KindReported)
	if err := h.service.DeleteDevice(t.Context(), "dev1", nil); err != nil {
		t.Fatal(err)
	}
	events.next(devicesim.KindDisconnected)
	if e := events.next(devicesim.KindError); e.Problem == nil || e.Problem.Kind != devicesim.Refused {
		t.Errorf("error is %+v", e)
	}
}

func TestPortClosed(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, devicesim.Options{MQTTAddr: addr})
	wantProblem(t, f.Start(t.Context(), dev1), devicesim.Unreachable)
	if err := f.SetConnectivity(t.Context(), "dev1", "wifi"); err != nil {
		t.Errorf("a device in Backoff is on no other network: %v", err)
	}
	if s := device(t, f, "dev1"); s.Connectivity != "wifi" {
		t.Errorf("status is %+v", s)
	}
}

func TestManyDevices(t *testing.T) {
	t.Parallel()
	const count = 50
	h := newHub(t)
	f := h.fleet(devicesim.Options{})
	specs := make([]devicesim.Spec, count)
	for i := range specs {
		specs[i] = h.register(fmt.Sprintf("dev%02d", i))
	}
	for round := range 2 {
		var wg sync.WaitGroup
		failures := make([]error, count)
		for i, s := range specs {
			wg.Go(func() { failures[i] = f.Start(t.Context(), s) })
		}
		wg.Wait()
		if err := errors.Join(failures...); err != nil {
			t.Fatal(err)
		}
		for i, s := range f.Devices() {
			if s.State != devicesim.Online || s.DeviceID != specs[i].ConnectionString.DeviceID {
				t.Errorf("round %d: status is %+v", round, s)
			}
		}
		h.wantConnected(count)
		if err := f.StopAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range f.Devices() {
			if s.State != devicesim.Stopped {
				t.Errorf("round %d: status is %+v", round, s)
			}
		}
		h.wantConnected(0)
	}
}

// wantConnected waits for the hub to count so many connected devices: it counts
// a moment after the last packet.
func (h *hub) wantConnected(n int) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s, err := h.service.ServiceStatistics(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if s.Connected == n {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("the hub counts %d connected devices, want %d", s.Connected, n)
		}
	}
}
