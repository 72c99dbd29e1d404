package web

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
)

// The acts of a bulk change, as addresses and messages name them.
const (
	actEnable  = "enable"
	actDisable = "disable"
	actDelete  = "delete"
	actCreate  = "create"
)

// The phases of a bulk change.
const (
	phaseAsked   = "asked" // waits for a person's yes
	phaseRunning = "running"
	phaseStopped = "stopped" // by a person, or because the hub gave no answer
	phaseDone    = "done"
)

// The outcomes of one device.
const (
	itemWaiting = "waiting"
	itemDone    = "done"
	itemAlready = "already" // it was as wanted
	itemFailed  = "failed"
)

// bulkItem is one device of a bulk change.
type bulkItem struct {
	id    string
	etag  iothub.ETag // of the identity that the person saw; "" for whatever it is now
	line  int         // of the text it comes from, 0 for none
	made  newDevice   // what to register
	state string
	err   error // why it failed
}

// newDevice is a device to register.
type newDevice struct {
	status        string
	keys          iothub.SymmetricKey // empty has the hub make them
	tags, desired iothub.Document
}

// bulk is one act on many devices of a hub. It runs on the server: a page that
// is read again shows how far it is.
type bulk struct {
	id      string
	act     string
	hub     *Hub
	changed *feed.Feed[struct{}] // tells open pages to look again
	// forget is told of deleted devices.
	forget func(ctx context.Context, id string)

	mu    sync.Mutex
	phase string
	items []bulkItem
	err   error     // why it stopped by itself
	until time.Time // the hub asks to wait so long
	stop  context.CancelFunc
}

// bulkCounts says how far a bulk change is.
type bulkCounts struct{ total, waiting, done, already, failed int }

func newBulk(h *Hub, act string, items []bulkItem) *bulk {
	for i := range items {
		items[i].state = itemWaiting
	}
	return &bulk{id: randomHex(6), act: act, hub: h, changed: feed.New[struct{}](1), phase: phaseAsked, items: items}
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
		case itemDone:
			c.done++
		case itemAlready:
			c.already++
		case itemFailed:
			c.failed++
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
	ctx, cancel := context.WithCancel(base)
	b.phase, b.err, b.stop = phaseRunning, nil, cancel
	return ctx, true
}

// again makes failed devices wait once more, for whatever their identity is now.
func (b *bulk) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase == phaseRunning {
		return
	}
	for i := range b.items {
		if item := &b.items[i]; item.state == itemFailed {
			item.state, item.err, item.etag = itemWaiting, nil, ""
		}
	}
	b.phase = phaseStopped
}

// halt stops after the request under way.
func (b *bulk) halt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop != nil {
		b.stop()
	}
}

// run does what waits, a request at a time. base outlives a stop: a request that
// was sent is waited for.
func (b *bulk) run(base, stopping context.Context) {
	defer b.halt()
	var failed error
	for failed == nil && stopping.Err() == nil {
		chunk := b.next()
		if len(chunk) == 0 {
			break
		}
		failed = b.do(base, stopping, chunk)
		b.changed.Publish(struct{}{})
	}
	b.mu.Lock()
	b.phase, b.err, b.until = phaseDone, failed, time.Time{}
	if b.counts().waiting > 0 {
		b.phase = phaseStopped
	}
	b.mu.Unlock()
	b.changed.Publish(struct{}{})
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
	b.mu.Lock()
	defer b.mu.Unlock()
	var chunk []bulkItem
	for _, i := range b.items {
		if i.state == itemWaiting && len(chunk) < most {
			chunk = append(chunk, i)
		}
	}
	return chunk
}

// note keeps the outcomes of a chunk.
func (b *bulk) note(chunk []bulkItem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	byID := make(map[string]bulkItem, len(chunk))
	for _, i := range chunk {
		byID[i.id] = i
	}
	for n := range b.items {
		if i, ok := byID[b.items[n].id]; ok {
			b.items[n].state, b.items[n].err = i.state, i.err
		}
	}
}

// do carries a chunk out. The error is one that the next request would meet too.
func (b *bulk) do(base, stopping context.Context, chunk []bulkItem) error {
	defer func() { b.note(chunk) }()
	requests := make([]hubclient.BulkItem, len(chunk))
	if err := b.prepare(stopping, chunk, requests); err != nil {
		return err
	}
	var send []hubclient.BulkItem
	for n, i := range chunk {
		if i.state == itemWaiting && requests[n].Mode != "" {
			send = append(send, requests[n])
		}
	}
	if len(send) == 0 {
		return nil
	}
	result, err := b.send(base, stopping, send)
	if err != nil && stopping.Err() != nil && isThrottled(err) {
		return nil // it was not executed, and goes on waiting
	}
	b.settle(base, chunk, requests, result, err)
	return err
}

func isThrottled(err error) bool {
	_, throttled := errors.AsType[*hubclient.ThrottledError](err)
	return throttled
}

// send sends a request once it is let. A throttled request was not executed, so
// that it may be sent again.
func (b *bulk) send(base, stopping context.Context, items []hubclient.BulkItem) (iothub.BulkResult, error) {
	for {
		result, err := b.hub.Client.Bulk(base, items)
		slow, throttled := errors.AsType[*hubclient.ThrottledError](err)
		if !throttled {
			return result, err
		}
		b.waiting(slow.RetryAfter)
		select {
		case <-time.After(slow.RetryAfter):
			b.waiting(0)
		case <-stopping.Done():
			return result, err
		}
	}
}

// waiting tells the page that the hub asked to slow down.
func (b *bulk) waiting(wait time.Duration) {
	b.mu.Lock()
	b.until = time.Time{}
	if wait > 0 {
		b.until = time.Now().Add(wait)
	}
	b.mu.Unlock()
	b.changed.Publish(struct{}{})
}

// settle keeps what became of a chunk that was sent.
func (b *bulk) settle(ctx context.Context, chunk []bulkItem, sent []hubclient.BulkItem, result iothub.BulkResult, err error) {
	refused := map[string]iothub.BulkError{}
	for _, e := range result.Errors {
		refused[e.DeviceID] = e
	}
	for n := range chunk {
		i := &chunk[n]
		if i.state != itemWaiting || sent[n].Mode == "" {
			continue
		}
		e, no := refused[i.id]
		switch {
		case err != nil:
			i.state, i.err = itemFailed, err
		case !no:
			i.state = itemDone
		case b.act == actDelete && e.ErrorCode == iothub.ErrDeviceNotFound.Code:
			i.state = itemAlready
		default:
			i.state, i.err = itemFailed, bulkRefusal(e)
		}
		if b.act == actDelete && i.state != itemFailed && b.forget != nil {
			b.forget(ctx, i.id)
		}
	}
}

// bulkRefusal is a refusal by the name that the same has elsewhere.
func bulkRefusal(e iothub.BulkError) error {
	if e.ErrorCode == iothub.ErrETagDoesNotMatch.Code {
		return iothub.ErrPreconditionFailed
	}
	return &iothub.Error{Code: e.ErrorCode, Status: iothub.ErrBulkFailure.Status, Message: e.ErrorStatus}
}
