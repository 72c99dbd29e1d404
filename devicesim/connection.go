package devicesim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"twinboard/hubclient/iothub"
)

const (
	// keepAlive is that of Microsoft's Python device SDK.
	keepAlive = time.Minute
	// quiesce is how long a DISCONNECT may take.
	quiesce = 500 * time.Millisecond
	// atLeastOnce is the QoS of Microsoft's Python device SDK, twin requests
	// included.
	atLeastOnce = 1
	// clientType is what the device calls itself in CONNECT.
	clientType = "twinboard"
)

// message is a PUBLISH from the hub.
type message struct {
	topic   string
	payload []byte
}

// connection is one MQTT connection. It is used once: reconnecting takes a
// fresh token, which paho's own reconnecting would not.
type connection struct {
	client  mqtt.Client
	net     net.Conn
	inbox   chan message  // what the hub publishes, in order
	lost    chan error    // why the connection ended, if nobody wanted that
	closed  chan struct{} // closed by close
	renewAt time.Time     // when a connection with a fresh token is due
	forget  func() bool   // takes the stop of the device off this connection
}

// connect dials and is accepted by the hub, or not: a *ConnectError.
func (d *device) connect(ctx context.Context) (*connection, error) {
	select {
	case d.fleet.slots <- struct{}{}:
		defer func() { <-d.fleet.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	conn, err := d.fleet.dial(ctx, d.id, d.at)
	if err != nil {
		return nil, err
	}
	c := &connection{
		net:    newWire(conn, d.fleet.options.Timeout, d.trace),
		inbox:  make(chan message, 8),
		lost:   make(chan error, 1),
		closed: make(chan struct{}),
	}
	options, err := d.connectOptions(c)
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.client = mqtt.NewClient(options)
	// paho's calls do not know contexts: closing the socket ends them. A stop
	// leaves DISCONNECT a moment first.
	c.forget = context.AfterFunc(ctx, func() { time.AfterFunc(quiesce, func() { conn.Close() }) })
	token := c.client.Connect().(*mqtt.ConnectToken)
	<-token.Done() // bounded by the connect time-out
	if err := token.Error(); err != nil {
		c.forget()
		problem := d.problem(connackProblem(token.ReturnCode(), err), err)
		problem.Code = token.ReturnCode()
		return nil, problem
	}
	return c, nil
}

// connectOptions is CONNECT as IoT Hub wants it, with a fresh token.
func (d *device) connectOptions(c *connection) (*mqtt.ClientOptions, error) {
	cs, now, lifetime := d.spec.ConnectionString, d.fleet.options.Now(), d.fleet.options.TokenLifetime
	expiry := now.Add(lifetime)
	token, err := iothub.Sign(cs.Resource(), cs.SharedAccessKey, "", expiry)
	if err != nil {
		return nil, err
	}
	// Microsoft's Node SDK connects afresh 15 minutes before the end of an
	// hour; shorter tokens keep the proportion.
	c.renewAt = time.Now().Add(lifetime - min(15*time.Minute, lifetime/4))
	d.update(func(s *Status) { s.TokenExpiry = expiry })
	user := iothub.UserName{Host: cs.HostName, DeviceID: cs.DeviceID, ModuleID: cs.ModuleID, APIVersion: iothub.APIVersion, ClientType: clientType}
	return mqtt.NewClientOptions().
		AddBroker("ssl://" + d.at.address).
		SetCustomOpenConnectionFn(c.open).
		SetProtocolVersion(4). // MQTT 3.1.1, and nothing older if that is refused
		SetClientID(d.id).
		SetUsername(user.String()).
		SetPassword(token).
		SetCleanSession(false). // as Microsoft's SDKs
		SetKeepAlive(keepAlive).
		SetConnectTimeout(d.fleet.options.Timeout).
		SetAutoReconnect(false).
		SetDefaultPublishHandler(c.receive).
		SetConnectionLostHandler(c.onLost), nil
}

func (c *connection) open(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return c.net, nil }

// receive is called by paho, one message after the other.
func (c *connection) receive(_ mqtt.Client, m mqtt.Message) {
	select {
	case c.inbox <- message{m.Topic(), m.Payload()}:
	case <-c.closed:
	}
}

func (c *connection) onLost(_ mqtt.Client, err error) {
	if errors.Is(err, io.EOF) {
		err = errClosedByHub
	}
	c.lost <- err // the only one ever, and there is room for it
}

var errClosedByHub = errors.New("the hub ended the connection")

// close sends DISCONNECT if the connection still stands, and ends everything
// that belongs to it.
func (c *connection) close() {
	close(c.closed)
	c.client.Disconnect(uint(quiesce / time.Millisecond))
	c.net.Close()
	c.forget()
}
