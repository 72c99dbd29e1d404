package iothub

import (
	"encoding/json"
	"time"
)

// Bounds of scheduled jobs (IoT Hub developer guide: jobs, quotas and
// throttling).
const (
	MaxJobIDLength = 64
	MaxJobDelay    = 168 * time.Hour     // from now to the start
	JobHistory     = 30 * 24 * time.Hour // how long an ended job is remembered
	// DefaultJobSeconds is what Microsoft's SDKs send when nobody says how long a
	// job may run.
	DefaultJobSeconds = 3600
)

// JobType says what a scheduled job does with each of its devices.
type JobType string

// The types of scheduled jobs.
const (
	JobUpdateTwin   JobType = "scheduleUpdateTwin"
	JobDeviceMethod JobType = "scheduleDeviceMethod"
	JobTypeUnknown  JobType = "unknown" // of a job that the hub does not know
)

// JobStatus is where a job stands, or one of its devices.
type JobStatus string

// The statuses. Of a device's or module's part of a job there are pending, running,
// completed and failed.
const (
	JobUnknown   JobStatus = "unknown"
	JobEnqueued  JobStatus = "enqueued"
	JobScheduled JobStatus = "scheduled" // its start is to come
	JobQueued    JobStatus = "queued"    // its start has come, others are before it
	JobRunning   JobStatus = "running"
	JobCompleted JobStatus = "completed"
	JobFailed    JobStatus = "failed"
	JobCancelled JobStatus = "cancelled"
	JobPending   JobStatus = "pending"
)

// JobStatuses lists those a job can have, JobTypes the types.
var (
	JobStatuses = []JobStatus{
		JobUnknown, JobEnqueued, JobScheduled, JobQueued, JobRunning, JobCompleted, JobFailed, JobCancelled,
	}
	JobTypes = []JobType{JobUpdateTwin, JobDeviceMethod, JobTypeUnknown}
)

// JobRequest asks for a scheduled job (IoT Hub service API, jobs).
type JobRequest struct {
	JobID string  `json:"jobId"`
	Type  JobType `json:"type"`
	// Method is a direct method as in its own request: methodName, payload and
	// the two times.
	Method json.RawMessage `json:"cloudToDeviceMethod,omitempty"`
	// UpdateTwin is a partial twin whose etag is "*".
	UpdateTwin     json.RawMessage `json:"updateTwin,omitempty"`
	QueryCondition string          `json:"queryCondition"` // what follows WHERE, "*" for every device, or FROM devices.modules WHERE …
	StartTime      Time            `json:"startTime"`      // zero means now
	Seconds        int64           `json:"maxExecutionTimeInSeconds"`
}

// JobResponse is a scheduled job as the hub shows it.
type JobResponse struct {
	JobID          string          `json:"jobId"`
	QueryCondition string          `json:"queryCondition,omitempty"`
	CreatedTime    *Time           `json:"createdTime,omitempty"`
	StartTime      *Time           `json:"startTime,omitempty"`
	EndTime        *Time           `json:"endTime,omitempty"` // once it has ended
	Seconds        int64           `json:"maxExecutionTimeInSeconds,omitempty"`
	Type           JobType         `json:"type"`
	Method         json.RawMessage `json:"cloudToDeviceMethod,omitempty"`
	UpdateTwin     json.RawMessage `json:"updateTwin,omitempty"`
	Status         JobStatus       `json:"status"`
	FailureReason  string          `json:"failureReason,omitempty"`
	StatusMessage  string          `json:"statusMessage,omitempty"`
	Statistics     *JobStatistics  `json:"deviceJobStatistics,omitempty"`
}

// JobStatistics counts the devices of a job, or its modules.
type JobStatistics struct {
	Devices   int `json:"deviceCount"`
	Failed    int `json:"failedCount"`
	Succeeded int `json:"succeededCount"`
	Running   int `json:"runningCount"`
	Pending   int `json:"pendingCount"`
}

// DeviceJob is one device's part of a job: a row of devices.jobs (IoT Hub
// documentation: query language for jobs). Published rows are of devices; that
// one of a module names it by moduleId is known from Microsoft's clients.
type DeviceJob struct {
	DeviceID string    `json:"deviceId"`
	ModuleID string    `json:"moduleId,omitempty"`
	JobID    string    `json:"jobId"`
	Type     JobType   `json:"jobType"`
	Status   JobStatus `json:"status"`
	// Start and End bound the time in which the job may run. Published rows show
	// an End a whole number of seconds behind Start, also of devices that were
	// done long before.
	Start   Time        `json:"startTimeUtc"`
	End     Time        `json:"endTimeUtc"`
	Created Time        `json:"createdDateTimeUtc"`
	Updated Time        `json:"lastUpdatedDateTimeUtc"`
	Outcome JobOutcome  `json:"outcome"`
	Error   *JobProblem `json:"error,omitempty"`
}

// JobOutcome is what a device answered; a job that updates twins has no answer.
type JobOutcome struct {
	Method *MethodResult `json:"deviceMethodResponse"`
}

// JobProblem says why a device's part of a job failed.
type JobProblem struct {
	Code        string `json:"code"` // a name, for example DeviceNotFound
	Description string `json:"description"`
}

// CheckJobID checks the id of a scheduled job: lower-case ASCII letters, digits,
// hyphens and apostrophes. The error is an *Error.
func CheckJobID(id string) error {
	if id == "" || len(id) > MaxJobIDLength {
		return ErrArgumentInvalid.With("the job id has %d characters; it must have 1 to %d", len(id), MaxJobIDLength)
	}
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '\'' {
			return ErrArgumentInvalid.With("the job id contains %q; allowed are a to z, 0 to 9, - and '", r)
		}
	}
	return nil
}
