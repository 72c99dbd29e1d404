package web

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// messageLine is one thing that happened, as a line of the page.
func messageLine(ctx context.Context, h *Hub, item feed.Item[fleet.Activity]) views.MessageLineProps {
	id, c := strconv.FormatUint(item.ID, 10), item.Value.Change
	if item.Value.Gap {
		return gapLine(ctx, id, item.Value.At)
	}
	l := views.MessageLineProps{
		Feed: messagesFeed, ID: "message-" + id, Time: clockProps(ctx, c.Time), Kind: string(c.Kind),
		Title: text.T(ctx, "messages.kind."+string(c.Kind)), By: c.Policy,
	}
	switch c.Kind {
	case iothub.ChangeTelemetry:
		l.Arrow = "→"
		telemetryLine(ctx, h, &l, c.Telemetry)
	case iothub.ChangeMethod:
		l.Arrow = "⇄"
		methodLine(ctx, &l, c.Method)
	case iothub.ChangeDelivered:
		l.Arrow = "←"
		l.Title = text.T(ctx, "messages.kind.delivered", "Version", strconv.FormatInt(c.SectionVersion, 10))
	case iothub.ChangeConnection:
		l.Title = text.T(ctx, "messages.connection."+connectionWord(c))
	case iothub.ChangeIdentity:
		l.Title = text.T(ctx, "messages.identity."+identityWord(c))
	case iothub.ChangeDesired, iothub.ChangeReported, iothub.ChangeTags:
		l.Arrow = map[iothub.ChangeKind]string{iothub.ChangeDesired: "←", iothub.ChangeReported: "→"}[c.Kind]
		twinLine(ctx, &l, c)
	}
	return l
}

func connectionWord(c iothub.Change) string {
	if c.Patch["connectionState"] == iothub.Connected {
		return "online"
	}
	return "offline"
}

func identityWord(c iothub.Change) string {
	switch c.Operation {
	case iothub.OperationCreate:
		return "created"
	case iothub.OperationDelete:
		return "deleted"
	}
	return "changed"
}

// telemetryLine shows a message: in one line where it fits, or to be opened.
func telemetryLine(ctx context.Context, h *Hub, l *views.MessageLineProps, m *iothub.Telemetry) {
	if m == nil {
		return
	}
	l.Size = text.Size(ctx, int64(m.Size))
	if m.Base64 {
		l.Note = text.T(ctx, "messages.binary")
	}
	if m.Whole != "" {
		l.Note = text.T(ctx, "messages.cut")
		l.WholeHref = h.path() + "/messages/" + url.PathEscape(m.Whole)
	}
	for name := range m.Properties {
		l.Properties = append(l.Properties, views.ValuePair{Name: name, Value: views.ValueProps{Text: m.Properties[name]}})
	}
	slices.SortFunc(l.Properties, func(a, b views.ValuePair) int { return strings.Compare(a.Name, b.Name) })
	setBody(l, m.Body)
}

// setBody puts a text into a line, as one that opens where it is long; JSON is
// set out.
func setBody(l *views.MessageLineProps, body string) {
	const short = 100
	l.Preview = strings.Join(strings.Fields(body), " ")
	if r := []rune(l.Preview); len(r) > short {
		l.Preview = string(r[:short]) + "…"
	}
	pretty := prettyJSON(body)
	if pretty != l.Preview || len(l.Properties) > 0 || l.WholeHref != "" {
		l.Body = pretty
	}
}

func methodLine(ctx context.Context, l *views.MessageLineProps, m *iothub.MethodCall) {
	if m == nil {
		return
	}
	l.Title = text.T(ctx, "messages.method.answered", "Method", m.Name, "Status", strconv.Itoa(m.Status))
	if m.Error != "" {
		l.Title = text.T(ctx, "messages.method.failed", "Method", m.Name, "Error", m.Error)
	}
	setBody(l, m.Answer)
}

// twinLine shows what a write changed: "interval 60 → 30".
func twinLine(ctx context.Context, l *views.MessageLineProps, c iothub.Change) {
	version := strconv.FormatInt(c.SectionVersion, 10)
	l.Title = text.T(ctx, "messages.kind."+string(c.Kind), "Version", version)
	list := changes(iothub.Merge(nil, c.Old), iothub.Merge(nil, c.Patch))
	const most, long = 5, 300
	for _, change := range list[:min(most, len(list))] {
		l.Changes = append(l.Changes, views.ChangeProps{
			Path: change.Path.String(), Old: briefValue(change.Old), New: briefValue(change.New),
		})
	}
	if len(list) > most {
		l.Note = text.T(ctx, "messages.more", "Count", len(list)-most)
	}
	if len(list) == 0 {
		l.Note = text.T(ctx, "messages.same")
	}
	if len(list) > most || len(compact(c.Patch)) > long {
		l.Body = indented(c.Patch)
	}
}
