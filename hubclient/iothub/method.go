package iothub

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Bounds of a direct method's two times (IoT Hub developer guide: direct
// methods).
const (
	MinMethodResponse     = 5 * time.Second
	MaxMethodResponse     = 300 * time.Second
	DefaultMethodResponse = 30 * time.Second
	MaxMethodConnect      = 300 * time.Second
)

// MaxMethodName is how long a direct method's name may be. The documentation
// gives no length: it is our choice.
const MaxMethodName = 128

// MethodRequest is a direct method to be called on a device or module.
type MethodRequest struct {
	Name    string
	Payload json.RawMessage // JSON; nil is null
	// Connect is how long to wait for a device that is not there, 0 not to wait;
	// Response how long for its answer, 0 for DefaultMethodResponse. Both count
	// in whole seconds, and Connect must not be more than Response.
	Connect, Response time.Duration
}

// MarshalJSON writes the request as the service API takes it.
func (r MethodRequest) MarshalJSON() ([]byte, error) {
	if r.Response == 0 {
		r.Response = DefaultMethodResponse
	}
	if r.Payload == nil {
		r.Payload = json.RawMessage("null")
	}
	return EncodeJSON(struct {
		Name     string          `json:"methodName"`
		Payload  json.RawMessage `json:"payload"`
		Response int             `json:"responseTimeoutInSeconds"`
		Connect  int             `json:"connectTimeoutInSeconds"`
	}{r.Name, r.Payload, int(r.Response / time.Second), int(r.Connect / time.Second)})
}

// MethodResult is a device's answer to a direct method: a status of its own
// choice and JSON. A device refuses with a status; that it gave no answer is an
// error of the call instead.
type MethodResult struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

// MethodNameError says what is wrong with a direct method's name: it is empty,
// holds Character, or, when that is "", is too long.
type MethodNameError struct{ Name, Character string }

func (e *MethodNameError) Error() string {
	switch {
	case e.Name == "":
		return "methodName must not be empty"
	case e.Character != "":
		return fmt.Sprintf("methodName contains %q, which is not allowed", e.Character)
	}
	return fmt.Sprintf("methodName is longer than %d characters", MaxMethodName)
}

// CheckMethodName keeps names out that would not survive in a topic. That a name
// is printable ASCII without these characters follows the documentation of
// direct methods; # and + are our choice. The error is a *MethodNameError.
func CheckMethodName(name string) error {
	if name == "" || len(name) > MaxMethodName {
		return &MethodNameError{Name: name}
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || strings.ContainsRune(`$()<>@,;:\"/[]?={}#+`, r) {
			return &MethodNameError{Name: name, Character: string(r)}
		}
	}
	return nil
}
