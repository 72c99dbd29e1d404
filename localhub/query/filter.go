package query

// Filter is the condition of a query over columns. It is for one goroutine.
type Filter struct {
	test  func(row int) truth // nil lets every row pass
	rows  []int32
	fewer bool
}

// fewRows is which part of all rows candidates may be; more of them are looked
// for faster in order.
const fewRows = 8

// Filter prepares the condition for columns in the order of AllPaths, each with
// count rows.
func (q *Query) Filter(columns []*Column, count int) *Filter {
	f := &Filter{}
	if q.Where == nil {
		return f
	}
	n := narrowing{columns}
	if found, ok := n.chains(q.Where); ok && found.rows <= count/fewRows {
		f.fewer = true
		for _, chain := range found.chains {
			f.rows = chain.column.rowsIn(f.rows, chain.first)
		}
		f.rows = sorted(f.rows)
	}
	f.test = (&compiler{columns, f.fewer}).compile(q.Where)
	return f
}

// Match tells whether a row passes.
func (f *Filter) Match(row int) bool { return f.test == nil || f.test(row) == yes }

// Candidates returns in order the only rows that can match, if the condition
// asks for values that few rows have. Otherwise ok is false.
func (f *Filter) Candidates() (rows []int32, ok bool) { return f.rows, f.fewer }

// compiler turns a condition into functions of a row. A part that reads one
// path is worked out once for each value of its column.
type compiler struct {
	columns []*Column
	once    bool // few rows will be asked for: remember nothing
}

func (c *compiler) compile(e Expr) func(int) truth {
	slot, paths := pathsIn(e)
	switch {
	case paths == 0:
		t := eval(e, nil).truth()
		return func(int) truth { return t }
	case paths == 1 && !c.once:
		return c.remembering(e, c.columns[slot])
	}
	switch e := e.(type) {
	case *Not:
		x := c.compile(e.X)
		return func(row int) truth { return -x(row) }
	case *Binary:
		if e.Op == And || e.Op == Or {
			return join(e.Op, c.compile(e.X), c.compile(e.Y))
		}
	}
	cursor := &Cursor{Columns: c.columns}
	return func(row int) truth {
		cursor.Row = row
		return eval(e, cursor).truth()
	}
}

func join(op Operator, x, y func(int) truth) func(int) truth {
	if op == And {
		return func(row int) truth {
			t := x(row)
			if t == no {
				return no
			}
			return min(t, y(row))
		}
	}
	return func(row int) truth {
		t := x(row)
		if t == yes {
			return yes
		}
		return max(t, y(row))
	}
}

// single is a row of which one value is asked.
type single struct{ value Value }

func (s *single) Value(*Path) Value { return s.value }

func (c *compiler) remembering(e Expr, column *Column) func(int) truth {
	const known = 2 // above the truths, so that 0 stands for not yet worked out
	results := make([]truth, len(column.values))
	row := &single{}
	return func(i int) truth {
		code := column.codes[i]
		if results[code] == 0 {
			row.value = column.values[code].value
			results[code] = eval(e, row).truth() + known
		}
		return results[code] - known
	}
}

// pathsIn counts the different paths of an expression; slot is that of one.
func pathsIn(e Expr) (slot, count int) {
	slot = -1
	walk(e, func(e Expr) {
		if p, ok := e.(*Path); ok && p.slot != slot {
			slot = p.slot
			count++ // a path that returns counts again: more than one all the same
		}
	})
	return slot, count
}

// narrowing finds the rows that can match at all by the equalities with
// constants in a condition.
type narrowing struct{ columns []*Column }

type chains struct {
	chains []chain
	rows   int
}

type chain struct {
	column *Column
	first  int32
}

func (n narrowing) chains(e Expr) (chains, bool) {
	switch e := e.(type) {
	case *In:
		if p, ok := e.X.(*Path); ok && !e.Nin {
			return n.anyOf(p, e.List.Value)
		}
	case *Binary:
		switch e.Op {
		case Equal:
			return n.equal(e)
		case And:
			return n.smaller(e)
		case Or:
			x, okX := n.chains(e.X)
			y, okY := n.chains(e.Y)
			return chains{append(x.chains, y.chains...), x.rows + y.rows}, okX && okY
		}
	}
	return chains{}, false
}

func (n narrowing) equal(e *Binary) (chains, bool) {
	for _, side := range [2][2]Expr{{e.X, e.Y}, {e.Y, e.X}} {
		p, isPath := side[0].(*Path)
		constant, isConst := side[1].(*Const)
		if isPath && isConst {
			return n.anyOf(p, Value{typ: Array, tree: []Value{constant.Value}})
		}
	}
	return chains{}, false
}

func (n narrowing) anyOf(p *Path, list Value) (found chains, ok bool) {
	column := n.columns[p.slot]
	ok = true
	list.items(func(v Value) bool {
		first, rows, all := column.rowsOf(v)
		ok = ok && all
		found.chains = append(found.chains, chain{column, first})
		found.rows += rows
		return ok
	})
	return found, ok
}

// smaller takes the side of an AND that leaves fewer rows.
func (n narrowing) smaller(e *Binary) (chains, bool) {
	x, okX := n.chains(e.X)
	y, okY := n.chains(e.Y)
	if okX && (!okY || x.rows <= y.rows) {
		return x, true
	}
	return y, okY
}
