package localhub

import (
	"context"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// twin returns a device's or module's twin. The caller must not change the
// documents in it.
func (r *registry) twin(ctx context.Context, key twinKey) (*iothub.Twin, error) {
	rec, err := r.record(ctx, key)
	if err != nil {
		return nil, err
	}
	return r.showTwin(rec), nil
}

// updateTwin merges a patch into tags and desired (IoT Hub developer guide:
// device twins) and sends the desired part to the device. A patch with neither
// section changes nothing; one with an empty section counts as a write, which
// is a choice.
func (r *registry) updateTwin(ctx context.Context, by actor, key twinKey, p iothub.TwinPatch, ifMatch iothub.ETag) (*iothub.Twin, error) {
	if err := checkPatch(p); err != nil {
		return nil, err
	}
	return r.writeTwin(ctx, by, key, ifMatch, iothub.OperationUpdate, merging(p))
}

func merging(p iothub.TwinPatch) func(*batch, *twinEdit) {
	return func(b *batch, w *twinEdit) {
		switch {
		case p.Tags != nil:
			w.tags(iothub.Merge(w.old.Tags, p.Tags), p.Tags)
		case p.ClearTags:
			w.replaceTags(nil)
		}
		switch {
		case p.Desired != nil:
			w.desired(w.old.Desired.Patch(p.Desired, b.at, true), p.Desired)
		case p.ClearDesired:
			w.desired(w.old.Desired.Replace(nil, b.at, true))
		}
	}
}

// replaceTwin makes the given tags and desired the whole sections; what the
// request leaves out is emptied. That this holds for a whole section too, and
// that nulls are not stored, are choices.
func (r *registry) replaceTwin(ctx context.Context, by actor, key twinKey, p iothub.TwinPatch, ifMatch iothub.ETag) (*iothub.Twin, error) {
	if err := checkPatch(p); err != nil {
		return nil, err
	}
	return r.writeTwin(ctx, by, key, ifMatch, iothub.OperationReplace, func(b *batch, w *twinEdit) {
		w.replaceTags(p.Tags)
		w.desired(w.old.Desired.Replace(p.Desired, b.at, true))
	})
}

func checkPatch(p iothub.TwinPatch) error {
	if err := checkSection(iothub.SectionTags, p.Tags); err != nil {
		return err
	}
	return checkSection(iothub.SectionDesired, p.Desired)
}

// checkSection refuses what no twin could take, so that the writer never has to
// merge it.
func checkSection(section iothub.SectionName, patch iothub.Document) error {
	err := iothub.CheckContent(section, patch)
	if err == nil {
		err = iothub.CheckSize(section, nil, iothub.Merge(nil, patch)) // without its nulls
	}
	return overLimit(err)
}

// explained is what the service answers, with the reason in the chain for those
// who can show it better than as text.
type explained struct {
	answer *iothub.Error
	cause  error
}

func (e *explained) Error() string { return e.answer.Error() }

// Unwrap gives both.
func (e *explained) Unwrap() []error { return []error{e.answer, e.cause} }

// overLimit turns a broken limit into a refusal. That an oversized section is
// ArgumentInvalid, too, is a choice.
func overLimit(err error) error {
	if err == nil {
		return nil
	}
	return &explained{iothub.ErrArgumentInvalid.With("%v", err), err}
}

// twinEdit is one service write of a twin while it is worked out: the record
// before and after, and per section what was sent.
type twinEdit struct {
	old                   *store.Record
	next                  *store.Record   // of its own: who keeps it must not keep old
	tagsSent, desiredSent iothub.Document // nil: the section was not written
}

func (w *twinEdit) tags(value, sent iothub.Document) {
	w.next.Tags, w.tagsSent = value, sent
}

// replaceTags uses a section, whose versions nobody sees, for its rules.
func (w *twinEdit) replaceTags(value iothub.Document) {
	s, sent := iothub.Section{Value: w.old.Tags}.Replace(value, time.Time{}, false)
	w.tags(s.Value, sent)
}

func (w *twinEdit) desired(s iothub.Section, sent iothub.Document) {
	w.next.Desired, w.desiredSent = s, sent
}

func (w *twinEdit) empty() bool { return w.tagsSent == nil && w.desiredSent == nil }

func (w *twinEdit) check() error {
	if err := iothub.CheckSize(iothub.SectionTags, w.old.Tags, w.next.Tags); err != nil {
		return overLimit(err)
	}
	return overLimit(iothub.CheckSize(iothub.SectionDesired, w.old.Desired.Value, w.next.Desired.Value))
}

func (r *registry) writeTwin(ctx context.Context, by actor, key twinKey, ifMatch iothub.ETag, operation string, work func(*batch, *twinEdit)) (*iothub.Twin, error) {
	var result *store.Record
	err := r.do(ctx, func(b *batch) (err error) {
		result, err = b.writeTwin(by, key, ifMatch, operation, work)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.showTwin(result), nil
}

func (b *batch) writeTwin(by actor, key twinKey, ifMatch iothub.ETag, operation string, work func(*batch, *twinEdit)) (*store.Record, error) {
	old, err := b.record(key)
	if err != nil {
		return nil, err
	}
	if err := checkETag(ifMatch, iothub.TwinETag(old.TwinETag)); err != nil {
		return nil, err
	}
	next := *old
	w := &twinEdit{old: old, next: &next}
	work(b, w)
	if w.empty() {
		return old, nil
	}
	w.next.TwinETag++
	if err := w.check(); err != nil {
		return nil, err
	}
	b.putTwin(w.next)
	b.after(func() { b.r.announceTwin(b, by, operation, w) })
	return w.next, nil
}

// announceTwin tells the device and the change feed.
func (r *registry) announceTwin(b *batch, by actor, operation string, w *twinEdit) {
	if w.tagsSent != nil {
		c := change(b, by, iothub.ChangeTags, operation, w.next)
		c.Patch, c.Old = w.tagsSent, iothub.Replaced(w.old.Tags, w.tagsSent)
		r.changes.Publish(c)
	}
	if w.desiredSent == nil {
		return
	}
	c := change(b, by, iothub.ChangeDesired, operation, w.next)
	c.Patch, c.Old = w.desiredSent, iothub.Replaced(w.old.Desired.Value, w.desiredSent)
	c.SectionVersion = w.next.Desired.Version
	r.changes.Publish(c)
	if s := r.seen(keyOf(w.old)).session; s != nil {
		told := iothub.Section{Value: w.desiredSent, Version: w.next.Desired.Version}
		s.sendDesired(told.Version, deviceJSON(told))
	}
}

func deviceJSON(s iothub.Section) []byte {
	b, err := s.DeviceJSON()
	if err != nil {
		// A Document holds nothing that JSON cannot; if it does, it is our mistake.
		panic(err)
	}
	return b
}

func (r *registry) showTwin(rec *store.Record) *iothub.Twin {
	t := showHead(rec.Identity, rec.TwinETag, rec.ModelID, rec.Version(), r.seen(keyOf(rec)))
	t.Tags = rec.Tags
	t.Properties = iothub.Properties{Desired: rec.Desired, Reported: rec.Reported}
	return &t
}

// showHead is everything of a twin but its documents.
func showHead(id store.Identity, etag uint64, modelID string, version int64, seen presence) iothub.Twin {
	return iothub.Twin{
		DeviceID: id.DeviceID, ModuleID: id.ModuleID, ETag: iothub.TwinETag(etag), DeviceETag: iothub.DeviceETag(id.IdentityETag),
		Status: id.Status, StatusReason: id.StatusReason, StatusUpdateTime: iothub.Time{Time: id.StatusUpdated},
		ConnectionState: seen.state(), LastActivityTime: iothub.Time{Time: seen.lastActivity},
		AuthenticationType: id.Authentication.Type, X509Thumbprint: id.Authentication.X509Thumbprint,
		ModelID: modelID, Version: version, Capabilities: iothub.Capabilities{IoTEdge: id.IoTEdge},
		DeviceScope: id.DeviceScope, ParentScopes: id.ParentScopes,
	}
}
