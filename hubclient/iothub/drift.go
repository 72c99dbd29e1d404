package iothub

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// State says how a wanted setting stands. There are ten, and every part of the
// product uses these and no others.
type State string

// The ten states.
const (
	InSync         State = "in-sync"         // values equal, and the acknowledgement, if any, is 200 and current
	Waiting        State = "waiting"         // wanted is newer than the last answer, connected, grace time not over
	WaitingOffline State = "waiting-offline" // wanted is newer than the last answer, not connected
	Applying       State = "applying"        // acknowledgement 202 for the current version
	Rejected       State = "rejected"        // acknowledgement 4xx or 5xx for the current version
	Differs        State = "differs"         // values differ and grace time is over, or done with another value
	TypeDiffers    State = "type"            // equal after reading text as number or boolean
	Silent         State = "silent"          // wanted, grace time over, never reported
	DeviceOnly     State = "device-only"     // reported, not wanted
	Expected       State = "expected"        // differs, but a rule accepts it
)

// States lists the states of a whole device in the order that decides: the
// first that occurs among its settings is the device's. DeviceOnly, last, is
// never a device's state.
var States = []State{Rejected, Differs, TypeDiffers, Silent, Applying, Waiting, WaitingOffline, Expected, InSync, DeviceOnly}

// Rank is the state's place in States: smaller needs attention first.
func (s State) Rank() int { return slices.Index(States, s) }

// NeedsLook reports whether a person should look: the four states that do not
// heal by themselves.
func (s State) NeedsLook() bool {
	return s == Rejected || s == Differs || s == TypeDiffers || s == Silent
}

// DefaultGrace is how long a device may take to answer before a difference
// counts as one.
const DefaultGrace = 60 * time.Second

// Acknowledgement is what a plug-and-play device reports about a wanted value:
// {"value":…,"ac":200,"av":3,"ad":"…"} (IoT Plug and Play conventions).
type Acknowledgement struct {
	Code    int    // ac, HTTP-like
	Version int64  // av, the desired $version answered
	Text    string // ad
}

// Setting is one leaf of a twin: wanted, reported or both.
type Setting struct {
	Path        Path
	State       State
	Desired     any // valid if HasDesired
	Reported    any // valid if HasReported; an acknowledgement is unwrapped
	HasDesired  bool
	HasReported bool
	// Since is when the state began, not when it was computed.
	Since time.Time
	// Asked is when the wanted value was written and AskedVersion the $version of
	// desired it was written with; Answered when the device last spoke of it, zero
	// when it never did.
	Asked, Answered time.Time
	AskedVersion    int64
	// Ack is the device's acknowledgement, nil if it gave none. AckCurrent says
	// whether it answers the present wanted value.
	Ack        *Acknowledgement
	AckCurrent bool
}

// Drift is how a twin stands.
type Drift struct {
	// Settings are in the order of attention: by state, then by path.
	Settings []Setting
	// State is the device's state; InSync when nothing is wanted.
	State State
	// Since is when the device's state began: the oldest of its settings in
	// that state.
	Since  time.Time
	Wanted int // settings that are wanted
	Counts map[State]int
}

// Differing counts the wanted settings that need a look.
func (d Drift) Differing() int {
	return d.Counts[Rejected] + d.Counts[Differs] + d.Counts[TypeDiffers] + d.Counts[Silent]
}

// DriftOptions are what a comparison depends on beside the twin.
type DriftOptions struct {
	Now   time.Time
	Grace time.Duration // 0 means DefaultGrace
	// Expected accepts a difference at a path; nil accepts none.
	Expected func(Path) bool
}

// Compare sets wanted against reported, leaf by leaf. It is the one function
// behind lists, pages and sentences, so they never disagree.
func Compare(t *Twin, o DriftOptions) Drift {
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	c := comparison{twin: t, options: o, covered: map[string]bool{}}
	d := Drift{Counts: map[State]int{}, State: InSync}
	for _, leaf := range Flatten(t.Properties.Desired.Value) {
		if isComponentMarker(leaf) {
			continue
		}
		d.Settings = append(d.Settings, c.wanted(leaf))
		d.Wanted++
	}
	d.Settings = append(d.Settings, c.deviceOnly()...)
	d.summarise()
	return d
}

func (d *Drift) summarise() {
	slices.SortStableFunc(d.Settings, func(a, b Setting) int {
		return cmp.Or(cmp.Compare(a.State.Rank(), b.State.Rank()), slices.Compare(a.Path, b.Path))
	})
	for _, s := range d.Settings {
		d.Counts[s.State]++
		if !s.HasDesired {
			continue
		}
		switch {
		case d.Since.IsZero() || s.State.Rank() < d.State.Rank():
			d.State, d.Since = s.State, s.Since
		case s.State == d.State && earlier(s.Since, d.Since, s.State):
			d.Since = s.Since
		}
	}
}

// earlier picks the oldest of what is wrong, but the newest of what is right:
// a device is in sync since its last setting came right.
func earlier(a, b time.Time, s State) bool {
	if s == InSync {
		return a.After(b)
	}
	return a.Before(b)
}

type comparison struct {
	twin    *Twin
	options DriftOptions
	covered map[string]bool // reported paths that a wanted setting answers for
}

// wanted judges one wanted leaf.
func (c *comparison) wanted(leaf Leaf) Setting {
	s := Setting{Path: leaf.Path, Desired: leaf.Value, HasDesired: true}
	r := c.find(leaf.Path)
	s.Reported, s.HasReported, s.Ack = r.value, r.found, r.ack
	asked := c.twin.Properties.Desired.Metadata.At(leaf.Path)
	answered := c.twin.Properties.Reported.Metadata.LastUpdated.Time
	s.Asked, s.AskedVersion = asked.LastUpdated.Time, asked.LastUpdatedVersion
	if r.found {
		c.covered[r.path.String()] = true
		answered = c.twin.Properties.Reported.Metadata.At(r.path).LastUpdated.Time
		s.Answered = answered
	}
	s.AckCurrent = r.ack != nil && r.ack.Version >= asked.LastUpdatedVersion
	s.State = c.state(&s, asked.LastUpdated.Time, answered)
	s.Since = since(s, asked.LastUpdated.Time, answered)
	return s
}

// state follows the table of states; asked and answered are when the wanted
// value was written and when the device last spoke of it (or at all, if it
// never reported this path).
func (c *comparison) state(s *Setting, asked, answered time.Time) State {
	equal := s.HasReported && Equal(s.Desired, s.Reported)
	if s.AckCurrent {
		switch {
		case s.Ack.Code == 202:
			return Applying
		case s.Ack.Code >= 400:
			return Rejected
		case equal:
			return InSync
		}
		return c.different(s)
	}
	graceOver := c.options.Now.Sub(asked) >= c.options.Grace
	online := c.twin.ConnectionState == Connected
	stale := s.Ack != nil // an older acknowledgement proves nothing about the new value
	switch {
	case equal && (!stale || graceOver):
		// A stale acknowledgement with the right value: once the grace time is
		// over, the values speak. A difference nobody can see is none.
		return InSync
	case !online && (answered.Before(asked) || !graceOver):
		return WaitingOffline
	case !graceOver:
		return Waiting
	case !s.HasReported:
		return c.accepted(s, Silent)
	}
	return c.different(s)
}

func (c *comparison) different(s *Setting) State {
	if equalAsText(s.Desired, s.Reported) {
		return c.accepted(s, TypeDiffers)
	}
	return c.accepted(s, Differs)
}

func (c *comparison) accepted(s *Setting, state State) State {
	if c.options.Expected != nil && c.options.Expected(s.Path) {
		return Expected
	}
	return state
}

func since(s Setting, asked, answered time.Time) time.Time {
	switch s.State {
	case Waiting, WaitingOffline, Silent:
		return asked
	case Applying, Rejected:
		return answered
	}
	if s.HasReported && answered.After(asked) {
		return answered
	}
	return asked
}

// equalAsText reports whether a text on one side reads as the number or boolean
// on the other.
func equalAsText(a, b any) bool {
	text, other := a, b
	if _, ok := a.(string); !ok {
		text, other = b, a
	}
	s, ok := text.(string)
	if !ok {
		return false
	}
	switch other := other.(type) {
	case json.Number:
		v, err := ParseValue([]byte(s))
		n, isNumber := v.(json.Number)
		return err == nil && isNumber && equalNumbers(n, other)
	case bool:
		return s == strconv.FormatBool(other)
	}
	return false
}

type reportedLeaf struct {
	value any
	found bool
	path  Path // where metadata of the value stands
	ack   *Acknowledgement
}

// find walks to the reported value of a wanted path and unwraps an
// acknowledgement on the way.
func (c *comparison) find(p Path) reportedLeaf {
	var r reportedLeaf
	var v any = map[string]any(c.twin.Properties.Reported.Value)
	for i := 0; ; i++ {
		if i > 0 {
			if ack, inner, ok := Unwrap(v); ok {
				r.ack, v = ack, inner
				r.path = append(slices.Clip(r.path), "value")
			}
		}
		if i == len(p) {
			r.value, r.found = v, true
			return r
		}
		m, ok := v.(map[string]any)
		if !ok {
			return reportedLeaf{}
		}
		if v, ok = m[p[i]]; !ok {
			return reportedLeaf{}
		}
		r.path = append(slices.Clip(r.path), p[i])
	}
}

// AcknowledgementAt is what reported properties, or a patch of them, say about a
// wanted path; nil when they hold no acknowledgement of it.
func AcknowledgementAt(reported Document, p Path) *Acknowledgement {
	t := &Twin{}
	t.Properties.Reported.Value = reported
	return (&comparison{twin: t}).find(p).ack
}

// Unwrap recognises an acknowledgement, an object with an integer ac, a value
// and an integer av, and returns it and the value.
func Unwrap(v any) (*Acknowledgement, any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, nil, false
	}
	value, hasValue := m["value"]
	code, okCode := integer(m["ac"])
	version, okVersion := integer(m["av"])
	if !hasValue || !okCode || !okVersion {
		return nil, nil, false
	}
	text, _ := m["ad"].(string)
	return &Acknowledgement{Code: int(code), Version: version, Text: text}, value, true
}

func integer(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return i, err == nil
}

// deviceOnly lists the reported leaves that no wanted setting answers for.
func (c *comparison) deviceOnly() []Setting {
	return c.onlyReported(nil, nil, nil, c.twin.Properties.Reported.Value)
}

func (c *comparison) onlyReported(out []Setting, shown, at Path, m map[string]any) []Setting {
	for _, k := range sortedKeys(m) {
		path, show := append(slices.Clip(at), k), append(slices.Clip(shown), k)
		value := m[k]
		ack, inner, isAck := Unwrap(value)
		if isAck {
			path, value = append(slices.Clip(path), "value"), inner
		}
		if c.covered[path.String()] || isComponentMarker(Leaf{Path: path, Value: value}) {
			continue
		}
		if child, ok := value.(map[string]any); ok && len(child) > 0 {
			out = c.onlyReported(out, show, path, child)
			continue
		}
		at := c.twin.Properties.Reported.Metadata.At(path).LastUpdated.Time
		out = append(out, Setting{Path: show, State: DeviceOnly, Reported: value, HasReported: true, Since: at, Ack: ack})
	}
	return out
}

// isComponentMarker recognises "__t":"c", which marks a plug-and-play component
// and is no setting.
func isComponentMarker(l Leaf) bool {
	return l.Path[len(l.Path)-1] == "__t" && l.Value == "c"
}
