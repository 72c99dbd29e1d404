package fleet

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math"
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
	Sort       string // one of the Sort constants, SortID by default
	Desc       bool
	// After is Next or Prev of a page of the same order, "" for the first page.
	After string
	Limit int // rows a page, 50 by default, at most 1000
}

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
	// for, Connections those by connection state as if none was: what choosing
	// another one would bring.
	States      map[iothub.State]int
	Connections map[string]int
}

// List answers a query from the picture.
func (f *Fleet) List(q Query) Page {
	f.interest.touch(f.now())
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

// place is where a row stands in an order.
type place struct {
	N  int64  `json:"n"`
	ID string `json:"i"`
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

func orderOf(q Query) string {
	if q.Desc {
		return q.Sort + "-"
	}
	return q.Sort
}

// parseCursor reads Query.After; nil is the first page, which whatever is no
// cursor of this order gives too.
func parseCursor(q Query) *cursor {
	b, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil || q.After == "" {
		return nil
	}
	var c cursor
	if json.Unmarshal(b, &c) != nil || c.Order != orderOf(q) {
		return nil
	}
	return &c
}

// placeOf is an entry's place in the order of a query. Smaller comes first.
func placeOf(e *entry, q Query) place {
	p := place{ID: e.id}
	switch q.Sort {
	case SortState:
		p.N = int64(e.state)
	case SortConnection:
		if !e.connected {
			p.N = 1
		}
	case SortSince:
		if e.since == 0 {
			p.N = math.MaxInt64
			return p
		}
		p.N = e.since
	}
	if q.Desc {
		p.N = -p.N
	}
	return p
}

// compare orders places. Only the order by id turns the ids around too.
func compare(a, b place, q Query) int {
	byID := strings.Compare(a.ID, b.ID)
	if q.Desc && (q.Sort == "" || q.Sort == SortID) {
		byID = -byID
	}
	return cmp.Or(cmp.Compare(a.N, b.N), byID)
}
