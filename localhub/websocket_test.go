package localhub

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"golang.org/x/net/websocket"

	"twinboard/hubclient/iothub"
)

func (w *wire) webSocket(path string, protocols ...string) (net.Conn, error) {
	w.Helper()
	target, err := url.Parse("wss://" + w.hub.HTTPSAddr() + path)
	if err != nil {
		w.Fatal(err)
	}
	conn, err := websocket.DialConfig(&websocket.Config{
		Location: target, Origin: &url.URL{Scheme: "https", Host: "localhost"},
		Protocol: protocols, Version: websocket.ProtocolVersionHybi13, TlsConfig: clientTLS(w.hub),
	})
	if err != nil {
		return nil, err
	}
	conn.PayloadType = websocket.BinaryFrame
	return conn, nil
}

func TestWebSocket(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	older := w.listening("d1")
	conn, err := w.webSocket("/$iothub/websocket", "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	d := newThing(t, conn)
	d.send(w.deviceConnect("d1").bytes())
	if ack := d.next(packets.Connack); ack.ReasonCode != 0 {
		t.Fatalf("CONNACK %d", ack.ReasonCode)
	}
	older.ended()
	d.send(publish(1, 1, iothub.TwinGetTopic("1"), []byte(" ")))
	d.next(packets.Puback)
	d.sameJSON(d.message("$iothub/twin/res/200/?$rid=1"), `{"desired":{"$version":1},"reported":{"$version":1}}`)
	w.desired("d1", iothub.Document{"a": true})
	d.message(iothub.DesiredTopic(2)) // the subscription is kept from the other transport
	w.mustCall(http.MethodPut, "/devices/d1", `{"status":"disabled"}`, "If-Match", "*")
	d.ended()
}

// TestTextFrames has a device send MQTT in text frames: the connection ends, at
// first as well as later, and the client is told why.
func TestTextFrames(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	t.Run("at first", func(t *testing.T) {
		conn, err := w.in(t).webSocket("/$iothub/websocket", subProtocol)
		if err != nil {
			t.Fatal(err)
		}
		conn.(*websocket.Conn).PayloadType = websocket.TextFrame
		if _, err := conn.Write(w.deviceConnect("d1").bytes()); err != nil {
			t.Fatal(err)
		}
		w.in(t).closedFor(conn.(*websocket.Conn), unsupportedData)
	})
	t.Run("later", func(t *testing.T) {
		conn, err := w.in(t).webSocket("/$iothub/websocket", subProtocol)
		if err != nil {
			t.Fatal(err)
		}
		d := newThing(t, conn)
		d.send(w.deviceConnect("d1").bytes())
		if ack := d.next(packets.Connack); ack.ReasonCode != 0 {
			t.Fatalf("CONNACK %d", ack.ReasonCode)
		}
		conn.(*websocket.Conn).PayloadType = websocket.TextFrame
		if _, err := conn.Write(publish(0, 0, iothub.TwinGetTopic("1"), nil)); err != nil {
			t.Fatal(err)
		}
		w.in(t).closedFor(conn.(*websocket.Conn), unsupportedData)
	})
}

// closedFor reads a close frame with a status, and then the end.
func (w *wire) closedFor(c *websocket.Conn, status uint16) {
	w.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	frame, err := c.NewFrameReader()
	if err != nil {
		w.Fatal(err)
	}
	_, _ = io.ReadAll(frame.HeaderReader()) // what was read of it
	payload, err := io.ReadAll(frame)
	if err != nil || frame.PayloadType() != websocket.CloseFrame || len(payload) != 2 || binary.BigEndian.Uint16(payload) != status {
		w.Fatalf("frame of type %d: %x, %v", frame.PayloadType(), payload, err)
	}
	if _, err := c.NewFrameReader(); err == nil {
		w.Error("the connection goes on")
	}
}

// TestPings has a device ask between its packets whether the hub is there.
func TestPings(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	conn, err := w.webSocket("/$iothub/websocket", subProtocol)
	if err != nil {
		t.Fatal(err)
	}
	ws := conn.(*websocket.Conn)
	ws.PayloadType = websocket.PingFrame
	if _, err := ws.Write([]byte("there?")); err != nil {
		t.Fatal(err)
	}
	ws.PayloadType = websocket.BinaryFrame
	d := newThing(t, conn)
	d.send(w.deviceConnect("d1").bytes())
	if ack := d.next(packets.Connack); ack.ReasonCode != 0 {
		t.Errorf("CONNACK %d", ack.ReasonCode)
	}
}

func TestWebSocketRefusals(t *testing.T) {
	w := startWire(t)
	if conn, err := w.webSocket("/$iothub/websocket", "soap"); err == nil {
		conn.Close()
		t.Error("another sub-protocol is accepted")
	}
	if conn, err := w.webSocket("/$iothub/websocket"); err == nil {
		conn.Close()
		t.Error("no sub-protocol is accepted")
	}
	if r := w.send(http.MethodGet, "/$iothub/websocket", ""); r.Status != 400 || r.Header.Get("iothub-errorcode") != "GenericBadRequest" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	// A device that says nothing is let go when the hub closes.
	conn, err := w.webSocket("/%24iothub/websocket", "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
}

// tcpBelow is the TCP connection under a client's TLS.
func tcpBelow(c net.Conn) *net.TCPConn {
	return c.(*tls.Conn).NetConn().(*net.TCPConn)
}
