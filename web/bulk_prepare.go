package web

import (
	"cmp"
	"context"
	"errors"
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
		for n, i := range chunk {
			out[n] = i.creation()
		}
		return nil
	case actDelete:
		for n, i := range chunk {
			out[n] = i.deletion()
		}
		return nil
	}
	return b.readIdentities(ctx, chunk, out)
}

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

func (b *bulk) readIdentities(ctx context.Context, chunk []bulkItem, out []hubclient.BulkItem) error {
	ctx = hubclient.WithPatience(ctx, hubclient.Patience{Max: readPatience, Notify: b.waiting})
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
			out[n], errs[n] = b.readIdentity(ctx, &chunk[n])
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

// readIdentity reads a device and says how to write its status. The error is
// one that other devices would meet too.
func (b *bulk) readIdentity(ctx context.Context, i *bulkItem) (hubclient.BulkItem, error) {
	wanted := iothub.StatusEnabled
	if b.act == actDisable {
		wanted = iothub.StatusDisabled
	}
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
	d.Status, d.StatusReason = wanted, ""
	return hubclient.BulkItem{Mode: iothub.ImportUpdateIfMatch, Device: d}, nil
}
