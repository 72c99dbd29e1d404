package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"twinboard/hubclient/iothub"
)

const (
	// rereadWorkers bounds how many twins are read by id at once in the
	// background, refreshWorkers how many for one Refresh.
	rereadWorkers  = 4
	refreshWorkers = 8
	// rereadTries bounds how often a twin that keeps changing is read before
	// what was read is taken as it is; later changes repair it.
	rereadTries = 3
	// keptChanges bounds the changes that wait for one device to be read.
	keptChanges = 32
)

// rereads is the queue of devices to read by id. A device stands in it once,
// however often it is added.
type rereads struct {
	mu     sync.Mutex
	more   *sync.Cond
	closed bool
	queue  []string
	jobs   map[string]*job
	reads  map[string]*read
}

// job is a device in the queue or in the hands of a worker.
type job struct {
	running, again bool
	changes        []iothub.Change // to be published once it is read
}

// read counts what happens to a device while it is being read: an answer may be
// older than a change that came meanwhile.
type read struct {
	readers int
	events  int
}

func newRereads() *rereads {
	r := &rereads{jobs: map[string]*job{}, reads: map[string]*read{}}
	r.more = sync.NewCond(&r.mu)
	return r
}

// add has a device read, and the changes published after that.
func (r *rereads) add(id string, changes ...iothub.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.jobs[id]
	switch {
	case j == nil:
		j = &job{}
		r.jobs[id] = j
		r.queue = append(r.queue, id)
		r.more.Signal()
	case j.running:
		j.again = true
	}
	j.changes = append(j.changes, changes...)
	j.changes = j.changes[max(0, len(j.changes)-keptChanges):]
}

// take waits for the next device; false after close.
func (r *rereads) take() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 && !r.closed {
		r.more.Wait()
	}
	if r.closed {
		return "", false
	}
	id := r.queue[0]
	r.queue = r.queue[1:]
	r.jobs[id].running = true
	return id, true
}

// finish ends a job, or puts it back at the end of the queue when it failed or
// was added again. It returns the changes to publish.
func (r *rereads) finish(id string, failed bool) []iothub.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.jobs[id]
	changes := j.changes
	if failed || j.again {
		j.running, j.again = false, false
		r.queue = append(r.queue, id)
		r.more.Signal()
		if failed {
			return nil
		}
		j.changes = nil
		return changes
	}
	delete(r.jobs, id)
	return changes
}

func (r *rereads) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.more.Broadcast()
}

// touch notes that something happened to a device.
func (r *rereads) touch(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rd := r.reads[id]; rd != nil {
		rd.events++
	}
}

// begin starts to watch a device for a read; end must follow.
func (r *rereads) begin(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads[id] == nil {
		r.reads[id] = &read{}
	}
	r.reads[id].readers++
}

func (r *rereads) events(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads[id].events
}

func (r *rereads) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rd := r.reads[id]; rd.readers > 1 {
		rd.readers--
	} else {
		delete(r.reads, id)
	}
}

// reread is a worker of the queue.
func (f *Fleet) reread(ctx context.Context) {
	var failures backoff
	for {
		id, ok := f.rereads.take()
		if !ok {
			return
		}
		got, err := f.read(ctx, id)
		if ctx.Err() != nil {
			return
		}
		again := err != nil && !isFinal(err)
		changes := f.rereads.finish(id, again)
		switch {
		case again:
			f.lost(err)
			f.wait(ctx, failures.pause(err))
		case err != nil:
			f.log.Warn("twin cannot be read", "device_id", id, "error", err)
		default:
			failures.reset()
			f.reached()
			f.tell(id, got, changes)
		}
	}
}

// found is what a read did to the picture: the entry is nil when there is no
// such device; changed reports whether lists show something new.
type found struct {
	before, after *entry
	changed       bool
}

// tell publishes what a read brought to light, with the changes that led to it.
// What was before and after belongs to the read, so only the first has it.
func (f *Fleet) tell(id string, got found, changes []iothub.Change) {
	u := Update{DeviceID: id, Removed: f.picture.get(id) == nil, before: got.before, after: got.after}
	for _, c := range changes {
		u.Change = c
		f.updates.Publish(u)
		u.before, u.after = nil, nil
	}
	if got.changed && len(changes) == 0 {
		f.updates.Publish(u)
	}
}

// isFinal recognises refusals that asking again does not change.
func isFinal(err error) bool {
	var refused *iothub.Error
	return errors.As(err, &refused) && refused.Status < 500 &&
		refused.Status != http.StatusUnauthorized && refused.Status != http.StatusTooManyRequests
}

// read reads one twin by id into the picture.
func (f *Fleet) read(ctx context.Context, id string) (found, error) {
	f.rereads.begin(id)
	defer f.rereads.end(id)
	for try := 1; ; try++ {
		seen := f.rereads.events(id)
		// Asked under the picture's lock, which a change needs too: so no change
		// falls between the question and the answer.
		current := func() bool { return try == rereadTries || f.rereads.events(id) == seen }
		t, err := f.client.GetTwin(ctx, id)
		if errors.Is(err, iothub.ErrDeviceNotFound) {
			if removed, ok := f.picture.removeIf(id, current); ok {
				return found{changed: removed}, nil
			}
			continue
		}
		if err != nil {
			return found{}, err
		}
		raw, err := json.Marshal(t)
		if err != nil {
			return found{}, err
		}
		now := f.now()
		e := newEntry(t, raw, now, now, f.grace)
		if old, ok := f.picture.putIf(e, current); ok {
			f.watch(e)
			return found{before: old, after: e, changed: old == nil || !e.looksLike(old)}, nil
		}
	}
}

// Refresh reads devices by id, which is always current, and returns those that
// exist in the order asked for. A device that is gone leaves the picture. The
// error joins those of single devices; the other devices are returned with it.
func (f *Fleet) Refresh(ctx context.Context, ids ...string) ([]Device, error) {
	f.interest.touch(f.now())
	entries, errs := make([]*entry, len(ids)), make([]error, len(ids))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(refreshWorkers, len(ids)) {
		workers.Go(func() {
			for i := range next {
				var got found
				got, errs[i] = f.read(ctx, ids[i])
				if entries[i] = got.after; errs[i] == nil {
					f.tell(ids[i], got, nil)
				}
			}
		})
	}
	for i := range ids {
		next <- i
	}
	close(next)
	workers.Wait()
	var devices []Device
	for _, e := range entries {
		if e != nil {
			devices = append(devices, e.device())
		}
	}
	return devices, errors.Join(errs...)
}
