package localhub

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// wire is a running hub and a client that reaches it over the network.
type wire struct {
	*testing.T
	hub  *Hub
	http *http.Client
	// socket has devices come over WebSocket.
	socket bool
}

func startWire(t *testing.T) *wire {
	t.Helper()
	return startWireWith(t, time.Now, func(*Hub) {})
}

// startWireAt gives the hub another clock.
func startWireAt(t *testing.T, now func() time.Time) *wire {
	t.Helper()
	return startWireWith(t, now, func(*Hub) {})
}

// startWireWith lets a test change the hub before it starts.
func startWireWith(t *testing.T, now func() time.Time, change func(*Hub)) *wire {
	t.Helper()
	return startWireIn(t, t.TempDir(), now, change)
}

// startWireIn starts a hub on a data folder that may have been used before.
func startWireIn(t *testing.T, data string, now func() time.Time, change func(*Hub)) *wire {
	t.Helper()
	h, err := New(Options{Data: data, HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	change(h)
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &wire{T: t, hub: h, http: &http.Client{Transport: &http.Transport{
		TLSClientConfig: clientTLS(h), ForceAttemptHTTP2: true,
	}}}
	t.Cleanup(func() {
		w.http.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("closing the hub: %v", err)
		}
	})
	return w
}

// in is the same hub for a subtest.
func (w *wire) in(t *testing.T) *wire { return &wire{t, w.hub, w.http, w.socket} }

// eachTransport runs a test with devices that come over TLS, and over WebSocket.
func (w *wire) eachTransport(test func(w *wire)) {
	for name, socket := range map[string]bool{"TLS": false, "WebSocket": true} {
		w.Run(name, func(t *testing.T) { test(&wire{t, w.hub, w.http, socket}) })
	}
}

// reply is an answer of the service API.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// refused is what SDKs read out of an error body.
type refused struct {
	Message          string
	ExceptionMessage string
	Position         *position `json:"position"`
}

func (r reply) refused(t *testing.T) refused {
	t.Helper()
	var e refused
	r.decode(t, &e)
	return e
}

func (r reply) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.Body), into); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
}

// token signs the way the Python SDK does.
func (w *wire) token(policy string) string {
	w.Helper()
	token, err := iothub.Sign("localhost:8443", w.hub.policies[policy].Primary, policy, w.hub.now().Add(time.Hour))
	if err != nil {
		w.Fatal(err)
	}
	return token
}

// send makes a request as it stands; header is pairs of name and value.
func (w *wire) send(method, target, body string, header ...string) reply {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, "https://"+w.hub.HTTPSAddr()+target, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.http.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

// call makes a request as iothubowner with the current api-version.
func (w *wire) call(method, path, body string, header ...string) reply {
	w.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	header = append([]string{"Authorization", w.token("iothubowner"), "Content-Type", contentJSON}, header...)
	return w.send(method, path+sep+"api-version="+iothub.APIVersion, body, header...)
}

// mustCall is call for steps that are not the point of a test.
func (w *wire) mustCall(method, path, body string, header ...string) reply {
	w.Helper()
	r := w.call(method, path, body, header...)
	if r.Status >= 300 {
		w.Fatalf("%s %s: %d %s", method, path, r.Status, r.Body)
	}
	return r
}

// device registers a device and returns its identity.
func (w *wire) device(id string) iothub.Device {
	w.Helper()
	d, err := w.hub.registry.createDevice(w.Context(), actor{Policy: "iothubowner"}, iothub.Device{DeviceID: id})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// desired merges a desired patch into a twin, not over the network.
func (w *wire) desired(id string, patch iothub.Document) int64 {
	w.Helper()
	t, err := w.hub.registry.updateTwin(w.Context(), actor{Policy: "service"}, twinKey{DeviceID: id},
		iothub.TwinPatch{Desired: patch}, iothub.Any)
	if err != nil {
		w.Fatal(err)
	}
	return t.Properties.Desired.Version
}

// eventually polls until ok says yes.
func (w *wire) eventually(what string, ok func() bool) {
	w.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			w.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}
