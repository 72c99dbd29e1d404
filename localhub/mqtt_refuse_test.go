package localhub

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

func TestConnectRefusals(t *testing.T) {
	w := startWire(t)
	d1, d2 := w.device("d1"), w.device("d2")
	w.device("off")
	w.mustCall(http.MethodPut, "/devices/off", `{"status":"disabled"}`, "If-Match", "*")
	hour := time.Now().Add(time.Hour)
	policy := func(name, resource string) string {
		token, err := iothub.Sign(resource, w.hub.policies[name].Secondary, name, hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	own := d1.Authentication.SymmetricKey
	w.connects([]attempt{
		{"as it should be", 0, func(*connect) {}},
		{"secondary key", 0, func(c *connect) { c.password = w.devicePassword("d1", own.Secondary, hour) }},
		{"another host in the user name", 0, func(c *connect) { c.user = "localhost:8443/d1/?api-version=2021-04-12" }},
		{"a hub of another name behind a gateway", 0, func(c *connect) {
			c.user = "x/d1/?api-version=2021-04-12"
			c.password = signed(t, "x/devices/d1", own.Primary, hour)
		}},
		{"another device on a hub of another name", 5, func(c *connect) { c.password = signed(t, "x/devices/d2", own.Primary, hour) }},
		{"api-version without question mark", 0, func(c *connect) { c.user = "localhost/d1/api-version=2016-11-14" }},
		{"policy device over the hub", 0, func(c *connect) { c.password = policy("device", "localhost") }},
		{"policy iothubowner over the device", 0, func(c *connect) { c.password = policy("iothubowner", "localhost/devices/d1") }},
		{"policy without DeviceConnect", 5, func(c *connect) { c.password = policy("service", "localhost") }},
		{"policy over another device", 5, func(c *connect) { c.password = policy("device", "localhost/devices/d2") }},
		{"client id of another device", 5, func(c *connect) { c.id = "d2" }},
		{"client id in other letters", 5, func(c *connect) { c.id = "D1" }},
		{"no client id", 5, func(c *connect) { c.id = "" }},
		{"user name of another device", 5, func(c *connect) { c.user = "localhost/d2/?api-version=2021-04-12" }},
		{"user name without device", 5, func(c *connect) { c.user = "localhost" }},
		{"no user name", 5, func(c *connect) { c.flags = 0 }},
		{"token of another device", 5, func(c *connect) { c.password = w.devicePassword("d2", d2.Authentication.SymmetricKey.Primary, hour) }},
		{"token signed with another device's key", 5, func(c *connect) { c.password = w.devicePassword("d1", d2.Authentication.SymmetricKey.Primary, hour) }},
		{"token expired", 5, func(c *connect) { c.password = w.devicePassword("d1", own.Primary, time.Now().Add(-time.Minute)) }},
		{"password is no token", 5, func(c *connect) { c.password = "secret" }},
		{"empty password", 5, func(c *connect) { c.password = "" }},
		{"no password", 5, func(c *connect) { c.flags = 0x80 }},
		{"unknown device", 5, func(c *connect) { c.id, c.user = "nobody", "localhost/nobody/?api-version=2021-04-12" }},
		{"disabled device", 5, func(c *connect) { *c = w.deviceConnect("off") }},
		{"module the device does not have", 5, func(c *connect) { c.id, c.user = "d1/m1", "localhost/d1/m1/?api-version=2021-04-12" }},
		{"will on another topic", 5, func(c *connect) { c.flags |= 0x04; c.will = append(field("elsewhere"), field("gone")...) }},
		{"MQTT 5", 1, func(c *connect) { c.level, c.properties = 5, []byte{0} }},
		{"MQTT 3.1", 1, func(c *connect) { c.protocol, c.level = "MQIsdp", 3 }},
		{"MQTT 6", 1, func(c *connect) { c.level = 6 }},
	})
}

// attempt is a CONNECT of d1, changed, and the code of CONNACK it meets.
type attempt struct {
	name   string
	code   byte
	change func(*connect)
}

func (w *wire) connects(attempts []attempt) {
	w.eachTransport(func(w *wire) {
		for _, c := range attempts {
			w.Run(c.name, func(t *testing.T) {
				w := w.in(t)
				hello := w.deviceConnect("d1")
				c.change(&hello)
				d := w.dial()
				d.send(hello.bytes())
				if ack := d.next(packets.Connack); ack.ReasonCode != c.code {
					t.Fatalf("CONNACK %d instead of %d", ack.ReasonCode, c.code)
				}
				if c.code != 0 {
					d.ended()
				}
			})
		}
	})
}

func TestWhatEndsAConnection(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	big := make([]byte, iothub.MaxTelemetryBytes+1)
	w.endedBy(map[string][]byte{
		"a second CONNECT":                  w.deviceConnect("d1").bytes(),
		"QoS 2":                             publish(2, 1, "devices/d1/messages/events/", nil),
		"telemetry of another device":       publish(1, 1, "devices/d2/messages/events/", nil),
		"a topic of its own":                publish(0, 0, "hello", nil),
		"a topic of the hub's":              publish(0, 0, "$iothub/twin/res/200/?$rid=1", nil),
		"a topic of the broker's":           publish(0, 0, "$SYS/broker/version", nil),
		"a twin GET without $rid":           publish(0, 0, "$iothub/twin/GET/", nil),
		"a twin GET with a path":            publish(0, 0, "$iothub/twin/GET/desired?$rid=1", nil),
		"a $rid that no answer could hold":  publish(0, 0, iothub.TwinGetTopic(strings.Repeat("r", 65_512)), nil),
		"a patch of desired":                publish(0, 0, "$iothub/twin/PATCH/properties/desired/?$rid=1", []byte("{}")),
		"$version that is no number":        publish(0, 0, "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x", []byte("{}")),
		"a wildcard in a topic":             publish(0, 0, "devices/d1/messages/events/#", nil),
		"telemetry over 256 KB":             publish(1, 1, "devices/d1/messages/events/", big),
		"a packet over every limit":         frame(0x30, make([]byte, maxPacket+1))[:16],
		"subscribing to everything":         subscribe(1, 0, "#"),
		"subscribing to one patch":          subscribe(1, 0, "$iothub/twin/PATCH/properties/desired/"),
		"subscribing to another's":          subscribe(1, 0, "devices/d2/messages/devicebound/#"),
		"subscribing to telemetry":          subscribe(1, 0, "devices/d1/messages/events/#"),
		"one good filter and a bad one":     subscribe(1, 0, iothub.FilterDesired, "$iothub/#"),
		"more than five filters":            subscribe(1, 0, strings.Fields(strings.Repeat(iothub.FilterDesired+" ", 6))...),
		"subscribing to nothing":            subscribe(1, 0),
		"PUBREL":                            frame(0x62, []byte{0, 1}),
		"CONNACK":                           frame(0x20, []byte{0, 0}),
		"a packet type that does not exist": frame(0xf0, nil),
	})
}

// endedBy sends each of these packets, or what pretends to be one, on a
// connection that is in order until then.
func (w *wire) endedBy(sent map[string][]byte) {
	w.eachTransport(func(w *wire) {
		for name, packet := range sent {
			w.Run(name, func(t *testing.T) {
				w := w.in(t)
				d, _ := w.online(w.deviceConnect("d1"))
				d.send(packet)
				d.ended()
			})
		}
	})
}

// TestAFilterOfAnIDWithAHashEndsTheConnection subscribes to what IoT Hub allows
// and MQTT does not: a # that is not at the end.
func TestAFilterOfAnIDWithAHashEndsTheConnection(t *testing.T) {
	w := startWire(t)
	w.device("d#1")
	d, _ := w.online(w.deviceConnect("d#1"))
	d.send(subscribe(1, 0, iothub.FilterDesired))
	d.next(packets.Suback)
	d.send(subscribe(2, 0, iothub.FilterMessages("d#1", "")))
	d.ended()
	d, _ = w.online(w.deviceConnect("d#1"))
	d.send(publish(0, 0, iothub.TelemetryTopic("d#1", "", nil), nil))
	d.ended()
	if kept, _, err := w.hub.registry.subscriptionsOf(t.Context(), dev("d#1")); err != nil || !slices.Equal(kept, []string{iothub.FilterDesired}) {
		t.Errorf("kept: %q, %v", kept, err)
	}
}

func TestSubscriptionsAreGranted(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	d, _ := w.online(w.deviceConnect("d1"))
	d.send(subscribe(7, 2, iothub.FilterTwinResponses, iothub.FilterDesired, iothub.FilterMethods, iothub.FilterMessages("d1", "")))
	if ack := d.next(packets.Suback); ack.PacketID != 7 || string(ack.ReasonCodes) != "\x01\x01\x01\x01" {
		t.Errorf("SUBACK %+v", ack)
	}
	d.send(publish(1, 8, "devices/d1/messages/events/", make([]byte, iothub.MaxTelemetryBytes)))
	d.next(packets.Puback)
	d.silent()
}

func TestSecondConnectionDropsTheFirst(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.device("D1")
	other := w.listening("D1")
	first := w.listening("d1")
	second := w.listening("d1")
	first.ended()
	w.desired("d1", iothub.Document{"a": true})
	second.message(iothub.DesiredTopic(2))
	other.silent()
	if n := w.hub.registry.connected(); n != 2 {
		t.Errorf("%d connected", n)
	}
}

func TestDevicesAreCut(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	d := w.listening("d1")
	w.mustCall(http.MethodPut, "/devices/d1", `{"status":"enabled"}`, "If-Match", "*")
	d.silent() // an update alone does not cut
	w.mustCall(http.MethodPut, "/devices/d1", `{"status":"disabled"}`, "If-Match", "*")
	d.ended()
	w.mustCall(http.MethodPut, "/devices/d1", `{"status":"enabled"}`, "If-Match", "*")
	d = w.listening("d1")
	w.mustCall(http.MethodDelete, "/devices/d1", "", "If-Match", "*")
	d.ended()
	w.device("d1")
	if _, present := w.online(w.deviceConnect("d1")); present {
		t.Error("a new device inherits the subscriptions of the old one")
	}
}

// TestTokenExpiry uses a clock that stands shortly before a full second.
func TestTokenExpiry(t *testing.T) {
	start := time.Now()
	full := start.Truncate(time.Second)
	w := startWireAt(t, func() time.Time { return full.Add(700*time.Millisecond + time.Since(start)) })
	d1 := w.device("d1")
	c := w.deviceConnect("d1")
	c.password = w.devicePassword("d1", d1.Authentication.SymmetricKey.Primary, w.hub.now().Truncate(time.Second).Add(2*time.Second))
	d, _ := w.online(c)
	d.silent()
	d.ended()
	d = w.dial()
	d.send(c.bytes())
	if ack := d.next(packets.Connack); ack.ReasonCode != 5 {
		t.Errorf("CONNACK %d with an expired token", ack.ReasonCode)
	}
}

func TestWill(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	_, sub, _ := w.hub.changes.Subscribe(w.hub.changes.Last())
	defer sub.Close()
	c := w.deviceConnect("d1")
	c.flags |= 0x04
	c.will = append(field("devices/d1/messages/events/a=b"), field("gone")...)
	polite, _ := w.online(c)
	polite.send([]byte{0xe0, 0x00})
	polite.ended()
	w.eventually("the end of the polite one", func() bool { return w.hub.registry.connected() == 0 })
	rude, _ := w.online(c)
	rude.conn.Close()
	var told []iothub.Change
	for item := range sub.C() {
		told = append(told, item.Value)
		if item.Value.Kind == iothub.ChangeTelemetry {
			break
		}
	}
	// Two connections and one polite end come before it.
	last := told[len(told)-1]
	if len(told) != 4 || last.Telemetry.Body != "gone" || last.Telemetry.Properties["iothub-MessageType"] != "Will" || last.Telemetry.Properties["a"] != "b" {
		t.Errorf("%d changes, last %+v", len(told), last.Telemetry)
	}
}

func TestKeepAlive(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	c := w.deviceConnect("d1")
	c.keepAlive = 1
	d, _ := w.online(c)
	start := time.Now()
	d.ended()
	if waited := time.Since(start); waited < 1400*time.Millisecond || waited > 8*time.Second {
		t.Errorf("ended after %v", waited)
	}
	for _, k := range []struct {
		sent uint16
		used time.Duration
	}{
		{0, 1767 * time.Second},
		{1, 1500 * time.Millisecond},
		{60, 90 * time.Second},
		{1177, 1765500 * time.Millisecond},
		{1178, 1767 * time.Second},
		{65535, 1767 * time.Second},
	} {
		if got := patienceFor(k.sent); got != k.used {
			t.Errorf("keep-alive %d lets a device be silent for %v", k.sent, got)
		}
	}
}

func signed(t *testing.T, resource, key string, expiry time.Time) string {
	t.Helper()
	token, err := iothub.Sign(resource, key, "", expiry)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
