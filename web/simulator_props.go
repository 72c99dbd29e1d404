package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"twinboard/devicesim"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// How many devices a page and a docked panel list.
const (
	simRows       = 50
	simRowsDocked = 8
	simLines      = 100 // of the feed, when a page opens
)

// props are the whole simulator; typed is what its forms hold.
func (p *simPainter) props(ctx context.Context, typed views.SimStartProps) views.SimulatorProps {
	path := p.hub.simulatorPath()
	feedLabel := text.T(ctx, "simulator.feed")
	if p.this != "" {
		feedLabel = text.T(ctx, "simulator.feed.device", "Device", p.this)
	}
	props := views.SimulatorProps{
		Path: path, Back: p.back, Docked: p.docked, Summary: p.summary(ctx), Progress: p.progress(ctx), List: p.list(ctx),
		Feed: views.FeedProps{ID: simFeedID, Label: feedLabel, Empty: text.T(ctx, "simulator.feed.empty")},
	}
	if p.this != "" {
		props.This = p.thisProps(ctx)
	}
	for _, item := range p.recent() {
		if line, ok := p.line(ctx, item); ok {
			props.Lines = append(props.Lines, line)
		}
	}
	typed.Path, typed.Back = path, p.back
	if typed.Answers == nil {
		typed.Answers = answerChoices(ctx, defaultAnswers)
	}
	typed.Count, typed.Prefix = cmp.Or(typed.Count, "3"), cmp.Or(typed.Prefix, "sim")
	if typed.PrefixError != "" && typed.Prefix == "sim" {
		typed.Prefix = ""
	}
	if len(p.hub.Sim.Devices()) == 0 && !p.docked {
		for _, n := range []int{3, 25, 200} {
			typed.Presets = append(typed.Presets, views.SimPreset{
				Count: n, Prefix: "sim",
				Title: text.T(ctx, "simulator.preset", "Count", n), Text: text.T(ctx, "simulator.preset."+strconv.Itoa(n)),
			})
		}
	}
	props.Start = typed
	return props
}

// counts are how many simulated devices are in each state.
func counts(list []devicesim.Status) map[devicesim.State]int {
	n := map[devicesim.State]int{}
	for _, d := range list {
		n[d.State]++
	}
	return n
}

// manyToStop is from how many on the number must be typed to stop them.
const manyToStop = 50

// summary is the sentence over all devices.
func (p *simPainter) summary(ctx context.Context) views.SimSummaryProps {
	list := p.hub.Sim.Devices()
	n := counts(list)
	running := len(list) - n[devicesim.Stopped]
	s := views.SimSummaryProps{Path: p.hub.simulatorPath(), Back: p.back, Docked: p.docked, Running: running}
	if running > manyToStop {
		s.StopWord = strconv.Itoa(running)
	}
	switch {
	case len(list) == 0:
		s.Lead = text.T(ctx, "simulator.lead.none")
	case running == 0:
		s.Lead = text.T(ctx, "simulator.lead.stopped", "Count", len(list))
	case n[devicesim.Backoff] > 0:
		s.Lead = text.T(ctx, "simulator.lead.some", "Online", n[devicesim.Online], "Count", running) + " " +
			text.T(ctx, "simulator.lead.trying", "Count", n[devicesim.Backoff])
	case n[devicesim.Online] < running:
		s.Lead = text.T(ctx, "simulator.lead.some", "Online", n[devicesim.Online], "Count", running)
	default:
		s.Lead = text.T(ctx, "simulator.lead.online", "Count", running)
	}
	return s
}

// progress is how far a start has come.
func (p *simPainter) progress(ctx context.Context) views.SimProgressProps {
	var out views.SimProgressProps
	now := p.starts.state()
	if now.done < now.total {
		out.Text = text.T(ctx, "simulator.starting", "Done", now.done, "Count", now.total)
	}
	const few = 5
	for _, f := range now.failed[:min(few, len(now.failed))] {
		out.Failures = append(out.Failures, views.SimFailure{ID: f.id, Text: p.startMessage(ctx, f.err)})
	}
	if more := len(now.failed) - len(out.Failures); more > 0 {
		out.More = text.T(ctx, "simulator.more", "Count", more)
	}
	return out
}

// startMessage says why a device was not started.
func (p *simPainter) startMessage(ctx context.Context, err error) string {
	var known *iothub.Error
	switch {
	case errors.Is(err, errNoKey):
		return text.T(ctx, "simulator.no-key")
	case errors.Is(err, iothub.ErrDeviceNotFound):
		return text.T(ctx, "simulator.one.unknown", "Hub", p.hub.Name)
	case errors.Is(err, devicesim.ErrClosed):
		return text.T(ctx, "simulator.closed")
	case errors.As(err, &known) && known.Message != "":
		return known.Message
	}
	return text.T(ctx, "simulator.no-identity", "Host", p.hub.HostName)
}

// list are the devices shown, by id; the one of the page beside is not among
// them, it stands above.
func (p *simPainter) list(ctx context.Context) views.SimListProps {
	out := views.SimListProps{Path: p.hub.simulatorPath(), Back: p.back}
	shown, before, after := p.window(p.hub.Sim.Devices())
	for _, d := range shown {
		out.Rows = append(out.Rows, p.row(ctx, d))
	}
	total := len(shown) + before + after
	if before+after == 0 {
		return out
	}
	out.More = text.T(ctx, "simulator.shown", "Shown", len(shown), "Count", total)
	switch {
	case p.docked:
		out.AllHref = out.Path
		return out
	case before > 0:
		out.FirstHref = out.Path
	}
	if after > 0 {
		out.NextRef = out.Path + "?from=" + p.nextID(shown)
	}
	return out
}

// simIcons are the icons of networks and of ways to answer.
var simIcons = map[string]string{
	"cellular": "signal", "wifi": "wifi", "ethernet": "cable",
	string(devicesim.AnswersNothing): "ear", string(devicesim.AnswersPlainly): "reply", string(devicesim.AnswersPnP): "check-check",
}

// answerChoices are the ways to answer of devices that are to be started.
func answerChoices(ctx context.Context, chosen devicesim.Answers) []views.ChoiceProps {
	var out []views.ChoiceProps
	for _, a := range devicesim.AllAnswers {
		id := "simulator.answers." + string(a)
		out = append(out, views.ChoiceProps{
			ID: "sim-answers-" + string(a), Name: "answers", Value: string(a), Type: "radio",
			Label: text.T(ctx, id), Hint: text.T(ctx, id+".hint"), Checked: a == chosen,
		})
	}
	return out
}

// row is one device.
func (p *simPainter) row(ctx context.Context, d devicesim.Status) views.SimRowProps {
	r := views.SimRowProps{
		Path: p.hub.simulatorPath(), Back: p.back, ID: d.DeviceID, Href: p.deviceHref(d.DeviceID),
		State: string(d.State), Since: clockProps(ctx, d.Since), Reason: reason(ctx, d),
	}
	for _, n := range devicesim.Connectivities {
		r.Networks = append(r.Networks, views.SimChoice{
			Value: n, Label: text.T(ctx, "simulator.network."+n), Icon: simIcons[n], Hint: n, Chosen: d.Connectivity == n,
		})
	}
	for _, a := range devicesim.AllAnswers {
		id := "simulator.answers." + string(a)
		r.Answers = append(r.Answers, views.SimChoice{
			Value: string(a), Label: text.T(ctx, id), Icon: simIcons[string(a)], Hint: text.T(ctx, id+".hint"), Chosen: d.Answers == a,
		})
	}
	if d.LastPatch != nil {
		r.Patch, r.PatchVersion, r.PatchTime = payload(ctx, d.LastPatch.Payload), strconv.FormatInt(d.LastPatch.Version, 10), clockProps(ctx, d.LastPatch.Time)
	}
	return r
}

// deviceHref leads to the device with the simulator beside it.
func (p *simPainter) deviceHref(id string) string {
	if p.docked {
		return p.hub.devicePath(id)
	}
	return p.hub.devicePath(id) + "?dock=simulator"
}

// reason says why a device has no connection and when it tries again.
func reason(ctx context.Context, d devicesim.Status) string {
	if d.State != devicesim.Backoff {
		return ""
	}
	s := problemText(ctx, d.Problem)
	if !d.RetryAt.IsZero() {
		s += " " + text.T(ctx, "simulator.retry-at", "Time", text.Clock(ctx, d.RetryAt.Local()))
	}
	return s
}

// problemText says in one sentence why there is no connection.
func problemText(ctx context.Context, e *devicesim.ConnectError) string {
	if e == nil {
		return text.T(ctx, "simulator.problem.unknown")
	}
	return text.T(ctx, "simulator.problem."+string(e.Kind), "Address", e.Address)
}

// clockProps is a moment as a time of day: a page that stays open need not
// count it on.
func clockProps(ctx context.Context, at time.Time) views.AgeProps {
	if at.IsZero() {
		return views.AgeProps{}
	}
	return views.AgeProps{Text: text.Clock(ctx, at.Local()), Exact: text.Exact(ctx, at.Local()), Machine: at.UTC().Format(time.RFC3339)}
}

// payload writes a patch in one line: "power_level 1, mode eco". What is
// acknowledged has the code behind it: "power_level 1 (200)".
func payload(ctx context.Context, d iothub.Document) string {
	d, codes := acknowledged(d)
	leaves := iothub.Flatten(d)
	var parts []string
	for _, leaf := range leaves[:min(fewValues, len(leaves))] {
		if leaf.Value == nil {
			parts = append(parts, text.T(ctx, "simulator.removed", "Path", leaf.Path.String()))
			continue
		}
		part := leaf.Path.String() + " " + shortened(unmistakable(leaf.Value))
		if code := codes.of(leaf.Path); code != 0 {
			part += " (" + strconv.Itoa(code) + ")"
		}
		parts = append(parts, part)
	}
	if more := len(leaves) - len(parts); more > 0 {
		parts = append(parts, text.T(ctx, "query.more", "Count", more))
	}
	return strings.Join(parts, ", ")
}

// ackCodes are codes of acknowledgements by the path of what they acknowledge.
type ackCodes map[string]int

// of is the code for a value or for an object around it, 0 for none.
func (c ackCodes) of(p iothub.Path) int {
	for n := len(p); n > 0 && len(c) > 0; n-- {
		if code := c[p[:n].String()]; code != 0 {
			return code
		}
	}
	return 0
}

// acknowledged puts values in the place of their acknowledgements and leaves the
// marks of components out.
func acknowledged(d iothub.Document) (iothub.Document, ackCodes) {
	codes := ackCodes{}
	return unwrapInto(codes, nil, d), codes
}

func unwrapInto(codes ackCodes, at iothub.Path, m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for name, value := range m {
		path := append(slices.Clip(at), name)
		ack, inner, isAck := iothub.Unwrap(value)
		if isAck {
			codes[path.String()] = ack.Code
			out[name] = inner
			continue
		}
		if name == "__t" && value == "c" {
			continue
		}
		if child, ok := value.(map[string]any); ok {
			value = unwrapInto(codes, path, child)
		}
		out[name] = value
	}
	return out
}

// unmistakable writes text as it is, unless it reads as another type.
func unmistakable(v any) string {
	s, ok := v.(string)
	if !ok || s == "" || json.Valid([]byte(s)) {
		return compact(v)
	}
	return s
}

// simulatorData is the simulator as JSON.
func simulatorData(h *Hub, now progress) any {
	type device struct {
		DeviceID       string          `json:"deviceId"`
		State          string          `json:"state"`
		Since          time.Time       `json:"since"`
		Connectivity   string          `json:"connectivity"`
		Problem        string          `json:"problem,omitempty"`
		RetryAt        *time.Time      `json:"retryAt,omitempty"`
		DesiredVersion int64           `json:"desiredVersion"`
		Desired        iothub.Document `json:"desired"`
		Patches        int             `json:"patches"`
	}
	list := []device{}
	for _, d := range h.Sim.Devices() {
		x := device{
			DeviceID: d.DeviceID, State: string(d.State), Since: d.Since, Connectivity: d.Connectivity,
			DesiredVersion: d.DesiredVersion, Desired: d.Desired, Patches: d.Patches,
		}
		if d.State == devicesim.Backoff {
			x.RetryAt = &d.RetryAt
			if d.Problem != nil {
				x.Problem = string(d.Problem.Kind)
			}
		}
		list = append(list, x)
	}
	return map[string]any{"devices": list, "starting": map[string]int{"total": now.total, "done": now.done, "failed": len(now.failed)}}
}

// window are the devices that a page lists, and how many stand before and after.
func (p *simPainter) window(list []devicesim.Status) (shown []devicesim.Status, before, after int) {
	list = slices.DeleteFunc(list, func(d devicesim.Status) bool { return p.this != "" && d.DeviceID == p.this })
	if p.docked {
		n := min(simRowsDocked, len(list))
		return list[:n], 0, len(list) - n
	}
	at, _ := slices.BinarySearchFunc(list, p.from, func(d devicesim.Status, id string) int { return strings.Compare(d.DeviceID, id) })
	end := min(at+simRows, len(list))
	return list[at:end], at, len(list) - end
}
