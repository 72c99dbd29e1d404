package iothub

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The encoder below writes the bytes that encoding/json would, members sorted
// and <, > and & as they are, but in one pass: encoding/json reads again
// whatever a MarshalJSON wrote, once for each level of $metadata, and printing
// a twin is most of what an answer costs a hub.

// appender is what prints itself.
type appender interface {
	AppendJSON(out []byte) ([]byte, error)
}

// EncodeJSON writes JSON as IoT Hub prints it: <, > and & stay as they are.
func EncodeJSON(v any) ([]byte, error) { return AppendJSON(nil, v) }

// AppendJSON appends what EncodeJSON writes.
func AppendJSON(out []byte, v any) ([]byte, error) {
	if a, ok := v.(appender); ok {
		return a.AppendJSON(out)
	}
	b, err := reflectJSON(v)
	return append(out, b...), err
}

func reflectJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// AppendJSON appends the document as EncodeJSON writes it; nil is null. The
// error is that of encoding/json for what a Document cannot hold.
func (d Document) AppendJSON(out []byte) ([]byte, error) { return appendObject(out, d) }

// AppendValue appends a value of a Document as EncodeJSON writes it. The error
// is that of encoding/json for what a Document cannot hold.
func AppendValue(out []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendText(out, v), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	case map[string]any:
		return appendObject(out, v)
	case Document:
		return appendObject(out, v)
	case []any:
		return appendArray(out, v)
	case nil:
		return append(out, "null"...), nil
	case json.Number:
		if digits(v) {
			return append(out, v...), nil
		}
	}
	return AppendJSON(out, v)
}

// digits reports whether a number is one without doubt; encoding/json looks at
// all others.
func digits(n json.Number) bool {
	for i := range len(n) {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return len(n) == 1 || len(n) > 1 && n[0] != '0'
}

func appendObject(out []byte, m map[string]any) ([]byte, error) {
	if m == nil {
		return append(out, "null"...), nil
	}
	var room [roomy]member[any]
	var err error
	out = append(out, '{')
	for i, e := range inOrder(room[:0], m) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, e.name), ':')
		if out, err = AppendValue(out, e.value); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendArray(out []byte, items []any) ([]byte, error) {
	if items == nil {
		return append(out, "null"...), nil
	}
	var err error
	out = append(out, '[')
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = AppendValue(out, item); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// member is one of an object.
type member[V any] struct {
	name  string
	value V
}

func (m member[V]) compareName(name string) int { return strings.Compare(m.name, name) }

// roomy is how many members most objects do not exceed; room for those needs no
// memory of the heap.
const roomy = 12

// inOrder appends the members of an object to room, in the order of their names.
func inOrder[V any](room []member[V], m map[string]V) []member[V] {
	for k, v := range m {
		room = append(room, member[V]{k, v})
	}
	slices.SortFunc(room, func(a, b member[V]) int { return a.compareName(b.name) })
	return room
}

const hexDigits = "0123456789abcdef"

// appendText writes a string: what is no UTF-8 as U+FFFD, and the line
// separators of JavaScript escaped.
func appendText(out []byte, s string) []byte {
	out = append(out, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			out = appendEscape(append(out, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			out = append(append(out, s[start:i]...), `\u`...)
			for shift := 12; shift >= 0; shift -= 4 {
				out = append(out, hexDigits[r>>shift&15])
			}
			start = i + size
		}
		i += size
	}
	return append(append(out, s[start:]...), '"')
}

func appendEscape(out []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(out, '\\', c)
	case '\b':
		return append(out, `\b`...)
	case '\f':
		return append(out, `\f`...)
	case '\n':
		return append(out, `\n`...)
	case '\r':
		return append(out, `\r`...)
	case '\t':
		return append(out, `\t`...)
	}
	return append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// Append appends the time as MarshalJSON writes it.
func (t Time) Append(out []byte) []byte {
	if t.IsZero() {
		return append(out, unsetTime...)
	}
	return append(t.UTC().AppendFormat(append(out, '"'), timeLayout), '"')
}

const (
	lastUpdated        = "$lastUpdated"
	lastUpdatedVersion = "$lastUpdatedVersion"
)

// AppendJSON appends $lastUpdated, $lastUpdatedVersion and the children, all in
// the order of their names. It never fails.
func (m *Metadata) AppendJSON(out []byte) ([]byte, error) { return m.append(out), nil }

func (m *Metadata) append(out []byte) []byte {
	var room [roomy]member[*Metadata]
	children := inOrder(room[:0], m.Children)
	own, _ := slices.BinarySearchFunc(children, lastUpdated, member[*Metadata].compareName)
	out = append(out, '{')
	for _, c := range children[:own] { // few characters sort before the dollar sign
		out = append(appendChild(out, c), ',')
	}
	out = append(out, `"`+lastUpdated+`":`...)
	out = m.LastUpdated.Append(out)
	if m.LastUpdatedVersion > 0 {
		out = append(out, `,"`+lastUpdatedVersion+`":`...)
		out = strconv.AppendInt(out, m.LastUpdatedVersion, 10)
	}
	for _, c := range children[own:] {
		out = appendChild(append(out, ','), c)
	}
	return append(out, '}')
}

func appendChild(out []byte, c member[*Metadata]) []byte {
	return c.value.append(append(appendText(out, c.name), ':'))
}

// AppendJSON appends the values, then $metadata and $version, as the service
// prints them.
func (s Section) AppendJSON(out []byte) ([]byte, error) { return s.append(out, true) }

func (s Section) append(out []byte, metadata bool) ([]byte, error) {
	out, err := appendObject(out, orEmpty(s.Value))
	if err != nil {
		return nil, err
	}
	out = out[:len(out)-1]
	if len(s.Value) > 0 {
		out = append(out, ',')
	}
	if metadata {
		out = append(s.Metadata.append(append(out, `"$metadata":`...)), ',')
	}
	out = append(out, `"$version":`...)
	return append(strconv.AppendInt(out, s.Version, 10), '}'), nil
}

// twinRoom is enough for most twins.
const twinRoom = 2 << 10

// AppendJSON appends the twin in the order of the service.
func (t Twin) AppendJSON(out []byte) ([]byte, error) {
	var err error
	out = t.appendHead(slices.Grow(out, twinRoom))
	if len(t.Tags) > 0 {
		if out, err = appendObject(append(out, tagsBegin...), t.Tags); err != nil {
			return nil, err
		}
	}
	if out, err = t.Properties.Desired.AppendJSON(append(out, desiredBegin...)); err != nil {
		return nil, err
	}
	if out, err = t.Properties.Reported.AppendJSON(append(out, reportedBegin...)); err != nil {
		return nil, err
	}
	return t.appendTail(out), nil
}

// TwinTexts are the documents of a twin as they stand in its JSON: Tags alone
// may be empty and are left out then, Desired and Reported have their $metadata
// and $version.
type TwinTexts struct{ Tags, Desired, Reported []byte }

// AppendTexts appends the twin with documents that are printed already in place
// of its own.
func (t Twin) AppendTexts(out []byte, texts TwinTexts) []byte {
	out = slices.Grow(out, 512+len(texts.Tags)+len(texts.Desired)+len(texts.Reported))
	out = t.appendHead(out)
	if len(texts.Tags) > 0 {
		out = append(append(out, tagsBegin...), texts.Tags...)
	}
	out = append(append(out, desiredBegin...), texts.Desired...)
	out = append(append(out, reportedBegin...), texts.Reported...)
	return t.appendTail(out)
}

// What stands before the documents of a twin.
const (
	tagsBegin     = `,"tags":`
	desiredBegin  = `,"properties":{"desired":`
	reportedBegin = `,"reported":`
)

// appendTail writes what comes behind the documents.
func (t *Twin) appendTail(out []byte) []byte {
	out = append(out, `},"capabilities":{"iotEdge":`...)
	out = append(strconv.AppendBool(out, t.Capabilities.IoTEdge), '}')
	out = appendMember(out, "deviceScope", t.DeviceScope)
	for i, scope := range t.ParentScopes {
		if i == 0 {
			out = append(out, `,"parentScopes":[`...)
		} else {
			out = append(out, ',')
		}
		out = appendText(out, scope)
	}
	if len(t.ParentScopes) > 0 {
		out = append(out, ']')
	}
	return append(out, '}')
}

// appendHead writes what comes before the documents.
func (t *Twin) appendHead(out []byte) []byte {
	out = appendText(append(out, `{"deviceId":`...), t.DeviceID)
	out = appendMember(out, "moduleId", t.ModuleID)
	out = appendText(append(out, `,"etag":`...), string(t.ETag))
	out = appendMember(out, "deviceEtag", string(t.DeviceETag))
	out = appendText(append(out, `,"status":`...), t.Status)
	out = appendMember(out, "statusReason", t.StatusReason)
	out = t.StatusUpdateTime.Append(append(out, `,"statusUpdateTime":`...))
	out = appendText(append(out, `,"connectionState":`...), t.ConnectionState)
	out = t.LastActivityTime.Append(append(out, `,"lastActivityTime":`...))
	out = append(out, `,"cloudToDeviceMessageCount":`...)
	out = strconv.AppendInt(out, int64(t.CloudToDeviceMessageCount), 10)
	out = appendText(append(out, `,"authenticationType":`...), t.AuthenticationType)
	out = appendOptional(append(out, `,"x509Thumbprint":{"primaryThumbprint":`...), t.X509Thumbprint.Primary)
	out = appendOptional(append(out, `,"secondaryThumbprint":`...), t.X509Thumbprint.Secondary)
	out = appendText(append(out, `},"modelId":`...), t.ModelID)
	return strconv.AppendInt(append(out, `,"version":`...), t.Version, 10)
}

// appendMember writes a member behind others, unless it is empty.
func appendMember(out []byte, name, value string) []byte {
	if value == "" {
		return out
	}
	out = append(append(append(out, `,"`...), name...), `":`...)
	return appendText(out, value)
}

func appendOptional(out []byte, value *string) []byte {
	if value == nil {
		return append(out, "null"...)
	}
	return appendText(out, *value)
}
