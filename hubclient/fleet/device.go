package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"twinboard/hubclient/iothub"
)

// Device is a row of the picture: what lists show at once, and the twin on
// demand.
type Device struct {
	ID    string
	State iothub.State
	// Since is when the state began; zero when nothing is wanted.
	Since     time.Time
	Wanted    int // settings that are wanted
	Differing int // those of them that need a look
	Counts    map[iothub.State]int
	Connected bool
	Enabled   bool
	Version   int64
	// LastActivity is when the device last spoke, as far as the picture knows.
	LastActivity time.Time
	// ReadAt is when this twin was known to be current: read, or changed by the
	// feed.
	ReadAt time.Time

	entry *entry
}

// Twin decodes the device's twin.
func (d Device) Twin() *iothub.Twin {
	t, err := decode(d.entry.raw)
	if err != nil {
		return &iothub.Twin{DeviceID: d.ID} // cannot be: it was decoded before it was kept
	}
	if d.LastActivity.After(t.LastActivityTime.Time) {
		t.LastActivityTime = iothub.Time{Time: d.LastActivity}
	}
	return t
}

// Value is what the device has at a path, as text; ok is false when it has
// nothing there.
func (d Device) Value(path string) (text string, ok bool) {
	v, ok := d.entry.value(path, steps(path))
	return v.text, ok
}

// DesiredVersion is the version of the desired properties, without decoding the
// twin; 0 for unknown.
func (d Device) DesiredVersion() int64 {
	n, _ := strconv.ParseInt(string(lookup(d.entry.raw, []string{"properties", "desired", "$version"})), 10, 64) // "" is unknown
	return n
}

// Identity is the device's id with the tag of its identity.
func (d Device) Identity() Identity {
	v, _ := valueOf(lookup(d.entry.raw, []string{"deviceEtag"}))
	return Identity{ID: d.ID, ETag: iothub.ETag(v.text)}
}

// Paths are the paths of the device's values, in their order.
func (d Device) Paths() []string { return d.entry.shape.paths }

// entry is a twin in the picture. It is not changed but replaced, except for
// pass, which the picture's lock guards, and activity. What every list looks at
// comes first, so that it shares a line of the processor's cache.
type entry struct {
	id        string
	search    string   // id and values in lower case, NUL between
	since     int64    // Unix nanoseconds, 0 when nothing is wanted
	head      [16]byte // of the id: telling two apart seldom needs more
	wanted    int32
	state     uint8 // rank
	connected bool
	enabled   bool

	raw      []byte // the twin as JSON, decoded when it is needed
	shape    *shape // shared with those that have the same paths, once in the picture
	version  int64
	readAt   int64
	due      int64 // when a grace time ends and the state may change; 0 never
	activity atomic.Int64
	counts   [10]uint16 // by rank of state

	pass  uint64 // the fill that saw it
	index int    // its place in the picture's list
}

// newEntry judges a twin at a time and packs it. raw must be the twin's JSON.
func newEntry(t *iothub.Twin, raw []byte, readAt, now time.Time, grace time.Duration) *entry {
	drift := iothub.Compare(t, iothub.DriftOptions{Now: now, Grace: grace})
	e := &entry{
		id: t.DeviceID, raw: raw, search: searchText(t), shape: &shape{paths: pathsOf(t)},
		version: t.Version, readAt: readAt.UnixNano(), due: dueAfter(drift, now, grace),
		wanted: int32(drift.Wanted), state: uint8(drift.State.Rank()),
		connected: t.ConnectionState == iothub.Connected, enabled: t.Status != iothub.StatusDisabled,
	}
	copy(e.head[:], e.id)
	if !drift.Since.IsZero() {
		e.since = drift.Since.UnixNano()
	}
	if at := t.LastActivityTime.Time; !at.IsZero() {
		e.activity.Store(at.UnixNano())
	}
	for state, n := range drift.Counts {
		e.counts[state.Rank()] = uint16(n)
	}
	return e
}

// dueAfter is when the first of the waiting settings has waited for its grace
// time: no other state depends on the time.
func dueAfter(d iothub.Drift, now time.Time, grace time.Duration) int64 {
	var due int64
	for _, s := range d.Settings {
		if s.State != iothub.Waiting && s.State != iothub.WaitingOffline {
			continue
		}
		end := s.Since.Add(grace)
		if at := end.UnixNano(); end.After(now) && (due == 0 || at < due) {
			due = at
		}
	}
	return due
}

func (e *entry) device() Device {
	d := Device{
		ID: e.id, State: iothub.States[e.state], Wanted: int(e.wanted), Counts: map[iothub.State]int{},
		Connected: e.connected, Enabled: e.enabled, Version: e.version,
		Since: unixTime(e.since), LastActivity: unixTime(e.activity.Load()), ReadAt: unixTime(e.readAt), entry: e,
	}
	for rank, n := range e.counts {
		if n == 0 {
			continue
		}
		state := iothub.States[rank]
		d.Counts[state] = int(n)
		if state.NeedsLook() {
			d.Differing += int(n)
		}
	}
	return d
}

// compareID orders entries by id. The heads, filled up with zeros, are ordered as
// the ids are.
func (e *entry) compareID(o *entry) int {
	if by := bytes.Compare(e.head[:], o.head[:]); by != 0 {
		return by
	}
	return strings.Compare(e.id, o.id)
}

// looksLike reports whether a list would show both the same.
func (e *entry) looksLike(o *entry) bool {
	return e.version == o.version && e.state == o.state && e.since == o.since &&
		e.connected == o.connected && e.enabled == o.enabled
}

func unixTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func decode(raw []byte) (*iothub.Twin, error) {
	t := new(iothub.Twin)
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("twin: %w", err)
	}
	if t.DeviceID == "" {
		return nil, fmt.Errorf("twin: no deviceId")
	}
	return t, nil
}

// searchText is what a search looks through: the id and every value of tags and
// properties, in lower case.
func searchText(t *iothub.Twin) string {
	var b strings.Builder
	b.WriteString(t.DeviceID)
	writeValues(&b, map[string]any(t.Tags))
	writeValues(&b, map[string]any(t.Properties.Desired.Value))
	writeValues(&b, map[string]any(t.Properties.Reported.Value))
	return strings.ToLower(b.String())
}

func writeValues(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			writeValues(b, member)
		}
	case []any:
		for _, element := range v {
			writeValues(b, element)
		}
	case nil:
	default:
		b.WriteByte(0)
		fmt.Fprint(b, v)
	}
}
