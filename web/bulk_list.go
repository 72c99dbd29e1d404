package web

import (
	"context"
	"fmt"
	"sync"
)

// mostBulks bounds the bulk changes remembered. The oldest that does not run
// makes room.
const mostBulks = 50

// bulks are the bulk changes of a dashboard. They are forgotten when it ends.
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

func (l *bulks) add(b *bulk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, b)
	for n := 0; len(l.list) > mostBulks && n < len(l.list); {
		old := l.list[n]
		old.mu.Lock()
		runs := old.phase == phaseRunning
		old.mu.Unlock()
		if runs {
			n++
			continue
		}
		l.list = append(l.list[:n], l.list[n+1:]...)
	}
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

// close ends what runs and waits for it.
func (l *bulks) close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	done := make(chan struct{})
	go func() { l.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bulk changes: %w", ctx.Err())
	}
}
