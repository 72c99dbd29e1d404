package localhub

import (
	"maps"
	"slices"
	"sync/atomic"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
	"twinboard/localhub/store"
)

// table is what is in memory of all devices, or of all modules: a row for each
// in the order of the store, and columns.
type table struct {
	keys    []int64 // the store's
	ids     []twinKey
	gone    []bool           // deleted
	holes   int              // how many are
	rows    map[twinKey]int  // nil until somebody's presence is looked up
	columns map[string]*held // by the name of their path
}

// held is a column and when a query used it last.
type held struct {
	*query.Column
	path *query.Path
	used atomic.Uint64
}

func newTable() *table { return &table{columns: map[string]*held{}} }

// add appends a row.
func (t *table) add(key int64, id twinKey) {
	t.keys = append(t.keys, key)
	t.ids = append(t.ids, id)
	t.gone = append(t.gone, false)
	if t.rows != nil {
		t.rows[id] = len(t.keys) - 1
	}
}

// row finds a twin.
func (t *table) row(id twinKey) (row int, ok bool) {
	if t.rows == nil {
		t.rows = make(map[twinKey]int, len(t.ids))
		for row, id := range t.ids {
			if !t.gone[row] {
				t.rows[id] = row
			}
		}
	}
	row, ok = t.rows[id]
	return row, ok
}

// find returns the columns of paths and notes when they were used; ok is false
// when one is missing. The table may be nil.
func (t *table) find(paths []*query.Path, now uint64) (columns []*query.Column, ok bool) {
	if t == nil {
		return nil, false
	}
	columns = make([]*query.Column, len(paths))
	for i, p := range paths {
		h := t.columns[p.Name()]
		if h == nil {
			return nil, false
		}
		h.used.Store(now)
		columns[i] = h.Column
	}
	return columns, true
}

// each calls visit for the rows behind a key that pass, until it returns false.
func (t *table) each(f *query.Filter, after int64, visit func(row int) bool) {
	if rows, ok := f.Candidates(); ok {
		for _, row := range rows {
			if t.passes(f, int(row)) && t.keys[row] > after && !visit(int(row)) {
				return
			}
		}
		return
	}
	from, _ := slices.BinarySearch(t.keys, after+1)
	for row := from; row < len(t.keys); row++ {
		if t.passes(f, row) && !visit(row) {
			return
		}
	}
}

func (t *table) passes(f *query.Filter, row int) bool { return !t.gone[row] && f.Match(row) }

// align gives new columns, made of what was in the store a moment ago, the rows
// of the table.
func (t *table) align(made *table) {
	if slices.Equal(t.keys, made.keys) {
		return
	}
	for _, h := range made.columns {
		aligned := query.NewColumn()
		for row, key := range t.keys {
			from, ok := slices.BinarySearch(made.keys, key)
			if !ok || t.gone[row] {
				aligned.Append(query.Value{})
				continue
			}
			aligned.Append(h.Value(from))
		}
		h.Column = aligned
	}
}

// apply brings some columns to the state of what has changed, and the rows, too.
func (t *table) apply(r *registry, modules bool, news changed, columns map[string]*held) {
	for _, key := range slices.Sorted(maps.Keys(news.rows)) {
		rec := news.rows[key]
		row, known := slices.BinarySearch(t.keys, key)
		switch {
		case rec == nil && known:
			t.remove(row)
		case rec == nil || (rec.ModuleID != "") != modules:
		case known:
			m := member{r: r, rec: rec}
			for _, h := range columns {
				h.Set(row, m.value(h.path.Keys()))
			}
		default:
			t.insert(r, rec)
		}
	}
	for _, h := range columns {
		keys := h.path.Keys()
		if !ofPresence(keys) {
			continue
		}
		for id := range news.seen {
			if row, ok := t.row(id); ok {
				h.Set(row, r.presenceValue(id, keys))
			}
		}
	}
}

func (t *table) remove(row int) {
	if t.gone[row] {
		return
	}
	t.gone[row] = true
	t.holes++
	if t.rows[t.ids[row]] == row { // else there is a new one of that name
		delete(t.rows, t.ids[row])
	}
	for _, h := range t.columns {
		h.Set(row, query.Value{})
	}
}

// insert adds a row. Keys only grow, so it is the last.
func (t *table) insert(r *registry, rec *store.Record) {
	t.add(rec.Key, keyOf(rec))
	m := member{r: r, rec: rec}
	for _, h := range t.columns {
		h.Append(m.value(h.path.Keys()))
	}
}

// member reads what a twin shows at a path out of its record. It agrees with
// what the store reads there.
type member struct {
	r    *registry
	rec  *store.Record
	head iothub.Document // the twin without its documents, once it was needed
}

func (m *member) value(path []string) query.Value {
	if ofPresence(path) {
		return m.r.presenceValue(keyOf(m.rec), path)
	}
	document, rest := m.document(path)
	v, ok := document.Get(rest)
	if !ok {
		return query.Value{}
	}
	return query.Of(v)
}

// document returns where to look for a path, and what of the path is left. What
// is asked for most is there already; the rest is printed and read back.
func (m *member) document(path []string) (iothub.Document, iothub.Path) {
	switch {
	case path[0] == "tags" && len(path) > 1:
		return m.rec.Tags, path[1:]
	case path[0] == "properties" && len(path) > 2 && path[2] != "$metadata":
		section := map[string]iothub.Section{"desired": m.rec.Desired, "reported": m.rec.Reported}[path[1]]
		if path[2] == "$version" {
			return iothub.Document{"$version": section.Version}, path[2:]
		}
		return section.Value, path[2:]
	case path[0] == "tags" || path[0] == "properties":
		return reread(m.r.showTwin(m.rec)), path
	}
	if m.head == nil {
		m.head = reread(showHead(m.rec.Identity, m.rec.TwinETag, m.rec.ModelID, m.rec.Version(), presence{}))
	}
	return m.head, path
}

func reread(twin any) iothub.Document {
	text, err := iothub.EncodeJSON(twin)
	if err == nil {
		var d iothub.Document
		if d, err = iothub.ParseDocument(text); err == nil {
			return d
		}
	}
	panic(err) // a twin is printed like this for every answer
}
