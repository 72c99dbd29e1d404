package localhub

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

const (
	changesHeartbeat = 15 * time.Second
	// changesWriteTimeout ends the stream of a reader that stands still.
	changesWriteTimeout = 30 * time.Second
	// changesAtOnce is how many bytes of events are collected before they are sent.
	changesAtOnce = 256 << 10
)

// changesStream is the change feed, an extension of ours: server-sent events
// from the cursor in after on. A reader whose cursor is absent, too old or of
// another epoch first gets a reset with the cursor to go on from, and has to
// read the whole hub anew. The stream ends with the token that opened it.
func (s *restServer) changesStream(c echo.Context, by caller) error {
	events := s.hub.changes
	start := iothub.Cursor{Epoch: events.Epoch(), ID: events.Last()}
	from, ok := iothub.ParseCursor(c.QueryParam("after"))
	known := ok && from.Epoch == start.Epoch
	if !known {
		from = start
	}
	missed, sub, complete := events.Subscribe(from.ID)
	for !complete {
		sub.Close()
		from.ID, known = events.Last(), false
		missed, sub, complete = events.Subscribe(from.ID)
	}
	defer sub.Close()
	c.Response().Header().Set("Content-Type", "text/event-stream")
	c.Response().Header().Set("Cache-Control", "no-store")
	c.Response().Header().Set("X-Accel-Buffering", "no")
	w := &eventWriter{w: c.Response(), control: http.NewResponseController(c.Response()), epoch: start.Epoch}
	if err := w.control.SetReadDeadline(time.Time{}); err != nil {
		return err // the request's own deadline would end the stream
	}
	if !known {
		w.reset(from)
	}
	for _, item := range missed {
		w.change(item)
	}
	if w.flush() != nil {
		return nil // the reader has gone
	}
	s.follow(c, w, sub, by.expiry)
	return nil
}

// follow hands on what happens until the reader leaves, falls behind or its
// token expires, or the hub stops.
func (s *restServer) follow(c echo.Context, w *eventWriter, sub *feed.Subscription[iothub.Change], expiry time.Time) {
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	expired := time.NewTimer(expiry.Sub(s.hub.now()))
	defer expired.Stop()
	for {
		select {
		case item, ok := <-sub.C():
			if !ok {
				return
			}
			w.change(item)
			for range len(sub.C()) {
				if item, ok := <-sub.C(); ok {
					w.change(item)
				}
			}
		case <-beat.C:
			w.comment()
		case <-expired.C:
			return
		case <-c.Request().Context().Done():
			return
		case <-s.stopping:
			return
		}
		if w.flush() != nil {
			return
		}
	}
}

// eventWriter collects events and sends them together, some at a time.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	epoch   string
	buffer  bytes.Buffer
	err     error // the first of sending; nothing is sent after it
}

func (w *eventWriter) reset(at iothub.Cursor) {
	fmt.Fprintf(&w.buffer, "id: %[1]s\nevent: reset\ndata: {\"cursor\":%[1]q}\n\n", at.String())
}

func (w *eventWriter) change(item feed.Item[iothub.Change]) {
	if w.buffer.Len() >= changesAtOnce && w.flush() != nil {
		return
	}
	data, err := iothub.EncodeJSON(item.Value)
	if err != nil {
		return // a Change always marshals; a broken frame would stop the reader for good
	}
	fmt.Fprintf(&w.buffer, "id: %s\nevent: change\ndata: %s\n\n", iothub.Cursor{Epoch: w.epoch, ID: item.ID}, data)
}

func (w *eventWriter) comment() { w.buffer.WriteString(":\n\n") }

func (w *eventWriter) flush() error {
	if w.err == nil {
		w.err = w.send()
	}
	return w.err
}

func (w *eventWriter) send() error {
	if err := w.control.SetWriteDeadline(time.Now().Add(changesWriteTimeout)); err != nil {
		return err
	}
	if _, err := w.buffer.WriteTo(w.w); err != nil {
		return err
	}
	return w.control.Flush()
}

// messageBody answers the whole body of a message that the change feed has cut.
// What a device sent is never shown as anything but bytes.
func (s *restServer) messageBody(c echo.Context, _ caller) error {
	bodies := s.hub.registry.bodies
	at, ok := iothub.ParseCursor(pathID(c))
	b, kept := bodies.Get(at.ID)
	if !ok || !kept || at.Epoch != bodies.Epoch() {
		return iothub.ErrResourceNotFound.With("the body %s is not kept, or not any more: the hub keeps the latest %d within %d MB",
			pathID(c), keptBodies, keptBodyBytes>>20)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	c.Response().Header().Set("X-Content-Type-Options", "nosniff")
	return c.Blob(http.StatusOK, echo.MIMEOctetStream, b)
}
