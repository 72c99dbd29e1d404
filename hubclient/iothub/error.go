package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is what a hub answers when it refuses: a name, IoT Hub's six-digit
// number, the HTTP status and a text for people.
type Error struct {
	Code       string // IoT Hub's name, for example DeviceNotFound
	Number     int    // IoT Hub's number, for example 404001; 0 if unknown
	Status     int    // HTTP status
	Message    string
	TrackingID string // the hub's reference for support, may be empty
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Is makes errors.Is compare by code: errors.Is(err, ErrDeviceNotFound).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// The refusals of IoT Hub that Twinboard knows. Names, numbers and statuses are
// those of Microsoft's "Troubleshoot IoT Hub error codes" and of the C# SDK.
var (
	ErrDeviceNotFound       = &Error{Code: "DeviceNotFound", Number: 404001, Status: 404}
	ErrModuleNotFound       = &Error{Code: "ModuleNotFound", Number: 404010, Status: 404}
	ErrDeviceNotOnline      = &Error{Code: "DeviceNotOnline", Number: 404103, Status: 404}
	ErrJobNotFound          = &Error{Code: "JobNotFound", Number: 404002, Status: 404}
	ErrJobAlreadyExists     = &Error{Code: "JobAlreadyExists", Number: 409104, Status: 409}
	ErrDeviceAlreadyExists  = &Error{Code: "DeviceAlreadyExists", Number: 409001, Status: 409}
	ErrModuleAlreadyExists  = &Error{Code: "ModuleAlreadyExistsOnDevice", Number: 409301, Status: 409}
	ErrPreconditionFailed   = &Error{Code: "PreconditionFailed", Number: 412001, Status: 412}
	ErrJobRunPrecondition   = &Error{Code: "JobRunPreconditionFailed", Number: 412003, Status: 412}
	ErrArgumentInvalid      = &Error{Code: "ArgumentInvalid", Number: 400004, Status: 400}
	ErrArgumentNull         = &Error{Code: "ArgumentNull", Number: 400005, Status: 400}
	ErrFormat               = &Error{Code: "IotHubFormatError", Number: 400006, Status: 400}
	ErrGenericBadRequest    = &Error{Code: "GenericBadRequest", Number: 400000, Status: 400}
	ErrInvalidVersion       = &Error{Code: "InvalidProtocolVersion", Number: 400001, Status: 400}
	ErrInvalidOperation     = &Error{Code: "InvalidOperation", Number: 400003, Status: 400}
	ErrDeserialization      = &Error{Code: "DeserializationError", Number: 400012, Status: 400}
	ErrBulkFailure          = &Error{Code: "BulkRegistryOperationFailure", Number: 400013, Status: 400}
	ErrDefinedTwice         = &Error{Code: "DeviceDefinedMultipleTimes", Number: 400011, Status: 400}
	ErrETagDoesNotMatch     = &Error{Code: "EtagDoesNotMatch", Number: 400023, Status: 400}
	ErrUnauthorizedAccess   = &Error{Code: "IotHubUnauthorizedAccess", Number: 401002, Status: 401}
	ErrUnauthorized         = &Error{Code: "IotHubUnauthorized", Number: 401003, Status: 401}
	ErrHubNotFound          = &Error{Code: "IotHubNotFound", Number: 401001, Status: 401}
	ErrQuotaExceeded        = &Error{Code: "IotHubQuotaExceeded", Number: 403002, Status: 403}
	ErrDeviceDisabled       = &Error{Code: "DeviceDisabled", Number: 403012, Status: 403}
	ErrNotAvailableInTier   = &Error{Code: "OperationNotAvailableInCurrentTier", Number: 403010, Status: 403}
	ErrMessageTooLarge      = &Error{Code: "MessageTooLarge", Number: 413001, Status: 413}
	ErrTooManyDevices       = &Error{Code: "TooManyDevices", Number: 413002, Status: 413}
	ErrTooManyModules       = &Error{Code: "TooManyModulesOnDevice", Number: 413003, Status: 413}
	ErrThrottling           = &Error{Code: "ThrottlingException", Number: 429001, Status: 429}
	ErrTooManyJobs          = &Error{Code: "ThrottlingMaxActiveJobCountExceeded", Number: 429004, Status: 429}
	ErrServerError          = &Error{Code: "ServerError", Number: 500001, Status: 500}
	ErrBadDeviceResponse    = &Error{Code: "BadDeviceResponse", Number: 0, Status: 502}
	ErrServiceUnavailable   = &Error{Code: "ServiceUnavailable", Number: 503001, Status: 503}
	ErrGatewayTimeout       = &Error{Code: "GatewayTimeout", Number: 504101, Status: 504}
	ErrResourceNotFound     = &Error{Code: "ResourceNotFound", Number: 0, Status: 404}
	ErrMethodNotAllowed     = &Error{Code: "MethodNotAllowed", Number: 0, Status: 405}
	ErrNotInCurrentState    = &Error{Code: "OperationNotAllowedInCurrentState", Number: 0, Status: 405}
	ErrRequestEntityTooLong = &Error{Code: "RequestEntityTooLarge", Number: 413004, Status: 413}
)

var known = []*Error{
	ErrDeviceNotFound, ErrModuleNotFound, ErrDeviceNotOnline, ErrJobNotFound,
	ErrJobAlreadyExists, ErrJobRunPrecondition, ErrTooManyJobs, ErrNotInCurrentState,
	ErrDeviceAlreadyExists, ErrModuleAlreadyExists, ErrPreconditionFailed,
	ErrArgumentInvalid, ErrArgumentNull, ErrFormat, ErrGenericBadRequest,
	ErrInvalidVersion, ErrInvalidOperation, ErrDeserialization, ErrBulkFailure, ErrDefinedTwice, ErrETagDoesNotMatch,
	ErrUnauthorizedAccess, ErrUnauthorized, ErrHubNotFound, ErrQuotaExceeded,
	ErrDeviceDisabled, ErrNotAvailableInTier, ErrMessageTooLarge,
	ErrTooManyDevices, ErrTooManyModules, ErrThrottling, ErrServerError, ErrBadDeviceResponse, ErrServiceUnavailable,
	ErrGatewayTimeout, ErrResourceNotFound, ErrMethodNotAllowed,
	ErrRequestEntityTooLong,
}

// With returns the same refusal with a text of its own.
func (e *Error) With(format string, args ...any) *Error {
	c := *e
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// AsError finds the refusal in an error chain. Anything else is a ServerError
// without a text, because outsiders never see internal text.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if limit, ok := errors.AsType[*LimitError](err); ok {
		return ErrArgumentInvalid.With("%s", limit.Error())
	}
	return ErrServerError
}

// envelope is the body of a refused service request. SDKs read the code out of
// Message: everything between "ErrorCode:" and the first semicolon.
type envelope struct {
	Message          string `json:"Message"`
	ExceptionMessage string `json:"ExceptionMessage"`
}

// DeviceErrorBody is the body of a refused twin request over MQTT and of some
// service errors. Node's device SDK notices a failure only by errorCode.
type DeviceErrorBody struct {
	ErrorCode    int    `json:"errorCode"`
	Message      string `json:"message"`
	TrackingID   string `json:"trackingId"`
	TimestampUTC Time   `json:"timestampUtc"`
	Info         any    `json:"info"`
}

// ServiceBody is the JSON body of the refusal for the service API.
func (e *Error) ServiceBody(tracking string) []byte {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Status)
	}
	b, _ := EncodeJSON(envelope{
		Message:          "ErrorCode:" + e.Code + ";" + text,
		ExceptionMessage: "Tracking ID:" + tracking,
	})
	return b
}

// DeviceBody is the JSON body of the refusal over MQTT.
func (e *Error) DeviceBody(tracking string, at time.Time) []byte {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.Status)
	}
	b, _ := EncodeJSON(DeviceErrorBody{ErrorCode: e.Number, Message: text, TrackingID: tracking, TimestampUTC: Time{at}})
	return b
}

// NestedBody is the form that direct methods have for what becomes of the call:
// the body for devices, as a text, within that of the service API. (Measured on
// the real service.)
func (e *Error) NestedBody(tracking string, at time.Time) []byte {
	b, _ := EncodeJSON(envelope{Message: string(e.DeviceBody(tracking, at))})
	return b
}

// ParseError turns a refused answer into an *Error: header is the value of
// iothub-errorcode, body may be anything.
func ParseError(status int, header string, body []byte) *Error {
	e := &Error{Status: status, Code: header}
	var env envelope
	// encoding/json ignores case, so the body with errorCode goes first.
	if !e.readDeviceBody(body) && json.Unmarshal(body, &env) == nil && env.Message != "" {
		e.readEnvelope(env)
	}
	if e.Code == "" {
		e.Code = codeOfStatus(status)
	}
	if k := knownByCode(e.Code); k != nil && e.Number == 0 {
		e.Number = k.Number
	}
	return e
}

func (e *Error) readEnvelope(env envelope) {
	e.TrackingID = strings.TrimPrefix(env.ExceptionMessage, "Tracking ID:")
	rest, ok := strings.CutPrefix(env.Message, "ErrorCode:")
	if !ok {
		// Some refusals nest the other body inside Message.
		if !e.readDeviceBody([]byte(env.Message)) {
			e.Message = env.Message
		}
		return
	}
	code, text, _ := strings.Cut(rest, ";")
	if e.Code == "" {
		e.Code = code
	}
	e.Message = text
}

func (e *Error) readDeviceBody(body []byte) bool {
	var b DeviceErrorBody
	if json.Unmarshal(body, &b) != nil || b.ErrorCode == 0 {
		return false
	}
	e.Number, e.Message, e.TrackingID = b.ErrorCode, b.Message, b.TrackingID
	if e.Code == "" {
		if k := knownByNumber(b.ErrorCode); k != nil {
			e.Code = k.Code
		}
	}
	return true
}

func knownByCode(code string) *Error {
	for _, k := range known {
		if k.Code == code {
			return k
		}
	}
	return nil
}

func knownByNumber(n int) *Error {
	for _, k := range known {
		if k.Number == n {
			return k
		}
	}
	return nil
}

// codeOfStatus names an answer that carries no code, for example one of a
// proxy: the first refusal of that status, otherwise the plain HTTP status.
func codeOfStatus(status int) string {
	switch status {
	case 400:
		return ErrGenericBadRequest.Code
	case 401:
		return ErrUnauthorizedAccess.Code
	case 404:
		return ErrResourceNotFound.Code
	case 412:
		return ErrPreconditionFailed.Code
	case 429:
		return ErrThrottling.Code
	case 503:
		return ErrServiceUnavailable.Code
	}
	return "HTTP" + strconv.Itoa(status)
}
