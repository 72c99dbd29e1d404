package devicesim

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"twinboard/hubclient/iothub"
)

// Answers says how a device answers the settings that are wanted of it.
type Answers string

// The ways to answer.
const (
	// AnswersNothing: the device applies what it is told and reports nothing of
	// it, as the tutorial's does.
	AnswersNothing Answers = "nothing"
	// AnswersPlainly: it reports each wanted value under the same name.
	AnswersPlainly Answers = "plain"
	// AnswersPnP: it reports acknowledgements, {"value":…,"ac":200,"av":3}, as the
	// IoT Plug and Play conventions have writable properties acknowledged.
	AnswersPnP Answers = "pnp"
)

// AllAnswers lists the ways to answer. The first is how a device answers unless
// told otherwise.
var AllAnswers = []Answers{AnswersNothing, AnswersPlainly, AnswersPnP}

// The codes of an acknowledgement that a simulated device gives (IoT Plug and
// Play conventions, writable properties).
const (
	ackDone    = 200
	ackStarted = 202
)

// answer is what a device still owes the hub. It is owned by run.
type answer struct {
	delay   time.Duration   // how long the device takes to apply something
	patch   iothub.Document // wanted since the last answer, removals as null; nil: nothing
	started bool            // the hub was told that the device works on it
	timer   *time.Timer     // until the device has applied it
}

// owe notes settings to be answered. What comes while the device still applies
// others is answered with them.
func (d *device) owe(patch iothub.Document) {
	if d.status.Load().Answers == AnswersNothing || len(patch) == 0 {
		return
	}
	a := &d.owed
	if a.patch == nil {
		a.timer = time.NewTimer(a.delay)
	}
	a.patch, a.started = overlay(a.patch, patch), false
}

// due ends when it is time to answer; nil while nothing is owed.
func (a *answer) due() <-chan time.Time {
	if a.timer == nil {
		return nil
	}
	return a.timer.C
}

// forget drops what is owed, because the device no longer answers.
func (a *answer) forget() {
	if a.timer != nil {
		a.timer.Stop()
	}
	*a = answer{delay: a.delay}
}

// begin tells that the device works on what is wanted, where its way of
// answering has a word for it and applying takes time.
func (d *device) begin(ctx context.Context, c *connection) error {
	a := &d.owed
	if a.patch == nil || a.started || a.delay == 0 || d.status.Load().Answers != AnswersPnP {
		return nil
	}
	a.started = true
	return d.acknowledge(ctx, c, ackStarted, a.patch)
}

// finish answers what is owed. When the connection breaks before the hub has the
// answer, it is still owed.
func (d *device) finish(ctx context.Context, c *connection) error {
	patch := d.owed.patch
	d.owed.forget()
	err := d.answer(ctx, c, patch)
	if err != nil {
		newer := d.owed.patch
		d.owed.forget()
		d.owe(overlay(patch, newer))
	}
	return err
}

func (d *device) answer(ctx context.Context, c *connection, patch iothub.Document) error {
	if d.status.Load().Answers == AnswersPnP {
		return d.acknowledge(ctx, c, ackDone, patch)
	}
	return d.tell(ctx, c, patch)
}

func (d *device) acknowledge(ctx context.Context, c *connection, code int, patch iothub.Document) error {
	return d.tell(ctx, c, acknowledgement(d.twin.desired, patch, code, d.twin.version))
}

// tell reports; that the hub refuses is told as an event and ends nothing.
func (d *device) tell(ctx context.Context, c *connection, reported iothub.Document) error {
	if _, err := d.send(ctx, c, reported); !refusedByHub(err) {
		return err
	}
	return nil
}

// acknowledgement wraps the values that a patch touches. A value that is an
// object is acknowledged whole, so it is taken from desired; one marked as a
// component has its members acknowledged one by one.
func acknowledgement(desired, patch map[string]any, code int, version int64) iothub.Document {
	out := iothub.Document{}
	for name := range patch {
		value, wanted := desired[name]
		switch component, _ := value.(map[string]any); {
		case !wanted:
			out[name] = nil
		case component["__t"] == "c":
			members, _ := patch[name].(map[string]any)
			inner := acknowledgement(component, members, code, version)
			inner["__t"] = "c"
			out[name] = map[string]any(inner)
		default:
			out[name] = map[string]any{
				"value": value,
				"ac":    json.Number(strconv.Itoa(code)),
				"av":    json.Number(strconv.FormatInt(version, 10)),
			}
		}
	}
	return out
}

// overlay is one patch after another as one patch: unlike a merge it keeps the
// nulls, which remove.
func overlay(first, second map[string]any) map[string]any {
	out := make(map[string]any, len(first)+len(second))
	maps.Copy(out, first)
	for name, value := range second {
		before, both := out[name].(map[string]any)
		if after, ok := value.(map[string]any); ok && both {
			value = overlay(before, after)
		}
		out[name] = value
	}
	return out
}
