package localhub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// scheduler starts the jobs whose time has come and ends those whose time is
// over. What it knows of them is in the store: after a crash it goes on as if it
// had looked away for a moment.
type scheduler struct {
	r        *registry
	throttle *throttle
	most     int // how many jobs may be active, 0 any number

	woken  chan struct{} // holds one word: something has changed
	closed chan struct{}
	once   sync.Once
	loops  sync.WaitGroup
}

const (
	// jobsAtOnce is how many jobs run side by side; those beyond wait, which is a
	// choice: it is what the largest tier of the service takes at all.
	jobsAtOnce = 10
	// jobsLook is how long the scheduler relies on a time it worked out while
	// there are jobs: the clock may be set meanwhile. jobsIdle is how often it
	// looks for what is old when there are none.
	jobsLook = time.Second
	jobsIdle = time.Hour
	// jobsRetry is how long work waits that the store or a throttle holds up.
	jobsRetry = 100 * time.Millisecond
)

func newScheduler(r *registry, t *throttle, most int) *scheduler {
	return &scheduler{r: r, throttle: t, most: most, woken: make(chan struct{}, 1), closed: make(chan struct{})}
}

// start lets the jobs run until close.
func (s *scheduler) start() { s.loops.Go(s.run) }

// close interrupts the jobs at work and waits for them. It may be called twice,
// and before start.
func (s *scheduler) close() {
	s.once.Do(func() { close(s.closed) })
	s.loops.Wait()
}

// schedule adds a job that was checked.
func (s *scheduler) schedule(ctx context.Context, wanted store.Job) (iothub.JobResponse, error) {
	if wanted.Start.After(s.r.now().Add(iothub.MaxJobDelay)) {
		return iothub.JobResponse{}, iothub.ErrArgumentInvalid.With("startTime is more than %.0f hours ahead", iothub.MaxJobDelay.Hours())
	}
	var job *store.Job
	err := s.r.do(ctx, func(b *batch) (err error) {
		job, err = b.scheduleJob(wanted, s.most)
		return err
	})
	if err != nil {
		return iothub.JobResponse{}, err
	}
	wake(s.woken)
	return showJob(&store.CountedJob{Job: *job}), nil
}

// job returns a job. For one that is not known the service has an answer, too
// (measured); that it holds the id is a choice.
func (s *scheduler) job(ctx context.Context, id string) (iothub.JobResponse, error) {
	j, err := s.r.store.JobByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return iothub.JobResponse{JobID: id, Type: iothub.JobTypeUnknown, Status: iothub.JobUnknown}, nil
	}
	if err != nil {
		return iothub.JobResponse{}, err
	}
	return showJob(j), nil
}

// cancel ends a job that has not begun and returns it.
func (s *scheduler) cancel(ctx context.Context, id string) (iothub.JobResponse, error) {
	if err := s.r.do(ctx, func(b *batch) error { return b.cancelJob(id) }); err != nil {
		return iothub.JobResponse{}, err
	}
	wake(s.woken)
	return s.job(ctx, id)
}

// list answers one page of jobs, the oldest first, which is a choice. "" as type
// or status means any. The continuation works as that of registry.query does.
func (s *scheduler) list(ctx context.Context, jobType iothub.JobType, status iothub.JobStatus, continuation string, pageSize int) (page, error) {
	switch {
	case jobType != "" && !slices.Contains(iothub.JobTypes, jobType):
		return page{}, iothub.ErrArgumentInvalid.With("jobType %q is not known", jobType)
	case status != "" && !slices.Contains(iothub.JobStatuses, status):
		return page{}, iothub.ErrArgumentInvalid.With("jobStatus %q is not known", status)
	}
	text := fmt.Sprintf("jobs of type %q and status %q", jobType, status)
	at, err := parsePlace(text, continuation)
	if err != nil {
		return page{}, err
	}
	jobs, err := s.r.store.Jobs(ctx, at.after, jobType, status, pageSize+1)
	if err != nil {
		return page{}, err
	}
	p := page{Type: iothub.ItemJobResponse, Rows: []json.RawMessage{}}
	if len(jobs) > pageSize {
		jobs = jobs[:pageSize]
		p.Continuation = place{after: jobs[pageSize-1].Key}.token(text)
	}
	for _, j := range jobs {
		if err := p.add(showJob(j)); err != nil {
			return page{}, err
		}
	}
	return p, nil
}

func showJob(j *store.CountedJob) iothub.JobResponse {
	r := iothub.JobResponse{
		JobID: j.JobID, QueryCondition: j.Condition, CreatedTime: &iothub.Time{Time: j.Created}, StartTime: &iothub.Time{Time: j.Start},
		Seconds: int64(j.Limit / time.Second), Type: j.Type, Status: j.Status, FailureReason: j.Failure, Statistics: &j.JobStatistics,
	}
	if !j.Active() {
		r.EndTime = &iothub.Time{Time: j.Ended}
	}
	if j.Type == iothub.JobDeviceMethod {
		r.Method = j.Work
	} else {
		r.UpdateTwin = j.Work
	}
	return r
}

// work is a job that is being done.
type work struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (w *work) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// run is the scheduler's goroutine.
func (s *scheduler) run() {
	ctx, cancel := context.WithCancelCause(context.Background())
	working := map[int64]*work{} // by Job.Key
	defer func() {
		cancel(errClosed)
		for _, w := range working {
			<-w.done
		}
	}()
	for {
		timer := time.NewTimer(s.step(ctx, working))
		select {
		case <-s.woken:
		case <-timer.C:
		case <-s.closed:
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// step does what is due, and says when to look again.
func (s *scheduler) step(ctx context.Context, working map[int64]*work) time.Duration {
	for key, w := range working {
		if w.over() {
			delete(working, key)
		}
	}
	if err := s.forget(ctx); err != nil {
		s.r.log.Error("old jobs were not removed", "error", err)
	}
	jobs, err := s.r.store.ActiveJobs(ctx)
	if err != nil {
		s.r.log.Error("jobs cannot be read", "error", err)
		return jobsLook
	}
	wait := jobsIdle
	for _, j := range jobs {
		wait = min(wait, jobsLook, s.attend(ctx, working, j))
	}
	return wait
}

// attend does what is due about one job, and says when something will be.
func (s *scheduler) attend(ctx context.Context, working map[int64]*work, j *store.Job) time.Duration {
	now, w := s.r.now(), working[j.Key]
	switch {
	case !now.Before(j.Deadline()):
		s.transition(ctx, j, (*batch).expireJob)
		if w != nil {
			w.cancel()
		}
	case w != nil:
	case now.Before(j.Start):
		return j.Start.Sub(now)
	case len(working) < jobsAtOnce:
		working[j.Key] = s.begin(ctx, j)
	case j.Status == iothub.JobScheduled:
		s.transition(ctx, j, func(b *batch, j *store.Job) { b.setJobStatus(j, iothub.JobQueued) })
	}
	return max(j.Deadline().Sub(now), jobsRetry)
}

// begin does a job in a goroutine of its own.
func (s *scheduler) begin(ctx context.Context, j *store.Job) *work {
	ctx, cancel := context.WithCancel(ctx)
	w := &work{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer wake(s.woken)
		defer close(w.done)
		defer cancel()
		s.work(ctx, j)
	}()
	return w
}

// forget removes the jobs whose history is over.
func (s *scheduler) forget(ctx context.Context) error {
	before := s.r.now().Add(-iothub.JobHistory)
	some, err := s.r.store.JobsEndedBefore(ctx, before)
	if err != nil || !some {
		return err
	}
	return s.r.do(ctx, func(b *batch) error {
		b.jobs.Forget = before
		return nil
	})
}

// transition changes a job that is still active, unless the hub is stopping.
func (s *scheduler) transition(ctx context.Context, j *store.Job, change func(*batch, *store.Job)) bool {
	return s.persist(ctx, j, func(b *batch, now *store.Job) error {
		change(b, now)
		return nil
	})
}

// errJobOver ends work on a job that has ended meanwhile.
var errJobOver = errors.New("the job has ended")

// persist applies an operation to a job as it stands. It returns false when the
// job has ended or the hub is stopping; a store that fails, perhaps because its
// disk is full, holds a job up and does not end it.
func (s *scheduler) persist(ctx context.Context, j *store.Job, apply func(*batch, *store.Job) error) bool {
	for {
		err := s.r.do(ctx, func(b *batch) error {
			now, err := b.job(j.JobID)
			if errors.Is(err, store.ErrNotFound) || err == nil && !now.Active() {
				return errJobOver
			}
			if err != nil {
				return err
			}
			return apply(b, now)
		})
		switch {
		case err == nil:
			return true
		case errors.Is(err, errJobOver), errors.Is(err, errClosed), ctx.Err() != nil:
			return false
		}
		s.heldUp(j, err)
		if !pause(ctx, jobsLook) {
			return false
		}
	}
}

func (s *scheduler) heldUp(j *store.Job, err error) {
	s.r.log.Error("a job is held up", "job_id", j.JobID, "error", err)
}

// pause waits; it returns false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
