package localhub

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

const (
	rid1 = "6f5e0c9e-8a54-4f5c-9f0b-3c7c0a4d1e01"
	rid2 = "6f5e0c9e-8a54-4f5c-9f0b-3c7c0a4d1e02"
)

// pythonConnect is the CONNECT of Microsoft's Python device SDK 2.14.0, byte
// for byte in shape: the user name has the captured length, and the expiry is
// chosen so that the signature's escapes give the password its length too.
func pythonConnect(w *wire) connect {
	w.Helper()
	c := w.deviceConnect("d1")
	c.user = "localhost/d1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%283.11.2%3BLinux"
	const platform = "-6.1.0-28-amd64-x86_64-with-glibc2.36-and-what-else%3Bx86_64"
	c.user += platform[len(platform)-(156-len(c.user)-len("%29")):] + "%29"
	d, err := w.hub.registry.device(w.Context(), "d1")
	if err != nil {
		w.Fatal(err)
	}
	for after := time.Hour; ; after += time.Second {
		c.password = w.devicePassword("d1", d.Authentication.SymmetricKey.Primary, time.Now().Add(after))
		if len(c.password) == 116 {
			return c
		}
	}
}

// TestPythonDevice replays the tutorial's device app: it asks for its twin
// before it has subscribed to the answer, and sends everything at QoS 1.
func TestPythonDevice(t *testing.T) {
	w := startWire(t)
	w.mustCall(http.MethodPut, "/devices/d1", `{"deviceId":"d1","status":"enabled","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""},"type":"sas"},"capabilities":{"iotEdge":false}}`)
	w.mustCall(http.MethodPatch, "/twins/d1", `{"tags":{"location":{"region":"US","plant":"Redmond43"}},"properties":{"desired":{"power_level":1}}}`, "If-Match", `"*"`)
	d := w.dialWith(&tls.Config{RootCAs: w.hub.RootCAs(), ServerName: "localhost", MaxVersion: tls.VersionTLS12})
	hello := pythonConnect(w).bytes()
	if !startsWith(hello, "10 a2 02 00 04 4d 51 54 54 04 c0 00 3c 00 02 64 31 00 9c 6c 6f 63 61 6c 68 6f 73 74 2f 64 31 2f 3f") {
		t.Fatalf("not as captured: % x", hello[:40])
	}
	d.send(hello)
	if ack := d.next(packets.Connack); ack.ReasonCode != 0 || ack.SessionPresent {
		t.Fatalf("CONNACK %+v", ack)
	}

	d.send(publish(1, 1, "$iothub/twin/GET/?$rid="+rid1, []byte(" ")))
	if ack := d.next(packets.Puback); ack.PacketID != 1 {
		t.Errorf("PUBACK %d", ack.PacketID)
	}
	d.sameJSON(d.message("$iothub/twin/res/200/?$rid="+rid1),
		`{"desired":{"$version":2,"power_level":1},"reported":{"$version":1}}`)

	d.send(subscribe(2, 1, "$iothub/twin/res/#"))
	if ack := d.next(packets.Suback); ack.PacketID != 2 || !slices.Equal(ack.ReasonCodes, []byte{1}) {
		t.Errorf("SUBACK %+v", ack)
	}
	d.send(subscribe(3, 1, "$iothub/twin/PATCH/properties/desired/#"))
	if ack := d.next(packets.Suback); ack.PacketID != 3 || !slices.Equal(ack.ReasonCodes, []byte{1}) {
		t.Errorf("SUBACK %+v", ack)
	}
	d.send(publish(1, 4, "$iothub/twin/PATCH/properties/reported/?$rid="+rid2, []byte(`{"connectivity": "cellular"}`)))
	if ack := d.next(packets.Puback); ack.PacketID != 4 {
		t.Errorf("PUBACK %d", ack.PacketID)
	}
	if body := d.message("$iothub/twin/res/204/?$rid=" + rid2 + "&$version=2"); body != "" {
		t.Errorf("204 with a body: %s", body)
	}

	var twin iothub.Twin
	w.mustCall(http.MethodGet, "/twins/d1", "").decode(t, &twin)
	if twin.Properties.Reported.Value["connectivity"] != "cellular" || twin.ConnectionState != iothub.Connected {
		t.Errorf("twin %+v", twin)
	}
	w.mustCall(http.MethodPatch, "/twins/d1", `{"tags":{"location":{"plant":"Redmond43"}},"properties":{"desired":{"power_level":1}}}`, "If-Match", twin.ETag.Header())
	d.sameJSON(d.message("$iothub/twin/PATCH/properties/desired/?$version=3"), `{"$version":3,"power_level":1}`)

	d.send([]byte{0xe0, 0x00})
	d.ended()
	w.eventually("Disconnected after DISCONNECT", func() bool {
		w.mustCall(http.MethodGet, "/twins/d1", "").decode(t, &twin)
		return twin.ConnectionState == iothub.Disconnected
	})
}

// TestNodeDevice replays the order of Microsoft's Node SDK: subscriptions first,
// twin requests at QoS 0, telemetry at QoS 1.
func TestNodeDevice(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	c := w.deviceConnect("d1")
	c.keepAlive = 180
	c.user = "localhost/d1/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4%20(node%20v20.20.2%3B%20Debian%2012%3B%20x64)"
	if !startsWith(c.bytes()[3:], "00 04 4d 51 54 54 04 c0 00 b4 00 02 64 31 00 7d 6c 6f 63") {
		t.Fatalf("not as captured: % x", c.bytes()[:30])
	}
	events := w.hub.changes
	_, sub, _ := events.Subscribe(events.Last())
	defer sub.Close()
	d, _ := w.online(c)
	for i, filter := range []string{"$iothub/methods/POST/#", "$iothub/twin/res/#"} {
		d.send(subscribe(uint16(i+1), 0, filter))
		if ack := d.next(packets.Suback); !slices.Equal(ack.ReasonCodes, []byte{0}) {
			t.Errorf("SUBACK %+v", ack)
		}
	}
	d.send(publish(0, 0, "$iothub/twin/GET/?$rid="+rid1, []byte(" ")))
	d.sameJSON(d.message("$iothub/twin/res/200/?$rid="+rid1), `{"desired":{"$version":1},"reported":{"$version":1}}`)

	// A patch before the subscription is not told.
	w.desired("d1", iothub.Document{"a": json.Number("1")})
	d.send(subscribe(3, 0, "$iothub/twin/PATCH/properties/desired/#"))
	d.next(packets.Suback)
	w.desired("d1", iothub.Document{"a": nil, "b": json.Number("1.0")})
	d.sameJSON(d.message("$iothub/twin/PATCH/properties/desired/?$version=3"), `{"$version":3,"a":null,"b":1.0}`)

	d.send(publish(0, 0, "$iothub/twin/PATCH/properties/reported/?$rid="+rid2, []byte(`{"x":{"y":[1,2]}}`)))
	if body := d.message("$iothub/twin/res/204/?$rid=" + rid2 + "&$version=2"); body != "" {
		t.Errorf("204 with a body: %s", body)
	}
	d.send(subscribe(4, 1, "devices/d1/messages/devicebound/#"))
	if ack := d.next(packets.Suback); !slices.Equal(ack.ReasonCodes, []byte{1}) {
		t.Errorf("SUBACK %+v", ack)
	}
	d.send(publish(1, 5, "devices/d1/messages/events/%24.mid=id%201&%24.ct=application%2Fjson&%24.ce=utf-8&k%2F%C3%A9=v%261", []byte(`{"t":21}`)))
	if ack := d.next(packets.Puback); ack.PacketID != 5 {
		t.Errorf("PUBACK %d", ack.PacketID)
	}
	for item := range sub.C() {
		if item.Value.Kind != iothub.ChangeTelemetry {
			continue
		}
		m := item.Value.Telemetry
		if m.Body != `{"t":21}` || m.Properties["$.mid"] != "id 1" || m.Properties["k/é"] != "v&1" {
			t.Errorf("telemetry %+v", m)
		}
		break
	}
	d.send(frame(0xa2, append([]byte{0, 6}, field("$iothub/twin/PATCH/properties/desired/#")...)))
	d.next(packets.Unsuback)
	w.desired("d1", iothub.Document{"c": true})
	d.silent()
}

// TestTwinRequests walks through the twin requests of a device.
func TestTwinRequests(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	d, _ := w.online(w.deviceConnect("d1"))
	const reported = "$iothub/twin/PATCH/properties/reported/"
	patch := func(topic, body string) { d.Helper(); d.send(publish(0, 0, topic, []byte(body))) }
	refused := func(status, rid string, number int) {
		d.Helper()
		var e iothub.DeviceErrorBody
		if err := json.Unmarshal([]byte(d.message("$iothub/twin/res/"+status+"/?$rid="+rid)), &e); err != nil {
			d.Fatal(err)
		}
		if e.ErrorCode != number || e.Message == "" || e.TrackingID == "" {
			d.Errorf("%+v", e)
		}
	}
	patch(reported+"?$rid=1&$version=1", `{"a":1}`)
	d.message("$iothub/twin/res/204/?$rid=1&$version=2")
	patch(reported+"?$rid=2&$version=1", `{"a":2}`)
	refused("412", "2", 412001)
	patch(reported+"?$version=2&$rid=3%20x", `{"a":3}`)
	d.message("$iothub/twin/res/204/?$rid=3%20x&$version=3")
	patch(reported+"?$rid=4", `{"a":`)
	refused("400", "4", 400006)
	patch(reported+"?$rid=5", `[1]`)
	refused("400", "5", 400006)
	patch(reported+"?$rid=6", `{"a.b":1}`)
	refused("400", "6", 400004)
	patch(reported+"?$rid=7", `{"big":["`+strings.Repeat("x", 4000)+strings.Repeat(`","`+strings.Repeat("x", 4000), 9)+`"]}`)
	refused("400", "7", 400004)
	patch(reported, `{"quiet":true}`) // applied, not answered
	patch(reported+"?$rid=8", `{}`)
	d.message("$iothub/twin/res/204/?$rid=8&$version=5")
	d.send(publish(0, 0, "$iothub/twin/GET/?$rid=9", nil))
	d.sameJSON(d.message("$iothub/twin/res/200/?$rid=9"), `{"desired":{"$version":1},"reported":{"$version":5,"a":3,"quiet":true}}`)
	d.send(publish(1, 9, "$iothub/methods/res/200/?$rid=1", []byte(`{}`))) // too late for anybody
	d.next(packets.Puback)
	d.silent()
}

// TestWithoutAPIVersion connects, and meets 400 where IoT Hub has it.
func TestWithoutAPIVersion(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	c := w.deviceConnect("d1")
	c.user = "localhost/d1"
	d, _ := w.online(c)
	d.send(publish(0, 0, "$iothub/twin/PATCH/properties/reported/?$rid=1", []byte(`{"a":1}`)))
	if body := d.message("$iothub/twin/res/400/?$rid=1"); !strings.Contains(body, "api-version") {
		t.Errorf("%s", body)
	}
	d.send(publish(0, 0, "$iothub/twin/GET/?$rid=2", nil))
	d.sameJSON(d.message("$iothub/twin/res/200/?$rid=2"), `{"desired":{"$version":1},"reported":{"$version":1}}`)
}

// TestKeptSubscriptions reconnects the way Python does: it counts on what it
// subscribed to on the connection before.
func TestKeptSubscriptions(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	c := w.deviceConnect("d1")
	first, present := w.online(c)
	if present {
		t.Error("a session before the first connection")
	}
	first.send(subscribe(1, 1, iothub.FilterDesired))
	first.next(packets.Suback)
	first.send([]byte{0xe0, 0x00})
	first.ended()

	second, present := w.online(c)
	if !present {
		t.Error("CONNACK does not tell of the kept session")
	}
	w.desired("d1", iothub.Document{"a": true})
	second.sameJSON(second.message(iothub.DesiredTopic(2)), `{"$version":2,"a":true}`)

	c.flags |= 0x02 // CleanSession
	third, present := w.online(c)
	w.desired("d1", iothub.Document{"a": false})
	if third.silent(); present {
		t.Error("CleanSession with a session")
	}
	c.flags &^= 0x02
	if _, present = w.online(c); present {
		t.Error("CleanSession did not discard the session")
	}
}

// TestKeptSubscriptionsOutliveTheHub is the same across a restart: Python's SDK
// then finds its session present and does not subscribe again.
func TestKeptSubscriptionsOutliveTheHub(t *testing.T) {
	data := t.TempDir()
	start := func(t *testing.T) *wire { return startWireIn(t, data, time.Now, func(*Hub) {}) }
	var c connect
	t.Run("subscribes", func(t *testing.T) {
		w := start(t)
		w.device("d1")
		c = w.deviceConnect("d1")
		d, _ := w.online(c)
		d.send(subscribe(1, 1, iothub.FilterDesired, iothub.FilterMethods))
		d.next(packets.Suback)
		d.send(frame(0xa2, append([]byte{0, 6}, field(iothub.FilterMethods)...)))
		d.next(packets.Unsuback)
	})
	t.Run("is told after a restart", func(t *testing.T) {
		w := start(t)
		d, present := w.online(c)
		if !present {
			t.Error("CONNACK does not tell of the kept session")
		}
		w.desired("d1", iothub.Document{"a": true})
		d.sameJSON(d.message(iothub.DesiredTopic(2)), `{"$version":2,"a":true}`)
		if got, _, err := w.hub.registry.subscriptionsOf(t.Context(), dev("d1")); err != nil || !slices.Equal(got, []string{iothub.FilterDesired}) {
			t.Errorf("kept %q, %v", got, err)
		}
	})
	t.Run("does not pass on to another device of that name", func(t *testing.T) {
		w := start(t)
		w.mustCall(http.MethodDelete, "/devices/d1", "", "If-Match", "*")
		w.device("d1")
		if _, present := w.online(w.deviceConnect("d1")); present {
			t.Error("an identity made anew has a session")
		}
	})
}
