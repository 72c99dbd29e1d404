package localhub

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

const (
	connectTimeout = 30 * time.Second
	// maxPacket fits the largest message and the longest topic.
	maxPacket = iothub.MaxTelemetryBytes + 64*1024
	// socketBuffer bounds what the system holds for a device that does not read.
	socketBuffer = 64 * 1024
	// acceptPause is the wait after a failed accept, for example when the
	// process has no file descriptors left.
	acceptPause = 100 * time.Millisecond
)

// mqttServer is the device side: MQTT packets to registry and back. mochi
// reads, writes and acknowledges packets; its topics, retained messages and
// sessions are not used, because IoT Hub is no general broker: what a device
// publishes goes to the registry, and what it receives is written to its own
// connection.
type mqttServer struct {
	hub    *Hub
	broker *mqtt.Server
	lobby  *lobby
	// timeout is how long a connection may take for TLS and CONNECT.
	timeout time.Duration

	mu       sync.Mutex
	listener net.Listener
	conns    map[*deviceConn]struct{}
	closed   bool
	done     chan struct{}
	serving  sync.WaitGroup
	number   uint64 // connections so far
}

func newMQTTServer(h *Hub) (*mqttServer, error) {
	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MinimumProtocolVersion = 4
	capabilities.MaximumQos = 1
	capabilities.MaximumPacketSize = maxPacket
	capabilities.MaximumClientWritesPending = 1 // unused: ours stands before it
	capabilities.TopicAliasMaximum = 0
	capabilities.RetainAvailable = 0
	s := &mqttServer{
		hub: h,
		// Its own log would show packets with passwords in them.
		broker:  mqtt.New(&mqtt.Options{Capabilities: capabilities, Logger: slog.New(slog.DiscardHandler)}),
		lobby:   newLobby(),
		timeout: connectTimeout,
		conns:   map[*deviceConn]struct{}{},
		done:    make(chan struct{}),
	}
	return s, s.broker.AddHook(&mqttHook{server: s}, nil)
}

// start accepts devices on a plain TCP listener until close.
func (s *mqttServer) start(ln net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.listener = ln
	s.serving.Add(1)
	go s.accept(ln, s.hub.serverTLS())
	return nil
}

func (s *mqttServer) accept(ln net.Listener, config *tls.Config) {
	defer s.serving.Done()
	for {
		raw, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.hub.log.Error("device connection not accepted", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-s.done:
			}
			continue
		}
		if tcp, ok := raw.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(socketBuffer) // a hint: without it the system's default holds
		}
		g := s.lobby.enter(raw, s.done)
		if g == nil {
			_ = raw.Close()
			return
		}
		go s.serve(tls.Server(g, config), g)
	}
}

// serve runs one device connection until it ends. raw is what lies under TLS
// and WebSocket.
func (s *mqttServer) serve(conn, raw net.Conn) {
	c := &deviceConn{Conn: conn, raw: raw}
	if !s.enter(c) {
		_ = raw.Close()
		return
	}
	defer s.leave(c)
	_ = c.SetReadDeadline(time.Now().Add(s.timeout))
	err := s.broker.EstablishConnection("devices", c)
	switch {
	case c.session != nil:
		c.session.leave(err)
	case errors.Is(err, packets.ErrRejectPacket), errors.Is(err, io.EOF):
		// connect has logged it, or nothing was said at all
	default:
		// Most often a device that does not trust the hub's CA.
		s.hub.log.Info("device connection failed", "remote", raw.RemoteAddr().String(), "error", err)
	}
}

func (s *mqttServer) enter(c *deviceConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	s.serving.Add(1)
	return true
}

func (s *mqttServer) leave(c *deviceConn) {
	_ = c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.serving.Done()
}

// close ends every connection and waits, within ctx, until the last has gone.
func (s *mqttServer) close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first {
		close(s.done)
		if s.listener != nil {
			_ = s.listener.Close()
		}
	}
	for c := range s.conns {
		_ = c.raw.Close()
	}
	s.mu.Unlock()
	gone := make(chan error, 1)
	go func() {
		s.serving.Wait()
		if first {
			gone <- s.broker.Close()
		}
		close(gone)
	}()
	select {
	case err := <-gone:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nextNumber numbers the connections, for names within mochi.
func (s *mqttServer) nextNumber() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	return s.number
}
