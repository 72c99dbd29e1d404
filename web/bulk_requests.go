package web

import (
	"context"
	"errors"
	"slices"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// do carries a chunk out. The error is one that the next request would meet too.
func (b *bulk) do(base, stopping context.Context, chunk []bulkItem) (err error) {
	if _, ok := twinActs[b.act]; ok {
		return b.doTwins(base, stopping, chunk)
	}
	if err := b.look(stopping, chunk); err != nil || stopping.Err() != nil {
		return err
	}
	chunk = slices.DeleteFunc(chunk, func(i bulkItem) bool { return i.state != itemWaiting })
	defer func() { err = errors.Join(err, b.note(base, chunk)) }()
	requests := make([]hubclient.BulkItem, len(chunk))
	if err := b.prepare(stopping, chunk, requests); err != nil {
		return err
	}
	var send []hubclient.BulkItem
	for n := range chunk {
		if chunk[n].state == itemWaiting && requests[n].Mode != "" {
			chunk[n].state = itemUnsure
			send = append(send, requests[n])
		}
	}
	if len(send) == 0 {
		return nil
	}
	if err := b.note(base, chunk); err != nil {
		unsend(chunk)
		return err // nothing is sent that could be forgotten
	}
	result, err := b.send(base, stopping, send)
	switch {
	case err != nil && stopping.Err() != nil && isThrottled(err):
		unsend(chunk) // it was not executed
		return nil
	case err != nil && base.Err() != nil:
		return err // the program ends before the answer
	}
	b.settle(base, chunk, result, err)
	return err
}

// unsend makes what was not sent after all wait on.
func unsend(chunk []bulkItem) {
	for n := range chunk {
		if chunk[n].state == itemUnsure {
			chunk[n].state = itemWaiting
		}
	}
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
		if !b.throttled(stopping, err) || stopping.Err() != nil {
			return result, err
		}
	}
}

// throttled waits if the hub asked to slow down, unless it is stopped.
func (b *bulk) throttled(stopping context.Context, err error) bool {
	slow, throttled := errors.AsType[*hubclient.ThrottledError](err)
	if throttled {
		b.waiting(slow.RetryAfter)
		select {
		case <-time.After(slow.RetryAfter):
			b.waiting(0)
		case <-stopping.Done():
		}
	}
	return throttled
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
func (b *bulk) settle(ctx context.Context, chunk []bulkItem, result iothub.BulkResult, err error) {
	refused := map[string]iothub.BulkError{}
	for _, e := range result.Errors {
		refused[e.DeviceID] = e
	}
	for n := range chunk {
		i := &chunk[n]
		if i.state != itemUnsure {
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
		if b.act == actDelete && i.state != itemFailed {
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
