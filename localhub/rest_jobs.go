package localhub

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// jobPut schedules a job.
func (s *restServer) jobPut(c echo.Context, by caller) error {
	text, err := body(c)
	if err != nil {
		return err
	}
	wanted, err := readJob(text, pathID(c))
	if err != nil {
		return err
	}
	wanted.Policy = by.policy
	j, err := s.hub.jobs.schedule(c.Request().Context(), wanted)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, j)
}

func (s *restServer) jobGet(c echo.Context, by caller) error {
	j, err := s.hub.jobs.job(c.Request().Context(), pathID(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, j)
}

func (s *restServer) jobCancel(c echo.Context, by caller) error {
	j, err := s.hub.jobs.cancel(c.Request().Context(), pathID(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, j)
}

func (s *restServer) jobList(c echo.Context, by caller) error {
	head := c.Request().Header
	p, err := s.hub.jobs.list(c.Request().Context(), iothub.JobType(c.QueryParam("jobType")), iothub.JobStatus(c.QueryParam("jobStatus")),
		head.Get(headerContinuation), pageSize(head.Get(headerMaxItems)))
	if err != nil {
		return err
	}
	return answerPage(c, p)
}

// readJob checks everything about a job but its condition, which the service,
// too, looks at only when the job begins. What it needs no queue for it refuses
// at once, which is a choice as far as the twin's limits and the method's bounds
// go.
func readJob(text []byte, id string) (store.Job, error) {
	var r iothub.JobRequest
	if err := readJSON(text, &r); err != nil {
		return store.Job{}, err
	}
	if err := iothub.CheckJobID(id); err != nil {
		return store.Job{}, err
	}
	switch { // the first and third are choices
	case r.JobID != "" && r.JobID != id:
		return store.Job{}, iothub.ErrArgumentInvalid.With("the body names the job %q, the path %q", r.JobID, id)
	case r.QueryCondition == "":
		return store.Job{}, iothub.ErrArgumentNull.With(`the body needs a queryCondition: what follows WHERE in a query, or "*" for every device`)
	case r.Seconds < 0 || r.Seconds > math.MaxInt32:
		return store.Job{}, iothub.ErrArgumentInvalid.With("maxExecutionTimeInSeconds is %d; it must be 0 to %d", r.Seconds, math.MaxInt32)
	case r.Seconds == 0: // a choice, too
		r.Seconds = iothub.DefaultJobSeconds
	}
	work, err := jobWork(r)
	return store.Job{
		JobID: id, Type: r.Type, Condition: r.QueryCondition, Work: work,
		Start: r.StartTime.Time, Limit: time.Duration(r.Seconds) * time.Second,
	}, err
}

// jobWork is what the job does to each device, checked.
func jobWork(r iothub.JobRequest) (json.RawMessage, error) {
	switch r.Type {
	case iothub.JobUpdateTwin:
		return r.UpdateTwin, checkJobTwin(r.UpdateTwin)
	case iothub.JobDeviceMethod:
		if missing(r.Method) {
			return nil, iothub.ErrArgumentNull.With("a job of type %s needs a member cloudToDeviceMethod", r.Type)
		}
		_, err := parseMethodCall(r.Method)
		return r.Method, err
	}
	return nil, iothub.ErrArgumentInvalid.With("type is %q; it must be %s or %s", r.Type, iothub.JobUpdateTwin, iothub.JobDeviceMethod)
}

func missing(text json.RawMessage) bool { return len(text) == 0 || string(text) == "null" }

// checkJobTwin checks a partial twin. Its etag must be *: a job overwrites
// whatever there is (as Microsoft's Java SDK shows the service's refusal).
func checkJobTwin(text json.RawMessage) error {
	if missing(text) {
		return iothub.ErrArgumentNull.With("a job of type %s needs a member updateTwin", iothub.JobUpdateTwin)
	}
	var head struct {
		ETag string `json:"etag"`
	}
	if err := readJSON(text, &head); err != nil {
		return err
	}
	if iothub.ParseIfMatch(head.ETag) != iothub.Any {
		return iothub.ErrArgumentInvalid.With(`the etag of updateTwin is %q; it must be "*", because a job is a forced update`, head.ETag)
	}
	patch, err := iothub.ParseTwinPatch(text)
	if err != nil {
		return err
	}
	return checkPatch(patch)
}
