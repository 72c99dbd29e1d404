package fleet

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"twinboard/hubclient/iothub"
)

// sections are the parts of a twin that paths lead into, by the first step of a
// path: tags.site, desired.interval, reported.firmware.version.
var sections = map[string][]string{
	"tags": {"tags"}, "desired": {"properties", "desired"}, "reported": {"properties", "reported"},
}

// IsPath reports whether a text is a path into tags, desired or reported.
func IsPath(s string) bool {
	first, rest, _ := strings.Cut(s, ".")
	return sections[first] != nil && rest != ""
}

// steps are the names that lead to a path in a twin's JSON.
func steps(path string) []string {
	first, rest, _ := strings.Cut(path, ".")
	return slices.Concat(sections[first], iothub.ParsePath(rest))
}

// lookup finds the JSON text of a value in that of a twin, empty when there is none.
func lookup(raw []byte, path []string) []byte {
	found, _ := iothub.Lookup(raw, path) // a hub's answer that was decoded before is whole
	return found
}

// PathInfo is a path that some twins have.
type PathInfo struct {
	Path    string
	Count   int    // devices that have a value there
	Example string // the value of one of them, as text
}

// Paths lists the paths of all values in the picture, in their order.
func (f *Fleet) Paths() []PathInfo {
	f.interest.touch(f.now())
	p := f.picture
	p.mu.RLock()
	samples := maps.Clone(p.paths)
	p.mu.RUnlock()
	out := make([]PathInfo, 0, len(samples))
	for path, s := range samples {
		v, _ := valueOf(lookup(s.raw, steps(path)))
		out = append(out, PathInfo{Path: path, Count: s.count, Example: v.text})
	}
	slices.SortFunc(out, func(a, b PathInfo) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// sample counts the devices that have a path; raw is a twin that had it.
type sample struct {
	count int
	raw   []byte
}

// shape is the list of paths that a twin has. Devices of one kind share theirs.
type shape struct {
	paths []string
	count int
}

// pathsOf lists the paths of a twin's values, in their order.
func pathsOf(t *iothub.Twin) []string {
	var paths []string
	add := func(section string, d iothub.Document) {
		for _, leaf := range iothub.Flatten(d) {
			paths = append(paths, section+"."+leaf.Path.String())
		}
	}
	add("desired", t.Properties.Desired.Value)
	add("reported", t.Properties.Reported.Value)
	add("tags", t.Tags)
	slices.Sort(paths) // a name may hold what sorts before a dot
	return paths
}

// reshape gives an entry the shape that others with its paths have, and counts
// it instead of the entry's it replaces; the lock is held.
func (p *picture) reshape(e, old *entry) {
	if old != nil && slices.Equal(old.shape.paths, e.shape.paths) {
		e.shape = old.shape
		return
	}
	key := strings.Join(e.shape.paths, "\x00")
	if known := p.shapes[key]; known != nil {
		e.shape = known
	} else {
		p.shapes[key] = e.shape
	}
	e.shape.count++
	for _, path := range e.shape.paths {
		p.paths[path] = sample{count: p.paths[path].count + 1, raw: e.raw}
	}
	if old != nil {
		p.unshape(old)
	}
}

// unshape no longer counts an entry; the lock is held.
func (p *picture) unshape(e *entry) {
	for _, path := range e.shape.paths {
		s := p.paths[path]
		if s.count--; s.count > 0 {
			p.paths[path] = s
		} else {
			delete(p.paths, path)
		}
	}
	if e.shape.count--; e.shape.count == 0 {
		delete(p.shapes, strings.Join(e.shape.paths, "\x00"))
	}
}

// kind orders values of different kinds.
type kind uint8

const (
	number kind = iota
	words       // texts, and whatever else as JSON
)

// value is what stands at a path of a twin. A text is as it is, without quotes;
// anything else is JSON.
type value struct {
	text   string
	kind   kind
	quoted bool // a text of JSON
	number float64
}

// longestValue bounds the texts that lists show, filter and sort by, in bytes.
const longestValue = 256

// valueOf reads the JSON of a value; false when there is none.
func valueOf(raw []byte) (v value, ok bool) {
	if len(raw) == 0 {
		return value{}, false
	}
	v = value{text: string(raw), kind: words}
	switch c := raw[0]; {
	case c == '"':
		v.quoted = true
		v.text = unquote(raw)
	case c == '-' || c >= '0' && c <= '9':
		if f, err := json.Number(v.text).Float64(); err == nil {
			v.kind, v.number = number, f
		}
	case c == '{' || c == '[':
		var b bytes.Buffer
		if json.Compact(&b, raw) == nil {
			v.text = b.String()
		}
	}
	v.text = shortText(v.text)
	return v, true
}

func shortText(s string) string {
	if len(s) <= longestValue {
		return s
	}
	s = s[:longestValue]
	for !utf8.ValidString(s) && s != "" {
		s = s[:len(s)-1]
	}
	return strings.Clone(s) + "…"
}

func unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return string(raw)
	}
	return s
}
