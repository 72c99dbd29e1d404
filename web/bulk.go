package web

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// The acts of a bulk change, as addresses and messages name them.
const (
	actEnable  = "enable"
	actDisable = "disable"
	actDelete  = "delete"
	actCreate  = "create"
	actTags    = "tags"
	actDesired = "desired"
	// These two take a change of tags or desired properties back.
	actTagsBack    = "tags-back"
	actDesiredBack = "desired-back"
)

// The phases of a bulk change.
const (
	phaseChosen  = "chosen" // waits for what to change
	phaseAsked   = "asked"  // waits for a person's yes
	phaseRunning = "running"
	phaseStopped = "stopped" // by a person, or because the hub gave no answer
	// phaseInterrupted is that the program ended meanwhile.
	phaseInterrupted = "interrupted"
	phaseDone        = "done" // or left as it is by a person
)

// The outcomes of one device.
const (
	itemWaiting = "waiting"
	itemDone    = "done"
	itemAlready = "already" // it was as wanted
	itemFailed  = "failed"
	// itemUnsure was sent, and the answer is still to come or was never seen.
	itemUnsure = "unsure"
	// itemLeft is that others have changed since what an undo was to take back.
	itemLeft = "left"
)

// bulkItem is one device of a bulk change.
type bulkItem struct {
	id    string
	place int             // in the bulk change
	etag  iothub.ETag     // of the identity that the person saw; "" for whatever it is now
	line  int             // of the text it comes from, 0 for none
	made  newDevice       // what to register
	old   iothub.Document // of a twin: what the patch replaced, or what to put back
	state string
	err   error // why it failed, or was left in part
	// reason is the reason that a status gets, reasonWas the one it had.
	reason, reasonWas string
	entry             int64 // of the journal: of its change, or of the one to take back; 0 for none
}

// newDevice is a device to register.
type newDevice struct {
	status        string
	keys          iothub.SymmetricKey // empty has the hub make them
	tags, desired iothub.Document
	// keyless says that there were keys, which a restart has forgotten.
	keyless bool
}

// bulk is one act on many devices of a hub. It runs on the server: a page that
// is read again shows how far it is. What becomes of each device is kept in the
// dashboard's store, before and after each request.
type bulk struct {
	id      string
	act     string
	hub     *Hub
	changed *feed.Feed[struct{}] // tells open pages to look again
	keeper  bulkKeeper
	// forget is told of deleted devices.
	forget func(ctx context.Context, id string)
	// record writes changes of twins into the journal, and returns their ids.
	record func(ctx context.Context, entries ...store.Entry) ([]int64, error)
	patch  iothub.Document // of a section of each twin; what is taken back, of an undo
	undoes *bulk           // the one that this takes back, or nil

	mu    sync.Mutex
	phase string
	items []bulkItem
	err   error     // why it stopped by itself
	until time.Time // the hub asks to wait so long
	stop  context.CancelCauseFunc
	kept  bool // in the store
}

// bulkCounts says how far a bulk change is; waiting are those of which no outcome
// is known, unsure among them.
type bulkCounts struct{ total, waiting, unsure, done, already, failed, left int }

// newBulk makes a bulk change that waits to be begun.
func (s *Server) newBulk(h *Hub, act string, items []bulkItem) *bulk {
	for i := range items {
		items[i].place, items[i].state = i, itemWaiting
	}
	return &bulk{
		id: randomHex(6), act: act, hub: h, changed: feed.New[struct{}](1), phase: phaseAsked, items: items, keeper: bulkKeeper{s.store, s.now, s.log},
		forget: func(ctx context.Context, id string) { s.forgetSimulated(ctx, h, id) },
		record: func(ctx context.Context, entries ...store.Entry) ([]int64, error) {
			return s.journals[h].record(ctx, entries...)
		},
	}
}

// itemsOf makes items of a list's devices.
func itemsOf(list []fleet.Identity) []bulkItem {
	items := make([]bulkItem, len(list))
	for i, d := range list {
		items[i] = bulkItem{id: d.ID, etag: d.ETag}
	}
	return items
}

// counts counts the devices by outcome; the lock is held.
func (b *bulk) counts() bulkCounts {
	c := bulkCounts{total: len(b.items)}
	for _, i := range b.items {
		switch i.state {
		case itemWaiting:
			c.waiting++
		case itemUnsure:
			c.waiting++
			c.unsure++
		case itemDone:
			c.done++
		case itemAlready:
			c.already++
		case itemFailed:
			c.failed++
		case itemLeft:
			c.left++
		}
	}
	return c
}

// begin moves to running if the phase is one of those, and returns the context
// that stopping ends.
func (b *bulk) begin(base context.Context, from ...string) (context.Context, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(from, b.phase) {
		return nil, false
	}
	ctx, cancel := context.WithCancelCause(base)
	b.phase, b.err, b.stop = phaseRunning, nil, cancel
	return ctx, true
}

// again makes failed devices wait once more, for whatever their identity is now.
func (b *bulk) again(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase == phaseRunning || b.phase == phaseAsked || b.phase == phaseChosen {
		return nil
	}
	var list []bulkItem
	for i := range b.items {
		if item := &b.items[i]; item.state == itemFailed {
			item.state, item.err, item.etag = itemWaiting, nil, ""
			list = append(list, *item)
		}
	}
	b.phase = phaseStopped
	return b.keeper.items(ctx, b, list)
}

// errEnding is why what runs stops when the program ends.
var errEnding = errors.New("the program ends")

// halt stops after the request under way; why is nil when a person asks for it.
func (b *bulk) halt(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop != nil {
		b.stop(why)
	}
}

// leave gives up what waits, if nothing runs.
func (b *bulk) leave(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.unfinished() {
		return nil
	}
	b.phase, b.err = phaseDone, nil
	return b.keeper.phase(ctx, b)
}

// unfinished reports whether it stands still with something left; the lock is
// held.
func (b *bulk) unfinished() bool { return b.phase == phaseStopped || b.phase == phaseInterrupted }

// run does what waits, a request at a time. base outlives a stop: a request that
// was sent is waited for.
func (b *bulk) run(base, stopping context.Context) {
	defer b.halt(nil)
	failed := b.keeper.begin(base, b)
	for failed == nil && stopping.Err() == nil {
		chunk := b.next()
		if len(chunk) == 0 {
			break
		}
		failed = b.do(base, stopping, chunk)
		b.changed.Publish(struct{}{})
	}
	b.rest(base, failed, errors.Is(context.Cause(stopping), errEnding))
	b.changed.Publish(struct{}{})
}

// rest notes that it runs no longer, and why.
func (b *bulk) rest(base context.Context, failed error, ending bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.phase, b.err, b.until = phaseDone, failed, time.Time{}
	if b.counts().waiting > 0 {
		b.phase = phaseStopped
		if ending {
			b.phase = phaseInterrupted
		}
	}
	if err := b.keeper.phase(base, b); err != nil {
		b.keeper.log.Error("phase of a bulk change is not kept", "bulk", b.id, "error", err)
	}
}

// allDone are the devices that the act was done to; at those that it is unsure of
// it looks first. They are none while the act runs.
func (b *bulk) allDone(ctx context.Context) ([]bulkItem, error) {
	b.mu.Lock()
	phase, err := b.phase, b.err
	b.mu.Unlock()
	ctx, ok := b.begin(ctx, phaseStopped, phaseInterrupted, phaseDone)
	if !ok {
		return nil, nil
	}
	defer b.halt(nil)
	looked := b.look(ctx, b.some(0, itemUnsure))
	b.mu.Lock()
	b.phase, b.err = phase, err
	looked = errors.Join(looked, b.keeper.phase(ctx, b))
	b.mu.Unlock()
	return b.some(0, itemDone), looked
}

// Devices of one request. A cloud hub counts each against its throttle, so that
// smaller steps show more of the way.
const (
	chunkLocal = iothub.MaxBulk
	chunkCloud = 25
)

// next are copies of the next devices that wait.
func (b *bulk) next() []bulkItem {
	most := chunkCloud
	if b.hub.Local {
		most = chunkLocal
	}
	return b.some(most, itemWaiting, itemUnsure)
}

// some are copies of the first devices in those states, at most so many; 0 is no
// bound.
func (b *bulk) some(most int, states ...string) []bulkItem {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []bulkItem
	for _, i := range b.items {
		if slices.Contains(states, i.state) {
			list = append(list, i)
		}
		if most > 0 && len(list) == most {
			break
		}
	}
	return list
}

// note keeps the outcomes of a chunk.
func (b *bulk) note(ctx context.Context, chunk []bulkItem) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range chunk {
		item := &b.items[i.place]
		item.state, item.err, item.old, item.reasonWas, item.entry = i.state, i.err, i.old, i.reasonWas, i.entry
	}
	return b.keeper.items(ctx, b, chunk)
}
