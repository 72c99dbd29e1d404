package iothub

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ChangeKind says what a Change is about.
type ChangeKind string

// The kinds of change a local hub announces.
const (
	ChangeIdentity   ChangeKind = "identity"
	ChangeConnection ChangeKind = "connection"
	ChangeTags       ChangeKind = "tags"
	ChangeDesired    ChangeKind = "desired"
	ChangeReported   ChangeKind = "reported"
	ChangeTelemetry  ChangeKind = "telemetry"
	ChangeMethod     ChangeKind = "method"
	// ChangeDelivered comes when the desired properties of SectionVersion, and so
	// all before them, were written to a device's connection: as a patch, or in
	// the twin the device asked for. It comes once for a version.
	ChangeDelivered ChangeKind = "delivered"
)

// Values of Change.Operation.
const (
	OperationCreate  = "create"
	OperationUpdate  = "update"
	OperationReplace = "replace"
	OperationDelete  = "delete"
)

// Change is one event of a local hub's change feed, an extension of ours: what
// changed, from what, and who did it. A write of tags and desired together is
// two changes with the same etag.
type Change struct {
	Time      time.Time  `json:"time"`
	DeviceID  string     `json:"deviceId"`
	ModuleID  string     `json:"moduleId,omitempty"`
	Kind      ChangeKind `json:"kind"`
	Operation string     `json:"operation,omitempty"`
	// Patch is what was sent, removals as null. For ChangeIdentity it holds
	// status, for ChangeConnection connectionState.
	Patch Document `json:"patch,omitempty"`
	// Old holds the values that Patch replaced, leaf by leaf.
	Old Document `json:"old,omitempty"`
	// SectionVersion is $version of desired or reported after the change; of
	// desired for ChangeDelivered.
	SectionVersion int64 `json:"sectionVersion,omitempty"`
	// Version and ETag are those of the whole twin after the change.
	Version int64  `json:"version,omitempty"`
	ETag    ETag   `json:"etag,omitempty"`
	Policy  string `json:"policy,omitempty"` // the policy that wrote, or
	Device  string `json:"device,omitempty"` // the device that wrote
	// Job is the id of the scheduled job that wrote or called, with the Policy
	// that scheduled it.
	Job string `json:"job,omitempty"`
	// Telemetry is set for ChangeTelemetry.
	Telemetry *Telemetry `json:"telemetry,omitempty"`
	// Method is set for ChangeMethod, which comes when the call has ended.
	Method *MethodCall `json:"method,omitempty"`
}

// Weight estimates what a change takes in memory, in bytes.
func (c Change) Weight() int {
	n := 512 + c.Patch.HeapBytes() + c.Old.HeapBytes()
	if t := c.Telemetry; t != nil {
		n += len(t.Body) + heapOfMap(len(t.Properties))
		for name, value := range t.Properties {
			n += heapOfText(name) + heapOfText(value)
		}
	}
	if m := c.Method; m != nil {
		n += len(m.Payload) + len(m.Answer)
	}
	return n
}

// MethodCall is a direct method that a service called on a device, and what
// became of it. Cut says that Payload, Answer or both are only the beginning.
type MethodCall struct {
	Name    string `json:"name"`
	Payload string `json:"payload,omitempty"` // JSON
	Status  int    `json:"status,omitempty"`  // the device's answer,
	Answer  string `json:"answer,omitempty"`  // JSON
	Error   string `json:"error,omitempty"`   // or why there is none, for example DeviceNotOnline
	Cut     bool   `json:"cut,omitempty"`
}

// UnmarshalJSON keeps the numbers of Patch and Old verbatim.
func (c *Change) UnmarshalJSON(b []byte) error {
	type plain Change
	if err := decodeNumbers(b, (*plain)(c)); err != nil {
		return fmt.Errorf("change: %w", err)
	}
	return nil
}

// Telemetry is one device-to-cloud message.
type Telemetry struct {
	Properties map[string]string `json:"properties,omitempty"`
	Body       string            `json:"body"`
	Base64     bool              `json:"base64,omitempty"` // Body is base64 because it is not text
	Size       int               `json:"size"`             // of the whole body, in bytes
	// Whole is set when Body is only the beginning: the whole can be read under
	// this id, GET /changes/bodies/{id}, while the hub keeps it.
	Whole string `json:"whole,omitempty"`
}

// Cursor is a place in a change feed. An id means something only within its
// epoch, which ends when the hub forgets its ids.
type Cursor struct {
	Epoch string
	ID    uint64
}

func (c Cursor) String() string { return c.Epoch + "-" + strconv.FormatUint(c.ID, 10) }

// ParseCursor reads what String writes; ok is false for anything else.
func ParseCursor(s string) (c Cursor, ok bool) {
	epoch, id, found := strings.Cut(s, "-")
	n, err := strconv.ParseUint(id, 10, 64)
	if !found || epoch == "" || err != nil {
		return Cursor{}, false
	}
	return Cursor{Epoch: epoch, ID: n}, true
}

// Replaced returns the values of base that patch overwrites or removes, in the
// shape of the patch: what an undo needs. A member that is new is null in it.
func Replaced(base, patch Document) Document { return replaced(base, patch) }

func replaced(base, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range patch {
		old, had := base[k]
		oldMap, oldIsMap := old.(map[string]any)
		newMap, newIsMap := v.(map[string]any)
		switch {
		case !had && v != nil:
			out[k] = nil
		case oldIsMap && newIsMap:
			out[k] = replaced(oldMap, newMap)
		case had:
			out[k] = cloneValue(old)
		}
	}
	return out
}

// WireEntry is one request or packet that really crossed the wire, for the
// panels that show people what happens. Secrets are masked.
type WireEntry struct {
	Time     time.Time
	Action   string // the action it belongs to (WithAction), or ""
	Protocol string // "HTTP" or "MQTT"
	DeviceID string // the device that sent or received it, or ""
	Outgoing bool   // sent by us; for HTTP always true: request and answer are one entry

	// HTTP
	Method, URL     string
	RequestHeaders  []string // "Name: value"
	RequestBody     string
	Status          int
	ResponseHeaders []string
	ResponseBody    string
	Duration        time.Duration
	Err             string // why there was no answer

	// MQTT
	Packet  string // CONNECT, CONNACK, SUBSCRIBE, PUBLISH …
	Topic   string
	Payload string
	QoS     byte
}
