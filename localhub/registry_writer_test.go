package localhub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// hold keeps the writer busy until release is called, so that what is queued
// meanwhile becomes one transaction.
func (b *bench) hold() (release func()) {
	held, free := make(chan struct{}), make(chan struct{})
	go b.do(context.Background(), func(*batch) error {
		close(held)
		<-free
		return nil
	})
	<-held
	return func() { close(free) }
}

// queued waits until n operations stand in the writer's queue.
func (b *bench) queued(n int) {
	b.Helper()
	waitFor(b, fmt.Sprint(n, " queued operations"), func() bool { return len(b.queue) == n })
}

func TestManyWritersShareTransactions(t *testing.T) {
	b := newBench(t)
	const writers = 200
	for i := range writers {
		b.create(fmt.Sprint("d", i))
	}
	before := b.columns.begun
	release := b.hold()
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { b.patch(fmt.Sprint("d", i), `{"tags":{"a":1}}`) })
	}
	b.queued(writers)
	release()
	wg.Wait()
	if n := b.columns.begun - before; n != 1 {
		t.Errorf("%d writes that were waiting took %d transactions", writers, n)
	}
	for i := range writers {
		if got := b.get(fmt.Sprint("d", i)); toJSON(t, got.Tags) != `{"a":1}` {
			t.Errorf("d%d has tags %v", i, got.Tags)
		}
	}
}

// TestAReaderKeepsUpWithATransaction has more writes waiting than one transaction
// takes, each of which tells two things, and reads once all of them are told.
func TestAReaderKeepsUpWithATransaction(t *testing.T) {
	b := newBench(t)
	const writers = batchLength * 3 / 4
	for i := range writers {
		b.create(fmt.Sprint("d", i))
	}
	_, sub, _ := b.changes.Subscribe(b.changes.Last())
	defer sub.Close()
	before := b.columns.begun
	release := b.hold()
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { b.patch(fmt.Sprint("d", i), `{"tags":{"a":1},"properties":{"desired":{"a":1}}}`) })
	}
	b.queued(writers)
	release()
	wg.Wait()
	if n := b.columns.begun - before; n != 2 {
		t.Errorf("%d writes took %d transactions", writers, n)
	}
	for i := range 2 * writers {
		if _, ok := <-sub.C(); !ok {
			t.Fatalf("the reader was ended after %d changes", i)
		}
	}
}

// TestAWriteIsNoOlderThanWhatCameBefore has writes join a transaction that has
// begun, and holds their times, in the twin and on the change feed.
func TestAWriteIsNoOlderThanWhatCameBefore(t *testing.T) {
	b := newBench(t)
	b.create("d")
	release := b.hold()
	before := b.now()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() { b.patch("d", fmt.Sprintf(`{"properties":{"desired":{"n%d":1}}}`, i)) })
	}
	b.queued(3)
	release()
	wg.Wait()
	twin := b.get("d")
	last := before
	for _, e := range b.changes.Recent(3, func(iothub.Change) bool { return true }) {
		c := e.Value
		if !c.Time.After(last) {
			t.Errorf("version %d was written at %s, after %s", c.Version, c.Time, last)
		}
		last = c.Time
		for name := range c.Patch {
			if at := twin.Properties.Desired.Metadata.Children[name].LastUpdated; !at.Equal(c.Time) {
				t.Errorf("%s was updated at %s, as the feed says at %s", name, at, c.Time)
			}
		}
	}
}

// TestWritesOfOneTransactionSeeEachOther runs dependent operations, among them
// refused ones, in one transaction: each is answered as if alone.
func TestWritesOfOneTransactionSeeEachOther(t *testing.T) {
	b := newBench(t)
	b.create("d")
	first := b.get("d").ETag
	release := b.hold()
	results := make([]chan error, 0)
	queue := func(f func() error) {
		done := make(chan error, 1)
		before := len(b.queue)
		go func() { done <- f() }()
		b.queued(before + 1)
		results = append(results, done)
	}
	update := func(ifMatch iothub.ETag, id, body string) func() error {
		return func() error {
			_, err := b.updateTwin(context.Background(), owner, dev(id), parsePatch(b, body), ifMatch)
			return err
		}
	}
	create := func() error {
		_, err := b.createDevice(context.Background(), owner, iothub.Device{DeviceID: "new"})
		return err
	}
	remove := func() error { return b.deleteDevice(context.Background(), owner, "new", iothub.Any) }
	queue(update(first, "d", `{"tags":{"n":1}}`))
	queue(update(first, "d", `{"tags":{"n":2}}`)) // stale by now
	queue(create)
	queue(create) // there already
	queue(update("", "new", `{"tags":{"n":3}}`))
	queue(remove)
	queue(update("", "new", `{"tags":{"n":4}}`)) // gone
	queue(create)
	queue(update("", "new", `{"tags":{"n":5}}`))
	queue(update("", "d", `{"tags":{"m":6}}`))
	release()
	want := []*iothub.Error{nil, iothub.ErrPreconditionFailed, nil, iothub.ErrDeviceAlreadyExists, nil, nil, iothub.ErrDeviceNotFound, nil, nil, nil}
	for i, done := range results {
		switch err := <-done; {
		case want[i] == nil && err != nil:
			t.Errorf("operation %d: %v", i, err)
		case want[i] != nil:
			wantCode(t, err, want[i])
		}
	}
	check := func() {
		t.Helper()
		if d, n := b.get("d"), b.get("new"); toJSON(t, d.Tags) != `{"m":6,"n":1}` || toJSON(t, n.Tags) != `{"n":5}` {
			t.Errorf("tags of d: %v, of new: %v", d.Tags, n.Tags)
		}
	}
	check()
	b.shut()
	b.open()
	check()
}

func TestAGivenUpWriteIsNotMade(t *testing.T) {
	b := newBench(t)
	b.create("d")
	release := b.hold()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.updateTwin(ctx, owner, dev("d"), parsePatch(b, `{"tags":{"a":1}}`), "")
		done <- err
	}()
	b.queued(1)
	cancel()
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if twin := b.get("d"); len(twin.Tags) != 0 {
		t.Errorf("a write that nobody waits for was made: %v", twin.Tags)
	}
}

// TestAFailedCommitAnswersNobodyWell lets a whole transaction fail on a full
// disk: no answer, event or notification may come of it.
func TestAFailedCommitAnswersNobodyWell(t *testing.T) {
	b := newBench(t)
	b.create("d", "e")
	s := b.connectTo("d")
	last := b.changes.Last()
	b.check(b.store.Close()) // no write can succeed any more
	_, err := b.updateTwin(t.Context(), owner, dev("d"), parsePatch(t, `{"properties":{"desired":{"a":1}}}`), "")
	if err == nil {
		t.Fatal("a write that was not stored was answered")
	}
	b.patchReported(dev("d"), s, "7", []byte(`{"a":1}`), nil)
	if got := s.next(t); got != "reported 7 0 error ServerError" {
		t.Error(got)
	}
	s.silent(t)
	if b.changes.Last() != last {
		t.Error("a change was announced that was not stored")
	}
	if twin := b.get("d"); twin.Version != 2 { // from memory: as last stored
		t.Errorf("version is %d", twin.Version)
	}
}

func TestAFullDiskIsToldWithoutThePath(t *testing.T) {
	err := notStored(&DataError{Kind: store.Full, Path: "/some/where/hub.db"})
	if e := iothub.AsError(err); !errors.Is(e, iothub.ErrServerError) || e.Message != "the hub did not store the change: its disk is full" {
		t.Errorf("%v", e)
	}
	if _, ok := errors.AsType[*DataError](err); !ok {
		t.Error("the cause is lost")
	}
}

// TestQueriesDoNotHoldUpTheWriter keeps every reading connection busy.
func TestQueriesDoNotHoldUpTheWriter(t *testing.T) {
	b := newBench(t)
	b.create("d")
	b.shut() // with an empty cache, a write has to read first
	b.open()
	const readers = 64
	busy, free := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			b.store.View(ctx, func(*store.View) error {
				select {
				case busy <- struct{}{}:
					<-free
				case <-ctx.Done():
				}
				return nil
			})
		})
	}
	for range max(4, runtime.GOMAXPROCS(0)) { // as many as the store has
		<-busy
	}
	s := newRecorder()
	b.check(b.connect(t.Context(), dev("d"), "", s))
	b.reportThrough(s, "d", `{"a":1}`)
	b.patch("d", `{"tags":{"a":1}}`)
	cancel()
	close(free)
	wg.Wait()
}

// TestAReaderThatNeverReadsHoldsNobodyUp writes far more changes than a
// subscriber can hold.
func TestAReaderThatNeverReadsHoldsNobodyUp(t *testing.T) {
	b := newBench(t)
	b.create("d")
	_, idle, _ := b.changes.Subscribe(0)
	defer idle.Close()
	s := b.connectTo("d")
	const writes = 2000
	for i := range writes {
		b.patchReported(dev("d"), s, fmt.Sprint(i), []byte(`{"a":1}`), nil)
	}
	for i := range writes {
		if got := s.next(t); got != fmt.Sprintf("reported %d %d", i, i+2) {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
}

func TestEventsComeInTheOrderOfVersions(t *testing.T) {
	b := newBench(t)
	b.create("d")
	s := b.connectTo("d")
	_, sub, _ := b.changes.Subscribe(b.changes.Last())
	defer sub.Close()
	var wg sync.WaitGroup
	const writers, each = 8, 25
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				b.patch("d", fmt.Sprintf(`{"properties":{"desired":{"w%d":%d}}}`, w, i))
			}
		})
	}
	wg.Wait()
	for i := range int64(writers * each) {
		if c := (<-sub.C()).Value; c.SectionVersion != i+2 || c.Version != i+3 {
			t.Fatalf("event %d is of version %d", i, c.SectionVersion)
		}
		if got := s.next(t); !strings.HasPrefix(got, fmt.Sprintf("desired %d {", i+2)) {
			t.Fatalf("notification %d is %s", i, got)
		}
	}
}

func TestAClosedRegistryAnswers(t *testing.T) {
	b := newBench(t)
	b.create("d")
	s := b.connectTo("d")
	b.close()
	if got := s.next(t); got != "end: the hub is stopping" {
		t.Error(got)
	}
	_, err := b.createDevice(t.Context(), owner, iothub.Device{DeviceID: "late"})
	wantCode(t, err, iothub.ErrServiceUnavailable)
	b.patchReported(dev("d"), s, "1", []byte(`{}`), nil) // comes back
	b.disconnect(dev("d"), s)
}
