package localhub

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"

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
	if conn == nil || !c.IsWebSocket() || c.Request().ProtoMajor != 1 {
		return iothub.ErrGenericBadRequest.With("this address is for MQTT over WebSocket, sub-protocol mqtt")
	}
	websocket.Server{
		Handshake: chooseMQTT,
		Handler: func(ws *websocket.Conn) {
			ws.PayloadType = websocket.BinaryFrame
			s.hub.mqtt.serve(ws, conn)
		},
	}.ServeHTTP(c.Response(), c.Request())
	return nil
}

// chooseMQTT accepts mqtt out of what the client offers. The origin is not
// looked at: devices send none, and a page of another site gains nothing
// without a device's key.
func chooseMQTT(config *websocket.Config, _ *http.Request) error {
	if !slices.Contains(config.Protocol, subProtocol) {
		return websocket.ErrBadWebSocketProtocol
	}
	config.Protocol = []string{subProtocol}
	return nil
}
