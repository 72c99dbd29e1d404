package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// learnProps is one step in the person's language.
func (s *Server) learnProps(ctx context.Context, w walk, n int, back string) (views.LearnProps, error) {
	v, err := s.judgeUpTo(ctx, w, n)
	if err != nil {
		return views.LearnProps{}, err
	}
	say := func(part string, kv ...any) string { return text.T(ctx, fmt.Sprintf("learn.%d.%s", n, part), kv...) }
	p := views.LearnProps{
		Path: w.path(), Back: back, Number: n, Last: n == lessonSteps,
		Progress: lessonProgress(ctx, w, n),
		Place:    text.T(ctx, "learn.place", "Number", n, "Total", lessonSteps),
		Title:    say("title"),
		Status:   lessonStatus(ctx, w, n, v),
		Tools:    lessonTools(ctx, w, n),
		Wire:     lessonWire(ctx, w, n),
	}
	for i := 1; text.Has(fmt.Sprintf("learn.%d.text.%d", n, i)); i++ {
		p.Text = append(p.Text, say(fmt.Sprintf("text.%d", i), "Device", w.device, "Policy", lessonPolicy))
	}
	for i := 1; text.Has(fmt.Sprintf("learn.%d.cause.%d", n, i)); i++ {
		p.Causes = append(p.Causes, say(fmt.Sprintf("cause.%d", i), "Device", w.device))
	}
	if id := fmt.Sprintf("learn.%d.show", n); text.Has(id) {
		p.Show = say("show")
	}
	if id := fmt.Sprintf("learn.%d.check", n); text.Has(id) {
		p.Check = say("check")
	}
	lessonExtras(ctx, w, n, &p)
	return p, nil
}

// lessonExtras is what only some steps have.
func lessonExtras(ctx context.Context, w walk, n int, p *views.LearnProps) {
	goTo := func(path string) {
		p.Go = views.Link{Label: text.T(ctx, fmt.Sprintf("learn.%d.go", n)), Href: path}
	}
	query := func(q string) string { return w.hub.path() + "/query?" + url.Values{"q": {q}}.Encode() }
	switch n {
	case 1:
		p.Secret = &views.SecretProps{ID: "learn-secret", Label: text.T(ctx, "learn.1.secret", "Policy", lessonPolicy), RevealURL: w.path() + "/secret"}
	case 2:
		p.Device = &views.FieldProps{
			ID: "learn-device", Name: "device", Label: text.T(ctx, "learn.2.device"), Value: w.device,
			Hint: text.T(ctx, "learn.2.device.hint"), Mono: true,
		}
		goTo(w.hub.path() + "/add-device?" + url.Values{"id": {w.device}}.Encode())
	case 3:
		p.Values = []views.LearnValue{{Name: "tags.location.region", Value: "US"}, {Name: "tags.location.plant", Value: "Redmond43"}, {Name: "properties.desired.power_level", Value: "1"}}
		goTo(w.hub.devicePath(w.device))
	case 4:
		p.Values = []views.LearnValue{{Name: text.T(ctx, "learn.4.first"), Value: lessonPlantQuery}, {Name: text.T(ctx, "learn.4.second"), Value: lessonCellularQuery}}
		goTo(query(lessonPlantQuery))
	case 5:
		goTo(w.hub.path() + "/simulator")
	case 6:
		goTo(query(lessonCellularQuery))
	case lessonSteps:
		p.Links = lessonLinks(ctx, w)
	}
}

// lessonLinks lead on from the last step.
func lessonLinks(ctx context.Context, w walk) []views.Link {
	return []views.Link{
		{Label: text.T(ctx, "learn.7.link.twin", "Device", w.device), Href: w.hub.devicePath(w.device)},
		{Label: text.T(ctx, "learn.7.link.simulator"), Href: w.hub.path() + "/simulator"},
		{Label: text.T(ctx, "learn.7.link.query"), Href: w.hub.path() + "/query"},
	}
}

func lessonProgress(ctx context.Context, w walk, current int) []views.LearnDot {
	var dots []views.LearnDot
	for i := 1; i <= lessonSteps; i++ {
		dot := views.LearnDot{Number: i, State: "open"}
		if _, done := w.done[i]; done {
			dot.State = "done"
		} else if i == current {
			dot.State = "current"
		}
		dot.Label = text.T(ctx, "learn.dot."+dot.State, "Number", i, "Title", text.T(ctx, fmt.Sprintf("learn.%d.title", i)))
		dots = append(dots, dot)
	}
	return dots
}

func lessonStatus(ctx context.Context, w walk, n int, v verdict) views.LearnStatus {
	if v.done {
		return views.LearnStatus{Done: true, Text: text.T(ctx, fmt.Sprintf("learn.%d.done", n), "Device", w.device)}
	}
	return views.LearnStatus{Text: text.T(ctx, v.why, v.args...)}
}

// wireShown is how many entries a step shows.
const wireShown = 40

// lessonWire is what really crossed the wire for a step.
func lessonWire(ctx context.Context, w walk, n int) views.WireProps {
	entries := w.hub.Trace.Recent(wireShown, func(e iothub.WireEntry) bool {
		return !e.Time.Before(w.started) && w.concerns(e, n)
	})
	p := views.WireProps{
		ID: "learn-wire", Empty: text.T(ctx, "learn.wire.empty"),
		Summary: text.T(ctx, "learn.wire", "Count", len(entries)),
	}
	for _, item := range entries {
		p.Entries = append(p.Entries, wireLine(ctx, item.ID, item.Value))
	}
	return p
}

// concerns says whether an entry of the wire trace belongs to a step, whoever
// caused it.
func (w walk) concerns(e iothub.WireEntry, n int) bool {
	if e.Action == lessonAction(n) {
		return true
	}
	about := func(kind string) bool {
		return e.Protocol == "HTTP" && e.Action != "" && strings.Contains(e.URL, "/"+kind+"/"+url.PathEscape(w.device)+"?")
	}
	ours := e.Protocol == "MQTT" && e.DeviceID == w.device
	reported, hasReported := w.done[5]
	switch n {
	case 2:
		return about("devices")
	case 3:
		return about("twins") && (!hasReported || e.Time.Before(reported))
	case 4:
		query := sentQuery(e)
		return e.Action != "" && (query == lessonPlantQuery || query == lessonCellularQuery) && (!hasReported || e.Time.Before(reported))
	case 5:
		return ours && (!hasReported || !e.Time.After(reported))
	case 6:
		query := sentQuery(e)
		return hasReported && e.Time.After(reported) &&
			(w.isPatch(e) || about("twins") || e.Action != "" && (query == lessonPlantQuery || query == lessonCellularQuery))
	}
	return false
}

// wireLine is one entry of the wire trace for people.
func wireLine(ctx context.Context, id uint64, e iothub.WireEntry) views.WireLine {
	line := views.WireLine{
		ID: fmt.Sprintf("wire-%d", id), Kind: e.Protocol, Arrow: "→", Summary: wireSummary(e), Detail: wireDetail(e),
		Time: views.AgeProps{Text: text.Clock(ctx, e.Time), Exact: text.Exact(ctx, e.Time), Machine: e.Time.UTC().Format(time.RFC3339Nano)},
	}
	if !e.Outgoing {
		line.Arrow = "←"
	}
	return line
}

func wireSummary(e iothub.WireEntry) string {
	if e.Protocol == "MQTT" {
		return strings.TrimSpace(e.Packet + " " + e.Topic)
	}
	path := e.URL
	if u, err := url.Parse(e.URL); err == nil {
		path = u.EscapedPath()
	}
	if e.Err != "" {
		return e.Method + " " + path + " ✕"
	}
	return fmt.Sprintf("%s %s → %d", e.Method, path, e.Status)
}

func wireDetail(e iothub.WireEntry) string {
	if e.Protocol == "MQTT" {
		return mqttDetail(e)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", e.Method, e.URL)
	writeMessage(&b, e.RequestHeaders, e.RequestBody)
	if e.Err != "" {
		fmt.Fprintf(&b, "\n✕ %s\n", e.Err)
		return b.String()
	}
	fmt.Fprintf(&b, "\n%d %s\n", e.Status, http.StatusText(e.Status))
	writeMessage(&b, e.ResponseHeaders, e.ResponseBody)
	return b.String()
}

func mqttDetail(e iothub.WireEntry) string {
	var b strings.Builder
	b.WriteString(e.Packet + "\n")
	if e.Topic != "" {
		fmt.Fprintf(&b, "topic: %s\nQoS: %d\n", e.Topic, e.QoS)
	}
	if strings.TrimSpace(e.Payload) != "" {
		b.WriteString("\n" + indentJSON(e.Payload) + "\n")
	}
	return b.String()
}

func writeMessage(b *strings.Builder, headers []string, body string) {
	for _, h := range slices.Sorted(slices.Values(headers)) {
		b.WriteString(h + "\n")
	}
	if body != "" {
		b.WriteString("\n" + indentJSON(body) + "\n")
	}
}

// indentJSON makes JSON readable; other text stays as it is.
func indentJSON(s string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(s), "", "  ") != nil {
		return s
	}
	return b.String()
}
