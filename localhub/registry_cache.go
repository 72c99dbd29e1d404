package localhub

import (
	"container/list"
	"sync"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// cacheBytes bounds the decoded records kept, by estimate.
const cacheBytes = 128 << 20

// cache keeps the records used last, decoded, as they are in the store. The
// writer puts what it has committed; a reader may offer what it has read from
// the store, which is taken only when nothing was put meanwhile: it could be
// what was just overwritten.
type cache struct {
	mu      sync.Mutex
	puts    uint64 // counts the writer's
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

// get returns a record, or nil and what offer needs to know later.
func (c *cache) get(key twinKey) (rec *store.Record, puts uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil, c.puts
	}
	c.recent.MoveToFront(e)
	return e.Value.(*cached).record, c.puts
}

func (c *cache) offer(key twinKey, rec *store.Record, puts uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.puts == puts {
		c.keep(key, rec)
	}
}

// put keeps a record in place of an older one; nil forgets it.
func (c *cache) put(key twinKey, rec *store.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	c.keep(key, rec)
}

func (c *cache) keep(key twinKey, rec *store.Record) {
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
