package localhub

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

func clientTLS(h *Hub) *tls.Config {
	return &tls.Config{RootCAs: h.RootCAs(), ServerName: "localhost", Time: h.now}
}

// thing is the device's end of a connection: raw MQTT packets over TLS.
type thing struct {
	*testing.T
	conn net.Conn
	r    *bufio.Reader
	// patience is how long read waits for a packet, 0 for 10 seconds.
	patience time.Duration
}

func (w *wire) dial() *thing {
	w.Helper()
	if w.socket {
		conn, err := w.webSocket("/$iothub/websocket", subProtocol)
		if err != nil {
			w.Fatal(err)
		}
		return newThing(w.T, conn)
	}
	return w.dialWith(clientTLS(w.hub))
}

func (w *wire) dialWith(config *tls.Config) *thing {
	w.Helper()
	conn, err := tls.Dial("tcp", w.hub.MQTTAddr(), config)
	if err != nil {
		w.Fatal(err)
	}
	return newThing(w.T, conn)
}

func newThing(t *testing.T, conn net.Conn) *thing {
	t.Cleanup(func() { conn.Close() })
	return &thing{T: t, conn: conn, r: bufio.NewReader(conn)}
}

// connect is a CONNECT as a test wants it.
type connect struct {
	protocol, id, user, password string
	level, flags                 byte
	keepAlive                    uint16
	properties                   []byte // of MQTT 5
	will                         []byte // will topic and message, encoded
}

// deviceConnect is a correct CONNECT of a device, as both SDKs send it: user
// name and password, CleanSession 0.
func (w *wire) deviceConnect(id string) connect {
	w.Helper()
	d, err := w.hub.registry.device(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return connect{
		protocol: "MQTT", level: 4, flags: 0xc0, keepAlive: 60, id: id,
		user:     "localhost/" + id + "/?api-version=2021-04-12",
		password: w.devicePassword(id, d.Authentication.SymmetricKey.Primary, w.hub.now().Add(time.Hour)),
	}
}

func (w *wire) devicePassword(id, key string, expiry time.Time) string {
	w.Helper()
	token, err := iothub.Sign("localhost/devices/"+id, key, "", expiry)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

func field(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func (c connect) bytes() []byte {
	b := append(field(c.protocol), c.level, c.flags)
	b = binary.BigEndian.AppendUint16(b, c.keepAlive)
	b = append(b, c.properties...)
	b = append(b, field(c.id)...)
	b = append(b, c.will...)
	if c.flags&0x80 != 0 {
		b = append(b, field(c.user)...)
	}
	if c.flags&0x40 != 0 {
		b = append(b, field(c.password)...)
	}
	return frame(0x10, b)
}

// frame puts the fixed header before a packet.
func frame(first byte, body []byte) []byte {
	out := []byte{first}
	n := len(body)
	for {
		digit := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			digit |= 0x80
		}
		out = append(out, digit)
		if n == 0 {
			return append(out, body...)
		}
	}
}

func publish(qos byte, id uint16, topic string, payload []byte) []byte {
	b := field(topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return frame(0x30|qos<<1, append(b, payload...))
}

func subscribe(id uint16, qos byte, filters ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, f := range filters {
		b = append(append(b, field(f)...), qos)
	}
	return frame(0x82, b)
}

func (d *thing) send(b []byte) {
	d.Helper()
	if err := d.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		d.Fatal(err)
	}
	if _, err := d.conn.Write(b); err != nil {
		d.Fatal(err)
	}
}

// read returns the next packet.
func (d *thing) read() (packets.Packet, error) {
	var pk packets.Packet
	if err := d.conn.SetReadDeadline(time.Now().Add(cmp.Or(d.patience, 10*time.Second))); err != nil {
		return pk, err
	}
	first, err := d.r.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	if pk.FixedHeader.Remaining, _, err = packets.DecodeLength(d.r); err != nil {
		return pk, err
	}
	body := make([]byte, pk.FixedHeader.Remaining)
	if _, err := io.ReadFull(d.r, body); err != nil {
		return pk, err
	}
	pk.ProtocolVersion = 4
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Unsuback:
		err = pk.UnsubackDecode(body)
	}
	return pk, err
}

func (d *thing) next(kind byte) packets.Packet {
	d.Helper()
	pk, err := d.read()
	if err != nil {
		d.Fatalf("waiting for %s: %v", packets.PacketNames[kind], err)
	}
	if pk.FixedHeader.Type != kind {
		d.Fatalf("got %s %s %s instead of %s", packets.PacketNames[pk.FixedHeader.Type], pk.TopicName, pk.Payload, packets.PacketNames[kind])
	}
	return pk
}

// message reads the next PUBLISH and checks its topic.
func (d *thing) message(topic string) string {
	d.Helper()
	pk := d.next(packets.Publish)
	if pk.TopicName != topic || pk.FixedHeader.Qos != 0 {
		d.Fatalf("got %s at QoS %d with %s instead of %s", pk.TopicName, pk.FixedHeader.Qos, pk.Payload, topic)
	}
	return string(pk.Payload)
}

// ended checks that the hub drops the connection, saying nothing before.
func (d *thing) ended() {
	d.Helper()
	pk, err := d.read()
	var late net.Error
	switch {
	case err == nil:
		d.Fatalf("got %s %s instead of the end", packets.PacketNames[pk.FixedHeader.Type], pk.TopicName)
	case errors.As(err, &late) && late.Timeout():
		d.Fatal("the connection did not end")
	}
}

// silent checks that nothing else has arrived: a ping is answered next.
func (d *thing) silent() {
	d.Helper()
	d.send([]byte{0xc0, 0x00})
	d.next(packets.Pingresp)
}

// online connects a device and returns it with what CONNACK said.
func (w *wire) online(c connect) (d *thing, sessionPresent bool) {
	w.Helper()
	d = w.dial()
	d.send(c.bytes())
	ack := d.next(packets.Connack)
	if ack.ReasonCode != 0 {
		w.Fatalf("CONNACK %d", ack.ReasonCode)
	}
	return d, ack.SessionPresent
}

// listening connects a device that has subscribed to desired patches.
func (w *wire) listening(id string) *thing {
	w.Helper()
	d, _ := w.online(w.deviceConnect(id))
	d.send(subscribe(1, 0, iothub.FilterDesired))
	d.next(packets.Suback)
	return d
}

// sameJSON compares two JSON objects by meaning.
func (d *thing) sameJSON(got, want string) {
	d.Helper()
	g, err := iothub.ParseDocument([]byte(got))
	if err != nil {
		d.Fatalf("%q: %v", got, err)
	}
	w, err := iothub.ParseDocument([]byte(want))
	if err != nil {
		d.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) { // numbers by their text: 1.0 stays 1.0
		d.Errorf("got %s\nwant %s", got, want)
	}
}

// startsWith compares with bytes written in hexadecimal.
func startsWith(b []byte, hexText string) bool {
	want, err := hex.DecodeString(strings.ReplaceAll(hexText, " ", ""))
	return err == nil && bytes.HasPrefix(b, want)
}
