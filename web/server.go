// Package web is the dashboard: it reads requests, asks the hub, the fleet, the
// simulator or the dashboard's own store, and answers with the pages of package
// views, the same as JSON, or an event stream. It keeps no state about devices,
// writes no SQL and speaks no MQTT.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/web/store"
)

// Options are what a dashboard is made of.
type Options struct {
	// Hubs are the hubs it manages, at least one; the first is the one a visitor
	// sees first. Their slugs must differ.
	Hubs []Hub
	// Store is what the dashboard remembers. The caller closes it.
	Store *store.Store
	// Hosts are host names, beside the loopback ones, that a request may be
	// addressed to: the host of the listen address, for example.
	Hosts []string
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil means time.Now
	// Version is that of the program; open pages are told when it changes.
	Version string
}

// Server answers the dashboard's requests. Make one with New.
type Server struct {
	hubs     []*Hub
	store    *store.Store
	hosts    map[string]bool
	log      *slog.Logger
	now      func() time.Time
	version  string
	handler  http.Handler
	streams  *streams
	starts   map[*Hub]*starts // of simulated devices
	calls    map[*Hub]*methodCalls
	bulks    *bulks // acts on many devices
	journals map[*Hub]*journal
}

// New makes a dashboard. It begins nothing in the background.
func New(o Options) (*Server, error) {
	if err := checkOptions(o); err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	s := &Server{
		store: o.Store, hosts: map[string]bool{}, log: o.Log, now: o.Now,
		version: o.Version, streams: newStreams(defaultPace), starts: map[*Hub]*starts{}, calls: map[*Hub]*methodCalls{}, bulks: newBulks(), journals: map[*Hub]*journal{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, host := range o.Hosts {
		s.hosts[normalHost(host)] = true
	}
	for _, h := range o.Hubs {
		s.hubs = append(s.hubs, &h)
		s.starts[&h] = newStarts(&h)
		s.calls[&h] = newMethodCalls(&h, s.now)
		s.journals[&h] = s.newJournal(&h)
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	s.routes(e)
	s.handler = escapedPaths(e)
	return s, nil
}

func checkOptions(o Options) error {
	if len(o.Hubs) == 0 {
		return errors.New("no hub to manage")
	}
	if o.Store == nil {
		return errors.New("no store")
	}
	seen := map[string]bool{}
	for _, h := range o.Hubs {
		if h.Slug == "" || h.Client == nil || h.Fleet == nil {
			return fmt.Errorf("hub %q lacks its slug, client or fleet", h.Name)
		}
		if seen[h.Slug] {
			return fmt.Errorf("two hubs are called %q", h.Slug)
		}
		seen[h.Slug] = true
	}
	return nil
}

// Start brings back what an earlier end of the program interrupted, and begins to
// write down what changes on the hubs, until ctx ends or Close.
func (s *Server) Start(ctx context.Context) {
	if err := s.loadBulks(ctx); err != nil {
		s.log.Error("changes of many devices are not brought back", "error", err)
	}
	for _, j := range s.journals {
		j.start(ctx)
	}
}

// Handler answers all requests of the dashboard.
func (s *Server) Handler() http.Handler { return s.handler }

// Close ends every event stream, every start of simulated devices and the journal
// at once and waits for them, so that the HTTP server around it can shut down without
// waiting; it may be called twice.
func (s *Server) Close(ctx context.Context) error {
	err := s.streams.close(ctx)
	for _, starting := range s.starts {
		err = errors.Join(err, starting.close(ctx))
	}
	for _, calls := range s.calls {
		err = errors.Join(err, calls.close(ctx))
	}
	err = errors.Join(err, s.bulks.close(ctx))
	for _, j := range s.journals {
		j.close()
	}
	return err
}

// escapedPaths makes the router see the path as it was sent. Echo would see it
// decoded or not, depending on what is in it; a device may be called "100%" or
// "a?b", so parameters are decoded exactly once, by deviceID and hub.
func escapedPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		u.RawPath = u.EscapedPath()
		copied := *r
		copied.URL = &u
		next.ServeHTTP(w, &copied)
	})
}
