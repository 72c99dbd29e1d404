package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"twinboard/hubclient/iothub"
)

// Edit is one write of an existing twin as it was sent; sections that are nil
// are not written. What it makes of a twin, Apply says, for whoever writes it and
// for who finds it in the journal after a crash.
type Edit struct {
	// Tags, Desired and Reported are merged into their sections.
	Tags, Desired, Reported iothub.Document
	// ReplaceTags and ReplaceDesired become the whole section; then Tags and
	// Desired are nil.
	ReplaceTags, ReplaceDesired iothub.Document
}

// Apply returns what the edit makes of a twin, which it leaves as it is.
func (e *Edit) Apply(t Twin, at time.Time) Twin {
	switch {
	case e.Tags != nil:
		t.Tags = iothub.Merge(t.Tags, e.Tags)
	case e.ReplaceTags != nil:
		// A section, whose versions nobody sees, for its rules.
		s, _ := iothub.Section{Value: t.Tags}.Replace(e.ReplaceTags, at, false)
		t.Tags = s.Value
	}
	switch {
	case e.Desired != nil:
		t.Desired = t.Desired.Patch(e.Desired, at, true)
	case e.ReplaceDesired != nil:
		t.Desired, _ = t.Desired.Replace(e.ReplaceDesired, at, true)
	}
	if e.WritesTags() || e.WritesDesired() {
		t.TwinETag++
	}
	if e.Reported != nil {
		t.Reported = t.Reported.Patch(e.Reported, at, false)
	}
	t.heap = t.count(e)
	return t
}

// CheckSize refuses what the edit has made of a twin when a section is over its
// limit and larger than it was. The error is an *iothub.LimitError.
func (e *Edit) CheckSize(old, made *Twin) error {
	for _, s := range []struct {
		name        iothub.SectionName
		written     bool
		heap        int
		before, now iothub.Document
	}{
		{iothub.SectionTags, e.WritesTags(), made.heap.tags, old.Tags, made.Tags},
		{iothub.SectionDesired, e.WritesDesired(), made.heap.desired, old.Desired.Value, made.Desired.Value},
		{iothub.SectionReported, e.Reported != nil, made.heap.reported, old.Reported.Value, made.Reported.Value},
	} {
		// What takes less memory than the limit need not be counted: its size is
		// smaller still.
		if s.written && s.heap > s.name.MaxSize() {
			if err := iothub.CheckSize(s.name, s.before, s.now); err != nil {
				return err
			}
		}
	}
	return nil
}

// WritesTags reports whether the edit has a part for tags.
func (e *Edit) WritesTags() bool { return e.Tags != nil || e.ReplaceTags != nil }

// WritesDesired reports whether the edit has a part for desired.
func (e *Edit) WritesDesired() bool { return e.Desired != nil || e.ReplaceDesired != nil }

// Empty reports whether the edit writes nothing.
func (e *Edit) Empty() bool { return !e.WritesTags() && !e.WritesDesired() && e.Reported == nil }

// Edited is an edit, when it was made, and the record as it left it.
type Edited struct {
	Edit
	At     time.Time
	Record *Record
}

// sections pairs the names in the journal with the sections of an edit.
func (e *Edit) sections() [5]part {
	return [5]part{
		{"tags", &e.Tags},
		{"replaceTags", &e.ReplaceTags},
		{"desired", &e.Desired},
		{"replaceDesired", &e.ReplaceDesired},
		{"reported", &e.Reported},
	}
}

type part struct {
	name  string
	value *iothub.Document
}

// appendEdits writes edits as schema_4.sql describes them, in a row of some time.
// One that was made later says by how much, in the unit that formatTime ends with;
// hubs of before ignore it.
func appendEdits(out []byte, at time.Time, edits []Edited) []byte {
	out = append(out, '[')
	for i := range edits {
		if i > 0 {
			out = append(out, ',')
		}
		e := &edits[i]
		out = append(out, `{"id":`...)
		out = strconv.AppendInt(out, e.Record.Key, 10)
		out = append(out, `,"version":`...)
		out = strconv.AppendInt(out, e.Record.Version(), 10)
		if later := e.At.Sub(at); later != 0 {
			out = append(out, `,"later":`...)
			out = strconv.AppendInt(out, int64(later/timeUnit), 10)
		}
		for _, s := range e.sections() {
			if *s.value != nil {
				out = append(append(append(out, `,"`...), s.name...), `":`...)
				out = appendPart(out, *s.value)
			}
		}
		out = append(out, '}')
	}
	return append(out, ']')
}

// journaled is an edit as it is read from the journal.
type journaled struct {
	Edit
	at          time.Time
	id, version int64
}

func parseEdits(text string, at time.Time) ([]journaled, error) {
	v, err := iothub.ParseValue([]byte(text))
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("the edits are no array")
	}
	out := make([]journaled, len(list))
	for i, v := range list {
		m, _ := v.(map[string]any)
		out[i].at = at
		if err := out[i].read(m); err != nil {
			return nil, fmt.Errorf("edit %d: %w", i, err)
		}
	}
	return out, nil
}

func (j *journaled) read(m map[string]any) (err error) {
	for name, into := range map[string]*int64{"id": &j.id, "version": &j.version} {
		n, _ := m[name].(json.Number)
		if *into, err = n.Int64(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if n, ok := m["later"].(json.Number); ok {
		later, err := n.Int64()
		if err != nil {
			return fmt.Errorf("later: %w", err)
		}
		j.at = j.at.Add(time.Duration(later) * timeUnit)
	}
	for _, s := range j.sections() {
		if doc, ok := m[s.name].(map[string]any); ok {
			*s.value = doc
		}
	}
	return nil
}
