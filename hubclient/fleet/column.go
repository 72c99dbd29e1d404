package fleet

import (
	"slices"
	"sync/atomic"
)

// mostColumns bounds the columns that are kept. The one not used for longest
// makes room for another.
const mostColumns = 24

// column holds the value of one path for every device, so that lists filter,
// count and sort by it without looking into twins. It is made when a list first
// asks for the path, and kept as long as it is used.
type column struct {
	steps  []string
	path   string
	cells  []uint32 // by place in the picture's list: which of values, 0 for none
	values []cellValue
	byKey  map[valueKey]uint32
	free   []uint32 // places in values that nobody has
	texts  int      // how many of the values are texts of JSON
	used   atomic.Int64
}

// cellValue is a value and how many devices have it.
type cellValue struct {
	value
	count int
}

// valueKey tells the number 5 from the text "5".
type valueKey struct {
	text   string
	quoted bool
}

func newColumn(path string) *column {
	return &column{path: path, steps: steps(path), values: make([]cellValue, 1), byKey: map[valueKey]uint32{}}
}

// put says what the device at a place has; places are taken one after the other.
func (c *column) put(at int, e *entry) {
	var cell uint32
	if v, ok := e.value(c.path, c.steps); ok {
		cell = c.cell(v)
	}
	if at == len(c.cells) {
		c.cells = append(c.cells, cell)
		return
	}
	c.release(c.cells[at])
	c.cells[at] = cell
}

// cell finds the place of a value among the column's, and counts one more.
func (c *column) cell(v value) uint32 {
	key := valueKey{v.text, v.quoted}
	cell, known := c.byKey[key]
	if !known && v.quoted {
		c.texts++
	}
	switch {
	case known:
	case len(c.free) > 0:
		cell = c.free[len(c.free)-1]
		c.free = c.free[:len(c.free)-1]
		c.values[cell] = cellValue{value: v}
	default:
		cell = uint32(len(c.values))
		c.values = append(c.values, cellValue{value: v})
	}
	c.byKey[key] = cell
	c.values[cell].count++
	return cell
}

func (c *column) release(cell uint32) {
	v := &c.values[cell]
	if cell == 0 {
		return
	}
	if v.count--; v.count == 0 {
		delete(c.byKey, valueKey{v.text, v.quoted})
		if v.quoted {
			c.texts--
		}
		*v = cellValue{}
		c.free = append(c.free, cell)
	}
}

// remove takes a place out; the last one takes its place.
func (c *column) remove(at int) {
	last := len(c.cells) - 1
	c.release(c.cells[at])
	c.cells[at] = c.cells[last]
	c.cells = c.cells[:last]
}

// mixed reports whether some values are texts and others are not.
func (c *column) mixed() bool { return c.texts > 0 && c.texts < len(c.byKey) }

// wanted marks the values whose text is one of texts. An empty text stands for
// devices without a value too.
func (c *column) wanted(texts []string) []bool {
	want := make([]bool, len(c.values))
	for _, text := range texts {
		for _, quoted := range []bool{true, false} {
			if cell, ok := c.byKey[valueKey{text, quoted}]; ok {
				want[cell] = true
			}
		}
		if text == "" {
			want[0] = true
		}
	}
	return want
}

// value is what a twin has at a path.
func (e *entry) value(path string, steps []string) (value, bool) {
	if _, has := slices.BinarySearch(e.shape.paths, path); !has && !e.shape.leadsTo(path) {
		return value{}, false
	}
	return valueOf(lookup(e.raw, steps))
}

// leadsTo reports whether the path is one of objects that have members.
func (s *shape) leadsTo(path string) bool {
	i, _ := slices.BinarySearch(s.paths, path+".")
	return i < len(s.paths) && len(s.paths[i]) > len(path) && s.paths[i][:len(path)+1] == path+"."
}

// withColumns makes the columns of paths and looks at the picture with them,
// under its lock for reading.
func (p *picture) withColumns(paths []string, look func(map[string]*column)) {
	for {
		p.mu.RLock()
		missing := slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return p.columns[path] != nil })
		if len(missing) == 0 {
			break
		}
		p.mu.RUnlock()
		for _, path := range missing {
			p.build(path)
		}
	}
	defer p.mu.RUnlock()
	for _, path := range paths {
		p.columns[path].used.Store(p.tick.Add(1))
	}
	look(p.columns)
}

// build makes the column of a path. Values are read without the lock; what
// changed meanwhile is read again with it.
func (p *picture) build(path string) {
	p.building.Lock()
	defer p.building.Unlock()
	p.mu.RLock()
	seen, there := slices.Clone(p.list), p.columns[path] != nil
	p.mu.RUnlock()
	if there {
		return
	}
	c := newColumn(path)
	for i, e := range seen {
		c.put(i, e)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(c.cells) > len(p.list) {
		c.remove(len(c.cells) - 1)
	}
	for i, e := range p.list {
		if i >= len(seen) || seen[i] != e {
			c.put(i, e)
		}
	}
	c.used.Store(p.tick.Add(1))
	if len(p.columns) >= mostColumns {
		p.dropColumn()
	}
	p.columns[path] = c
}

// dropColumn forgets the column not used for longest; the lock is held.
func (p *picture) dropColumn() {
	var oldest *column
	for _, c := range p.columns {
		if oldest == nil || c.used.Load() < oldest.used.Load() {
			oldest = c
		}
	}
	delete(p.columns, oldest.path)
}
