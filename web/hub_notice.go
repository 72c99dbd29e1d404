package web

import (
	"context"
	"errors"
	"strings"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// nothingRead says that reading a hub has failed before anything was known of
// it. One that only asks to slow down is still being read.
func nothingRead(status fleet.Status) bool {
	return status.Known == 0 && !status.Complete && status.Err != nil && !slowedDown(status.Err)
}

func slowedDown(err error) bool {
	_, throttled := errors.AsType[*hubclient.ThrottledError](err)
	return throttled || errors.Is(err, iothub.ErrThrottling)
}

// behind is how long the picture may be without its feed before that is said:
// the feed breaks off now and then, and comes back at once.
const behind = 5 * time.Second

// hubState says in one word how far what pages show of a hub can be trusted: "on"
// when it is kept as it changes.
func hubState(status fleet.Status, now time.Time) string {
	_, unreached := errors.AsType[*hubclient.ConnectionError](status.Err)
	switch {
	case slowedDown(status.Err):
		return "busy"
	case unreached:
		return "away"
	case status.Err != nil:
		return "stale"
	case !status.Complete:
		return "reading"
	case status.NoFeed:
		return "polled"
	case !status.Live && now.Sub(status.AsOf) > behind:
		return "stale"
	}
	return "on"
}

// hubNow tells the state of a hub at any time; nil for no hub.
func (s *Server) hubNow(h *Hub) func() string {
	if h == nil {
		return nil
	}
	return func() string { return hubState(h.Fleet.Peek(), s.now()) }
}

// hubNotice says why a hub cannot be read, then what is known, and when it is
// tried again; nothing while all is well. Trying at once leads to back.
func (s *Server) hubNotice(ctx context.Context, h *Hub, status fleet.Status, known, back string) views.HubNotice {
	if status.Err == nil {
		return views.HubNotice{}
	}
	p := s.explainFor(ctx, h, "", status.Err)
	return views.HubNotice{
		Title:     text.T(ctx, "error."+p.code+".title", p.args...) + ".",
		Text:      strings.TrimSpace(known + " " + s.nextTry(ctx, status)),
		TryAction: h.path() + "/try-now", Back: back,
	}
}

// nextTry says when a hub is tried again, in seconds that count down.
func (s *Server) nextTry(ctx context.Context, status fleet.Status) string {
	wait := status.RetryAt.Sub(s.now())
	if wait <= 0 {
		return text.T(ctx, "hub.retrying")
	}
	return text.T(ctx, "hub.retry", "N", int((wait+time.Second-1)/time.Second))
}

// hubUnread is what stands in the place of a hub that told nothing.
func (s *Server) hubUnread(ctx context.Context, h *Hub, status fleet.Status, back string) views.HubUnread {
	p := s.explainFor(ctx, h, "", status.Err)
	u := views.HubUnread{HubNotice: s.hubNotice(ctx, h, status, "", back), Detail: p.detail}
	u.Why = text.T(ctx, "error."+p.code+".what", p.args...)
	if id := "error." + p.code + ".do"; text.Has(id) {
		u.Do = text.T(ctx, id, p.args...)
	}
	return u
}
