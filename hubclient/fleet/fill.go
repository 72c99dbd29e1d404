package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"twinboard/hubclient/iothub"
)

// everyTwin is the query that the picture is filled by.
const everyTwin = "SELECT * FROM devices"

// fillOptions say how a fill reads.
type fillOptions struct {
	// lagging rows may be older than what a read by id says, and what they leave
	// out may exist: so answers Azure's index, while the local hub's is current.
	lagging bool
	// pace waits until the next query may be sent; nil does not wait.
	pace func(context.Context)
}

// fill reads every twin, page by page, into the picture that is there: old
// twins are served until they are read anew. It returns when done or when ctx
// ends, and goes on by itself after failures.
func (f *Fleet) fill(ctx context.Context, o fillOptions) {
	for ctx.Err() == nil && !f.fillOnce(ctx, o) {
	}
}

// fillOnce reports false when the fill must start again.
func (f *Fleet) fillOnce(ctx context.Context, o fillOptions) bool {
	start := f.now()
	f.picture.begin(o.lagging)
	f.change(func(s *Status) {
		s.Filling = true
		if !s.Complete {
			s.AsOf = start
		}
	})
	f.count(ctx)
	var failures backoff
	for continuation := ""; ; {
		if o.pace != nil {
			o.pace(ctx)
		}
		page, err := f.client.QueryPage(ctx, everyTwin, continuation, iothub.MaxPageSize)
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			f.lost(err)
			f.wait(ctx, failures.pause(err))
			if continuation != "" && isBadRequest(err) {
				return false // the hub no longer knows this continuation
			}
			continue
		}
		failures.reset()
		f.reached()
		for _, row := range page.Rows {
			f.fillRow(row, start)
		}
		f.grow()
		if continuation = page.Continuation; continuation == "" {
			f.endFill(start, o)
			return true
		}
	}
}

func isBadRequest(err error) bool {
	var refused *iothub.Error
	return errors.As(err, &refused) && refused.Status == http.StatusBadRequest
}

// count asks how many devices there are, which not every policy may.
func (f *Fleet) count(ctx context.Context) {
	s, err := f.client.Statistics(ctx)
	if err != nil {
		f.log.Debug("number of devices is unknown", "error", err)
		return
	}
	f.mu.Lock()
	f.total = s.Total
	f.mu.Unlock()
}

func (f *Fleet) fillRow(row json.RawMessage, start time.Time) {
	t, err := decode(row)
	if err != nil {
		f.log.Warn("row of the hub is left out", "error", err)
		return
	}
	now := f.now()
	e := newEntry(t, row, now, now, f.grace)
	old, placed, doubt := f.picture.fill(e, start.UnixNano())
	if doubt {
		f.rereads.add(e.id)
	}
	if !placed {
		return
	}
	f.watch(e)
	if old == nil && !f.complete() {
		return // grow tells of the first fill
	}
	if old == nil || !e.looksLike(old) {
		f.updates.Publish(Update{DeviceID: e.id, before: old, after: e})
	}
}

func (f *Fleet) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status.Complete
}

// grow tells readers now and then that the first fill comes along.
func (f *Fleet) grow() {
	now := f.now()
	f.mu.Lock()
	tell := !f.status.Complete && now.Sub(f.grown) >= time.Second
	if tell {
		f.grown = now
	}
	f.mu.Unlock()
	if tell {
		f.updates.Publish(Update{Reset: true})
	}
}

// endFill settles what the pages could not: changes that overtook them and
// devices they did not mention.
func (f *Fleet) endFill(start time.Time, o fillOptions) {
	late, unseen := f.picture.end()
	for _, id := range late {
		f.rereads.add(id)
	}
	for _, id := range unseen {
		if o.lagging {
			f.rereads.add(id)
		} else if f.picture.remove(id) {
			f.updates.Publish(Update{DeviceID: id, Removed: true})
		}
	}
	f.change(func(s *Status) { s.Filling, s.Complete, s.AsOf = false, true, start })
	f.log.Debug("fleet is filled", "devices", f.picture.len(), "took", f.now().Sub(start))
}

// crawl keeps the picture of a hub without a change feed: fill after fill,
// within the budget, while somebody looks.
func (f *Fleet) crawl(ctx context.Context) {
	limit := &budget{now: f.now, sent: make([]time.Time, f.budget.QueriesPerMinute)}
	f.interest.touch(f.now())
	for ctx.Err() == nil {
		f.interest.wait(ctx, f.now, f.budget.Idle)
		start := f.now()
		f.fill(ctx, fillOptions{lagging: true, pace: limit.wait})
		sleep(ctx, f.budget.Every-f.now().Sub(start))
	}
}

// budget allows so many queries in any minute. It remembers when the latest
// were sent.
type budget struct {
	now  func() time.Time
	sent []time.Time // a ring
	next int
}

// wait returns when a query may be sent, and counts it.
func (b *budget) wait(ctx context.Context) {
	if free := b.sent[b.next].Add(time.Minute); free.After(b.now()) {
		sleep(ctx, free.Sub(b.now()))
	}
	b.sent[b.next] = b.now()
	b.next = (b.next + 1) % len(b.sent)
}
