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
	raw     net.Conn       // under TLS and WebSocket: closing it never waits
	session *deviceSession // set once CONNECT is accepted, by the reading goroutine
}

// SetDeadline bounds reading only.
func (c *deviceConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// RemoteAddr is the address of the device, also over WebSocket.
func (c *deviceConn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// Write sends within writeTimeout or fails.
func (c *deviceConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
