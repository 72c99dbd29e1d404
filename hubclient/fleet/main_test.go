package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testHub is a real hub on this machine that can be stopped and started again.
type testHub struct {
	*testing.T
	data, https string
	hub         *localhub.Hub
}

func startHub(t *testing.T) *testHub {
	t.Helper()
	h := &testHub{T: t, data: t.TempDir(), https: "127.0.0.1:0"}
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *testHub) start() {
	h.Helper()
	hub, err := localhub.New(localhub.Options{Data: h.data, HTTPS: h.https, MQTT: "127.0.0.1:0"})
	if err != nil {
		h.Fatal(err)
	}
	if err := hub.Start(context.Background()); err != nil {
		h.Fatal(err)
	}
	h.hub, h.https = hub, hub.HTTPSAddr()
}

func (h *testHub) stop() {
	h.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.hub.Close(ctx); err != nil {
		h.Error(err)
	}
}

// wire is the transport of a client: it counts what is asked, and can answer in
// the hub's place.
type wire struct {
	next    http.RoundTripper
	cut     func(*http.Request) *http.Response // nil lets the request pass
	twins   atomic.Int64                       // twins read by id
	queries atomic.Int64
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.Method == http.MethodGet && len(r.URL.Path) > 7 && r.URL.Path[:7] == "/twins/":
		w.twins.Add(1)
	case r.URL.Path == "/devices/query":
		w.queries.Add(1)
	}
	if w.cut != nil {
		if resp := w.cut(r); resp != nil {
			return resp, nil
		}
	}
	return w.next.RoundTrip(r)
}

// answerOf makes an answer without a hub.
func answerOf(r *http.Request, e *iothub.Error) *http.Response {
	return &http.Response{
		StatusCode: e.Status, Request: r, Header: http.Header{"Iothub-Errorcode": {e.Code}}, Body: http.NoBody,
	}
}

// noChangeFeed makes a hub look like Azure's.
func noChangeFeed(r *http.Request) *http.Response {
	if r.URL.Path == "/changes" {
		return answerOf(r, iothub.ErrResourceNotFound)
	}
	return nil
}

func (h *testHub) client(cut func(*http.Request) *http.Response) (*hubclient.Client, *wire) {
	h.Helper()
	cs, err := h.hub.ConnectionString("iothubowner")
	if err != nil {
		h.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: tlsOf(h.hub), MaxIdleConnsPerHost: 16}
	w := &wire{next: transport, cut: cut}
	c, err := hubclient.New(cs, &hubclient.Options{HTTPClient: &http.Client{Transport: w}})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(transport.CloseIdleConnections)
	return c, w
}

func startFleet(t *testing.T, c *hubclient.Client, o Options) *Fleet {
	t.Helper()
	f := New(c, o)
	f.Start(t.Context())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return f
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not reached: %s", what)
		}
		<-tick.C
	}
}

func create(t *testing.T, c *hubclient.Client, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if _, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// jsonAnswer makes a query's answer without a hub.
func jsonAnswer(t *testing.T, r *http.Request, v any) *http.Response {
	b, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(bytes.NewReader(b)),
		Header: http.Header{"Content-Type": {"application/json"}, "X-Ms-Item-Type": {iothub.ItemTwin}},
	}
}

// eventsAnswer makes a change feed without a hub. It ends once end is closed.
func eventsAnswer(r *http.Request, events string, end <-chan struct{}) *http.Response {
	body, feed := io.Pipe()
	go func() {
		_, _ = io.WriteString(feed, events) // fails only when nobody reads any more
		select {
		case <-end:
		case <-r.Context().Done():
		}
		_ = feed.Close() // never fails
	}()
	return &http.Response{StatusCode: http.StatusOK, Request: r, Body: body, Header: http.Header{"Content-Type": {"text/event-stream"}}}
}

func hasThrottled(err error) bool {
	var throttled *hubclient.ThrottledError
	return errors.As(err, &throttled)
}

// passOn asks the hub and returns its answer, which can then be held back.
func passOn(t *testing.T, w *wire, r *http.Request) *http.Response {
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		t.Error(err)
	}
	return resp
}
