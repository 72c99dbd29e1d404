package web

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// streams counts the open event streams, bounds them and ends them all at once.
type streams struct {
	pace pace

	mu     sync.Mutex
	open   int
	closed bool
	base   context.Context //nolint:containedctx // ends with close
	endAll context.CancelFunc
	idle   chan struct{} // closed when the last stream has ended after close
}

func newStreams(p pace) *streams {
	base, endAll := context.WithCancel(context.Background())
	return &streams{pace: p, base: base, endAll: endAll, idle: make(chan struct{})}
}

// begin admits one more stream. Its context ends with the request and with
// close; done must be called when the stream has ended.
func (s *streams) begin(ctx context.Context) (stream context.Context, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.open >= s.pace.most {
		return nil, nil, &problem{status: http.StatusServiceUnavailable, code: "too-many-streams"}
	}
	s.open++
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.base, cancel)
	return ctx, func() { stop(); cancel(); s.ended() }, nil
}

func (s *streams) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.closed && s.open == 0 {
		close(s.idle)
	}
}

// count is how many streams are open.
func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// close ends all streams and waits for them, admitting none from now on.
func (s *streams) close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.endAll()
		if s.open == 0 {
			close(s.idle)
		}
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("event streams still open"), ctx.Err())
	}
}
