package devicesim

import (
	"time"

	"twinboard/hubclient/iothub"
)

// State says how a device stands with its hub.
type State string

// The states of a device; see the diagram above the type device.
const (
	Stopped    State = "stopped"
	Connecting State = "connecting"
	Online     State = "online"
	Backoff    State = "backoff"
)

// Connectivities are the networks a device can say it is on, in the words of
// the tutorial's property "connectivity". The first is what a device reports
// unless told otherwise.
var Connectivities = []string{"cellular", "wifi", "ethernet"}

// Patch is a desired patch that a device received and applied.
type Patch struct {
	Time    time.Time
	Version int64           // desired.$version
	Payload iothub.Document // without $version
}

// Status is a snapshot of one device. It is never changed; its documents must
// not be either.
type Status struct {
	// DeviceID names the device, or a module as device/module.
	DeviceID     string
	State        State
	Since        time.Time // when State began
	Connectivity string
	Answers      Answers
	// ConnectivityVersion is reported.$version of the last report the hub
	// accepted, 0 before the first.
	ConnectivityVersion int64

	// Desired is the device's own copy of its desired section, and
	// DesiredVersion its $version; 0 before the twin was first read.
	Desired        iothub.Document
	DesiredVersion int64
	LastPatch      *Patch // nil before the first
	Patches        int    // how many were received since Start

	Problem     *ConnectError // why the last connection failed; nil while all is well
	Attempt     int           // failed attempts in a row
	RetryAt     time.Time     // when Backoff ends
	TokenExpiry time.Time     // of the token of the last connection
}
