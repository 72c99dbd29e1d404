package fleet

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// TestCrawl keeps the picture of a hub without a change feed.
func TestCrawl(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, _ := h.client(noChangeFeed)
	create(t, c, ids("pump", 120)...)
	start := time.Now()
	f := startFleet(t, c, Options{Crawl: Crawl{QueriesPerMinute: 10_000, Every: 20 * time.Millisecond}})
	eventually(t, "complete", func() bool { return f.Status().Complete })
	if s := f.Status(); s.Live || s.Err != nil || s.Known != 120 || s.AsOf.Before(start) || s.AsOf.After(time.Now()) {
		t.Errorf("%+v", s)
	}
	asOf := f.Status().AsOf
	eventually(t, "a later crawl", func() bool { return f.Status().AsOf.After(asOf) })

	_, updates, _ := f.Changes().Subscribe(f.Changes().Last())
	defer updates.Close()
	if _, err := c.UpdateTwin(t.Context(), "pump-001", iothub.TwinPatch{Tags: iothub.Document{"k": "v"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(t.Context(), "pump-002", nil); err != nil {
		t.Fatal(err)
	}
	create(t, c, "new")
	sameAsHub(t, f, c)
	seen := map[string]bool{}
	timeout := time.After(10 * time.Second)
	for !seen["pump-001"] || !seen["pump-002"] || !seen["new"] {
		select {
		case item := <-updates.C():
			if u := item.Value; !u.Reset {
				seen[u.DeviceID] = true
				if u.Removed != (u.DeviceID == "pump-002") || u.DeviceID == "pump-003" {
					t.Errorf("%+v", u)
				}
			}
		case <-timeout:
			t.Fatalf("updates of %v only", seen)
		}
	}
}

// TestCrawlDoesNotGoBack: a lagging index neither overwrites what was read by
// id nor removes what it has not heard of.
func TestCrawlDoesNotGoBack(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	live, _ := h.client(nil)
	create(t, live, "a", "gone")
	var mu sync.Mutex
	stale := false
	// The index of this hub stands still once it is stale: queries are answered
	// from a second hub, which stays as it was.
	old := startHub(t)
	oldClient, oldWire := old.client(nil)
	create(t, oldClient, "a", "gone")
	c, _ := h.client(func(r *http.Request) *http.Response {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/devices/query" || !stale {
			return noChangeFeed(r)
		}
		page, err := oldClient.QueryPage(r.Context(), everyTwin, "", 0)
		if err != nil {
			return answerOf(r, iothub.ErrServerError) // the fleet has given up the request
		}
		return jsonAnswer(t, r, page.Rows)
	})
	f := startFleet(t, c, Options{Crawl: Crawl{QueriesPerMinute: 10_000, Every: 20 * time.Millisecond}})
	eventually(t, "complete", func() bool { return f.Status().Complete })
	mu.Lock()
	stale = true
	mu.Unlock()
	if _, err := live.UpdateTwin(t.Context(), "a", iothub.TwinPatch{Tags: iothub.Document{"k": "v"}}, nil); err != nil {
		t.Fatal(err)
	}
	create(t, live, "new")
	if err := live.DeleteDevice(t.Context(), "gone", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(t.Context(), "a", "new", "gone"); err != nil {
		t.Fatal(err)
	}
	before := oldWire.queries.Load()
	eventually(t, "more crawls", func() bool { return oldWire.queries.Load() > before+5 })
	if d, ok := f.Get("a"); !ok || d.Twin().Tags["k"] != "v" {
		t.Errorf("the index's old twin overwrote the new one: %+v", d)
	}
	if _, ok := f.Get("new"); !ok {
		t.Error("a device the index does not know yet was removed")
	}
	if _, ok := f.Get("gone"); ok {
		t.Error("the index brought a deleted device back")
	}
	create(t, live, "gone")
	eventually(t, "a device made again under its old name is back", func() bool { _, ok := f.Get("gone"); return ok })
}

// TestFeedThatEnds: a hub tells that its feed starts afresh, and then that it has
// none. What began to read every twin gives way to the crawl.
func TestFeedThatEnds(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	var opened, held atomic.Int64
	reading, givenUp := make(chan struct{}), make(chan struct{})
	c, w := h.client(func(r *http.Request) *http.Response {
		switch {
		case r.URL.Path == "/changes" && opened.Add(1) == 1:
			return eventsAnswer(r, "event: reset\ndata: {\"cursor\":\"e-0\"}\n\n", reading)
		case r.URL.Path == "/devices/query" && held.Add(1) == 1:
			close(reading)
			<-r.Context().Done()
			close(givenUp)
		}
		return noChangeFeed(r)
	})
	create(t, c, ids("pump", 205)...)
	f := startFleet(t, c, Options{Crawl: Crawl{QueriesPerMinute: 10_000, Every: time.Hour}})
	eventually(t, "complete", func() bool { return f.Status().Complete })
	select {
	case <-givenUp:
	case <-time.After(10 * time.Second):
		t.Error("the first reading goes on beside the crawl")
	}
	if n := w.queries.Load(); n != 1+3 {
		t.Errorf("%d queries, want the one given up and three for 205 devices", n)
	}
	if s := f.Status(); s.Known != 205 || s.Filling || !s.NoFeed || s.Live {
		t.Errorf("%+v", s)
	}
}

// TestBudget: any minute has so many queries and no more, and they are not
// spread out when there is room.
func TestBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &budget{now: time.Now, sent: make([]time.Time, 10)}
		start := time.Now()
		var sent []time.Duration
		for range 35 {
			b.wait(t.Context())
			sent = append(sent, time.Since(start))
		}
		for i, at := range sent {
			if want := time.Duration(i/10) * time.Minute; at != want {
				t.Errorf("query %d is sent after %v, want %v", i, at, want)
			}
		}
	})
}

// TestIdle: nobody looks, nothing is asked; somebody looks, it goes on.
func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &wire{next: http.DefaultTransport, cut: func(r *http.Request) *http.Response {
			if r.URL.Path == "/devices/query" {
				return jsonAnswer(t, r, []iothub.Twin{{DeviceID: "d"}})
			}
			return answerOf(r, iothub.ErrResourceNotFound)
		}}
		cs := iothub.ServiceConnectionString{HostName: "hub", SharedAccessKeyName: "service", SharedAccessKey: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
		c, err := hubclient.New(cs, &hubclient.Options{HTTPClient: &http.Client{Transport: w}})
		if err != nil {
			t.Fatal(err)
		}
		f := New(c, Options{})
		f.Start(t.Context())
		<-time.After(24 * time.Hour)
		if n := w.queries.Load(); n != 11 { // one a minute until ten minutes are over
			t.Errorf("%d queries in a day when nobody looks", n)
		}
		f.List(Query{})
		<-time.After(5 * time.Minute)
		if n := w.queries.Load(); n != 16 && n != 17 {
			t.Errorf("%d queries after somebody looked", n)
		}
		if err := f.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestThrottledFill goes on with the page the hub refused, after the time the
// hub asked for.
func TestThrottledFill(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	var mu sync.Mutex
	refusals := 2
	c, w := h.client(func(r *http.Request) *http.Response {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/devices/query" || r.Header.Get("x-ms-continuation") == "" || refusals == 0 {
			return nil
		}
		refusals--
		resp := answerOf(r, iothub.ErrThrottling)
		resp.Header.Set("Retry-After", "1")
		return resp
	})
	create(t, c, ids("pump", 250)...)
	f := startFleet(t, c, Options{})
	eventually(t, "throttling is told", func() bool {
		return hasThrottled(f.Status().Err) && f.Status().Filling
	})
	eventually(t, "live", func() bool { return f.Status().Live })
	if s := f.Status(); s.Err != nil || s.Known != 250 || w.queries.Load() != 5 {
		t.Errorf("%+v after %d queries", s, w.queries.Load())
	}
}
