package iothub

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Topic filters a device subscribes to (IoT Hub documentation: communicate
// using MQTT).
const (
	FilterTwinResponses = "$iothub/twin/res/#"
	FilterDesired       = "$iothub/twin/PATCH/properties/desired/#"
	FilterMethods       = "$iothub/methods/POST/#"
)

const (
	twinGetPrefix      = "$iothub/twin/GET/"
	reportedPrefix     = "$iothub/twin/PATCH/properties/reported/"
	desiredPrefix      = "$iothub/twin/PATCH/properties/desired/"
	twinResponsePrefix = "$iothub/twin/res/"
	methodPrefix       = "$iothub/methods/POST/"
	methodResultPrefix = "$iothub/methods/res/"
)

// FilterMessages is the filter for cloud-to-device messages of a device, or of
// a module when moduleID is not "".
func FilterMessages(deviceID, moduleID string) string {
	if moduleID != "" {
		return "devices/" + deviceID + "/modules/" + moduleID + "/#"
	}
	return "devices/" + deviceID + "/messages/devicebound/#"
}

// FilterInputs is the narrower filter of a module for messages to its inputs.
func FilterInputs(deviceID, moduleID string) string {
	return "devices/" + deviceID + "/modules/" + moduleID + "/inputs/#"
}

// TwinGetTopic asks for the twin. rid comes back with the answer.
func TwinGetTopic(rid string) string { return twinGetPrefix + "?$rid=" + rid }

// ReportedTopic sends a reported patch.
func ReportedTopic(rid string) string { return reportedPrefix + "?$rid=" + rid }

// TwinResponseTopic answers a twin request: $rid is always first, as the C SDK
// needs it. version 0 means no $version.
func TwinResponseTopic(status int, rid string, version int64) string {
	t := twinResponsePrefix + strconv.Itoa(status) + "/?$rid=" + rid
	if version > 0 {
		t += "&$version=" + strconv.FormatInt(version, 10)
	}
	return t
}

// DesiredTopic carries a desired patch to the device.
func DesiredTopic(version int64) string {
	return desiredPrefix + "?$version=" + strconv.FormatInt(version, 10)
}

// MethodTopic calls a direct method on the device.
func MethodTopic(name, rid string) string { return methodPrefix + name + "/?$rid=" + rid }

// TelemetryTopic carries a message of the device to the hub.
func TelemetryTopic(deviceID, moduleID string, properties url.Values) string {
	return telemetryPrefix(deviceID, moduleID) + strings.ReplaceAll(properties.Encode(), "+", "%20")
}

// ParseProperties reads the property bag of a telemetry topic: name=value joined
// by &, both percent-encoded; a plus sign stands for itself. A name without a
// value, which means null, reads like an empty text. What cannot be decoded is
// taken as it is; nil means that there are none.
func ParseProperties(bag string) map[string]string {
	bag = strings.Trim(bag, "/?")
	if bag == "" {
		return nil
	}
	out := map[string]string{}
	for part := range strings.SplitSeq(bag, "&") {
		name, value, _ := strings.Cut(part, "=")
		out[unescape(name)] = unescape(value)
	}
	return out
}

func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// escape is percent-encoding in which a blank is %20: nobody at the other end
// reads a plus sign as one.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func telemetryPrefix(deviceID, moduleID string) string {
	if moduleID != "" {
		return "devices/" + deviceID + "/modules/" + moduleID + "/messages/events/"
	}
	return "devices/" + deviceID + "/messages/events/"
}

// TopicKind says what a device published or received.
type TopicKind string

// What a device publishes, and what it receives.
const (
	TopicTwinGet      TopicKind = "twin-get"
	TopicReported     TopicKind = "reported"
	TopicTelemetry    TopicKind = "telemetry"
	TopicMethodResult TopicKind = "method-result"
	TopicTwinResponse TopicKind = "twin-response"
	TopicDesired      TopicKind = "desired"
)

// Topic is a parsed device topic. Which fields are set depends on Kind.
type Topic struct {
	Kind       TopicKind
	RequestID  string // $rid exactly as sent
	Status     int    // of a twin response or method result
	Version    int64  // $version
	HasVersion bool
	Bag        string // the property bag of telemetry, as sent
}

// ErrTopic means a topic is outside IoT Hub's grammar; the hub ends the
// connection.
var ErrTopic = errors.New("topic outside IoT Hub's grammar")

// maxRequestID is the longest $rid that is taken: the topic of an answer, which
// MQTT bounds, must hold it.
const maxRequestID = math.MaxUint16 - len(twinResponsePrefix+"204/?$rid=&$version=9223372036854775807")

// ParsePublish reads a topic that a device or module publishes.
func ParsePublish(topic, deviceID, moduleID string) (Topic, error) {
	t, err := parsePublish(topic, deviceID, moduleID)
	if err == nil && len(t.RequestID) > maxRequestID {
		err = fmt.Errorf("%w: $rid has %d bytes; %d are allowed", ErrTopic, len(t.RequestID), maxRequestID)
	}
	return t, err
}

func parsePublish(topic, deviceID, moduleID string) (Topic, error) {
	prefix := telemetryPrefix(deviceID, moduleID)
	switch {
	case topic+"/" == prefix:
		return Topic{Kind: TopicTelemetry}, nil
	case strings.HasPrefix(topic, prefix):
		return Topic{Kind: TopicTelemetry, Bag: strings.TrimSuffix(topic[len(prefix):], "/")}, nil
	case strings.HasPrefix(topic, twinGetPrefix):
		t, err := parseParameters(TopicTwinGet, topic[len(twinGetPrefix):])
		if err == nil && t.RequestID == "" {
			err = fmt.Errorf("%w: %s lacks $rid", ErrTopic, topic)
		}
		return t, err
	case strings.HasPrefix(topic, reportedPrefix):
		return parseParameters(TopicReported, topic[len(reportedPrefix):])
	case strings.HasPrefix(topic, methodResultPrefix):
		return parseStatus(TopicMethodResult, topic[len(methodResultPrefix):])
	}
	return Topic{}, fmt.Errorf("%w: %s", ErrTopic, topic)
}

// ParseReceived reads a topic that a hub publishes to a device.
func ParseReceived(topic string) (Topic, error) {
	switch {
	case strings.HasPrefix(topic, desiredPrefix):
		return parseParameters(TopicDesired, topic[len(desiredPrefix):])
	case strings.HasPrefix(topic, twinResponsePrefix):
		return parseStatus(TopicTwinResponse, topic[len(twinResponsePrefix):])
	}
	return Topic{}, fmt.Errorf("%w: %s", ErrTopic, topic)
}

func parseStatus(kind TopicKind, rest string) (Topic, error) {
	status, parameters, ok := strings.Cut(rest, "/")
	n, err := strconv.Atoi(status)
	if !ok || err != nil {
		return Topic{}, fmt.Errorf("%w: status %q", ErrTopic, status)
	}
	t, err := parseParameters(kind, parameters)
	t.Status = n
	return t, err
}

// parseParameters reads "?$rid=…&$version=…". Values are kept as sent: a $rid
// is echoed, never decoded.
func parseParameters(kind TopicKind, rest string) (Topic, error) {
	t := Topic{Kind: kind}
	if rest == "" {
		return t, nil
	}
	query, ok := strings.CutPrefix(rest, "?")
	if !ok {
		return t, fmt.Errorf("%w: %q stands before the parameters", ErrTopic, rest)
	}
	for field := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "$rid":
			t.RequestID = value
		case "$version":
			v, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return t, fmt.Errorf("%w: $version %q is not a number", ErrTopic, value)
			}
			t.Version, t.HasVersion = v, true
		}
	}
	return t, nil
}

// UserName is what a device states about itself in CONNECT.
type UserName struct {
	Host       string // may carry a port
	DeviceID   string
	ModuleID   string
	APIVersion string // "" when the client sent none
	ClientType string
	ModelID    string // plug-and-play model, a dtmi
}

// String builds the MQTT user name: host/device[/module]/?api-version=…
func (u UserName) String() string {
	s := u.Host + "/" + u.DeviceID + "/"
	if u.ModuleID != "" {
		s += u.ModuleID + "/"
	}
	s += "?api-version=" + escape(u.APIVersion)
	if u.ClientType != "" {
		s += "&DeviceClientType=" + escape(u.ClientType)
	}
	if u.ModelID != "" {
		s += "&model-id=" + escape(u.ModelID)
	}
	return s
}

// ErrUserName means an MQTT user name does not name a host and a device.
var ErrUserName = errors.New("the MQTT user name must be host/deviceId/?api-version=…")

// ParseUserName reads an MQTT user name. Ids are not percent-encoded in it and
// may contain '?', so the parameters start at the last "/?", or at "/api-version"
// in old clients.
func ParseUserName(s string) (UserName, error) {
	ids, parameters := s, ""
	if i := strings.LastIndex(s, "/?"); i >= 0 {
		ids, parameters = s[:i], s[i+2:]
	} else if i := strings.LastIndex(s, "/api-version="); i >= 0 {
		ids, parameters = s[:i], s[i+1:]
	}
	parts := strings.Split(strings.TrimSuffix(ids, "/"), "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return UserName{}, ErrUserName
	}
	u := UserName{Host: parts[0], DeviceID: parts[1]}
	if len(parts) == 3 {
		u.ModuleID = parts[2]
	}
	for field := range strings.SplitSeq(parameters, "&") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "api-version":
			u.APIVersion = unescape(value)
		case "DeviceClientType":
			u.ClientType = unescape(value)
		case "model-id":
			u.ModelID = unescape(value)
		}
	}
	return u, nil
}
