// Package hubclient talks to the service API of any IoT Hub: Azure's, or the
// local one. It signs each request with the hub's shared access key, says
// exactly what went wrong, and never repeats a request that may have changed
// something.
//
// The package knows the service API only: devices connect with MQTT, which is
// the business of others.
package hubclient

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// Trace is where the requests really sent are recorded. Devices record theirs
// in the same feed.
type Trace = feed.Feed[iothub.WireEntry]

// Options are what a Client can be given; the zero value of each means its
// default.
type Options struct {
	// HTTPClient replaces the client's own transport; redirects are not
	// followed in any case, since they would carry the signature elsewhere.
	HTTPClient *http.Client
	// RootCAs are trusted instead of the system's authorities, for a hub with a
	// private one. Ignored when HTTPClient is set.
	RootCAs *x509.CertPool
	// Now is the clock that tokens are signed by and compared with the hub's.
	Now func() time.Time
	Log *slog.Logger
	// Trace receives every request and its answer, secrets masked; nil records
	// nothing.
	Trace     *Trace
	UserAgent string // "twinboard" by default
}

// Client reaches one hub. It may be used by any number of goroutines.
type Client struct {
	host     string // as in the connection string, port included
	pipeline runtime.Pipeline
	http     *http.Client
	patient  *http.Client // for calls that wait on a device
	now      func() time.Time
	log      *slog.Logger
}

// New makes a client of the hub that a connection string names. Nothing is sent
// yet; the error is about the connection string.
func New(cs iothub.ServiceConnectionString, options *Options) (*Client, error) {
	if cs.HostName == "" {
		return nil, errors.New("hub client: the connection string names no host")
	}
	o := options.withDefaults()
	sas, err := newSASPolicy(cs, o.Now)
	if err != nil {
		return nil, fmt.Errorf("hub client: %w", err)
	}
	c := &Client{host: cs.HostName, http: httpClient(o), now: o.Now, log: o.Log}
	c.patient = patientClient(c.http, o.HTTPClient != nil)
	c.pipeline = runtime.NewPipeline("hubclient", "", runtime.PipelineOptions{
		PerCall:  []policy.Policy{headerPolicy{userAgent: o.UserAgent}, retryPolicy{log: o.Log}},
		PerRetry: []policy.Policy{sas, tracePolicy{feed: o.Trace, now: o.Now}},
	}, &policy.ClientOptions{
		Transport: boundedTransport{usual: c.http, patient: c.patient},
		Telemetry: policy.TelemetryOptions{Disabled: true},
		// retryPolicy decides alone what is repeated.
		Retry: policy.RetryOptions{MaxRetries: -1, TryTimeout: tryTimeout},
	})
	return c, nil
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Now == nil {
		out.Now = time.Now
	}
	if out.Log == nil {
		out.Log = slog.New(slog.DiscardHandler)
	}
	if out.UserAgent == "" {
		out.UserAgent = "twinboard"
	}
	return out
}

// Host is the hub's host name as in the connection string, with its port if it
// carries one.
func (c *Client) Host() string { return c.host }

// Close lets go of idle connections. Streams are closed by whoever opened them.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.patient.CloseIdleConnections()
}

// call is one operation of the service API.
type call struct {
	method string
	path   string // already escaped
	query  url.Values
	header map[string]string
	body   any
	// safe marks what changes nothing at the hub and may be repeated.
	safe bool
	// stream marks an answer that does not end: its body is read by the caller.
	stream bool
	// patience is how long an answer may take; 0 for what it is by default.
	patience time.Duration
}

// operation is what the policies need to know of a call.
type operation struct {
	safe   bool
	stream bool
	body   []byte
}

// send runs a call and returns an answer with a 2xx status; anything else is an
// error, as described at ConnectionError.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	resp, err := c.exchange(ctx, k)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, c.refusal(resp)
	}
	return resp, nil
}

// exchange runs a call and returns its answer, whatever its status.
func (c *Client) exchange(ctx context.Context, k call) (*http.Response, error) {
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, err
	}
	resp, err := c.pipeline.Do(req)
	if err != nil {
		return nil, c.connectionError(ctx, err)
	}
	return resp, nil
}

func (c *Client) request(ctx context.Context, k call) (*policy.Request, error) {
	query := url.Values{"api-version": {iothub.APIVersion}}
	maps.Copy(query, k.query)
	if k.stream {
		ctx = policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1})
	}
	if k.patience > 0 {
		ctx = policy.WithRetryOptions(patiently(ctx), policy.RetryOptions{MaxRetries: -1, TryTimeout: k.patience})
	}
	req, err := runtime.NewRequest(ctx, k.method, "https://"+c.host+k.path+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("hub client: %w", err)
	}
	op := operation{safe: k.safe, stream: k.stream}
	if k.body != nil {
		if op.body, err = encode(k.body); err != nil {
			return nil, fmt.Errorf("hub client: body: %w", err)
		}
		body := streaming.NopCloser(bytes.NewReader(op.body))
		if err := req.SetBody(body, "application/json; charset=utf-8"); err != nil {
			return nil, fmt.Errorf("hub client: body: %w", err)
		}
	}
	for name, value := range k.header {
		req.Raw().Header.Set(name, value)
	}
	if k.stream {
		runtime.SkipBodyDownload(req)
	}
	req.SetOperationValue(op)
	return req, nil
}

// encode writes JSON without the escapes for HTML: the wire trace shows queries
// as they were typed.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// receive sends a call and decodes its JSON answer.
func receive[T any](ctx context.Context, c *Client, k call) (T, error) {
	var out T
	resp, err := c.send(ctx, k)
	if err != nil {
		return out, err
	}
	body, err := runtime.Payload(resp)
	if err != nil {
		return out, c.connectionError(ctx, err)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, c.notAHub(fmt.Errorf("%s %s answered what is no IoT Hub answer: %w", k.method, k.path, err))
	}
	return out, nil
}

func (c *Client) notAHub(err error) error {
	return &ConnectionError{Kind: NotAHub, Host: c.host, Sent: true, Err: err}
}

// escapeID writes an id as one segment of a path. Ids made of dots only would
// be taken for a step up by whatever cleans paths on the way.
func escapeID(id string) string {
	if strings.Trim(id, ".") == "" {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}

// ifMatch is the header of a conditional write; none without a condition.
func ifMatch(tag iothub.ETag) map[string]string {
	if tag == "" {
		return nil
	}
	return map[string]string{"If-Match": tag.Header()}
}
