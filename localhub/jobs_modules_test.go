package localhub

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// halls makes n devices with two modules each, whose twins are tagged as those of
// the devices are.
func (b *jobBench) halls(n int) {
	b.Helper()
	b.site(n)
	for i := range n {
		id := fmt.Sprint("d", i)
		b.createModules(id, "camera", "door")
		for _, module := range []string{"camera", "door"} {
			b.patchModule(twinKey{id, module}, `{"tags":{"site":"b1","old":1},"properties":{"desired":{"level":1,"gone":true}}}`)
		}
	}
}

func (b *jobBench) patchModule(key twinKey, body string) {
	b.Helper()
	_, err := b.updateTwin(b.Context(), owner, key, parsePatch(b, body), "")
	b.check(err)
}

func (b *jobBench) versionOf(key twinKey) int64 {
	b.Helper()
	twin, err := b.twin(b.Context(), key)
	b.check(err)
	return twin.Properties.Desired.Version
}

// parts prints the rows of devices.jobs that pass a condition.
func (b *jobBench) parts(where string) string {
	b.Helper()
	var out []string
	for _, d := range b.deviceJobs(where) {
		text := strings.TrimSuffix(d.DeviceID+"/"+d.ModuleID, "/") + " " + string(d.Status)
		if d.Error != nil {
			text += " " + d.Error.Code
		}
		if d.Outcome.Method != nil {
			text += fmt.Sprintf(" %d %s", d.Outcome.Method.Status, d.Outcome.Method.Payload)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// onModules is a job as it was, but for modules.
func onModules(body, where string) string {
	return strings.NewReplacer(`"queryCondition":"*"`, `"queryCondition":"`+where+`"`,
		`"queryCondition":"tags.site = 'b1'"`, `"queryCondition":"`+where+`"`).Replace(body)
}

const cameras = "FROM devices.modules WHERE tags.site = 'b1' AND moduleId = 'camera'"

func TestAJobUpdatesModules(t *testing.T) {
	b := newJobBench(t)
	b.halls(70)
	s := newRecorder()
	b.check(b.connect(t.Context(), twinKey{"d7", "camera"}, "", s))
	ofDevice := b.connectTo("d7")
	b.jobs.start()
	b.schedule("update", onModules(siteUpdate, cameras))
	j := b.until("update", iothub.JobCompleted)
	if want := (iothub.JobStatistics{Devices: 70, Succeeded: 70}); *j.Statistics != want || j.QueryCondition != cameras {
		t.Errorf("ended as %s", toJSON(t, j))
	}
	for _, id := range []string{"d0", "d63", "d69"} {
		twin, err := b.twin(t.Context(), twinKey{id, "camera"})
		b.check(err)
		if toJSON(t, twin.Tags) != `{"site":"b2"}` || toJSON(t, twin.Properties.Desired.Value) != `{"level":2}` {
			t.Errorf("the module of %s holds %s", id, toJSON(t, twin))
		}
		if door, device := b.versionOf(twinKey{id, "door"}), b.versionOf(dev(id)); door != 2 || device != 2 {
			t.Errorf("the other module of %s is at %d, the device itself at %d", id, door, device)
		}
	}
	if got := s.next(t); got != `desired 3 {"gone":null,"level":2,"$version":3}` {
		t.Errorf("the module was told %s", got)
	}
	if len(ofDevice.got) != 0 {
		t.Errorf("the device was told %s", ofDevice.next(t))
	}
	changes := b.changes.Recent(1000, func(c iothub.Change) bool { return c.Job == "update" && c.ModuleID == "camera" })
	if len(changes) != 140 {
		t.Errorf("%d changes name the job and the module", len(changes))
	}
}

// TestRowsOfJobsOnModules has a device, its modules and a module of the same name
// on another device in two jobs.
func TestRowsOfJobsOnModules(t *testing.T) {
	b := newJobBench(t)
	b.halls(2)
	b.jobs.start()
	b.schedule("modules", onModules(siteUpdate, "FROM devices.modules WHERE tags.site = 'b1'"))
	b.until("modules", iothub.JobCompleted)
	b.schedule("devices", siteUpdate)
	b.until("devices", iothub.JobCompleted)
	for where, want := range map[string]string{
		"jobId = 'modules'":                                "d0/camera completed, d0/door completed, d1/camera completed, d1/door completed",
		"jobId = 'devices'":                                "d0 completed, d1 completed",
		"deviceId = 'd1'":                                  "d1/camera completed, d1/door completed, d1 completed",
		"devices.jobs.moduleId = 'door'":                   "d0/door completed, d1/door completed",
		"deviceId = 'd0' AND moduleId != 'door'":           "d0/camera completed",
		"NOT IS_DEFINED(moduleId)":                         "d0 completed, d1 completed",
		"deviceId IN ['d1'] AND STARTSWITH(moduleId, 'c')": "d1/camera completed",
	} {
		if got := b.parts(where); got != want {
			t.Errorf("%s: %s, want %s", where, got, want)
		}
	}
	const at = `"2026-11-22T10:00:00.0000000Z"`
	sameJSON(t, b.rows("SELECT * FROM devices.jobs WHERE moduleId = 'camera'", 1)[0],
		`{"deviceId":"d0","moduleId":"camera","jobId":"modules","jobType":"scheduleUpdateTwin","status":"completed","startTimeUtc":`+at+
			`,"endTimeUtc":"2026-11-22T11:00:00.0000000Z","createdDateTimeUtc":`+at+`,"lastUpdatedDateTimeUtc":`+at+`,"outcome":{"deviceMethodResponse":null}}`)
}

// TestAJobOnModulesNamesItsCollection spells the collection in every way that the
// language takes.
func TestAJobOnModulesNamesItsCollection(t *testing.T) {
	b := newJobBench(t)
	b.halls(1)
	b.jobs.start()
	for i, condition := range []string{
		"FROM devices.modules", " from Devices.Modules where devices.modules.moduleId IN ['camera','door']", "FROM\tdevices.modules\nWHERE deviceId = 'd0'",
	} {
		id := fmt.Sprint("job-", i)
		wanted, err := readJob([]byte(siteUpdate), id)
		b.check(err)
		wanted.Condition = condition
		_, err = b.jobs.schedule(t.Context(), wanted)
		b.check(err)
		b.until(id, iothub.JobCompleted)
		if got := b.parts("jobId = '" + id + "'"); got != "d0/camera completed, d0/door completed" {
			t.Errorf("%q: %s", condition, got)
		}
	}
	if got := b.versionOf(dev("d0")); got != 2 {
		t.Errorf("the device itself is at version %d", got)
	}
}

// TestAJobCallsModules follows modules that answer, come late, are deleted, and
// whose device alone is there.
func TestAJobCallsModules(t *testing.T) {
	b := newJobBench(t)
	b.create("d", "e")
	b.createModules("d", "good", "late", "deleted")
	b.createModules("e", "taken")
	handy := func(key twinKey) *handyman {
		h := newHandyman(true)
		b.check(b.connect(t.Context(), key, "", h))
		return h
	}
	device, good := handy(dev("d")), handy(twinKey{"d", "good"})
	b.jobs.start()
	b.schedule("reboot", onModules(methodJob, "FROM devices.modules"))
	b.calls.answered(twinKey{"d", "good"}, <-good.rids, methodAnswer{200, []byte(`{"done":1}`)})
	b.counts("reboot", 0, 1, 0, 3)
	b.check(b.deleteModule(t.Context(), owner, twinKey{"d", "deleted"}, iothub.Any))
	b.counts("reboot", 1, 1, 0, 2)
	b.check(b.deleteDevice(t.Context(), owner, "e", iothub.Any)) // takes its module along
	b.counts("reboot", 2, 1, 0, 1)
	late := handy(twinKey{"d", "late"})
	b.calls.answered(twinKey{"d", "late"}, <-late.rids, methodAnswer{501, nil})
	b.until("reboot", iothub.JobCompleted)
	if got, want := b.parts("jobId = 'reboot'"), `d/good completed 200 {"done":1}, d/late completed 501 null, `+
		`d/deleted failed DeviceNotFound, e/taken failed DeviceNotFound`; got != want {
		t.Errorf("rows are %s", got)
	}
	if len(device.rids) != 0 {
		t.Error("the device itself was called")
	}
}

// TestAJobOnModulesEndsWhenItsTimeIsOver leaves a module absent.
func TestAJobOnModulesEndsWhenItsTimeIsOver(t *testing.T) {
	b := newJobBench(t)
	b.create("d")
	b.createModules("d", "m")
	b.jobs.start()
	b.schedule("reboot", onModules(methodJob, "FROM devices.modules WHERE moduleId = 'm'"))
	b.counts("reboot", 0, 0, 0, 1)
	b.later(10 * time.Minute)
	b.until("reboot", iothub.JobFailed)
	if got := b.parts("jobId = 'reboot'"); got != "d/m failed JobRunPreconditionFailed" {
		t.Errorf("rows are %s", got)
	}
}

// TestARestartInTheMiddleOfModules stops a job on modules by a throttle, within a
// page and between two, and lets it go on without.
func TestARestartInTheMiddleOfModules(t *testing.T) {
	b := newJobBench(t)
	b.halls(60)
	tight, err := newThrottle("S1", b.clock.now)
	b.check(err)
	b.jobs.throttle = tight
	b.jobs.start()
	b.schedule("update", onModules(siteUpdate, "FROM devices.modules WHERE tags.site = 'b1'"))
	b.counts("update", 0, 100, 0, 20)
	b.restart()
	if j := b.until("update", iothub.JobCompleted); j.Statistics.Succeeded != 120 || j.Statistics.Devices != 120 {
		t.Errorf("%+v", j.Statistics)
	}
	for i := range 60 {
		for _, module := range []string{"camera", "door"} {
			if got := b.versionOf(twinKey{fmt.Sprint("d", i), module}); got != 3 {
				t.Errorf("%s of d%d was written %d times", module, i, got-2)
			}
		}
	}
}

// TestARestartInTheMiddleOfTheChoiceOfModules stops a job that knows a part of its
// modules, one of which no longer meets its condition.
func TestARestartInTheMiddleOfTheChoiceOfModules(t *testing.T) {
	b := newJobBench(t)
	b.halls(60)
	b.schedule("update", onModules(siteUpdate, "FROM devices.modules WHERE tags.site = 'b1'"))
	text, err := jobQuery("FROM devices.modules WHERE tags.site = 'b1'")
	b.check(err)
	keys, next, err := b.jobs.matching(t.Context(), text, "")
	b.check(err)
	b.check(b.do(t.Context(), func(batch *batch) error {
		j, err := batch.job("update")
		if err == nil {
			batch.chooseDevices(j, keys, next)
		}
		return err
	}))
	b.patchModule(twinKey{"d5", "door"}, `{"tags":{"site":"elsewhere"}}`)
	b.restart()
	if j := b.until("update", iothub.JobCompleted); j.Statistics.Succeeded != 120 {
		t.Errorf("%+v", j.Statistics)
	}
}

// TestAJobOnModulesWaitsForItsStart cancels one and lets another come.
func TestAJobOnModulesWaitsForItsStart(t *testing.T) {
	b := newJobBench(t)
	b.halls(1)
	later := strings.Replace(onModules(siteUpdate, cameras), "{", `{"startTime":"2026-11-22T12:00:00Z",`, 1)
	b.jobs.start()
	b.schedule("cancelled", later)
	if j := b.schedule("later", later); j.Status != iothub.JobScheduled {
		t.Errorf("it is %s", j.Status)
	}
	_, err := b.jobs.cancel(t.Context(), "cancelled")
	b.check(err)
	b.later(2 * time.Hour)
	b.until("later", iothub.JobCompleted)
	if got := b.versionOf(twinKey{"d0", "camera"}); got != 3 {
		t.Errorf("the module is at version %d", got)
	}
	if got := b.parts("jobId = 'cancelled'"); got != "" {
		t.Errorf("the cancelled job has the rows %s", got)
	}
}

// TestAJobFindsSystemModules has an IoT Edge device, whose modules nobody made.
func TestAJobFindsSystemModules(t *testing.T) {
	b := newJobBench(t)
	_, err := b.createDevice(t.Context(), owner, iothub.Device{DeviceID: "edge", Capabilities: iothub.Capabilities{IoTEdge: true}})
	b.check(err)
	b.jobs.start()
	b.schedule("update", onModules(siteUpdate, "FROM devices.modules WHERE moduleId = '$edgeAgent'"))
	b.until("update", iothub.JobCompleted)
	if got := b.parts("jobId = 'update'"); got != "edge/$edgeAgent completed" {
		t.Errorf("rows are %s", got)
	}
	if got := b.versionOf(twinKey{"edge", "$edgeAgent"}); got != 2 {
		t.Errorf("the module is at version %d", got)
	}
}
