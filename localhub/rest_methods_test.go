package localhub

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// later makes a call that waits for a device.
func (w *wire) later(path, body string) <-chan reply {
	done := make(chan reply, 1)
	go func() { done <- w.call(http.MethodPost, path, body) }()
	return done
}

// called waits for a method and returns its $rid and payload.
func (d *thing) called(name string) (rid, payload string) {
	d.Helper()
	pk := d.next(packets.Publish)
	rid, ok := strings.CutPrefix(pk.TopicName, "$iothub/methods/POST/"+name+"/?$rid=")
	if !ok || rid == "" || pk.FixedHeader.Qos != 0 {
		d.Fatalf("got %s at QoS %d", pk.TopicName, pk.FixedHeader.Qos)
	}
	return rid, string(pk.Payload)
}

func (w *wire) handy(c connect) *thing {
	w.Helper()
	d, _ := w.online(c)
	d.send(subscribe(1, 0, iothub.FilterMethods))
	d.next(packets.Suback)
	return d
}

func TestDirectMethods(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.module("d1", "m1")
	d, m := w.handy(w.deviceConnect("d1")), w.handy(w.moduleConnect("d1", "m1"))
	for _, c := range []struct {
		path string
		of   *thing
	}{
		{"/twins/d1/methods", d},
		{"/twins/d1/modules/m1/methods", m},
	} {
		for _, call := range []struct{ sent, received, status, answered, want string }{
			{`,"payload":{"n":1.0,"s":"<&>"}`, `{"n":1.0,"s":"<&>"}`, "200", `{"done":1.50,"s":"<&>"}`, `{"status":200,"payload":{"done":1.50,"s":"<&>"}}`},
			{`,"payload":null`, "null", "404", ``, `{"status":404,"payload":null}`},
			{`,"payload":""`, `""`, "0", `[1]`, `{"status":0,"payload":[1]}`},
			{``, "null", "-7", `"text"`, `{"status":-7,"payload":"text"}`},
		} {
			done := w.later(c.path, `{"methodName":"lockDoor","responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0`+call.sent+`}`)
			rid, payload := c.of.called("lockDoor")
			if payload != call.received {
				t.Errorf("%s: the device got %s", call.sent, payload)
			}
			c.of.send(publish(1, 9, "$iothub/methods/res/"+call.status+"/?$rid="+rid, []byte(call.answered)))
			c.of.next(packets.Puback)
			if r := <-done; r.Status != 200 || r.Body != call.want {
				t.Errorf("%s %s: %d %s", c.path, call.sent, r.Status, r.Body)
			}
		}
	}
}

func TestMethodsRunSideBySide(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	d := w.handy(w.deviceConnect("d1"))
	var waiting []<-chan reply
	rids := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		waiting = append(waiting, w.later("/twins/d1/methods", `{"methodName":"`+name+`"}`))
		rids[name], _ = d.called(name)
	}
	for _, name := range []string{"c", "a", "b"} {
		d.send(publish(0, 0, "$iothub/methods/res/200/?$rid="+rids[name], []byte(`"`+name+`"`)))
	}
	for i, name := range []string{"a", "b", "c"} {
		if r := <-waiting[i]; r.Body != `{"status":200,"payload":"`+name+`"}` {
			t.Errorf("%s: %s", name, r.Body)
		}
	}
}

// TestMethodRefusals checks the bodies: what becomes of a call has the one for
// devices within the other.
// TestWhatADeviceFailsToAnswerIsNoErrorOfTheHub reads the level of the log.
func TestWhatADeviceFailsToAnswerIsNoErrorOfTheHub(t *testing.T) {
	for err, level := range map[*iothub.Error]string{
		iothub.ErrGatewayTimeout: "INFO", iothub.ErrBadDeviceResponse: "INFO", iothub.ErrDeviceNotOnline: "INFO", iothub.ErrServerError: "ERROR",
	} {
		var log strings.Builder
		s := &restServer{hub: &Hub{log: slog.New(slog.NewTextHandler(&log, nil)), now: time.Now}}
		ctx := echo.New().NewContext(httptest.NewRequest(http.MethodPost, "/twins/d1/methods", nil), httptest.NewRecorder())
		s.answerError(err.With("it is so"), ctx)
		if !strings.Contains(log.String(), "level="+level+" ") {
			t.Errorf("%s: %s", err.Code, log.String())
		}
	}
}

func TestMethodRefusals(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	nested := func(r reply, status, number int, code string) {
		t.Helper()
		e := r.refused(t)
		var inner iothub.DeviceErrorBody
		if err := json.Unmarshal([]byte(e.Message), &inner); err != nil {
			t.Fatalf("%d %s: %v", r.Status, r.Body, err)
		}
		if r.Status != status || r.Header.Get(headerErrorCode) != code || inner.ErrorCode != number || inner.Message == "" ||
			inner.TrackingID == "" || inner.TimestampUTC.IsZero() || e.ExceptionMessage != "" {
			t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
		}
	}
	const call = `{"methodName":"reboot"}`
	nested(w.call(http.MethodPost, "/twins/d1/methods", call), 404, 404103, "DeviceNotOnline")
	d := w.handy(w.deviceConnect("d1"))
	done := w.later("/twins/d1/methods", call)
	rid, _ := d.called("reboot")
	d.send(publish(0, 0, "$iothub/methods/res/200/?$rid="+rid, []byte(`{`)))
	nested(<-done, 502, 0, "BadDeviceResponse")
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/twins/none/methods", call, 404, "DeviceNotFound"},
		{"/twins/d1/modules/none/methods", call, 404, "DeviceNotFound"},
		{"/twins/d1/methods", `{}`, 400, "ArgumentNull"},
		{"/twins/d1/methods", `{"methodName":"a/b"}`, 400, "ArgumentInvalid"},
		{"/twins/d1/methods", `{"methodName":"a","responseTimeoutInSeconds":4}`, 400, "ArgumentInvalid"},
		{"/twins/d1/methods", `{"methodName":"a","responseTimeoutInSeconds":10,"connectTimeoutInSeconds":11}`, 400, "ArgumentInvalid"},
		{"/twins/d1/methods", `{"methodName":"a","responseTimeoutInSeconds":"10"}`, 400, "DeserializationError"},
		{"/twins/d1/methods", `{"methodName":"a","payload":{}`, 400, "IotHubFormatError"},
		{"/twins/d1/methods", `{"methodName":"a","payload":"` + strings.Repeat("x", 128<<10) + `"}`, 413, "MessageTooLarge"},
	} {
		r := w.call(http.MethodPost, c.path, c.body)
		if r.Status != c.status || r.Header.Get(headerErrorCode) != c.code {
			t.Errorf("%s %.60s: %d %s", c.path, c.body, r.Status, r.Body)
		}
	}
	d.silent()
}

// TestAMethodReachesWhoComesLater waits for a device that connects, and for one
// that is there and subscribes.
func TestAMethodReachesWhoComesLater(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	done := w.later("/twins/d1/methods", `{"methodName":"hello","connectTimeoutInSeconds":30}`)
	awaited(t, w.hub.registry, dev("d1"))
	d, _ := w.online(w.deviceConnect("d1"))
	d.silent()
	d.send(subscribe(1, 0, iothub.FilterMethods))
	var rid string
	for rid == "" { // SUBACK and the call come in either order
		if pk, err := d.read(); err != nil {
			t.Fatal(err)
		} else if pk.FixedHeader.Type == packets.Publish {
			rid = strings.TrimPrefix(pk.TopicName, "$iothub/methods/POST/hello/?$rid=")
		}
	}
	d.send(publish(0, 0, "$iothub/methods/res/200/?$rid="+rid, nil))
	if r := <-done; r.Status != 200 || r.Body != `{"status":200,"payload":null}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestStoppingEndsWaitingCalls closes a hub whose client would wait for minutes.
func TestStoppingEndsWaitingCalls(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	done := w.later("/twins/d1/methods", `{"methodName":"hello","connectTimeoutInSeconds":300,"responseTimeoutInSeconds":300}`)
	awaited(t, w.hub.registry, dev("d1"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.hub.Close(ctx); err != nil {
		t.Error(err)
	}
	if r := <-done; r.Status != 503 || r.Header.Get(headerErrorCode) != "ServiceUnavailable" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestPurgingFindsNothing(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	r := w.call(http.MethodDelete, "/devices/d1/commands", "")
	if r.Status != 200 || r.Body != `{"deviceId":"d1","moduleId":null,"totalMessagesPurged":0}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := w.call(http.MethodDelete, "/devices/none/commands", ""); r.Status != 404 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}
