package devicesim

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"twinboard/hubclient/iothub"
)

// Errors of the fleet's methods.
var (
	ErrRunning      = errors.New("the device is running already")
	ErrNotRunning   = errors.New("the device is not running")
	ErrUnknown      = errors.New("no such simulated device")
	ErrClosed       = errors.New("the simulator is closed")
	ErrConnectivity = errors.New("connectivity must be cellular, wifi or ethernet")
	ErrAnswers      = errors.New("answers must be nothing, plain or pnp")
)

// Problem says in one word why a device has no connection.
type Problem string

// The problems of a ConnectError.
const (
	Refused             Problem = "refused"               // CONNECT was refused: wrong key, wrong clock, unknown or disabled device
	Unavailable         Problem = "unavailable"           // the hub says it cannot serve now
	Unreachable         Problem = "unreachable"           // nothing listens there, or there is no way there
	HostUnknown         Problem = "host-unknown"          // the name has no address
	PortBlocked         Problem = "port-blocked"          // no sign of life on the port, as behind a firewall
	TLSUnknownAuthority Problem = "tls-unknown-authority" // the hub's certificate is of an authority we do not trust
	TLSName             Problem = "tls-name"              // the hub's certificate is for another name
	TLSTime             Problem = "tls-time"              // the hub's certificate is not valid at this time of our clock
	TLSFailed           Problem = "tls"                   // any other failure of TLS
	Timeout             Problem = "timeout"               // connected, but an answer did not come in time
	Closed              Problem = "closed"                // the hub or the network ended the connection
	TwinRefused         Problem = "twin-refused"          // the hub did not give the device its twin
)

// ConnectError says why a device could not connect or lost its connection.
type ConnectError struct {
	Kind     Problem
	DeviceID string
	Address  string // what was dialled, host:port
	Code     byte   // CONNACK return code, for Refused and Unavailable
	Err      error  // the cause
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("device %s at %s: %s: %v", e.DeviceID, e.Address, e.Kind, e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// dialProblem tells why there is no TCP connection.
func dialProblem(err error) Problem {
	var dns *net.DNSError
	switch {
	case isTimeout(err):
		return PortBlocked
	case errors.As(err, &dns):
		return HostUnknown
	}
	return Unreachable
}

// tlsProblem tells why the TLS handshake failed.
func tlsProblem(err error) Problem {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case isTimeout(err):
		return Timeout
	case errors.As(err, &authority):
		return TLSUnknownAuthority
	case errors.As(err, &name):
		return TLSName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return TLSTime
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return Closed
	}
	return TLSFailed
}

// connackProblem tells why CONNECT was not accepted. IoT Hub answers 5 for
// everything that is wrong with an identity or token, 3 for trouble of its own,
// and closes without an answer when connects are throttled.
func connackProblem(code byte, err error) Problem {
	switch {
	case code == packets.ErrRefusedServerUnavailable:
		return Unavailable
	case code != packets.Accepted && code != packets.ErrNetworkError:
		return Refused
	case isTimeout(err):
		return Timeout
	}
	return Closed
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// refusedByHub reports whether err is a hub's answer rather than a failure of
// the connection, which then stands.
func refusedByHub(err error) bool {
	var refusal *iothub.Error
	return errors.As(err, &refusal)
}
