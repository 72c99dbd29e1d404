package localhub

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

func TestModuleIdentities(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	const path = "/devices/d1/modules/m%231"
	if r := w.call(http.MethodGet, "/devices/d1/modules", ""); r.Status != 200 || r.Body != "[]" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	var m iothub.Module
	r := w.call(http.MethodPut, path, `{"moduleId":"m#1","deviceId":"d1","managedBy":"me","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""}}}`)
	if r.decode(t, &m); r.Status != 200 || m.ModuleID != "m#1" || m.DeviceID != "d1" || m.ManagedBy != "me" || r.Header.Get("ETag") != m.ETag.Header() {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if strings.Contains(r.Body, `"status"`) {
		t.Errorf("a module with a status: %s", r.Body)
	}
	for _, c := range []struct {
		method, path, body, match string
		status                    int
		code                      string
	}{
		{"PUT", path, `{}`, "", 409, "ModuleAlreadyExistsOnDevice"},
		{"PUT", path, `{"moduleId":"m2"}`, "*", 400, "ArgumentInvalid"},
		{"PUT", path, `{"deviceId":"d2"}`, "*", 400, "ArgumentInvalid"},
		{"PUT", path, `{`, "*", 400, "IotHubFormatError"},
		{"PUT", path, `{}`, `"c3RhbGU="`, 412, "PreconditionFailed"},
		{"PUT", "/devices/d1/modules/none", `{}`, "*", 404, "ModuleNotFound"},
		{"PUT", "/devices/none/modules/m", `{}`, "", 401, "IotHubUnauthorizedAccess"},
		{"GET", "/devices/d1/modules/none", "", "", 404, "ModuleNotFound"},
		{"DELETE", path, "", "", 412, "PreconditionFailed"},
		{"DELETE", "/devices/d1/modules/none", "", "*", 404, "ModuleNotFound"},
		{"GET", "/twins/d1/modules/none", "", "", 404, "DeviceNotFound"},
		{"PATCH", "/twins/none/modules/m", "{}", "", 404, "DeviceNotFound"},
		{"PUT", path, `{"managedBy":"you"}`, m.ETag.Header(), 200, ""},
		{"GET", path, "", "", 200, ""},
		{"GET", "/devices/d1/modules/", "", "", 200, ""},
		{"PATCH", "/twins/d1/modules/m%231", `{"tags":{"a":1}}`, `"AAAAAAAAAAE="`, 200, ""},
		{"PATCH", "/twins/d1/modules/m%231", `{"tags":{"a":2}}`, `"AAAAAAAAAAE="`, 412, "PreconditionFailed"},
		{"PUT", "/twins/d1/modules/m%231", `{"properties":{"desired":{"x":1}}}`, "*", 200, ""},
		{"DELETE", path, "", `"*"`, 204, ""},
		{"GET", path, "", "", 404, "ModuleNotFound"},
	} {
		var header []string
		if c.match != "" {
			header = []string{"If-Match", c.match}
		}
		r := w.call(c.method, c.path, c.body, header...)
		if r.Status != c.status || r.Header.Get("iothub-errorcode") != c.code {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, r.Status, r.Body)
		}
	}
}

// moduleConnect is a correct CONNECT of a module that exists.
func (w *wire) moduleConnect(device, module string) connect {
	w.Helper()
	m, err := w.hub.registry.module(w.Context(), twinKey{device, module})
	if err != nil {
		w.Fatal(err)
	}
	return connect{
		protocol: "MQTT", level: 4, flags: 0xc0, keepAlive: 60, id: device + "/" + module,
		user:     "localhost/" + device + "/" + module + "/?api-version=2021-04-12",
		password: w.devicePassword(device+"/modules/"+module, m.Authentication.SymmetricKey.Primary, w.hub.now().Add(time.Hour)),
	}
}

func (w *wire) module(device, module string) iothub.Module {
	w.Helper()
	m, err := w.hub.registry.createModule(w.Context(), actor{Policy: "iothubowner"}, iothub.Module{DeviceID: device, ModuleID: module})
	if err != nil {
		w.Fatal(err)
	}
	return m
}

// TestAModuleTalksForItself runs a module beside its device: each has its own
// connection, twin, topics and subscriptions.
func TestAModuleTalksForItself(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.module("d1", "m1")
	_, sub, _ := w.hub.changes.Subscribe(w.hub.changes.Last())
	defer sub.Close()
	device := w.listening("d1")
	m, _ := w.online(w.moduleConnect("d1", "m1"))
	m.send(subscribe(1, 0, iothub.FilterDesired, iothub.FilterInputs("d1", "m1"), iothub.FilterMessages("d1", "m1"), iothub.FilterTwinResponses))
	if ack := m.next(packets.Suback); string(ack.ReasonCodes) != "\x00\x00\x00\x00" {
		t.Errorf("SUBACK %v", ack.ReasonCodes)
	}
	w.mustCall(http.MethodPatch, "/twins/d1/modules/m1", `{"properties":{"desired":{"a":1}}}`)
	m.sameJSON(m.message(iothub.DesiredTopic(2)), `{"a":1,"$version":2}`)
	device.silent()
	m.send(publish(1, 2, iothub.ReportedTopic("1"), []byte(`{"r":true}`)))
	m.next(packets.Puback)
	m.message(iothub.TwinResponseTopic(204, "1", 2))
	m.send(publish(0, 0, iothub.TwinGetTopic("2"), nil))
	m.sameJSON(m.message(iothub.TwinResponseTopic(200, "2", 0)), `{"desired":{"a":1,"$version":2},"reported":{"r":true,"$version":2}}`)
	m.send(publish(1, 3, "devices/d1/modules/m1/messages/events/%24.on=out1/", []byte(`{"t":1}`)))
	m.next(packets.Puback)

	var twin iothub.Twin
	w.mustCall(http.MethodGet, "/twins/d1/modules/m1", "").decode(t, &twin)
	if twin.ConnectionState != iothub.Connected || twin.Properties.Reported.Value["r"] != true || twin.ModuleID != "m1" {
		t.Errorf("%+v", twin)
	}
	var count iothub.ServiceStatistics
	if w.mustCall(http.MethodGet, "/statistics/service", "").decode(t, &count); count.Connected != 1 {
		t.Errorf("%d devices connected", count.Connected)
	}
	var kinds []string
	for item := range sub.C() {
		c := item.Value
		if c.ModuleID != "m1" || c.Kind == iothub.ChangeDelivered { // which may come before or after the report
			continue
		}
		kinds = append(kinds, string(c.Kind))
		if c.Kind == iothub.ChangeTelemetry {
			if c.Telemetry.Properties["$.on"] != "out1" || c.DeviceID != "d1" {
				t.Errorf("%+v", c.Telemetry)
			}
			break
		}
	}
	if got := strings.Join(kinds, " "); got != "connection desired reported telemetry" {
		t.Errorf("the feed told of %s", got)
	}
	device.send(publish(0, 0, "devices/d1/modules/m1/messages/events/", nil)) // not its own
	device.ended()
	m.silent()
	m.send(publish(0, 0, "devices/d1/messages/events/", nil))
	m.ended()
}

func TestModuleConnectRefusals(t *testing.T) {
	w := startWire(t)
	d1 := w.device("d1")
	m1, m2 := w.module("d1", "m1"), w.module("d1", "m2")
	hour := time.Now().Add(time.Hour)
	for _, c := range []struct {
		name   string
		code   byte
		change func(*connect)
	}{
		{"as it should be", 0, func(*connect) {}},
		{"secondary key", 0, func(c *connect) {
			c.password = signed(t, "localhost/devices/d1/modules/m1", m1.Authentication.SymmetricKey.Secondary, hour)
		}},
		{"policy device", 0, func(c *connect) {
			token, err := iothub.Sign("localhost", w.hub.policies["device"].Primary, "device", hour)
			if err != nil {
				t.Fatal(err)
			}
			c.password = token
		}},
		{"key of the device", 5, func(c *connect) {
			c.password = signed(t, "localhost/devices/d1/modules/m1", d1.Authentication.SymmetricKey.Primary, hour)
		}},
		{"key of another module", 5, func(c *connect) {
			c.password = signed(t, "localhost/devices/d1/modules/m1", m2.Authentication.SymmetricKey.Primary, hour)
		}},
		{"token of another module", 5, func(c *connect) {
			c.password = signed(t, "localhost/devices/d1/modules/m2", m1.Authentication.SymmetricKey.Primary, hour)
		}},
		{"client id of the device", 5, func(c *connect) { c.id = "d1" }},
		{"module that is missing", 5, func(c *connect) { c.id, c.user = "d1/none", "localhost/d1/none/?api-version=2021-04-12" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			hello := w.moduleConnect("d1", "m1")
			c.change(&hello)
			d := w.dial()
			d.send(hello.bytes())
			if ack := d.next(packets.Connack); ack.ReasonCode != c.code {
				t.Fatalf("CONNACK %d instead of %d", ack.ReasonCode, c.code)
			}
		})
	}
}
