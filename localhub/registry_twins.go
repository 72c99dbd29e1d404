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

// merging is the edit of a patch; a section of null is emptied.
func merging(p iothub.TwinPatch) store.Edit {
	e := store.Edit{Tags: p.Tags, Desired: p.Desired}
	if p.ClearTags {
		e.ReplaceTags = iothub.Document{}
	}
	if p.ClearDesired {
		e.ReplaceDesired = iothub.Document{}
	}
	return e
}

// replaceTwin makes the given tags and desired the whole sections; what the
// request leaves out is emptied. That this holds for a whole section too, and
// that nulls are not stored, are choices.
func (r *registry) replaceTwin(ctx context.Context, by actor, key twinKey, p iothub.TwinPatch, ifMatch iothub.ETag) (*iothub.Twin, error) {
	if err := checkPatch(p); err != nil {
		return nil, err
	}
	e := store.Edit{ReplaceTags: orEmpty(p.Tags), ReplaceDesired: orEmpty(p.Desired)}
	return r.writeTwin(ctx, by, key, ifMatch, iothub.OperationReplace, e)
}

func orEmpty(d iothub.Document) iothub.Document {
	if d == nil {
		return iothub.Document{}
	}
	return d
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
	if err == nil && iothub.Size(patch) > section.MaxSize() {
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

func (r *registry) writeTwin(ctx context.Context, by actor, key twinKey, ifMatch iothub.ETag, operation string, e store.Edit) (*iothub.Twin, error) {
	var result *store.Record
	err := r.do(ctx, func(b *batch) (err error) {
		result, err = b.writeTwin(by, key, ifMatch, operation, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r.showTwin(result), nil
}

func (b *batch) writeTwin(by actor, key twinKey, ifMatch iothub.ETag, operation string, e store.Edit) (*store.Record, error) {
	old, err := b.record(key)
	if err != nil {
		return nil, err
	}
	if err := checkETag(ifMatch, iothub.TwinETag(old.TwinETag)); err != nil {
		return nil, err
	}
	if e.Empty() {
		return old, nil
	}
	next, err := b.editTwin(old, e)
	if err == nil {
		b.after(func(at time.Time) { b.r.announceTwin(at, by, operation, e, old, next) })
	}
	return next, err
}

// editTwin records an edit unless it breaks a limit.
func (b *batch) editTwin(old *store.Record, e store.Edit) (*store.Record, error) {
	next := *old // of its own: who keeps it must not keep old
	next.Twin = e.Apply(old.Twin, b.at)
	if err := e.CheckSize(&old.Twin, &next.Twin); err != nil {
		return nil, overLimit(err)
	}
	b.edit(e, &next)
	return &next, nil
}

// announceTwin tells the device and the change feed.
func (r *registry) announceTwin(at time.Time, by actor, operation string, e store.Edit, old, next *store.Record) {
	if e.WritesTags() {
		c := change(at, by, iothub.ChangeTags, operation, next)
		c.Patch = told(old.Tags, e.Tags, e.ReplaceTags)
		c.Old = iothub.Replaced(old.Tags, c.Patch)
		r.changes.Publish(c)
	}
	if !e.WritesDesired() {
		return
	}
	c := change(at, by, iothub.ChangeDesired, operation, next)
	c.Patch = told(old.Desired.Value, e.Desired, e.ReplaceDesired)
	c.Old = iothub.Replaced(old.Desired.Value, c.Patch)
	c.SectionVersion = next.Desired.Version
	r.changes.Publish(c)
	if s := r.seen(keyOf(old)).session; s != nil {
		s.sendDesired(c.SectionVersion, deviceJSON(iothub.Section{Value: c.Patch, Version: c.SectionVersion}))
	}
}

// told is what others hear of the write of a section: the patch, or what a
// replacement comes to.
func told(old, merged, replaced iothub.Document) iothub.Document {
	if merged != nil {
		return merged
	}
	_, patch := iothub.Section{Value: old}.Replace(replaced, time.Time{}, false)
	return patch
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
