package web

import (
	"context"
	"slices"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// A device that is deleted and added again is another one with the same id: its
// history holds the changes of both. Those of one are a life.

// apart is how far apart two changes must be for their versions to count: one made
// here has the dashboard's time, and may stand beside its neighbour.
const apart = time.Minute

// endedLives are the indices at which the life before begins, the newest first:
// that of a deletion, or of a version higher than that of a later change, as after
// one that nobody saw. version is what it is at a time, 0 for unknown.
func endedLives(entries []store.Entry, version int64, at time.Time) (ended []int) {
	for i, e := range entries {
		switch {
		case e.Deletion():
			ended = append(ended, i)
			version = 0
		case e.Version > version && version != 0 && at.Sub(e.Time) > apart:
			ended = append(ended, i)
			fallthrough
		case e.Version != 0:
			version, at = e.Version, e.Time
		}
	}
	return ended
}

// findLives notes where lives end. That of what is gone has ended too, but it is
// the one that is shown as the present.
func (got *history) findLives() {
	version := int64(0)
	if !got.gone {
		version = got.now.Properties.Desired.Version
	}
	got.ended = endedLives(got.entries, version, got.now.at)
	if got.gone && len(got.ended) > 0 && got.ended[0] == 0 {
		got.ended = got.ended[1:]
	}
}

// life is the entries of the life that the one at index i is of; -1 is now.
func (got history) life(i int) (from, to int) {
	to = len(got.entries)
	for _, end := range got.ended {
		if end > i {
			return from, end
		}
		from = end
	}
	return from, to
}

// former reports whether the entry at index i is of an earlier life.
func (got history) former(i int) bool { return len(got.ended) > 0 && i >= got.ended[0] }

// lastKnown are tags and desired properties at the end of a life, as far as they
// changed in it.
func lastKnown(life []store.Entry) sectionValues {
	last := sectionValues{}
	for _, e := range slices.Backward(life) {
		if e.Section != store.State {
			last[e.Section] = iothub.Merge(last[e.Section], e.Patch)
		}
	}
	return last
}

// sectionValues are the values of tags and desired properties.
type sectionValues map[store.Section]iothub.Document

// outlived reports whether a change is of a device or module that has been deleted
// since, though there is one of its id now.
func (s *Server) outlived(ctx context.Context, h *Hub, now reading, e store.Entry) (bool, error) {
	got := history{of: subjectOfEntry(e), asked: historyAsked{at: moment{entry: e.ID}}, now: now}
	if err := s.readEntries(ctx, h, &got); err != nil {
		return false, err
	}
	return got.former(got.asked.at.find(got.entries)), nil
}

// formerAmong are the ids of those changes of a hub that are of an earlier life of
// what is there now. A deletion that nobody saw shows only if versions among these
// changes, or that in the picture, tell of it.
func (s *Server) formerAmong(ctx context.Context, h *Hub, list []store.Entry) (map[int64]bool, error) {
	var devices []string
	for _, e := range list {
		if !h.isGone(e.DeviceID) {
			devices = append(devices, e.DeviceID)
		}
	}
	deleted, err := s.store.JournalDeletions(ctx, h.Slug, devices)
	if err != nil {
		return nil, err
	}
	bySubject := map[subject][]store.Entry{}
	for _, e := range slices.SortedFunc(slices.Values(slices.Concat(list, deleted)), newestFirst) {
		bySubject[subjectOfEntry(e)] = append(bySubject[subjectOfEntry(e)], e)
	}
	former := map[int64]bool{}
	for k, entries := range bySubject {
		version, at := h.knownVersion(k)
		if ended := endedLives(entries, version, at); len(ended) > 0 && !h.isGone(k.device) {
			for _, e := range entries[ended[0]:] {
				former[e.ID] = true
			}
		}
	}
	return former, nil
}

func newestFirst(a, b store.Entry) int { return b.Place().Compare(a.Place()) }

// knownVersion is the version of the desired properties in the picture, and when it
// was that; 0 for unknown, as that of each module.
func (h *Hub) knownVersion(k subject) (version int64, at time.Time) {
	d, ok := h.Fleet.Get(k.device)
	if !ok || k.module != "" {
		return 0, at
	}
	return d.DesiredVersion(), d.ReadAt
}
