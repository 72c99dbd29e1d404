package localhub

import (
	"container/list"
	"sync"

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
	records *recent[twinKey, *store.Record]
}

func newCache(maxBytes int) *cache {
	return &cache{records: newRecent[twinKey, *store.Record](maxBytes)}
}

// get returns a record, or nil and what offer needs to know later.
func (c *cache) get(key twinKey) (rec *store.Record, puts uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec, _ = c.records.get(key)
	return rec, c.puts
}

func (c *cache) offer(key twinKey, rec *store.Record, puts uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.puts == puts {
		c.records.put(key, rec, rec.Memory())
	}
}

// put keeps a record in place of an older one; nil forgets it.
func (c *cache) put(key twinKey, rec *store.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	if rec == nil {
		c.records.remove(key)
		return
	}
	c.records.put(key, rec, rec.Memory())
}

// recent keeps the values used last within a number of bytes. It is for one
// goroutine at a time.
type recent[K comparable, V any] struct {
	max, used int
	entries   map[K]*list.Element
	order     *list.List // of *kept, the latest in front
}

type kept[K comparable, V any] struct {
	key   K
	value V
	size  int
}

func newRecent[K comparable, V any](maxBytes int) *recent[K, V] {
	return &recent[K, V]{max: maxBytes, entries: map[K]*list.Element{}, order: list.New()}
}

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	e := r.entries[key]
	if e == nil {
		return value, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*kept[K, V]).value, true
}

func (r *recent[K, V]) put(key K, value V, size int) {
	if e := r.entries[key]; e != nil {
		k := e.Value.(*kept[K, V])
		r.used += size - k.size
		k.value, k.size = value, size
		r.order.MoveToFront(e)
	} else {
		r.entries[key] = r.order.PushFront(&kept[K, V]{key, value, size})
		r.used += size
	}
	for r.used > r.max {
		r.remove(r.order.Back().Value.(*kept[K, V]).key)
	}
}

func (r *recent[K, V]) remove(key K) {
	if e := r.entries[key]; e != nil {
		delete(r.entries, key)
		r.used -= r.order.Remove(e).(*kept[K, V]).size
	}
}
