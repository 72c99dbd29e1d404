package devicesim

import (
	"slices"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// Kind says what happened to a device.
type Kind string

// The kinds of Event, in the order in which a device usually meets them.
const (
	KindConnecting          Kind = "connecting"           // it dials
	KindConnected           Kind = "connected"            // the hub accepted it
	KindSubscribed          Kind = "subscribed"           // it will get twin answers and desired patches
	KindTwinRead            Kind = "twin-read"            // Payload and Version: the whole desired section
	KindReported            Kind = "reported"             // Payload: what it reported; Version: reported.$version
	KindReportRefused       Kind = "report-refused"       // Payload: what it reported; Text: the hub's reason
	KindPatch               Kind = "patch"                // Payload and Version: a desired patch that it applied
	KindConnectivityChanged Kind = "connectivity-changed" // Text: the new connectivity
	KindDisconnected        Kind = "disconnected"         // Text: why the connection ended
	KindError               Kind = "error"                // Problem or Text: what went wrong
	KindRetry               Kind = "retry"                // Wait: how long it waits before the next attempt
	KindStopped             Kind = "stopped"              // Stop was called
)

// Event is one thing that a device did or met. Which fields are set depends on
// Kind.
type Event struct {
	Time     time.Time
	DeviceID string
	Kind     Kind
	Version  int64           // $version of the section in Payload
	Payload  iothub.Document // values only, without $version; not to be changed
	Text     string          // a detail in English, for experts
	Problem  *ConnectError   // for KindError, KindRetry and a KindDisconnected that nobody wanted
	Wait     time.Duration   // for KindRetry
}

// kept is how many events the feed of a fleet can replay, and keptPerDevice how
// many are kept of each device whatever the others do.
const (
	kept          = 4096
	keptPerDevice = 32
)

// journal keeps the latest events of one device, so that a busy neighbour
// cannot push them out. It outlives a restart of the device.
type journal struct {
	mu    sync.Mutex
	items []feed.Item[Event]
}

func (j *journal) add(item feed.Item[Event]) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.items) == keptPerDevice {
		j.items = slices.Delete(j.items, 0, 1)
	}
	j.items = append(j.items, item)
}

func (j *journal) list() []feed.Item[Event] {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.items)
}
