package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// prepare works out what to ask of the hub for each device of a chunk, and
// settles those that need nothing. A request of mode "" is not sent.
func (b *bulk) prepare(ctx context.Context, chunk []bulkItem, out []hubclient.BulkItem) error {
	switch b.act {
	case actCreate:
		for n := range chunk {
			if i := &chunk[n]; i.made.keyless {
				i.state, i.err = itemFailed, errKeyless
			} else {
				out[n] = i.creation()
			}
		}
		return nil
	case actDelete:
		for n, i := range chunk {
			out[n] = i.deletion()
		}
		return nil
	}
	return b.each(ctx, chunk, func(ctx context.Context, n int) (err error) {
		out[n], err = b.readIdentity(ctx, &chunk[n])
		return err
	})
}

// errKeyless is about a device that was to get keys of its own, which are not
// kept over a restart.
var errKeyless = &problem{status: http.StatusConflict, code: "keyless"}

func (i bulkItem) creation() hubclient.BulkItem {
	d := iothub.Device{DeviceID: i.id, Status: cmp.Or(i.made.status, iothub.StatusEnabled)}
	if i.made.keys != (iothub.SymmetricKey{}) {
		d.Authentication = iothub.Authentication{Type: "sas", SymmetricKey: i.made.keys}
	}
	return hubclient.BulkItem{Mode: iothub.ImportCreate, Device: d, Tags: i.made.tags, Desired: i.made.desired}
}

func (i bulkItem) deletion() hubclient.BulkItem {
	item := hubclient.BulkItem{Mode: iothub.ImportDelete, Device: iothub.Device{DeviceID: i.id, ETag: i.etag}}
	if i.etag != "" {
		item.Mode = iothub.ImportDeleteIfMatch
	}
	return item
}

// Identities read at a time, before they are written: an update that leaves the
// keys out would make new ones.
const (
	readersLocal = 16
	readersCloud = 4
)

// readPatience is how long reads of identities may wait for a throttled hub.
const readPatience = time.Hour

// patient lets reads wait until the hub has time again.
func (b *bulk) patient(ctx context.Context) context.Context {
	return hubclient.WithPatience(ctx, hubclient.Patience{Max: readPatience, Notify: b.waiting})
}

// each reads something of the hub for every device of a chunk, some at a time. The
// error is one that other devices would meet too.
func (b *bulk) each(ctx context.Context, chunk []bulkItem, read func(ctx context.Context, n int) error) error {
	ctx = b.patient(ctx)
	slots := make(chan struct{}, readersCloud)
	if b.hub.Local {
		slots = make(chan struct{}, readersLocal)
	}
	errs := make([]error, len(chunk))
	var readers sync.WaitGroup
	for n := range chunk {
		slots <- struct{}{}
		readers.Go(func() {
			defer func() { <-slots }()
			errs[n] = read(ctx, n)
		})
	}
	readers.Wait()
	b.waiting(0)
	for _, err := range errs {
		if err != nil && ctx.Err() == nil {
			return err // the hub cannot be reached: nothing was written
		}
	}
	return nil
}

// look finds out what became of the devices of a chunk whose request was sent but
// whose answer was never seen.
func (b *bulk) look(ctx context.Context, chunk []bulkItem) error {
	if !slices.ContainsFunc(chunk, func(i bulkItem) bool { return i.state == itemUnsure }) {
		return nil
	}
	err := b.each(ctx, chunk, func(ctx context.Context, n int) error {
		if chunk[n].state != itemUnsure {
			return nil
		}
		return b.lookAt(ctx, &chunk[n])
	})
	return errors.Join(err, b.note(ctx, chunk))
}

// lookAt tells whether a device is as the act would have made it. If so, that was
// most likely the act.
func (b *bulk) lookAt(ctx context.Context, i *bulkItem) error {
	t, err := b.hub.Client.GetTwin(ctx, i.id)
	there := err == nil
	if err != nil && !isGone(err) {
		return err
	}
	if _, ok := twinActs[b.act]; ok && there {
		b.work(i, t)
		return nil
	}
	i.state = itemWaiting
	switch b.act {
	case actDelete:
		if !there {
			i.state = itemDone
			b.forget(ctx, i.id)
		}
	case actCreate:
		if there && i.made.is(t) {
			i.state = itemDone
		}
	default:
		if there && t.Status == b.wantedStatus() {
			i.state = itemDone
		}
	}
	return nil
}

// is reports whether a twin is that of the new device.
func (d newDevice) is(t *iothub.Twin) bool {
	return t.Status == cmp.Or(d.status, iothub.StatusEnabled) && len(iothub.Diff(t.Tags, d.tags)) == 0 &&
		len(iothub.Diff(t.Properties.Desired.Value, d.desired)) == 0
}

func (b *bulk) wantedStatus() string {
	if b.act == actDisable {
		return iothub.StatusDisabled
	}
	return iothub.StatusEnabled
}

// readIdentity reads a device and says how to write its status. The error is
// one that other devices would meet too.
func (b *bulk) readIdentity(ctx context.Context, i *bulkItem) (hubclient.BulkItem, error) {
	wanted := b.wantedStatus()
	d, err := b.hub.Client.GetDevice(ctx, i.id)
	refused, isRefused := errors.AsType[*iothub.Error](err)
	switch {
	case isRefused && refused.Status == iothub.ErrDeviceNotFound.Status:
		i.state, i.err = itemFailed, err
		return hubclient.BulkItem{}, nil
	case err != nil:
		return hubclient.BulkItem{}, err
	case d.Status == wanted:
		i.state = itemAlready
		return hubclient.BulkItem{}, nil
	case i.etag != "" && d.ETag != i.etag:
		i.state, i.err = itemFailed, iothub.ErrPreconditionFailed
		return hubclient.BulkItem{}, nil
	}
	i.reasonWas = d.StatusReason
	d.Status, d.StatusReason = wanted, i.reason
	return hubclient.BulkItem{Mode: iothub.ImportUpdateIfMatch, Device: d}, nil
}
