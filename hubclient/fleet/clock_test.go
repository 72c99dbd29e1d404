package fleet

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"twinboard/hubclient/iothub"
)

// twinAt makes a twin that wants n settings since a time and answers none.
func twinAt(id string, at time.Time, connected bool, names ...string) *iothub.Twin {
	t := &iothub.Twin{
		DeviceID: id, Version: 2, Status: iothub.StatusEnabled, ConnectionState: iothub.Disconnected,
		Properties: iothub.Properties{Desired: iothub.NewSection(at), Reported: iothub.NewSection(at.Add(-time.Hour))},
	}
	if connected {
		t.ConnectionState = iothub.Connected
	}
	for _, name := range names {
		t.Properties.Desired = t.Properties.Desired.Patch(iothub.Document{name: "on"}, at, true)
	}
	return t
}

func put(t *testing.T, f *Fleet, twin *iothub.Twin) {
	t.Helper()
	raw, err := json.Marshal(twin)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	e := newEntry(decoded, raw, f.now(), f.now(), f.grace)
	f.picture.putIf(e, func() bool { return true })
	f.watch(e)
}

// TestGraceEnds: a device that waits is judged again when its grace time is
// over, to the moment, and readers are told once.
func TestGraceEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := New(nil, Options{})
		ended := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer close(ended)
			f.clock.run(ctx, f.reconsider)
		}()
		_, updates, _ := f.updates.Subscribe(0)
		start := time.Now()
		put(t, f, twinAt("late", start.Add(-30*time.Second), true, "a"))
		put(t, f, twinAt("online", start, true, "a", "b"))
		put(t, f, twinAt("offline", start, false, "a"))
		put(t, f, twinAt("old", start.Add(-time.Hour), true, "a"))
		put(t, f, twinAt("replaced", start.Add(-10*time.Second), true, "a"))
		put(t, f, twinAt("replaced", start, true)) // nothing is wanted any more
		states := func() (out []iothub.State) {
			for _, id := range []string{"late", "online", "offline", "old", "replaced"} {
				d, _ := f.Get(id)
				out = append(out, d.State)
			}
			return out
		}
		expect := func(after time.Duration, want ...iothub.State) {
			t.Helper()
			<-time.After(time.Until(start.Add(after)))
			synctest.Wait()
			if got := states(); !slices.Equal(got, want) {
				t.Errorf("after %v: %v, want %v", after, got, want)
			}
		}
		w, off, s, ok := iothub.Waiting, iothub.WaitingOffline, iothub.Silent, iothub.InSync
		expect(0, w, w, off, s, ok)
		expect(30*time.Second-1, w, w, off, s, ok)
		expect(30*time.Second, s, w, off, s, ok)
		expect(60*time.Second-1, s, w, off, s, ok)
		expect(60*time.Second, s, s, off, s, ok)
		expect(time.Hour, s, s, off, s, ok)
		cancel()
		<-ended
		updates.Close()
		var told []string
		for item := range updates.C() {
			told = append(told, item.Value.DeviceID)
		}
		// The offline device is judged again too, but looks as before.
		if !slices.Equal(told, []string{"late", "online"}) {
			t.Errorf("told %v", told)
		}
	})
}
