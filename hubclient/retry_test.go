package hubclient

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"twinboard/hubclient/iothub"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// operations are all calls of the client. safe ones change nothing at the hub.
var operations = []struct {
	name string
	safe bool
	do   func(context.Context, *Client) error
}{
	{"GetDevice", true, func(ctx context.Context, c *Client) error { _, err := c.GetDevice(ctx, "d"); return err }},
	{"ListDevices", true, func(ctx context.Context, c *Client) error { _, err := c.ListDevices(ctx, 10); return err }},
	{"GetTwin", true, func(ctx context.Context, c *Client) error { _, err := c.GetTwin(ctx, "d"); return err }},
	{"QueryPage", true, func(ctx context.Context, c *Client) error {
		_, err := c.QueryPage(ctx, "SELECT * FROM devices", "", 0)
		return err
	}},
	{"Statistics", true, func(ctx context.Context, c *Client) error { _, err := c.Statistics(ctx); return err }},
	{"ServiceStatistics", true, func(ctx context.Context, c *Client) error { _, err := c.ServiceStatistics(ctx); return err }},
	{"Changes", true, func(ctx context.Context, c *Client) error { _, err := c.Changes(ctx, ""); return err }},
	{"CreateDevice", false, func(ctx context.Context, c *Client) error {
		_, err := c.CreateDevice(ctx, iothub.Device{DeviceID: "d"})
		return err
	}},
	{"UpdateDevice", false, func(ctx context.Context, c *Client) error {
		_, err := c.UpdateDevice(ctx, iothub.Device{DeviceID: "d"}, nil)
		return err
	}},
	{"Bulk", false, func(ctx context.Context, c *Client) error {
		_, err := c.Bulk(ctx, []BulkItem{{Mode: iothub.ImportDelete, Device: iothub.Device{DeviceID: "d"}}})
		return err
	}},
	{"DeleteDevice", false, func(ctx context.Context, c *Client) error { return c.DeleteDevice(ctx, "d", nil) }},
	{"UpdateTwin", false, func(ctx context.Context, c *Client) error {
		_, err := c.UpdateTwin(ctx, "d", iothub.TwinPatch{Tags: iothub.Document{"a": "b"}}, nil)
		return err
	}},
	{"ReplaceTwin", false, func(ctx context.Context, c *Client) error {
		_, err := c.ReplaceTwin(ctx, "d", iothub.TwinPatch{Tags: iothub.Document{"a": "b"}}, &UpdateTwinOptions{IfMatch: "x"})
		return err
	}},
}

// TestRepeat holds, for each call and each failure, how often the hub is asked.
func TestRepeat(t *testing.T) {
	t.Parallel()
	status := func(e *iothub.Error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { refuse(w, e) }
	}
	failures := []struct {
		name          string
		handler       http.HandlerFunc // nil: nothing listens
		reads, writes int
	}{
		{"nothing listens", nil, 3, 3},
		{"connection breaks after the request", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, 3, 1},
		{"408", status(&iothub.Error{Code: "Timeout", Status: 408}), 3, 1},
		{"500", status(iothub.ErrServerError), 3, 1},
		{"503", status(iothub.ErrServiceUnavailable), 3, 1},
		{"429 without patience", status(iothub.ErrThrottling), 1, 1},
		{"412", status(iothub.ErrPreconditionFailed), 1, 1},
		{"401", status(iothub.ErrUnauthorizedAccess), 1, 1},
		{"not a hub", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, 1, 1},
	}
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			for _, op := range operations {
				var c *Client
				var trace *Trace
				if f.handler == nil {
					c, trace = clientOf(t, closedPort(t))
				} else {
					c, trace = serve(t, f.handler)
				}
				want := f.writes
				if op.safe {
					want = f.reads
				}
				all.Go(func() {
					err := op.do(WithPatience(t.Context(), Patience{}), c)
					if got := len(entries(trace)); err == nil || got != want {
						t.Errorf("%s: asked %d times, want %d (%v)", op.name, got, want, err)
					}
				})
			}
			all.Wait()
		})
	}
}

// closedPort is an address that refuses connections.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestRepeatSucceeds has the second try answered, body and signature included.
func TestRepeatSucceeds(t *testing.T) {
	t.Parallel()
	var bodies []string
	c, trace := serve(t, func(w http.ResponseWriter, r *http.Request) {
		bodies = append(bodies, readAll(t, r.Body))
		if len(bodies) == 1 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("x-ms-item-type", iothub.ItemRaw)
		reply(w, 200, []any{})
	})
	page, err := c.QueryPage(t.Context(), "SELECT a FROM devices WHERE b >= 1", "", 0)
	if err != nil || page.Type != iothub.ItemRaw {
		t.Fatal(page, err)
	}
	want := `{"query":"SELECT a FROM devices WHERE b >= 1"}`
	if len(bodies) != 2 || bodies[0] != want || bodies[1] != want {
		t.Errorf("bodies %q", bodies)
	}
	got := entries(trace)
	if len(got) != 2 || got[0].Err == "" || got[1].Status != 200 {
		t.Errorf("trace %+v", got)
	}
}

// roundTrip is a transport made of a function, for waits that only a fake clock
// can afford.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func throttled(retryAfter string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		resp := &http.Response{
			StatusCode: http.StatusTooManyRequests, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader(string(iothub.ErrThrottling.ServiceBody("t")))),
		}
		if retryAfter != "" {
			resp.Header.Set("Retry-After", retryAfter)
		}
		return resp, nil
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	second := time.Second
	tests := []struct {
		name       string
		retryAfter string
		patience   Patience
		timeout    time.Duration
		waits      []time.Duration
		advice     time.Duration
	}{
		{"ten seconds when the hub says nothing, at most thirty in all", "", DefaultPatience, 0, []time.Duration{10 * second, 10 * second, 10 * second}, 10 * second},
		{"as long as the hub says", "4", Patience{Max: 9 * second}, 0, []time.Duration{4 * second, 4 * second}, 4 * second},
		{"no patience, no wait", "", Patience{}, 0, nil, 10 * second},
		{"no wait that the deadline would cut", "", DefaultPatience, 15 * second, []time.Duration{10 * second}, 10 * second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := clientOf(t, "hub", func(o *Options) { o.HTTPClient = &http.Client{Transport: throttled(tt.retryAfter)} })
				var waits []time.Duration
				tt.patience.Notify = func(d time.Duration) { waits = append(waits, d) }
				ctx := WithPatience(t.Context(), tt.patience)
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				start := time.Now()
				_, err := c.GetTwin(ctx, "d")
				var throttle *ThrottledError
				if !errors.As(err, &throttle) || throttle.RetryAfter != tt.advice || !errors.Is(err, iothub.ErrThrottling) {
					t.Fatalf("error %v", err)
				}
				var sum time.Duration
				for i, w := range waits {
					sum += w
					if i >= len(tt.waits) || w != tt.waits[i] {
						t.Errorf("waits %v, want %v", waits, tt.waits)
					}
				}
				if len(waits) != len(tt.waits) || time.Since(start) != sum {
					t.Errorf("waited %v in %v, want %v", time.Since(start), waits, tt.waits)
				}
			})
		})
	}
}

// TestThrottledWrite: a write never waits, however patient.
func TestThrottledWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, trace := clientOf(t, "hub", func(o *Options) { o.HTTPClient = &http.Client{Transport: throttled("")} })
		start := time.Now()
		_, err := c.UpdateTwin(t.Context(), "d", iothub.TwinPatch{}, nil)
		var throttle *ThrottledError
		if !errors.As(err, &throttle) || time.Since(start) != 0 || len(entries(trace)) != 1 {
			t.Errorf("%v after %v, %d requests", err, time.Since(start), len(entries(trace)))
		}
	})
}

func TestThrottledCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := clientOf(t, "hub", func(o *Options) { o.HTTPClient = &http.Client{Transport: throttled("")} })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		_, err := c.GetTwin(ctx, "d")
		if !errors.Is(err, context.Canceled) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
