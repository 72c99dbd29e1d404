package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// mostBulks and mostBulkItems bound the bulk changes remembered, and their
// devices. The oldest that does not run makes room.
const mostBulks, mostBulkItems = 50, 250_000

// closePatience is how long a request under way may hold up the program's end.
const closePatience = 2 * time.Second

// bulks are the bulk changes of a dashboard.
type bulks struct {
	base    context.Context //nolint:containedctx // ends with close
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	list   []*bulk
}

func newBulks() *bulks {
	base, end := context.WithCancel(context.Background())
	return &bulks{base: base, end: end}
}

// add remembers a bulk change, and forgets old ones for it.
func (l *bulks) add(ctx context.Context, b *bulk) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, b)
	devices := 0
	for _, b := range l.list {
		devices += len(b.items)
	}
	var err error
	for n := 0; n < len(l.list)-1 && (len(l.list) > mostBulks || devices > mostBulkItems); {
		old := l.list[n]
		old.mu.Lock()
		runs := old.phase == phaseRunning
		old.mu.Unlock()
		if runs {
			n++
			continue
		}
		l.list = slices.Delete(l.list, n, n+1)
		devices -= len(old.items)
		err = errors.Join(err, old.keeper.store.DropBulk(ctx, old.id))
	}
	return err
}

// unfinished are a hub's bulk changes that run or have something left, oldest
// first.
func (l *bulks) unfinished(h *Hub) (list []*bulk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.list {
		b.mu.Lock()
		if b.hub == h && (b.phase == phaseRunning || b.unfinished() && b.counts().waiting > 0) {
			list = append(list, b)
		}
		b.mu.Unlock()
	}
	return list
}

func (l *bulks) find(h *Hub, id string) *bulk {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.list {
		if b.hub == h && b.id == id {
			return b
		}
	}
	return nil
}

// start runs a bulk change in the background, if its phase is one of those.
func (l *bulks) start(b *bulk, from ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if stopping, ok := b.begin(l.base, from...); ok {
		l.running.Go(func() { b.run(l.base, stopping) })
		b.changed.Publish(struct{}{})
	}
}

// close stops what runs after the request under way, and waits for it: not long
// for an answer, so that a hub that gives none does not hold up the end.
func (l *bulks) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	for _, b := range l.list {
		b.halt(errEnding)
	}
	l.mu.Unlock()
	done := make(chan struct{})
	go func() { l.running.Wait(); close(done) }()
	patience := time.AfterFunc(closePatience, l.end)
	defer patience.Stop()
	defer l.end()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bulk changes: %w", ctx.Err())
	}
}
