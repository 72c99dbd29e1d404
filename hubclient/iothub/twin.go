package iothub

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ETag is the version of a twin or identity as it stands in a body: never
// quoted. In headers IoT Hub and its SDKs quote it; see ETag.Header and
// ParseIfMatch.
type ETag string

// Any matches every version ("*" in If-Match).
const Any ETag = "*"

// TwinETag encodes a twin's write counter the way IoT Hub does: eight bytes,
// big-endian, in base64; 1 is AAAAAAAAAAE=. (Measured on the real service.)
func TwinETag(counter uint64) ETag {
	return ETag(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, counter)))
}

// DeviceETag encodes an identity's etag: base64 of decimal digits. (Measured on
// the real service.)
func DeviceETag(n uint64) ETag {
	return ETag(base64.StdEncoding.EncodeToString(strconv.AppendUint(nil, n, 10)))
}

// Header quotes the tag for If-Match; SDKs quote even the star.
func (e ETag) Header() string { return `"` + string(e) + `"` }

// ParseIfMatch reads an If-Match header: quoted or bare, with or without W/.
// An absent header gives "". An empty tag keeps its quotation marks: it is a
// condition, and one that nothing meets.
func ParseIfMatch(header string) ETag {
	s := strings.TrimPrefix(strings.TrimSpace(header), "W/")
	if len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return ETag(s)
}

// Matches reports whether a condition allows a write to an object whose
// present tag is current: no condition and Any always do.
func (e ETag) Matches(current ETag) bool {
	return e == "" || e == Any || e == current
}

// Twin is a device or module twin as the service API shows it.
type Twin struct {
	DeviceID                  string         `json:"deviceId"`
	ModuleID                  string         `json:"moduleId,omitempty"`
	ETag                      ETag           `json:"etag"`
	DeviceETag                ETag           `json:"deviceEtag,omitempty"`
	Status                    string         `json:"status"`
	StatusReason              string         `json:"statusReason,omitempty"`
	StatusUpdateTime          Time           `json:"statusUpdateTime"`
	ConnectionState           string         `json:"connectionState"`
	LastActivityTime          Time           `json:"lastActivityTime"`
	CloudToDeviceMessageCount int            `json:"cloudToDeviceMessageCount"`
	AuthenticationType        string         `json:"authenticationType"`
	X509Thumbprint            X509Thumbprint `json:"x509Thumbprint"`
	ModelID                   string         `json:"modelId"`
	// Version moves with every write of tags, desired or reported.
	Version      int64        `json:"version"`
	Tags         Document     `json:"tags,omitempty"`
	Properties   Properties   `json:"properties"`
	Capabilities Capabilities `json:"capabilities"`
	DeviceScope  string       `json:"deviceScope,omitempty"`
	ParentScopes []string     `json:"parentScopes,omitempty"`
}

// Properties holds what is wanted and what the device says.
type Properties struct {
	Desired  Section `json:"desired"`
	Reported Section `json:"reported"`
}

// X509Thumbprint holds certificate thumbprints; null unless X.509 is used.
type X509Thumbprint struct {
	Primary   *string `json:"primaryThumbprint"`
	Secondary *string `json:"secondaryThumbprint"`
}

// Capabilities of an identity.
type Capabilities struct {
	IoTEdge bool `json:"iotEdge"`
}

// UnmarshalJSON reads a twin and keeps the numbers of its tags verbatim.
func (t *Twin) UnmarshalJSON(b []byte) error {
	type plain Twin
	aux := struct {
		*plain
		Tags json.RawMessage `json:"tags"`
	}{plain: (*plain)(t)}
	if err := json.Unmarshal(b, &aux); err != nil {
		return err
	}
	t.Tags = nil
	if len(aux.Tags) == 0 || string(aux.Tags) == "null" {
		return nil
	}
	tags, err := ParseDocument(aux.Tags)
	if err != nil {
		return fmt.Errorf("tags: %w", err)
	}
	t.Tags = tags
	return nil
}

// Metadata holds when a place of a section was last written. It mirrors the
// tree of values: a node for each object and each leaf; arrays are leaves.
type Metadata struct {
	LastUpdated Time
	// LastUpdatedVersion is the section's $version at that write. The service
	// keeps it for desired only; 0 means absent.
	LastUpdatedVersion int64
	Children           map[string]*Metadata
}

// MarshalJSON writes $lastUpdated, $lastUpdatedVersion and the children.
func (m *Metadata) MarshalJSON() ([]byte, error) { return m.append(nil), nil }

// UnmarshalJSON is the reverse of MarshalJSON.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*m = Metadata{}
	for k, v := range raw {
		var err error
		switch k {
		case "$lastUpdated":
			err = json.Unmarshal(v, &m.LastUpdated)
		case "$lastUpdatedVersion":
			err = json.Unmarshal(v, &m.LastUpdatedVersion)
		default:
			c := new(Metadata)
			if err = json.Unmarshal(v, c); err == nil {
				m.child(k, c)
			}
		}
		if err != nil {
			return fmt.Errorf("$metadata %s: %w", k, err)
		}
	}
	return nil
}

func (m *Metadata) child(k string, c *Metadata) {
	if m.Children == nil {
		m.Children = map[string]*Metadata{}
	}
	m.Children[k] = c
}

// At returns the node of a path, or the nearest one above it.
func (m *Metadata) At(p Path) *Metadata {
	for _, k := range p {
		c := m.Children[k]
		if c == nil {
			break
		}
		m = c
	}
	return m
}

// Section is desired or reported: the values, when each was written, and the
// section's version.
type Section struct {
	Value    Document
	Metadata Metadata
	Version  int64
}

// NewSection is the section of a fresh twin.
func NewSection(at time.Time) Section {
	return Section{Value: Document{}, Metadata: Metadata{LastUpdated: Time{at}}, Version: 1}
}

// MarshalJSON writes the values, then $metadata and $version, as the service
// prints them.
func (s Section) MarshalJSON() ([]byte, error) { return s.append(nil, true) }

// DeviceJSON is the section as a device reads it: the values, then $version, no
// $metadata.
func (s Section) DeviceJSON() ([]byte, error) { return s.append(nil, false) }

// UnmarshalJSON is the reverse of MarshalJSON. Both $ members may be absent.
func (s *Section) UnmarshalJSON(b []byte) error {
	doc, err := ParseDocument(b)
	if err != nil {
		return err
	}
	var head struct {
		Metadata Metadata `json:"$metadata"`
		Version  int64    `json:"$version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	delete(doc, "$metadata")
	delete(doc, "$version")
	*s = Section{Value: doc, Metadata: head.Metadata, Version: head.Version}
	return nil
}

// orEmpty makes nil print as an object.
func orEmpty(d Document) Document {
	if d == nil {
		return Document{}
	}
	return d
}

// Patch merges a patch into the section, stamps what it wrote and every object
// above it, and moves the version. With versions, as desired has them, the
// stamps carry the new version.
func (s Section) Patch(patch Document, at time.Time, versions bool) Section {
	next := Section{Value: Merge(s.Value, patch), Version: s.Version + 1}
	stamp := Metadata{LastUpdated: Time{at}}
	if versions {
		stamp.LastUpdatedVersion = next.Version
	}
	next.Metadata = *stampPatch(&s.Metadata, patch, stamp)
	return next
}

func stampPatch(old *Metadata, patch map[string]any, stamp Metadata) *Metadata {
	next := stamp
	for k, c := range old.Children {
		next.child(k, c)
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(next.Children, k)
		case map[string]any:
			was := old.Children[k]
			if was == nil {
				was = &Metadata{}
			}
			next.child(k, stampPatch(was, v, stamp))
		default:
			leaf := stamp
			next.child(k, &leaf)
		}
	}
	return &next
}

// Replace makes doc the whole section. It also returns what a connected device
// is told: the new document plus a null for each member that vanished, as IoT
// Hub sends it. Nested members that vanish are told as nested nulls, which is
// our choice: the service's answer is not documented.
func (s Section) Replace(doc Document, at time.Time, versions bool) (Section, Document) {
	doc = withoutNulls(doc)
	told := withVanished(s.Value, doc)
	next := Section{Value: Document{}, Version: s.Version}.Patch(doc, at, versions)
	return next, told
}

func withoutNulls(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		switch v := v.(type) {
		case nil:
		case map[string]any:
			out[k] = withoutNulls(v)
		default:
			out[k] = v
		}
	}
	return out
}

func withVanished(old, doc map[string]any) map[string]any {
	out := make(map[string]any, len(doc))
	for k, v := range doc {
		was, wasMap := old[k].(map[string]any)
		if is, isMap := v.(map[string]any); wasMap && isMap {
			v = withVanished(was, is)
		}
		out[k] = v
	}
	for k := range old {
		if _, ok := doc[k]; !ok {
			out[k] = nil
		}
	}
	return out
}

// TwinPatch is what a service may write of a twin: the body of PATCH (merge)
// and PUT (replace). A nil section is absent; an empty one is present.
type TwinPatch struct {
	Tags, Desired Document
	// ClearTags and ClearDesired stand for {"tags":null} and
	// {"properties":{"desired":null}}: the section is emptied. What the service
	// does with these is not documented; emptying is our choice.
	ClearTags, ClearDesired bool
}

// Empty reports whether the patch has no section at all.
func (p TwinPatch) Empty() bool {
	return p.Tags == nil && p.Desired == nil && !p.ClearTags && !p.ClearDesired
}

// MarshalJSON writes the sections that are present.
func (p TwinPatch) MarshalJSON() ([]byte, error) {
	out := map[string]any{}
	if p.Tags != nil {
		out["tags"] = p.Tags
	} else if p.ClearTags {
		out["tags"] = nil
	}
	if p.Desired != nil {
		out["properties"] = map[string]any{"desired": p.Desired}
	} else if p.ClearDesired {
		out["properties"] = map[string]any{"desired": nil}
	}
	return EncodeJSON(out)
}

// ParseTwinPatch reads the body of a twin PATCH or PUT. SDKs send whole twins
// back, so every read-only member is ignored, the $metadata and $version inside
// desired too. The error is a *SyntaxError, ErrNotObject or a *SectionError.
func ParseTwinPatch(body []byte) (TwinPatch, error) {
	doc, err := ParseDocument(body)
	if err != nil {
		return TwinPatch{}, err
	}
	var p TwinPatch
	p.Tags, p.ClearTags, err = sectionOf(doc, "tags", SectionTags)
	if err != nil {
		return TwinPatch{}, err
	}
	switch properties := doc["properties"].(type) {
	case nil:
	case map[string]any:
		p.Desired, p.ClearDesired, err = sectionOf(properties, "desired", SectionDesired)
	default:
		err = &SectionError{Name: "properties"}
	}
	if err != nil {
		return TwinPatch{}, err
	}
	if p.Desired != nil {
		delete(p.Desired, "$metadata")
		delete(p.Desired, "$version")
	}
	return p, nil
}

// SectionError means that tags, properties or desired is not an object.
type SectionError struct{ Name SectionName }

func (e *SectionError) Error() string { return string(e.Name) + " must be a JSON object" }

func sectionOf(m map[string]any, key string, name SectionName) (doc Document, cleared bool, err error) {
	v, present := m[key]
	if !present {
		return nil, false, nil
	}
	switch v := v.(type) {
	case nil:
		return nil, true, nil
	case map[string]any:
		return v, false, nil
	default:
		return nil, false, &SectionError{Name: name}
	}
}
