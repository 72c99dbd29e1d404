package localhub

import (
	"context"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// Return codes of CONNACK (MQTT 3.1.1). IoT Hub's documentation does not say
// which it uses when; 5 for everything about identity is what its SDKs take for
// "do not try again", and our choice.
const (
	connackVersion       byte = 1
	connackUnavailable   byte = 3
	connackNotAuthorized byte = 5
)

// maxKeepAlive is the longest keep-alive in seconds: the service waits 1767 s,
// one and a half times this. 0, "none" in MQTT, means the longest, our choice.
const maxKeepAlive = 1177

// refusedError is why a CONNECT is not accepted. Code 0 ends the connection
// without a CONNACK, as MQTT has it for packets against its rules.
type refusedError struct {
	code byte
	err  error
}

func (r *refusedError) Error() string { return r.err.Error() }
func (r *refusedError) Unwrap() error { return r.err }

func refuse(code byte, format string, args ...any) error {
	return &refusedError{code, fmt.Errorf(format, args...)}
}

// connect decides about a CONNECT. What it lets through is a packet mochi has
// no more questions about.
func (s *mqttServer) connect(cl *mqtt.Client, c *deviceConn, pk packets.Packet) (packets.Packet, error) {
	err := s.admit(cl, c, &pk)
	if err == nil {
		return pk, nil
	}
	refusal := &refusedError{connackNotAuthorized, err}
	_ = errors.As(err, &refusal)
	s.hub.log.Info("device connection refused", "client_id", pk.Connect.ClientIdentifier,
		"remote", c.RemoteAddr().String(), "connack", refusal.code, "reason", err.Error())
	if refusal.code != 0 {
		_ = cl.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connack}, ReasonCode: refusal.code})
	}
	return pk, packets.ErrRejectPacket
}

func (s *mqttServer) admit(cl *mqtt.Client, c *deviceConn, pk *packets.Packet) error {
	user, err := readConnect(c, pk)
	if err != nil {
		return err
	}
	if err := s.hub.throttle.take(iothub.ThrottleConnections, 1); err != nil {
		return &refusedError{0, err} // the service just closes
	}
	key := twinKey{user.DeviceID, user.ModuleID}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	expiry, err := s.hub.authorizeDevice(ctx, key, string(pk.Connect.Password))
	if err != nil {
		return unlessRefusal(err)
	}
	will, err := readWill(pk, key)
	if err != nil {
		return err
	}
	session := newSession(s, c, cl, user)
	session.will, session.clean = will, pk.Connect.Clean
	if err := session.resume(ctx); err != nil {
		return unlessRefusal(err)
	}
	// Without a deadline: a connection the registry takes in must be known here.
	if err := s.hub.registry.connect(context.Background(), key, user.ModelID, session); err != nil {
		return unlessRefusal(err)
	}
	c.session = session
	session.expireAt(expiry)
	if err := session.discard(); err != nil {
		return unlessRefusal(err)
	}
	settle(pk, key, s.nextNumber())
	return nil
}

// readConnect checks what a CONNECT says about itself before anything it
// claims.
func readConnect(c *deviceConn, pk *packets.Packet) (iothub.UserName, error) {
	if c.session != nil {
		return iothub.UserName{}, refuse(0, "sent a second CONNECT")
	}
	if string(pk.Connect.ProtocolName) != "MQTT" || pk.ProtocolVersion != 4 {
		return iothub.UserName{}, refuse(connackVersion, "speaks %s level %d; only MQTT 3.1.1 is offered",
			pk.Connect.ProtocolName, pk.ProtocolVersion)
	}
	if pk.ReservedBit != 0 {
		return iothub.UserName{}, refuse(0, "set the reserved flag")
	}
	user, err := iothub.ParseUserName(string(pk.Connect.Username))
	if err != nil {
		return user, refuse(connackNotAuthorized, "user name %q: %w", pk.Connect.Username, err)
	}
	id := user.DeviceID
	if user.ModuleID != "" {
		id += "/" + user.ModuleID
	}
	if pk.Connect.ClientIdentifier != id {
		return user, refuse(connackNotAuthorized, "client id %q does not match the user name's %q", pk.Connect.ClientIdentifier, id)
	}
	return user, nil
}

// unlessRefusal tells what the client cannot help, and may try again, from what
// it can.
func unlessRefusal(err error) error {
	var refused *iothub.Error
	if errors.As(err, &refused) && refused.Status < 500 {
		return &refusedError{connackNotAuthorized, err}
	}
	return &refusedError{connackUnavailable, err}
}

// will is what a device leaves to be sent as telemetry if its connection ends
// without DISCONNECT.
type will struct {
	bag     string
	payload []byte
}

func readWill(pk *packets.Packet, key twinKey) (*will, error) {
	if !pk.Connect.WillFlag {
		return nil, nil
	}
	t, err := iothub.ParsePublish(pk.Connect.WillTopic, key.DeviceID, key.ModuleID)
	if err != nil || t.Kind != iothub.TopicTelemetry {
		return nil, refuse(connackNotAuthorized, "will topic %q is not the telemetry topic", pk.Connect.WillTopic)
	}
	return &will{withProperty(t.Bag, true, "iothub-MessageType=Will"), pk.Connect.WillPayload}, nil
}

// settle rewrites an accepted CONNECT for mochi: no session, no will and no
// take-over of its own (it would send the older connection a DISCONNECT, which
// MQTT 3.1.1 does not know), and no password to remember.
func settle(pk *packets.Packet, key twinKey, number uint64) {
	keepAlive := pk.Connect.Keepalive
	if keepAlive == 0 || keepAlive > maxKeepAlive {
		keepAlive = maxKeepAlive
	}
	pk.Connect = packets.ConnectParams{
		ProtocolName:     pk.Connect.ProtocolName,
		ClientIdentifier: fmt.Sprintf("%s/%s#%d", key.DeviceID, key.ModuleID, number),
		Keepalive:        keepAlive,
		Clean:            true,
	}
}

// expireAt ends the connection with its token, as the service does.
func (s *deviceSession) expireAt(expiry time.Time) {
	s.expiry = time.AfterFunc(expiry.Sub(s.server.hub.now()), func() { s.end("its token expired") })
}
