package localhub

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// leanClient asks one question again and again over one TLS connection, if need
// be of other paths: the request is put together once and signed once, and of
// an answer only its status and what tells its end is read. Go's http.Client
// takes longer over a request than the hub does over a query; what is measured
// with this one is mostly the hub.
type leanClient struct {
	testing.TB
	conn          *tls.Conn
	answers       *bufio.Reader
	method        string
	behind        string // the path, in the request, up to the length of the body
	request, body []byte // body is that of the last answer
}

func newLeanClient(tb testing.TB, h *Hub, token, method, path, body string) *leanClient {
	tb.Helper()
	conn, err := (&tls.Dialer{Config: clientTLS(h)}).DialContext(context.Background(), "tcp", h.HTTPSAddr())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	c := &leanClient{TB: tb, conn: conn.(*tls.Conn), answers: bufio.NewReaderSize(conn, 64<<10), method: method}
	c.behind = fmt.Sprintf("?api-version=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: ",
		iothub.APIVersion, h.HTTPSAddr(), token, contentJSON)
	c.to(path, body)
	return c
}

// to puts the request together for a path and a body.
func (c *leanClient) to(path, body string) {
	c.request = fmt.Appendf(c.request[:0], "%s %s%s%d\r\n\r\n%s", c.method, path, c.behind, len(body), body)
}

// ask sends the request and reads the answer, which must be of this status.
func (c *leanClient) ask(status int) {
	if _, err := c.conn.Write(c.request); err != nil {
		c.Fatal(err)
	}
	got := c.line()
	answered, _ := bytes.CutPrefix(got, []byte("HTTP/1.1 "))
	if code, _, _ := bytes.Cut(answered, []byte(" ")); string(code) != strconv.Itoa(status) {
		c.Fatalf("the hub answers %q", got)
	}
	length := -1
	for h := c.line(); len(h) > 0; h = c.line() {
		if value, ok := bytes.CutPrefix(h, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(value))
		}
	}
	if length < 0 {
		c.body = c.chunks()
		return
	}
	c.body = append(c.body[:0], make([]byte, length)...)
	if _, err := io.ReadFull(c.answers, c.body); err != nil {
		c.Fatal(err)
	}
}

func (c *leanClient) line() []byte {
	line, err := c.answers.ReadSlice('\n')
	if err != nil {
		c.Fatal(err)
	}
	return bytes.TrimRight(line, "\r\n")
}

// chunks reads a body of unknown length.
func (c *leanClient) chunks() []byte {
	body := c.body[:0]
	for {
		size, err := strconv.ParseInt(string(c.line()), 16, 32)
		if err != nil {
			c.Fatal(err)
		}
		from := len(body)
		body = append(body, make([]byte, size)...)
		if _, err := io.ReadFull(c.answers, body[from:]); err != nil {
			c.Fatal(err)
		}
		c.line()
		if size == 0 {
			return body
		}
	}
}

// BenchmarkREST asks over the network: with Go's client, which signs each
// request, and with the lean one, which signed once. GET of a path that does not
// exist is what HTTPS takes alone.
func BenchmarkREST(b *testing.B) {
	h, err := New(Options{Data: b.TempDir(), HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	if err := h.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	(&bench{TB: b, registry: h.registry}).fill(10_000)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(h)}}
	b.Cleanup(client.CloseIdleConnections)
	token := func() string {
		token, err := iothub.Sign("localhost", h.policies["iothubowner"].Primary, "iothubowner", time.Now().Add(time.Hour))
		if err != nil {
			b.Fatal(err)
		}
		return token
	}
	for _, q := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"nothing", http.MethodGet, "/nothing", "", http.StatusNotFound},
		{"twin", http.MethodGet, "/twins/device-000500", "", http.StatusOK},
		{"equality", http.MethodPost, "/devices/query", `{"query":"` + benchmarkQueries[0].text + `"}`, http.StatusOK},
		{"hundred", http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices"}`, http.StatusOK},
		{"update", http.MethodPatch, "/twins/device-000500", `{"properties":{"desired":{"power_level":7}}}`, http.StatusOK},
	} {
		b.Run(q.name+"/go", func(b *testing.B) {
			for b.Loop() {
				req, err := http.NewRequestWithContext(b.Context(), q.method, "https://"+h.HTTPSAddr()+q.path+"?api-version="+iothub.APIVersion, strings.NewReader(q.body))
				if err != nil {
					b.Fatal(err)
				}
				req.Header.Set("Authorization", token())
				req.Header.Set("Content-Type", contentJSON)
				res, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != q.status {
					b.Fatal(res.Status, err)
				}
				res.Body.Close()
			}
		})
		b.Run(q.name+"/lean", func(b *testing.B) {
			c := newLeanClient(b, h, token(), q.method, q.path, q.body)
			for b.Loop() {
				c.ask(q.status)
			}
		})
	}
}
