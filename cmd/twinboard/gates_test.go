package main

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// The ways in which a hub fails, by the names of the hubs in far.
var faults = map[string]func(http.ResponseWriter, *http.Request) (answered bool){
	// It never answers.
	"laggard": func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // until then nobody notices that the client leaves
		<-r.Context().Done()
		return true
	},
	// It tells nothing by itself, and takes its time over a twin asked for by its id.
	"sluggish": func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/changes" {
			return refuse(w, iothub.ErrResourceNotFound)
		}
		if strings.HasPrefix(r.URL.Path, "/twins/") {
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
			}
		}
		return false
	},
	// It asks everyone to slow down.
	"swamped": throttle,
	// It has room for reading only.
	"sealed": func(w http.ResponseWriter, r *http.Request) bool { return writes(r) && throttle(w, r) },
	// Its connection breaks when something is written.
	"frayed": func(_ http.ResponseWriter, r *http.Request) bool {
		if writes(r) {
			panic(http.ErrAbortHandler)
		}
		return false
	},
	// It refuses every key, as it is given a wrong one.
	"badkey": func(http.ResponseWriter, *http.Request) bool { return false },
	// It answers until it is shut.
	"vanished": func(http.ResponseWriter, *http.Request) bool { return false },
}

func throttle(w http.ResponseWriter, _ *http.Request) bool {
	return refuse(w, iothub.ErrThrottling)
}

func refuse(w http.ResponseWriter, e *iothub.Error) bool {
	w.WriteHeader(e.Status)
	_, _ = w.Write(e.ServiceBody("")) // the client would notice
	return true
}

// writes reports whether a request changes something. Queries are posted too.
func writes(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/query")
}

// newGate stands before a hub, as a slow line or a throttle does.
func newGate(t *testing.T, hub *url.URL, transport http.RoundTripper, fault func(http.ResponseWriter, *http.Request) bool) *httptest.Server {
	t.Helper()
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(hub) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	gate := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	gate.Config.ErrorLog = proxy.ErrorLog
	gate.StartTLS()
	t.Cleanup(func() { gate.CloseClientConnections(); gate.Close() })
	return gate
}

// startFar starts a hub, a gate before it for each fault, and a dashboard of all
// the gates and of a hub that is not there.
func startFar(t *testing.T) *program {
	t.Helper()
	var devices []fixture
	for n := range 30 {
		devices = append(devices, plain(fmt.Sprintf("pump-%02d", n+1)))
	}
	data := prepare(t, devices...)
	hub := startProgram(t, "hub", "--data", data, "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0", "--log-level", "error")
	cas, err := readCAs(hub.CA)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cas, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	_, key, _ := strings.Cut(ask(t, "connection-string", "--data", data), ";")
	args := []string{"serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--log-level", "error", "--quiet", "--hub", "dead=HostName=localhost:1;" + key}
	var ca []byte
	var vanishing *httptest.Server
	for name, fault := range faults {
		g := newGate(t, &url.URL{Scheme: "https", Host: hub.HTTPS}, transport, fault)
		_, port, _ := strings.Cut(g.Listener.Addr().String(), ":")
		with := key
		switch name {
		case "badkey":
			with = "SharedAccessKeyName=iothubowner;SharedAccessKey=AAAA"
		case "vanished":
			vanishing = g
		}
		args = append(args, "--hub", name+"=HostName=127.0.0.1:"+port+";"+with)
		ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	far := startProgram(t, append(args, "--hub-ca", file)...)
	for _, name := range []string{"sealed", "frayed", "sluggish", "vanished"} {
		far.until(t, "/h/"+name+"/devices", "the devices of hub "+name, func(body []byte) bool {
			return strings.Contains(string(body), `"complete": true`)
		})
	}
	_ = vanishing.Listener.Close() // it is closed twice
	vanishing.CloseClientConnections()
	return far
}
