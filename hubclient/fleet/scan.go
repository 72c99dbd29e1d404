package fleet

import (
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
)

// page looks through the whole picture once and makes a page. full reports
// whether there were enough rows for it.
func (p *picture) page(q Query, at *cursor) (page Page, full bool) {
	p.withColumns(q.paths(), func(columns map[string]*column) {
		s := newScan(q, at, columns)
		s.aim(p.list)
		for i, e := range p.list {
			s.see(i, e)
		}
		page, full = s.page(len(p.list))
	})
	return page, full
}

// scan counts what matches a query and keeps the rows of one page, so that a
// page costs a look at each device and not a sort.
type scan struct {
	q      Query
	text   string
	states [10]bool // by rank; all when none was asked for
	at     *cursor
	back   bool
	order  order
	by     *column // of the path the list is sorted by, or nil

	filters []filter
	facets  []facet

	all          [10]int
	byState      [10]int
	connected    int
	disconnected int
	enabled      int
	disabled     int
	total        int
	before       int // matching rows before the cursor, its own row among them
	behind       int
	best         selection
}

// filter asks for some of a column's values.
type filter struct {
	column *column
	want   []bool
}

func newScan(q Query, at *cursor, columns map[string]*column) *scan {
	s := &scan{q: q, text: strings.ToLower(q.Text), at: at, back: at != nil && at.Back, order: orderOf(q), by: columns[q.Sort]}
	for _, state := range q.States {
		if rank := state.Rank(); rank >= 0 {
			s.states[rank] = true
		}
	}
	for _, f := range q.Filters {
		c := columns[f.Path]
		s.filters = append(s.filters, filter{c, c.wanted(f.Values)})
	}
	for _, path := range q.Facets {
		s.facets = append(s.facets, newFacet(columns[path], path, q.Filters))
	}
	s.best = selection{limit: q.Limit, compare: func(a, b row) int { return s.order.rows(&a, &b) }}
	if s.back {
		s.best.compare = func(a, b row) int { return s.order.rows(&b, &a) }
	}
	return s
}

// The filters beside those by path, as they are numbered in a miss.
const (
	allFit = -1 - iota
	missState
	missConnection
	missStatus
	missMore // more than one does not fit
)

// see counts a device. What one choice alone leaves out is counted for that
// choice: it says what another one would bring.
func (s *scan) see(i int, e *entry) {
	s.all[e.state]++
	if s.text != "" && !strings.Contains(e.search, s.text) {
		return
	}
	miss := s.miss(i, e)
	if miss == missMore {
		return
	}
	if miss == allFit || miss == missState {
		s.byState[e.state]++
	}
	if miss == allFit || miss == missConnection {
		count(e.connected, &s.connected, &s.disconnected)
	}
	if miss == allFit || miss == missStatus {
		count(e.enabled, &s.enabled, &s.disabled)
	}
	for _, f := range s.facets {
		if miss == allFit || miss == f.filter && miss >= 0 {
			f.counts[f.column.cells[i]]++
		}
	}
	if miss == allFit {
		s.match(row{s.place(i, e), e})
	}
}

func count(is bool, yes, no *int) {
	if is {
		*yes++
	} else {
		*no++
	}
}

// miss says which choice leaves a device out: the number of a filter, or one of
// the constants.
func (s *scan) miss(i int, e *entry) int {
	miss := allFit
	note := func(fits bool, which int) {
		switch {
		case fits:
		case miss == allFit:
			miss = which
		default:
			miss = missMore
		}
	}
	note(len(s.q.States) == 0 || s.states[e.state], missState)
	note(s.q.Connection == "" || e.connected == strings.EqualFold(s.q.Connection, iothub.Connected), missConnection)
	note(s.q.Status == "" || e.enabled == strings.EqualFold(s.q.Status, iothub.StatusEnabled), missStatus)
	for n, f := range s.filters {
		note(f.want[f.column.cells[i]], n)
	}
	return miss
}

func (s *scan) place(i int, e *entry) place {
	if s.by == nil {
		return placeOf(e, s.order.by)
	}
	cell := s.by.cells[i]
	return placeOfValue(e, &s.by.values[cell].value, cell != 0)
}

func (s *scan) match(r row) {
	s.total++
	before := s.isBefore(&r)
	count(before, &s.before, &s.behind)
	if before == s.back {
		s.best.add(r)
	}
}

// isBefore says on which side of the cursor a row is.
func (s *scan) isBefore(r *row) bool {
	if s.at == nil {
		return false
	}
	side := s.order.compare(&r.place, &s.at.place)
	return side < 0 || side == 0 && (!s.back || s.at.with)
}

// sampleStep is how many devices there are for each one that aim looks at.
const sampleStep = 64

// aim looks at a sample of the devices and bounds what can come to stand on the
// page by the best of them. Without it each device of a list that is sorted the
// other way than the picture would come to stand there for a while.
func (s *scan) aim(list []*entry) {
	for i := 0; i < len(list); i += sampleStep {
		e := list[i]
		if !strings.Contains(e.search, s.text) || s.miss(i, e) != allFit {
			continue
		}
		if r := (row{s.place(i, e), e}); s.isBefore(&r) == s.back {
			s.best.add(r)
		}
	}
	s.best.forget()
}

// page makes the page of what was seen.
func (s *scan) page(known int) (Page, bool) {
	rows := s.best.rows()
	p := Page{
		Total: s.total, Known: known, Offset: s.before,
		States: byState(s.byState), AllStates: byState(s.all),
		Connections: map[string]int{iothub.Connected: s.connected, iothub.Disconnected: s.disconnected},
		Statuses:    map[string]int{iothub.StatusEnabled: s.enabled, iothub.StatusDisabled: s.disabled},
	}
	for _, f := range s.facets {
		p.Facets = append(p.Facets, f.result(s.q.Kinds))
	}
	more := s.behind > len(rows)
	if s.back {
		slices.Reverse(rows)
		p.Offset = s.before - len(rows)
		more = s.behind > 0
	}
	for _, r := range rows {
		p.Devices = append(p.Devices, r.entry.device())
	}
	if len(rows) > 0 && more {
		p.Next = cursor{place: rows[len(rows)-1].place, Order: s.order.String()}.String()
	}
	if len(rows) > 0 && p.Offset > 0 {
		p.Prev = cursor{place: rows[0].place, Back: true, Order: s.order.String()}.String()
	}
	return p, len(rows) == s.q.Limit
}

func byState(counts [10]int) map[iothub.State]int {
	states := map[iothub.State]int{}
	for rank, n := range counts {
		if n > 0 {
			states[iothub.States[rank]] = n
		}
	}
	return states
}

// row is a device that may come to stand on the page.
type row struct {
	place
	entry *entry
}

// selection keeps the first few of many rows. It sorts only when twice as many
// have gathered.
type selection struct {
	limit   int
	compare func(a, b row) int
	kept    []row
	bound   *row // nothing behind it is among the first; nil until as many were seen
}

func (s *selection) add(r row) {
	if s.bound != nil && s.compare(r, *s.bound) > 0 {
		return
	}
	s.kept = append(s.kept, r)
	if len(s.kept) >= 2*s.limit {
		s.cut()
	}
}

func (s *selection) cut() {
	slices.SortFunc(s.kept, s.compare)
	if len(s.kept) < s.limit {
		return
	}
	s.kept = s.kept[:s.limit]
	bound := s.kept[s.limit-1]
	s.bound = &bound
}

// forget drops the rows and keeps the bound: the rows will be added again.
func (s *selection) forget() {
	s.cut()
	s.kept = s.kept[:0]
}

func (s *selection) rows() []row {
	s.cut()
	return s.kept
}
