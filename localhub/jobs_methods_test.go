package localhub

import (
	"fmt"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

const methodJob = `{"type":"scheduleDeviceMethod","queryCondition":"*","maxExecutionTimeInSeconds":600,
	"cloudToDeviceMethod":{"methodName":"reboot","payload":{"in":1},"responseTimeoutInSeconds":300}}`

func (b *jobBench) handy(id string) *handyman {
	b.Helper()
	h := newHandyman(true)
	b.check(b.connect(b.Context(), dev(id), "", h))
	return h
}

func (b *jobBench) answer(id, rid string, status int, payload string) {
	b.calls.answered(dev(id), rid, methodAnswer{status, []byte(payload)})
}

// TestAJobCallsMethods follows the counts through every moment.
func TestAJobCallsMethods(t *testing.T) {
	b := newJobBench(t)
	b.create("good", "refuses", "broken", "late", "deleted")
	good, refuses, broken := b.handy("good"), b.handy("refuses"), b.handy("broken")
	b.jobs.start()
	j := b.schedule("reboot", methodJob)
	if len(j.Method) == 0 || j.UpdateTwin != nil || j.Type != iothub.JobDeviceMethod {
		t.Errorf("answered %s", toJSON(t, j))
	}
	b.counts("reboot", 0, 0, 3, 2)
	b.answer("good", <-good.rids, 200, `{"done":1.50}`)
	b.counts("reboot", 0, 1, 2, 2)
	b.answer("refuses", <-refuses.rids, 404, ``)
	b.answer("broken", <-broken.rids, 200, `{`)
	b.counts("reboot", 1, 2, 0, 2)
	b.check(b.deleteDevice(t.Context(), owner, "deleted", iothub.Any))
	b.counts("reboot", 2, 2, 0, 1)
	late := b.handy("late")
	b.counts("reboot", 2, 2, 1, 0)
	b.later(time.Minute)
	b.answer("late", <-late.rids, 201, `"here"`)
	j = b.until("reboot", iothub.JobCompleted)
	if want := (iothub.JobStatistics{Devices: 5, Failed: 2, Succeeded: 3}); *j.Statistics != want {
		t.Errorf("%+v", j.Statistics)
	}
	got := ""
	for _, d := range b.deviceJobs("jobId = 'reboot'") {
		got += d.DeviceID + " " + string(d.Status)
		if d.Error != nil {
			got += " " + d.Error.Code
		}
		if d.Outcome.Method != nil {
			got += fmt.Sprintf(" %d %s", d.Outcome.Method.Status, d.Outcome.Method.Payload)
		}
		got += "\n"
	}
	if want := `good completed 200 {"done":1.50}
refuses completed 404 null
broken failed BadDeviceResponse
late completed 201 "here"
deleted failed DeviceNotFound
`; got != want {
		t.Errorf("rows are\n%s", got)
	}
	called := b.changes.Recent(100, func(c iothub.Change) bool { return c.Kind == iothub.ChangeMethod && c.Job == "reboot" })
	if len(called) != 4 || called[0].Value.Policy != "service" {
		t.Errorf("%d calls were announced", len(called))
	}
}

// TestAJobCallsWhoSubscribesLate connects a device that does not take methods at
// first.
func TestAJobCallsWhoSubscribesLate(t *testing.T) {
	b := newJobBench(t)
	b.create("d")
	h := newHandyman(false)
	b.check(b.connect(t.Context(), dev("d"), "", h))
	b.jobs.start()
	b.schedule("reboot", methodJob)
	tried := func() bool {
		return len(b.changes.Recent(1, func(c iothub.Change) bool { return c.Kind == iothub.ChangeMethod })) > 0
	}
	waitFor(t, "the call in vain", tried)
	b.counts("reboot", 0, 0, 0, 1)
	taking := b.handy("d")
	b.answer("d", <-taking.rids, 200, "1")
	b.until("reboot", iothub.JobCompleted)
}

// TestAJobCallsManyAtOnceButNotAll holds the bound of calls side by side.
func TestAJobCallsManyAtOnceButNotAll(t *testing.T) {
	b := newJobBench(t)
	const devices = callsAtOnce + 8
	type called struct{ id, rid string }
	calls := make(chan called, devices)
	for i := range devices {
		id := fmt.Sprint("d", i)
		b.create(id)
		h := b.handy(id)
		go func() { calls <- called{id, <-h.rids} }()
	}
	b.jobs.start()
	b.schedule("many", methodJob)
	b.counts("many", 0, 0, callsAtOnce, 8)
	c := <-calls
	b.answer(c.id, c.rid, 200, "")
	b.counts("many", 0, 1, callsAtOnce, 7)
	for range devices - 1 {
		c := <-calls
		b.answer(c.id, c.rid, 200, "")
	}
	b.until("many", iothub.JobCompleted)
}

// TestAJobEndsWhenItsTimeIsOver leaves one device absent and another without an
// answer.
func TestAJobEndsWhenItsTimeIsOver(t *testing.T) {
	b := newJobBench(t)
	b.create("good", "absent", "silent")
	good, silent := b.handy("good"), b.handy("silent")
	b.jobs.start()
	b.schedule("reboot", methodJob)
	b.answer("good", <-good.rids, 200, "")
	rid := <-silent.rids
	b.counts("reboot", 0, 1, 1, 1)
	b.later(10*time.Minute - time.Second)
	if got := b.show("reboot").Status; got != iothub.JobRunning {
		t.Errorf("before its end it is %s", got)
	}
	b.later(time.Second)
	j := b.until("reboot", iothub.JobFailed)
	if want := (iothub.JobStatistics{Devices: 3, Failed: 2, Succeeded: 1}); *j.Statistics != want || !j.EndTime.Equal(jobsDay.Add(10*time.Minute)) || j.FailureReason == "" {
		t.Errorf("%s", toJSON(t, j))
	}
	b.answer("silent", rid, 200, "") // too late
	for _, d := range b.deviceJobs("jobId = 'reboot' AND status = 'failed'") {
		if d.Error == nil || d.Error.Code != "JobRunPreconditionFailed" || !d.Updated.Equal(d.End.Time) {
			t.Errorf("%s", toJSON(t, d))
		}
	}
	waitFor(t, "the calls to end", func() bool {
		b.calls.mu.Lock()
		defer b.calls.mu.Unlock()
		return len(b.calls.open)+len(b.calls.waiting) == 0
	})
}

// TestAJobThatCannotBeginInTimeFails finds that its time was over while the hub
// was not there.
func TestAJobThatCannotBeginInTimeFails(t *testing.T) {
	b := newJobBench(t)
	b.site(1)
	b.schedule("missed", siteUpdate)
	b.clock.move(time.Hour)
	b.restart()
	if j := b.until("missed", iothub.JobFailed); j.Statistics.Devices != 0 {
		t.Errorf("%s", toJSON(t, j))
	}
	if b.get("d0").Properties.Desired.Version != 2 {
		t.Error("it wrote")
	}
}
