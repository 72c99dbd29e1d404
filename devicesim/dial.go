package devicesim

import (
	"context"
	"crypto/tls"
	"net"

	"twinboard/hubclient/iothub"
)

// defaultPort is where IoT Hub speaks MQTT over TLS.
const defaultPort = "8883"

// Devices speak TLS 1.2 and agree on keys with the curves of small devices, as
// IoT Hub takes them; Microsoft's Python SDK, too, speaks TLS 1.2. Handshakes are
// most of what it costs to connect thousands, and with TLS 1.2 a device that
// continues a session agrees on no key at all.
const tlsVersion = tls.VersionTLS12

var curves = []tls.CurveID{tls.CurveP256, tls.CurveP384}

// endpoint is where to dial and whose certificate to expect there.
type endpoint struct{ address, serverName string }

// endpoint follows Microsoft's SDKs: a gateway stands in for the hub on the
// network and shows its own certificate, while tokens and user names keep the
// hub's name.
func (o *Options) endpoint(cs iothub.DeviceConnectionString) endpoint {
	host := cs.HostName
	if cs.GatewayHostName != "" {
		host = cs.GatewayHostName
	}
	at := iothub.SplitHost(host)
	if o.MQTTAddr != "" {
		return endpoint{o.MQTTAddr, at.Host}
	}
	if at.Port == "" {
		at.Port = defaultPort
	}
	return endpoint{net.JoinHostPort(at.Host, at.Port), at.Host}
}

// dial opens TCP and TLS. The error is a *ConnectError.
func (f *Fleet) dial(ctx context.Context, id string, e endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, &ConnectError{Kind: dialProblem(err), DeviceID: id, Address: e.address, Err: err}
	}
	conn := tls.Client(tcp, &tls.Config{
		MinVersion:         tlsVersion,
		MaxVersion:         tlsVersion,
		RootCAs:            f.options.RootCAs,
		ServerName:         e.serverName,
		ClientSessionCache: f.sessions,
		CurvePreferences:   curves,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, &ConnectError{Kind: tlsProblem(err), DeviceID: id, Address: e.address, Err: err}
	}
	return conn, nil
}
