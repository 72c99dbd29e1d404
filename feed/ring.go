package feed

// ring holds the latest items, bounded in number and in size.
type ring[T any] struct {
	items        []kept[T] // a circle; the oldest is at first
	first, count int
	used, limit  int // the sum of sizes; 0 is no limit
}

type kept[T any] struct {
	item Item[T]
	size int
}

// add keeps an item in place of the oldest. One that is larger than all of them
// may be together is not kept, and neither are those before it: what a reader
// has missed must have no gap.
func (r *ring[T]) add(k kept[T]) {
	over := func() bool { return r.limit > 0 && r.used+k.size > r.limit }
	for r.count > 0 && (r.count == len(r.items) || over()) {
		r.drop()
	}
	if len(r.items) == 0 || over() {
		return
	}
	r.items[(r.first+r.count)%len(r.items)] = k
	r.count++
	r.used += k.size
}

func (r *ring[T]) drop() {
	r.used -= r.items[r.first].size
	r.items[r.first] = kept[T]{}
	r.first = (r.first + 1) % len(r.items)
	r.count--
}

// newest returns the item that came back items before the last.
func (r *ring[T]) newest(back int) Item[T] {
	return r.items[(r.first+r.count-1-back)%len(r.items)].item
}

// latest returns the n newest items, oldest first.
func (r *ring[T]) latest(n int) []Item[T] {
	out := make([]Item[T], n)
	for i := range out {
		out[i] = r.newest(n - 1 - i)
	}
	return out
}
