package hubclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"twinboard/hubclient/iothub"
)

func stream(w http.ResponseWriter, parts ...string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, p := range parts {
		io.WriteString(w, p)
		http.NewResponseController(w).Flush()
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	c, trace := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/changes" || r.URL.Query().Get("after") != "e1-4" || r.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("request %s, Accept %q", r.URL, r.Header.Get("Accept"))
		}
		stream(w, ": hello\n\n",
			"event: reset\ndata: {\"cursor\":\"e2-0\"}\n\n",
			"id: e2-1\nevent: change\ndata: {\"deviceId\":\"d\",\"kind\":\"reported\",\ndata: \"patch\":{\"n\":1.0},\"version\":3}\n\n",
			"event: later\ndata: {}\n\n:\n\n",
			"id: e2-2\r\nevent: change\r\ndata:{\"deviceId\":\"d2\"}\r\n\r\n",
			"id: e2-3\nevent: change\ndata: {\"devi")
	})
	s, err := c.Changes(t.Context(), "e1-4")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Next(); !errors.Is(err, ErrChangeFeedReset) || s.Cursor() != "e2-0" {
		t.Fatal(err, s.Cursor())
	}
	change, err := s.Next()
	if err != nil || change.DeviceID != "d" || change.Patch["n"] != json.Number("1.0") || s.Cursor() != "e2-1" {
		t.Fatal(change, err, s.Cursor())
	}
	change, err = s.Next()
	if err != nil || change.DeviceID != "d2" || s.Cursor() != "e2-2" {
		t.Fatal(change, err, s.Cursor())
	}
	// The half event counts for nothing.
	if _, err := s.Next(); !errors.Is(err, io.EOF) || s.Cursor() != "e2-2" {
		t.Fatal(err, s.Cursor())
	}
	if got := entries(trace); len(got) != 1 || got[0].Status != 200 || got[0].ResponseBody != "" {
		t.Errorf("trace %+v", got)
	}
}

func TestNoChangeFeed(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"404": func(w http.ResponseWriter, r *http.Request) { refuse(w, iothub.ErrResourceNotFound) },
		"405": func(w http.ResponseWriter, r *http.Request) { refuse(w, iothub.ErrMethodNotAllowed) },
		"200": func(w http.ResponseWriter, r *http.Request) { reply(w, 200, "what?") },
	} {
		c, _ := serve(t, h)
		if _, err := c.Changes(t.Context(), ""); !errors.Is(err, ErrNoChangeFeed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, iothub.ErrUnauthorizedAccess) })
	if _, err := c.Changes(t.Context(), ""); !errors.Is(err, iothub.ErrUnauthorizedAccess) {
		t.Error(err)
	}
}

func TestChangesEnd(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		stream(w, ":\n\n")
		if r.URL.Query().Get("after") == "break" {
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
	})
	open := func(ctx context.Context, after string) *ChangeStream {
		s, err := c.Changes(ctx, after)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(t.Context(), "break")
	var broken *ConnectionError
	if _, err := s.Next(); !errors.As(err, &broken) || broken.Kind != Unreachable {
		t.Errorf("broken: %v", err)
	}
	s.Close()

	ctx, cancel := context.WithCancel(t.Context())
	s = open(ctx, "")
	cancel()
	if _, err := s.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	s.Close()

	s = open(t.Context(), "")
	go s.Close()
	if _, err := s.Next(); err == nil {
		t.Error("closed: no error")
	}
}

// silentBody sends a comment at each of the given times and then nothing.
type silentBody struct {
	ctx  context.Context
	gaps []time.Duration
}

func (b *silentBody) Read(p []byte) (int, error) {
	if len(b.gaps) == 0 {
		<-b.ctx.Done()
		return 0, b.ctx.Err()
	}
	<-time.After(b.gaps[0])
	b.gaps = b.gaps[1:]
	return copy(p, ": here\n"), nil
}

func (b *silentBody) Close() error { return nil }

// TestChangesSilence: comments keep a stream, 45 seconds without one end it.
func TestChangesSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {eventStream}},
				Body: &silentBody{r.Context(), []time.Duration{40 * time.Second, 40 * time.Second}},
			}, nil
		})
		c, _ := clientOf(t, "hub", func(o *Options) { o.HTTPClient = &http.Client{Transport: transport} })
		s, err := c.Changes(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		start := time.Now()
		_, err = s.Next()
		var e *ConnectionError
		if !errors.As(err, &e) || e.Kind != Timeout || time.Since(start) != 125*time.Second {
			t.Error(fmt.Sprint(err), time.Since(start))
		}
	})
}
