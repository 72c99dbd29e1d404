package fleet

import (
	"encoding/json"
	"testing"
	"time"

	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// nextUpdate waits for an update of a device that changed the picture.
func nextUpdate(t *testing.T, updates *feed.Subscription[Update], id string) Update {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case item, ok := <-updates.C():
			if !ok {
				t.Fatal("the subscription ended")
			}
			if _, changed := item.Value.After(); changed && item.Value.DeviceID == id {
				return item.Value
			}
		case <-timeout:
			t.Fatal("no update of " + id)
		}
	}
}

func wanted(level string) iothub.TwinPatch {
	return iothub.TwinPatch{Desired: iothub.Document{"level": json.Number(level)}}
}

// TestUpdateTellsBeforeAndAfter writes past a live picture and past a crawled
// one.
func TestUpdateTellsBeforeAndAfter(t *testing.T) {
	t.Parallel()
	for name, crawled := range map[string]bool{"by the change feed": false, "by a crawl": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t)
			writer, _ := h.client(nil)
			create(t, writer, "pump")
			var c *hubclient.Client
			if c, _ = h.client(nil); crawled {
				c, _ = h.client(noChangeFeed)
			}
			f := startFleet(t, c, Options{Crawl: Crawl{QueriesPerMinute: 1000, Every: 20 * time.Millisecond}})
			eventually(t, "complete", func() bool { return f.Status().Complete })
			_, updates, _ := f.Changes().Subscribe(f.Changes().Last())
			defer updates.Close()
			if _, err := writer.UpdateTwin(t.Context(), "pump", wanted("1"), nil); err != nil {
				t.Fatal(err)
			}
			u := nextUpdate(t, updates, "pump")
			before, had := u.Before()
			after, _ := u.After()
			if !had || before.State != iothub.InSync || after.State != iothub.WaitingOffline {
				t.Errorf("from %s (%v) to %s", before.State, had, after.State)
			}
			if was, is := before.Twin().Properties.Desired.Value, after.Twin().Properties.Desired.Value; len(was) != 0 || is["level"] != json.Number("1") {
				t.Errorf("from %v to %v", was, is)
			}
			if crawled != (u.Change.Kind == "") {
				t.Errorf("the change is %+v", u.Change)
			}
		})
	}
}

// TestTryNow does not wait for the next attempt.
func TestTryNow(t *testing.T) {
	t.Parallel()
	h := &testHub{T: t, data: t.TempDir(), https: closedPort(t)}
	h.start()
	c, _ := h.client(nil)
	h.stop()
	f := startFleet(t, c, Options{})
	const long = 5 * time.Second
	eventually(t, "the pause is long", func() bool {
		s := f.Status()
		return s.Err != nil && time.Until(s.RetryAt) > long
	})
	again := f.Status().RetryAt
	h.start()
	t.Cleanup(h.stop)
	f.TryNow()
	eventually(t, "live", func() bool { return f.Status().Live })
	if s := f.Status(); !time.Now().Before(again) || !s.RetryAt.IsZero() {
		t.Errorf("live only at the next attempt, at %v: %+v", again, s)
	}
}
