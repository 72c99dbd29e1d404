package localhub

import (
	"errors"
	"slices"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// The states of a job. Each step is one operation of the writer, so that a cancel
// and a start that meet have an order:
//
//	            ┌───────────────┐ its start comes
//	scheduled ──┤               ├─► queued ──► running ──► completed
//	    │       └───────────────┘     │           │
//	    └────── cancelled ◄───────────┘           └─► failed
//
// It fails when its condition is no query, from any state when its time is over.

// job returns a job as the operations before left it; store.ErrNotFound when
// there is none.
func (b *batch) job(id string) (*store.Job, error) {
	if i := b.indexOfJob(id); i >= 0 {
		return b.jobs.Jobs[i], nil
	}
	return b.r.store.JobForWrite(id)
}

func (b *batch) indexOfJob(id string) int {
	return slices.IndexFunc(b.jobs.Jobs, func(j *store.Job) bool { return j.JobID == id })
}

// putJob stores a job that is new or has changed.
func (b *batch) putJob(j *store.Job) {
	if i := b.indexOfJob(j.JobID); i >= 0 {
		b.jobs.Jobs[i] = j
		return
	}
	b.jobs.Jobs = append(b.jobs.Jobs, j)
}

// activeJobs counts the jobs that have not ended.
func (b *batch) activeJobs() (int, error) {
	stored, err := b.r.store.ActiveJobsForWrite()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, j := range stored {
		if b.indexOfJob(j.JobID) < 0 {
			n++
		}
	}
	for _, j := range b.jobs.Jobs {
		if j.Active() {
			n++
		}
	}
	return n, nil
}

// scheduleJob adds a job. most is how many may be active, 0 any number.
func (b *batch) scheduleJob(wanted store.Job, most int) (*store.Job, error) {
	switch _, err := b.job(wanted.JobID); {
	case err == nil:
		return nil, iothub.ErrJobAlreadyExists.With("there is a job %s already; ids are free again %.0f days after the job has ended",
			wanted.JobID, iothub.JobHistory.Hours()/24)
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	if most > 0 {
		n, err := b.activeJobs()
		if err != nil {
			return nil, err
		}
		if n >= most {
			return nil, iothub.ErrTooManyJobs.With("%d of %d jobs are active, those still to start included", n, most)
		}
	}
	wanted.Created = b.at
	if wanted.Start.IsZero() {
		wanted.Start = b.at
	}
	// That a job which need not wait is queued at first is a choice.
	wanted.Status = iothub.JobQueued
	if wanted.Start.After(b.at) {
		wanted.Status = iothub.JobScheduled
	}
	b.putJob(&wanted)
	return &wanted, nil
}

// cancelJob ends a job that has not begun. The service may take a moment for it;
// that a queued job, too, can be cancelled is a choice.
func (b *batch) cancelJob(id string) error {
	j, err := b.job(id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return iothub.ErrJobNotFound.With("there is no job %s", id)
	case err != nil:
		return err
	case j.Status != iothub.JobScheduled && j.Status != iothub.JobQueued:
		return iothub.ErrNotInCurrentState.With("the job %s is %s; only one that has not begun can be cancelled", id, j.Status)
	}
	b.endJob(j, iothub.JobCancelled, "")
	return nil
}

func (b *batch) setJobStatus(j *store.Job, status iothub.JobStatus) {
	next := *j
	next.Status = status
	b.putJob(&next)
}

func (b *batch) endJob(j *store.Job, status iothub.JobStatus, failure string) {
	next := *j
	next.Status, next.Failure, next.Ended = status, failure, b.at
	b.putJob(&next)
}

// beginJob makes a job run. The devices that it was calling when the hub stopped
// are to be called again: nobody knows what became of those calls.
func (b *batch) beginJob(j *store.Job) {
	if j.Status == iothub.JobRunning {
		b.jobs.Rest = append(b.jobs.Rest, store.JobRest{Job: j.Key, Status: iothub.JobPending, At: b.at})
	}
	b.setJobStatus(j, iothub.JobRunning)
}

// expireJob ends a job whose time is over. What the service does then with the
// devices that are left is known by one published row, whose code and meaning
// this has; that the job as a whole counts as failed is a choice.
func (b *batch) expireJob(j *store.Job) {
	problem := problemOf(iothub.ErrJobRunPrecondition.With("the time of the job was over before it was done with this device, which may not have come online"))
	b.jobs.Rest = append(b.jobs.Rest, store.JobRest{Job: j.Key, Status: iothub.JobFailed, At: b.at, Error: problem})
	b.endJob(j, iothub.JobFailed, "the job was not done "+j.Limit.String()+" after its start, when its time was over")
}

// chooseDevices notes a page of the devices or modules that a job is for; place
// is where the next page begins, "" after the last.
func (b *batch) chooseDevices(j *store.Job, keys []twinKey, place string) {
	for _, key := range keys {
		b.jobs.Choose = append(b.jobs.Choose, &store.JobDevice{
			Job: j.Key, DeviceID: key.DeviceID, ModuleID: key.ModuleID, Status: iothub.JobPending, Updated: b.at,
		})
	}
	next := *j
	next.Place, next.Chosen = place, place == ""
	b.putJob(&next)
}

// putJobDevice stores what became of a device's part of a job.
func (b *batch) putJobDevice(d store.JobDevice, status iothub.JobStatus, outcome *iothub.MethodResult, problem *iothub.JobProblem) {
	d.Status, d.Updated, d.Outcome, d.Error = status, b.at, outcome, problem
	b.jobs.Devices = append(b.jobs.Devices, &d)
}

func problemOf(err error) *iothub.JobProblem {
	e := refusalOf(err)
	return &iothub.JobProblem{Code: e.Code, Description: e.Message}
}
