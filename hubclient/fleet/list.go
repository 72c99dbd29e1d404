package fleet

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
)

// The orders of a list. Rows that are equal in it are ordered by id.
const (
	SortID         = "id"
	SortState      = "state"      // what needs attention first
	SortSince      = "since"      // longest in its state first; devices without a wanted value last
	SortConnection = "connection" // connected first
)

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// Query says which devices to list, in which order, and where to begin.
type Query struct {
	// Text must occur in the id or in a value of tags or properties; case does
	// not matter.
	Text string
	// States are those of which a device must be in one; nil allows all.
	States []iothub.State
	// Connection is iothub.Connected, iothub.Disconnected or "" for both.
	Connection string
	// Status is iothub.StatusEnabled, iothub.StatusDisabled or "" for both.
	Status string
	// Filters must all hold.
	Filters []Filter
	// Facets are paths whose values are counted.
	Facets []string
	// Kinds, if not 0, spares the values of a facet that has more than so many,
	// unless a filter asks for some of them: Facet.Values is nil then.
	Kinds int
	Sort  string // one of the Sort constants or a path; SortID by default
	Desc  bool
	// After is Next or Prev of a page of the same order, "" for the first page.
	After string
	Limit int // rows a page, 50 by default, at most 1000
}

// Filter asks for devices that have one of the values, as text, at a path. The
// value "" also stands for devices that have nothing there.
type Filter struct {
	Path   string
	Values []string
}

// mostPaths bounds the paths that one query filters, counts and sorts by; those
// beyond are ignored.
const mostPaths = 16

// Page is a part of a list. Rows that change while one pages may move to
// another page, but none is moved by others.
type Page struct {
	Devices []Device
	Total   int // devices that match
	Known   int // devices in the picture
	Offset  int // matching devices before the first of the page
	Next    string
	Prev    string
	// States counts the matching devices by state as if no states were asked
	// for, Connections by connection state as if none was, and so Statuses and
	// Facets: what choosing another one would bring.
	States      map[iothub.State]int
	Connections map[string]int
	Statuses    map[string]int
	Facets      []Facet
	// AllStates counts every device of the picture by state.
	AllStates map[iothub.State]int
}

// Identity names a device of a list, with the tag its identity had then: for a
// change of it that must not meet another.
type Identity struct {
	ID   string
	ETag iothub.ETag
}

// Matching are all devices that match a query, in its order, whatever its page.
func (f *Fleet) Matching(q Query) []Identity {
	f.interest.touch(f.now())
	q = q.bounded()
	q.After, q.Facets, q.Limit = "", nil, f.picture.len()+1
	page, _ := f.picture.page(q, nil)
	all := make([]Identity, len(page.Devices))
	for i, d := range page.Devices {
		all[i] = d.Identity()
	}
	return all
}

// bounded leaves out what is no path, or one too many.
func (q Query) bounded() Query {
	q.Filters = slices.DeleteFunc(slices.Clone(q.Filters), func(f Filter) bool { return !IsPath(f.Path) })
	q.Filters = q.Filters[:min(len(q.Filters), mostPaths/2)]
	q.Facets = slices.DeleteFunc(slices.Clone(q.Facets), func(path string) bool { return !IsPath(path) })
	q.Facets = q.Facets[:min(len(q.Facets), mostPaths/2-1)]
	return q
}

// paths are those that need a column.
func (q Query) paths() []string {
	paths := slices.Clone(q.Facets)
	for _, f := range q.Filters {
		paths = append(paths, f.Path)
	}
	if IsPath(q.Sort) {
		paths = append(paths, q.Sort)
	}
	return paths
}

// List answers a query from the picture.
func (f *Fleet) List(q Query) Page {
	f.interest.touch(f.now())
	q = q.bounded()
	q.Limit = min(cmp.Or(max(q.Limit, 0), defaultLimit), maxLimit)
	at := parseCursor(q)
	page, full := f.picture.page(q, at)
	switch {
	case at != nil && at.Back && !full:
		// Rows have gone; a page that begins before the beginning is the first.
		page, _ = f.picture.page(q, nil)
	case at != nil && !at.Back && len(page.Devices) == 0:
		page, _ = f.picture.page(q, &cursor{place: at.place, Back: true, Order: at.Order, with: true})
	}
	return page
}

// place is where a row stands in an order: by kind of value, number and text,
// and last by id. What is missing comes last in either direction.
type place struct {
	Missing bool   `json:"m,omitempty"`
	Kind    kind   `json:"k,omitempty"`
	N       int64  `json:"n,omitempty"`
	Text    string `json:"t,omitempty"`
	ID      string `json:"i"`
}

// cursor is the place a page begins behind, or ends before.
type cursor struct {
	place
	Back  bool   `json:"b,omitempty"`
	Order string `json:"o"` // a cursor means something only in its own order

	with bool // with Back: the row at the place belongs to the page
}

func (c cursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		return "" // numbers and texts always marshal
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// order is how a list is sorted.
type order struct {
	by   string // Query.Sort
	desc bool
}

func orderOf(q Query) order { return order{q.Sort, q.Desc} }

// String names the order in a cursor.
func (o order) String() string {
	if o.desc {
		return o.by + "-"
	}
	return o.by
}

// parseCursor reads Query.After; nil is the first page, which whatever is no
// cursor of this order gives too.
func parseCursor(q Query) *cursor {
	b, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil || q.After == "" {
		return nil
	}
	var c cursor
	if json.Unmarshal(b, &c) != nil || c.Order != orderOf(q).String() {
		return nil
	}
	return &c
}

// placeOf is an entry's place in an order that is by no path.
func placeOf(e *entry, by string) place {
	p := place{ID: e.id}
	switch by {
	case SortState:
		p.N = int64(e.state)
	case SortConnection:
		if !e.connected {
			p.N = 1
		}
	case SortSince:
		p.N, p.Missing = e.since, e.since == 0
	}
	return p
}

// placeOfValue is the place of an entry in an order by a path.
func placeOfValue(e *entry, v *value, ok bool) place {
	p := place{ID: e.id, Missing: !ok}
	if ok && v.kind == number {
		p.N = ordered(v.number)
	} else if ok {
		p.Kind, p.Text = v.kind, v.text
	}
	return p
}

// ordered is an integer for each number, in the same order.
func ordered(f float64) int64 {
	bits := int64(math.Float64bits(f + 0)) // + 0 makes -0 the same as 0
	if bits < 0 {
		return math.MinInt64 - bits
	}
	return bits
}

// compare orders places.
func (o order) compare(a, b *place) int {
	if by := o.values(a, b); by != 0 {
		return by
	}
	return o.turnID(strings.Compare(a.ID, b.ID))
}

// rows orders rows as compare does their places.
func (o order) rows(a, b *row) int {
	if by := o.values(&a.place, &b.place); by != 0 {
		return by
	}
	return o.turnID(a.entry.compareID(b.entry))
}

// values orders places by all but their ids.
func (o order) values(a, b *place) int {
	switch {
	case a.Missing != b.Missing && a.Missing:
		return 1
	case a.Missing != b.Missing:
		return -1
	}
	by := cmp.Compare(a.Kind, b.Kind)
	if by == 0 {
		by = cmp.Compare(a.N, b.N)
	}
	if by == 0 {
		by = strings.Compare(a.Text, b.Text)
	}
	if o.desc {
		return -by
	}
	return by
}

// turnID turns the order of ids around, which only the order by id does.
func (o order) turnID(by int) int {
	if o.desc && (o.by == "" || o.by == SortID) {
		return -by
	}
	return by
}
