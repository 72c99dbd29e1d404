package localhub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

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

// maxPatience is the longest the service lets a device be silent (IoT Hub
// documentation: communicate using MQTT).
const maxPatience = 1767 * time.Second

// patienceFor is how long a device with this keep-alive, in seconds, may be
// silent: MQTT's one and a half times. 0, "none" in MQTT, means the longest,
// which is a choice.
func patienceFor(keepAlive uint16) time.Duration {
	if keepAlive == 0 {
		return maxPatience
	}
	return min(time.Duration(keepAlive)*time.Second*3/2, maxPatience)
}

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
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
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
	c.session, c.patience = session, patienceFor(pk.Connect.Keepalive)
	known(c.raw)
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
	if err := checkFields(pk); err != nil {
		return iothub.UserName{}, &refusedError{0, err}
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

// checkFields checks what MQTT 3.1.1 (3.1.2, 3.1.3) has the server end a
// connection for and mochi does not look at. That a will at QoS 2 does so too,
// like a message at QoS 2, is a choice.
func checkFields(pk *packets.Packet) error {
	c := &pk.Connect
	switch {
	case pk.ReservedBit != 0:
		return errors.New("set the reserved flag")
	case !c.WillFlag && (c.WillQos != 0 || c.WillRetain):
		return errors.New("set flags of a will and sent none")
	case c.WillQos > 1:
		return fmt.Errorf("left a will with QoS %d", c.WillQos)
	case c.PasswordFlag && !c.UsernameFlag:
		return errors.New("sent a password without a user name")
	case !utf8.Valid(c.Username) || bytes.IndexByte(c.Username, 0) >= 0:
		return errors.New("sent a user name that is not UTF-8 text")
	case pk.FixedHeader.Remaining != connectLength(c):
		return errors.New("sent more in CONNECT than its flags announce")
	}
	return nil
}

// connectLength is how long a CONNECT with these fields is, without its fixed
// header.
func connectLength(c *packets.ConnectParams) int {
	n := 2 + len(c.ProtocolName) + 1 + 1 + 2 + 2 + len(c.ClientIdentifier)
	if c.WillFlag {
		n += 2 + len(c.WillTopic) + 2 + len(c.WillPayload)
	}
	if c.UsernameFlag {
		n += 2 + len(c.Username)
	}
	if c.PasswordFlag {
		n += 2 + len(c.Password)
	}
	return n
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
	bag := telemetryBag(t.Bag, pk.Connect.WillRetain)
	return &will{withProperty(bag, true, "iothub-MessageType=Will"), pk.Connect.WillPayload}, nil
}

// settle rewrites an accepted CONNECT for mochi: no session, no will and no
// take-over of its own (it would send the older connection a DISCONNECT, which
// MQTT 3.1.1 does not know), and no password to remember.
func settle(pk *packets.Packet, key twinKey, number uint64) {
	pk.Connect = packets.ConnectParams{
		ProtocolName:     pk.Connect.ProtocolName,
		ClientIdentifier: fmt.Sprintf("%s/%s#%d", key.DeviceID, key.ModuleID, number),
		Clean:            true,
	}
}

// expireAt ends the connection with its token, as the service does.
func (s *deviceSession) expireAt(expiry time.Time) {
	s.expiry = time.AfterFunc(expiry.Sub(s.server.hub.now()), func() { s.end("its token expired") })
}
