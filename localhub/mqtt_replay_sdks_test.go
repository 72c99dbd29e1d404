package localhub

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// suback subscribes and wants these QoS granted.
func (d *thing) suback(packet []byte, granted ...byte) {
	d.Helper()
	d.send(packet)
	if ack := d.next(packets.Suback); !slices.Equal(ack.ReasonCodes, granted) {
		d.Errorf("SUBACK %+v", ack)
	}
}

// puback publishes at QoS 1 and wants it acknowledged.
func (d *thing) puback(id uint16, topic, payload string) {
	d.Helper()
	d.send(publish(1, id, topic, []byte(payload)))
	if ack := d.next(packets.Puback); ack.PacketID != id {
		d.Errorf("PUBACK %d of %s, want %d", ack.PacketID, topic, id)
	}
}

// TestPythonModule replays Python's module client, which sends everything at
// QoS 1: telemetry, an output, and the answer to a method.
func TestPythonModule(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.module("d1", "m1")
	c := w.moduleConnect("d1", "m1")
	c.user = "localhost/d1/m1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%283.11.2%3BLinux%29"
	m, _ := w.online(c)
	m.suback(subscribe(1, 1, "$iothub/twin/PATCH/properties/desired/#"), 1)
	m.suback(subscribe(2, 1, "$iothub/twin/res/#"), 1)
	m.puback(3, "$iothub/twin/GET/?$rid="+rid1, " ")
	m.sameJSON(m.message("$iothub/twin/res/200/?$rid="+rid1), `{"desired":{"$version":1},"reported":{"$version":1}}`)
	m.suback(subscribe(4, 1, "devices/d1/modules/m1/inputs/#"), 1)
	m.suback(subscribe(5, 1, "$iothub/methods/POST/#"), 1)
	m.puback(6, "devices/d1/modules/m1/messages/events/%24.mid=id%201&%24.ct=application%2Fjson&%24.ce=utf-8&k%2F%C3%A9=v%261", `{"t":21}`)
	m.puback(7, "devices/d1/modules/m1/messages/events/%24.on=out1", `{"t":21}`)
	answer := w.later("/twins/d1/modules/m1/methods", `{"methodName":"reboot","payload":{"a":1},"responseTimeoutInSeconds":5,"connectTimeoutInSeconds":1}`)
	rid, payload := m.called("reboot")
	m.sameJSON(payload, `{"a":1}`)
	m.puback(8, "$iothub/methods/res/200/?$rid="+rid, `{"done": true}`)
	if r := <-answer; r.Status != 200 || r.Body != `{"status":200,"payload":{"done":true}}` && r.Body != `{"status":200,"payload":{"done": true}}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestGatewayHostName is a device whose connection string names a host with a
// port and another to dial: user name and token carry the port, both SDKs do so.
func TestGatewayHostName(t *testing.T) {
	w := startWire(t)
	key := w.device("d1").Authentication.SymmetricKey.Primary
	c := w.deviceConnect("d1")
	c.user = "localhost:8443/d1/?api-version=2019-10-01"
	c.password = signed(t, "localhost%3A8443%2Fdevices%2Fd1", key, time.Now().Add(time.Hour))
	d, _ := w.online(c)
	d.send(publish(1, 1, "$iothub/twin/GET/?$rid=1", []byte(" ")))
	d.next(packets.Puback)
	d.message("$iothub/twin/res/200/?$rid=1")
}

// TestCDevice replays Microsoft's C SDK: keep-alive 240, all filters in one
// SUBSCRIBE, small whole numbers as request ids, and answers whose topic has
// $rid right behind the question mark.
func TestCDevice(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	c := w.deviceConnect("d1")
	c.keepAlive = 240
	c.user = "localhost/d1/?api-version=2020-09-30&DeviceClientType=iothubclient%2F1.11.0%20(native%3B%20Linux%3B%20x86_64)"
	d, _ := w.online(c)
	d.suback(subscribe(2, 0, "$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#", "$iothub/methods/POST/#", "devices/d1/messages/devicebound/#"), 0, 0, 0, 0)
	d.send(publish(0, 0, "$iothub/twin/GET/?$rid=3", nil))
	d.sameJSON(d.message("$iothub/twin/res/200/?$rid=3"), `{"desired":{"$version":1},"reported":{"$version":1}}`)
	d.send(publish(0, 0, "$iothub/twin/PATCH/properties/reported/?$rid=4", []byte(`{"connectivity":"wifi"}`)))
	d.message("$iothub/twin/res/204/?$rid=4&$version=2")
	w.desired("d1", iothub.Document{"on": true})
	d.sameJSON(d.message("$iothub/twin/PATCH/properties/desired/?$version=2"), `{"$version":2,"on":true}`)
	d.puback(5, "devices/d1/messages/events/%24.ct=application%2fjson&property_key=property_value", `{"t":21}`)
	answer := w.later("/twins/d1/methods", `{"methodName":"reboot","payload":null,"responseTimeoutInSeconds":5}`)
	rid, _ := d.called("reboot")
	d.send(publish(0, 0, "$iothub/methods/res/200/?$rid="+rid, []byte(`{}`)))
	if r := <-answer; r.Status != 200 || r.Body != `{"status":200,"payload":{}}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestCSharpDevice replays Microsoft's C# SDK: keep-alive 300, an api-version of
// 2020 in the user name, GUIDs as request ids, subscriptions at QoS 1.
func TestCSharpDevice(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	c := w.deviceConnect("d1")
	c.keepAlive = 300
	c.user = "localhost/d1/?api-version=2020-09-30&DeviceClientType=.NET%2F1.42.0%20%28.NET%208.0.0%3B%20Linux%3B%20X64%29&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1"
	d, _ := w.online(c)
	d.suback(subscribe(1, 1, "$iothub/twin/res/#"), 1)
	d.puback(2, "$iothub/twin/GET/?$rid="+rid1, "")
	d.sameJSON(d.message("$iothub/twin/res/200/?$rid="+rid1), `{"desired":{"$version":1},"reported":{"$version":1}}`)
	d.suback(subscribe(3, 1, "$iothub/twin/PATCH/properties/desired/#"), 1)
	d.puback(4, "$iothub/twin/PATCH/properties/reported/?$rid="+rid2, `{"a":1}`)
	d.message("$iothub/twin/res/204/?$rid=" + rid2 + "&$version=2")
	w.desired("d1", iothub.Document{"a": nil})
	d.sameJSON(d.message("$iothub/twin/PATCH/properties/desired/?$version=2"), `{"$version":2,"a":null}`)
	var twin iothub.Twin
	if w.mustCall(http.MethodGet, "/twins/d1", "").decode(t, &twin); twin.ModelID != "dtmi:com:example:Thermostat;1" {
		t.Errorf("model id %q", twin.ModelID)
	}
}
