package localhub

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

// methodInvoke calls a direct method of a device or module and answers what it
// answers.
func (s *restServer) methodInvoke(c echo.Context, by caller) error {
	text, err := body(c)
	if err != nil {
		return err
	}
	call, err := parseMethodCall(text)
	if err != nil {
		return err
	}
	if err := s.hub.throttle.pass(c.Request().Context(), iothub.ThrottleMethods, meters(call.payload)); err != nil {
		return err
	}
	if err := allow(c, call.connect+call.response); err != nil {
		return err
	}
	ctx, cancel := s.whileServing(c.Request().Context())
	defer cancel()
	a, err := s.hub.registry.invoke(ctx, actor{Policy: by.policy}, pathKey(c), call)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, a.result())
}

// parseMethodCall reads a direct method as it is asked for.
func parseMethodCall(text []byte) (methodCall, error) {
	var b struct {
		Name     string          `json:"methodName"`
		Payload  json.RawMessage `json:"payload"`
		Response *int            `json:"responseTimeoutInSeconds"`
		Connect  *int            `json:"connectTimeoutInSeconds"`
	}
	if err := readJSON(text, &b); err != nil {
		return methodCall{}, err
	}
	return newMethodCall(b.Name, b.Payload, b.Response, b.Connect)
}

// allow gives a request more time than others have. A deadline for reading that
// passed would end the request, too.
func allow(c echo.Context, longer time.Duration) error {
	control := http.NewResponseController(c.Response())
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return control.SetWriteDeadline(time.Now().Add(longer + requestTimeout))
}

// whileServing gives up a request that waits when the hub stops.
func (s *restServer) whileServing(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-s.stopping:
			cancel(errClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// commandsPurge empties a device's queue of cloud-to-device messages. This hub
// has none: they are sent over AMQP, which it does not speak. Which right it
// takes is not documented; that of those who send is our choice.
func (s *restServer) commandsPurge(c echo.Context, by caller) error {
	d, err := s.hub.registry.device(c.Request().Context(), pathID(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, iothub.PurgeResult{DeviceID: d.DeviceID})
}
