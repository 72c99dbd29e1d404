package web

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

func isMethod(a fleet.Activity) bool { return a.Change.Method != nil }

func sortedNames(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// The ids of the form's fields.
const (
	methodNameField     = "method-name"
	methodPayloadField  = "method-payload"
	methodResponseField = "method-response"
	methodConnectField  = "method-connect"
)

// methodForm is a direct method as typed.
type methodForm struct{ Name, Payload, Response, Connect string }

// methodFormOf is the form for the next call: empty, or what was called before.
func methodFormOf(calls []methodCall, again string) methodForm {
	f := methodForm{Response: seconds(iothub.DefaultMethodResponse), Connect: "0"}
	for _, call := range calls {
		if again == "" || strconv.Itoa(call.id) == again {
			f = methodForm{Name: call.request.Name, Response: seconds(call.request.Response), Connect: seconds(call.request.Connect)}
			if call.request.Payload != nil {
				f.Payload = prettyJSON(string(call.request.Payload))
			}
			break
		}
	}
	return f
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// request reads the form; the mistakes are in the order of its fields.
func (f methodForm) request(ctx context.Context) (r iothub.MethodRequest, mistakes []mistake) {
	wrong := func(field, message string) { mistakes = append(mistakes, mistake{Field: field, Text: message}) }
	r.Name = strings.TrimSpace(f.Name)
	if e, ok := errors.AsType[*iothub.MethodNameError](iothub.CheckMethodName(r.Name)); ok {
		wrong(methodNameField, methodNameText(ctx, e))
	}
	if typed := strings.TrimSpace(f.Payload); typed != "" {
		if _, err := iothub.ParseValue([]byte(typed)); err != nil {
			m := jsonMistake(ctx, typed, err)
			m.Field = methodPayloadField
			mistakes = append(mistakes, m)
		}
		if len(typed) > iothub.MaxMethodBytes {
			wrong(methodPayloadField, text.T(ctx, "methods.problem.size", "Size", text.Size(ctx, int64(len(typed))), "Limit", text.Size(ctx, iothub.MaxMethodBytes)))
		}
		r.Payload = json.RawMessage(typed)
	}
	response, ok := between(f.Response, iothub.MinMethodResponse, iothub.MaxMethodResponse)
	if !ok {
		wrong(methodResponseField, text.T(ctx, "methods.problem.seconds", "Min", seconds(iothub.MinMethodResponse), "Max", seconds(iothub.MaxMethodResponse)))
	}
	connect, inBounds := between(f.Connect, 0, iothub.MaxMethodConnect)
	switch {
	case !inBounds:
		wrong(methodConnectField, text.T(ctx, "methods.problem.seconds", "Min", "0", "Max", seconds(iothub.MaxMethodConnect)))
	case ok && connect > response:
		wrong(methodConnectField, text.T(ctx, "methods.problem.longer"))
	}
	r.Response, r.Connect = response, connect
	return r, mistakes
}

func between(typed string, least, most time.Duration) (time.Duration, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(typed))
	d := time.Duration(n) * time.Second
	return d, err == nil && n >= 0 && d >= least && d <= most
}

// methodNameText says what is wrong with a method's name.
func methodNameText(ctx context.Context, e *iothub.MethodNameError) string {
	switch {
	case e.Name == "":
		return text.T(ctx, "methods.problem.name")
	case e.Character != "":
		return text.T(ctx, "methods.problem.character", "Character", visible(e.Character))
	}
	return text.T(ctx, "methods.problem.long", "Max", iothub.MaxMethodName)
}

// methodsPage is the form for a direct method and the latest calls.
func (s *Server) methodsPage(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	return s.showMethods(c, http.StatusOK, methodFormOf(s.calls[hubOf(c)].of(k), c.QueryParam("again")), nil)
}

func (s *Server) showMethods(c echo.Context, status int, f methodForm, mistakes []mistake) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	page, err := s.frame(c, "devices", s.methodSources(h, k)...)
	if err != nil {
		return err
	}
	r, err := s.twinOrMemory(ctx, h, k)
	if err != nil {
		return err
	}
	s.subjectFrame(c, &page, k, text.T(ctx, "twin.tab.methods"))
	page.Actions = views.TwinConnection(connectionProps(ctx, r, s.now()))
	props := views.MethodsProps{
		Tabs: twinTabs(ctx, h, k, "methods"), Notice: s.methodsNotice(ctx, r),
		Form: methodFormProps(ctx, h.twinPath(k)+"/methods", f, mistakes), Calls: s.callProps(ctx, h, k),
	}
	props.Form.Names = s.calls[h].names()
	return s.show(c, status, views.MethodsPage(page, props), s.callData(h, k))
}

// methodsNotice says before a call what will become of it.
func (s *Server) methodsNotice(ctx context.Context, r reading) views.MethodsNoticeProps {
	k := r.subject()
	switch {
	case r.stale:
		return views.MethodsNoticeProps{Text: staleNotice(ctx, r), Warning: true}
	case r.Status == iothub.StatusDisabled:
		return views.MethodsNoticeProps{Text: text.T(ctx, "methods.notice.disabled", "Device", k.name()), Warning: true}
	case r.ConnectionState != iothub.Connected:
		return views.MethodsNoticeProps{Text: text.T(ctx, "methods.notice.offline", "Device", k.name()), Warning: true}
	}
	return views.MethodsNoticeProps{Text: text.T(ctx, "methods.notice.online", "Device", k.name())}
}

func methodFormProps(ctx context.Context, action string, f methodForm, mistakes []mistake) views.MethodFormProps {
	p := views.MethodFormProps{
		Action: action,
		Name: views.FieldProps{
			ID: methodNameField, Name: "name", Label: text.T(ctx, "methods.name"), Value: f.Name, Mono: true,
			Hint: text.T(ctx, "methods.name.hint"), Attrs: templ.Attributes{"list": "method-names"},
		},
		Payload: views.EditorProps{
			ID: methodPayloadField, Name: "payload", Mode: "json", Label: text.T(ctx, "methods.payload"), Value: f.Payload,
			Hint: text.T(ctx, "methods.payload.hint"), Rows: 6,
		},
		Response: secondsField(ctx, methodResponseField, "response", f.Response, iothub.MinMethodResponse, iothub.MaxMethodResponse),
		Connect:  secondsField(ctx, methodConnectField, "connect", f.Connect, 0, iothub.MaxMethodConnect),
	}
	p.Name.Error, p.Response.Error, p.Connect.Error = mistakeAt(mistakes, methodNameField), mistakeAt(mistakes, methodResponseField), mistakeAt(mistakes, methodConnectField)
	for _, m := range mistakes {
		p.Errors = append(p.Errors, views.FieldError{FieldID: m.Field, Message: m.Text})
		if m.Field == methodPayloadField {
			p.Payload.Error, p.Payload.ErrorLine, p.Payload.ErrorColumn = m.Text, m.Line, m.Column
		}
	}
	return p
}

func secondsField(ctx context.Context, id, name, value string, least, most time.Duration) views.FieldProps {
	return views.FieldProps{
		ID: id, Name: name, Label: text.T(ctx, "methods."+name), Hint: text.T(ctx, "methods."+name+".hint"), Value: value,
		Type: "number", Attrs: templ.Attributes{"min": seconds(least), "max": seconds(most), "step": "1", "inputmode": "numeric"},
	}
}

// methodCall takes the form: a call begins and goes on by itself, so that
// nothing repeats it.
func (s *Server) methodCall(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	v, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h, ctx := hubOf(c), c.Request().Context()
	f := methodForm{Name: v.Get("name"), Payload: strings.ReplaceAll(v.Get("payload"), "\r\n", "\n"), Response: v.Get("response"), Connect: v.Get("connect")}
	r, mistakes := f.request(ctx)
	if len(mistakes) > 0 {
		return s.showMethods(c, http.StatusUnprocessableEntity, f, mistakes)
	}
	if err := s.calls[h].begin(k, r); err != nil {
		return err
	}
	return goTo(c, h.viewPath(k, "methods"))
}

func (s *Server) methodSources(h *Hub, k subject) []source {
	calls := watch(s.calls[h].changed, func(item feed.Item[subject]) (string, painter) {
		if item.Value != k {
			return "", nil
		}
		return "calls", s.paintCalls(h, k)
	})
	notice := watch(h.Fleet.Activity(), func(item feed.Item[fleet.Activity]) (string, painter) {
		c := item.Value.Change
		if c.DeviceID != k.device || c.Kind != iothub.ChangeConnection && c.Kind != iothub.ChangeIdentity {
			return "", nil
		}
		return "notice", s.paintMethodsNotice(h, k)
	})
	return []source{calls, notice, s.connectionSource(h, k)}
}

func (s *Server) paintCalls(h *Hub, k subject) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		return []templ.Component{views.MethodCalls(s.callProps(ctx, h, k))}, nil
	}
}

// paintRunning counts the seconds of calls under way.
func (s *Server) paintRunning(h *Hub, k subject) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		var parts []templ.Component
		for _, call := range s.callProps(ctx, h, k) {
			if call.State == "running" {
				parts = append(parts, views.MethodState(call))
			}
		}
		return parts, nil
	}
}

func (s *Server) paintMethodsNotice(h *Hub, k subject) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		r, err := s.twinOrMemory(ctx, h, k)
		if err != nil {
			return nil, nil // the page keeps what it shows
		}
		return []templ.Component{views.MethodsNotice(s.methodsNotice(ctx, r))}, nil
	}
}

// methodsLive is the event stream of methodsPage: seconds count on while a call
// is under way.
func (s *Server) methodsLive(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h := hubOf(c)
	all := func(ctx context.Context) ([]templ.Component, error) {
		var parts []templ.Component
		for _, paint := range []painter{s.paintCalls(h, k), s.paintMethodsNotice(h, k), s.paintConnection(h, k)} {
			more, err := paint(ctx)
			if err != nil {
				return nil, err
			}
			parts = append(parts, more...)
		}
		return parts, nil
	}
	return s.serveLive(c, "devices", live{sources: s.methodSources(h, k), all: all, every: time.Second, tick: s.paintRunning(h, k)})
}

// againPath fills the form with a call made before.
func againPath(h *Hub, call methodCall) string {
	return h.viewPath(call.of, "methods") + "&again=" + url.QueryEscape(strconv.Itoa(call.id))
}
