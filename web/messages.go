package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

const (
	messagesFeed = "messages-feed"
	// openingMessages is how many lines a page opens with.
	openingMessages = 100
)

// messageKinds are the filters of the page, and the kinds of change each shows.
var messageKinds = []struct {
	name string
	of   []iothub.ChangeKind
}{
	{"telemetry", []iothub.ChangeKind{iothub.ChangeTelemetry}},
	{"twin", []iothub.ChangeKind{iothub.ChangeDesired, iothub.ChangeDelivered, iothub.ChangeReported, iothub.ChangeTags}},
	{"methods", []iothub.ChangeKind{iothub.ChangeMethod}},
	{"connection", []iothub.ChangeKind{iothub.ChangeConnection, iothub.ChangeIdentity}},
}

// messageView is what one page shows of what happens: of one device or module,
// and of the kinds and text that its address asks for.
type messageView struct {
	of    subject
	show  []string // names of messageKinds; none means all
	text  string
	kinds []iothub.ChangeKind
}

func messageViewOf(c echo.Context) (messageView, error) {
	k, err := subjectOf(c)
	v := messageView{of: k, text: strings.TrimSpace(c.QueryParam("q"))}
	for _, kind := range messageKinds {
		if slices.Contains(c.QueryParams()["show"], kind.name) {
			v.show = append(v.show, kind.name)
			v.kinds = append(v.kinds, kind.of...)
		}
	}
	return v, err
}

// shows reports whether a change belongs on the page. Whether something is
// missing belongs on every page.
func (v messageView) shows(a fleet.Activity) bool {
	if a.Gap {
		return true
	}
	c := a.Change
	return subjectOfChange(c) == v.of && (len(v.show) == 0 || slices.Contains(v.kinds, c.Kind)) && v.finds(c)
}

// finds looks for the text in what a person can read of the change.
func (v messageView) finds(c iothub.Change) bool {
	if v.text == "" {
		return true
	}
	texts := []string{compact(c.Patch)}
	if c.Telemetry != nil {
		texts = append(texts, c.Telemetry.Body, compact(c.Telemetry.Properties))
	}
	if c.Method != nil {
		texts = append(texts, c.Method.Name, c.Method.Payload, c.Method.Answer)
	}
	return slices.ContainsFunc(texts, func(s string) bool { return contains(s, v.text) })
}

// messagesPage shows what a device sends and what happens to it, as it happens.
func (s *Server) messagesPage(c echo.Context) error {
	v, err := messageViewOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	page, err := s.frame(c, "devices", s.messageSources(h, v)...)
	if err != nil {
		return err
	}
	r, err := s.twinOrMemory(ctx, h, v.of)
	if err != nil {
		return err
	}
	// The first gap of all is only that nobody watched before.
	items := h.Fleet.Activity().Recent(openingMessages, v.shows)
	if len(items) > 0 && items[0].ID == 1 {
		items = items[1:]
	}
	s.subjectFrame(c, &page, v.of, text.T(ctx, "twin.tab.messages"))
	page.Actions = views.TwinConnection(connectionProps(ctx, r, s.now()))
	return s.show(c, http.StatusOK, views.MessagesPage(page, s.messagesProps(ctx, h, r, v, items)), messageData(items))
}

func (s *Server) messagesProps(ctx context.Context, h *Hub, r reading, v messageView, items []feed.Item[fleet.Activity]) views.MessagesProps {
	p := views.MessagesProps{
		Tabs: twinTabs(ctx, h, v.of, "messages"), Notice: staleNotice(ctx, r), Hidden: h.Fleet.Status().NoFeed,
		Path: h.twinPath(v.of), Text: v.text, ClearHref: h.viewPath(v.of, "messages"),
		Feed:    views.FeedProps{ID: messagesFeed, Label: text.T(ctx, "messages.feed"), Empty: s.messagesEmpty(ctx, h, v)},
		Example: sendExample(h, v.of), Monitor: azMonitor(v.of),
	}
	for _, kind := range messageKinds {
		p.Kinds = append(p.Kinds, views.Option{
			Value: kind.name, Label: text.T(ctx, "messages.show."+kind.name),
			Selected: len(v.show) == 0 || slices.Contains(v.show, kind.name),
		})
	}
	for _, item := range items {
		p.Lines = append(p.Lines, messageLine(ctx, h, item))
	}
	return p
}

// messagesEmpty says since when nothing was heard.
func (s *Server) messagesEmpty(ctx context.Context, h *Hub, v messageView) string {
	since := s.now()
	if first := h.Fleet.Activity().Oldest(); first.ID > 0 {
		since = first.Value.At
	}
	id := "messages.empty"
	if len(v.show) > 0 || v.text != "" {
		id = "messages.empty.filtered"
	}
	return text.T(ctx, id, "Time", text.Clock(ctx, since.Local()))
}

// messageData is the page as data: the changes, oldest first.
func messageData(items []feed.Item[fleet.Activity]) []iothub.Change {
	list := []iothub.Change{}
	for _, item := range items {
		if !item.Value.Gap {
			list = append(list, item.Value.Change)
		}
	}
	return list
}

func (s *Server) messageSources(h *Hub, v messageView) []source {
	lines := watch(h.Fleet.Activity(), func(item feed.Item[fleet.Activity]) (string, painter) {
		if !v.shows(item.Value) {
			return "", nil
		}
		return "", func(ctx context.Context) ([]templ.Component, error) {
			return []templ.Component{views.MessageLine(messageLine(ctx, h, item))}, nil
		}
	})
	lines.pieces = true
	return []source{lines, s.connectionSource(h, v.of)}
}

// connectionSource keeps the connection beside the heading of a page.
func (s *Server) connectionSource(h *Hub, k subject) source {
	return watch(h.Fleet.Activity(), func(item feed.Item[fleet.Activity]) (string, painter) {
		c := item.Value.Change
		if subjectOfChange(c) != k || c.Kind != iothub.ChangeConnection {
			return "", nil
		}
		return "connection", s.paintConnection(h, k)
	})
}

func (s *Server) paintConnection(h *Hub, k subject) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		r, err := s.twinOrMemory(ctx, h, k)
		if err != nil {
			return nil, nil // the page keeps what it shows
		}
		return []templ.Component{views.TwinConnection(connectionProps(ctx, r, s.now()))}, nil
	}
}

// messagesLive is the event stream of messagesPage. A page that was away for
// longer than can be replayed is told that something is missing.
func (s *Server) messagesLive(c echo.Context) error {
	v, err := messageViewOf(c)
	if err != nil {
		return err
	}
	h := hubOf(c)
	all := func(ctx context.Context) ([]templ.Component, error) {
		parts, err := s.paintConnection(h, v.of)(ctx)
		return append(parts, views.MessageLine(gapLine(ctx, "away-"+strconv.FormatInt(s.now().UnixMicro(), 36), s.now()))), err
	}
	return s.serveLive(c, "devices", live{sources: s.messageSources(h, v), all: all})
}

// messageBody is the whole of a long message, as it was sent. It comes from a
// device, so it is never anything a browser would run.
func (s *Server) messageBody(c echo.Context) error {
	id, err := url.PathUnescape(c.Param("message"))
	if err != nil {
		return errNoPage
	}
	body, err := hubOf(c).Client.MessageBody(c.Request().Context(), id)
	switch {
	case errors.Is(err, iothub.ErrResourceNotFound):
		return &problem{status: http.StatusNotFound, code: "message-gone"}
	case err != nil:
		return err
	case utf8.Valid(body):
		return c.Blob(http.StatusOK, "text/plain; charset=utf-8", body)
	}
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="message.bin"`)
	return c.Blob(http.StatusOK, echo.MIMEOctetStream, body)
}

func gapLine(ctx context.Context, id string, at time.Time) views.MessageLineProps {
	return views.MessageLineProps{Feed: messagesFeed, ID: "message-" + id, Time: clockProps(ctx, at), Kind: "gap", Title: text.T(ctx, "messages.gap")}
}

// sendExample is how a device sends a message to the hub with Microsoft's SDK
// for Node.
func sendExample(h *Hub, k subject) string {
	client, pack := "azure-iot-device", ".fromConnectionString(process.env.DEVICE_CONNECTION, Mqtt)"
	kind := "Client"
	if k.module != "" {
		kind = "ModuleClient"
	}
	command := ""
	if h.CAFile != "" {
		command = `NODE_EXTRA_CA_CERTS="$(twinboard ca)" `
	}
	return "npm install azure-iot-device azure-iot-device-mqtt\n" + command + "node -e '" +
		"const { " + kind + ", Message } = require(\"" + client + "\")\n" +
		"const { Mqtt } = require(\"azure-iot-device-mqtt\")\n" +
		"const device = " + kind + pack + "\n" +
		"device.sendEvent(new Message(JSON.stringify({ temperature: 21.5 })), () => device.close())'"
}

// azMonitor reads messages where the service API does not show them.
func azMonitor(k subject) string {
	command := `az iot hub monitor-events --login "$HUB_CONNECTION" --device-id ` + shellQuote(k.device)
	if k.module != "" {
		command += " --module-id " + shellQuote(k.module)
	}
	return command
}
