package localhub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
)

// contentJSON as the service writes it; Node's SDK parses nothing else.
const contentJSON = "application/json; charset=utf-8"

const headerErrorCode = "Iothub-Errorcode"

// answers holds memory that answers were printed into, for the next ones.
var answers = sync.Pool{New: func() any { return new([]byte) }}

func answer(c echo.Context, status int, v any) error {
	room := answers.Get().(*[]byte)
	b, err := iothub.AppendJSON((*room)[:0], v)
	if err != nil {
		return err
	}
	if err := blob(c, status, b); err != nil {
		return err // b may still be on its way over HTTP/2
	}
	*room = b
	answers.Put(room)
	return nil
}

// blob answers JSON of a known length, which net/http would send in pieces when
// it is longer than 2 KB.
func blob(c echo.Context, status int, b []byte) error {
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(b)))
	return c.Blob(status, contentJSON, b)
}

// answerError is where every error of the service API ends: a refusal goes out
// in IoT Hub's envelope, anything else is logged and goes out as ServerError
// without its text.
func (s *restServer) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if _, routing := errors.AsType[*echo.HTTPError](err); routing {
		err = s.unrouted(c)
	}
	id := c.Response().Header().Get(headerRequestID)
	e := refusalOf(err)
	log := s.hub.log.With("request_id", id, "method", c.Request().Method, "path", c.Request().URL.Path, "status", e.Status)
	if e.Status >= http.StatusInternalServerError && !becameOfCall(e) { // a device that does not answer is no fault of the hub
		log.Error("request failed", "error", err)
	} else {
		log.Info("request refused", "code", e.Code, "reason", e.Message)
	}
	c.Response().Header().Set(headerErrorCode, e.Code)
	if errors.Is(e, iothub.ErrThrottling) { // as the service does; it sends no Retry-After
		c.Response().Header().Set("Connection", "close")
	}
	text := bodyOf(e, id, s.hub.now())
	if p := placeOf(err); p != nil {
		text = withPosition(text, p)
	}
	if err := blob(c, e.Status, text); err != nil {
		log.Info("answer not written", "error", err)
	}
}

// bodyOf chooses among the forms in which the service refuses.
func bodyOf(e *iothub.Error, tracking string, at time.Time) []byte {
	switch {
	case becameOfCall(e):
		return e.NestedBody(tracking, at)
	case errors.Is(e, iothub.ErrModuleAlreadyExists):
		return e.DeviceBody(tracking, at)
	}
	return e.ServiceBody(tracking + "-G:0-TimeStamp:" + at.UTC().Format("01/02/2006 15:04:05"))
}

// refusalOf says how an error looks to a client, over HTTP and over MQTT.
func refusalOf(err error) *iothub.Error {
	var (
		syntax  *iothub.SyntaxError
		section *iothub.SectionError
	)
	switch {
	case errors.As(err, &syntax):
		return iothub.ErrFormat.With("%s", syntax.Error())
	case errors.Is(err, iothub.ErrNotObject), errors.As(err, &section):
		return iothub.ErrArgumentInvalid.With("%s", err.Error())
	case errors.Is(err, context.Canceled):
		return iothub.ErrServiceUnavailable.With("the request was given up before it was answered")
	}
	return iothub.AsError(err)
}

// unrouted refuses what no route takes: by its method, with those allowed named,
// or by its path. Echo tells the two apart only for some paths.
func (s *restServer) unrouted(c echo.Context) error {
	var allowed []string
	for _, r := range s.echo.Routes() {
		if r.Method != echo.RouteNotFound && matches(r.Path, echo.GetPath(c.Request())) {
			allowed = append(allowed, r.Method)
		}
	}
	if len(allowed) == 0 {
		return iothub.ErrResourceNotFound.With("this hub does not offer this operation")
	}
	slices.Sort(allowed)
	c.Response().Header().Set("Allow", strings.Join(allowed, ", "))
	return iothub.ErrMethodNotAllowed.With("this hub does not offer this method here")
}

// matches reports whether a path has the form of a route.
func matches(route, path string) bool {
	want, got := strings.Split(route, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool { return w == g || strings.HasPrefix(w, ":") })
}

// position says where in the text a client sent something is wrong. It is an
// extra member of the refusal that SDKs ignore and the dashboard marks.
type position struct {
	Line    int               `json:"line"`   // from 1
	Column  int               `json:"column"` // from 1, in characters
	Offset  int               `json:"offset"` // in bytes
	Length  int               `json:"length"` // in characters
	Code    string            `json:"code"`   // stable name of the problem; "json" for JSON
	Args    map[string]string `json:"args,omitempty"`
	Message string            `json:"message"`
	Hint    string            `json:"hint,omitempty"`
	Repair  *repair           `json:"repair,omitempty"`
}

// repair replaces the bytes from Start to End, End excluded, by Text.
type repair struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Text  string `json:"text"`
}

func placeOf(err error) *position {
	if syntax, ok := errors.AsType[*iothub.SyntaxError](err); ok {
		return &position{Line: syntax.Line, Column: syntax.Column, Length: 1, Code: "json", Message: syntax.Message}
	}
	var q *query.Error
	if !errors.As(err, &q) {
		return nil
	}
	p := &position{
		Line: q.Line, Column: q.Column, Offset: q.Offset, Length: q.Length,
		Code: string(q.Code), Args: q.Args, Message: q.Message, Hint: q.Hint,
	}
	if q.Repair != nil {
		p.Repair = &repair{q.Repair.Start, q.Repair.End, q.Repair.Text}
	}
	return p
}

// withPosition adds the member to an envelope, which is a JSON object.
func withPosition(envelope []byte, p *position) []byte {
	b, err := iothub.EncodeJSON(p)
	if err != nil {
		return envelope
	}
	return slices.Concat(envelope[:len(envelope)-1], []byte(`,"position":`), b, []byte("}"))
}
