package hubclient

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"twinboard/hubclient/iothub"
)

const (
	eventStream = "text/event-stream"
	// silence ends a stream on which not even the comment arrives that a hub
	// sends every 15 seconds.
	silence = 45 * time.Second
	// maxEvent bounds one line of a stream; a change of the largest sections
	// with what it replaced stays below.
	maxEvent = 1 << 20
)

// ErrNoChangeFeed means that the hub offers no change feed. It is an extension
// of the local hub; Azure's hubs have none.
var ErrNoChangeFeed = errors.New("the hub has no change feed")

// ErrChangeFeedReset means that the hub cannot go on from the place asked for:
// whatever was derived from the feed must be read afresh, from ChangeStream.Cursor
// on. The stream goes on.
var ErrChangeFeedReset = errors.New("the change feed starts afresh")

// ChangeStream is an open change feed. It belongs to one goroutine, except for
// Close.
type ChangeStream struct {
	client *Client
	ctx    context.Context // the request's own, ended by Close and by silence
	cancel context.CancelFunc
	body   io.ReadCloser
	lines  *bufio.Scanner
	watch  *time.Timer
	silent *atomic.Bool // the watch ended the stream
	cursor string
}

// Changes opens the hub's change feed after a cursor, "" for one that starts
// now. A hub without a feed gives ErrNoChangeFeed. Close the stream when done;
// reopening it after a failure is the caller's business.
func (c *Client) Changes(ctx context.Context, after string) (*ChangeStream, error) {
	query := url.Values{}
	if after != "" {
		query.Set("after", after)
	}
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.send(ctx, call{
		method: http.MethodGet, path: "/changes", query: query, safe: true, stream: true,
		header: map[string]string{"Accept": eventStream, "Cache-Control": "no-store"},
	})
	if err != nil {
		cancel()
		if isUnknownRoute(err) {
			return nil, ErrNoChangeFeed
		}
		return nil, fmt.Errorf("changes: %w", err)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), eventStream) {
		resp.Body.Close()
		cancel()
		return nil, ErrNoChangeFeed
	}
	s := &ChangeStream{
		client: c, ctx: ctx, cancel: cancel, body: resp.Body,
		lines: bufio.NewScanner(resp.Body), silent: new(atomic.Bool), cursor: after,
	}
	s.lines.Buffer(nil, maxEvent)
	s.watch = time.AfterFunc(silence, func() {
		s.silent.Store(true)
		cancel()
	})
	return s, nil
}

// MessageBody reads the whole body of a message that the change feed told only
// the beginning of: id is iothub.Telemetry.Whole. A body that the hub no longer
// keeps is iothub.ErrResourceNotFound.
func (c *Client) MessageBody(ctx context.Context, id string) ([]byte, error) {
	resp, err := c.send(ctx, call{method: http.MethodGet, path: "/changes/bodies/" + escapeID(id), safe: true})
	if err != nil {
		return nil, fmt.Errorf("message body: %w", err)
	}
	body, err := runtime.Payload(resp)
	if err != nil {
		return nil, c.connectionError(ctx, err)
	}
	return body, nil
}

// isUnknownRoute recognises how a hub without the extension may answer: what
// Azure says to an unknown path is not documented.
func isUnknownRoute(err error) bool {
	var refused *iothub.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
		return true
	}
	return false
}

// Cursor is the place in the feed of the latest event: what Changes takes to go
// on after it.
func (s *ChangeStream) Cursor() string { return s.cursor }

// Close ends the stream and lets a waiting Next return.
func (s *ChangeStream) Close() {
	s.watch.Stop()
	s.cancel()
	s.body.Close()
}

// Next waits for the next change. After ErrChangeFeedReset it may be called
// again; any other error ends the stream, io.EOF when the hub ended it.
func (s *ChangeStream) Next() (iothub.Change, error) {
	for {
		e, err := s.event()
		if err != nil {
			return iothub.Change{}, err
		}
		switch e.name {
		case "change":
			var change iothub.Change
			if err := json.Unmarshal([]byte(e.data), &change); err != nil {
				return iothub.Change{}, fmt.Errorf("changes: %w", s.client.notAHub(err))
			}
			s.cursor = e.id
			return change, nil
		case "reset":
			var at struct {
				Cursor string `json:"cursor"`
			}
			if err := json.Unmarshal([]byte(e.data), &at); err != nil || at.Cursor == "" {
				return iothub.Change{}, fmt.Errorf("changes: %w", s.client.notAHub(errors.New("reset without a cursor")))
			}
			s.cursor = at.Cursor
			return iothub.Change{}, ErrChangeFeedReset
		}
	}
}

// sseEvent is one event of a stream (HTML standard, server-sent events).
type sseEvent struct{ id, name, data string }

// event reads lines up to the blank one that ends an event.
func (s *ChangeStream) event() (sseEvent, error) {
	var e sseEvent
	for s.lines.Scan() {
		s.watch.Reset(silence)
		line := s.lines.Text()
		if line == "" {
			if e.data != "" {
				return e, nil
			}
			e = sseEvent{}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			if e.data != "" {
				e.data += "\n"
			}
			e.data += value
		}
	}
	return sseEvent{}, s.end()
}

// end says why no more lines come.
func (s *ChangeStream) end() error {
	err := s.lines.Err()
	switch {
	case s.silent.Load():
		err = context.DeadlineExceeded
	case s.ctx.Err() != nil:
		err = s.ctx.Err() // the body may say anything once the request is cancelled
	case err == nil:
		return io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("changes: %w", s.client.notAHub(err))
	}
	return fmt.Errorf("changes: %w", s.client.connectionError(s.ctx, err))
}
