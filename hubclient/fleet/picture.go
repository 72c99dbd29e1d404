package fleet

import (
	"maps"
	"sync"
	"sync/atomic"
)

// picture holds the entries, by id and as a list.
type picture struct {
	mu   sync.RWMutex
	byID map[string]*entry
	list []*entry
	// pass counts the fills; filling is set while one runs. late are the ids
	// that changed before the fill came to them: what it reads of them may be
	// older than the change.
	pass    uint64
	filling bool
	late    map[string]struct{}
	// lagging says that the rows of a fill may be older than what was read by
	// id, as in Azure, whose index goes on listing a deleted device for up to
	// half an hour. gone are such devices, with the fill that last listed them.
	lagging bool
	gone    map[string]uint64
	// shapes and paths say which paths there are; columns hold the values of
	// those that lists ask for. tick numbers the uses of columns, and building
	// is held while one is made.
	shapes   map[string]*shape
	paths    map[string]sample
	columns  map[string]*column
	tick     atomic.Int64
	building sync.Mutex
}

func newPicture() *picture {
	return &picture{
		byID: map[string]*entry{}, late: map[string]struct{}{}, gone: map[string]uint64{},
		shapes: map[string]*shape{}, paths: map[string]sample{}, columns: map[string]*column{},
	}
}

func (p *picture) len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.list)
}

func (p *picture) get(id string) *entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byID[id]
}

// begin starts a fill. It does not touch what is there.
func (p *picture) begin(lagging bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass++
	p.filling, p.lagging = true, lagging
	clear(p.late)
}

// end ends a fill and returns the ids that changed meanwhile but were never
// read, and those that the fill did not come by.
func (p *picture) end() (late, unseen []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filling = false
	for id := range p.late {
		late = append(late, id)
	}
	for _, e := range p.list {
		if _, changed := p.late[e.id]; e.pass != p.pass && !changed {
			unseen = append(unseen, e.id)
		}
	}
	clear(p.late)
	maps.DeleteFunc(p.gone, func(_ string, pass uint64) bool { return pass < p.pass })
	return late, unseen
}

// tooEarly reports whether a change comes before the running fill has read the
// device afresh, and remembers it then.
func (p *picture) tooEarly(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byID[id]
	if !p.filling || e != nil && e.pass == p.pass {
		return false
	}
	p.late[id] = struct{}{}
	return true
}

// fill puts a row of the running fill, which began at start, unless what is
// there is newer. It returns what was there before. doubt means that only
// reading the device by id can tell what is true.
func (p *picture) fill(e *entry, start int64) (old *entry, placed, doubt bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old = p.byID[e.id]
	if _, gone := p.gone[e.id]; gone {
		p.gone[e.id] = p.pass
		return old, false, true
	}
	if _, changed := p.late[e.id]; changed {
		delete(p.late, e.id)
		doubt = true
	}
	if old == nil || !p.newer(old, e, start) {
		p.set(e)
		return old, true, doubt
	}
	old.pass = p.pass
	// A lower version can also be a new device of the same name.
	return old, false, doubt || old.version > e.version && old.readAt < start
}

// newer reports whether an entry is newer than a row; the lock is held.
func (p *picture) newer(old, e *entry, start int64) bool {
	if !p.lagging {
		return old.pass == p.pass && old.version >= e.version
	}
	readLater := old.readAt >= start || old.activity.Load() > e.activity.Load()
	return old.version > e.version || old.version == e.version && readLater
}

// putIf puts what was read by id, if that is still current, and returns what
// was there.
func (p *picture) putIf(e *entry, current func() bool) (old *entry, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !current() {
		return nil, false
	}
	old = p.byID[e.id]
	p.set(e)
	return old, true
}

// swap replaces an entry unless somebody else did.
func (p *picture) swap(old, e *entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID[e.id] != old {
		return false
	}
	p.set(e)
	return true
}

// set puts an entry; the lock is held.
func (p *picture) set(e *entry) {
	e.pass = p.pass
	delete(p.gone, e.id)
	old := p.byID[e.id]
	if old != nil {
		e.index = old.index
		p.list[e.index] = e
	} else {
		e.index = len(p.list)
		p.list = append(p.list, e)
	}
	p.byID[e.id] = e
	p.reshape(e, old)
	for _, c := range p.columns {
		c.put(e.index, e)
	}
}

// remove takes a device out and reports whether it was there.
func (p *picture) remove(id string) bool {
	removed, _ := p.removeIf(id, func() bool { return true })
	return removed
}

// removeIf takes a device out, if its absence is still current. A running fill
// may come by an old row of it, so the id counts as changed.
func (p *picture) removeIf(id string, current func() bool) (removed, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !current() {
		return false, false
	}
	if p.filling {
		p.late[id] = struct{}{}
	}
	if p.lagging {
		p.gone[id] = p.pass
	}
	e := p.byID[id]
	if e == nil {
		return false, true
	}
	p.unshape(e)
	for _, c := range p.columns {
		c.remove(e.index)
	}
	last := len(p.list) - 1
	p.list[e.index] = p.list[last]
	p.list[e.index].index = e.index
	p.list[last] = nil
	p.list = p.list[:last]
	delete(p.byID, id)
	return true, true
}
