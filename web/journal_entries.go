package web

import (
	"cmp"
	"context"
	"slices"
	"time"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// writes are the changes of tags and desired properties that an update tells.
func (j *journal) writes(ctx context.Context, n noted) []store.Entry {
	before, had := n.Before()
	after, has := n.After()
	switch n.Change.Kind {
	case iothub.ChangeTags, iothub.ChangeDesired:
		e := j.told(n.Change)
		if len(entryChanges(e)) == 0 {
			return nil // written again as it was
		}
		return []store.Entry{e}
	case "":
		if had && has && before.Version != after.Version {
			return j.noticed(ctx, before, after)
		}
	}
	return nil
}

// told is a write that the hub's feed announced.
func (j *journal) told(c iothub.Change) store.Entry {
	e := store.Entry{
		Time: c.Time, Hub: j.hub.Slug, DeviceID: c.DeviceID, ModuleID: c.ModuleID, Section: store.Desired, Source: store.FromFeed,
		Patch: c.Patch, Old: c.Old, Who: c.Policy, ETag: c.ETag, Version: c.SectionVersion, TwinVersion: c.Version,
	}
	if c.Kind == iothub.ChangeTags {
		e.Section = store.Tags
	}
	return e
}

// entryChanges are the values that an entry changed, each before and after.
func entryChanges(e store.Entry) []leafChange {
	before := iothub.Merge(nil, e.Old) // without what was new
	return changes(before, iothub.Merge(before, e.Patch))
}

// sectionOf is the values of a section of a device in the picture.
func sectionOf(section store.Section, t *iothub.Twin) iothub.Document {
	if section == store.Tags {
		return t.Tags
	}
	return t.Properties.Desired.Value
}

// noticed is what was different when a device was read again, as on a hub
// without a change feed: nobody says who did it, and when only roughly. What the
// dashboard changed itself in between is known already.
func (j *journal) noticed(ctx context.Context, before, after fleet.Device) (list []store.Entry) {
	was, is := before.Twin(), after.Twin()
	own, err := j.ownBetween(ctx, was, is)
	if err != nil {
		j.log.Error("journal cannot be read", "device_id", after.ID, "error", err)
	}
	for _, section := range []store.Section{store.Tags, store.Desired} {
		old := sectionOf(section, was)
		for _, e := range own {
			if e.Section == section {
				old = iothub.Merge(old, e.Patch)
			}
		}
		patch := iothub.Diff(old, sectionOf(section, is))
		if len(patch) == 0 {
			continue
		}
		e := store.Entry{
			Time: after.ReadAt, Hub: j.hub.Slug, DeviceID: after.ID, Section: section, Source: store.FromRead,
			Patch: patch, Old: iothub.Replaced(old, patch), ETag: is.ETag, TwinVersion: is.Version,
		}
		if section == store.Desired {
			e.Version = is.Properties.Desired.Version
		}
		list = append(list, e)
	}
	return list
}

// ownBetween are the dashboard's changes between two readings of a device, oldest
// first. Versions tell, not times: a reading may be much older than its answer.
func (j *journal) ownBetween(ctx context.Context, was, is *iothub.Twin) (own []store.Entry, err error) {
	const most = 100
	list, err := j.store.Journal(ctx, store.JournalQuery{Hub: j.hub.Slug, DeviceID: is.DeviceID}, most)
	for _, e := range list {
		if e.Deletion() {
			break // what is older is another device's
		}
		if e.Source == store.FromDashboard && was.Version < e.TwinVersion && e.TwinVersion <= is.Version {
			own = append(own, e)
		}
	}
	slices.SortFunc(own, func(a, b store.Entry) int { return cmp.Compare(a.TwinVersion, b.TwinVersion) })
	return own, err
}

// deleted says that a device, with its modules, or one module was deleted: each
// that has a history, if only among the entries about to be written. One of the
// same id that is added later is another.
func (j *journal) deleted(ctx context.Context, n noted, unwritten []store.Entry) (list []store.Entry) {
	modules, err := j.store.JournalModules(ctx, j.hub.Slug, n.DeviceID)
	if err != nil {
		j.log.Error("journal cannot be read", "device_id", n.DeviceID, "error", err)
	}
	for _, e := range unwritten {
		if e.DeviceID == n.DeviceID && !slices.Contains(modules, e.ModuleID) {
			modules = append(modules, e.ModuleID)
		}
	}
	for _, module := range modules {
		if n.Change.Kind != "" && n.Change.ModuleID != module {
			continue // the feed tells of each
		}
		e := store.Entry{Time: n.at, Hub: j.hub.Slug, DeviceID: n.DeviceID, ModuleID: module, Section: store.State, Source: store.FromRead}
		if n.Change.Kind != "" {
			e.Time, e.Source, e.Who = n.Change.Time, store.FromFeed, n.Change.Policy
		}
		list = append(list, e)
	}
	return list
}

// unsettle notes a change of a device's state.
func (j *journal) unsettle(n noted) {
	before, had := n.Before()
	after, has := n.After()
	switch {
	case n.Change.ModuleID != "": // a module has no state
		return
	case n.Removed, has && !had:
		delete(j.unsettled, n.DeviceID) // a device that comes or goes has no change of state
		return
	case !has, before.State == after.State:
		return
	}
	u, open := j.unsettled[n.DeviceID]
	if !open {
		u = unsettled{was: before.State, since: n.at}
	}
	u.state, u.at = after.State, n.at
	j.unsettled[n.DeviceID] = u
}

// settled takes the states that have held for so long. One that has gone back to
// what it was is forgotten; one that does not come to rest is taken as it is.
func (j *journal) settled(held time.Duration) (list []store.Entry) {
	now := j.now()
	for id, u := range j.unsettled {
		if now.Sub(u.at) < held && now.Sub(u.since) < restless {
			continue
		}
		delete(j.unsettled, id)
		if u.was == u.state {
			continue
		}
		list = append(list, store.Entry{
			Time: u.at, Hub: j.hub.Slug, DeviceID: id, Section: store.State, Source: store.FromRead, Was: u.was, State: u.state,
		})
	}
	return list
}
