package localhub

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// event is one server-sent event.
type event struct{ id, kind, data string }

// changes opens the change feed; the function returns the next event.
func (w *wire) changes(after, token string) (*http.Response, func() (event, error)) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet,
		"https://"+w.hub.HTTPSAddr()+"/changes?api-version=2021-04-12&after="+after, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	res, err := w.http.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewReader(res.Body)
	return res, func() (e event, err error) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return e, err
			}
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				e.data = value
			case "":
				return e, nil
			}
		}
	}
}

func (w *wire) change(e event, err error) iothub.Change {
	w.Helper()
	if err != nil || e.kind != "change" {
		w.Fatalf("event %+v, error %v", e, err)
	}
	var c iothub.Change
	if err := json.Unmarshal([]byte(e.data), &c); err != nil {
		w.Fatal(err)
	}
	return c
}

func TestChanges(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	res, next := w.changes("", w.token("service"))
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	first, err := next()
	if err != nil || first.kind != "reset" || first.data != `{"cursor":"`+first.id+`"}` {
		t.Fatalf("%+v %v", first, err)
	}
	start, ok := iothub.ParseCursor(first.id)
	if !ok || start.Epoch != w.hub.changes.Epoch() || start.ID != w.hub.changes.Last() {
		t.Errorf("cursor %s", first.id)
	}
	w.mustCall(http.MethodPatch, "/twins/d1", `{"tags":{"a":"x\ny"},"properties":{"desired":{"n":1.0}}}`)
	e, err := next()
	if c := w.change(e, err); c.Kind != iothub.ChangeTags || c.Policy != "iothubowner" || c.Patch["a"] != "x\ny" {
		t.Errorf("%+v", c)
	}
	afterTags := e.id
	e, err = next()
	if c := w.change(e, err); c.Kind != iothub.ChangeDesired || c.Patch["n"] != json.Number("1.0") || c.SectionVersion != 2 {
		t.Errorf("%+v", c)
	}

	// Going on from a cursor misses nothing and repeats nothing.
	_, again := w.changes(afterTags, w.token("service"))
	if repeated, err := again(); err != nil || repeated != e {
		t.Errorf("%+v %v instead of %+v", repeated, err, e)
	}
	w.desired("d1", iothub.Document{"n": nil})
	for _, next := range []func() (event, error){next, again} {
		if c := w.change(next()); c.Kind != iothub.ChangeDesired || c.SectionVersion != 3 {
			t.Errorf("%+v", c)
		}
	}

	for _, after := range []string{"0123456789abcdef-1", "nonsense", iothub.Cursor{Epoch: start.Epoch, ID: 1 << 40}.String()} {
		_, next := w.changes(after, w.token("service"))
		e, err := next()
		if cursor, _ := iothub.ParseCursor(e.id); err != nil || e.kind != "reset" || cursor.ID != w.hub.changes.Last() {
			t.Errorf("after %s: %+v %v", after, e, err)
		}
	}
}

// client takes what is sent to it and notes how much comes at once. It may go.
type client struct {
	http.ResponseWriter
	most, all int
	gone      error
}

func (c *client) Write(p []byte) (int, error) {
	c.most, c.all = max(c.most, len(p)), c.all+len(p)
	return len(p), c.gone
}

func (c *client) Flush()                           {}
func (c *client) SetWriteDeadline(time.Time) error { return nil }

// TestManyChangesAreSentSomeAtATime replays large ones, to a client that is there
// and to one that has gone: neither has all of them printed side by side.
func TestManyChangesAreSentSomeAtATime(t *testing.T) {
	const n, size = 200, 32 << 10
	change := iothub.Change{Patch: iothub.Document{"a": strings.Repeat("x", size)}}
	for _, gone := range []error{nil, io.ErrClosedPipe} {
		c := &client{gone: gone}
		w := &eventWriter{w: c, control: http.NewResponseController(c)}
		for i := range uint64(n) {
			w.change(feed.Item[iothub.Change]{ID: i, Value: change})
		}
		if err := w.flush(); !errors.Is(err, gone) {
			t.Errorf("ended with %v", err)
		}
		if c.most > changesAtOnce+2*size || gone == nil && c.all < n*size || gone != nil && c.all > c.most {
			t.Errorf("%d bytes in all, %d at once, to a client with the error %v", c.all, c.most, gone)
		}
	}
}

// TestChangesTooOld asks for a place the feed no longer holds.
func TestChangesTooOld(t *testing.T) {
	w := startWire(t)
	for range keptChanges + 10 {
		w.hub.changes.Publish(iothub.Change{Kind: iothub.ChangeTelemetry})
	}
	_, next := w.changes(iothub.Cursor{Epoch: w.hub.changes.Epoch(), ID: 5}.String(), w.token("service"))
	if e, err := next(); err != nil || e.kind != "reset" {
		t.Errorf("%+v %v", e, err)
	}
}

// TestChangesEndWithTheToken keeps a stream from outliving what opened it.
func TestChangesEndWithTheToken(t *testing.T) {
	start := time.Now()
	full := start.Truncate(time.Second)
	w := startWireAt(t, func() time.Time { return full.Add(700*time.Millisecond + time.Since(start)) })
	token, err := iothub.Sign("localhost", w.hub.policies["service"].Primary, "service", w.hub.now().Truncate(time.Second).Add(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	_, next := w.changes("", token)
	if e, err := next(); err != nil || e.kind != "reset" {
		t.Fatalf("%+v %v", e, err)
	}
	if e, err := next(); err == nil {
		t.Errorf("the stream goes on with %+v", e)
	}
}

// TestStreamsOutliveTimeouts keeps a stream open, by heartbeats alone, well past
// the time an ordinary request may take, over HTTP/1.1 and HTTP/2.
func TestStreamsOutliveTimeouts(t *testing.T) {
	const timeout = 100 * time.Millisecond
	w := startWireWith(t, time.Now, func(h *Hub) {
		h.rest.http.ReadTimeout, h.rest.http.WriteTimeout = timeout, timeout
		h.rest.heartbeat = timeout / 10
	})
	w.device("d1")
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: clientTLS(w.hub), ForceAttemptHTTP2: http2}
		defer transport.CloseIdleConnections()
		c := &wire{T: t, hub: w.hub, http: &http.Client{Transport: transport}}
		res, next := c.changes("", w.token("service"))
		if (res.ProtoMajor == 2) != http2 {
			t.Fatalf("speaks %s", res.Proto)
		}
		if e, err := next(); err != nil || e.kind != "reset" {
			t.Fatalf("%+v %v", e, err)
		}
		for start := time.Now(); time.Since(start) < 4*timeout; {
			if beat, err := next(); err != nil || beat != (event{}) {
				t.Fatalf("%s: %+v %v after %v", res.Proto, beat, err, time.Since(start))
			}
		}
		version := w.desired("d1", iothub.Document{"a": http2})
		e, err := next()
		for err == nil && e == (event{}) {
			e, err = next()
		}
		if c := w.change(e, err); c.SectionVersion != version {
			t.Errorf("%s: %+v", res.Proto, c)
		}
	}
}

// TestCloseDoesNotWaitForStreams stops a hub with everything open.
func TestCloseDoesNotWaitForStreams(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	d := w.listening("d1")
	silent := w.dial() // has not even sent CONNECT
	_, next := w.changes("", w.token("service"))
	if _, err := next(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	start := time.Now()
	if err := w.hub.Close(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("closing took %v", took)
	}
	d.ended()
	silent.ended()
}
