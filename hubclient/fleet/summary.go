package fleet

import (
	"cmp"
	"strings"
	"time"

	"twinboard/hubclient/iothub"
)

// Summary is the picture in a few numbers.
type Summary struct {
	Known int // devices in the picture
	// States counts the devices by state, as Page does: one of which nothing is
	// wanted is in sync. Unwanted are those devices.
	States   map[iothub.State]int
	Unwanted int
	// Connections counts the devices by connection state.
	Connections map[string]int
	// Look counts the devices that need a look, and Oldest is when the longest
	// of their states began; zero when none does.
	Look   int
	Oldest time.Time
	// Attention are the first of those devices: by state, those that matter most
	// first, and within a state the longest first.
	Attention []Device
}

// Summary counts the picture in one look at each device. At most top devices
// are in Attention.
func (f *Fleet) Summary(top int) Summary {
	f.interest.touch(f.now())
	return f.picture.summary(top)
}

func (p *picture) summary(top int) Summary {
	t := tally{first: selection{limit: max(top, 1), compare: byAttention}}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range p.list {
		t.see(e)
	}
	return t.summary(len(p.list), top)
}

// tally counts entries by rank of state.
type tally struct {
	states    [10]int
	unwanted  int
	connected int
	oldest    int64
	first     selection
}

func (t *tally) see(e *entry) {
	t.states[e.state]++
	if e.wanted == 0 {
		t.unwanted++
	}
	if e.connected {
		t.connected++
	}
	if !attention[e.state] {
		return
	}
	if t.oldest == 0 || e.since < t.oldest {
		t.oldest = e.since
	}
	t.first.add(row{entry: e})
}

func (t *tally) summary(known, top int) Summary {
	s := Summary{
		Known: known, States: map[iothub.State]int{}, Unwanted: t.unwanted, Oldest: unixTime(t.oldest),
		Connections: map[string]int{iothub.Connected: t.connected, iothub.Disconnected: known - t.connected},
	}
	for rank, n := range t.states {
		if n == 0 {
			continue
		}
		s.States[iothub.States[rank]] = n
		if attention[rank] {
			s.Look += n
		}
	}
	rows := t.first.rows()
	for _, r := range rows[:min(len(rows), max(top, 0))] {
		s.Attention = append(s.Attention, r.entry.device())
	}
	return s
}

// attention says by rank which states need a look.
var attention = func() (needs [10]bool) {
	for rank, state := range iothub.States {
		needs[rank] = state.NeedsLook()
	}
	return needs
}()

// byAttention orders rows by state, then the longest in it first.
func byAttention(a, b row) int {
	return cmp.Or(cmp.Compare(a.entry.state, b.entry.state), cmp.Compare(a.entry.since, b.entry.since),
		strings.Compare(a.entry.id, b.entry.id))
}
