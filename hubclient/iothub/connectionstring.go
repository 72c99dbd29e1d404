package iothub

import (
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
)

// ConnectionStringError says what is wrong with a connection string, and never
// repeats a secret.
type ConnectionStringError struct {
	// Problem is one of empty, not-a-pair, unknown-field, duplicate-field,
	// missing-field, bad-key, bad-host, trailing-semicolon.
	Problem string
	Field   string
}

func (e *ConnectionStringError) Error() string {
	switch e.Problem {
	case "empty":
		return "the connection string is empty"
	case "not-a-pair":
		return "the connection string has a part that is not Name=value" + inField(e.Field)
	case "unknown-field":
		return fmt.Sprintf("the connection string has an unknown field %q", e.Field)
	case "duplicate-field":
		return fmt.Sprintf("the connection string has the field %s twice", e.Field)
	case "missing-field":
		return fmt.Sprintf("the connection string lacks %s", e.Field)
	case "bad-key":
		return fmt.Sprintf("the value of %s in the connection string is not base64; was it cut off while copying?", e.Field)
	case "bad-host":
		return "the value of HostName in the connection string must be a host name, with a port if need be, such as name.azure-devices.net"
	case "trailing-semicolon":
		return "the connection string ends with a semicolon; remove it"
	}
	return "the connection string is not valid"
}

func inField(name string) string {
	if name == "" {
		return ""
	}
	return " (part " + name + ")"
}

// ServiceConnectionString is how a back end reaches a hub.
type ServiceConnectionString struct {
	HostName            string // may carry a port
	SharedAccessKeyName string
	SharedAccessKey     string // base64
}

// ParseServiceConnectionString reads
// HostName=…;SharedAccessKeyName=…;SharedAccessKey=… strictly. The error is a
// *ConnectionStringError.
func ParseServiceConnectionString(s string) (ServiceConnectionString, error) {
	f, err := parsePairs(s, "HostName", "SharedAccessKeyName", "SharedAccessKey")
	if err != nil {
		return ServiceConnectionString{}, err
	}
	if err := f.require("HostName", "SharedAccessKeyName", "SharedAccessKey"); err != nil {
		return ServiceConnectionString{}, err
	}
	return ServiceConnectionString{HostName: f["HostName"], SharedAccessKeyName: f["SharedAccessKeyName"], SharedAccessKey: f["SharedAccessKey"]}, nil
}

// String is the connection string with its secret; see Redacted.
func (c ServiceConnectionString) String() string {
	return "HostName=" + c.HostName + ";SharedAccessKeyName=" + c.SharedAccessKeyName + ";SharedAccessKey=" + c.SharedAccessKey
}

// Redacted is the connection string with its key masked.
func (c ServiceConnectionString) Redacted() string { return MaskSecrets(c.String()) }

// DeviceConnectionString is how a device or module reaches a hub.
type DeviceConnectionString struct {
	HostName        string // the name in tokens and user names; may carry the MQTT port
	DeviceID        string
	ModuleID        string // "" for a device
	SharedAccessKey string // base64
	GatewayHostName string // the host to dial instead of HostName, or ""
}

// ParseDeviceConnectionString reads HostName=…;DeviceId=…;SharedAccessKey=…
// with ModuleId and GatewayHostName allowed. The error is a
// *ConnectionStringError.
func ParseDeviceConnectionString(s string) (DeviceConnectionString, error) {
	f, err := parsePairs(s, "HostName", "DeviceId", "ModuleId", "SharedAccessKey", "GatewayHostName")
	if err != nil {
		return DeviceConnectionString{}, err
	}
	if err := f.require("HostName", "DeviceId", "SharedAccessKey"); err != nil {
		return DeviceConnectionString{}, err
	}
	return DeviceConnectionString{
		HostName: f["HostName"], DeviceID: f["DeviceId"], ModuleID: f["ModuleId"],
		SharedAccessKey: f["SharedAccessKey"], GatewayHostName: f["GatewayHostName"],
	}, nil
}

// String is the connection string with its secret, no trailing semicolon:
// Microsoft's Python SDKs refuse one.
func (c DeviceConnectionString) String() string {
	s := "HostName=" + c.HostName + ";DeviceId=" + c.DeviceID
	if c.ModuleID != "" {
		s += ";ModuleId=" + c.ModuleID
	}
	s += ";SharedAccessKey=" + c.SharedAccessKey
	if c.GatewayHostName != "" {
		s += ";GatewayHostName=" + c.GatewayHostName
	}
	return s
}

// Redacted is the connection string with its key masked.
func (c DeviceConnectionString) Redacted() string { return MaskSecrets(c.String()) }

// Resource is what the device signs: host/devices/id, with /modules/id for a
// module.
func (c DeviceConnectionString) Resource() string {
	r := c.HostName + "/devices/" + c.DeviceID
	if c.ModuleID != "" {
		r += "/modules/" + c.ModuleID
	}
	return r
}

type pairs map[string]string

func parsePairs(s string, allowed ...string) (pairs, error) {
	s = strings.TrimSpace(unwrap.Replace(s))
	if s == "" {
		return nil, &ConnectionStringError{Problem: "empty"}
	}
	if strings.HasSuffix(s, ";") {
		return nil, &ConnectionStringError{Problem: "trailing-semicolon"}
	}
	f := pairs{}
	for i, part := range strings.Split(s, ";") {
		// A value may contain '=': base64 padding does.
		name, value, ok := strings.Cut(part, "=")
		switch {
		case !ok:
			return nil, &ConnectionStringError{Problem: "not-a-pair", Field: fmt.Sprint(i + 1)}
		case !slices.Contains(allowed, name):
			return nil, &ConnectionStringError{Problem: "unknown-field", Field: name}
		case hasKey(f, name):
			return nil, &ConnectionStringError{Problem: "duplicate-field", Field: name}
		}
		f[name] = strings.TrimSpace(value)
	}
	return f, f.check()
}

// unwrap undoes what terminals and mail do to a long text that is copied from them.
var unwrap = strings.NewReplacer("\r", "", "\n", "")

func hasKey(f pairs, name string) bool { _, ok := f[name]; return ok }

func (f pairs) require(names ...string) error {
	for _, n := range names {
		if f[n] == "" {
			return &ConnectionStringError{Problem: "missing-field", Field: n}
		}
	}
	return nil
}

func (f pairs) check() error {
	if key, ok := f["SharedAccessKey"]; ok && key != "" {
		if _, err := base64.StdEncoding.DecodeString(key); err != nil {
			return &ConnectionStringError{Problem: "bad-key", Field: "SharedAccessKey"}
		}
	}
	if host, ok := f["HostName"]; ok && (strings.ContainsAny(host, "/ \t?#@") || host != "" && SplitHost(host).Host == "") {
		return &ConnectionStringError{Problem: "bad-host"}
	}
	return nil
}

// HostPort is a HostName taken apart.
type HostPort struct{ Host, Port string }

// SplitHost separates the port, if any, from a HostName.
func SplitHost(hostName string) HostPort {
	if host, port, err := net.SplitHostPort(hostName); err == nil {
		return HostPort{host, port}
	}
	return HostPort{Host: strings.Trim(hostName, "[]")}
}
