package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// problem is an error that people can be told about. Handlers return one for
// what they find themselves; explain makes one of every other error. Anything
// unknown becomes "internal", because outsiders never see internal text.
type problem struct {
	status int
	// code is stable. The words are the messages error.<code>.title, .what, .safe
	// and .do, of which safe and do may be missing.
	code string
	args []any // places of the messages, as for text.T
	// detail is what a hub said, as it said it.
	detail  string
	actions []views.Link
	wait    time.Duration // when trying again makes sense; 0 says nothing
	// sent says whether a change may have reached the hub.
	sent  bool
	cause error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.code + ": " + p.cause.Error()
	}
	return p.code
}

func (p *problem) Unwrap() error { return p.cause }

// errNoPage means that nothing is at an address.
var errNoPage = &problem{status: http.StatusNotFound, code: "not-found"}

// badForm makes a problem of a body that could not be read.
func badForm(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return &problem{status: http.StatusBadRequest, code: "bad-form", cause: err}
}

// answerError is where every error of a handler ends: it logs it once and
// answers with a page, a fragment or JSON in the person's language.
func (s *Server) answerError(err error, c echo.Context) {
	if errors.Is(err, context.Canceled) && c.Request().Context().Err() != nil {
		return // nobody is there to read an answer
	}
	p := s.explain(c, err)
	reference := c.Response().Header().Get(echo.HeaderXRequestID)
	level := slog.LevelInfo
	if p.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	s.log.Log(c.Request().Context(), level, "request failed", "request_id", reference,
		"method", c.Request().Method, "path", c.Request().URL.Path, "status", p.status, "code", p.code, "error", err)
	if c.Response().Committed {
		return
	}
	if p.wait > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.wait.Seconds()))))
	}
	if err := s.showProblem(c, p, reference); err != nil {
		s.log.Error("error page failed", "request_id", reference, "error", err)
	}
}

// errorBody is a problem as JSON.
type errorBody struct {
	Code      string `json:"code"`
	Title     string `json:"title"`
	What      string `json:"what"`
	Safe      string `json:"safe,omitempty"`
	Do        string `json:"do,omitempty"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"requestId"`
}

func (s *Server) showProblem(c echo.Context, p *problem, reference string) error {
	props := errorProps(c, p, reference)
	title := text.T(c.Request().Context(), "error."+p.code+".title", p.args...)
	switch {
	case wantsJSON(c):
		return showJSON(c, p.status, map[string]errorBody{"error": {
			Code: p.code, Title: title,
			What: props.What, Safe: props.Safe, Do: props.Do, Detail: props.Detail, RequestID: reference,
		}})
	case isFragment(c):
		return render(c, p.status, views.ErrorNotice(props))
	}
	page, err := s.frame(c, "")
	if err != nil { // the docked panel failed too; the page goes without
		page.Side = nil
	}
	page.Title, page.LiveURL = title, ""
	return render(c, p.status, views.ErrorPage(page, props))
}

// errorProps says a problem in the person's language.
func errorProps(c echo.Context, p *problem, reference string) views.ErrorProps {
	ctx := c.Request().Context()
	say := func(part string) string {
		if id := "error." + p.code + "." + part; text.Has(id) {
			return text.T(ctx, id, p.args...)
		}
		return ""
	}
	props := views.ErrorProps{
		What: say("what"), Safe: say("safe"), Do: say("do"), Detail: p.detail,
		Actions: p.actions, Reference: reference,
	}
	if props.Safe == "" && p.cause != nil {
		props.Safe = text.T(ctx, safety(c, p))
	}
	if len(props.Actions) == 0 {
		props.Actions = waysOn(c)
	}
	return props
}

// safety names the message that says what the failed request did to the hub.
func safety(c echo.Context, p *problem) string {
	switch {
	case c.Request().Method == http.MethodGet || c.Request().Method == http.MethodHead:
		return "error.safe.read"
	case p.sent:
		return "error.safe.maybe"
	}
	return "error.safe.not-sent"
}

// waysOn are the links of an error page that offers none of its own.
func waysOn(c echo.Context) []views.Link {
	ctx := c.Request().Context()
	var links []views.Link
	if c.Request().Method == http.MethodGet && !isFragment(c) {
		links = append(links, views.Link{Label: text.T(ctx, "error.try-again"), Href: localPath(c.Request().URL.RequestURI())})
	}
	if h := hubOf(c); h != nil {
		return append(links, views.Link{Label: text.T(ctx, "error.back"), Href: h.devicesPath()})
	}
	return append(links, views.Link{Label: text.T(ctx, "error.home"), Href: "/"})
}

// explain finds what people can be told about an error of a request.
func (s *Server) explain(c echo.Context, err error) *problem {
	k, badID := subjectOf(c)
	if badID != nil {
		k = subject{}
	}
	p := s.explainFor(c.Request().Context(), hubOf(c), k.device, err)
	if k.device == "" || p.code != "no-device" {
		return p
	}
	if k.module != "" {
		p = noModule(c, k, p)
	}
	p.actions = append(s.pastOf(c, k), p.actions...)
	return p
}

// pastOf leads to the history of what is gone, where there is one.
func (s *Server) pastOf(c echo.Context, k subject) []views.Link {
	h, ctx := hubOf(c), c.Request().Context()
	n, err := s.store.JournalCount(ctx, historyQuery(h, k), 1)
	if err != nil {
		s.log.Error("journal cannot be read", "device_id", k.device, "error", err)
	}
	if n == 0 {
		return nil
	}
	return []views.Link{{Label: text.T(ctx, "history.of", "Device", k.name()), Href: h.viewPath(k, "history")}}
}

// noModule is about a module that does not exist. Whether its device does, the
// hub does not say; the list of its modules will.
func noModule(c echo.Context, k subject, p *problem) *problem {
	h, ctx := hubOf(c), c.Request().Context()
	return &problem{
		status: p.status, code: "no-module", cause: p.cause,
		args: []any{"Device", k.device, "Module", k.module, "Hub", h.Name},
		actions: []views.Link{
			{Label: text.T(ctx, "modules.back", "Device", k.device), Href: h.viewPath(subject{device: k.device}, "modules")},
			{Label: text.T(ctx, "error.back"), Href: h.devicesPath()},
		},
	}
}

// explainFor finds what people can be told about an error. h is the hub it is
// about, or nil; id the device, or "".
func (s *Server) explainFor(ctx context.Context, h *Hub, id string, err error) *problem {
	var (
		own        *problem
		tooBig     *http.MaxBytesError
		connection *hubclient.ConnectionError
		throttled  *hubclient.ThrottledError
		limit      *iothub.LimitError
		refused    *iothub.Error
		routing    *echo.HTTPError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &tooBig):
		return &problem{
			status: http.StatusRequestEntityTooLarge, code: "body-too-large",
			args: []any{"Limit", text.Size(ctx, tooBig.Limit)},
		}
	case errors.As(err, &connection):
		return explainConnection(ctx, h, connection)
	case errors.As(err, &throttled):
		return &problem{
			status: http.StatusTooManyRequests, code: "throttled", wait: throttled.RetryAfter,
			args: []any{"Span", text.Span(ctx, throttled.RetryAfter)}, cause: err,
		}
	case errors.As(err, &limit):
		return &problem{
			status: http.StatusUnprocessableEntity, code: "limit", cause: err,
			detail: limitText(ctx, limit, nil),
		}
	case errors.As(err, &refused):
		return explainRefusal(ctx, h, id, refused)
	case errors.As(err, &routing):
		return explainRouting(routing)
	}
	return &problem{status: http.StatusInternalServerError, code: "internal", cause: err}
}

func explainRouting(e *echo.HTTPError) *problem {
	switch e.Code {
	case http.StatusNotFound:
		return errNoPage
	case http.StatusMethodNotAllowed:
		return &problem{status: e.Code, code: "method"}
	}
	return &problem{status: http.StatusInternalServerError, code: "internal", cause: e}
}

// explainConnection is about a hub that gave no answer.
func explainConnection(ctx context.Context, h *Hub, e *hubclient.ConnectionError) *problem {
	p := &problem{
		status: http.StatusBadGateway, code: "hub-" + string(e.Kind), sent: e.Sent, cause: e,
		args: []any{"Host", e.Host},
	}
	if e.Kind == hubclient.Timeout {
		p.status = http.StatusGatewayTimeout
	}
	if e.Kind == hubclient.ClockSkew {
		p.code = "hub-clock-ahead"
		if e.Skew < 0 {
			p.code = "hub-clock-behind"
		}
		p.args = append(p.args, "Span", text.Span(ctx, e.Skew.Abs()))
	}
	if h != nil && h.Local && e.Kind == hubclient.Refused {
		p.code = "hub-local-stopped"
	}
	return p
}

// refusals are the refusals of a hub that have words of their own.
var refusals = []struct {
	is     *iothub.Error
	status int
	code   string
}{
	{iothub.ErrDeviceNotFound, http.StatusNotFound, "no-device"},
	{iothub.ErrModuleNotFound, http.StatusNotFound, "no-device"},
	{iothub.ErrDeviceAlreadyExists, http.StatusConflict, "device-exists"},
	{iothub.ErrPreconditionFailed, http.StatusPreconditionFailed, "changed-meanwhile"},
	{iothub.ErrUnauthorizedAccess, http.StatusBadGateway, "wrong-key"},
	{iothub.ErrUnauthorized, http.StatusBadGateway, "wrong-key"},
	{iothub.ErrHubNotFound, http.StatusBadGateway, "wrong-key"},
	{iothub.ErrQuotaExceeded, http.StatusTooManyRequests, "quota"},
	{iothub.ErrTooManyDevices, http.StatusConflict, "too-many-devices"},
	{iothub.ErrThrottling, http.StatusTooManyRequests, "throttled-now"},
}

// explainRefusal is about a hub that said no.
func explainRefusal(ctx context.Context, h *Hub, id string, e *iothub.Error) *problem {
	p := &problem{status: http.StatusBadGateway, code: "hub-failed", sent: true, cause: e, detail: e.Message}
	if e.Status >= 400 && e.Status < 500 {
		p.status, p.code, p.sent = http.StatusUnprocessableEntity, "refused-by-hub", false
	}
	for _, r := range refusals {
		if errors.Is(e, r.is) {
			p.status, p.code, p.detail = r.status, r.code, ""
		}
	}
	p.args = []any{"Device", id}
	if h != nil {
		p.args = append(p.args, "Hub", h.Name, "Host", h.HostName)
	}
	if h != nil && p.code == "no-device" {
		p.actions = append(nearest(ctx, h, id), views.Link{Label: text.T(ctx, "error.back"), Href: h.devicesPath()})
	}
	return p
}

// idMessage says in one sentence why an id cannot be a device's, or a module's.
func idMessage(ctx context.Context, e *iothub.DeviceIDError) string {
	whose := "device-id."
	if e.Module {
		whose = "module-id."
	}
	switch {
	case e.ID == "":
		return text.T(ctx, whose+"empty")
	case e.Character != "":
		return text.T(ctx, whose+"character", "Character", visible(e.Character))
	}
	return text.T(ctx, whose+"long", "Got", len(e.ID), "Max", iothub.MaxDeviceIDLength)
}

// visible writes a character that one might not see by its number.
func visible(s string) string {
	for _, r := range s {
		if r <= ' ' || r >= 0x7f && !strconv.IsPrint(r) {
			return fmt.Sprintf("U+%04X", r)
		}
	}
	return s
}
