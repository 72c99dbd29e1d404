package fleet

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// clock wakes devices whose state changes by itself because a grace time ends.
type clock struct {
	now    func() time.Time
	mu     sync.Mutex
	alarms alarms
	set    chan struct{} // an earlier alarm than all others was set
}

// alarm is due at a time; it counts only if the entry still says the same.
type alarm struct {
	at int64 // Unix nanoseconds
	id string
}

func newClock(now func() time.Time) *clock { return &clock{now: now, set: make(chan struct{}, 1)} }

// add sets an alarm.
func (c *clock) add(a alarm) {
	c.mu.Lock()
	heap.Push(&c.alarms, a)
	first := c.alarms[0] == a
	c.mu.Unlock()
	if first {
		select {
		case c.set <- struct{}{}:
		default:
		}
	}
}

// run calls wake for each alarm when its time has come, and returns when ctx
// ends.
func (c *clock) run(ctx context.Context, wake func(alarm)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for {
			a, wait := c.next()
			timer.Reset(wait)
			if wait > 0 {
				break
			}
			wake(a)
		}
		select {
		case <-timer.C:
		case <-c.set:
		case <-ctx.Done():
			return
		}
	}
}

// next takes the first alarm if it is due, otherwise it says how long to wait.
func (c *clock) next() (alarm, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.alarms) == 0 {
		return alarm{}, time.Hour
	}
	if wait := time.Unix(0, c.alarms[0].at).Sub(c.now()); wait > 0 {
		return alarm{}, wait
	}
	return heap.Pop(&c.alarms).(alarm), 0
}

// alarms is a heap by time.
type alarms []alarm

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].at < a[j].at }
func (a alarms) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)        { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}
