package localhub

import (
	"context"
	"errors"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// bulkItem is one identity of a bulk request.
type bulkItem struct {
	mode     iothub.ImportMode
	device   iothub.Device // its id, and what may be set of a device
	moduleID string        // "" for the device itself
	etag     iothub.ETag   // of the identity, for the modes that ask for it
	twinETag iothub.ETag
	twin     iothub.TwinPatch
	refusal  error // why it cannot be read, or nil

	wanted store.Identity // worked out of the above
}

func (i *bulkItem) key() twinKey { return twinKey{i.device.DeviceID, i.moduleID} }

// bulk does what it can of a list of operations in one transaction, and tells of
// those it could not do. A device named twice, be it by its modules, is not
// touched at all.
func (r *registry) bulk(ctx context.Context, by actor, items []*bulkItem) (iothub.BulkResult, error) {
	named := map[string]int{}
	for _, i := range items {
		named[i.device.DeviceID]++
	}
	for _, i := range items {
		switch {
		case i.refusal != nil:
		case named[i.device.DeviceID] > 1:
			i.refusal = iothub.ErrDefinedTwice.With("device %s occurs %d times in the request", i.device.DeviceID, named[i.device.DeviceID])
		default:
			i.refusal = i.prepare()
		}
	}
	err := r.do(ctx, func(b *batch) error {
		for _, i := range items {
			if i.refusal == nil {
				i.refusal = i.apply(b, by)
			}
		}
		return nil
	})
	if err != nil {
		return iothub.BulkResult{}, err
	}
	result := iothub.BulkResult{Successful: true, Errors: []iothub.BulkError{}, Warnings: []iothub.BulkWarning{}}
	for _, i := range items {
		if i.refusal != nil {
			result.Successful = false
			result.Errors = append(result.Errors, i.failed())
		}
	}
	return result, nil
}

func (i *bulkItem) failed() iothub.BulkError {
	e := refusalOf(i.refusal)
	if errors.Is(e, iothub.ErrPreconditionFailed) {
		e = iothub.ErrETagDoesNotMatch.With("%s", e.Message) // its name in bulk
	}
	return iothub.BulkError{DeviceID: i.device.DeviceID, ModuleID: i.moduleID, ErrorCode: e.Code, ErrorStatus: e.Message, Operation: i.mode}
}

// prepare checks what needs no knowledge of the registry, so that afterwards an
// item is done as a whole or not at all.
func (i *bulkItem) prepare() (err error) {
	switch i.mode {
	case iothub.ImportDelete, iothub.ImportDeleteIfMatch:
		return nil
	case iothub.ImportUpdateTwin, iothub.ImportUpdateTwinIfMatch:
		return checkPatch(i.twin)
	}
	if i.moduleID != "" {
		i.wanted, err = moduleIdentityOf(iothub.Module{DeviceID: i.device.DeviceID, ModuleID: i.moduleID, Authentication: i.device.Authentication})
	} else {
		i.wanted, err = identityOf(i.device)
	}
	if err != nil {
		return err
	}
	if err := checkPatch(i.twin); err != nil {
		return err
	}
	if err := iothub.CheckSize(iothub.SectionTags, nil, i.twin.Tags); err != nil {
		return overLimit(err)
	}
	return overLimit(iothub.CheckSize(iothub.SectionDesired, nil, i.twin.Desired))
}

func (i *bulkItem) apply(b *batch, by actor) error {
	switch i.mode {
	case iothub.ImportCreate:
		return i.create(b, by)
	case iothub.ImportCreateOrUpdate, iothub.ImportCreateOrUpdateIfMatch:
		if _, err := b.record(i.key()); isNotFound(err) {
			return i.create(b, by)
		}
		return i.update(b, by)
	case iothub.ImportUpdate, iothub.ImportUpdateIfMatch:
		return i.update(b, by)
	case iothub.ImportDelete, iothub.ImportDeleteIfMatch:
		return i.delete(b, by)
	}
	match := iothub.Any
	if i.mode == iothub.ImportUpdateTwinIfMatch {
		match = given(i.twinETag)
	}
	_, err := b.writeTwin(by, i.key(), match, iothub.OperationUpdate, merging(i.twin))
	return err
}

func (i *bulkItem) create(b *batch, by actor) error {
	if _, err := b.createIdentity(by, i.wanted); err != nil {
		return err
	}
	return i.replaceTwin(b, by)
}

func (i *bulkItem) update(b *batch, by actor) error {
	if _, err := b.updateIdentity(by, i.wanted, i.match()); err != nil {
		return err
	}
	return i.replaceTwin(b, by)
}

func (i *bulkItem) delete(b *batch, by actor) error { return b.deleteIdentity(by, i.key(), i.match()) }

// match is the condition on the identity's etag.
func (i *bulkItem) match() iothub.ETag {
	switch i.mode {
	case iothub.ImportCreateOrUpdateIfMatch, iothub.ImportUpdateIfMatch, iothub.ImportDeleteIfMatch:
		return given(i.etag)
	}
	return iothub.Any
}

// given makes an etag that is absent one that never matches, which is a choice.
func given(e iothub.ETag) iothub.ETag {
	if e == "" {
		return "absent"
	}
	return e
}

// replaceTwin overwrites the sections that came along with an identity. That the
// others stay, and that reported is not taken, are choices.
func (i *bulkItem) replaceTwin(b *batch, by actor) error {
	var e store.Edit
	if i.twin.Tags != nil || i.twin.ClearTags {
		e.ReplaceTags = orEmpty(i.twin.Tags)
	}
	if i.twin.Desired != nil || i.twin.ClearDesired {
		e.ReplaceDesired = orEmpty(i.twin.Desired)
	}
	_, err := b.writeTwin(by, i.key(), iothub.Any, iothub.OperationReplace, e)
	return err
}
