package localhub

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"twinboard/localhub/query"
	"twinboard/localhub/store"
)

const (
	// columnsBytes bounds the memory of all columns, by estimate, and
	// columnBytes that of one. Columns used least recently make room.
	columnsBytes = 256 << 20
	columnBytes  = 64 << 20
	// maxColumns bounds their number.
	maxColumns = 256
	// pendingLength is how many changed twins may wait for the next query before
	// the writer brings them in.
	pendingLength = 512
	// minHoles is how many rows of deleted twins a table may have in any case.
	minHoles = 1024
	// pageBytes bounds the printed twins kept for pages.
	pageBytes = 64 << 20
)

// errNoColumns means that a query has to read the store instead.
var errNoColumns = errors.New("the values do not fit into memory")

// columns hold in memory what the conditions of queries read: for each path that
// a query has used, a column with its value in every twin. The first query that
// uses a path makes its column from the store. The writer only notes what it has
// committed and never waits; the next query brings it in before it looks, so it
// sees every write that was answered before it began.
type columns struct {
	r      *registry
	limit  int // of all columns, in bytes
	single int // of one

	// What the writer tells. Held for moments only.
	mu       sync.Mutex
	settled  sync.Cond // begun commits have ended
	begun    uint64    // commits
	ended    uint64
	writing  []int64                  // rows of the commit that runs
	pending  changed                  // not in the tables yet; nil: there is no table
	since    *changed                 // what came while a column is being made
	watches  map[*watch]struct{}      // pages being read
	pages    *recent[int64, *printed] // by row
	presence bool                     // some column depends on it

	making sync.Mutex   // one makes columns at a time
	state  sync.RWMutex // guards what follows
	tables [2]*table    // of devices and of modules, made by the first query
	large  map[string]bool
	clock  atomic.Uint64 // counts queries, to know the columns used last
}

// changed is what has happened to twins.
type changed struct {
	rows map[int64]*store.Record // nil: deleted
	seen map[twinKey]struct{}    // whose presence changed
}

func newChanged() changed { return changed{map[int64]*store.Record{}, map[twinKey]struct{}{}} }

func (c *changed) empty() bool { return len(c.rows)+len(c.seen) == 0 }

func newColumns(r *registry) *columns {
	c := &columns{
		r: r, limit: columnsBytes, single: columnBytes, large: map[string]bool{},
		watches: map[*watch]struct{}{}, pages: newRecent[int64, *printed](pageBytes),
	}
	c.settled.L = &c.mu
	return c
}

// begin is told by the writer before each commit: pages that are being read
// will look at these rows again, and their printed twins are forgotten.
func (c *columns) begin(keys []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
	c.writing = keys
	for _, key := range keys {
		c.pages.remove(key)
		for w := range c.watches {
			w.dirty[key] = true
		}
	}
}

// end is told what became of the commit, nothing if it failed, before anything
// is answered.
func (c *columns) end(rows map[int64]*store.Record) {
	c.mu.Lock()
	c.ended++
	c.writing = nil
	c.settled.Broadcast()
	if c.pending.rows != nil {
		maps.Copy(c.pending.rows, rows)
	}
	if c.since != nil {
		maps.Copy(c.since.rows, rows)
	}
	many := len(c.pending.rows) > pendingLength
	c.mu.Unlock()
	if many && c.state.TryLock() { // else the query that has it will see to it
		c.catchUp()
		c.state.Unlock()
	}
}

// stir notes that a device's presence changed.
func (c *columns) stir(key twinKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.presence {
		c.pending.seen[key] = struct{}{}
	}
	if c.since != nil {
		c.since.seen[key] = struct{}{}
	}
}

// catchUp brings in what is pending. Called with state locked.
func (c *columns) catchUp() {
	c.mu.Lock()
	news := c.takePending()
	c.mu.Unlock()
	c.apply(news)
	c.shrink(nil)
}

// takePending is called with mu locked.
func (c *columns) takePending() changed {
	news := c.pending
	if !news.empty() {
		c.pending = newChanged()
	}
	return news
}

func (c *columns) apply(news changed) {
	for i, t := range c.tables {
		if t != nil {
			t.apply(c.r, i == tableOf(true), news, t.columns)
		}
	}
}

// current brings in what is pending, if anything is.
func (c *columns) current() {
	c.mu.Lock()
	idle := c.pending.empty()
	c.mu.Unlock()
	if !idle {
		c.state.Lock()
		defer c.state.Unlock()
		c.catchUp()
	}
}

// attempts is how often a query makes its columns anew when others push them
// out, before it reads the store.
const attempts = 3

// read calls f with the columns of some paths, which stay as they are until it
// returns. It gives errNoColumns when they do not fit.
func (c *columns) read(ctx context.Context, modules bool, paths []*query.Path, f func(*table, []*query.Column) error) error {
	for range attempts {
		c.current()
		c.state.RLock()
		t := c.tables[tableOf(modules)]
		found, ok := t.find(paths, c.clock.Add(1))
		if ok {
			err := f(t, found)
			c.state.RUnlock()
			return err
		}
		c.state.RUnlock()
		if err := c.make(ctx, modules, paths); err != nil {
			return err
		}
	}
	return errNoColumns
}

// tableOf is the place of a table.
func tableOf(modules bool) int {
	if modules {
		return 1
	}
	return 0
}

// make adds the columns that are missing.
func (c *columns) make(ctx context.Context, modules bool, paths []*query.Path) error {
	c.making.Lock()
	defer c.making.Unlock()
	missing, err := c.missing(modules, paths)
	if err != nil || missing == nil {
		return err
	}
	c.listen(missing)
	defer c.stopListening()
	made := newTable()
	for _, p := range missing {
		made.columns[p.Name()] = &held{path: p, Column: query.NewColumn()}
	}
	if err := c.fill(ctx, modules, made, missing); err != nil {
		return err
	}
	c.settle()
	c.state.Lock()
	defer c.state.Unlock()
	c.install(modules, made)
	return nil
}

// missing returns the paths that have no column yet; nil means that nothing is
// to be done.
func (c *columns) missing(modules bool, paths []*query.Path) ([]*query.Path, error) {
	c.state.RLock()
	defer c.state.RUnlock()
	t := c.tables[tableOf(modules)]
	missing := []*query.Path{}
	for _, p := range paths {
		if c.large[p.Name()] {
			return nil, errNoColumns
		}
		if t == nil || t.columns[p.Name()] == nil {
			missing = append(missing, p)
		}
	}
	if len(paths) > maxColumns {
		return nil, errNoColumns
	}
	if t != nil && len(missing) == 0 {
		return nil, nil
	}
	return missing, nil
}

// listen collects what happens from now on.
func (c *columns) listen(paths []*query.Path) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := newChanged()
	c.since = &since
	if c.pending.rows == nil {
		c.pending = newChanged()
	}
	for _, p := range paths {
		c.presence = c.presence || ofPresence(p.Keys())
	}
}

func (c *columns) stopListening() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = nil
}

// settle waits until the commits that have begun are noted: what was read from
// the store may hold them already.
func (c *columns) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for begun := c.begun; c.ended < begun; {
		c.settled.Wait()
	}
}

// fill reads the values from the store as it is now.
func (c *columns) fill(ctx context.Context, modules bool, t *table, paths []*query.Path) error {
	scan := store.Scan{Modules: modules}
	into := make([]*query.Column, len(paths))
	for i, p := range paths {
		scan.Paths = append(scan.Paths, p.Keys())
		into[i] = t.columns[p.Name()].Column
	}
	var failed error
	scan.Visit = func(f store.Found) bool {
		t.add(f.Key, twinKey{f.DeviceID, f.ModuleID})
		for i, text := range f.Values {
			if failed = c.append(into[i], f, scan.Paths[i], text); failed != nil {
				return false
			}
			if into[i].Bytes() > c.single {
				failed = c.tooLarge(paths[i])
				return false
			}
		}
		return true
	}
	err := c.r.store.View(ctx, func(v *store.View) error { return v.Scan(ctx, scan) })
	if failed != nil {
		return failed
	}
	return err
}

func (c *columns) append(column *query.Column, f store.Found, path []string, text string) error {
	if ofPresence(path) {
		column.Append(c.r.presenceValue(twinKey{f.DeviceID, f.ModuleID}, path))
		return nil
	}
	if f.Fresh != nil {
		column.Append((&member{r: c.r, rec: f.Fresh}).value(path))
		return nil
	}
	return column.AppendJSON(text)
}

// maxLarge bounds what is remembered of paths too large.
const maxLarge = 1000

func (c *columns) tooLarge(p *query.Path) error {
	c.state.Lock()
	defer c.state.Unlock()
	if len(c.large) >= maxLarge {
		clear(c.large)
	}
	c.large[p.Name()] = true
	return errNoColumns
}

// install adds columns to their table and brings all to one state. Called with
// state locked.
func (c *columns) install(modules bool, made *table) {
	c.mu.Lock()
	news, since := c.takePending(), *c.since
	c.since = nil
	c.mu.Unlock()
	c.apply(news)
	t := c.tables[tableOf(modules)]
	if t == nil {
		t = made
		c.tables[tableOf(modules)] = t
	} else {
		t.align(made)
	}
	t.apply(c.r, modules, since, made.columns)
	maps.Copy(t.columns, made.columns)
	c.shrink(made.columns)
}

// shrink drops the columns used longest ago until all fit, and tables that are
// mostly holes. Called with state locked.
func (c *columns) shrink(keep map[string]*held) {
	for i, t := range c.tables {
		if t != nil && t.holes > minHoles && t.holes > len(t.keys)/2 {
			c.tables[i] = nil
		}
	}
	for {
		bytes, count := 0, 0
		var oldest *held
		var of *table
		for _, t := range c.tables {
			if t == nil {
				continue
			}
			for name, h := range t.columns {
				bytes, count = bytes+h.Bytes(), count+1
				if keep[name] != h && (oldest == nil || h.used.Load() < oldest.used.Load()) {
					oldest, of = h, t
				}
			}
		}
		if oldest == nil || bytes <= c.limit && count <= maxColumns {
			return
		}
		delete(of.columns, oldest.path.Name())
	}
}
