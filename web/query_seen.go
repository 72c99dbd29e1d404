package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// How much is looked at for completions and examples.
const (
	seenDevices = 40
	seenWords   = 300
)

// seen is what the twins of a hub hold, as far as a sample shows: which paths,
// and how many devices have each short text there.
type seen struct {
	devices int // looked at
	all     bool
	paths   map[string]int            // as a query spells them → devices that have them
	values  map[string]map[string]int // path → text → devices
	online  int
}

// seenIn looks at some twins of the hub's picture.
func seenIn(h *Hub) *seen {
	list := h.Fleet.List(fleet.Query{Limit: seenDevices})
	status := h.Fleet.Status()
	s := &seen{
		devices: len(list.Devices), all: status.Complete && list.Total == len(list.Devices),
		paths: map[string]int{}, values: map[string]map[string]int{},
	}
	for _, d := range list.Devices {
		if d.Connected {
			s.online++
		}
		t := d.Twin()
		s.look("tags", t.Tags)
		s.look("properties.desired", t.Properties.Desired.Value)
		s.look("properties.reported", t.Properties.Reported.Value)
	}
	return s
}

func (s *seen) look(section string, d iothub.Document) {
	for _, leaf := range iothub.Flatten(d) {
		var path strings.Builder
		path.WriteString(section)
		for _, key := range leaf.Path {
			path.WriteString("." + querySpelling(key))
		}
		s.paths[path.String()]++
		if v, ok := leaf.Value.(string); ok && len(v) <= 40 && !strings.ContainsAny(v, `'\`) {
			if s.values[path.String()] == nil {
				s.values[path.String()] = map[string]int{}
			}
			s.values[path.String()][v]++
		}
	}
}

// words are the paths for the editor to complete, the most frequent first.
func (s *seen) words() []string {
	list := slices.SortedFunc(maps.Keys(s.paths), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.paths[b], s.paths[a]), cmp.Compare(a, b))
	})
	return list[:min(seenWords, len(list))]
}

// plainName is a name that a query can hold without brackets. Short words in it
// are put in brackets as well: some of them are words of the language, and
// brackets are right around any name.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// querySpelling writes a property name for a query.
func querySpelling(name string) string {
	if plainName.MatchString(name) && !slices.Contains(queryWords, strings.ToLower(name)) {
		return name
	}
	return "[[" + name + "]]"
}

// queryWords are the words that a query reads as its own (IoT Hub
// documentation: IoT Hub query language).
var queryWords = strings.Fields("select top from where group by as and or not in nin undefined null true false")

// common is the path below a section with the text that most devices share;
// count is 0 when no device has a text there.
func (s *seen) common(section string) (path, value string, count int) {
	for p, values := range s.values {
		if !strings.HasPrefix(p, section+".") {
			continue
		}
		for v, n := range values {
			better := cmp.Or(cmp.Compare(n, count), -cmp.Compare(p, path), -cmp.Compare(v, value))
			if count == 0 || better > 0 {
				path, value, count = p, v, n
			}
		}
	}
	return path, value, count
}

// queryExamples are three queries that fit the hub. They run only on a click; a
// count stands where the sample was everything there is.
func queryExamples(ctx context.Context, h *Hub, s *seen) []views.QueryExample {
	example := func(id, query string, count int, kv ...any) views.QueryExample {
		e := views.QueryExample{
			ID: id, Title: text.T(ctx, "query.example."+id, kv...), Text: query,
			Href: h.queryPath() + "?" + url.Values{"q": {query}}.Encode(),
		}
		if s.all && count >= 0 {
			e.Count = text.T(ctx, "query.devices", "Count", count)
		}
		return e
	}
	list := []views.QueryExample{example("all", "SELECT * FROM devices", s.devices)}
	if path, value, n := s.common("tags"); n > 0 {
		list = append(list, example("tag", fmt.Sprintf("SELECT * FROM devices WHERE %s = '%s'", path, value), n, "Value", value))
	} else {
		list = append(list, example("online", "SELECT * FROM devices WHERE connectionState = 'Connected'", s.online))
	}
	path, _, n := s.common("properties.reported")
	if n == 0 {
		path = "status"
	}
	query := fmt.Sprintf("SELECT %s AS value, COUNT() AS n FROM devices GROUP BY %s", path, path)
	return append(list, example("group", query, -1, "Path", strings.TrimPrefix(path, "properties.reported.")))
}
