package localhub

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// jobBench is a registry with a scheduler and a clock that moves when told to.
type jobBench struct {
	*bench
	clock *stopped
	jobs  *scheduler
}

func newJobBench(t testing.TB) *jobBench {
	t.Helper()
	b := &jobBench{bench: &bench{TB: t, path: filepath.Join(t.TempDir(), "hub.db")}, clock: &stopped{at: jobsDay}}
	b.time = b.clock.now
	b.open()
	t.Cleanup(b.shut)
	return b
}

var jobsDay = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// open makes a scheduler that does nothing before start.
func (b *jobBench) open() {
	b.Helper()
	b.bench.open()
	b.jobs = newScheduler(b.registry, nil, 0)
}

func (b *jobBench) shut() {
	b.Helper()
	b.jobs.close()
	b.bench.shut()
}

// restart is what a hub does that ends and comes back.
func (b *jobBench) restart() {
	b.Helper()
	b.shut()
	b.open()
	b.jobs.start()
}

// later moves the clock and lets the scheduler look at it.
func (b *jobBench) later(d time.Duration) {
	b.clock.move(d)
	wake(b.jobs.woken)
}

// schedule asks for a job as a service does, with the body of the request.
func (b *jobBench) schedule(id, body string) iothub.JobResponse {
	b.Helper()
	wanted, err := readJob([]byte(body), id)
	b.check(err)
	wanted.Policy = "service"
	j, err := b.jobs.schedule(b.Context(), wanted)
	b.check(err)
	return j
}

func (b *jobBench) show(id string) iothub.JobResponse {
	b.Helper()
	j, err := b.jobs.job(b.Context(), id)
	b.check(err)
	return j
}

// until waits until a job stands there, and returns it.
func (b *jobBench) until(id string, status iothub.JobStatus) iothub.JobResponse {
	b.Helper()
	waitFor(b, fmt.Sprintf("job %s to be %s", id, status), func() bool { return b.show(id).Status == status })
	return b.show(id)
}

// counts waits until the devices of a job are so many: failed, succeeded,
// running and pending.
func (b *jobBench) counts(id string, failed, succeeded, running, pending int) {
	b.Helper()
	want := iothub.JobStatistics{Devices: failed + succeeded + running + pending, Failed: failed, Succeeded: succeeded, Running: running, Pending: pending}
	waitFor(b, fmt.Sprintf("job %s to count %+v", id, want), func() bool { return *b.show(id).Statistics == want })
}

// deviceJobs returns the rows of devices.jobs that pass a condition.
func (b *jobBench) deviceJobs(where string) (out []iothub.DeviceJob) {
	b.Helper()
	for _, text := range b.rows("SELECT * FROM devices.jobs WHERE "+where, 3) {
		var d iothub.DeviceJob
		b.check(json.Unmarshal([]byte(text), &d))
		out = append(out, d)
	}
	return out
}

func (b *jobBench) site(n int) {
	b.Helper()
	for i := range n {
		id := fmt.Sprint("d", i)
		b.create(id)
		b.patch(id, `{"tags":{"site":"b1","old":1},"properties":{"desired":{"level":1,"gone":true}}}`)
	}
}

const siteUpdate = `{"type":"scheduleUpdateTwin","queryCondition":"tags.site = 'b1'",
	"updateTwin":{"etag":"*","tags":{"old":null,"site":"b2"},"properties":{"desired":{"level":2,"gone":null}}}}`

func TestAJobUpdatesTwins(t *testing.T) {
	b := newJobBench(t)
	b.site(150)
	b.create("other")
	s := b.connectTo("d7")
	b.jobs.start()
	if j := b.schedule("update", siteUpdate); j.Status != iothub.JobQueued || j.EndTime != nil || j.Statistics.Devices != 0 ||
		!j.StartTime.Equal(jobsDay) || j.Seconds != 3600 || len(j.UpdateTwin) == 0 || j.Method != nil {
		t.Errorf("answered %s", toJSON(t, j))
	}
	j := b.until("update", iothub.JobCompleted)
	if want := (iothub.JobStatistics{Devices: 150, Succeeded: 150}); *j.Statistics != want || j.EndTime == nil || j.FailureReason != "" {
		t.Errorf("ended as %s", toJSON(t, j))
	}
	for _, id := range []string{"d0", "d63", "d64", "d149"} {
		twin := b.get(id)
		if toJSON(t, twin.Tags) != `{"site":"b2"}` || toJSON(t, twin.Properties.Desired.Value) != `{"level":2}` || twin.Properties.Desired.Version != 3 {
			t.Errorf("%s holds %s", id, toJSON(t, twin))
		}
	}
	if got := s.next(t); got != `desired 3 {"gone":null,"level":2,"$version":3}` {
		t.Errorf("the device was told %s", got)
	}
	if b.get("other").Version != 2 {
		t.Error("a device was written that the condition excludes")
	}
	changes := b.changes.Recent(1000, func(c iothub.Change) bool { return c.Job == "update" })
	if c := changes[0].Value; len(changes) != 300 || c.Policy != "service" {
		t.Errorf("%d changes name the job, the last %+v", len(changes), c)
	}
}

// TestRowsOfJobs compares a whole row, and asks for rows by every field that
// published queries use.
func TestRowsOfJobs(t *testing.T) {
	b := newJobBench(t)
	b.site(4)
	b.jobs.start()
	b.schedule("first", siteUpdate)
	b.until("first", iothub.JobCompleted)
	b.later(time.Hour)
	b.schedule("second", strings.Replace(siteUpdate, "'b1'", "'b2' AND deviceId != 'd3'", 1))
	b.until("second", iothub.JobCompleted)
	rows := b.rows("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'first' AND devices.jobs.deviceId = 'd1'", 10)
	const at = `"2026-11-22T10:00:00.0000000Z"`
	if len(rows) != 1 {
		t.Fatalf("rows %s", rows)
	}
	sameJSON(t, rows[0], `{"deviceId":"d1","jobId":"first","jobType":"scheduleUpdateTwin","status":"completed","startTimeUtc":`+at+
		`,"endTimeUtc":"2026-11-22T11:00:00.0000000Z","createdDateTimeUtc":`+at+`,"lastUpdatedDateTimeUtc":`+at+`,"outcome":{"deviceMethodResponse":null}}`)
	for where, want := range map[string]string{
		"devices.jobs.deviceId = 'd1'":                              "d1 first, d1 second",
		"jobId = 'second'":                                          "d0 second, d1 second, d2 second",
		"jobId IN ['first','none'] AND deviceId IN ['d3','d0']":     "d0 first, d3 first",
		"devices.jobs.createdTimeUtc > '2026-11-22T10:30'":          "d0 second, d1 second, d2 second",
		"createdDateTimeUtc < '2026-11-22T10:30' AND jobId != 'x'":  "d0 first, d1 first, d2 first, d3 first",
		"jobType = 'scheduleDeviceMethod'":                          "",
		"devices.jobs.status = 'completed' AND deviceId = 'd3'":     "d3 first",
		"status = 'failed' OR NOT IS_DEFINED(outcome)":              "",
		"jobType = 'scheduleUpdateTwin' AND STARTSWITH(jobId, 'f')": "d0 first, d1 first, d2 first, d3 first",
	} {
		var got []string
		for _, d := range b.deviceJobs(where) {
			got = append(got, d.DeviceID+" "+d.JobID)
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %s, want %s", where, text, want)
		}
	}
	p, err := b.query(t.Context(), "SELECT TOP 3 * FROM devices.jobs", "", 2)
	if err != nil || p.Type != iothub.ItemDeviceJob || len(p.Rows) != 2 || p.Continuation == "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if p, err = b.query(t.Context(), "SELECT TOP 3 * FROM devices.jobs", p.Continuation, 2); err != nil || len(p.Rows) != 1 || p.Continuation != "" {
		t.Errorf("%+v, %v", p, err)
	}
}

// steps is a scheduler that acts when told to.
func (b *jobBench) steps() func() time.Duration {
	working := map[int64]*work{}
	b.Cleanup(func() {
		for _, w := range working {
			w.cancel()
			<-w.done
		}
	})
	return func() time.Duration { return b.jobs.step(b.Context(), working) }
}

func TestAJobStartsWhenItsTimeComes(t *testing.T) {
	b := newJobBench(t)
	b.site(1)
	step := b.steps()
	if got := step(); got != jobsIdle {
		t.Errorf("without jobs it looks again after %v", got)
	}
	j := b.schedule("later", strings.Replace(siteUpdate, "{", `{"startTime":"2026-11-22T12:00:00.250Z",`, 1))
	if j.Status != iothub.JobScheduled {
		t.Errorf("it is %s", j.Status)
	}
	if got := step(); got != jobsLook {
		t.Errorf("two hours before it looks again after %v", got)
	}
	b.clock.move(2 * time.Hour)
	if got := step(); got != 250*time.Millisecond || b.show("later").Status != iothub.JobScheduled {
		t.Errorf("before the start it is %s and looks again after %v", b.show("later").Status, got)
	}
	b.clock.move(250 * time.Millisecond)
	step()
	j = b.until("later", iothub.JobCompleted)
	if !j.CreatedTime.Equal(jobsDay) || !j.StartTime.Equal(b.clock.now()) || !j.EndTime.Equal(b.clock.now()) {
		t.Errorf("%s", toJSON(t, j))
	}
}

func TestBlanksAroundEveryDevice(t *testing.T) {
	b := newJobBench(t)
	b.site(2)
	b.jobs.start()
	b.schedule("all", strings.Replace(siteUpdate, "tags.site = 'b1'", ` *\n`, 1))
	if j := b.until("all", iothub.JobCompleted); j.Statistics.Succeeded != 2 || j.QueryCondition != " *\n" {
		t.Errorf("ended as %s", toJSON(t, j))
	}
}

func TestAConditionThatIsNoneFailsItsJob(t *testing.T) {
	b := newJobBench(t)
	b.site(1)
	b.jobs.start()
	for i, c := range []struct{ condition, reason string }{
		{"tags.site = ", "Expected a property, a value"},
		{"tags.site = 'b1' ORDER BY deviceId", "ORDER BY"},
		{"tags.site = 'b1' GROUP BY deviceId", "GROUP BY"},
		{"CONTAINS(tags.site, 'b')", "CONTAINS"},
		{"FROM devices.jobs WHERE jobId = 'bad-0'", "Rows of devices.jobs"},
		{"FROM devices.modules WHERE moduleId =", "Expected"},
		{"fromage = 1 AND", "Expected"},
		{"tags.site = '" + strings.Repeat("x", 8192) + "'", "8192"},
	} {
		id := fmt.Sprint("bad-", i)
		body := strings.Replace(siteUpdate, "tags.site = 'b1'", c.condition, 1)
		if j := b.schedule(id, body); j.QueryCondition != c.condition {
			t.Errorf("the condition became %q", j.QueryCondition)
		}
		if j := b.until(id, iothub.JobFailed); !strings.Contains(j.FailureReason, c.reason) || j.Statistics.Devices != 0 || j.EndTime == nil {
			t.Errorf("%.40s: %s", c.condition, toJSON(t, j))
		}
	}
	if b.get("d0").Properties.Desired.Version != 2 {
		t.Error("a job that failed wrote")
	}
	b.schedule("all", strings.Replace(siteUpdate, "tags.site = 'b1'", "*", 1))
	if j := b.until("all", iothub.JobCompleted); j.Statistics.Succeeded != 1 {
		t.Errorf("%s", toJSON(t, j))
	}
	b.schedule("named", strings.Replace(siteUpdate, "tags.site = 'b1'", "FROM devices WHERE deviceId = 'd0'", 1))
	if j := b.until("named", iothub.JobCompleted); j.Statistics.Succeeded != 1 {
		t.Errorf("%s", toJSON(t, j))
	}
	b.schedule("nobody", siteUpdate)
	if j := b.until("nobody", iothub.JobCompleted); j.Statistics.Devices != 0 {
		t.Errorf("%s", toJSON(t, j))
	}
}

// TestATwinThatTakesNoMoreFails fills one twin, so that the job breaks its limit.
func TestATwinThatTakesNoMoreFails(t *testing.T) {
	b := newJobBench(t)
	b.site(2)
	b.patch("d0", `{"tags":{"a":"`+strings.Repeat("x", 4095)+`","b":"`+strings.Repeat("x", 4000)+`"}}`)
	b.jobs.start()
	b.schedule("fill", `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*","tags":{"c":"`+strings.Repeat("x", 200)+`"}}}`)
	if j := b.until("fill", iothub.JobCompleted); j.Statistics.Failed != 1 || j.Statistics.Succeeded != 1 {
		t.Errorf("%s", toJSON(t, j))
	}
	rows := b.deviceJobs("jobId = 'fill' AND status = 'failed'")
	if len(rows) != 1 || rows[0].DeviceID != "d0" || rows[0].Error.Code != "ArgumentInvalid" || !strings.Contains(rows[0].Error.Description, "8192") {
		t.Errorf("%s", toJSON(t, rows))
	}
}

func TestCancel(t *testing.T) {
	b := newJobBench(t)
	b.create("d")
	tomorrow := strings.Replace(siteUpdate, "{", `{"startTime":"2026-11-23T12:00:00Z",`, 1)
	b.schedule("scheduled", tomorrow)
	b.schedule("queued", siteUpdate)
	for _, id := range []string{"scheduled", "queued"} {
		j, err := b.jobs.cancel(t.Context(), id)
		b.check(err)
		if j.Status != iothub.JobCancelled || !j.EndTime.Equal(jobsDay) {
			t.Errorf("%s", toJSON(t, j))
		}
	}
	b.jobs.start()
	b.schedule("running", methodJob)
	b.counts("running", 0, 0, 0, 1)
	for id, want := range map[string]*iothub.Error{
		"running": iothub.ErrNotInCurrentState, "queued": iothub.ErrNotInCurrentState, "none": iothub.ErrJobNotFound,
	} {
		_, err := b.jobs.cancel(t.Context(), id)
		wantCode(t, err, want)
	}
	b.later(48 * time.Hour)
	b.until("running", iothub.JobFailed)
	if got := b.show("scheduled").Status; got != iothub.JobCancelled {
		t.Errorf("a cancelled job became %s", got)
	}
	if j := b.show("none"); j.Status != iothub.JobUnknown || j.Type != iothub.JobTypeUnknown || j.JobID != "none" || j.Statistics != nil {
		t.Errorf("%s", toJSON(t, j))
	}
}

// TestActiveJobsAreLimited counts the jobs that a tier takes, those to come
// included.
func TestActiveJobsAreLimited(t *testing.T) {
	b := newJobBench(t)
	b.jobs.most = iothub.TierJobs("S1")
	wanted, err := readJob([]byte(strings.Replace(siteUpdate, "{", `{"startTime":"2026-11-23T12:00:00Z",`, 1)), "one")
	b.check(err)
	ask := func(id string) error {
		j := wanted
		j.JobID = id
		_, err := b.jobs.schedule(t.Context(), j)
		return err
	}
	b.check(ask("one"))
	wantCode(t, ask("two"), iothub.ErrTooManyJobs)
	wantCode(t, ask("one"), iothub.ErrJobAlreadyExists)
	_, err = b.jobs.cancel(t.Context(), "one")
	b.check(err)
	b.check(ask("two"))
	wantCode(t, ask("one"), iothub.ErrJobAlreadyExists)
	for tier, want := range map[string]int{"F1": 1, "S1": 1, "S2": 5, "S3": 10, "": 0} {
		if got := iothub.TierJobs(tier); got != want {
			t.Errorf("%s takes %d jobs", tier, got)
		}
	}
}

// TestTwoJobsOfOneTransaction makes the limit and the ids hold among jobs that
// are written together.
func TestTwoJobsOfOneTransaction(t *testing.T) {
	b := newJobBench(t)
	var got []error
	b.check(b.do(t.Context(), func(batch *batch) error {
		for _, id := range []string{"a", "a", "b", "c"} {
			_, err := batch.scheduleJob(store.Job{JobID: id, Type: iothub.JobUpdateTwin, Work: []byte("{}")}, 2)
			got = append(got, err)
		}
		return batch.cancelJob("a")
	}))
	b.check(got[0])
	wantCode(t, got[1], iothub.ErrJobAlreadyExists)
	b.check(got[2])
	wantCode(t, got[3], iothub.ErrTooManyJobs)
	if a, other := b.show("a").Status, b.show("b").Status; a != iothub.JobCancelled || other != iothub.JobQueued {
		t.Errorf("a is %s, b is %s", a, other)
	}
}

// TestJobsBeyondTheBoundWait runs more jobs than may run side by side.
func TestJobsBeyondTheBoundWait(t *testing.T) {
	b := newJobBench(t)
	b.create("d")
	soon := strings.Replace(methodJob, "{", `{"startTime":"2026-11-22T10:00:01Z",`, 1)
	for i := range jobsAtOnce + 2 {
		b.schedule(fmt.Sprint("job-", i), soon)
	}
	b.jobs.start()
	b.later(time.Second)
	for i := range jobsAtOnce {
		b.until(fmt.Sprint("job-", i), iothub.JobRunning)
	}
	b.until(fmt.Sprint("job-", jobsAtOnce), iothub.JobQueued)
	b.until(fmt.Sprint("job-", jobsAtOnce+1), iothub.JobQueued)
	h := newHandyman(true)
	b.check(b.connect(t.Context(), dev("d"), "", h))
	for range jobsAtOnce + 2 { // the last two come when others have ended
		b.calls.answered(dev("d"), <-h.rids, methodAnswer{200, nil})
	}
	for i := range jobsAtOnce + 2 {
		b.until(fmt.Sprint("job-", i), iothub.JobCompleted)
	}
}

func TestJobsAreForgottenAfterTheirHistory(t *testing.T) {
	b := newJobBench(t)
	b.site(2)
	b.jobs.start()
	b.schedule("old", siteUpdate)
	b.until("old", iothub.JobCompleted)
	b.later(iothub.JobHistory)
	b.schedule("new", siteUpdate)
	b.until("new", iothub.JobCompleted)
	if got := b.show("old").Status; got != iothub.JobCompleted {
		t.Errorf("on its last day it is %s", got)
	}
	b.later(time.Second)
	b.until("old", iothub.JobUnknown)
	if rows := b.deviceJobs("jobId = 'old'"); len(rows) != 0 {
		t.Errorf("left behind: %s", toJSON(t, rows))
	}
	b.schedule("old", siteUpdate) // its id is free again
}

func TestListsOfJobs(t *testing.T) {
	b := newJobBench(t)
	for i := range 7 {
		body := siteUpdate
		if i%2 == 1 {
			body = methodJob
		}
		b.schedule(fmt.Sprint("j", i), body)
	}
	_, err := b.jobs.cancel(t.Context(), "j2")
	b.check(err)
	list := func(jobType iothub.JobType, status iothub.JobStatus, size int) (ids []string) {
		for token := ""; ; {
			p, err := b.jobs.list(t.Context(), jobType, status, token, size)
			b.check(err)
			if p.Type != iothub.ItemJobResponse || len(p.Rows) > size {
				t.Errorf("a page of %d rows of type %s", len(p.Rows), p.Type)
			}
			for _, row := range p.Rows {
				var j iothub.JobResponse
				b.check(json.Unmarshal(row, &j))
				ids = append(ids, j.JobID)
			}
			if token = p.Continuation; token == "" {
				return ids
			}
		}
	}
	for _, size := range []int{1, 3, 7, 100} {
		for _, c := range []struct {
			jobType iothub.JobType
			status  iothub.JobStatus
			want    string
		}{
			{"", "", "j0 j1 j2 j3 j4 j5 j6"},
			{iothub.JobDeviceMethod, "", "j1 j3 j5"},
			{"", iothub.JobQueued, "j0 j1 j3 j4 j5 j6"},
			{iothub.JobUpdateTwin, iothub.JobCancelled, "j2"},
			{iothub.JobTypeUnknown, "", ""},
			{"", iothub.JobEnqueued, ""},
		} {
			if got := strings.Join(list(c.jobType, c.status, size), " "); got != c.want {
				t.Errorf("%s %s, pages of %d: %s", c.jobType, c.status, size, got)
			}
		}
	}
	p, err := b.jobs.list(t.Context(), "", "", "", 2)
	b.check(err)
	_, err = b.jobs.list(t.Context(), iothub.JobUpdateTwin, "", p.Continuation, 2)
	wantCode(t, err, iothub.ErrArgumentInvalid)
	_, err = b.jobs.list(t.Context(), "scheduleTwinUpdate", "", "", 2)
	wantCode(t, err, iothub.ErrArgumentInvalid)
	_, err = b.jobs.list(t.Context(), "", "Running", "", 2)
	wantCode(t, err, iothub.ErrArgumentInvalid)
}

func TestAClosedSchedulerLeavesNothingBehind(t *testing.T) {
	b := newJobBench(t)
	b.create("d")
	before := goleak.IgnoreCurrent()
	never := newScheduler(b.registry, nil, 0)
	never.close()
	s := newScheduler(b.registry, nil, 0)
	s.start()
	b.schedule("waits", methodJob)
	h := newHandyman(true)
	b.check(b.connect(t.Context(), dev("d"), "", h))
	wake(s.woken)
	<-h.rids // a call is under way
	s.close()
	s.close()
	goleak.VerifyNone(t, before)
	if d := cmp.Diff(iothub.JobStatistics{Devices: 1, Running: 1}, *b.show("waits").Statistics); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
