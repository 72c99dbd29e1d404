package hubclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

func TestConnectionError(t *testing.T) {
	t.Parallel()
	never := func(w http.ResponseWriter, r *http.Request) { t.Error("the request arrived") }
	https := func(t *testing.T, h http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = discardLog()
		s.StartTLS()
		t.Cleanup(s.Close)
		return s, s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	answer := func(h http.HandlerFunc) func(*testing.T) *Client {
		return func(t *testing.T) *Client { c, _ := serve(t, h); return c }
	}
	tests := []struct {
		name string
		make func(*testing.T) *Client
		kind ConnectionKind
		sent bool
	}{
		{"nothing listens", func(t *testing.T) *Client { c, _ := clientOf(t, closedPort(t)); return c }, Refused, false},
		{"unknown host", func(t *testing.T) *Client {
			c, _ := clientOf(t, "hub.invalid", func(o *Options) {
				o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "hub.invalid", IsNotFound: true}}
				}}}
			})
			return c
		}, DNS, false},
		{"unknown authority", func(t *testing.T) *Client {
			s, _ := https(t, never)
			c, _ := clientOf(t, s.Listener.Addr().String())
			return c
		}, TLSUnknownAuthority, false},
		{"certificate of another host", func(t *testing.T) *Client {
			s, pool := https(t, never)
			_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
			c, _ := clientOf(t, "localhost:"+port, func(o *Options) { o.RootCAs = pool })
			return c
		}, TLSName, false},
		{"expired certificate", func(t *testing.T) *Client {
			s, pool := https(t, never)
			c, _ := clientOf(t, s.Listener.Addr().String(), func(o *Options) {
				later := func() time.Time { return time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) }
				o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Time: later}}}
			})
			return c
		}, TLSInvalid, false},
		{"plain HTTP", func(t *testing.T) *Client {
			s := httptest.NewServer(http.HandlerFunc(never))
			t.Cleanup(s.Close)
			c, _ := clientOf(t, s.Listener.Addr().String())
			return c
		}, NotAHub, false},
		{"breaks", answer(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }), Unreachable, true},
		{"a web page", answer(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<h1>It works</h1>")) }), NotAHub, true},
		{"a redirect", answer(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }), NotAHub, true},
		{"a web server's 404", answer(http.NotFound), NotAHub, true},
		{"other JSON", answer(func(w http.ResponseWriter, r *http.Request) { reply(w, 200, map[string]string{"hello": "world"}) }), NotAHub, true},
		{"the answer breaks off", answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte(`{"deviceId":`))
		}), Unreachable, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := tt.make(t)
			for _, do := range []func() error{
				func() error { _, err := c.GetTwin(t.Context(), "d"); return err },
				func() error { _, err := c.UpdateTwin(t.Context(), "d", iothub.TwinPatch{}, nil); return err },
			} {
				err := do()
				var e *ConnectionError
				if !errors.As(err, &e) {
					t.Fatalf("%T %v", err, err)
				}
				if e.Kind != tt.kind || e.Sent != tt.sent || e.Host != c.Host() {
					t.Errorf("%+v (%v), want %s, sent %v", e, e.Err, tt.kind, tt.sent)
				}
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	go func() { <-arrived }()
	_, err := c.GetTwin(ctx, "d")
	var e *ConnectionError
	if !errors.As(err, &e) || e.Kind != Timeout || !e.Sent {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err = c.GetTwin(ctx, "d")
	if !errors.Is(err, context.Canceled) || errors.As(err, &e) && e.Kind != Timeout {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for _, want := range []*iothub.Error{
		iothub.ErrDeviceNotFound, iothub.ErrPreconditionFailed, iothub.ErrDeviceAlreadyExists,
		iothub.ErrUnauthorizedAccess, iothub.ErrArgumentInvalid, iothub.ErrQuotaExceeded, iothub.ErrMessageTooLarge,
	} {
		c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, want.With("because of %s", r.URL.Path)) })
		_, err := c.GetTwin(t.Context(), "pump 1")
		var got *iothub.Error
		if !errors.As(err, &got) || !errors.Is(err, want) || got.Number != want.Number || got.Status != want.Status {
			t.Errorf("%v, want %v", err, want)
		} else if got.Message != "because of /twins/pump 1" || got.TrackingID == "" {
			t.Errorf("%+v", got)
		}
	}
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		hub  time.Duration // the hub's clock, ahead of ours
		skew time.Duration
	}{
		{0, 0},
		{4 * time.Minute, 0},
		{-4 * time.Minute, 0},
		{2 * time.Hour, -2 * time.Hour},
		{-26 * time.Hour, 26 * time.Hour},
	} {
		c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", now.Add(tt.hub).Format(http.TimeFormat))
			refuse(w, iothub.ErrUnauthorizedAccess)
		}, func(o *Options) { o.Now = func() time.Time { return now } })
		_, err := c.GetTwin(t.Context(), "d")
		var e *ConnectionError
		if got := errors.As(err, &e); got != (tt.skew != 0) {
			t.Errorf("hub %v ahead: %v", tt.hub, err)
		} else if got && (e.Kind != ClockSkew || e.Skew != tt.skew) {
			t.Errorf("hub %v ahead: %+v", tt.hub, e)
		}
		if !errors.Is(err, iothub.ErrUnauthorizedAccess) {
			t.Errorf("the refusal is lost: %v", err)
		}
	}
}

func TestNewRefusesBadStrings(t *testing.T) {
	t.Parallel()
	if _, err := New(iothub.ServiceConnectionString{SharedAccessKey: testKey}, nil); err == nil {
		t.Error("no host accepted")
	}
	cs := testString("hub")
	cs.SharedAccessKey = "not base64!"
	if _, err := New(cs, nil); err == nil || strings.Contains(err.Error(), cs.SharedAccessKey) {
		t.Errorf("bad key: %v", err)
	}
}
