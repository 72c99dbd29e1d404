package localhub

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// TestARestartInTheMiddleOfUpdates stops a job by a throttle that lets no more
// pass, and lets it go on without.
func TestARestartInTheMiddleOfUpdates(t *testing.T) {
	b := newJobBench(t)
	b.site(150)
	tight, err := newThrottle("S1", b.clock.now)
	b.check(err)
	b.jobs.throttle = tight
	b.jobs.start()
	b.schedule("update", siteUpdate)
	b.counts("update", 0, 100, 0, 50) // ten seconds' worth of ten a second
	b.clock.move(time.Second)
	b.counts("update", 0, 110, 0, 40)
	b.restart()
	if j := b.until("update", iothub.JobCompleted); j.Statistics.Succeeded != 150 || j.Statistics.Devices != 150 {
		t.Errorf("%+v", j.Statistics)
	}
	for i := range 150 {
		if twin := b.get(fmt.Sprint("d", i)); twin.Properties.Desired.Version != 3 {
			t.Errorf("d%d was written %d times", i, twin.Properties.Desired.Version-2)
		}
	}
}

// TestARestartInTheMiddleOfTheChoice stops a job that knows a part of its devices.
func TestARestartInTheMiddleOfTheChoice(t *testing.T) {
	b := newJobBench(t)
	b.site(230)
	b.schedule("update", siteUpdate)
	p, err := b.query(t.Context(), "SELECT deviceId FROM devices WHERE tags.site = 'b1'", "", 100)
	b.check(err)
	var first []twinKey
	for i := range 100 {
		first = append(first, dev(fmt.Sprint("d", i)))
	}
	b.check(b.do(t.Context(), func(batch *batch) error {
		j, err := batch.job("update")
		if err != nil {
			return err
		}
		batch.beginJob(j)
		j, err = batch.job("update")
		batch.chooseDevices(j, first, p.Continuation)
		return err
	}))
	b.counts("update", 0, 0, 0, 100)
	// d5 no longer matches, and d150 is deleted and made anew: it comes last.
	b.patch("d5", `{"tags":{"site":"elsewhere"}}`)
	b.check(b.deleteDevice(t.Context(), owner, "d150", iothub.Any))
	b.create("d150")
	b.patch("d150", `{"tags":{"site":"b1"}}`)
	b.restart()
	if j := b.until("update", iothub.JobCompleted); j.Statistics.Succeeded != 230 {
		t.Errorf("%+v", j.Statistics)
	}
}

// TestARestartInTheMiddleOfCalls stops a job that waits for an answer; nobody
// knows what became of the call, so it is made again.
func TestARestartInTheMiddleOfCalls(t *testing.T) {
	b := newJobBench(t)
	b.create("done", "asked", "absent")
	done, asked := b.handy("done"), b.handy("asked")
	b.jobs.start()
	b.schedule("reboot", methodJob)
	b.answer("done", <-done.rids, 200, "1")
	old := <-asked.rids
	b.counts("reboot", 0, 1, 1, 1)
	b.restart()
	b.counts("reboot", 0, 1, 0, 2) // nobody is connected
	b.answer("asked", old, 200, "1")
	done, asked = b.handy("done"), b.handy("asked")
	absent := b.handy("absent")
	b.answer("absent", <-absent.rids, 200, "3")
	b.answer("asked", <-asked.rids, 200, "2")
	if j := b.until("reboot", iothub.JobCompleted); *j.Statistics != (iothub.JobStatistics{Devices: 3, Succeeded: 3}) {
		t.Errorf("%+v", j.Statistics)
	}
	if len(done.rids) != 0 {
		t.Error("a device that was done was called again")
	}
	if rows := b.deviceJobs("deviceId = 'asked'"); len(rows) != 1 || string(rows[0].Outcome.Method.Payload) != "2" {
		t.Errorf("%s", toJSON(t, rows))
	}
}

func TestScheduledJobsOutliveARestart(t *testing.T) {
	b := newJobBench(t)
	b.site(1)
	b.schedule("later", strings.Replace(siteUpdate, "{", `{"startTime":"2026-11-22T12:00:00Z",`, 1))
	before := toJSON(t, b.show("later"))
	b.restart()
	if after := toJSON(t, b.show("later")); after != before {
		t.Errorf("%s became %s", before, after)
	}
	b.later(2 * time.Hour)
	b.until("later", iothub.JobCompleted)
}

// TestJobsKnowDevicesByTheirIDs deletes two devices and makes them anew, one that
// is done and one whose turn is still to come.
func TestJobsKnowDevicesByTheirIDs(t *testing.T) {
	b := newJobBench(t)
	b.site(150)
	tight, err := newThrottle("S1", b.clock.now)
	b.check(err)
	b.jobs.throttle = tight
	b.jobs.start()
	b.schedule("update", siteUpdate)
	b.counts("update", 0, 100, 0, 50)
	for _, id := range []string{"d0", "d149"} {
		b.check(b.deleteDevice(t.Context(), owner, id, iothub.Any))
		b.create(id)
	}
	b.clock.move(5 * time.Second)
	b.until("update", iothub.JobCompleted)
	for id, version := range map[string]int64{"d0": 1, "d149": 2} {
		if got := b.get(id).Properties.Desired.Version; got != version {
			t.Errorf("%s is at version %d, want %d", id, got, version)
		}
		if got := b.parts("deviceId = '" + id + "'"); got != id+" completed" {
			t.Errorf("rows are %s", got)
		}
	}
}

// TestAChosenDeviceStaysAsItIs adds a device twice.
func TestAChosenDeviceStaysAsItIs(t *testing.T) {
	b := newJobBench(t)
	b.site(1)
	b.schedule("update", siteUpdate)
	for range 2 {
		b.check(b.do(t.Context(), func(batch *batch) error {
			j, err := batch.job("update")
			if err == nil {
				batch.chooseDevices(j, []twinKey{dev("d0"), dev("d0")}, "")
			}
			return err
		}))
	}
	left, err := b.store.Pending(t.Context(), 1, 0, 10)
	if err != nil || len(left) != 1 {
		t.Fatalf("%d devices, %v", len(left), err)
	}
	b.check(b.do(t.Context(), func(batch *batch) error {
		batch.putJobDevice(*left[0], iothub.JobCompleted, nil, nil)
		batch.jobs.Choose = append(batch.jobs.Choose, &store.JobDevice{Job: 1, DeviceID: "d0", Status: iothub.JobPending, Updated: batch.at})
		return nil
	}))
	b.counts("update", 0, 1, 0, 0)
}
