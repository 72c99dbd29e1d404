package fleet

import (
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
)

// page looks through the whole picture once and makes a page. full reports
// whether there were enough rows for it.
func (p *picture) page(q Query, at *cursor) (page Page, full bool) {
	s := newScan(q, at)
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range p.list {
		s.see(e)
	}
	return s.page(len(p.list))
}

// scan counts what matches a query and keeps the rows of one page, so that a
// page costs a look at each device and not a sort.
type scan struct {
	q      Query
	text   string
	states [10]bool // by rank; all when none was asked for
	at     *cursor
	back   bool

	byState      [10]int
	connected    int
	disconnected int
	total        int
	before       int // matching rows before the cursor, its own row among them
	behind       int
	best         selection
}

func newScan(q Query, at *cursor) *scan {
	s := &scan{q: q, text: strings.ToLower(q.Text), at: at, back: at != nil && at.Back}
	for _, state := range q.States {
		if rank := state.Rank(); rank >= 0 {
			s.states[rank] = true
		}
	}
	s.best = selection{limit: q.Limit, compare: func(a, b row) int { return compare(a.place, b.place, q) }}
	if s.back {
		s.best.compare = func(a, b row) int { return compare(b.place, a.place, q) }
	}
	return s
}

func (s *scan) see(e *entry) {
	if s.text != "" && !strings.Contains(e.search, s.text) {
		return
	}
	stateFits := len(s.q.States) == 0 || s.states[e.state]
	connectionFits := s.q.Connection == "" || e.connected == strings.EqualFold(s.q.Connection, iothub.Connected)
	if connectionFits {
		s.byState[e.state]++
	}
	if stateFits && e.connected {
		s.connected++
	}
	if stateFits && !e.connected {
		s.disconnected++
	}
	if stateFits && connectionFits {
		s.match(row{placeOf(e, s.q), e})
	}
}

func (s *scan) match(r row) {
	s.total++
	side := 1
	if s.at != nil {
		side = compare(r.place, s.at.place, s.q)
	}
	if side < 0 || side == 0 && (!s.back || s.at.with) {
		s.before++
		if s.back {
			s.best.add(r)
		}
		return
	}
	s.behind++
	if !s.back {
		s.best.add(r)
	}
}

// page makes the page of what was seen.
func (s *scan) page(known int) (Page, bool) {
	rows := s.best.rows()
	p := Page{
		Total: s.total, Known: known, Offset: s.before,
		States:      map[iothub.State]int{},
		Connections: map[string]int{iothub.Connected: s.connected, iothub.Disconnected: s.disconnected},
	}
	for rank, n := range s.byState {
		if n > 0 {
			p.States[iothub.States[rank]] = n
		}
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
		p.Next = cursor{place: rows[len(rows)-1].place, Order: orderOf(s.q)}.String()
	}
	if len(rows) > 0 && p.Offset > 0 {
		p.Prev = cursor{place: rows[0].place, Back: true, Order: orderOf(s.q)}.String()
	}
	return p, len(rows) == s.q.Limit
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
	sorted  bool // the first limit rows are; the last of them is the worst allowed
}

func (s *selection) add(r row) {
	if s.sorted && s.compare(r, s.kept[s.limit-1]) > 0 {
		return
	}
	s.kept = append(s.kept, r)
	if len(s.kept) >= 2*s.limit {
		s.cut()
	}
}

func (s *selection) cut() {
	slices.SortFunc(s.kept, s.compare)
	if len(s.kept) > s.limit {
		s.kept = s.kept[:s.limit]
	}
	s.sorted = len(s.kept) == s.limit
}

func (s *selection) rows() []row {
	s.cut()
	return s.kept
}
