package localhub

import (
	"bytes"
	"context"
	"slices"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
	"twinboard/localhub/store"
)

// printed is a twin as text, without the values of its presence.
type printed struct {
	key           twinKey
	before, after []byte
}

func (p *printed) size() int { return 128 + len(p.before) + len(p.after) }

// printTwin prints a row of the store.
func (r *registry) printTwin(row *store.Row) *printed {
	key := twinKey{row.DeviceID, row.ModuleID}
	head := showHead(row.Identity, row.TwinETag, row.ModelID, row.Version(), presence{})
	texts := iothub.TwinTexts{Desired: row.Desired.JSON(), Reported: row.Reported.JSON()}
	if string(row.Tags) != "{}" {
		texts.Tags = row.Tags
	}
	text := head.AppendTexts(nil, texts)
	// The first of its kind: what comes before in a twin is flat, and inside a
	// text its quotation marks would be escaped.
	before, after, _ := bytes.Cut(text, presence{}.appendJSON(nil))
	return &printed{key, slices.Clip(before), bytes.Clone(after)}
}

// appendJSON prints the two members of a twin.
func (p presence) appendJSON(b []byte) []byte {
	b = append(b, `"connectionState":"`...)
	b = append(b, p.state()...)
	b = append(b, `","lastActivityTime":`...)
	return iothub.Time{Time: p.lastActivity}.Append(b)
}

// append appends the twin with its presence.
func (p *printed) append(b []byte, now presence) []byte {
	b = append(b, p.before...)
	b = now.appendJSON(b)
	return append(b, p.after...)
}

// presenceBytes is what appendJSON needs at most.
const presenceBytes = 96

// twins reads the rows that were found, those printed lately without the store.
func (s *search) twins(ctx context.Context) error {
	columns := s.r.columns
	found := columns.printed(s.watch, s.keys)
	left := slices.DeleteFunc(slices.Clone(s.keys), func(key int64) bool { return found[key] != nil })
	if len(left) > 0 {
		if err := s.printLeft(ctx, left, found); err != nil {
			return err
		}
	}
	s.show(found)
	return nil
}

// show adds the twins that were found, with their presence of now.
func (s *search) show(found map[int64]*printed) {
	size := 0
	for _, p := range found {
		size += len(p.before) + len(p.after) + presenceBytes
	}
	b := make([]byte, 0, size)
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	for _, key := range s.keys {
		p := found[key]
		if p == nil {
			continue
		}
		var now presence
		if seen := s.r.presence[p.key]; seen != nil {
			now = *seen
		}
		start := len(b)
		b = p.append(b, now)
		s.add(slices.Clip(b[start:]))
	}
}

func (s *search) printLeft(ctx context.Context, keys []int64, found map[int64]*printed) error {
	if s.view != nil {
		return s.printRows(ctx, s.view, keys, found)
	}
	return s.r.store.View(ctx, func(v *store.View) error { return s.printRows(ctx, v, keys, found) })
}

// printRows adds rows of the store to those found. A row that was written since
// the search began may no longer be one that the query asks for, so it is looked
// at again.
func (s *search) printRows(ctx context.Context, v *store.View, keys []int64, found map[int64]*printed) error {
	rows, err := v.Rows(ctx, keys)
	if err != nil {
		return err
	}
	for _, row := range rows {
		found[row.Key] = s.r.printTwin(row)
	}
	if written := s.r.columns.written(s.watch, keys); len(written) > 0 && s.view == nil {
		if err := s.recheck(ctx, v, written, found); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if p := found[key]; p != nil {
			s.r.columns.offer(s.watch, key, p)
		}
	}
	return nil
}

// recheck drops the rows that no longer pass WHERE.
func (s *search) recheck(ctx context.Context, v *store.View, keys []int64, found map[int64]*printed) error {
	passed := map[int64]bool{}
	err := s.scan(ctx, v, store.Scan{Keys: keys}, func(key int64, _ query.Row) error {
		passed[key] = true
		return nil
	})
	for _, key := range keys {
		if !passed[key] {
			delete(found, key)
		}
	}
	return err
}
