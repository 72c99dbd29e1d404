package localhub

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAbsentOperations asks for all of them with and without the right.
func TestAbsentOperations(t *testing.T) {
	w := startWire(t)
	d1 := w.device("d1")
	device := w.devicePassword("d1", d1.Authentication.SymmetricKey.Primary, time.Now().Add(time.Hour))
	for _, a := range absences() {
		path := strings.NewReplacer(":id", "d1", ":", "x").Replace(a.path) + "?api-version=2021-04-12"
		r := w.send(a.method, path, "{}", "Authorization", w.token("iothubowner"))
		if r.Status != http.StatusForbidden || r.Header.Get(headerErrorCode) != "OperationNotAvailableInCurrentTier" {
			t.Errorf("%s %s: %d %s", a.method, path, r.Status, r.Body)
		}
		if e := r.refused(t); !strings.HasPrefix(e.Message, "ErrorCode:OperationNotAvailableInCurrentTier;this hub does not offer "+a.what) {
			t.Errorf("%s %s says %q", a.method, path, e.Message)
		}
		right := "device"
		if a.right == deviceConnect {
			right = "service"
			if r := w.send(a.method, path, "{}", "Authorization", device); r.Status != http.StatusForbidden {
				t.Errorf("%s %s as the device: %d %s", a.method, path, r.Status, r.Body)
			}
			other := strings.Replace(path, "/d1/", "/d2/", 1)
			if r := w.send(a.method, other, "{}", "Authorization", device); r.Status != http.StatusUnauthorized {
				t.Errorf("%s %s as another device: %d %s", a.method, other, r.Status, r.Body)
			}
		}
		if r := w.send(a.method, path, "{}", "Authorization", w.token(right)); r.Status != http.StatusUnauthorized {
			t.Errorf("%s %s without the right: %d %s", a.method, path, r.Status, r.Body)
		}
		if r := w.send(a.method, strings.TrimSuffix(path, "?api-version=2021-04-12"), "{}", "Authorization", w.token("iothubowner")); r.Status != http.StatusBadRequest {
			t.Errorf("%s %s without api-version: %d", a.method, path, r.Status)
		}
	}
}

// TestAbsentOperationsInLowerCase asks as the C SDK spells its paths.
func TestAbsentOperationsInLowerCase(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	for _, c := range []struct{ method, path string }{
		{"GET", "/devices/d1/messages/devicebound"},
		{"DELETE", "/devices/d1/messages/devicebound/x"},
		{"POST", "/devices/d1/messages/devicebound/x/abandon"},
		{"GET", "/messages/servicebound/feedback"},
	} {
		if r := w.call(c.method, c.path, ""); r.Status != http.StatusForbidden || r.Header.Get(headerErrorCode) != "OperationNotAvailableInCurrentTier" {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.Status, r.Body)
		}
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	w := startWire(t)
	w.device("query")
	for _, c := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/", 404, "ResourceNotFound", ""},
		{"GET", "/nothing/here", 404, "ResourceNotFound", ""},
		{"GET", "/twins", 404, "ResourceNotFound", ""},
		{"GET", "/configurations/a/b", 404, "ResourceNotFound", ""},
		{"GET", "/jobs/a/b", 404, "ResourceNotFound", ""},
		{"POST", "/twins/d1/methods/reboot", 404, "ResourceNotFound", ""},
		{"GET", "/twins/d1/modules/m1/extra", 404, "ResourceNotFound", ""},
		{"PATCH", "/devices", 405, "MethodNotAllowed", "GET, POST"},
		{"DELETE", "/twins/d1", 405, "MethodNotAllowed", "GET, PATCH, PUT"},
		{"DELETE", "/twins/d1/", 405, "MethodNotAllowed", "GET, PATCH, PUT"},
		{"GET", "/twins/d1/methods", 405, "MethodNotAllowed", "POST"},
		{"GET", "/devices/query", 200, "", ""}, // a device of that name
		{"GET", "/devices/d1/commands", 405, "MethodNotAllowed", "DELETE"},
		{"PUT", "/statistics/devices", 405, "MethodNotAllowed", "GET"},
		{"OPTIONS", "/twins/d1", 405, "MethodNotAllowed", "GET, PATCH, PUT"},
		{"OPTIONS", "/nothing/here", 404, "ResourceNotFound", ""},
		{"POST", "/configurations", 405, "MethodNotAllowed", "GET"},
	} {
		r := w.call(c.method, c.path, "")
		if r.Status != c.status || r.Header.Get("iothub-errorcode") != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.Status, r.Body)
		}
		if got := r.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, got)
		}
		if c.code == "" {
			continue
		}
		if e := r.refused(t); !strings.HasPrefix(e.Message, "ErrorCode:"+c.code+";") {
			t.Errorf("%s %s: %q", c.method, c.path, e.Message)
		}
	}
}

// TestRequestsAtTheEdgeOfHTTP sends what clients of HTTP would not: whatever
// reaches the hub is answered with its envelope, the rest by net/http.
func TestRequestsAtTheEdgeOfHTTP(t *testing.T) {
	w := startWire(t)
	const upgrade = "GET /$iothub/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, c := range []struct {
		request string
		status  int
		code    string // "" for what no handler is asked about
	}{
		{"OPTIONS * HTTP/1.1\r\nHost: localhost", 404, "ResourceNotFound"},
		{"GET * HTTP/1.1\r\nHost: localhost", 404, "ResourceNotFound"},
		{"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost", 404, "ResourceNotFound"},
		{"GET //devices HTTP/1.1\r\nHost: localhost", 404, "ResourceNotFound"},
		{"GET /devices?api-version=%zz HTTP/1.1\r\nHost: localhost", 401, "IotHubUnauthorizedAccess"},
		{upgrade + "Sec-WebSocket-Protocol: soap", 400, "GenericBadRequest"},
		{upgrade + "Sec-WebSocket-Extensions: none", 400, "GenericBadRequest"},
		{"GET /a%zz HTTP/1.1\r\nHost: localhost", 400, ""},
		{"GET /devices HTTP/1.1", 400, ""},
		{"GET /devices HTTP/1.1\r\nHost: localhost\r\nExpect: miracles", 417, ""},
	} {
		conn, err := tls.Dial("tcp", w.hub.HTTPSAddr(), clientTLS(w.hub))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, c.request+"\r\nConnection: close\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", c.request, err)
		}
		text, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		_ = conn.Close()
		if r.StatusCode != c.status || r.Header.Get("iothub-errorcode") != c.code {
			t.Errorf("%q: %d %s", c.request, r.StatusCode, text)
		}
		if c.code == "" {
			continue
		}
		if e := (reply{Body: string(text)}).refused(t); !strings.HasPrefix(e.Message, "ErrorCode:"+c.code+";") {
			t.Errorf("%q: %q", c.request, e.Message)
		}
	}
}
