package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// follower keeps the picture by a hub's change feed.
type follower struct {
	f      *Fleet
	cursor string
	// stopFill ends the running fill and waits for it. A fill outlives a broken
	// feed: the feed goes on from the cursor, so nothing is missed.
	stopFill func()
}

func newFollower(f *Fleet) *follower { return &follower{f: f, stopFill: func() {}} }

func (l *follower) stop() { l.stopFill() }

// follow opens the feed where it was left and applies it until it ends. An
// orderly end, such as that of the token's life, is no error.
func (l *follower) follow(ctx context.Context, opened func()) error {
	stream, err := l.f.client.Changes(ctx, l.cursor)
	if err != nil {
		return err
	}
	defer stream.Close()
	opened()
	l.f.setOpen(true)
	defer l.f.setOpen(false)
	for {
		change, err := stream.Next()
		l.cursor = stream.Cursor()
		switch {
		case errors.Is(err, hubclient.ErrChangeFeedReset):
			l.f.activity.Publish(Activity{At: l.f.now(), Gap: true})
			l.refill(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		default:
			l.f.apply(change)
			l.f.activity.Publish(Activity{At: l.f.now(), Change: change})
		}
	}
}

// refill reads every twin anew, in the background: the feed goes on meanwhile.
func (l *follower) refill(ctx context.Context) {
	l.stopFill()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.f.fill(ctx, fillOptions{})
	}()
	l.stopFill = func() {
		cancel()
		<-done
	}
}

// apply brings the picture up to a change. What cannot be applied is read anew.
func (f *Fleet) apply(c iothub.Change) {
	switch {
	case c.ModuleID != "":
		return
	case c.Kind == iothub.ChangeTelemetry, c.Kind == iothub.ChangeMethod:
		f.active(c)
		return
	case c.Kind == iothub.ChangeDelivered:
		return // it changes nothing of a twin
	}
	f.rereads.touch(c.DeviceID)
	if c.Kind == iothub.ChangeIdentity && c.Operation == iothub.OperationDelete {
		if f.picture.remove(c.DeviceID) {
			f.updates.Publish(Update{DeviceID: c.DeviceID, Removed: true, Change: c})
		}
		return
	}
	if f.picture.tooEarly(c.DeviceID) {
		return
	}
	old := f.picture.get(c.DeviceID)
	switch e, did := f.applyTo(old, c); did {
	case applied:
		f.updates.Publish(Update{DeviceID: c.DeviceID, Change: c, before: old, after: e})
	case known:
		f.updates.Publish(Update{DeviceID: c.DeviceID, Change: c})
	case unclear:
		f.rereads.add(c.DeviceID, c)
	}
}

// applyTo replaces an entry by what the change makes of it.
func (f *Fleet) applyTo(old *entry, c iothub.Change) (*entry, outcome) {
	if old == nil {
		return nil, unclear
	}
	t, err := decode(old.raw)
	if err != nil {
		return nil, unclear
	}
	if did := applyChange(t, c); did != applied {
		return nil, did
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, unclear
	}
	now := f.now()
	e := newEntry(t, raw, now, now, f.grace)
	e.activity.Store(max(old.activity.Load(), e.activity.Load()))
	if !f.picture.swap(old, e) {
		return nil, unclear
	}
	f.watch(e)
	return e, applied
}

// active notes that a device spoke. Lists are not told: it happens all the time.
func (f *Fleet) active(c iothub.Change) {
	if e := f.picture.get(c.DeviceID); e != nil {
		e.activity.Store(max(e.activity.Load(), c.Time.UnixNano()))
	}
}

// outcome says what came of applying a change.
type outcome int

const (
	applied outcome = iota
	known           // the twin has it already
	unclear         // something before it is missing, or it does not say everything
)

// hubTime is a time as a hub's answers print it: in units of 100 ns.
func hubTime(t time.Time) time.Time { return t.UTC().Truncate(100) }

// applyChange does to a twin what the hub did, if the change follows on what the
// twin is. A write of tags and desired together is two changes of one version.
func applyChange(t *iothub.Twin, c iothub.Change) outcome {
	switch c.Kind {
	case iothub.ChangeConnection:
		return applyConnection(t, c)
	case iothub.ChangeTags, iothub.ChangeDesired, iothub.ChangeReported:
	default:
		return unclear
	}
	if c.Version < t.Version {
		return known
	}
	if c.Version > t.Version+1 {
		return unclear
	}
	var done outcome
	switch c.Kind {
	case iothub.ChangeTags:
		done = applyTags(t, c)
	case iothub.ChangeDesired:
		done = applySection(&t.Properties.Desired, c, t.Version, true)
	case iothub.ChangeReported:
		done = applySection(&t.Properties.Reported, c, t.Version, false)
	}
	if done == applied {
		t.Version = c.Version
		if c.Kind == iothub.ChangeReported {
			t.LastActivityTime = iothub.Time{Time: hubTime(c.Time)}
		}
		if c.ETag != "" {
			t.ETag = c.ETag
		}
	}
	return done
}

func applyConnection(t *iothub.Twin, c iothub.Change) outcome {
	state, ok := c.Patch["connectionState"].(string)
	if !ok || c.Version > t.Version {
		return unclear
	}
	t.ConnectionState = state
	t.LastActivityTime = iothub.Time{Time: hubTime(c.Time)}
	return applied
}

// applyTags may meet a twin that has the change already: the latest write can be
// merged twice.
func applyTags(t *iothub.Twin, c iothub.Change) outcome {
	base := t.Tags
	if c.Operation == iothub.OperationReplace {
		base = nil
	}
	t.Tags = iothub.Merge(base, c.Patch)
	return applied
}

func applySection(s *iothub.Section, c iothub.Change, version int64, stamped bool) outcome {
	switch {
	case c.SectionVersion <= s.Version && c.Version == version:
		return known
	case c.SectionVersion != s.Version+1:
		return unclear
	case c.Operation == iothub.OperationReplace:
		*s, _ = s.Replace(c.Patch, hubTime(c.Time), stamped)
	default:
		*s = s.Patch(c.Patch, hubTime(c.Time), stamped)
	}
	return applied
}
