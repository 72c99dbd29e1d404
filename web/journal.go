package web

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// The journal's times and bounds, by our choice.
const (
	// journalEvery is how often what has gathered is written, in one transaction.
	journalEvery = 500 * time.Millisecond
	// settle is how long a device's state must hold to be written down. A
	// difference that heals by itself within that is no news.
	settle = 2 * time.Second
	// restless is after how long a state that keeps changing is written down.
	restless = 30 * time.Second
	// journalRoom bounds what waits to be written.
	journalRoom = 20_000
	// pruneAfter is after how many entries the oldest go.
	pruneAfter = 5_000
	// watchEvery is how often it is noted that the hub is being watched.
	watchEvery = 10 * time.Second
	// A pause of more than liveGap in following the feed, or of crawlGap in
	// reading a hub again and again, is a time nobody watched.
	liveGap, crawlGap = time.Minute, 15 * time.Minute
)

// journalLimits bound what is kept of one hub.
func journalLimits(now time.Time) store.JournalLimits {
	const days = 90
	return store.JournalLimits{Own: 20_000, Others: 100_000, Since: now.AddDate(0, 0, -days)}
}

// journal writes down what changes on one hub, whoever does it. It reads the
// picture's updates, and what the hub tells of modules, which the picture does
// not hold. It writes in batches, so that no request and no device ever waits
// for it.
type journal struct {
	hub   *Hub
	store *store.Store
	now   func() time.Time
	log   *slog.Logger
	// written tells open pages what is new, a batch at a time.
	written *feed.Feed[[]store.Entry]

	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	waiting []noted
	lost    bool // updates were missed since the last batch

	// Of the writing goroutine alone.
	unsettled map[string]unsettled // by device
	unpruned  int
	watchedAt time.Time // zero before the first time: what was before nobody watched
}

// noted is an update with what was known when it came.
type noted struct {
	fleet.Update
	at time.Time
}

// unsettled is a change of state that has not held long enough yet.
type unsettled struct {
	was, state iothub.State
	since, at  time.Time // of the first change and the latest
}

func (s *Server) newJournal(h *Hub) *journal {
	return &journal{
		hub: h, store: s.store, now: s.now, log: s.log.With("hub", h.Slug),
		written: feed.New[[]store.Entry](256), unsettled: map[string]unsettled{},
	}
}

// start begins to watch the hub.
func (j *journal) start(ctx context.Context) {
	ctx, j.stop = context.WithCancel(ctx)
	j.running.Go(follower(ctx, j, j.hub.Fleet.Changes(), j.note))
	j.running.Go(follower(ctx, j, j.hub.Fleet.Activity(), j.noteModule))
	j.running.Go(func() { j.keep(ctx) })
	j.running.Go(func() {
		if err := j.store.Warm(ctx, j.hub.Slug); err != nil && ctx.Err() == nil {
			j.log.Error("journal cannot be searched", "error", err)
		}
	})
}

// close writes what is left; it may be called twice, and without start.
func (j *journal) close() {
	if j.stop != nil {
		j.stop()
	}
	j.running.Wait()
}

// record writes down what the dashboard itself has changed, and returns the ids.
func (j *journal) record(ctx context.Context, entries ...store.Entry) ([]int64, error) {
	ids, err := j.store.Record(ctx, entries...)
	if err != nil {
		return nil, err
	}
	kept := make([]store.Entry, len(entries))
	for i, e := range entries {
		e.ID, e.Source = ids[i], store.FromDashboard
		kept[i] = e
	}
	j.written.Publish(kept)
	return ids, nil
}

// follower reads a feed from now on until ctx ends. Being too slow, it goes on
// where it was.
func follower[T any](ctx context.Context, j *journal, f *feed.Feed[T], note func(T)) func() {
	after := f.Last()
	return func() {
		for ctx.Err() == nil {
			missed, sub, complete := f.Subscribe(after)
			if !complete {
				j.missed("changes come faster than the journal can follow")
				after = f.Last()
			}
			for _, item := range missed {
				note(item.Value)
				after = item.ID
			}
			after = readFeed(ctx, sub, after, note)
			sub.Close()
		}
	}
}

// readFeed takes what arrives until ctx or the subscription ends.
func readFeed[T any](ctx context.Context, sub *feed.Subscription[T], after uint64, note func(T)) uint64 {
	for {
		select {
		case item, open := <-sub.C():
			if !open {
				return after
			}
			note(item.Value)
			after = item.ID
		case <-ctx.Done():
			return after
		}
	}
}

// note keeps an update until the next batch, if the journal may want it.
func (j *journal) note(u fleet.Update) {
	if _, changed := u.After(); !changed && !u.Removed && !isWrite(u.Change) {
		return
	}
	n := noted{Update: u, at: j.now()}
	j.mu.Lock()
	full := len(j.waiting) >= journalRoom
	if !full {
		j.waiting = append(j.waiting, n)
	}
	j.mu.Unlock()
	if full {
		j.missed("more changes than the journal can write")
	}
}

// noteModule is note for the modules. What a hub that starts afresh did before is
// found out for devices, by reading them again, but not for modules.
func (j *journal) noteModule(a fleet.Activity) {
	switch {
	case a.Gap: // as each feed begins
		j.mu.Lock()
		j.lost = true
		j.mu.Unlock()
	case a.Change.ModuleID == "":
	case isWrite(a.Change):
		j.note(fleet.Update{Change: a.Change})
	case a.Change.Kind == iothub.ChangeIdentity && a.Change.Operation == iothub.OperationDelete:
		j.note(fleet.Update{DeviceID: a.Change.DeviceID, Removed: true, Change: a.Change})
	}
}

func isWrite(c iothub.Change) bool {
	return c.Kind == iothub.ChangeTags || c.Kind == iothub.ChangeDesired
}

// missed notes that something will not be in the journal.
func (j *journal) missed(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.lost {
		j.log.Warn("journal has a gap", "reason", why)
	}
	j.lost = true
}

func (j *journal) take() (list []noted, lost bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	list, lost = j.waiting, j.lost
	j.waiting, j.lost = nil, false
	return list, lost
}

// keep writes a batch now and then until ctx ends, and then the rest.
func (j *journal) keep(ctx context.Context) {
	tick := time.NewTicker(journalEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			j.flush(ctx, settle)
		case <-ctx.Done():
			j.flush(context.WithoutCancel(ctx), 0)
			return
		}
	}
}

// flush writes what has gathered, and states that have held for so long.
func (j *journal) flush(ctx context.Context, held time.Duration) {
	list, lost := j.take()
	var entries []store.Entry
	for _, n := range list {
		entries = append(entries, j.writes(ctx, n)...)
		if n.Removed {
			entries = append(entries, j.deleted(ctx, n, entries)...)
		}
		j.unsettle(n)
	}
	entries = append(entries, j.settled(held)...)
	if len(entries) > 0 {
		fresh, err := j.store.Observe(ctx, entries...)
		if err != nil {
			j.log.Error("changes are not in the journal", "count", len(entries), "error", err)
			lost = true
		}
		if len(fresh) > 0 {
			j.written.Publish(fresh)
		}
	}
	if lost {
		j.watchedAt = time.Time{}
	}
	if err := j.tidy(ctx, len(entries), held == 0); err != nil {
		j.log.Error("journal is not tidied", "error", err)
	}
}

// tidy prunes the journal when it has grown, and notes now and then, or at the
// last, that the hub is watched.
func (j *journal) tidy(ctx context.Context, grown int, last bool) error {
	j.unpruned += grown
	if j.unpruned >= pruneAfter {
		j.unpruned = 0
		if err := j.store.Prune(ctx, j.hub.Slug, journalLimits(j.now())); err != nil {
			return err
		}
	}
	status, now := j.hub.Fleet.Peek(), j.now()
	if !status.Complete || status.Filling || status.Err != nil || !last && now.Sub(j.watchedAt) < watchEvery {
		return nil
	}
	gap := crawlGap
	switch {
	case j.watchedAt.IsZero():
		gap = 0
	case status.Live:
		gap = liveGap
	}
	j.watchedAt = now
	return j.store.Watch(ctx, j.hub.Slug, status.AsOf, gap)
}
