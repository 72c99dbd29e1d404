package web

import (
	"fmt"
	"hash/fnv"
	"math/big"
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
)

// layout says which equal settings are folded away. A page keeps its layout
// while it is open: a row that comes right stays where the eye is, and only one
// that goes wrong comes out of the fold.
type layout struct {
	rows   []string // the ids of all wanted settings and device-only values, by path
	folded map[string]bool
}

// room is how many settings a page shows before it folds equal ones.
const room = 8

// newLayout folds equal settings where there are more than fit.
func newLayout(d iothub.Drift) layout {
	l := layout{folded: map[string]bool{}}
	place := 0
	for _, s := range d.Settings {
		l.rows = append(l.rows, rowID(s.Path))
		if !s.HasDesired {
			continue
		}
		if place++; place > room && d.Wanted > room+1 && s.State == iothub.InSync {
			l.folded[rowID(s.Path)] = true
		}
	}
	slices.Sort(l.rows)
	return l
}

// after is the layout of an open page for what its device says now. moved is
// false while rows can be painted where they stand.
func (l layout) after(d iothub.Drift) (next layout, moved bool) {
	next = newLayout(d)
	moved = !slices.Equal(l.rows, next.rows)
	for _, s := range d.Settings {
		id := rowID(s.Path)
		switch {
		case l.folded[id] && s.State != iothub.InSync:
			moved = true
		case !l.folded[id] && slices.Contains(l.rows, id):
			delete(next.folded, id)
		case l.folded[id]:
			next.folded[id] = true
		}
	}
	return next, moved
}

// String is the layout as the address of the page's event stream carries it: a
// check sum of the rows, and which are folded, one bit a row.
func (l layout) String() string {
	bits := new(big.Int)
	for i, id := range l.rows {
		if l.folded[id] {
			bits.SetBit(bits, i, 1)
		}
	}
	return fmt.Sprintf("%x-%x", l.sum(), bits)
}

func (l layout) sum() uint32 {
	f := fnv.New32a()
	_, _ = f.Write([]byte(strings.Join(l.rows, " "))) // a hash takes everything
	return f.Sum32()
}

// parseLayout reads what String wrote, given what the device says now. When the
// rows are no longer the same, the layout is one that everything has moved from.
func parseLayout(s string, d iothub.Drift) layout {
	l := layout{rows: newLayout(d).rows, folded: map[string]bool{}}
	var sum uint32
	bits := new(big.Int)
	if _, err := fmt.Sscanf(s, "%x-%x", &sum, bits); err != nil || sum != l.sum() {
		return layout{}
	}
	for i, id := range l.rows {
		if bits.Bit(i) == 1 {
			l.folded[id] = true
		}
	}
	return l
}
