package hubclient

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func testString(host string) iothub.ServiceConnectionString {
	return iothub.ServiceConnectionString{HostName: host, SharedAccessKeyName: "service", SharedAccessKey: testKey}
}

// serve runs a handler over TLS and returns a client of it with a trace.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*Options)) (*Client, *Trace) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = discardLog()
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return clientOf(t, strings.TrimPrefix(server.URL, "https://"), append([]func(*Options){
		func(o *Options) { o.RootCAs = pool },
	}, change...)...)
}

func clientOf(t *testing.T, host string, change ...func(*Options)) (*Client, *Trace) {
	t.Helper()
	trace := feed.New[iothub.WireEntry](100)
	o := Options{Trace: trace}
	for _, f := range change {
		f(&o)
	}
	c, err := New(testString(host), &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, trace
}

// entries are the requests of the trace, in the order recorded.
func entries(trace *Trace) []iothub.WireEntry {
	var out []iothub.WireEntry
	for _, item := range trace.Recent(100, nil) {
		out = append(out, item.Value)
	}
	return out
}

// reply writes a JSON answer.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

// refuse answers like a hub that refuses.
func refuse(w http.ResponseWriter, e *iothub.Error) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("iothub-errorcode", e.Code)
	w.WriteHeader(e.Status)
	w.Write(e.ServiceBody("0123456789abcdef-G:1"))
}

func twinOf(id string) iothub.Twin {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return iothub.Twin{
		DeviceID: id, ETag: iothub.TwinETag(1), Version: 2, Status: iothub.StatusEnabled,
		ConnectionState: iothub.Disconnected,
		Properties:      iothub.Properties{Desired: iothub.NewSection(at), Reported: iothub.NewSection(at)},
	}
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}
