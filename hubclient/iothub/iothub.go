// Package iothub is the vocabulary that a hub and its clients share: device
// twins and how they merge, limits, errors, SAS tokens, connection strings,
// MQTT topics, and how wanted and reported values compare.
//
// Each fact about Azure IoT Hub is written once, here: the client signs what
// the hub verifies, the device parses the topic the hub builds, the form checks
// the limits the hub enforces. The package uses the standard library only, does
// no input or output, and knows neither HTTP nor MQTT libraries.
package iothub

import (
	"context"
	"fmt"
	"time"
)

// APIVersion is the service API version that Twinboard speaks, the current one
// of Microsoft's service SDKs.
const APIVersion = "2021-04-12"

// Values of Twin.Status and Device.Status.
const (
	StatusEnabled  = "enabled"
	StatusDisabled = "disabled"
)

// Values of Twin.ConnectionState and Device.ConnectionState.
const (
	Connected    = "Connected"
	Disconnected = "Disconnected"
)

// Values of the x-ms-item-type header of a query answer. IoT Hub writes them
// capitalised, and the C# SDK parses them with their case.
const (
	ItemTwin        = "Twin"
	ItemRaw         = "Raw"
	ItemDeviceJob   = "DeviceJob"
	ItemJobResponse = "JobResponse"
)

// timeLayout is how IoT Hub prints times: UTC with seven fraction digits.
const timeLayout = "2006-01-02T15:04:05.0000000Z"

// unsetTime is how IoT Hub prints a time that was never set.
const unsetTime = `"0001-01-01T00:00:00Z"`

// Time is a point in time as IoT Hub writes it in JSON. The zero Time is
// written as the year 1, as the service does.
type Time struct{ time.Time }

// MarshalJSON writes UTC with seven fraction digits.
func (t Time) MarshalJSON() ([]byte, error) { return t.Append(nil), nil }

// UnmarshalJSON reads RFC 3339 with any number of fraction digits, with or
// without a zone; the service omits the Z in places.
func (t *Time) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" || s == `""` {
		*t = Time{}
		return nil
	}
	parsed, err := time.Parse(`"`+time.RFC3339Nano+`"`, s)
	if err != nil {
		parsed, err = time.Parse(`"2006-01-02T15:04:05.999999999"`, s)
	}
	if err != nil {
		return fmt.Errorf("%.40s is no time such as 2026-11-22T10:00:00Z", s)
	}
	t.Time = parsed.UTC()
	if t.Year() <= 1 {
		*t = Time{}
	}
	return nil
}

type actionKey struct{}

// WithAction marks everything done under ctx as part of one action of a person,
// so that the wire trace can show just the requests of that action.
func WithAction(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, actionKey{}, id)
}

// ActionFrom returns the action set by WithAction, or "".
func ActionFrom(ctx context.Context) string {
	id, _ := ctx.Value(actionKey{}).(string)
	return id
}
