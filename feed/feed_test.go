package feed_test

import (
	"slices"
	"sync"
	"testing"

	"twinboard/feed"
)

func ids(items []feed.Item[string]) []uint64 {
	var out []uint64
	for _, i := range items {
		out = append(out, i.ID)
	}
	return out
}

func TestSubscribe(t *testing.T) {
	f := feed.New[string](3)
	for _, v := range []string{"a", "b", "c", "d", "e"} {
		f.Publish(v)
	}
	for _, tt := range []struct {
		after    uint64
		first    string
		count    int
		complete bool
	}{
		{after: 5, count: 0, complete: true},
		{after: 4, first: "e", count: 1, complete: true},
		{after: 2, first: "c", count: 3, complete: true},
		{after: 1, complete: false},
		{after: 0, complete: false},
		{after: 6, complete: false},
	} {
		missed, sub, complete := f.Subscribe(tt.after)
		sub.Close()
		if complete != tt.complete || len(missed) != tt.count {
			t.Fatalf("Subscribe(%d) = %v, complete %v; want %d items, complete %v", tt.after, ids(missed), complete, tt.count, tt.complete)
		}
		if tt.count > 0 && missed[0].Value != tt.first {
			t.Errorf("Subscribe(%d) starts with %q, want %q", tt.after, missed[0].Value, tt.first)
		}
	}
}

func TestAFeedIsBoundedInSize(t *testing.T) {
	f := feed.NewBounded(10, 5, func(v string) int { return len(v) })
	for _, step := range []struct {
		published string
		kept      []uint64
	}{
		{"aa", []uint64{1}},
		{"bb", []uint64{1, 2}},
		{"c", []uint64{1, 2, 3}},
		{"d", []uint64{2, 3, 4}},
		{"eeee", []uint64{4, 5}},
		{"too long", nil}, // leaves no gap: what came before it is gone, too
		{"g", []uint64{7}},
		{"", []uint64{7, 8}},
	} {
		last := f.Publish(step.published)
		if got := ids(f.Recent(10, nil)); !slices.Equal(got, step.kept) {
			t.Errorf("after %q the feed keeps %v, want %v", step.published, got, step.kept)
		}
		for id := range last + 2 {
			if _, ok := f.Get(id); ok != slices.Contains(step.kept, id) {
				t.Errorf("after %q: Get(%d) is %v", step.published, id, ok)
			}
		}
		if v, ok := f.Get(last); ok && v != step.published {
			t.Errorf("Get(%d) = %q", last, v)
		}
		for after := range last + 1 {
			missed, sub, complete := f.Subscribe(after)
			sub.Close()
			if want := last-after <= uint64(len(step.kept)); complete != want || complete && uint64(len(missed)) != last-after {
				t.Errorf("after %q: Subscribe(%d) = %v, %v", step.published, after, ids(missed), complete)
			}
		}
	}
}

func TestNothingFallsBetweenReplayAndLive(t *testing.T) {
	const total = 200
	f := feed.New[string](total)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range total {
			f.Publish("x")
		}
	})
	missed, sub, complete := f.Subscribe(0)
	defer sub.Close()
	if !complete {
		t.Fatal("the ring holds everything, yet the replay is incomplete")
	}
	next := uint64(1)
	for _, item := range missed {
		if item.ID != next {
			t.Fatalf("replayed id %d, want %d", item.ID, next)
		}
		next++
	}
	for next <= total {
		item := <-sub.C()
		if item.ID != next {
			t.Fatalf("live id %d, want %d", item.ID, next)
		}
		next++
	}
	wg.Wait()
}

func TestSlowReaderIsEndedAndOthersAreNot(t *testing.T) {
	f := feed.New[int](10)
	_, slow, _ := f.Subscribe(0)
	_, quick, _ := f.Subscribe(0)
	defer quick.Close()
	const total = 1000
	for i := range total {
		f.Publish(i)
		if item := <-quick.C(); item.Value != i {
			t.Fatalf("quick reader got %d, want %d", item.Value, i)
		}
	}
	read := 0
	for range slow.C() {
		read++
	}
	if read == 0 || read >= total {
		t.Errorf("slow reader got %d of %d before it was ended", read, total)
	}
	slow.Close() // closing an ended subscription is allowed
}

func TestWithBuffer(t *testing.T) {
	f := feed.New[int](10).WithBuffer(1000)
	_, slow, _ := f.Subscribe(0)
	defer slow.Close()
	for i := range 1000 {
		f.Publish(i)
	}
	for i := range 1000 {
		if item, ok := <-slow.C(); !ok || item.Value != i {
			t.Fatalf("event %d: %v, %v", i, item, ok)
		}
	}
}

func TestRecent(t *testing.T) {
	f := feed.New[int](4)
	for i := 1; i <= 6; i++ {
		f.Publish(i)
	}
	even := f.Recent(5, func(v int) bool { return v%2 == 0 })
	if len(even) != 2 || even[0].Value != 4 || even[1].Value != 6 {
		t.Errorf("Recent(even) = %v, want 4 and 6", even)
	}
	last := f.Recent(1, nil)
	if len(last) != 1 || last[0].ID != 6 {
		t.Errorf("Recent(1) = %v, want id 6", last)
	}
	if f.Last() != 6 {
		t.Errorf("Last() = %d, want 6", f.Last())
	}
}

func TestEpochsDiffer(t *testing.T) {
	if a, b := feed.New[int](1), feed.New[int](1); a.Epoch() == b.Epoch() || a.Epoch() == "" {
		t.Errorf("epochs %q and %q must differ", a.Epoch(), b.Epoch())
	}
}

func BenchmarkPublish(b *testing.B) {
	f := feed.New[int](10_000)
	for range 200 {
		_, sub, _ := f.Subscribe(0)
		go func() {
			for range sub.C() {
			}
		}()
	}
	for b.Loop() {
		f.Publish(1)
	}
}

func TestOldest(t *testing.T) {
	f := feed.New[string](2)
	if got := f.Oldest(); got.ID != 0 {
		t.Errorf("the oldest of nothing is %v", got)
	}
	for i, want := range []uint64{1, 1, 2, 3} {
		f.Publish("x")
		if got := f.Oldest(); got.ID != want {
			t.Errorf("after %d: the oldest is %d, want %d", i+1, got.ID, want)
		}
	}
}
