package localhub

// watch is a page being read. It learns which rows are written meanwhile.
type watch struct{ dirty map[int64]bool }

func (c *columns) watch() *watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &watch{map[int64]bool{}}
	for _, key := range c.writing {
		w.dirty[key] = true
	}
	c.watches[w] = struct{}{}
	return w
}

func (c *columns) unwatch(w *watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watches, w)
}

// printed returns what is kept of rows that were not written since the watch
// began.
func (c *columns) printed(w *watch, keys []int64) map[int64]*printed {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := make(map[int64]*printed, len(keys))
	for _, key := range keys {
		if p, ok := c.pages.get(key); ok && !w.dirty[key] {
			found[key] = p
		}
	}
	return found
}

// offer keeps a printed twin unless it was written since the watch began.
func (c *columns) offer(w *watch, key int64, p *printed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.dirty[key] {
		c.pages.put(key, p, p.size())
	}
}

// written returns which of the rows were written since the watch began.
func (c *columns) written(w *watch, keys []int64) (dirty []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if w.dirty[key] {
			dirty = append(dirty, key)
		}
	}
	return dirty
}
