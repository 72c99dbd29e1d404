package localhub

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// TestConnectOfEverySDK holds the forms of user name that SDKs of all
// generations send.
func TestConnectOfEverySDK(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	user := func(s string) func(*connect) { return func(c *connect) { c.user = s } }
	w.connects([]attempt{
		{"Node", 0, user("localhost/d1/?api-version=2021-04-12&DeviceClientType=azure-iot-device%2F1.18.4%20(node%20v20.20.2%3B%20Debian%2012%3B%20x64)")},
		{"Node with a port in HostName", 0, user("localhost:8883/d1/?api-version=2021-04-12&DeviceClientType=x")},
		{"Python", 0, user("localhost/d1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%283.11.2%3BLinux%29")},
		{"Python with a model", 0, user("localhost/d1/?api-version=2020-09-30&DeviceClientType=x&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1")},
		{"C and C#", 0, user("localhost/d1/?api-version=2020-09-30&DeviceClientType=iothubclient%2F1.11.0%20(native%3B%20Linux)")},
		{"the parameters in another order", 0, user("localhost/d1/?DeviceClientType=x&api-version=2021-04-12")},
		{"a parameter nobody knows", 0, user("localhost/d1/?api-version=2021-04-12&color=red")},
		{"a version that will come", 0, user("localhost/d1/?api-version=2031-01-01-preview")},
		{"of 2016, without question mark", 0, user("localhost/d1/api-version=2016-11-14")},
		{"without parameters", 0, user("localhost/d1/")},
		{"without parameters and slash", 0, user("localhost/d1")},
		{"the name of a hub behind a gateway", 0, user("name.azure-devices.net/d1/?api-version=2021-04-12")},
		{"the host in other letters", 0, user("LOCALHOST/d1/?api-version=2021-04-12")},
		{"parameters right behind the id", 5, user("localhost/d1?api-version=2021-04-12")},
		{"a module", 5, user("localhost/d1/m1/?api-version=2021-04-12")},
		{"more than a module", 5, user("localhost/d1/m1/x/?api-version=2021-04-12")},
		{"no host", 5, user("/d1/?api-version=2021-04-12")},
		{"an id that is encoded", 5, user("localhost/%641/?api-version=2021-04-12")},
		{"nothing", 5, user("")},
		{"level 3 under the new name", 1, func(c *connect) { c.level = 3 }},
		{"level 0", 1, func(c *connect) { c.level = 0 }},
		{"a bridge", 1, func(c *connect) { c.level = 0x84 }},
		{"the name in other letters", 1, func(c *connect) { c.protocol = "mqtt" }},
		{"no name", 1, func(c *connect) { c.protocol = "" }},
		{"the longest keep-alive", 0, func(c *connect) { c.keepAlive = 65535 }},
		{"no keep-alive", 0, func(c *connect) { c.keepAlive = 0 }},
	})
	if model := w.modelOf("d1"); model != "dtmi:com:example:Thermostat;1" {
		t.Errorf("the model is %q", model)
	}
}

func (w *wire) modelOf(id string) string {
	w.Helper()
	var twin iothub.Twin
	w.mustCall(http.MethodGet, "/twins/"+id, "").decode(w.T, &twin)
	return twin.ModelID
}

// TestModulesAreToldFromDevices crosses client ids and user names of a device
// and its module.
func TestModulesAreToldFromDevices(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.module("d1", "m1")
	module, device := w.moduleConnect("d1", "m1"), w.deviceConnect("d1")
	is := func(id, user, password connect) func(*connect) {
		return func(c *connect) { c.id, c.user, c.password = id.id, user.user, password.password }
	}
	w.connects([]attempt{
		{"a module", 0, is(module, module, module)},
		{"its client id with the device's user name", 5, is(module, device, device)},
		{"its user name with the device's client id", 5, is(device, module, module)},
		{"its token for the device", 5, is(device, device, module)},
		{"the device's token", 5, is(module, module, device)},
		{"in other letters", 5, func(c *connect) { *c = module; c.id = "d1/M1" }},
		{"a slash at the end", 5, func(c *connect) { *c = module; c.id = "d1/m1/" }},
	})
}

// TestMalformedConnect sends what MQTT wants no CONNACK for.
func TestMalformedConnect(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	good := w.deviceConnect("d1")
	changed := func(change func(*connect)) []byte {
		c := good
		change(&c)
		return c.bytes()
	}
	will := func(flags byte) []byte {
		return changed(func(c *connect) {
			c.flags |= flags
			c.will = append(field("devices/d1/messages/events/"), field("gone")...)
		})
	}
	first := map[string][]byte{
		"the reserved flag of CONNECT":       changed(func(c *connect) { c.flags |= 0x01 }),
		"QoS of a will, but no will":         changed(func(c *connect) { c.flags |= 0x08 }),
		"a will to retain, but no will":      changed(func(c *connect) { c.flags |= 0x20 }),
		"a will at QoS 2":                    will(0x04 | 0x10),
		"a will at QoS 3":                    will(0x04 | 0x18),
		"a will on a topic that is not text": changed(func(c *connect) { c.flags |= 0x04; c.will = append(field("\xff"), field("gone")...) }),
		"a password without user name":       changed(func(c *connect) { c.flags = 0x40 }),
		"a user name that is not text":       changed(func(c *connect) { c.user += "\xff" }),
		"a zero in the user name":            changed(func(c *connect) { c.user += "\x00" }),
		"a client id that is not text":       changed(func(c *connect) { c.id += "\xc3" }),
		"bytes behind the last field":        frame(0x10, append(withoutHeader(good), 0)),
		"flags in the header":                append([]byte{0x11}, good.bytes()[1:]...),
		"an empty CONNECT":                   {0x10, 0},
		"a length of five bytes":             {0x10, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a length that does not end":         append([]byte{0x10}, bytes.Repeat([]byte{0x80}, 64)...),
		"a CONNECT larger than any":          frame(0x10, make([]byte, maxConnectPacket+1))[:16],
		"PUBLISH first":                      publish(0, 0, "devices/d1/messages/events/", nil),
		"SUBSCRIBE first":                    subscribe(1, 0, iothub.FilterDesired),
		"PINGREQ first":                      {0xc0, 0},
		"DISCONNECT first":                   {0xe0, 0},
		"no MQTT at all":                     []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	}
	w.eachTransport(func(w *wire) {
		for name, sent := range first {
			w.Run(name, func(t *testing.T) {
				d := w.in(t).dial()
				d.send(sent)
				d.ended()
			})
		}
	})
}

// withoutHeader is a CONNECT without its fixed header, which takes two or three bytes.
func withoutHeader(c connect) []byte {
	b := c.bytes()
	return b[2+b[1]>>7:]
}

// TestTruncatedConnect cuts a CONNECT at every length: none of them connects.
func TestTruncatedConnect(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	whole := withoutHeader(w.deviceConnect("d1"))
	for n := range len(whole) {
		if n > 80 && n%16 != 0 {
			continue // within the token they are alike
		}
		d := w.dial()
		d.send(frame(0x10, whole[:n]))
		if pk, err := d.read(); err == nil && pk.ReasonCode == 0 {
			t.Errorf("%d of %d bytes connect", n, len(whole))
		}
		d.conn.Close()
	}
	if n := w.hub.registry.connected(); n != 0 {
		t.Errorf("%d connected", n)
	}
}

// TestMalformedPackets sends them on a connection that stands.
func TestMalformedPackets(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	const events = "devices/d1/messages/events/"
	w.endedBy(map[string][]byte{
		"a length of five bytes":           {0x30, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a length that does not end":       append([]byte{0xc0}, bytes.Repeat([]byte{0x80}, 64)...),
		"QoS 3":                            frame(0x36, append(field(events), 0, 1)),
		"a repetition at QoS 0":            frame(0x38, field(events)),
		"QoS 1 without a packet id":        frame(0x32, field(events)),
		"packet id 0":                      publish(1, 0, events, nil),
		"a topic that is not text":         publish(0, 0, events+"\xff", nil),
		"a zero in a topic":                publish(0, 0, events+"\x00", nil),
		"a topic longer than the packet":   frame(0x30, []byte{0xff, 0xff, 'a'}),
		"no topic":                         publish(0, 0, "", nil),
		"SUBSCRIBE without its flags":      append([]byte{0x80}, subscribe(1, 0, iothub.FilterDesired)[1:]...),
		"SUBSCRIBE with packet id 0":       subscribe(0, 0, iothub.FilterDesired),
		"SUBSCRIBE at QoS 3":               subscribe(1, 3, iothub.FilterDesired),
		"SUBSCRIBE with reserved bits":     subscribe(1, 0x80, iothub.FilterDesired),
		"SUBSCRIBE without QoS":            frame(0x82, append([]byte{0, 1}, field(iothub.FilterDesired)...)),
		"a filter that is not text":        subscribe(1, 0, "\xff"),
		"UNSUBSCRIBE from nothing":         frame(0xa2, []byte{0, 1}),
		"UNSUBSCRIBE with packet id 0":     frame(0xa2, append([]byte{0, 0}, field(iothub.FilterDesired)...)),
		"PINGREQ with a body":              {0xc0, 1, 0},
		"DISCONNECT with a body":           {0xe0, 1, 0},
		"PUBACK without a packet id":       {0x40, 0},
		"PUBREC":                           frame(0x50, []byte{0, 1}),
		"PUBCOMP":                          frame(0x70, []byte{0, 1}),
		"SUBACK":                           frame(0x90, []byte{0, 1, 0}),
		"UNSUBACK":                         frame(0xb0, []byte{0, 1}),
		"PINGRESP":                         {0xd0, 0},
		"telemetry of a module":            publish(0, 0, "devices/d1/modules/m1/messages/events/", nil),
		"a topic in other letters":         publish(0, 0, "$IOTHUB/twin/GET/?$rid=1", nil),
		"a method's answer without status": publish(0, 0, "$iothub/methods/res/?$rid=1", nil),
	})
	if got, kept, err := w.hub.registry.subscriptionsOf(t.Context(), dev("d1")); kept || err != nil {
		t.Errorf("a malformed SUBSCRIBE was kept: %q, %v", got, err)
	}
}

// TestPacketsInABurst sends many packets at once, the first ones before the
// answer to CONNECT: all are answered, in order.
func TestPacketsInABurst(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	const burst = 2000
	w.eachTransport(func(w *wire) {
		d := w.dial()
		sent := w.deviceConnect("d1").bytes()
		for i := range uint16(burst) {
			sent = append(sent, publish(1, i+1, "devices/d1/messages/events/", []byte("x"))...)
			repeated := publish(1, i+1, "devices/d1/messages/events/", []byte("x"))
			repeated[0] |= 0x08
			sent = append(sent, repeated...)
		}
		d.send(sent)
		d.next(packets.Connack)
		for i := range uint16(2 * burst) {
			if ack := d.next(packets.Puback); ack.PacketID != i/2+1 {
				w.Fatalf("PUBACK %d as number %d", ack.PacketID, i)
			}
		}
		d.silent()
	})
}

// TestEveryPacketCountsAsALifeSign keeps a connection alive beyond its
// keep-alive with pings and messages, and then falls silent.
func TestEveryPacketCountsAsALifeSign(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	c := w.deviceConnect("d1")
	c.keepAlive = 1
	d, _ := w.online(c)
	tick := time.NewTicker(800 * time.Millisecond)
	defer tick.Stop()
	for i := range 4 {
		<-tick.C
		d.send(publish(1, uint16(i+1), "devices/d1/messages/events/", nil))
		d.next(packets.Puback)
	}
	d.ended()
}

// TestPropertiesOfMessages holds what becomes of a property bag.
func TestPropertiesOfMessages(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	_, sub, _ := w.hub.changes.Subscribe(w.hub.changes.Last())
	defer sub.Close()
	d, _ := w.online(w.deviceConnect("d1"))
	for _, c := range []struct {
		retain byte
		bag    string
		want   map[string]string
	}{
		{0, "", nil},
		{0, "a=1&b=2", map[string]string{"a": "1", "b": "2"}},
		{0, "a=1/", map[string]string{"a": "1"}},
		{0, "?a=1", map[string]string{"a": "1"}},
		{0, "%24.mid=id%201&%24.ct=application%2Fjson&%24.ce=utf-8", map[string]string{"$.mid": "id 1", "$.ct": "application/json", "$.ce": "utf-8"}},
		{0, "$.mid=1", map[string]string{"$.mid": "1"}},
		{0, "flag", map[string]string{"flag": ""}},
		{0, "empty=", map[string]string{"empty": ""}},
		{0, "k%2F%C3%A9=v%261&a%2Bb=c%20d&x==", map[string]string{"k/é": "v&1", "a+b": "c d", "x": "="}},
		{0, "bad=%zz&half=%4", map[string]string{"bad": "%zz", "half": "%4"}},
		{1, "", map[string]string{"mqtt-retain": "true"}},
		{1, "a=1", map[string]string{"a": "1", "mqtt-retain": "true"}},
	} {
		packet := publish(1, 1, "devices/d1/messages/events/"+c.bag, []byte("x"))
		packet[0] |= c.retain
		d.send(packet)
		d.next(packets.Puback)
		got := nextTelemetry(t, sub.C())
		if diff := cmp.Diff(c.want, got.Properties); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.bag, diff)
		}
	}
	d.silent() // nothing is kept and sent back
}

// nextTelemetry skips what else is announced.
func nextTelemetry(t *testing.T, announced <-chan feed.Item[iothub.Change]) *iothub.Telemetry {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case item := <-announced:
			if item.Value.Kind == iothub.ChangeTelemetry {
				return item.Value.Telemetry
			}
		case <-late:
			t.Fatal("no telemetry was announced")
		}
	}
}

// TestWillsAreTelemetry ends connections in every way but DISCONNECT.
func TestWillsAreTelemetry(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	_, sub, _ := w.hub.changes.Subscribe(w.hub.changes.Last())
	defer sub.Close()
	c := w.deviceConnect("d1")
	c.flags |= 0x04 | 0x08 | 0x20
	c.will = append(field("devices/d1/messages/events/a=b"), field("")...)
	for name, end := range map[string]func(*wire, *thing){
		"closed":          func(_ *wire, d *thing) { d.conn.Close() },
		"a wrong packet":  func(_ *wire, d *thing) { d.send(frame(0xf0, nil)) },
		"half a packet":   func(_ *wire, d *thing) { d.send([]byte{0x30, 20, 0}); d.conn.Close() },
		"DISCONNECT with": func(_ *wire, d *thing) { d.send([]byte{0xe0, 1, 0}) },
		"taken over":      func(w *wire, _ *thing) { w.online(w.deviceConnect("d1")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			d, _ := w.online(c)
			end(w, d)
			got := nextTelemetry(t, sub.C())
			want := map[string]string{"a": "b", "iothub-MessageType": "Will", "mqtt-retain": "true"}
			if diff := cmp.Diff(want, got.Properties); diff != "" || got.Body != "" {
				t.Errorf("%q (-want +got):\n%s", got.Body, diff)
			}
		})
	}
}

// TestKeysAreRegenerated gives a device new keys. That a connection made with
// the old ones stays until its token expires is our choice.
func TestKeysAreRegenerated(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	old := w.deviceConnect("d1")
	d := w.listening("d1")
	w.mustCall(http.MethodPut, "/devices/d1", `{"authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}`, "If-Match", "*")
	d.silent()
	refused := w.dial()
	refused.send(old.bytes())
	if ack := refused.next(packets.Connack); ack.ReasonCode != connackNotAuthorized {
		t.Errorf("CONNACK %d for a token of the old key", ack.ReasonCode)
	}
	refused.ended()
	w.online(w.deviceConnect("d1"))
	d.ended() // taken over by the one with the new key
}

// TestPacketsInPieces sends packets byte by byte, over WebSocket in as many
// frames.
func TestPacketsInPieces(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.eachTransport(func(w *wire) {
		d := w.dial()
		for piece := range slices.Chunk(w.deviceConnect("d1").bytes(), 7) {
			d.send(piece)
		}
		d.next(packets.Connack)
		for _, b := range publish(1, 1, iothub.TwinGetTopic("1"), []byte(" ")) {
			d.send([]byte{b})
		}
		d.next(packets.Puback)
		d.message("$iothub/twin/res/200/?$rid=1")
	})
}
