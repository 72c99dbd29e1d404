package localhub

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// jobUntil waits over the network until a job stands there.
func (w *wire) jobUntil(id string, status iothub.JobStatus) (j iothub.JobResponse) {
	w.Helper()
	w.eventually(fmt.Sprintf("job %s is %s", id, status), func() bool {
		j = iothub.JobResponse{}
		w.mustCall(http.MethodGet, "/jobs/v2/"+id, "").decode(w.T, &j)
		return j.Status == status
	})
	return j
}

func TestJobsOverTheWire(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.device("d2")
	r := w.mustCall(http.MethodPut, "/jobs/v2/it's-1", `{"jobId":"it's-1","type":"scheduleUpdateTwin","queryCondition":"deviceId IN ['d1','d2']",
		"updateTwin":{"etag":"*","tags":{"a":"<&>"},"properties":{"desired":{"level":2}}},"startTime":null,"maxExecutionTimeInSeconds":100}`)
	var j iothub.JobResponse
	r.decode(t, &j)
	if j.JobID != "it's-1" || j.Type != "scheduleUpdateTwin" || j.Seconds != 100 || !strings.Contains(r.Body, `"a":"<&>"`) {
		t.Errorf("%s", r.Body)
	}
	j = w.jobUntil("it's-1", iothub.JobCompleted)
	if j.Statistics.Succeeded != 2 || j.EndTime.Before(j.StartTime.Time) {
		t.Errorf("%+v", j)
	}
	if r := w.mustCall(http.MethodGet, "/twins/d1", ""); !strings.Contains(r.Body, `"tags":{"a":"<&>"}`) || !strings.Contains(r.Body, `"level":2`) {
		t.Errorf("the twin is %s", r.Body)
	}
	r = w.mustCall(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = \"it's-1\" AND deviceId = 'd2'"}`)
	var rows []iothub.DeviceJob
	r.decode(t, &rows)
	if r.Header.Get(headerItemType) != "DeviceJob" || len(rows) != 1 || rows[0].Status != iothub.JobCompleted || rows[0].End.Sub(rows[0].Start.Time) != 100*time.Second {
		t.Errorf("%v %s", r.Header, r.Body)
	}
	if r := w.call(http.MethodPost, "/jobs/v2/it's-1/cancel", ""); r.Status != 405 || r.Header.Get(headerErrorCode) != "OperationNotAllowedInCurrentState" {
		t.Errorf("cancelled afterwards: %d %s", r.Status, r.Body)
	}
	if r := w.mustCall(http.MethodGet, "/jobs/v2/never-heard", ""); r.Body != `{"jobId":"never-heard","type":"unknown","status":"unknown"}` {
		t.Errorf("unknown: %s", r.Body)
	}
	if r := w.call(http.MethodPost, "/jobs/v2/never-heard/cancel", ""); r.Status != 404 || r.Header.Get(headerErrorCode) != "JobNotFound" {
		t.Errorf("unknown cancelled: %d %s", r.Status, r.Body)
	}
}

func TestAJobCallsAMethodOverTheWire(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.device("absent")
	d := w.handy(w.deviceConnect("d1"))
	w.mustCall(http.MethodPut, "/jobs/v2/call", `{"type":"scheduleDeviceMethod","queryCondition":"*",
		"cloudToDeviceMethod":{"methodName":"lockDoor","payload":{"n":1.0},"responseTimeoutInSeconds":30}}`)
	rid, payload := d.called("lockDoor")
	if payload != `{"n":1.0}` {
		t.Errorf("the device got %s", payload)
	}
	d.send(publish(1, 9, "$iothub/methods/res/207/?$rid="+rid, []byte(`{"locked":true}`)))
	d.next(packets.Puback)
	w.eventually("one device is done", func() bool {
		var j iothub.JobResponse
		w.mustCall(http.MethodGet, "/jobs/v2/call", "").decode(t, &j)
		return *j.Statistics == iothub.JobStatistics{Devices: 2, Succeeded: 1, Pending: 1}
	})
	if r := w.call(http.MethodPost, "/jobs/v2/call/cancel", ""); r.Status != 405 {
		t.Errorf("cancelled at work: %d %s", r.Status, r.Body)
	}
	// A device that connects only now is called, too, as soon as it subscribes.
	late, _ := w.online(w.deviceConnect("absent"))
	late.send(subscribe(1, 0, iothub.FilterMethods))
	for rid = ""; rid == ""; { // SUBACK and the call come in either order
		if pk, err := late.read(); err != nil {
			t.Fatal(err)
		} else if pk.FixedHeader.Type == packets.Publish {
			rid = strings.TrimPrefix(pk.TopicName, "$iothub/methods/POST/lockDoor/?$rid=")
		}
	}
	late.send(publish(0, 0, "$iothub/methods/res/500/?$rid="+rid, nil))
	w.jobUntil("call", iothub.JobCompleted)
	r := w.mustCall(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices.jobs WHERE outcome.deviceMethodResponse.status = 207"}`)
	if !strings.Contains(r.Body, `"outcome":{"deviceMethodResponse":{"status":207,"payload":{"locked":true}}}`) || strings.Count(r.Body, `"deviceId"`) != 1 {
		t.Errorf("%s", r.Body)
	}
}

// TestJobsOnModulesOverTheWire updates the twins of modules, and calls one that is
// connected while its device is, too.
func TestJobsOnModulesOverTheWire(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.device("d2")
	w.module("d1", "m1")
	w.module("d2", "m1")
	w.module("d2", "m2")
	w.mustCall(http.MethodPut, "/jobs/v2/update", `{"type":"scheduleUpdateTwin","queryCondition":"FROM devices.modules WHERE moduleId = 'm1'",
		"updateTwin":{"etag":"*","properties":{"desired":{"level":2}}}}`)
	if j := w.jobUntil("update", iothub.JobCompleted); *j.Statistics != (iothub.JobStatistics{Devices: 2, Succeeded: 2}) {
		t.Errorf("%+v", j.Statistics)
	}
	for path, want := range map[string]bool{"/twins/d1/modules/m1": true, "/twins/d2/modules/m1": true, "/twins/d2/modules/m2": false, "/twins/d2": false} {
		if r := w.mustCall(http.MethodGet, path, ""); strings.Contains(r.Body, `"level":2`) != want {
			t.Errorf("%s: %s", path, r.Body)
		}
	}
	device, module := w.handy(w.deviceConnect("d2")), w.handy(w.moduleConnect("d2", "m2"))
	w.mustCall(http.MethodPut, "/jobs/v2/call", `{"type":"scheduleDeviceMethod","queryCondition":"FROM devices.modules WHERE deviceId = 'd2' AND moduleId = 'm2'",
		"cloudToDeviceMethod":{"methodName":"open","responseTimeoutInSeconds":30}}`)
	rid, _ := module.called("open")
	module.send(publish(0, 0, "$iothub/methods/res/203/?$rid="+rid, []byte(`"by the module"`)))
	w.jobUntil("call", iothub.JobCompleted)
	device.silent()
	r := w.mustCall(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices.jobs WHERE deviceId = 'd2'"}`)
	for _, want := range []string{
		`{"deviceId":"d2","moduleId":"m1","jobId":"update","jobType":"scheduleUpdateTwin","status":"completed"`,
		`{"deviceId":"d2","moduleId":"m2","jobId":"call","jobType":"scheduleDeviceMethod","status":"completed"`,
		`"outcome":{"deviceMethodResponse":{"status":203,"payload":"by the module"}}`,
	} {
		if !strings.Contains(r.Body, want) {
			t.Errorf("the rows lack %s: %s", want, r.Body)
		}
	}
}

func TestPagesOfJobs(t *testing.T) {
	w := startWire(t)
	for i := range 5 {
		w.mustCall(http.MethodPut, fmt.Sprint("/jobs/v2/j", i), `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*"},"startTime":"`+
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"}`)
	}
	var got []string
	for token, pages := "", 0; pages < 9; pages++ {
		header := []string{headerMaxItems, "2"}
		if token != "" {
			header = append(header, headerContinuation, token)
		}
		r := w.mustCall(http.MethodGet, "/jobs/v2/query?jobType=scheduleUpdateTwin&jobStatus=scheduled", "", header...)
		var rows []iothub.JobResponse
		r.decode(t, &rows)
		if r.Header.Get(headerItemType) != "JobResponse" || len(rows) > 2 {
			t.Fatalf("%v %s", r.Header, r.Body)
		}
		for _, row := range rows {
			got = append(got, row.JobID)
		}
		next, more := r.Header[http.CanonicalHeaderKey(headerContinuation)]
		if !more {
			break
		}
		token = next[0]
	}
	if strings.Join(got, " ") != "j0 j1 j2 j3 j4" {
		t.Errorf("listed %v", got)
	}
	w.mustCall(http.MethodPost, "/jobs/v2/j3/cancel", "")
	for path, want := range map[string]string{
		"?jobStatus=cancelled":                      `"jobId":"j3"`,
		"?jobType=scheduleDeviceMethod":             "[]",
		"/?jobStatus=running":                       "[]",
		"?jobType=unknown":                          "[]",
		"?jobType=scheduleUpdateTwin&jobStatus=all": "ErrorCode:ArgumentInvalid",
	} {
		if r := w.call(http.MethodGet, "/jobs/v2/query"+path, ""); !strings.Contains(r.Body, want) {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
}

func TestJobRefusals(t *testing.T) {
	w := startWire(t)
	const update = `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*","tags":{"a":1}}}`
	later := func(d time.Duration) string {
		return strings.Replace(update, "{", `{"startTime":"`+time.Now().Add(d).UTC().Format("2006-01-02T15:04:05.000Z")+`",`, 1)
	}
	in := func(old, new string) string { return strings.Replace(update, old, new, 1) }
	method := func(call string) string {
		return `{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":` + call + `}`
	}
	w.mustCall(http.MethodPut, "/jobs/v2/taken", later(time.Hour))
	w.mustCall(http.MethodPut, "/jobs/v2/latest", later(168*time.Hour-time.Second))
	w.mustCall(http.MethodPut, "/jobs/v2/"+strings.Repeat("x", 64), in(`"*"`, `"tags.a ="`))
	for _, c := range []struct {
		id, body string
		status   int
		code     string
	}{
		{"taken", update, 409, "JobAlreadyExists"},
		{"too-late", later(169 * time.Hour), 400, "ArgumentInvalid"},
		{"Upper", update, 400, "ArgumentInvalid"},
		{"under_score", update, 400, "ArgumentInvalid"},
		{"größe", update, 400, "ArgumentInvalid"},
		{strings.Repeat("x", 65), update, 400, "ArgumentInvalid"},
		{"other-id", in("{", `{"jobId":"j",`), 400, "ArgumentInvalid"},
		{"no-etag", in(`"etag":"*",`, ""), 400, "ArgumentInvalid"},
		{"an-etag", in(`"etag":"*"`, `"etag":"AAAAAAAAAAE="`), 400, "ArgumentInvalid"},
		{"no-condition", in(`"queryCondition":"*",`, ""), 400, "ArgumentNull"},
		{"null-condition", in(`"queryCondition":"*"`, `"queryCondition":null`), 400, "ArgumentNull"},
		{"no-twin", `{"type":"scheduleUpdateTwin","queryCondition":"*"}`, 400, "ArgumentNull"},
		{"null-twin", `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":null}`, 400, "ArgumentNull"},
		{"bad-twin", in(`{"a":1}`, `{"a.b":1}`), 400, "ArgumentInvalid"},
		{"bad-tags", in(`{"a":1}`, `[1]`), 400, "ArgumentInvalid"},
		{"no-type", in(`"type":"scheduleUpdateTwin",`, ""), 400, "ArgumentInvalid"},
		{"old-type", in("scheduleUpdateTwin", "scheduleTwinUpdate"), 400, "ArgumentInvalid"},
		{"no-time", in("{", `{"maxExecutionTimeInSeconds":-1,`), 400, "ArgumentInvalid"},
		{"long-time", in("{", `{"maxExecutionTimeInSeconds":2147483648,`), 400, "ArgumentInvalid"},
		{"text-time", in("{", `{"maxExecutionTimeInSeconds":"60",`), 400, "DeserializationError"},
		{"bad-start", in("{", `{"startTime":"tomorrow",`), 400, "DeserializationError"},
		{"bad-json", in("{", "{,"), 400, "IotHubFormatError"},
		{"array", "[]", 400, "ArgumentInvalid"},
		{"no-method", method("null"), 400, "ArgumentNull"},
		{"no-name", method("{}"), 400, "ArgumentNull"},
		{"bad-name", method(`{"methodName":"a/b"}`), 400, "ArgumentInvalid"},
		{"bad-wait", method(`{"methodName":"a","responseTimeoutInSeconds":4}`), 400, "ArgumentInvalid"},
	} {
		r := w.call(http.MethodPut, "/jobs/v2/"+c.id, c.body)
		if r.Status != c.status || r.Header.Get(headerErrorCode) != c.code {
			t.Errorf("%s: %d %s", c.id, r.Status, r.Body)
		}
		if e := r.refused(t); !strings.HasPrefix(e.Message, "ErrorCode:"+c.code+";") || strings.HasSuffix(e.Message, ";") {
			t.Errorf("%s says %q", c.id, e.Message)
		}
	}
	for _, path := range []string{"/jobs/v2", "/jobs/v2/a/b", "/jobs/v2/a/cancel/b"} {
		if r := w.call(http.MethodGet, path, ""); r.Status != 404 && r.Status != 405 && r.Status != 403 {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	w.jobUntil(strings.Repeat("x", 64), iothub.JobFailed)
}

// TestATierTakesFewJobs has a hub of the smallest tier.
func TestATierTakesFewJobs(t *testing.T) {
	data := t.TempDir()
	h := startHub(t, data, func(o *Options) { o.Throttle = "F1" })
	if h.jobs.most != 1 {
		t.Fatalf("it takes %d jobs", h.jobs.most)
	}
	closeHub(t, h)
	w := startWireIn(t, data, time.Now, func(h *Hub) { h.jobs.most = 1 })
	const body = `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*"},"startTime":"%s"}`
	start := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	w.mustCall(http.MethodPut, "/jobs/v2/one", fmt.Sprintf(body, start))
	r := w.call(http.MethodPut, "/jobs/v2/two", fmt.Sprintf(body, start))
	if r.Status != 429 || r.Header.Get(headerErrorCode) != "ThrottlingMaxActiveJobCountExceeded" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	w.mustCall(http.MethodPost, "/jobs/v2/one/cancel", "")
	w.mustCall(http.MethodPut, "/jobs/v2/two", fmt.Sprintf(body, start))
}
