package web

import (
	"net/url"
	"slices"
	"strings"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
)

// sorts are the orders of the list by their name in the address; a path is one
// too.
var sorts = map[string]string{
	"id": fleet.SortID, "state": fleet.SortState, "since": fleet.SortSince, "connection": fleet.SortConnection,
}

// connections are the filters by connection by their name in the address.
var connections = map[string]string{"online": iothub.Connected, "offline": iothub.Disconnected}

// Bounds of what an address may ask for.
const (
	mostFilters = 6
	mostChosen  = 8 // columns
)

// listing is what the address of the list says: ?q= text, state= one or more,
// conn=, status=, tag.site= and desired.x= and reported.x= one or more each,
// col= paths, sort= (with - for descending; a path too), from= the place of a
// page. Unknown values are as good as none.
type listing struct {
	text    string
	states  []iothub.State
	conn    string // "online", "offline" or ""
	status  string // "enabled", "disabled" or ""
	filters []fleet.Filter
	cols    []string // paths shown as columns
	sort    string   // a key of sorts, or a path
	desc    bool
	from    string
}

func parseListing(q url.Values) listing {
	l := listing{text: strings.TrimSpace(q.Get("q")), from: q.Get("from")}
	for state := range strings.SplitSeq(q.Get("state"), ",") {
		if slices.Contains(iothub.States, iothub.State(state)) && state != string(iothub.DeviceOnly) {
			l.states = append(l.states, iothub.State(state))
		}
	}
	if _, ok := connections[q.Get("conn")]; ok {
		l.conn = q.Get("conn")
	}
	l.status = oneOf(q.Get("status"), iothub.StatusEnabled, iothub.StatusDisabled)
	l.filters = parseFilters(q)
	for _, cols := range q["col"] {
		for _, path := range splitPaths(cols) {
			if fleet.IsPath(path) && !slices.Contains(l.cols, path) && len(l.cols) < mostChosen {
				l.cols = append(l.cols, path)
			}
		}
	}
	l.sort, l.desc = strings.CutPrefix(q.Get("sort"), "-")
	if _, ok := sorts[l.sort]; !ok && !fleet.IsPath(l.sort) {
		l.sort, l.desc = "id", false
	}
	return l
}

// parseFilters reads the filters by path, in the order of their names.
func parseFilters(q url.Values) []fleet.Filter {
	var filters []fleet.Filter
	for name, values := range q {
		if path := filterPath(name); fleet.IsPath(path) {
			filters = append(filters, fleet.Filter{Path: path, Values: slices.Compact(slices.Sorted(slices.Values(values)))})
		}
	}
	slices.SortFunc(filters, func(a, b fleet.Filter) int { return strings.Compare(a.Path, b.Path) })
	return filters[:min(len(filters), mostFilters)]
}

// In an address tags are called tag: tag.site=oslo.
func filterPath(name string) string {
	if rest, ok := strings.CutPrefix(name, "tag."); ok {
		return "tags." + rest
	}
	return name
}

func filterName(path string) string {
	if rest, ok := strings.CutPrefix(path, "tags."); ok {
		return "tag." + rest
	}
	return path
}

// Paths stand in one parameter, apart by commas; a comma in a name is doubled.
func joinPaths(paths []string) string {
	doubled := make([]string, len(paths))
	for i, path := range paths {
		doubled[i] = strings.ReplaceAll(path, ",", ",,")
	}
	return strings.Join(doubled, ",")
}

func splitPaths(s string) []string {
	s = strings.ReplaceAll(s, ",,", "\x00")
	var paths []string
	for path := range strings.SplitSeq(s, ",") {
		paths = append(paths, strings.ReplaceAll(path, "\x00", ","))
	}
	return paths
}

// values are the parameters of the address that shows the listing.
func (l listing) values() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("q", l.text)
	set("conn", l.conn)
	set("status", l.status)
	set("from", l.from)
	set("col", joinPaths(l.cols))
	names := make([]string, len(l.states))
	for i, s := range l.states {
		names[i] = string(s)
	}
	set("state", strings.Join(names, ","))
	for _, f := range l.filters {
		q[filterName(f.Path)] = f.Values
	}
	switch {
	case l.desc:
		set("sort", "-"+l.sort)
	case l.sort != "id":
		set("sort", l.sort)
	}
	return q
}

// href is the address of the listing, changed by with.
func (l listing) href(path string, with func(*listing)) string {
	l.states, l.filters, l.cols = slices.Clone(l.states), slices.Clone(l.filters), slices.Clone(l.cols)
	l.from = "" // another choice begins at its first page
	with(&l)
	if q := l.values().Encode(); q != "" {
		return path + "?" + q
	}
	return path
}

// asked are the values that the listing's filter by a path allows.
func (l listing) asked(path string) []string {
	for _, f := range l.filters {
		if f.Path == path {
			return f.Values
		}
	}
	return nil
}

// toggle adds a value to the filter by a path, or takes it away.
func (l *listing) toggle(path, value string) {
	values := slices.Clone(l.asked(path))
	if i := slices.Index(values, value); i >= 0 {
		values = slices.Delete(values, i, i+1)
	} else {
		values = append(values, value)
	}
	l.without(path)
	if len(values) > 0 {
		l.filters = append(l.filters, fleet.Filter{Path: path, Values: values})
	}
}

// without takes the filter by a path away.
func (l *listing) without(path string) {
	l.filters = slices.DeleteFunc(l.filters, func(f fleet.Filter) bool { return f.Path == path })
}

// unfiltered keeps the columns and the order.
func (l *listing) unfiltered() {
	l.text, l.states, l.conn, l.status, l.filters = "", nil, "", "", nil
}

// here is the address of the very page, its place included.
func (l listing) here(path string) string {
	from := l.from
	return l.href(path, func(l *listing) { l.from = from })
}

func (l listing) query(limit int) fleet.Query {
	sort := l.sort
	if known, ok := sorts[sort]; ok {
		sort = known
	}
	return fleet.Query{
		Text: l.text, States: l.states, Connection: connections[l.conn], Status: l.status, Filters: l.filters,
		Sort: sort, Desc: l.desc, After: l.from, Limit: limit,
	}
}
