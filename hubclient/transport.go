package hubclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

const (
	// tryTimeout bounds one request with the whole of its answer. IoT Hub delays
	// requests before it refuses them, so it is generous.
	tryTimeout     = 60 * time.Second
	dialTimeout    = 5 * time.Second
	headersTimeout = 30 * time.Second
	// idleTimeout is shorter than any hub's, so that a write hardly ever meets a
	// connection that the hub is closing.
	idleTimeout = 50 * time.Second
	// maxAnswer bounds an answer: a page of 100 of the largest twins stays below.
	maxAnswer = 64 << 20
)

var errTooLarge = errors.New("the answer is larger than any answer of a hub")

// httpClient is the injected client or our own: keep-alive, HTTP/1.1, no
// redirects.
func httpClient(o Options) *http.Client {
	var client http.Client
	if o.HTTPClient != nil {
		client = *o.HTTPClient
	} else {
		client.Transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: headersTimeout,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConnsPerHost:   32,
		}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// patientClient is the same client for answers that may take longer than
// headersTimeout, such as those of direct methods; their calls bring a time-out
// of their own.
func patientClient(usual *http.Client, injected bool) *http.Client {
	transport, ok := usual.Transport.(*http.Transport)
	if injected || !ok {
		return usual
	}
	patient, longer := *usual, transport.Clone()
	longer.ResponseHeaderTimeout = 0
	patient.Transport = longer
	return &patient
}

type patientKey struct{}

// patiently marks a request for patientClient.
func patiently(ctx context.Context) context.Context {
	return context.WithValue(ctx, patientKey{}, true)
}

// boundedTransport ends an answer that is larger than a hub's can be.
type boundedTransport struct{ usual, patient *http.Client }

func (t boundedTransport) Do(req *http.Request) (*http.Response, error) {
	client := t.usual
	if req.Context().Value(patientKey{}) != nil {
		client = t.patient
	}
	resp, err := client.Do(req)
	if err == nil && req.Header.Get("Accept") != eventStream {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// headerPolicy adds what every request carries.
type headerPolicy struct{ userAgent string }

func (p headerPolicy) Do(req *policy.Request) (*http.Response, error) {
	req.Raw().Header.Set("User-Agent", p.userAgent)
	if req.Raw().Header.Get("Accept") == "" {
		req.Raw().Header.Set("Accept", "application/json")
	}
	return req.Next()
}
