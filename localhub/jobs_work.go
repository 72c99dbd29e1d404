package localhub

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
	"twinboard/localhub/store"
)

// jobChunk is how many devices or modules of a job are dealt with in one operation
// of the writer, for which all other writes wait.
const jobChunk = 64

// work does a job from where it is. It returns when the job has ended or ctx has.
func (s *scheduler) work(ctx context.Context, j *store.Job) {
	if !s.transition(ctx, j, (*batch).beginJob) || !s.choose(ctx, j) {
		return
	}
	by := actor{Policy: j.Policy, Job: j.JobID}
	if j.Type == iothub.JobDeviceMethod {
		call, err := parseMethodCall(j.Work)
		if err != nil {
			s.fail(ctx, j, err)
			return
		}
		s.callMethods(ctx, j, by, call)
		return
	}
	patch, err := iothub.ParseTwinPatch(j.Work)
	if err != nil {
		s.fail(ctx, j, err)
		return
	}
	s.updateTwins(ctx, j, by, patch)
}

func (s *scheduler) fail(ctx context.Context, j *store.Job, reason error) {
	s.transition(ctx, j, func(b *batch, now *store.Job) { b.endJob(now, iothub.JobFailed, refusalOf(reason).Message) })
}

func (s *scheduler) complete(ctx context.Context, j *store.Job) {
	// That a job is completed also when devices failed is a choice.
	s.transition(ctx, j, func(b *batch, now *store.Job) { b.endJob(now, iothub.JobCompleted, "") })
}

// choose notes which devices or modules the job is for, before anything is done
// to the first: what the job changes could change who it is for. They are those
// of when it begins, as of when its pages are read.
func (s *scheduler) choose(ctx context.Context, j *store.Job) bool {
	text, err := jobQuery(j.Condition)
	if err != nil {
		s.fail(ctx, j, err)
		return false
	}
	for chosen, from := j.Chosen, j.Place; !chosen; {
		keys, next, err := s.matching(ctx, text, from)
		if _, refused := errors.AsType[*iothub.Error](err); refused {
			s.fail(ctx, j, err)
			return false
		}
		if err != nil {
			s.heldUp(j, err)
			if !pause(ctx, jobsLook) {
				return false
			}
			continue
		}
		if !s.transition(ctx, j, func(b *batch, now *store.Job) { b.chooseDevices(now, keys, next) }) {
			return false
		}
		chosen, from = next == "", next
	}
	return true
}

// jobQuery is the query that finds a job's devices or modules. A condition that
// brings along a clause of its own is refused.
func jobQuery(condition string) (string, error) {
	text := "SELECT deviceId FROM devices WHERE " + condition
	switch {
	case strings.TrimSpace(condition) == allDevices:
		text = "SELECT deviceId FROM devices"
	case beginsWithFrom.MatchString(condition):
		text = "SELECT deviceId " + condition
	}
	q, err := query.Parse(text)
	if err != nil {
		return "", queryRefusal(err)
	}
	if q.Grouped() {
		return "", iothub.ErrArgumentInvalid.With("queryCondition is what follows WHERE; it cannot hold GROUP BY")
	}
	if q.Source == query.Modules {
		text = "SELECT deviceId, moduleId " + condition
	}
	return text, nil
}

// beginsWithFrom finds conditions that name their collection: the service runs
// jobs on modules so, with FROM devices.modules WHERE …. That such a condition
// may do without WHERE is a choice.
var beginsWithFrom = regexp.MustCompile(`(?i)^\s*FROM\s`)

// allDevices is the condition that every device meets. That blanks around it say
// nothing, as around any other condition, is a choice.
const allDevices = "*"

// matching reads one page of the devices or modules that a query finds; next is
// "" after the last.
func (s *scheduler) matching(ctx context.Context, text, from string) (keys []twinKey, next string, err error) {
	p, err := s.r.query(ctx, text, from, iothub.MaxPageSize)
	if err != nil {
		return nil, "", err
	}
	for _, row := range p.Rows {
		var key struct {
			DeviceID string `json:"deviceId"`
			ModuleID string `json:"moduleId"`
		}
		if err := json.Unmarshal(row, &key); err != nil {
			return nil, "", err
		}
		keys = append(keys, twinKey(key))
	}
	return keys, p.Continuation, nil
}

// pending reads devices or modules that are still to do, behind the row after;
// none when there are none. It returns false when ctx has ended.
func (s *scheduler) pending(ctx context.Context, j *store.Job, after int64) ([]*store.JobDevice, bool) {
	for {
		list, err := s.r.store.Pending(ctx, j.Key, after, jobChunk)
		if ctx.Err() != nil {
			return nil, false
		}
		if err == nil {
			return list, true
		}
		s.heldUp(j, err)
		if !pause(ctx, jobsLook) {
			return nil, false
		}
	}
}

// admit waits until the throttle lets some of the devices pass and returns those;
// none when ctx has ended.
func (s *scheduler) admit(ctx context.Context, devices []*store.JobDevice) []*store.JobDevice {
	for {
		if n := s.throttle.takeJobDevices(len(devices)); n > 0 {
			return devices[:n]
		}
		if !pause(ctx, jobsRetry) {
			return nil
		}
	}
}

// updateTwins writes the twins of the job's devices or modules. A twin and that it
// is done are written in one transaction: no crash can come between.
func (s *scheduler) updateTwins(ctx context.Context, j *store.Job, by actor, patch iothub.TwinPatch) {
	for {
		left, ok := s.pending(ctx, j, 0)
		if !ok {
			return
		}
		if len(left) == 0 {
			s.complete(ctx, j)
			return
		}
		next := s.admit(ctx, left)
		if len(next) == 0 || !s.persist(ctx, j, func(b *batch, _ *store.Job) error { return b.updateTwinsOf(next, by, patch) }) {
			return
		}
	}
}

// partOf names the device or module whose part of a job d is.
func partOf(d *store.JobDevice) twinKey { return twinKey{d.DeviceID, d.ModuleID} }

// updateTwinsOf writes twins and what became of each. When the store fails in the
// middle, the rest stays to do.
func (b *batch) updateTwinsOf(devices []*store.JobDevice, by actor, patch iothub.TwinPatch) error {
	for i, d := range devices {
		_, err := b.writeTwin(by, partOf(d), iothub.Any, iothub.OperationUpdate, merging(patch))
		if err == nil {
			b.putJobDevice(*d, iothub.JobCompleted, nil, nil)
			continue
		}
		if _, refused := errors.AsType[*iothub.Error](err); refused {
			b.putJobDevice(*d, iothub.JobFailed, nil, problemOf(err))
			continue
		}
		if i == 0 {
			return err
		}
		return nil
	}
	return nil
}
