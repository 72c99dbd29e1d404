package localhub

import (
	"context"
	"fmt"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// presence is a device's connection and when it was last heard of. The times
// are written to the store now and then; connections end with the hub.
type presence struct {
	session                         session // nil: not connected
	lastActivity, connectionUpdated time.Time
	dirty                           bool // not in the store yet
	// delivered is the newest version of the desired properties that was written
	// to a connection, as far as this run of the hub knows.
	delivered int64
}

func (p presence) state() string {
	if p.session != nil {
		return iothub.Connected
	}
	return iothub.Disconnected
}

func (r *registry) loadPresence(ctx context.Context) error {
	return r.store.ActivityOf(ctx, func(a store.Activity) {
		r.presence[twinKey{a.DeviceID, a.ModuleID}] = &presence{
			lastActivity: a.LastActivity, connectionUpdated: a.ConnectionUpdated,
		}
	})
}

// seen returns a copy of what is known of a device's presence.
func (r *registry) seen(key twinKey) presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.presence[key]; p != nil {
		return *p
	}
	return presence{}
}

// connected counts the devices with a connection; modules do not count.
func (r *registry) connected() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.online
}

// connect makes s the connection of a device; patches committed from now on go
// to it. An older connection of the same device is ended. A disabled device is
// refused with DeviceDisabled. modelID is stored when it is not "": that a
// connection without one keeps the last is a choice.
func (r *registry) connect(ctx context.Context, key twinKey, modelID string, s session) error {
	return r.do(ctx, func(b *batch) error {
		rec, err := b.record(key)
		if err != nil {
			return err
		}
		device, err := b.record(twinKey{DeviceID: key.DeviceID})
		if err != nil {
			return err
		}
		if device.Status == iothub.StatusDisabled {
			return iothub.ErrDeviceDisabled.With("the device %s is disabled", key.DeviceID)
		}
		if modelID != "" && modelID != rec.ModelID {
			next := *rec
			next.ModelID = modelID
			b.putTwin(&next)
		}
		b.after(func(time.Time) { r.attach(key, s) })
		return nil
	})
}

// subscriptionsOf returns what a device has subscribed to on connections that
// are kept; kept is false when nothing is.
func (r *registry) subscriptionsOf(ctx context.Context, key twinKey) (filters []string, kept bool, err error) {
	return r.store.SubscriptionsOf(ctx, key.DeviceID, key.ModuleID)
}

// keepSubscriptions stores what the connection s has subscribed to; nil forgets
// it. A connection that another one has replaced has no say any more. A device
// that connects and never subscribes has nothing kept, which is a choice.
func (r *registry) keepSubscriptions(key twinKey, s session, filters []string) error {
	return r.do(context.Background(), func(b *batch) error {
		if r.seen(key).session == s {
			b.subscriptions = append(b.subscriptions, store.Subscriptions{
				DeviceID: key.DeviceID, ModuleID: key.ModuleID, Filters: filters,
			})
		}
		return nil
	})
}

func (r *registry) attach(key twinKey, s session) {
	r.mu.Lock()
	p := r.presence[key]
	if p == nil {
		p = &presence{}
		r.presence[key] = p
	}
	older := p.session
	p.session = s
	now := r.now()
	p.lastActivity, p.dirty = now, true
	r.columns.stir(key)
	if older == nil {
		r.online += counts(key)
		r.announceConnection(key, p, now)
	}
	r.mu.Unlock()
	r.calls.awaken(key)
	if older != nil {
		older.end("the device opened a new connection")
	}
}

// disconnect says that a connection has ended. It does nothing when another
// one has taken its place. It does not wait for the writer.
func (r *registry) disconnect(key twinKey, s session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.presence[key]; p != nil && p.session == s {
		r.detach(key, p)
	}
}

// detach is called with r.mu held and p connected.
func (r *registry) detach(key twinKey, p *presence) {
	p.session = nil
	p.dirty = true
	r.columns.stir(key)
	r.online -= counts(key)
	r.announceConnection(key, p, r.now())
}

func counts(key twinKey) int {
	if key.ModuleID != "" {
		return 0
	}
	return 1
}

// announceConnection is called with r.mu held, so that the feed has the
// connections and disconnections of a device in their order.
func (r *registry) announceConnection(key twinKey, p *presence, at time.Time) {
	p.connectionUpdated = at
	r.changes.Publish(iothub.Change{
		Time: at, DeviceID: key.DeviceID, ModuleID: key.ModuleID, Kind: iothub.ChangeConnection,
		Patch: iothub.Document{"connectionState": p.state()}, Device: key.DeviceID,
	})
}

// drop ends a device's connection, if any.
func (r *registry) drop(key twinKey, reason string) {
	r.mu.Lock()
	p := r.presence[key]
	if p == nil || p.session == nil {
		r.mu.Unlock()
		return
	}
	s := p.session
	r.detach(key, p)
	r.mu.Unlock()
	s.end(reason)
}

// delivered notes that desired properties of a version were written to the
// connection of a device, and announces it the first time. A fresh twin, whose
// version is 1, holds nothing to deliver.
func (r *registry) delivered(key twinKey, version int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.presence[key]
	if p == nil || version <= max(p.delivered, 1) {
		return
	}
	p.delivered = version
	r.changes.Publish(iothub.Change{
		Time: r.now(), DeviceID: key.DeviceID, ModuleID: key.ModuleID, Kind: iothub.ChangeDelivered, SectionVersion: version,
	})
}

// forget drops a deleted device's connection and what was known of it.
func (r *registry) forget(key twinKey, reason string) {
	r.drop(key, reason)
	r.mu.Lock()
	delete(r.presence, key)
	r.columns.stir(key)
	r.mu.Unlock()
	r.calls.awaken(key) // calls and jobs that wait for it
}

func (r *registry) endAll(reason string) {
	r.mu.Lock()
	var sessions []session
	for key, p := range r.presence {
		if p.session != nil {
			sessions = append(sessions, p.session)
			r.detach(key, p)
		}
	}
	r.mu.Unlock()
	for _, s := range sessions {
		s.end(reason)
	}
}

// touch notes that a connected device was heard of.
func (r *registry) touch(key twinKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.presence[key]; p != nil {
		p.lastActivity, p.dirty = r.now(), true
		r.columns.stir(key)
	}
}

// flushActivity writes times that are not in the store yet, a number of them at
// a time so that twins need not wait, and reports whether some are left. It
// runs on the writer.
func (r *registry) flushActivity() (more bool) {
	var b store.Batch
	r.mu.Lock()
	for key, p := range r.presence {
		if more = len(b.Activity) == flushLength; more {
			break
		}
		if p.dirty {
			p.dirty = false
			b.Activity = append(b.Activity, store.Activity{
				DeviceID: key.DeviceID, ModuleID: key.ModuleID,
				LastActivity: p.lastActivity, ConnectionUpdated: p.connectionUpdated,
			})
		}
	}
	r.mu.Unlock()
	if b.Empty() {
		return false
	}
	if err := r.store.Commit(&b); err != nil {
		r.log.Error("activity times were not stored", "error", err, "devices", len(b.Activity))
		return false
	}
	return more
}

// patchReported merges a reported patch. base, if not nil, must be the present
// reported.$version. It returns at once when the queue has room; the answer
// comes through s, in order with everything else for that connection.
func (r *registry) patchReported(key twinKey, s session, rid string, patch []byte, base *int64) {
	r.touch(key)
	doc, parseErr := parseReported(patch)
	var version int64
	_ = r.enqueue(context.Background(), &op{
		apply: func(b *batch) error {
			if parseErr != nil {
				return parseErr
			}
			next, err := r.report(b, key, doc, base)
			if err == nil {
				version = next.Reported.Version
			}
			return err
		},
		answer: func(err error) {
			if err != nil {
				version = 0 // worked out, but not stored
			}
			s.answerReported(rid, version, err)
		},
	})
}

// parseReported reads what a device reports. Like the service for desired, and
// by choice here, it ignores the $metadata and $version of a document that was
// sent back.
func parseReported(patch []byte) (iothub.Document, error) {
	doc, err := iothub.ParseDocument(patch)
	if err != nil {
		return nil, iothub.ErrFormat.With("the reported properties are not a JSON object: %v", err)
	}
	delete(doc, "$metadata")
	delete(doc, "$version")
	return doc, checkSection(iothub.SectionReported, doc)
}

func (r *registry) report(b *batch, key twinKey, doc iothub.Document, base *int64) (*store.Record, error) {
	old, err := b.record(key)
	if err != nil {
		return nil, err
	}
	if base != nil && *base != old.Reported.Version {
		return nil, iothub.ErrPreconditionFailed.With("reported.$version is %d by now, not %d", old.Reported.Version, *base)
	}
	next, err := b.editTwin(old, store.Edit{Reported: doc})
	if err != nil {
		return nil, err
	}
	b.after(func(at time.Time) {
		c := change(at, actor{DeviceID: key.DeviceID, ModuleID: key.ModuleID}, iothub.ChangeReported, iothub.OperationUpdate, next)
		c.Patch, c.Old, c.SectionVersion = doc, iothub.Replaced(old.Reported.Value, doc), next.Reported.Version
		r.changes.Publish(c)
	})
	return next, nil
}

// readTwin answers, through s, with the twin as the device sees it: desired
// and reported with their $version, no metadata, no tags. It is ordered with
// the writes of that device.
func (r *registry) readTwin(key twinKey, s session, rid string) {
	r.touch(key)
	var (
		body    []byte
		desired int64
	)
	_ = r.enqueue(context.Background(), &op{
		apply: func(b *batch) error {
			rec, err := b.record(key)
			if err == nil {
				desired = rec.Desired.Version
				body = fmt.Appendf(nil, `{"desired":%s,"reported":%s}`, deviceJSON(rec.Desired), deviceJSON(rec.Reported))
			}
			return err
		},
		answer: func(err error) {
			if err != nil {
				body = nil
			}
			s.answerTwin(rid, desired, body, err)
		},
	})
}
