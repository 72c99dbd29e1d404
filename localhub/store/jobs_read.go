package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"twinboard/hubclient/iothub"
)

const jobColumns = `j.id, j.job_id, j.type, j.status, j.condition, j.work, j.policy, j.created, j.start, j.seconds,
	j.ended, j.failure, j.place, j.chosen`

func jobFields(j *Job) []any {
	return []any{
		&j.Key, &j.JobID, &j.Type, &j.Status, &j.Condition,
		jsonInto{&j.Work},
		&j.Policy,
		timeInto{&j.Created},
		timeInto{&j.Start},
		secondsInto{&j.Limit},
		timeInto{&j.Ended},
		&j.Failure, &j.Place, &j.Chosen,
	}
}

// secondsInto reads a number of seconds.
type secondsInto struct{ to *time.Duration }

// Scan implements sql.Scanner.
func (s secondsInto) Scan(v any) error {
	n, _ := v.(int64)
	*s.to = time.Duration(n) * time.Second
	return nil
}

// ActiveJobs returns the jobs that have not ended, by their start.
func (s *Store) ActiveJobs(ctx context.Context) ([]*Job, error) {
	return s.jobs(ctx, s.readers, `WHERE j.ended = '' ORDER BY j.start, j.id`)
}

// JobForWrite reads a job on the connection that commits; ErrNotFound when there
// is none. Like Commit it is for one goroutine at a time.
func (s *Store) JobForWrite(id string) (*Job, error) {
	list, err := s.jobs(context.Background(), s.writer, `WHERE j.job_id = ?`, id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// ActiveJobsForWrite reads like ActiveJobs on the connection that commits.
func (s *Store) ActiveJobsForWrite() ([]*Job, error) {
	return s.jobs(context.Background(), s.writer, `WHERE j.ended = ''`)
}

// querier is *sql.DB, *sql.Conn or *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

func (s *Store) jobs(ctx context.Context, q querier, where string, args ...any) ([]*Job, error) {
	return readRows(ctx, s, q, `SELECT `+jobColumns+` FROM jobs j `+where, args, jobFields)
}

// readRows reads all rows of a query, each into a T of its own.
func readRows[T any](ctx context.Context, s *Store, q querier, text string, args []any, fields func(*T) []any) ([]*T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, s.fail("read jobs", err)
	}
	defer rows.Close()
	var out []*T
	for rows.Next() {
		v := new(T)
		if err := rows.Scan(fields(v)...); err != nil {
			return nil, s.fail("read jobs", err)
		}
		out = append(out, v)
	}
	return out, s.fail("read jobs", rows.Err())
}

// JobsEndedBefore reports whether there are jobs that ended before.
func (s *Store) JobsEndedBefore(ctx context.Context, t time.Time) (some bool, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE ended <> '' AND ended < ?)`, formatTime(t)).Scan(&some)
	return some, s.fail("read jobs", err)
}

// CountedJob is a job and how far it is, read at one moment.
type CountedJob struct {
	Job
	iothub.JobStatistics
}

const countedColumns = jobColumns + `,
	(SELECT count(*) FROM job_devices d WHERE d.job = j.id AND d.status = 'failed'),
	(SELECT count(*) FROM job_devices d WHERE d.job = j.id AND d.status = 'completed'),
	(SELECT count(*) FROM job_devices d WHERE d.job = j.id AND d.status = 'running'),
	(SELECT count(*) FROM job_devices d WHERE d.job = j.id AND d.status = 'pending')`

func countedFields(j *CountedJob) []any {
	return append(jobFields(&j.Job), &j.Failed, &j.Succeeded, &j.Running, &j.Pending)
}

// JobByID reads a job; ErrNotFound when there is none.
func (s *Store) JobByID(ctx context.Context, id string) (*CountedJob, error) {
	list, err := s.countedJobs(ctx, `WHERE j.job_id = ?`, id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// Jobs returns at most limit jobs behind the row after, in the order in which
// they were asked for. "" as type or status means any.
func (s *Store) Jobs(ctx context.Context, after int64, jobType iothub.JobType, status iothub.JobStatus, limit int) ([]*CountedJob, error) {
	return s.countedJobs(ctx, `WHERE j.id > ?1 AND (?2 = '' OR j.type = ?2) AND (?3 = '' OR j.status = ?3)
		ORDER BY j.id LIMIT ?4`, after, jobType, status, limit)
}

func (s *Store) countedJobs(ctx context.Context, where string, args ...any) ([]*CountedJob, error) {
	list, err := readRows(ctx, s, s.readers, `SELECT `+countedColumns+` FROM jobs j `+where, args, countedFields)
	for _, j := range list {
		j.Devices = j.Failed + j.Succeeded + j.Running + j.Pending
	}
	return list, err
}

// Pending returns at most limit devices and modules of a job that are still to
// do, in their order behind the row after.
func (s *Store) Pending(ctx context.Context, job, after int64, limit int) ([]*JobDevice, error) {
	return readRows(ctx, s, s.readers, `SELECT d.id, d.job, d.device_id, d.module_id, d.status,
		NOT EXISTS (SELECT 1 FROM identities i WHERE i.device_id = d.device_id AND i.module_id = d.module_id)
		FROM job_devices d WHERE d.job = ? AND d.status = 'pending' AND d.id > ? ORDER BY d.id LIMIT ?`, []any{job, after, limit},
		func(d *JobDevice) []any { return []any{&d.Key, &d.Job, &d.DeviceID, &d.ModuleID, &d.Status, &d.Gone} })
}

// JobScan says which devices' and modules' parts of jobs to look at.
type JobScan struct {
	After         int64    // begin behind this row
	Jobs, Devices []string // only of these ids, modules with their devices; nil means all
	// Visit is called in the order of rows until it returns false.
	Visit func(key int64, d iothub.DeviceJob) bool
}

// ScanJobs looks at the parts of jobs.
func (v *View) ScanJobs(ctx context.Context, scan JobScan) error {
	text, args := scan.statement()
	rows, err := v.tx.QueryContext(ctx, text, args...)
	if err != nil {
		return v.store.fail("scan jobs", err)
	}
	defer rows.Close()
	for rows.Next() {
		key, d, err := scanDeviceJob(rows)
		if err != nil {
			return v.store.fail("scan jobs", err)
		}
		if !scan.Visit(key, d) {
			break
		}
	}
	return v.store.fail("scan jobs", rows.Err())
}

func (scan JobScan) statement() (text string, args []any) {
	text = `SELECT d.id, d.device_id, d.module_id, j.job_id, j.type, d.status, j.start, j.seconds, d.created, d.updated, d.outcome, d.error
		FROM job_devices d JOIN jobs j ON j.id = d.job WHERE d.id > ?`
	args = []any{scan.After}
	for _, only := range []struct {
		column string
		ids    []string
	}{{"j.job_id", scan.Jobs}, {"d.device_id", scan.Devices}} {
		switch {
		case only.ids == nil:
		case len(only.ids) == 1: // as a plain comparison the rows come in their order without sorting
			text += ` AND ` + only.column + ` = ?`
			args = append(args, only.ids[0])
		default:
			list, _ := json.Marshal(only.ids)
			text += ` AND ` + only.column + ` IN (SELECT value FROM json_each(?))`
			args = append(args, string(list))
		}
	}
	return text + ` ORDER BY d.id`, args
}

func scanDeviceJob(rows *sql.Rows) (key int64, d iothub.DeviceJob, err error) {
	var limit time.Duration
	var outcome, problem string
	if err := rows.Scan(&key, &d.DeviceID, &d.ModuleID, &d.JobID, &d.Type, &d.Status, timeInto{&d.Start}, secondsInto{&limit},
		timeInto{&d.Created}, timeInto{&d.Updated}, &outcome, &problem); err != nil {
		return 0, d, err
	}
	d.End.Time = d.Start.Add(limit)
	if outcome != "" {
		err = json.Unmarshal([]byte(outcome), &d.Outcome.Method)
	}
	if problem != "" {
		err = errors.Join(err, json.Unmarshal([]byte(problem), &d.Error))
	}
	return key, d, err
}
