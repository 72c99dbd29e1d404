package store

import (
	"encoding/json"
	"fmt"
	"time"

	"twinboard/hubclient/iothub"
)

// Record is a device or module: identity and twin. A record that was read or
// committed is shared by many goroutines and must not be changed.
type Record struct {
	Key int64 // the row; 0 before the first commit
	Identity
	Twin
}

// Identity is who a device or module is.
type Identity struct {
	DeviceID, ModuleID string // ModuleID "" is the device itself
	Generation         string
	IdentityETag       uint64
	Status             string
	StatusReason       string
	StatusUpdated      time.Time
	Authentication     iothub.Authentication
	IoTEdge            bool
	DeviceScope        string
	ParentScopes       []string
	ManagedBy          string // of modules
}

// Twin is what is wanted of a device or module and what it reports.
type Twin struct {
	TwinETag          uint64 // counts the writes of tags and desired
	ModelID           string
	Tags              iothub.Document
	Desired, Reported iothub.Section

	heap heap // as far as it was counted
}

// heap is what the documents of a twin take in memory, as iothub.HeapBytes
// estimates it; 0 is not counted yet.
type heap struct{ tags, desired, reported int }

// count counts what was not counted yet, or is written by an edit.
func (t *Twin) count(e *Edit) heap {
	h := t.heap
	if h.tags == 0 || e.WritesTags() {
		h.tags = t.Tags.HeapBytes()
	}
	if h.desired == 0 || e.WritesDesired() {
		h.desired = t.Desired.Value.HeapBytes()
	}
	if h.reported == 0 || e.Reported != nil {
		h.reported = t.Reported.Value.HeapBytes()
	}
	return h
}

// Version is the version of the whole twin. That it is the sum follows from
// published twins and holds for all of them; the service does not document it.
func (t *Twin) Version() int64 { return int64(t.TwinETag) + t.Reported.Version }

// Memory estimates what a record takes. Metadata takes up to twice what it is of.
func (r *Record) Memory() int {
	h := r.count(&Edit{})
	return 2048 + h.tags + 3*(h.desired+h.reported)
}

// Row is a record with its twin as stored text, for those who need only parts.
type Row struct {
	Key int64
	Identity
	TwinETag          uint64
	ModelID           string
	Tags              []byte
	Desired, Reported RawSection
}

// RawSection is a section as JSON text.
type RawSection struct {
	Value, Metadata []byte
	Version         int64
}

// Version is the version of the whole twin.
func (r *Row) Version() int64 { return int64(r.TwinETag) + r.Reported.Version }

// JSON is the section as a twin shows it, with $metadata and $version.
func (s RawSection) JSON() []byte {
	out := make([]byte, 0, len(s.Value)+len(s.Metadata)+48)
	out = append(out, s.Value[:len(s.Value)-1]...)
	if len(out) > 1 {
		out = append(out, ',')
	}
	out = append(out, `"$metadata":`...)
	out = append(out, s.Metadata...)
	return fmt.Appendf(out, `,"$version":%d}`, s.Version)
}

// setTwin puts a twin in place of the stored one.
func (r *Row) setTwin(t *Twin) {
	r.TwinETag, r.ModelID, r.Tags = t.TwinETag, t.ModelID, textOf(t.Tags)
	r.Desired, r.Reported = rawOf(&t.Desired), rawOf(&t.Reported)
}

func rawOf(s *iothub.Section) RawSection {
	return RawSection{textOf(s.Value), textOf(&s.Metadata), s.Version}
}

// Record decodes the row.
func (r *Row) Record() (*Record, error) {
	rec := &Record{Key: r.Key, Identity: r.Identity}
	rec.TwinETag, rec.ModelID = r.TwinETag, r.ModelID
	var err error
	if rec.Tags, err = iothub.ParseDocument(r.Tags); err != nil {
		return nil, fmt.Errorf("tags of %s: %w", r.DeviceID, err)
	}
	if rec.Desired, err = r.Desired.decode(); err != nil {
		return nil, fmt.Errorf("desired of %s: %w", r.DeviceID, err)
	}
	if rec.Reported, err = r.Reported.decode(); err != nil {
		return nil, fmt.Errorf("reported of %s: %w", r.DeviceID, err)
	}
	rec.heap = rec.count(&Edit{})
	return rec, nil
}

func (s RawSection) decode() (iothub.Section, error) {
	value, err := iothub.ParseDocument(s.Value)
	if err != nil {
		return iothub.Section{}, err
	}
	tree, err := iothub.ParseDocument(s.Metadata)
	if err != nil {
		return iothub.Section{}, fmt.Errorf("metadata: %w", err)
	}
	metadata, err := metadataOf(tree)
	return iothub.Section{Value: value, Metadata: metadata, Version: s.Version}, err
}

// metadataOf builds metadata from its JSON in one pass; decoding through
// iothub.Metadata reads each level again.
func metadataOf(tree map[string]any) (iothub.Metadata, error) {
	var m iothub.Metadata
	for k, v := range tree {
		switch v := v.(type) {
		case string:
			at, err := parseTime(v)
			if err != nil {
				return m, fmt.Errorf("metadata %s: %w", k, err)
			}
			m.LastUpdated.Time = at
		case json.Number:
			n, err := v.Int64()
			if err != nil {
				return m, fmt.Errorf("metadata %s: %w", k, err)
			}
			m.LastUpdatedVersion = n
		case map[string]any:
			child, err := metadataOf(v)
			if err != nil {
				return m, err
			}
			if m.Children == nil {
				m.Children = make(map[string]*iothub.Metadata, len(tree))
			}
			m.Children[k] = &child
		}
	}
	return m, nil
}

// timeLayout has seven digits, like the service; the zero time is the empty text.
const (
	timeLayout = "2006-01-02T15:04:05.0000000Z"
	timeUnit   = 100 * time.Nanosecond // of its last digit
)

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(timeLayout, s)
}
