package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// twinAct is an act that changes a section of each device's twin.
type twinAct struct {
	section iothub.SectionName
	part    store.Section // the same, as the journal and addresses call it
	back    bool          // it takes another such act back
}

var twinActs = map[string]twinAct{
	actTags:        {iothub.SectionTags, store.Tags, false},
	actDesired:     {iothub.SectionDesired, store.Desired, false},
	actTagsBack:    {iothub.SectionTags, store.Tags, true},
	actDesiredBack: {iothub.SectionDesired, store.Desired, true},
}

// of is the section of a twin that the act changes.
func (a twinAct) of(t *iothub.Twin) iothub.Document { return sectionOf(a.part, t) }

// patch is a change of the section as a hub takes it.
func (a twinAct) patch(change iothub.Document) iothub.TwinPatch {
	if a.section == iothub.SectionTags {
		return iothub.TwinPatch{Tags: change}
	}
	return iothub.TwinPatch{Desired: change}
}

// twinWrite is the request for one device: the smallest change that its twin
// needs, on condition that it is still as it was read.
type twinWrite struct {
	change   iothub.Document
	replaces iothub.Document // what stands there now
	etag     iothub.ETag
}

// doTwins carries a chunk out, a request for each device. What is replaced is kept
// before it is: also what a crash leaves unsure can be taken back.
func (b *bulk) doTwins(base, stopping context.Context, chunk []bulkItem) error {
	writes := make([]twinWrite, len(chunk))
	err := b.each(stopping, chunk, func(ctx context.Context, n int) (err error) {
		writes[n], err = b.readTwin(ctx, &chunk[n])
		return err
	})
	if err != nil || stopping.Err() != nil {
		return err
	}
	for n := range chunk {
		if chunk[n].state == itemWaiting {
			b.sent(&chunk[n], writes[n])
		}
	}
	if err := b.note(base, chunk); err != nil {
		return err // nothing is sent that could be forgotten
	}
	// The first failure that others would meet too keeps the rest from being sent.
	sending, end := context.WithCancel(b.patient(stopping))
	defer end()
	entries := make([]*store.Entry, len(chunk))
	err = b.each(base, chunk, func(_ context.Context, n int) (err error) {
		if chunk[n].state != itemUnsure {
			return nil
		}
		if entries[n], err = b.writeTwin(base, sending, &chunk[n], writes[n]); err != nil {
			end()
		}
		return err
	})
	b.journal(base, chunk, entries)
	return errors.Join(err, b.note(base, chunk))
}

// sent is what is kept of an item whose request is about to be sent.
func (b *bulk) sent(i *bulkItem, w twinWrite) {
	i.state = itemUnsure
	if !twinActs[b.act].back {
		i.old = w.replaces
	}
}

// unsent is what is known of it when the request changed nothing for certain.
func (b *bulk) unsent(i *bulkItem, state string, why error) {
	i.state, i.err = state, why
	if !twinActs[b.act].back {
		i.old = nil
	}
}

// readTwin reads a device's twin and finds out what it needs; nothing to write
// settles it. The error is one that other devices would meet too.
func (b *bulk) readTwin(ctx context.Context, i *bulkItem) (twinWrite, error) {
	t, err := b.hub.Client.GetTwin(ctx, i.id)
	switch {
	case isGone(err):
		i.state, i.err = itemFailed, err
		return twinWrite{}, nil
	case err != nil:
		return twinWrite{}, err
	}
	return b.work(i, t), nil
}

// work finds out what a twin needs. When an item whose request was sent needs
// nothing, that was most likely the request.
func (b *bulk) work(i *bulkItem, t *iothub.Twin) twinWrite {
	act := twinActs[b.act]
	now := act.of(t)
	w := twinWrite{etag: t.ETag}
	i.state, i.err = i.settled(act), nil
	if act.back {
		r := iothub.Restore(now, b.patch, i.old)
		w.change = r.Patch
		if len(r.Left) > 0 {
			i.err = leftAloneAt(r.Left)
		}
		if len(r.Left) > 0 && len(r.Patch)+r.Same == 0 {
			i.state = itemLeft
		}
	} else {
		w.change = iothub.Needed(now, b.patch)
	}
	if len(w.change) == 0 {
		return w
	}
	w.replaces = iothub.Replaced(now, w.change)
	if err := iothub.CheckSize(act.section, now, iothub.Merge(now, w.change)); err != nil {
		b.unsent(i, itemFailed, err)
	} else {
		b.unsent(i, itemWaiting, i.err)
	}
	return w
}

// settled is what an item is whose twin needs nothing.
func (i *bulkItem) settled(act twinAct) string {
	if i.state == itemUnsure || !act.back && i.old != nil {
		return itemDone
	}
	return itemAlready
}

// writeTwin sends the change of a device. Its etag is that of the twin just read,
// so that what is replaced is known for certain; when somebody else was faster, the
// twin is read again and the same keys are set on top, for that is what was asked.
// The error is one that other devices would meet too.
func (b *bulk) writeTwin(base, sending context.Context, i *bulkItem, w twinWrite) (*store.Entry, error) {
	for range attempts {
		t, err := b.patchTwin(base, sending, i.id, w)
		switch {
		case err == nil:
			i.state = itemDone
			return b.entry(i, t, w), nil
		case errors.Is(err, errNotSent):
			b.unsent(i, itemWaiting, nil)
			return nil, nil
		case base.Err() != nil:
			return nil, err // the program ends before the answer
		case !errors.Is(err, iothub.ErrPreconditionFailed):
			return nil, b.refused(i, err)
		}
		b.unsent(i, itemWaiting, nil)
		if w, err = b.readTwin(sending, i); err != nil || i.state != itemWaiting {
			if sending.Err() != nil {
				return nil, nil
			}
			return nil, err
		}
		b.sent(i, w)
		if err := b.note(base, []bulkItem{*i}); err != nil {
			b.unsent(i, itemWaiting, nil)
			return nil, err
		}
	}
	return nil, b.refused(i, iothub.ErrPreconditionFailed)
}

// refused keeps why a device was left as it is, and returns what others would meet
// too. What the hub refuses is certain; without an answer nothing is.
func (b *bulk) refused(i *bulkItem, err error) error {
	refusal, answered := errors.AsType[*iothub.Error](err)
	if !answered || refusal.Status >= http.StatusInternalServerError {
		i.state, i.err = itemFailed, err
		return err
	}
	b.unsent(i, itemFailed, err)
	switch refusal.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge:
		return nil // about this device alone
	}
	return err
}

// errNotSent means that a stop came before the request.
var errNotSent = errors.New("not sent")

// patchTwin sends a change once it is let. A throttled request was not executed,
// so that it may be sent again.
func (b *bulk) patchTwin(base, sending context.Context, id string, w twinWrite) (t *iothub.Twin, err error) {
	for sending.Err() == nil {
		t, err = b.hub.Client.UpdateTwin(base, id, twinActs[b.act].patch(w.change), &hubclient.UpdateTwinOptions{IfMatch: w.etag})
		if !b.throttled(sending, err) {
			return t, err
		}
	}
	return nil, errNotSent
}

// entry is a change in the journal.
func (b *bulk) entry(i *bulkItem, t *iothub.Twin, w twinWrite) *store.Entry {
	act := twinActs[b.act]
	e := &store.Entry{
		Time: b.keeper.now(), Hub: b.hub.Slug, DeviceID: i.id, Section: act.part,
		Patch: w.change, Old: w.replaces, Screen: "bulk", ETag: t.ETag, TwinVersion: t.Version,
	}
	if act.back {
		e.Undoes = i.entry
	}
	if act.part == store.Desired {
		e.Version = t.Properties.Desired.Version
	}
	return e
}

// journal writes down what was changed of a chunk; entries that are nil were not.
// The changes are made: without it, only taking one of them back by itself is lost.
func (b *bulk) journal(ctx context.Context, chunk []bulkItem, entries []*store.Entry) {
	var list []store.Entry
	var changed []*bulkItem
	for n, e := range entries {
		if e != nil {
			list, changed = append(list, *e), append(changed, &chunk[n])
		}
	}
	if len(list) == 0 {
		return
	}
	ids, err := b.record(context.WithoutCancel(ctx), list...)
	if err != nil {
		b.keeper.log.Error("changes not in the journal", "bulk", b.id, "count", len(list), "error", err)
		return
	}
	if !twinActs[b.act].back {
		for n, i := range changed {
			i.entry = ids[n]
		}
	}
}

// leftAloneError says which places an undo did not touch, because somebody has changed
// them since.
type leftAloneError struct{ paths []string }

func leftAloneAt(list []iothub.Path) *leftAloneError {
	e := &leftAloneError{}
	for _, path := range list {
		e.paths = append(e.paths, path.String())
	}
	return e
}

func (e *leftAloneError) Error() string { return "changed since: " + strings.Join(e.paths, ", ") }
