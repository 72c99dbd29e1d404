package devicesim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// wire is the connection that paho is given. It bounds every write in time and
// reads along in both directions, so that the trace holds what really crossed
// the network and nothing else.
type wire struct {
	net.Conn
	timeout time.Duration
	tracer  *tracer

	mu             sync.Mutex // paho's keep-alive writes beside its sender
	sent, received packetReader
	during         string // the action of what is being written
}

func newWire(conn net.Conn, timeout time.Duration, t *tracer) *wire {
	w := &wire{Conn: conn, timeout: timeout, tracer: t}
	if t.feed != nil {
		w.sent.show = func(p packets.ControlPacket) { t.record(p, true, w.during) }
		w.received.show = func(p packets.ControlPacket) { t.record(p, false, t.current()) }
	}
	return w
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	// The answer may be here, and the action over, before Write returns.
	w.during = w.tracer.current()
	n, err := w.Conn.Write(b)
	w.sent.read(b[:n])
	return n, err
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.received.read(b[:n])
	return n, err
}

// packetReader finds the packets in one direction of a connection, however the
// bytes are cut.
type packetReader struct {
	show    func(packets.ControlPacket) // nil: nobody looks
	pending []byte
}

func (r *packetReader) read(b []byte) {
	if r.show == nil {
		return
	}
	r.pending = append(r.pending, b...)
	for {
		n := packetLength(r.pending)
		if n == 0 || n > len(r.pending) {
			break
		}
		if p, err := packets.ReadPacket(bytes.NewReader(r.pending[:n])); err == nil {
			r.show(p)
		}
		r.pending = r.pending[n:]
	}
	if len(r.pending) == 0 {
		r.pending = nil // a device that waits should hold no buffer
	}
}

// packetLength is the length of the packet that b begins with, or 0 while its
// fixed header is not complete. (MQTT 3.1.1 §2.2: a type byte, then the
// remaining length in at most four bytes of seven bits, least first.)
func packetLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	rest, n := binary.Uvarint(b[1:min(len(b), 5)])
	if n <= 0 {
		return 0
	}
	return 1 + n + int(rest)
}

// tracer writes the packets of one device to the wire trace.
type tracer struct {
	feed     *feed.Feed[iothub.WireEntry] // nil: no trace
	now      func() time.Time
	deviceID string
	action   atomic.Pointer[string]
}

// during marks the packets from now on as part of an action; "" ends that.
func (t *tracer) during(action string) { t.action.Store(&action) }

func (t *tracer) current() string {
	if action := t.action.Load(); action != nil {
		return *action
	}
	return ""
}

func (t *tracer) record(p packets.ControlPacket, outgoing bool, action string) {
	e := iothub.WireEntry{Protocol: "MQTT", DeviceID: t.deviceID, Outgoing: outgoing}
	if !describe(p, &e) {
		return
	}
	e.Time = t.now()
	if !isDesiredPatch(e) {
		e.Action = action
	}
	t.feed.Publish(e)
}

// isDesiredPatch singles out what the device did not ask for: it belongs to no
// action of the device.
func isDesiredPatch(e iothub.WireEntry) bool {
	topic, err := iothub.ParseReceived(e.Topic)
	return err == nil && !e.Outgoing && topic.Kind == iothub.TopicDesired
}

// describe fills in what a packet says. Keep-alive pings are left out: they
// tell nothing and would push everything else out of the ring.
func describe(p packets.ControlPacket, e *iothub.WireEntry) bool {
	switch p := p.(type) {
	case *packets.ConnectPacket:
		e.Packet = "CONNECT"
		e.Payload = fmt.Sprintf("client id: %s\nuser name: %s\npassword: %s\nclean session: %t\nkeep-alive: %d s\nprotocol: %s level %d",
			p.ClientIdentifier, p.Username, iothub.MaskSecrets(string(p.Password)), p.CleanSession, p.Keepalive, p.ProtocolName, p.ProtocolVersion)
	case *packets.ConnackPacket:
		e.Packet = "CONNACK"
		e.Payload = fmt.Sprintf("return code: %d (%s)\nsession present: %t", p.ReturnCode, packets.ConnackReturnCodes[p.ReturnCode], p.SessionPresent)
	case *packets.SubscribePacket:
		e.Packet, e.Topic = "SUBSCRIBE", strings.Join(p.Topics, "\n")
		if len(p.Qoss) > 0 {
			e.QoS = p.Qoss[0]
		}
		e.Payload = fmt.Sprintf("packet id: %d", p.MessageID)
	case *packets.SubackPacket:
		e.Packet = "SUBACK"
		e.Payload = fmt.Sprintf("packet id: %d\ngranted QoS: %d", p.MessageID, p.ReturnCodes)
	case *packets.PublishPacket:
		e.Packet, e.Topic, e.Payload, e.QoS = "PUBLISH", p.TopicName, string(p.Payload), p.Qos
	case *packets.PubackPacket:
		e.Packet = "PUBACK"
		e.Payload = fmt.Sprintf("packet id: %d", p.MessageID)
	case *packets.DisconnectPacket:
		e.Packet = "DISCONNECT"
	default:
		return false
	}
	return true
}
