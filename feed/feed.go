// Package feed fans events out to any number of readers and can replay the
// latest. Whoever publishes never waits: a reader that does not keep up is
// ended and comes back with the last id it saw. The package knows nothing of
// what it carries.
package feed

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
)

// Item is one event with its id. Ids start at 1 and have no gaps.
type Item[T any] struct {
	ID    uint64
	Value T
}

// Feed carries events of one kind. Make one with New.
type Feed[T any] struct {
	epoch  string
	buffer int // how many events a reader may lag behind before it is ended

	mu   sync.Mutex
	last uint64
	ring ring[T]
	size func(T) int
	subs map[*Subscription[T]]struct{}
}

// New makes a feed that can replay the latest keep items.
func New[T any](keep int) *Feed[T] { return NewBounded(keep, 0, func(T) int { return 0 }) }

// NewBounded makes a feed that can replay the latest keep items, or fewer so
// that their sizes together stay within limit; 0 is no limit.
func NewBounded[T any](keep, limit int, size func(T) int) *Feed[T] {
	id := make([]byte, 8)
	rand.Read(id) // never fails
	return &Feed[T]{
		epoch:  hex.EncodeToString(id),
		buffer: defaultBuffer,
		ring:   ring[T]{items: make([]kept[T], keep), limit: limit},
		size:   size,
		subs:   map[*Subscription[T]]struct{}{},
	}
}

// defaultBuffer is how many events a reader may lag behind, unless told otherwise.
const defaultBuffer = 256

// WithBuffer changes how many events a reader may lag behind before it is ended, of
// a feed that nobody reads yet, and returns the feed.
func (f *Feed[T]) WithBuffer(n int) *Feed[T] {
	f.buffer = n
	return f
}

// Epoch names this feed; an id means something only within its epoch.
func (f *Feed[T]) Epoch() string { return f.epoch }

// Publish hands an event to every reader and returns its id. It never waits: a
// reader whose buffer is full is ended.
func (f *Feed[T]) Publish(v T) uint64 {
	size := f.size(v)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	item := Item[T]{ID: f.last, Value: v}
	f.ring.add(kept[T]{item, size})
	for s := range f.subs {
		select {
		case s.c <- item:
		default:
			f.end(s)
		}
	}
	return item.ID
}

// Last is the id of the newest event, 0 before the first.
func (f *Feed[T]) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// Subscription is one reader of a feed.
type Subscription[T any] struct {
	feed *Feed[T]
	c    chan Item[T]
}

// Subscribe returns the events after an id and a subscription to those that
// follow; nothing falls between. complete is false when the feed no longer
// holds everything after that id, or the id lies in the future: the reader must
// then start from the full state.
func (f *Feed[T]) Subscribe(after uint64) (missed []Item[T], sub *Subscription[T], complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub = &Subscription[T]{feed: f, c: make(chan Item[T], f.buffer)}
	f.subs[sub] = struct{}{}
	complete = after <= f.last && f.last-after <= uint64(f.ring.count)
	if !complete {
		return nil, sub, false
	}
	return f.ring.latest(int(f.last - after)), sub, true
}

// Oldest is the first event that is still kept, its ID 0 when there is none.
func (f *Feed[T]) Oldest() (first Item[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ring.count > 0 {
		first = f.ring.newest(f.ring.count - 1)
	}
	return first
}

// Recent returns at most n of the kept events that match, oldest first.
func (f *Feed[T]) Recent(n int, match func(T) bool) []Item[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Item[T]
	for back := range f.ring.count {
		if len(out) == n {
			break
		}
		item := f.ring.newest(back)
		if match == nil || match(item.Value) {
			out = append(out, item)
		}
	}
	slices.Reverse(out)
	return out
}

// Get returns the event of an id; ok is false when it is no longer kept or was
// never published.
func (f *Feed[T]) Get(id uint64) (v T, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id > f.last || f.last-id >= uint64(f.ring.count) {
		return v, false
	}
	return f.ring.newest(int(f.last - id)).Value, true
}

// C delivers the events. It is closed when the reader was too slow or called
// Close.
func (s *Subscription[T]) C() <-chan Item[T] { return s.c }

// Close ends the subscription; it may be called twice.
func (s *Subscription[T]) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	s.feed.end(s)
}

func (f *Feed[T]) end(s *Subscription[T]) {
	if _, ok := f.subs[s]; ok {
		delete(f.subs, s)
		close(s.c)
	}
}
