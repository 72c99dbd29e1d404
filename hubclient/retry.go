package hubclient

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Patience says how long a call may wait when the hub throttles it. Only reads
// and queries wait; a write always returns its *ThrottledError at once.
type Patience struct {
	Max time.Duration // all waits of one call together; 0 never waits
	// Notify, if any, is told before each wait how long it takes.
	Notify func(wait time.Duration)
}

// DefaultPatience is what a call has without WithPatience: two or three waits of
// about ten seconds.
var DefaultPatience = Patience{Max: 30 * time.Second}

type patienceKey struct{}

// WithPatience sets how long calls under ctx wait when throttled.
func WithPatience(ctx context.Context, p Patience) context.Context {
	return context.WithValue(ctx, patienceKey{}, p)
}

func patienceFrom(ctx context.Context) Patience {
	if p, ok := ctx.Value(patienceKey{}).(Patience); ok {
		return p
	}
	return DefaultPatience
}

const (
	// maxRepeats bounds how often a call is repeated after a failure.
	maxRepeats  = 2
	repeatDelay = 250 * time.Millisecond
)

// retryPolicy repeats what is safe to repeat and nothing else:
//
//	                            reads and queries   writes
//	never left this machine     yes                 yes
//	connection broke            yes                 no
//	408, 5xx                    yes                 no
//	429                         after a wait        no
type retryPolicy struct{ log *slog.Logger }

// attemptError is a request without an answer. left reports whether anything of
// it may have reached the hub.
type attemptError struct {
	err  error
	left bool
}

func (e *attemptError) Error() string { return e.err.Error() }
func (e *attemptError) Unwrap() error { return e.err }

func (p retryPolicy) Do(req *policy.Request) (*http.Response, error) {
	var op operation
	req.OperationValue(&op)
	ctx := req.Raw().Context()
	patience := patienceFrom(ctx)
	for repeats := 0; ; {
		resp, err := attempt(req, op)
		var wait time.Duration
		switch {
		case ctx.Err() != nil:
			return resp, err
		case err == nil && resp.StatusCode == http.StatusTooManyRequests:
			wait = throttleWait(resp)
			patience.Max -= wait
			if !op.safe || patience.Max < 0 || endsWithin(ctx, wait) {
				return resp, nil
			}
			if patience.Notify != nil {
				patience.Notify(wait)
			}
		case repeats < maxRepeats && repeatable(op, resp, err):
			repeats++
			wait = jitter(repeatDelay * time.Duration(repeats))
		default:
			return resp, err
		}
		runtime.Drain(resp)
		p.log.DebugContext(ctx, "request is repeated", "method", req.Raw().Method, "wait", wait)
		if err := sleep(ctx, wait); err != nil {
			return nil, &attemptError{err: err}
		}
	}
}

// attempt sends the request once. A request for which no connection was made
// cannot have left; one that got a connection may have.
func attempt(req *policy.Request, op operation) (*http.Response, error) {
	var left atomic.Bool
	ctx := httptrace.WithClientTrace(req.Raw().Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { left.Store(true) },
	})
	clone := req.Clone(ctx)
	if op.body != nil {
		// net/http needs this to move a request that it has not begun to write
		// from a connection just closed by the hub to a new one.
		clone.Raw().GetBody = func() (io.ReadCloser, error) { return newBody(op.body), nil }
	}
	resp, err := clone.Next()
	if err != nil {
		return nil, &attemptError{err: err, left: left.Load()}
	}
	return resp, nil
}

func repeatable(op operation, resp *http.Response, err error) bool {
	if failed, ok := errors.AsType[*attemptError](err); ok {
		return passing(failed.err) && (op.safe || !failed.left)
	}
	if err != nil || !op.safe {
		return false
	}
	return resp.StatusCode == http.StatusRequestTimeout || resp.StatusCode >= 500
}

// passing reports whether a connection trouble can be over in a moment: wrong
// names and certificates are not, and a time-out has taken long enough.
func passing(err error) bool {
	switch kindOf(err) {
	case Unreachable, Refused:
		return true
	case DNS:
		var dns *net.DNSError
		return errors.As(err, &dns) && dns.IsTemporary
	}
	return false
}

func endsWithin(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= d
}

// jitter spreads waits so that clients do not come back together.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
