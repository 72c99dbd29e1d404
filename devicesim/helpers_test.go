package devicesim_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

func newFleet(t testing.TB, o devicesim.Options) *devicesim.Fleet {
	t.Helper()
	f := devicesim.New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return f
}

func start(t *testing.T, f *devicesim.Fleet, s devicesim.Spec) {
	t.Helper()
	if err := f.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func device(t *testing.T, f *devicesim.Fleet, id string) devicesim.Status {
	t.Helper()
	s, ok := f.Device(id)
	if !ok {
		t.Fatalf("no device %s", id)
	}
	return s
}

// follower reads the events of a fleet from their beginning.
type follower struct {
	t     *testing.T
	items <-chan feed.Item[devicesim.Event]
	queue []feed.Item[devicesim.Event]
	last  uint64
}

func follow(t *testing.T, f *devicesim.Fleet) *follower {
	t.Helper()
	missed, sub, complete := f.Events().Subscribe(0)
	if !complete {
		t.Fatal("the feed no longer holds its beginning")
	}
	t.Cleanup(sub.Close)
	return &follower{t: t, items: sub.C(), queue: missed}
}

// next returns the next event of a kind and passes over others.
func (f *follower) next(kind devicesim.Kind) devicesim.Event {
	f.t.Helper()
	return f.until(string(kind), func(e devicesim.Event) bool { return e.Kind == kind })
}

func (f *follower) until(what string, match func(devicesim.Event) bool) devicesim.Event {
	f.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		var item feed.Item[devicesim.Event]
		if len(f.queue) > 0 {
			item, f.queue = f.queue[0], f.queue[1:]
		} else {
			select {
			case got, ok := <-f.items:
				if !ok {
					f.t.Fatalf("the feed dropped us while we waited for %s", what)
				}
				item = got
			case <-deadline.C:
				f.t.Fatalf("waited in vain for %s", what)
			}
		}
		f.last = item.ID
		if match(item.Value) {
			return item.Value
		}
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

func wantProblem(t *testing.T, err error, want devicesim.Problem) *devicesim.ConnectError {
	t.Helper()
	var problem *devicesim.ConnectError
	if !errors.As(err, &problem) {
		t.Fatalf("error is %v, not a ConnectError", err)
	}
	if problem.Kind != want {
		t.Errorf("problem is %s, want %s: %v", problem.Kind, want, err)
	}
	return problem
}

func compact(t *testing.T, d iothub.Document) string {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
