package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"twinboard/hubclient/iothub"
)

// Job is a scheduled job. One that was read or committed must not be changed.
type Job struct {
	Key       int64 // the row; 0 before the first commit
	JobID     string
	Type      iothub.JobType
	Status    iothub.JobStatus
	Condition string
	Work      json.RawMessage // what is done to each device, as it was asked for
	Policy    string          // who asked
	Created   time.Time
	Start     time.Time
	Limit     time.Duration // from Start, whole seconds
	Ended     time.Time     // zero while the job is active
	Failure   string
	Place     string // how far the choice of devices has come
	Chosen    bool   // the choice is complete
}

// Deadline is when the job ends at the latest.
func (j *Job) Deadline() time.Time { return j.Start.Add(j.Limit) }

// Active reports whether the job has not ended.
func (j *Job) Active() bool { return j.Ended.IsZero() }

// JobDevice is one device's part of a job, or one module's.
type JobDevice struct {
	Key                int64
	Job                int64 // Job.Key
	DeviceID, ModuleID string
	Status             iothub.JobStatus
	Updated            time.Time
	Gone               bool // read only: the device or module was deleted meanwhile
	Outcome            *iothub.MethodResult
	Error              *iothub.JobProblem
}

// JobRest settles in one go all devices and modules of a job that are pending or
// running.
type JobRest struct {
	Job    int64
	Status iothub.JobStatus
	At     time.Time
	Error  *iothub.JobProblem
}

// JobWrites is the part of a Batch that is about jobs, written in this order.
type JobWrites struct {
	Jobs    []*Job       // with Key 0 inserted, otherwise updated
	Choose  []*JobDevice // those a job gets; one that it has stays as it is
	Devices []*JobDevice // by Key
	Rest    []JobRest
	Forget  time.Time // jobs that ended before; zero forgets none
}

// Empty reports whether there is nothing to write.
func (w *JobWrites) Empty() bool {
	return len(w.Jobs)+len(w.Choose)+len(w.Devices)+len(w.Rest) == 0 && w.Forget.IsZero()
}

func (s *Store) writeJobs(w *JobWrites) error {
	for _, j := range w.Jobs {
		if err := s.writeJob(j); err != nil {
			return fmt.Errorf("job %s: %w", j.JobID, err)
		}
	}
	for _, d := range w.Choose {
		at := formatTime(d.Updated)
		if _, err := s.stmts.chooseDevice.Exec(d.Job, d.DeviceID, d.ModuleID, d.Status, at); err != nil {
			return fmt.Errorf("choose %s: %w", d.DeviceID, err)
		}
	}
	for _, d := range w.Devices {
		if err := s.writeJobDevice(d); err != nil {
			return fmt.Errorf("job of %s: %w", d.DeviceID, err)
		}
	}
	for _, r := range w.Rest {
		problem, err := jsonText(r.Error)
		if err != nil {
			return err
		}
		if _, err := s.exec(`UPDATE job_devices SET status = ?2, updated = ?3, error = ?4
			WHERE job = ?1 AND status IN ('pending', 'running') AND status <> ?2`, r.Job, r.Status, formatTime(r.At), problem); err != nil {
			return fmt.Errorf("rest of a job: %w", err)
		}
	}
	if w.Forget.IsZero() {
		return nil
	}
	_, err := s.exec(`DELETE FROM jobs WHERE ended <> '' AND ended < ?`, formatTime(w.Forget))
	return err
}

func (s *Store) writeJob(j *Job) error {
	if j.Key == 0 {
		if err := s.insertJob(j); err != nil {
			return err
		}
	}
	return one(s.exec(`UPDATE jobs SET status = ?2, ended = ?3, failure = ?4, place = ?5, chosen = ?6 WHERE id = ?1`,
		j.Key, j.Status, formatTime(j.Ended), j.Failure, j.Place, j.Chosen))
}

// insertJob writes what never changes; the rest follows at once.
func (s *Store) insertJob(j *Job) error {
	return s.writer.QueryRowContext(context.Background(), `INSERT INTO jobs
		(job_id, type, status, condition, work, policy, created, start, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		j.JobID, j.Type, j.Status, j.Condition, string(j.Work), j.Policy, formatTime(j.Created), formatTime(j.Start),
		int64(j.Limit/time.Second)).Scan(&j.Key)
}

func (s *Store) writeJobDevice(d *JobDevice) error {
	outcome, err := jsonText(d.Outcome)
	if err != nil {
		return err
	}
	problem, err := jsonText(d.Error)
	if err != nil {
		return err
	}
	return one(s.stmts.jobDevice.Exec(d.Key, d.Status, formatTime(d.Updated), outcome, problem))
}

// exec runs a statement within a commit, which is not given up halfway.
func (s *Store) exec(text string, args ...any) (sql.Result, error) {
	return s.writer.ExecContext(context.Background(), text, args...)
}

// jsonText is the text of an object, "" of nil.
func jsonText[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	b, err := iothub.EncodeJSON(v)
	return string(b), err
}
