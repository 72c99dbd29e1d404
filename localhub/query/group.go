package query

import (
	"encoding/binary"
	"slices"
)

// Groups collects matching twins into the rows of an aggregation. Twins that
// lack a grouping property, or hold an object or array there, form a group of
// their own whose row leaves the property out; that is a choice. One query's
// Groups must not be used by several goroutines at once.
type Groups struct {
	q      *Query
	groups map[string]*group
	order  []*group
	keys   []Value // of the twin at hand
	name   []byte  // likewise, its entry in groups
}

type group struct {
	keys    []Value
	columns []total // one for each element of SELECT
}

// total is an aggregate so far. Choice: what is no number is skipped.
type total struct {
	rows, numbers   int64
	sum, least, top Value
}

// NewGroups begins an aggregation. Without GROUP BY there is always one group,
// so that COUNT() of nothing is a row with 0.
func (q *Query) NewGroups() *Groups {
	g := &Groups{q: q, groups: map[string]*group{}, keys: make([]Value, len(q.GroupBy))}
	if len(q.GroupBy) == 0 {
		g.group()
	}
	return g
}

// Add counts one twin. The caller has matched it.
func (g *Groups) Add(r Row) { g.count(g.groupOf(r), r) }

// Over returns what adds a row of columns in the order of AllPaths. With one
// path to group by, a value is looked up once, however many rows have it.
func (g *Groups) Over(columns []*Column) func(row int) {
	cursor := &Cursor{Columns: columns}
	if len(g.q.GroupBy) != 1 {
		return func(row int) {
			cursor.Row = row
			g.Add(cursor)
		}
	}
	column := columns[g.q.GroupBy[0].slot]
	known := make([]*group, len(column.values)) // by code
	return func(row int) {
		cursor.Row = row
		code := column.codes[row]
		if known[code] == nil {
			known[code] = g.groupOf(cursor)
		}
		g.count(known[code], cursor)
	}
}

func (g *Groups) groupOf(r Row) *group {
	for i, path := range g.q.GroupBy {
		g.keys[i] = r.Value(path)
		if !g.keys[i].primitive() {
			g.keys[i] = Value{}
		}
	}
	return g.group()
}

func (g *Groups) count(group *group, r Row) {
	for i, item := range g.q.Items {
		column := &group.columns[i]
		column.rows++
		if item.Path != nil && item.Aggregate != "" {
			column.add(r.Value(item.Path))
		}
	}
}

// group finds or begins the group of the keys at hand.
func (g *Groups) group() *group {
	g.name = g.name[:0]
	for _, k := range g.keys {
		g.name = appendKey(g.name, k)
	}
	found, ok := g.groups[string(g.name)]
	if !ok {
		found = &group{keys: slices.Clone(g.keys), columns: make([]total, len(g.q.Items))}
		g.groups[string(g.name)] = found
		g.order = append(g.order, found)
	}
	return found
}

// appendKey makes equal values equal bytes, and no others.
func appendKey(b []byte, v Value) []byte {
	b = append(b, byte(v.typ))
	if v.typ != Text {
		return binary.BigEndian.AppendUint64(b, v.bits)
	}
	b = binary.AppendUvarint(b, uint64(len(v.text)))
	return append(b, v.text...)
}

func (t *total) add(v Value) {
	if !v.number() {
		return
	}
	if t.numbers++; t.numbers == 1 {
		t.sum, t.least, t.top = v, v, v
		return
	}
	t.sum = calculate(Add, t.sum, v)
	if compareNumbers(v, t.least) < 0 {
		t.least = v
	}
	if compareNumbers(v, t.top) > 0 {
		t.top = v
	}
}

// value is undefined for an aggregate of no numbers, which leaves it out.
func (t *total) value(a Aggregate) Value {
	switch a {
	case Count:
		return integer(t.rows)
	case Average:
		return calculate(Divide, t.sum, integer(t.numbers))
	case Sum:
		return t.sum
	case Minimum:
		return t.least
	}
	return t.top
}

// Records returns a row for each group in the order of first appearance. TOP
// is the caller's to apply.
func (g *Groups) Records() []Record {
	records := make([]Record, len(g.order))
	for i, group := range g.order {
		row := Record{}
		for j, item := range g.q.Items {
			row = row.with(nameOf(item), g.column(group, j, item))
		}
		records[i] = row
	}
	return records
}

func (g *Groups) column(group *group, j int, item Item) Value {
	if item.Aggregate != "" {
		return group.columns[j].value(item.Aggregate)
	}
	for k, path := range g.q.GroupBy {
		if path.slot == item.Path.slot {
			return group.keys[k]
		}
	}
	return Value{}
}
