package localhub

import (
	"container/list"
	"sync"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// cacheBytes bounds the decoded records kept, by estimate.
const cacheBytes = 128 << 20

// cache keeps the records used last, decoded, as they are in the store. Only
// the writer puts, after its commits: a reader that did could put back what was
// just overwritten.
type cache struct {
	mu      sync.Mutex
	max     int
	used    int
	entries map[twinKey]*list.Element
	recent  *list.List // of *cached, the latest in front
}

type cached struct {
	key    twinKey
	record *store.Record
	size   int
}

func newCache(maxBytes int) *cache {
	return &cache{max: maxBytes, entries: map[twinKey]*list.Element{}, recent: list.New()}
}

func (c *cache) get(key twinKey) *store.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(*cached).record
}

// put keeps a record in place of an older one; nil forgets it.
func (c *cache) put(key twinKey, rec *store.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
	if rec == nil {
		return
	}
	entry := &cached{key, rec, memoryOf(rec)}
	c.entries[key] = c.recent.PushFront(entry)
	c.used += entry.size
	for c.used > c.max {
		c.remove(c.recent.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	entry := c.recent.Remove(e).(*cached)
	delete(c.entries, entry.key)
	c.used -= entry.size
}

// memoryOf estimates what a record takes: a decoded document with its metadata
// needs some sixteen times its content.
func memoryOf(rec *store.Record) int {
	return 2048 + 16*(iothub.Size(rec.Tags)+iothub.Size(rec.Desired.Value)+iothub.Size(rec.Reported.Value))
}
