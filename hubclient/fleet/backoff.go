package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"twinboard/hubclient"
)

const (
	firstWait = time.Second
	maxWait   = 15 * time.Second
)

// backoff waits longer after each failure, from one second to fifteen. The zero
// value is ready.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// pause is how long to wait after a failure: at least as long as a throttled hub
// asks for, and with jitter, so that dashboards do not come back together.
func (b *backoff) pause(err error) time.Duration {
	b.next = min(max(firstWait, b.next*2), maxWait)
	d := b.next*3/4 + rand.N(b.next/4+1)
	if throttled, ok := errors.AsType[*hubclient.ThrottledError](err); ok {
		d = max(d, throttled.RetryAfter)
	}
	return d
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// interest knows when the picture was last asked for.
type interest struct {
	last  atomic.Int64 // Unix nanoseconds
	asked chan struct{}
}

func (i *interest) touch(now time.Time) {
	i.last.Store(now.UnixNano())
	select {
	case i.asked <- struct{}{}:
	default:
	}
}

// wait returns once the picture has been asked for within idle.
func (i *interest) wait(ctx context.Context, now func() time.Time, idle time.Duration) {
	for ctx.Err() == nil && now().UnixNano()-i.last.Load() > int64(idle) {
		select {
		case <-i.asked:
		case <-ctx.Done():
		}
	}
}
