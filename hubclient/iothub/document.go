package iothub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// Document is the content of a twin section (tags, desired or reported): a JSON
// object whose values are nil, bool, string, json.Number, []any or
// map[string]any. Numbers keep the text they were written with, as IoT Hub
// keeps them: 1.0 comes back as 1.0.
type Document map[string]any

// SyntaxError says where a JSON text stops being JSON. Line and Column count
// from 1; Column counts characters.
type SyntaxError struct {
	Line, Column int
	Message      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// ErrNotObject means a JSON text is valid but not an object.
var ErrNotObject = errors.New("the JSON must be an object")

// ParseDocument reads one JSON object. The error is a *SyntaxError or
// ErrNotObject.
func ParseDocument(data []byte) (Document, error) {
	v, err := ParseValue(data)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, ErrNotObject
	}
	return m, nil
}

// ParseValue reads one JSON value of any kind. The error is a *SyntaxError.
func ParseValue(data []byte) (any, error) {
	if !utf8.Valid(data) { // which encoding/json would replace in silence
		return nil, position(data, invalidUTF8(data), "invalid UTF-8 encoding")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, syntaxError(data, err)
	}
	end := int(d.InputOffset())
	if rest := bytes.TrimLeft(data[end:], " \t\r\n"); len(rest) > 0 {
		return nil, position(data, len(data)-len(rest), "unexpected text after the JSON value")
	}
	return v, nil
}

// invalidUTF8 is the offset of the first byte that is no UTF-8.
func invalidUTF8(data []byte) (offset int) {
	for offset < len(data) {
		r, size := utf8.DecodeRune(data[offset:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		offset += size
	}
	return offset
}

func syntaxError(data []byte, err error) error {
	var s *json.SyntaxError
	switch {
	case errors.As(err, &s):
		at := int(s.Offset) - 1
		return position(data, max(at, 0), strings.TrimPrefix(s.Error(), "json: "))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return position(data, len(data), "unexpected end of JSON")
	default:
		return position(data, 0, err.Error())
	}
}

func position(data []byte, offset int, message string) *SyntaxError {
	before := string(data[:min(offset, len(data))])
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return &SyntaxError{Line: line, Column: column, Message: message}
}

// Clone copies a value of a Document deeply.
func Clone[T any](v T) T {
	c, _ := cloneValue(v).(T)
	return c
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case Document:
		return Document(cloneMap(v))
	case map[string]any:
		return cloneMap(v)
	case []any:
		if v == nil {
			return v
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = cloneValue(e)
		}
		return out
	default:
		return v
	}
}

func cloneMap(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, e := range m {
		out[k] = cloneValue(e)
	}
	return out
}

// Merge applies a patch to a document the way IoT Hub merges twins (developer
// guide, device twins): objects merge member by member, null removes a member,
// everything else, arrays included, replaces. Removing the last member leaves
// an empty object. Neither argument is changed.
func Merge(base, patch Document) Document {
	return mergeMap(base, patch)
}

func mergeMap(base, patch map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(patch))
	maps.Copy(out, base)
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			old, _ := out[k].(map[string]any)
			out[k] = mergeMap(old, v)
		default:
			out[k] = v
		}
	}
	return out
}

// Diff returns the smallest patch that turns from into to: Merge(from,
// Diff(from, to)) equals to. It is empty when they are equal. The one document
// it cannot reach is a member whose value is null, which twins do not have.
func Diff(from, to Document) Document {
	return diffMap(from, to)
}

func diffMap(from, to map[string]any) map[string]any {
	out := map[string]any{}
	for k := range from {
		if _, ok := to[k]; !ok {
			out[k] = nil
		}
	}
	for k, v := range to {
		old, had := from[k]
		oldMap, oldIsMap := old.(map[string]any)
		newMap, newIsMap := v.(map[string]any)
		switch {
		case had && oldIsMap && newIsMap:
			if d := diffMap(oldMap, newMap); len(d) > 0 {
				out[k] = d
			}
		case !had || !identical(old, v):
			out[k] = v
		}
	}
	return out
}

// identical compares as stored: 1 and 1.0 are different texts.
func identical(a, b any) bool {
	return same(a, b, func(a, b json.Number) bool { return a == b })
}

// Equal compares two JSON values by meaning: numbers as numbers (1.0 equals 1),
// text exactly, arrays element by element, objects member by member.
func Equal(a, b any) bool { return same(a, b, equalNumbers) }

func same(a, b any, numbers func(a, b json.Number) bool) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && numbers(a, b)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			w, ok := b[k]
			if !ok || !same(v, w, numbers) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, func(a, b any) bool { return same(a, b, numbers) })
	default:
		switch b.(type) {
		case map[string]any, []any:
			return false
		}
		return a == b
	}
}

// equalNumbers compares exactly. Exponents too large to expand (a text such as
// 1e999999999 would need gigabytes) compare as floating point.
func equalNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	if hugeExponent(a) || hugeExponent(b) {
		x, errX := a.Float64()
		y, errY := b.Float64()
		return errX == nil && errY == nil && x == y
	}
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	return okX && okY && x.Cmp(y) == 0
}

func hugeExponent(n json.Number) bool {
	i := strings.IndexAny(n.String(), "eE")
	return i >= 0 && len(strings.TrimLeft(n.String()[i+1:], "+-0")) > 3
}

// Path names a place in a document, one key a step. Keys of twins never contain
// a dot, so the dotted form is unambiguous.
type Path []string

func (p Path) String() string { return strings.Join(p, ".") }

// ParsePath reads the dotted form.
func ParsePath(s string) Path { return strings.Split(s, ".") }

// Leaf is one value of a document that is not an object with members. An array
// is one leaf, and so is an empty object.
type Leaf struct {
	Path  Path
	Value any
}

// Flatten lists the leaves of a document in the order of their paths.
func Flatten(d Document) []Leaf {
	return flatten(nil, nil, d)
}

func flatten(out []Leaf, at Path, m map[string]any) []Leaf {
	for _, k := range sortedKeys(m) {
		path := append(slices.Clip(at), k)
		if child, ok := m[k].(map[string]any); ok && len(child) > 0 {
			out = flatten(out, path, child)
			continue
		}
		out = append(out, Leaf{Path: path, Value: m[k]})
	}
	return out
}

// Get returns the value at a path, and whether there is one.
func (d Document) Get(p Path) (any, bool) {
	var v any = map[string]any(d)
	for _, k := range p {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[k]; !ok {
			return nil, false
		}
	}
	return v, true
}

// Set puts a value at a path, making objects on the way and replacing what
// stands in it. A nil value stands for removal in a patch.
func (d Document) Set(p Path, value any) {
	m := map[string]any(d)
	for _, k := range p[:len(p)-1] {
		child, ok := m[k].(map[string]any)
		if !ok {
			child = map[string]any{}
			m[k] = child
		}
		m = child
	}
	m[p[len(p)-1]] = value
}

// decodeNumbers is json.Unmarshal with numbers kept as text.
func decodeNumbers(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(into)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
