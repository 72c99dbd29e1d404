package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// callProps are the latest calls as the page shows them.
func (s *Server) callProps(ctx context.Context, h *Hub, k subject) []views.MethodCallProps {
	var list []views.MethodCallProps
	for _, call := range s.calls[h].of(k) {
		p := views.MethodCallProps{
			ID: "call-" + strconv.Itoa(call.id), Name: call.request.Name, Time: clockProps(ctx, call.begun), AgainHref: againPath(h, call),
			Payload: prettyJSON(string(call.request.Payload)), Answer: prettyJSON(string(call.result.Payload)),
		}
		p.State, p.Text = s.callState(ctx, h, call)
		list = append(list, p)
	}
	return list
}

// callState says what became of a call. That a device said no, that it gave no
// answer and that it was not there are three things.
func (s *Server) callState(ctx context.Context, h *Hub, call methodCall) (state, sentence string) {
	took, name := text.Decimal(ctx, call.ended.Sub(call.begun).Seconds(), 1), call.of.name()
	switch {
	case call.ended.IsZero():
		most := call.request.Connect + call.request.Response
		return "running", text.T(ctx, "methods.call.running", "Span", text.Span(ctx, s.now().Sub(call.begun)), "Most", text.Span(ctx, most))
	case errors.Is(call.err, iothub.ErrDeviceNotOnline) && call.request.Connect > 0:
		return "offline", text.T(ctx, "methods.call.offline.waited", "Device", name, "Span", text.Span(ctx, call.request.Connect))
	case errors.Is(call.err, iothub.ErrDeviceNotOnline):
		return "offline", text.T(ctx, "methods.call.offline", "Device", name)
	case errors.Is(call.err, iothub.ErrGatewayTimeout):
		return "timeout", text.T(ctx, "methods.call.timeout", "Device", name, "Span", text.Span(ctx, call.request.Response))
	case errors.Is(call.err, iothub.ErrBadDeviceResponse):
		return "failed", text.T(ctx, "methods.call.bad", "Device", name)
	case call.err != nil:
		p := s.explainFor(ctx, h, call.of.device, call.err)
		return "failed", text.T(ctx, "error."+p.code+".what", p.args...)
	case call.result.Status >= http.StatusBadRequest:
		return "refused", text.T(ctx, "methods.call.refused", "Device", name, "Status", strconv.Itoa(call.result.Status), "Seconds", took)
	}
	return "answered", text.T(ctx, "methods.call.answered", "Status", strconv.Itoa(call.result.Status), "Seconds", took)
}

// prettyJSON sets JSON out to be read, its members in their order; what is none
// stays as it is.
func prettyJSON(s string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(strings.TrimSpace(s)), "", "  "); err != nil {
		return s
	}
	return b.String()
}

// callData is a call as data.
type callData struct {
	Method   string          `json:"method"`
	Payload  json.RawMessage `json:"payload"`
	Begun    time.Time       `json:"begun"`
	Ended    *time.Time      `json:"ended,omitempty"`
	Status   int             `json:"status,omitempty"`
	Response json.RawMessage `json:"response,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// callData are the latest calls as data, newest first.
func (s *Server) callData(h *Hub, k subject) []callData {
	list := []callData{}
	for _, call := range s.calls[h].of(k) {
		d := callData{
			Method: call.request.Name, Payload: call.request.Payload, Begun: call.begun,
			Status: call.result.Status, Response: call.result.Payload,
		}
		if !call.ended.IsZero() {
			d.Ended = &call.ended
		}
		if call.err != nil {
			d.Error = s.explainFor(context.Background(), h, k.device, call.err).code
			if e, ok := errors.AsType[*iothub.Error](call.err); ok {
				d.Error = e.Code
			}
		}
		list = append(list, d)
	}
	return list
}
