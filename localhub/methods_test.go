package localhub

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

func reboot(connect, response time.Duration) methodCall {
	return methodCall{name: "reboot", payload: []byte(`{"in":1}`), connect: connect, response: response}
}

// handyman is a session that takes methods once it is told to, and notes $rid.
type handyman struct {
	*recorder
	takes bool
	rids  chan string
}

func newHandyman(takes bool) *handyman {
	return &handyman{recorder: newRecorder(), takes: takes, rids: make(chan string, 8)}
}

func (h *handyman) sendMethod(name, rid string, payload []byte) bool {
	if h.takes {
		h.rids <- rid
	}
	return h.takes
}

func (b *bench) invokeLater(key twinKey, call methodCall) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := b.invoke(b.Context(), owner, key, call)
		done <- err
	}()
	return done
}

// awaited waits until a call waits for a device or module.
func awaited(t testing.TB, r *registry, key twinKey) {
	t.Helper()
	waitFor(t, "a call that waits for "+key.String(), func() bool {
		r.calls.mu.Lock()
		defer r.calls.mu.Unlock()
		return len(r.calls.waiting[key]) == 1
	})
}

func TestMethodsOfAnAbsentDevice(t *testing.T) {
	b := newBench(t)
	b.create("d")
	_, err := b.invoke(t.Context(), owner, dev("none"), reboot(0, time.Minute))
	wantCode(t, err, iothub.ErrDeviceNotFound)
	_, err = b.invoke(t.Context(), owner, dev("d"), reboot(0, time.Minute))
	wantCode(t, err, iothub.ErrDeviceNotOnline)
	b.check(b.connect(t.Context(), dev("d"), "", newHandyman(false)))
	_, err = b.invoke(t.Context(), owner, dev("d"), reboot(0, time.Minute))
	wantCode(t, err, iothub.ErrDeviceNotOnline)
	_, err = b.invoke(t.Context(), owner, dev("d"), reboot(time.Millisecond, time.Minute))
	wantCode(t, err, iothub.ErrDeviceNotOnline)
	if len(b.calls.open) != 0 || len(b.calls.waiting) != 0 {
		t.Errorf("left behind: %d calls, %d waiting", len(b.calls.open), len(b.calls.waiting))
	}
}

func TestAMethodWaitsForItsDevice(t *testing.T) {
	b := newBench(t)
	b.create("d")
	done := b.invokeLater(dev("d"), reboot(time.Minute, time.Minute))
	awaited(t, b.registry, dev("d"))
	h := newHandyman(true)
	b.check(b.connect(t.Context(), dev("d"), "", h))
	rid := <-h.rids
	b.calls.answered(dev("other"), rid, methodAnswer{200, nil}) // not its to answer
	b.calls.answered(dev("d"), "other", methodAnswer{200, nil})
	b.calls.answered(dev("d"), rid, methodAnswer{201, nil})
	b.calls.answered(dev("d"), rid, methodAnswer{202, nil}) // twice
	b.check(<-done)
	last := b.changes.Recent(1, func(c iothub.Change) bool { return c.Kind == iothub.ChangeMethod })[0].Value
	want := iothub.MethodCall{Name: "reboot", Payload: `{"in":1}`, Status: 201, Answer: "null"}
	if *last.Method != want || last.Policy != "iothubowner" || last.DeviceID != "d" {
		t.Errorf("announced %+v", last.Method)
	}
}

// TestAMethodDoesNotWaitForWhoCannotCome takes away what a call waits for, and
// calls what is disabled already.
func TestAMethodDoesNotWaitForWhoCannotCome(t *testing.T) {
	module := twinKey{"d", "m"}
	remove := func(b *bench) error { return b.deleteDevice(b.Context(), owner, "d", iothub.Any) }
	removeModule := func(b *bench) error { return b.deleteModule(b.Context(), owner, module, iothub.Any) }
	disable := func(b *bench) error {
		_, err := b.updateDevice(b.Context(), owner, iothub.Device{DeviceID: "d", Status: iothub.StatusDisabled}, iothub.Any)
		return err
	}
	for _, c := range []struct {
		name   string
		key    twinKey
		change func(*bench) error
		want   *iothub.Error
	}{
		{"a device is deleted", dev("d"), remove, iothub.ErrDeviceNotFound},
		{"a device is disabled", dev("d"), disable, iothub.ErrDeviceNotOnline},
		{"a module is deleted", module, removeModule, iothub.ErrDeviceNotFound},
		{"a module's device is deleted", module, remove, iothub.ErrDeviceNotFound},
		{"a module's device is disabled", module, disable, iothub.ErrDeviceNotOnline},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.create("d")
			b.createModules("d", "m")
			done := b.invokeLater(c.key, reboot(time.Minute, time.Minute))
			awaited(t, b.registry, c.key)
			b.check(c.change(b))
			select {
			case err := <-done:
				wantCode(t, err, c.want)
			case <-time.After(10 * time.Second):
				t.Fatal("the call goes on waiting")
			}
			_, err := b.invoke(t.Context(), owner, c.key, reboot(time.Minute, time.Minute))
			wantCode(t, err, c.want)
		})
	}
}

func TestAMethodIsNotWaitedForLongerThanAsked(t *testing.T) {
	b := newBench(t)
	b.create("d")
	h := newHandyman(true)
	b.check(b.connect(t.Context(), dev("d"), "", h))
	_, err := b.invoke(t.Context(), owner, dev("d"), reboot(0, 5*time.Millisecond))
	wantCode(t, err, iothub.ErrGatewayTimeout)
	b.calls.answered(dev("d"), <-h.rids, methodAnswer{200, nil}) // too late for anybody
	if last := b.changes.Recent(1, func(iothub.Change) bool { return true })[0].Value; last.Method.Error != "GatewayTimeout" {
		t.Errorf("announced %+v", last.Method)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errClosed)
	_, err = b.invoke(ctx, owner, dev("d"), reboot(0, time.Minute))
	if !errors.Is(err, iothub.ErrServiceUnavailable) {
		t.Errorf("given up: %v", err)
	}
}

func TestWhatADeviceMayAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		"":                                       "null",
		`{"a":1.0}`:                              `{"a":1.0}`,
		`"text"`:                                 `"text"`,
		`{"a":`:                                  "BadDeviceResponse",
		"plain":                                  "BadDeviceResponse",
		`"` + strings.Repeat("x", 128<<10) + `"`: "BadDeviceResponse",
	} {
		a, err := methodAnswer{200, []byte(answer)}.checked(dev("d"))
		got := string(a.payload)
		if err != nil {
			got = iothub.AsError(err).Code
		}
		if got != want {
			t.Errorf("%.20q became %q, want %q", answer, got, want)
		}
	}
}

func TestWhatMayBeAskedOfAMethod(t *testing.T) {
	n := func(i int) *int { return &i }
	for _, c := range []struct {
		name, payload     string
		response, connect *int
		want              string
	}{
		{"reboot", "", nil, nil, "reboot null 0s 30s"},
		{"max.speed*now-1_2", "1.0", n(300), n(300), "max.speed*now-1_2 1.0 5m0s 5m0s"},
		{"reboot", "", n(5), n(0), "reboot null 0s 5s"},
		{"reboot", `"` + strings.Repeat("x", 128<<10-2) + `"`, n(5), n(5), ""},
		{"reboot", `"` + strings.Repeat("x", 128<<10-1) + `"`, nil, nil, "MessageTooLarge"},
		{"", "", nil, nil, "ArgumentNull"},
		{"a b", "", nil, nil, "ArgumentInvalid"},
		{"a/b", "", nil, nil, "ArgumentInvalid"},
		{"a#", "", nil, nil, "ArgumentInvalid"},
		{"a?b", "", nil, nil, "ArgumentInvalid"},
		{"größe", "", nil, nil, "ArgumentInvalid"},
		{strings.Repeat("m", 129), "", nil, nil, "ArgumentInvalid"},
		{"reboot", "", n(4), nil, "ArgumentInvalid"},
		{"reboot", "", n(301), nil, "ArgumentInvalid"},
		{"reboot", "", n(0), nil, "ArgumentInvalid"},
		{"reboot", "", nil, n(-1), "ArgumentInvalid"},
		{"reboot", "", nil, n(301), "ArgumentInvalid"},
		{"reboot", "", n(5), n(6), "ArgumentInvalid"},
	} {
		call, err := newMethodCall(c.name, []byte(c.payload), c.response, c.connect)
		got := call.name + " " + string(call.payload) + " " + call.connect.String() + " " + call.response.String()
		if err != nil {
			got = iothub.AsError(err).Code
		}
		if c.want != "" && got != c.want || c.want == "" && err != nil {
			t.Errorf("%.20s %.20s: %s, want %s", c.name, c.payload, got, c.want)
		}
	}
}
