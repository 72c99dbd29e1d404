// Package fleet keeps a compact picture of every twin of one hub in memory.
//
// IoT Hub's query language neither sorts nor finds a part of a text, gives
// pages of 100 and only so many of them a minute. So the list of devices, its
// search, filters, counts and order come from this picture, which is filled by
// paging and then kept by the hub's change feed, or by crawling again and again
// where a hub has none. It always says how complete and how old it is. Nothing
// in it is the truth, the hub is: no write is decided from it.
package fleet

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// Options are what a Fleet can be given; the zero value of each means its
// default.
type Options struct {
	Now func() time.Time
	Log *slog.Logger
	// Grace is how long a device may take to answer, iothub.DefaultGrace by
	// default.
	Grace time.Duration
	Crawl Crawl
}

// Crawl bounds what keeping the picture costs on a hub without a change feed.
// Azure throttles queries (20 a minute on a small hub) and counts them against
// the hub's daily messages.
type Crawl struct {
	QueriesPerMinute int           // 10 by default
	Every            time.Duration // from one crawl's start to the next, 60 s by default
	// Idle pauses the crawl when nobody has asked for the picture for so long,
	// 10 minutes by default.
	Idle time.Duration
}

// Status says how far the picture can be trusted.
type Status struct {
	Known int // twins in the picture
	Total int // devices of the hub, as far as known; at least Known
	// Complete says that the picture held every device at AsOf.
	Complete bool
	// AsOf is when everything in the picture was true: now, when Live.
	AsOf time.Time
	Live bool // the change feed keeps the picture
	// NoFeed says that the hub offers no change feed: what happens between two
	// reads cannot be seen.
	NoFeed bool
	// Filling says that the twins are being read, the first time or again.
	Filling bool
	// Err is why the hub cannot be read at the moment: a
	// *hubclient.ConnectionError, *hubclient.ThrottledError or *iothub.Error.
	Err error
	// RetryAt is when the hub is tried again, while Err says why it cannot be
	// read; zero while it is being tried.
	RetryAt time.Time
}

// Update tells that the picture changed. It is published after the change.
type Update struct {
	DeviceID string
	Removed  bool
	// Change is what the hub announced; its Kind is "" when the picture moved
	// for another reason: a read, a crawl, or a grace time that ended.
	Change iothub.Change
	// Reset means that the status or a good part of the picture changed, and
	// DeviceID is "": readers look at all of it again.
	Reset bool

	before, after *entry
}

// Before is the device as the picture held it before the update; false when it
// did not, or when the update changes nothing in the picture.
func (u Update) Before() (Device, bool) { return deviceOf(u.before) }

// After is the device as the picture holds it since the update; false when it is
// gone, or when the update changes nothing in the picture.
func (u Update) After() (Device, bool) { return deviceOf(u.after) }

func deviceOf(e *entry) (Device, bool) {
	if e == nil {
		return Device{}, false
	}
	return e.device(), true
}

// Activity is one event of the hub's change feed as the hub told it, modules,
// telemetry, methods and deliveries included; or, with Gap, that the hub could
// not tell what came before. At is when the picture heard of it.
type Activity struct {
	At     time.Time
	Change iothub.Change
	Gap    bool
}

// replay is how many updates can be replayed to a page that comes back.
const replay = 4096

// kept is how many activities can be looked up later, within keptBytes of memory
// by estimate.
const (
	kept      = 8192
	keptBytes = 64 << 20
)

// Fleet is the picture of one hub. It may be used by any number of goroutines.
type Fleet struct {
	client *hubclient.Client
	now    func() time.Time
	log    *slog.Logger
	grace  time.Duration
	budget Crawl

	picture  *picture
	updates  *feed.Feed[Update]
	activity *feed.Feed[Activity]
	rereads  *rereads
	clock    *clock
	interest interest

	mu     sync.Mutex
	status Status        // without what Status works out
	total  int           // devices of the hub as it says, 0 unknown
	open   bool          // the change feed is open
	grown  time.Time     // when readers were last told of the first fill's progress
	nudge  chan struct{} // closed by TryNow

	stop context.CancelFunc
	done sync.WaitGroup
}

// New makes a fleet of the hub that a client reaches. It is empty until Start.
func New(client *hubclient.Client, o Options) *Fleet {
	f := &Fleet{client: client, now: o.Now, log: o.Log, grace: o.Grace, budget: o.Crawl.withDefaults()}
	if f.now == nil {
		f.now = time.Now
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.grace == 0 {
		f.grace = iothub.DefaultGrace
	}
	f.picture = newPicture()
	f.updates = feed.New[Update](replay)
	f.activity = feed.NewBounded(kept, keptBytes, func(a Activity) int { return a.Change.Weight() })
	f.rereads = newRereads()
	f.clock = newClock(f.now)
	f.interest = interest{asked: make(chan struct{}, 1)}
	f.nudge = make(chan struct{})
	return f
}

func (c Crawl) withDefaults() Crawl {
	if c.QueriesPerMinute == 0 {
		c.QueriesPerMinute = 10
	}
	if c.Every == 0 {
		c.Every = time.Minute
	}
	if c.Idle == 0 {
		c.Idle = 10 * time.Minute
	}
	return c
}

// Start begins to fill and keep the picture, until ctx ends or Close. It does
// not wait for the hub: Status tells whether it answers.
func (f *Fleet) Start(ctx context.Context) {
	// What runs in the background would drown what a person did in the wire
	// trace, and waits for a throttled hub in its own way.
	ctx = hubclient.WithPatience(hubclient.Untraced(ctx), hubclient.Patience{})
	ctx, f.stop = context.WithCancel(ctx)
	f.done.Go(func() { f.run(ctx) })
	f.done.Go(func() { f.clock.run(ctx, f.reconsider) })
	for range rereadWorkers {
		f.done.Go(func() { f.reread(ctx) })
	}
	context.AfterFunc(ctx, f.rereads.close)
}

// Close ends the background work and waits for it as long as ctx allows. It may
// be called twice; the picture stays readable.
func (f *Fleet) Close(ctx context.Context) error {
	if f.stop == nil {
		return nil
	}
	f.stop()
	ended := make(chan struct{})
	go func() {
		f.done.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run follows the change feed for as long as it lasts, and crawls where there
// is none.
func (f *Fleet) run(ctx context.Context) {
	var b backoff
	live := newFollower(f)
	defer live.stop()
	for ctx.Err() == nil {
		err := live.follow(ctx, b.reset)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, hubclient.ErrNoChangeFeed):
			f.change(func(s *Status) { s.NoFeed = true })
			live.stop() // the crawl reads all that it would have read
			f.crawl(ctx)
			return
		case err != nil:
			f.lost(err)
		}
		f.wait(ctx, b.pause(err))
	}
}

// Changes are the updates of the picture, for pages that stay open.
func (f *Fleet) Changes() *feed.Feed[Update] {
	f.interest.touch(f.now())
	return f.updates
}

// Activity is all that the hub's change feed tells; nothing on a hub without
// one.
func (f *Fleet) Activity() *feed.Feed[Activity] { return f.activity }

// Status says how complete and how old the picture is.
func (f *Fleet) Status() Status {
	f.interest.touch(f.now())
	return f.Peek()
}

// Peek is Status for those who follow in the background: it does not count as
// somebody looking, which keeps a crawl going.
func (f *Fleet) Peek() Status {
	now := f.now()
	known := f.picture.len()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	s.Known = known
	s.Total = max(known, f.total)
	if s.Complete && !s.Filling {
		s.Total = known
	}
	if s.Live {
		s.AsOf = now
	}
	return s
}

// Get returns a device of the picture; false when it is not in it.
func (f *Fleet) Get(id string) (Device, bool) {
	f.interest.touch(f.now())
	e := f.picture.get(id)
	if e == nil {
		return Device{}, false
	}
	return e.device(), true
}

// reconsider judges a device again because a grace time has ended.
func (f *Fleet) reconsider(a alarm) {
	old := f.picture.get(a.id)
	if old == nil || old.due != a.at {
		return
	}
	t, err := decode(old.raw)
	if err != nil {
		return
	}
	e := newEntry(t, old.raw, time.Unix(0, old.readAt), f.now(), f.grace)
	e.activity.Store(old.activity.Load())
	if !f.picture.swap(old, e) {
		return // whoever replaced it judged it too
	}
	f.watch(e)
	if !e.looksLike(old) {
		f.updates.Publish(Update{DeviceID: e.id, before: old, after: e})
	}
}

// watch has an entry judged again when its grace time ends.
func (f *Fleet) watch(e *entry) {
	if e.due != 0 {
		f.clock.add(alarm{at: e.due, id: e.id})
	}
}

// lost notes why the hub cannot be read.
func (f *Fleet) lost(err error) {
	f.log.Warn("hub cannot be read", "host", f.client.Host(), "error", err)
	f.change(func(s *Status) { s.Err = err })
}

// reached notes that the hub answers.
func (f *Fleet) reached() { f.change(func(s *Status) { s.Err, s.RetryAt = nil, time.Time{} }) }

// wait pauses after a failure, until TryNow at the longest.
func (f *Fleet) wait(ctx context.Context, pause time.Duration) {
	f.mu.Lock()
	f.status.RetryAt = f.now().Add(pause)
	nudge := f.nudge
	f.mu.Unlock()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-nudge:
	case <-ctx.Done():
	}
	f.mu.Lock()
	f.status.RetryAt = time.Time{}
	f.mu.Unlock()
}

// TryNow tries a hub that could not be read at once, instead of waiting.
func (f *Fleet) TryNow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.nudge)
	f.nudge = make(chan struct{})
}

// setOpen notes whether the change feed is open.
func (f *Fleet) setOpen(open bool) {
	f.change(func(s *Status) {
		f.open = open
		if open {
			s.Err = nil
		}
	})
}

// change changes the status and tells readers when what they see is different.
func (f *Fleet) change(do func(*Status)) {
	f.mu.Lock()
	before := f.status
	do(&f.status)
	s := &f.status
	s.Live = f.open && s.Complete && !s.Filling
	if before.Live && !s.Live {
		s.AsOf = f.now()
	}
	sameErr := (before.Err == nil) == (s.Err == nil)
	same := sameErr && before.Live == s.Live && before.Complete == s.Complete && before.Filling == s.Filling && before.NoFeed == s.NoFeed
	f.mu.Unlock()
	if !same {
		f.updates.Publish(Update{Reset: true})
	}
}
