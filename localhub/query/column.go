package query

import (
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
)

// Column holds what one path leads to in many twins, which are counted by row
// from 0. Each different value is kept once, each row has a code for it, and
// the rows of a value are chained: a comparison with a constant is worked out
// once for each value, and the twins with a certain text are found without
// looking at the others. Many goroutines may read a column at once; writing
// excludes everything else.
type Column struct {
	codes        []uint32 // by row
	next, before []int32  // by row: neighbours in the chain of its value
	values       []entry
	found        map[string]uint32
	free         []uint32 // codes of values that no row has any more
	odd          int      // numbers ever kept that are not spelled as we would
	bytes        int
	scratch      []byte
}

// entry is a value and the chain of its rows.
type entry struct {
	value Value
	key   string
	rows  int
	first int32
}

const (
	undefinedCode = 0
	noRow         = -1
	// What a row and a value take besides their texts: the slices above, and an
	// entry of the map.
	rowBytes, valueBytes = 12, 160
	// treeFactor is how much larger a decoded array or object is than its text.
	treeFactor = 16
)

// NewColumn returns a column without rows.
func NewColumn() *Column {
	return &Column{
		values: []entry{{first: noRow}},
		found:  map[string]uint32{"": undefinedCode},
	}
}

// Bytes estimates the memory the column takes.
func (c *Column) Bytes() int { return c.bytes }

// Value returns the value of a row.
func (c *Column) Value(row int) Value { return c.values[c.codes[row]].value }

// Append adds a row.
func (c *Column) Append(v Value) { c.append(c.codeOf(v)) }

// AppendJSON adds a row whose value is a JSON text, "" where the twin has none.
func (c *Column) AppendJSON(text string) error {
	key := text
	if strings.HasPrefix(text, `"`) {
		key = text[:len(text)-1] // as appendColumnKey makes it, unless something is escaped
	}
	if code, ok := c.found[key]; ok && strings.IndexByte(key, '\\') < 0 {
		c.append(code)
		return nil
	}
	v, err := FromJSON(text)
	if err == nil {
		c.Append(v)
	}
	return err
}

// Set changes the value of a row.
func (c *Column) Set(row int, v Value) {
	code := c.codeOf(v)
	if old := c.codes[row]; old != code {
		c.unchain(row)
		c.chain(row, code)
	}
}

func (c *Column) append(code uint32) {
	c.codes = append(c.codes, undefinedCode)
	c.next = append(c.next, noRow)
	c.before = append(c.before, noRow)
	c.bytes += rowBytes
	c.chain(len(c.codes)-1, code)
}

func (c *Column) chain(row int, code uint32) {
	d := &c.values[code]
	c.codes[row], c.next[row], c.before[row] = code, d.first, noRow
	if d.first != noRow {
		c.before[d.first] = int32(row)
	}
	d.first = int32(row)
	d.rows++
}

func (c *Column) unchain(row int) {
	code := c.codes[row]
	d := &c.values[code]
	next, before := c.next[row], c.before[row]
	if next != noRow {
		c.before[next] = before
	}
	if before != noRow {
		c.next[before] = next
	} else {
		d.first = next
	}
	if d.rows--; d.rows == 0 && code != undefinedCode {
		c.drop(code)
	}
}

// codeOf finds or begins the value.
func (c *Column) codeOf(v Value) uint32 {
	c.scratch = appendColumnKey(c.scratch[:0], v)
	if code, ok := c.found[string(c.scratch)]; ok {
		return code
	}
	return c.keep(string(c.scratch), v)
}

// appendColumnKey names a value so that different ones have different names. A
// number goes by its spelling, which a row of a GROUP BY shows; an array or
// object may have two names, which costs memory and nothing else.
func appendColumnKey(b []byte, v Value) []byte {
	switch v.typ {
	case Undefined:
		return b
	case Text:
		return append(append(b, '"'), v.text...)
	case Integer, Float:
		return append(b, v.spelling()...)
	}
	text, err := iothub.EncodeJSON(v.Any())
	if err != nil {
		panic(err) // a document holds nothing that JSON cannot
	}
	return append(b, text...)
}

func (c *Column) keep(key string, v Value) uint32 {
	if v.number() && v.text != "" && v.text != (Value{typ: v.typ, bits: v.bits}).spelling() {
		c.odd++
	}
	code := uint32(len(c.values))
	if n := len(c.free); n > 0 {
		code, c.free = c.free[n-1], c.free[:n-1]
		c.values[code] = entry{v, key, 0, noRow}
	} else {
		c.values = append(c.values, entry{v, key, 0, noRow})
	}
	c.found[key] = code
	c.bytes += c.values[code].bytes()
	return code
}

// drop forgets a value that no row has.
func (c *Column) drop(code uint32) {
	d := &c.values[code]
	c.bytes -= d.bytes()
	delete(c.found, d.key)
	*d = entry{first: noRow}
	c.free = append(c.free, code)
}

func (d *entry) bytes() int {
	if d.value.typ == Array || d.value.typ == Object {
		return valueBytes + treeFactor*len(d.key)
	}
	return valueBytes + len(d.key)
}

// rowsOf returns the chain of a constant, and how many rows there are. It is
// not ok when rows of other chains may equal the constant, too.
func (c *Column) rowsOf(v Value) (first int32, rows int, ok bool) {
	switch {
	case v.typ == Text || v.typ == Bool:
	case v.typ == Integer && max(v.int(), -v.int()) <= exact && c.odd == 0:
	case v.typ == Float && c.odd == 0 && v.float() > -exact && v.float() < exact:
	default:
		return noRow, 0, false
	}
	if v.typ != Text {
		v.text = "" // the spelling of a number
	}
	code, found := c.found[string(appendColumnKey(nil, v))]
	if !found {
		return noRow, 0, true
	}
	return c.values[code].first, c.values[code].rows, true
}

// Cursor is a row of columns.
type Cursor struct {
	Columns []*Column // in the order of Query.AllPaths
	Row     int
}

// Value implements Row.
func (r *Cursor) Value(p *Path) Value { return r.Columns[p.slot].Value(r.Row) }

// rowsIn follows a chain.
func (c *Column) rowsIn(out []int32, first int32) []int32 {
	for row := first; row != noRow; row = c.next[row] {
		out = append(out, row)
	}
	return out
}

// sorted puts rows in order, each once.
func sorted(rows []int32) []int32 {
	slices.Sort(rows)
	return slices.Compact(rows)
}
