package devicesim

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

func TestDelayDoublesUpToAMinute(t *testing.T) {
	want := []time.Duration{
		500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
		8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute,
	}
	for attempt, full := range want {
		if got := delay(attempt, 0); got != full {
			t.Errorf("delay(%d, 0) = %s, want %s", attempt, got, full)
		}
		if got := delay(attempt, 1); got != full/2 {
			t.Errorf("delay(%d, 1) = %s, want %s", attempt, got, full/2)
		}
	}
	if got := delay(1<<20, 0); got != longest {
		t.Errorf("delay after a million failures = %s", got)
	}
}

func TestEndpoint(t *testing.T) {
	for _, c := range []struct {
		mqtt, host, gateway, address, name string
	}{
		{host: "hub.azure-devices.net", address: "hub.azure-devices.net:8883", name: "hub.azure-devices.net"},
		{host: "localhost:18883", address: "localhost:18883", name: "localhost"},
		{mqtt: "127.0.0.1:4711", host: "localhost", address: "127.0.0.1:4711", name: "localhost"},
		{mqtt: "127.0.0.1:4711", host: "localhost:8443", address: "127.0.0.1:4711", name: "localhost"},
		{host: "hub.azure-devices.net", gateway: "edge.local", address: "edge.local:8883", name: "edge.local"},
		{host: "hub.azure-devices.net", gateway: "edge.local:1", address: "edge.local:1", name: "edge.local"},
	} {
		o := Options{MQTTAddr: c.mqtt}
		got := o.endpoint(iothub.DeviceConnectionString{HostName: c.host, GatewayHostName: c.gateway})
		if want := (endpoint{c.address, c.name}); got != want {
			t.Errorf("%+v: got %+v", c, got)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		tell func(error) Problem
		err  error
		want Problem
	}{
		{dialProblem, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, Unreachable},
		{dialProblem, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, Unreachable},
		{dialProblem, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, HostUnknown},
		{dialProblem, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, PortBlocked},
		{tlsProblem, fmt.Errorf("handshake: %w", x509.UnknownAuthorityError{}), TLSUnknownAuthority},
		{tlsProblem, fmt.Errorf("handshake: %w", x509.HostnameError{}), TLSName},
		{tlsProblem, x509.CertificateInvalidError{Reason: x509.Expired}, TLSTime},
		{tlsProblem, x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, TLSFailed},
		{tlsProblem, io.EOF, Closed},
		{tlsProblem, os.ErrDeadlineExceeded, Timeout},
		{tlsProblem, errors.New("tls: no versions in common"), TLSFailed},
	} {
		if got := c.tell(c.err); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
	}
	for code, want := range map[byte]Problem{1: Refused, 2: Refused, 3: Unavailable, 4: Refused, 5: Refused, 0xfe: Closed} {
		if got := connackProblem(code, io.EOF); got != want {
			t.Errorf("CONNACK %d: got %s, want %s", code, got, want)
		}
	}
}

// The bytes of a connection may be cut anywhere: the packets are the same.
func TestPacketReaderFindsPacketsHoweverCut(t *testing.T) {
	var stream bytes.Buffer
	publish := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	publish.TopicName = iothub.DesiredTopic(3)
	publish.Payload = bytes.Repeat([]byte("x"), 300) // a remaining length of two bytes
	ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
	ack.MessageID = 7
	for _, p := range []packets.ControlPacket{publish, ack, packets.NewControlPacket(packets.Pingresp), publish} {
		if err := p.Write(&stream); err != nil {
			t.Fatal(err)
		}
	}
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"one byte": iotest.OneByteReader,
		"half":     iotest.HalfReader,
		"whole":    func(r io.Reader) io.Reader { return r },
	} {
		var got []string
		r := packetReader{show: func(p packets.ControlPacket) { got = append(got, fmt.Sprintf("%T", p)) }}
		source, buffer := cut(bytes.NewReader(stream.Bytes())), make([]byte, 64)
		for {
			n, err := source.Read(buffer)
			r.read(buffer[:n])
			if err != nil {
				break
			}
		}
		want := "[*packets.PublishPacket *packets.PubackPacket *packets.PingrespPacket *packets.PublishPacket]"
		if fmt.Sprint(got) != want {
			t.Errorf("%s: got %v", name, got)
		}
		if r.pending != nil {
			t.Errorf("%s: holds %d bytes after the last packet", name, len(r.pending))
		}
	}
}

func TestJournalKeepsTheLatest(t *testing.T) {
	var j journal
	for i := range keptPerDevice + 5 {
		j.add(feed.Item[Event]{ID: uint64(i + 1)})
	}
	items := j.list()
	if len(items) != keptPerDevice || items[0].ID != 6 || items[len(items)-1].ID != keptPerDevice+5 {
		t.Errorf("kept %d, from %d to %d", len(items), items[0].ID, items[len(items)-1].ID)
	}
}

// lateConn is a connection whose Write returns when the answer has come and the
// action is over.
type lateConn struct {
	net.Conn
	over func()
}

func (c lateConn) Write(b []byte) (int, error)      { c.over(); return len(b), nil }
func (c lateConn) SetWriteDeadline(time.Time) error { return nil }

func TestAPacketBelongsToTheActionThatSentIt(t *testing.T) {
	trace := &tracer{feed: feed.New[iothub.WireEntry](4), now: time.Now, deviceID: "dev1"}
	trace.during("switch")
	w := newWire(lateConn{over: func() { trace.during("") }}, time.Second, trace)
	if err := packets.NewControlPacket(packets.Disconnect).Write(w); err != nil {
		t.Fatal(err)
	}
	got := trace.feed.Recent(4, nil)
	if len(got) != 1 || got[0].Value.Action != "switch" {
		t.Errorf("the trace holds %+v", got)
	}
}
