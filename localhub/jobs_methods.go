package localhub

import (
	"context"
	"errors"
	"sync"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// callsAtOnce is how many calls of one job are under way side by side, which is a
// choice.
const callsAtOnce = 32

// arrivalsPause lets devices that connect together be called together.
const arrivalsPause = 50 * time.Millisecond

// calling is a job that calls a method of its devices or modules. One that is not
// there stays pending until it comes or the job's time is over, as published rows
// of the service show; connectTimeoutInSeconds says nothing beyond that, which is
// a choice. A call whose answer the hub did not live to note is made again.
type calling struct {
	s    *scheduler
	job  *store.Job
	by   actor
	call methodCall

	slots chan struct{} // holds one for each call under way
	ended chan struct{} // holds one word: a call has ended
	again chan struct{} // holds one word: somebody came while it was called in vain
	calls sync.WaitGroup
}

func (s *scheduler) callMethods(ctx context.Context, j *store.Job, by actor, call methodCall) {
	call.connect = 0
	c := &calling{
		s: s, job: j, by: by, call: call,
		slots: make(chan struct{}, callsAtOnce), ended: make(chan struct{}, 1), again: make(chan struct{}, 1),
	}
	defer c.calls.Wait()
	arrived, forget := s.r.calls.arrival(anybody)
	defer forget()
	for c.round(ctx) {
		if c.complete(ctx) || !c.waitFor(ctx, arrived) {
			return
		}
	}
}

// waitFor waits until somebody has arrived. It returns false when the job has
// completed meanwhile, or ctx has ended.
func (c *calling) waitFor(ctx context.Context, arrived <-chan struct{}) bool {
	for {
		select {
		case <-arrived:
			return pause(ctx, arrivalsPause)
		case <-c.again:
			return true
		case <-c.ended:
			if c.complete(ctx) {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

// complete ends the job when nothing is left of it.
func (c *calling) complete(ctx context.Context) bool {
	if len(c.slots) > 0 {
		return false
	}
	left, ok := c.s.pending(ctx, c.job, 0)
	if !ok || len(left) > 0 {
		return false
	}
	c.s.complete(ctx, c.job)
	return true
}

// round calls once those of the pending devices that are there. It returns false
// when ctx has ended or the job has.
func (c *calling) round(ctx context.Context) bool {
	for after := int64(0); ; {
		list, ok := c.s.pending(ctx, c.job, after)
		if !ok || len(list) == 0 {
			return ok
		}
		after = list[len(list)-1].Key
		for there := c.there(list); len(there) > 0; {
			n := c.claim(ctx, there)
			if n == 0 {
				return false
			}
			there = there[n:]
		}
	}
}

// there picks the devices that have a connection. Those that were deleted are
// among them: calling one says so.
func (c *calling) there(list []*store.JobDevice) (out []*store.JobDevice) {
	for _, d := range list {
		if d.Gone || c.s.r.seen(partOf(d)).session != nil {
			out = append(out, d)
		}
	}
	return out
}

// claim begins to call as many devices as it may, at least one, and says how many;
// 0 when ctx has ended or the job has.
func (c *calling) claim(ctx context.Context, there []*store.JobDevice) int {
	n := c.take(ctx, len(there))
	next := c.s.admit(ctx, there[:n])
	for range n - len(next) {
		<-c.slots
	}
	noted := len(next) > 0 && c.s.transition(ctx, c.job, func(b *batch, _ *store.Job) {
		for _, d := range next {
			b.putJobDevice(*d, iothub.JobRunning, nil, nil)
		}
	})
	if !noted {
		return 0
	}
	for _, d := range next {
		c.calls.Go(func() { c.one(ctx, d) })
	}
	return len(next)
}

// take waits for one slot and takes what else is free, most at the most.
func (c *calling) take(ctx context.Context, most int) (n int) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n = 1; n < most; n++ {
		select {
		case c.slots <- struct{}{}:
		default:
			return n
		}
	}
	return n
}

// one calls a device and notes what became of it. When ctx ends meanwhile, the
// device is settled with the rest of the job or called again after a restart.
func (c *calling) one(ctx context.Context, d *store.JobDevice) {
	defer wake(c.ended)
	defer func() { <-c.slots }()
	key := partOf(d)
	came, forget := c.s.r.calls.arrival(key)
	defer forget()
	a, err := c.s.r.invoke(ctx, c.by, key, c.call)
	if ctx.Err() != nil {
		return
	}
	absent := errors.Is(err, iothub.ErrDeviceNotOnline)
	c.s.transition(ctx, c.job, func(b *batch, _ *store.Job) {
		switch {
		case absent:
			b.putJobDevice(*d, iothub.JobPending, nil, nil)
		case err != nil:
			b.putJobDevice(*d, iothub.JobFailed, nil, problemOf(err))
		default:
			result := a.result()
			b.putJobDevice(*d, iothub.JobCompleted, &result, nil)
		}
	})
	select {
	case <-came: // before it was pending again, so that no round saw it
		if absent {
			wake(c.again)
		}
	default:
	}
}
