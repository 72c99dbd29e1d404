package web

import (
	"slices"
	"time"
)

// waiting holds the repaints that have not been sent: one for each key, painted
// at most once in a gap, and all that have no key, in their order. Its zero
// value with a gap is ready to use.
type waiting struct {
	gap     time.Duration
	list    []repaint            // oldest first; id is that of the key's first change
	painted map[string]time.Time // keys painted within the last gap
	timer   *time.Timer
}

// add keeps a repaint; nothing is kept of one that paints nothing.
func (w *waiting) add(r repaint) {
	if r.paint == nil {
		return
	}
	if r.key != "" {
		i := slices.IndexFunc(w.list, func(x repaint) bool { return x.key == r.key })
		if i >= 0 {
			w.list[i].paint = r.paint
			return
		}
	}
	w.list = append(w.list, r)
}

// take removes and returns what may be painted now.
func (w *waiting) take(now time.Time) []repaint {
	for key, at := range w.painted {
		if now.Sub(at) >= w.gap {
			delete(w.painted, key)
		}
	}
	var ready, rest []repaint
	if !slices.ContainsFunc(w.list, func(r repaint) bool { _, soon := w.painted[r.key]; return !soon }) {
		return nil
	}
	for _, r := range w.list {
		if _, soon := w.painted[r.key]; soon {
			rest = append(rest, r)
			continue
		}
		ready = append(ready, r)
	}
	if w.painted == nil {
		w.painted = map[string]time.Time{}
	}
	for _, r := range ready {
		if r.key != "" {
			w.painted[r.key] = now
		}
	}
	w.list = rest
	return ready
}

// due fires when something that waits may be painted; never when nothing waits.
func (w *waiting) due() <-chan time.Time {
	if w.timer != nil {
		w.timer.Stop()
	}
	if len(w.list) == 0 {
		return nil
	}
	next := w.gap
	for _, r := range w.list {
		next = min(next, w.gap-time.Since(w.painted[r.key]))
	}
	w.timer = time.NewTimer(max(next, time.Millisecond))
	return w.timer.C
}

// before is the place up to which everything has been painted, given the place
// of the newest change.
func (w *waiting) before(at place) place {
	p := slices.Clone(at)
	for _, r := range w.list {
		p[r.source] = min(p[r.source], r.id-1)
	}
	return p
}
