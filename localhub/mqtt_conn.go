package localhub

import (
	"net"
	"time"
)

// writeTimeout is how long one packet to a device may take.
const writeTimeout = 10 * time.Second

// deviceConn is the connection of one device as mochi sees it. mochi sets one
// deadline for reading and writing from the keep-alive; here the keep-alive
// bounds reading, and each write has a time of its own.
type deviceConn struct {
	net.Conn
	raw net.Conn // under TLS and WebSocket: closing it never waits

	// Of the reading goroutine alone, set once CONNECT is accepted.
	session  *deviceSession
	patience time.Duration // how long the device may be silent

	frames frames
}

// SetDeadline bounds reading only. The time for a device that has connected is
// its own: mochi's is cut to whole seconds.
func (c *deviceConn) SetDeadline(t time.Time) error {
	if c.patience > 0 {
		t = time.Now().Add(c.patience)
	}
	return c.SetReadDeadline(t)
}

// RemoteAddr is the address of the device, also over WebSocket.
func (c *deviceConn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// Read hands on what the device sent up to the first byte that is against the
// rules.
func (c *deviceConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if good, bad := c.frames.pass(p[:n]); bad != nil {
		return good, bad
	}
	return n, err
}

// Write sends within writeTimeout or fails.
func (c *deviceConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
