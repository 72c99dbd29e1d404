package localhub

import (
	"fmt"
	"slices"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// mqttHook is where mochi asks what to do with each packet.
type mqttHook struct {
	mqtt.HookBase
	server *mqttServer
}

func (h *mqttHook) ID() string { return "iothub" }

func (h *mqttHook) Provides(b byte) bool {
	return slices.Contains([]byte{
		mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck,
		mqtt.OnSessionEstablished, mqtt.OnPublish, mqtt.OnPublished,
	}, b)
}

// OnPacketRead sees every packet before mochi does. ErrRejectPacket ends the
// connection, which is how IoT Hub answers everything it does not like.
func (h *mqttHook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	c := cl.Net.Conn.(*deviceConn)
	if pk.FixedHeader.Type == packets.Connect {
		return h.server.connect(cl, c, pk)
	}
	if c.session == nil {
		return pk, packets.ErrRejectPacket
	}
	if err := c.session.check(pk); err != nil {
		c.session.end(err.Error())
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// OnConnectAuthenticate has nothing left to ask: connect has.
func (h *mqttHook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnACLCheck has nothing left to ask: check has.
func (h *mqttHook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnPacketEncode tells a device in CONNACK that its subscriptions are kept.
func (h *mqttHook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if c := cl.Net.Conn.(*deviceConn); pk.FixedHeader.Type == packets.Connack && c.session != nil {
		pk.SessionPresent = c.session.resumed
	}
	return pk
}

// OnSessionEstablished comes after CONNACK: nothing may be sent before it.
func (h *mqttHook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	cl.Net.Conn.(*deviceConn).session.open()
}

// OnPublish keeps messages away from mochi's topics.
func (h *mqttHook) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	return pk, packets.CodeSuccessIgnore
}

// OnPublished comes after PUBACK.
func (h *mqttHook) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	cl.Net.Conn.(*deviceConn).session.published(pk)
}

// check takes a packet in or says why it ends the connection.
func (s *deviceSession) check(pk packets.Packet) error {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		return s.checkPublish(pk)
	case packets.Subscribe:
		return s.checkSubscribe(pk)
	case packets.Unsubscribe:
		return s.unsubscribe(pk)
	case packets.Disconnect, packets.Pingreq:
		if pk.FixedHeader.Remaining > 0 {
			return fmt.Errorf("sent %d bytes in a %s packet", pk.FixedHeader.Remaining, packets.PacketNames[pk.FixedHeader.Type])
		}
		if pk.FixedHeader.Type == packets.Disconnect {
			s.will = nil
		}
	case packets.Puback:
	default:
		return fmt.Errorf("sent a %s packet", packets.PacketNames[pk.FixedHeader.Type])
	}
	return nil
}

// checkPublish reads the topic. The documentation says that QoS 2 ends the
// connection.
func (s *deviceSession) checkPublish(pk packets.Packet) error {
	if pk.FixedHeader.Qos > 1 {
		return fmt.Errorf("published with QoS %d", pk.FixedHeader.Qos)
	}
	t, err := iothub.ParsePublish(pk.TopicName, s.key.DeviceID, s.key.ModuleID)
	if err != nil {
		return err
	}
	if t.Kind == iothub.TopicTelemetry && len(pk.Payload) > iothub.MaxTelemetryBytes {
		return fmt.Errorf("published %d bytes of telemetry; %d are allowed", len(pk.Payload), iothub.MaxTelemetryBytes)
	}
	if t.Kind == iothub.TopicTelemetry {
		if err := s.awaitTurn(iothub.ThrottleTelemetry); err != nil {
			return err // MQTT has no way to say it: the connection ends
		}
	}
	s.topic = t
	return nil
}

// published hands what a device published to the registry. The topic is the one
// checkPublish has read: mochi handles one packet of a connection at a time.
func (s *deviceSession) published(pk packets.Packet) {
	r, t := s.server.hub.registry, s.topic
	switch t.Kind {
	case iothub.TopicTwinGet:
		if err := s.awaitTurn(iothub.ThrottleTwinReads); err != nil {
			s.answerError(t.RequestID, err)
			return
		}
		s.takeTurn()
		r.readTwin(s.key, s, t.RequestID)
	case iothub.TopicReported:
		s.patchReported(t, pk.Payload)
	case iothub.TopicTelemetry:
		r.telemetry(s.key, telemetryBag(t.Bag, pk.FixedHeader.Retain), pk.Payload)
	case iothub.TopicMethodResult:
		r.calls.answered(s.key, t.RequestID, methodAnswer{t.Status, pk.Payload})
	}
}

func (s *deviceSession) patchReported(t iothub.Topic, patch []byte) {
	if s.apiVersion == "" {
		// Devices that leave it out connect, but this is what they meet.
		s.answerError(t.RequestID, iothub.ErrInvalidVersion.With("the user name lacks api-version"))
		return
	}
	if err := s.awaitTurn(iothub.ThrottleTwinUpdates); err != nil {
		s.answerError(t.RequestID, err)
		return
	}
	var base *int64
	if t.HasVersion {
		base = &t.Version
	}
	s.takeTurn()
	s.server.hub.registry.patchReported(s.key, s, t.RequestID, patch, base)
}

// telemetryBag adds what IoT Hub adds to a message with the retain flag, which
// it does not keep. The property's value is our choice.
func telemetryBag(bag string, retain bool) string {
	return withProperty(bag, retain, "mqtt-retain=true")
}

func withProperty(bag string, wanted bool, property string) string {
	switch {
	case !wanted:
		return bag
	case bag == "":
		return property
	}
	return bag + "&" + property
}
