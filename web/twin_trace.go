package web

import (
	"context"
	"strconv"
	"time"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// tracedChanges is how far back the trace of a page looks.
const tracedChanges = 500

// trail is what was seen of a twin's changes, for the traces of its settings.
type trail struct {
	seen []iothub.Change // oldest first
	// hidden says that the hub tells nothing of what happens between two reads.
	hidden bool
	online bool
}

// trail looks back at what happened to a device or module.
func (h *Hub) trail(r reading) trail {
	k := r.subject()
	t := trail{hidden: h.Fleet.Status().NoFeed, online: r.ConnectionState == iothub.Connected}
	items := h.Fleet.Activity().Recent(tracedChanges, func(a fleet.Activity) bool {
		c := a.Change
		about := c.Kind == iothub.ChangeDesired || c.Kind == iothub.ChangeDelivered || c.Kind == iothub.ChangeReported
		return about && subjectOfChange(c) == k
	})
	for _, item := range items {
		t.seen = append(t.seen, item.Value.Change)
	}
	return t
}

// find is the first change seen from a time on that matches.
func (t trail) find(from time.Time, match func(iothub.Change) bool) (iothub.Change, bool) {
	for _, c := range t.seen {
		if !c.Time.Before(from) && match(c) {
			return c, true
		}
	}
	return iothub.Change{}, false
}

// step is one step of a wanted value on its way: message names its words, at is
// when it was, zero where that is not known.
type step struct {
	message string
	at      time.Time
	done    bool
	args    []any
}

// trace follows a wanted value from the hub to the device and back.
func (t trail) trace(set iothub.Setting) []step {
	steps := []step{t.accepted(set), t.delivered(set)}
	applying, seen := t.find(set.Asked, func(c iothub.Change) bool {
		ack := iothub.AcknowledgementAt(c.Patch, set.Path)
		return c.Kind == iothub.ChangeReported && ack != nil && ack.Code == codeApplying && ack.Version >= set.AskedVersion
	})
	switch {
	case seen:
		steps = append(steps, step{message: "applying", at: applying.Time, done: true})
	case set.State == iothub.Applying:
		steps = append(steps, step{message: "applying", at: set.Answered, done: true})
	}
	return append(steps, t.outcome(set))
}

// codeApplying is the acknowledgement of a device that works on a value (IoT Plug
// and Play conventions).
const codeApplying = 202

func (t trail) accepted(set iothub.Setting) step {
	s := step{message: "accepted", at: set.Asked, done: true, args: []any{"Version", strconv.FormatInt(set.AskedVersion, 10)}}
	wrote, seen := t.find(time.Time{}, func(c iothub.Change) bool {
		return c.Kind == iothub.ChangeDesired && c.SectionVersion == set.AskedVersion
	})
	if seen && wrote.Policy != "" {
		s.message, s.args = "accepted.by", append(s.args, "Policy", wrote.Policy)
	}
	return s
}

// delivered tells what is known of the way to the device. A delivery of a later
// version carries this one too.
func (t trail) delivered(set iothub.Setting) step {
	c, seen := t.find(set.Asked, func(c iothub.Change) bool {
		return c.Kind == iothub.ChangeDelivered && c.SectionVersion >= set.AskedVersion
	})
	switch {
	case seen:
		return step{message: "delivered", at: c.Time, done: true}
	case t.hidden:
		return step{message: "delivered.hidden", done: set.Answered.After(set.Asked)}
	case set.Answered.After(set.Asked):
		return step{message: "delivered.unseen", done: true}
	case !t.online:
		return step{message: "delivered.offline"}
	}
	return step{message: "delivered.not"}
}

// outcome is what the device made of it, as far as it said.
func (t trail) outcome(set iothub.Setting) step {
	s := step{at: set.Answered, done: true}
	switch set.State {
	case iothub.InSync:
		s.message = "done"
		if set.Answered.Before(set.Asked) {
			s.message, s.at = "done.before", time.Time{}
		}
	case iothub.Rejected:
		s.message, s.args = "rejected", []any{"Code", strconv.Itoa(set.Ack.Code)}
	case iothub.Differs, iothub.TypeDiffers, iothub.Expected:
		s.message = "other"
		if set.Answered.Before(set.Asked) {
			s = step{message: "unanswered"}
		}
	case iothub.Applying:
		s = step{message: "working"}
	default: // waiting, and never reported
		s = step{message: "unanswered"}
	}
	return s
}

// traceProps writes the steps: the first with the time of day, the others with
// how long after it they were.
func traceProps(ctx context.Context, id string, steps []step) views.TraceProps {
	p := views.TraceProps{ID: id}
	for i, s := range steps {
		v := views.TraceStep{Text: text.T(ctx, "trace."+s.message, s.args...), Done: s.done}
		if s.at.Year() > 1 {
			v.Time = ageProps(ctx, s.at, s.at)
			v.Time.Text = text.ClockFine(ctx, s.at.Local())
			if i > 0 {
				v.Time.Text = afterText(ctx, s.at.Sub(steps[0].at))
			}
		}
		p.Steps = append(p.Steps, v)
	}
	return p
}

func afterText(ctx context.Context, d time.Duration) string {
	d = max(0, d)
	if d < time.Minute {
		return text.T(ctx, "trace.after", "Seconds", text.Decimal(ctx, d.Seconds(), 1))
	}
	return text.T(ctx, "trace.after.long", "Span", text.SpanShort(ctx, d))
}
