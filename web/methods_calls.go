package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

const (
	// keptCalls is how many direct methods of a hub are remembered, and
	// shownCalls how many of them a page shows.
	keptCalls, shownCalls = 200, 20
	// mostCalls is how many may be under way at a time on one hub.
	mostCalls = 32
)

// methodCalls are the direct methods called from this dashboard on one hub. A
// call goes on when its page is left, and reading the page again never repeats
// it. They are forgotten when the program ends.
type methodCalls struct {
	hub     *Hub
	now     func() time.Time
	changed *feed.Feed[subject] // whose calls look different now
	base    context.Context     //nolint:containedctx // ends with close
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	next   int
	open   int
	list   []*methodCall // oldest first
}

// methodCall is one call; ended is zero while it runs.
type methodCall struct {
	id           int
	of           subject
	request      iothub.MethodRequest
	begun, ended time.Time
	result       iothub.MethodResult
	err          error
}

func newMethodCalls(h *Hub, now func() time.Time) *methodCalls {
	base, end := context.WithCancel(context.Background())
	return &methodCalls{hub: h, now: now, changed: feed.New[subject](keptCalls), base: base, end: end}
}

// begin calls a method and returns at once.
func (m *methodCalls) begin(k subject, r iothub.MethodRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.open >= mostCalls {
		return &problem{status: http.StatusServiceUnavailable, code: "too-many-calls", args: []any{"Count", mostCalls}}
	}
	m.next++
	m.open++
	call := &methodCall{id: m.next, of: k, request: r, begun: m.now()}
	m.list = append(m.list[max(0, len(m.list)-keptCalls+1):], call)
	m.running.Go(func() {
		result, err := m.hub.Client.InvokeMethod(m.base, k.device, k.module, r)
		m.finish(call, result, err)
	})
	m.changed.Publish(k)
	return nil
}

func (m *methodCalls) finish(call *methodCall, result iothub.MethodResult, err error) {
	m.mu.Lock()
	m.open--
	call.result, call.err, call.ended = result, err, m.now()
	m.mu.Unlock()
	m.changed.Publish(call.of)
}

// of are the latest calls of a device or module, newest first.
func (m *methodCalls) of(k subject) (calls []methodCall) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, call := range slices.Backward(m.list) {
		if call.of == k && len(calls) < shownCalls {
			calls = append(calls, *call)
		}
	}
	return calls
}

// names are methods called lately, from here or by others, in order.
func (m *methodCalls) names() []string {
	seen := map[string]bool{}
	for _, item := range m.hub.Fleet.Activity().Recent(keptCalls, isMethod) {
		seen[item.Value.Change.Method.Name] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, call := range m.list {
		seen[call.request.Name] = true
	}
	return sortedNames(seen)
}

// close gives up what is under way and waits for it.
func (m *methodCalls) close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.end()
	ended := make(chan struct{})
	go func() {
		m.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("direct methods still under way"), ctx.Err())
	}
}
