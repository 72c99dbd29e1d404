package localhub

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/websocket"

	"twinboard/hubclient/iothub"
)

// subProtocol is the one a device offers when it speaks MQTT over WebSocket.
const subProtocol = "mqtt"

type connKey struct{}

// withConn keeps the connection of a request at hand.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connectionOf is what lies under the TLS of a request.
func connectionOf(c echo.Context) net.Conn {
	conn, _ := c.Request().Context().Value(connKey{}).(net.Conn)
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// deviceWebSocket turns a request on the service port into a device connection,
// for networks that let only 443 through.
func (s *restServer) deviceWebSocket(c echo.Context) error {
	conn := connectionOf(c)
	if conn == nil || !c.IsWebSocket() || c.Request().ProtoMajor != 1 || !offersMQTT(c.Request().Header) {
		return iothub.ErrGenericBadRequest.With("this address is for MQTT over WebSocket, sub-protocol mqtt")
	}
	websocket.Server{
		Handshake: chooseMQTT,
		Handler: func(ws *websocket.Conn) {
			ws.PayloadType = websocket.BinaryFrame
			s.hub.mqtt.serve(&binaryConn{Conn: ws, raw: conn}, conn)
		},
	}.ServeHTTP(c.Response(), c.Request())
	return nil
}

// binaryConn reads MQTT out of binary frames, wherever these begin and end.
type binaryConn struct {
	*websocket.Conn
	raw     net.Conn
	frame   io.Reader   // what is left of one; nil between two
	refused atomic.Bool // the client was told why the connection ends
}

var errNotBinary = errors.New("sent a frame that is not binary")

// unsupportedData is the status that closes a connection for the type of its
// data (RFC 6455, 7.4.1).
const unsupportedData = 1003

// Read ends the connection at a text frame (MQTT 3.1.1, 6.0).
func (c *binaryConn) Read(p []byte) (int, error) {
	for {
		if c.frame == nil {
			if err := c.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := c.frame.Read(p)
		if errors.Is(err, io.EOF) {
			c.frame, err = nil, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// next begins a frame; those that control the connection leave none.
func (c *binaryConn) next() error {
	frame, err := c.NewFrameReader()
	if err != nil {
		return err
	}
	if frame.PayloadType() == websocket.TextFrame {
		c.refused.Store(true)
		_ = c.WriteClose(unsupportedData) // it ends all the same
		return errNotBinary
	}
	if frame, err = c.HandleFrame(frame); frame != nil {
		c.frame = frame
	}
	return err
}

// Close tells the client that all is well, unless it has been told otherwise.
func (c *binaryConn) Close() error {
	if c.refused.Load() {
		return c.raw.Close()
	}
	return c.Conn.Close()
}

func offersMQTT(h http.Header) bool {
	for offer := range strings.SplitSeq(h.Get("Sec-Websocket-Protocol"), ",") {
		if strings.TrimSpace(offer) == subProtocol {
			return true
		}
	}
	return false
}

// chooseMQTT accepts mqtt out of what the client offers. The origin is not
// looked at: devices send none, and a page of another site gains nothing
// without a device's key.
func chooseMQTT(config *websocket.Config, _ *http.Request) error {
	config.Protocol = []string{subProtocol}
	return nil
}
