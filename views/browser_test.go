package views_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"twinboard/static"
	"twinboard/views"
	"twinboard/views/text"
)

// site is a small server of one page whose content and live frames a test
// decides.
type site struct {
	*httptest.Server
	mu      sync.Mutex
	content templ.Component
	props   func(*views.PageProps)
	posts   []string // bodies posted to /form
	answer  http.HandlerFunc
	slow    http.HandlerFunc // of the page /slow
	streams map[chan string]bool
	opened  []string // ?after= of each stream
	closed  int
}

func newSite(t *testing.T, content ...templ.Component) *site {
	t.Helper()
	s := &site{content: templ.Join(content...), streams: map[chan string]bool{}}
	mux := http.NewServeMux()
	mux.Handle("GET "+static.Prefix, static.Handler())
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("POST /form", s.form)
	mux.HandleFunc("POST /secret", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "c2VjcmV0") })
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) { s.slow(w, r) })
	mux.HandleFunc("GET /", s.page)
	ctx, cancel := context.WithCancel(t.Context())
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	s.Start()
	t.Cleanup(func() { cancel(); s.Close() })
	return s
}

func (s *site) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'nonce-n0nce'; style-src 'self' 'nonce-n0nce'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	ctx := text.With(r.Context(), text.Match("", "", r.URL.Query().Get("lang")))
	p := views.PageProps{
		Title: "Test", Path: r.URL.RequestURI(), Nonce: "n0nce", LiveURL: "/live?after=e-1",
		Hub: views.HubChip{Name: "local", Path: "/h/local"}, Active: "devices",
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.props != nil {
		s.props(&p)
	}
	if err := views.Layout(p).Render(templ.WithChildren(ctx, s.content), w); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *site) form(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.posts = append(s.posts, string(body))
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

func (s *site) live(w http.ResponseWriter, r *http.Request) {
	frames := make(chan string, 4096)
	s.mu.Lock()
	s.streams[frames] = true
	s.opened = append(s.opened, r.URL.Query().Get("after"))
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, frames)
		s.closed++
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		_ = http.NewResponseController(w).Flush() // a reader that has gone ends the context
		select {
		case <-r.Context().Done():
			return
		case frame, more := <-frames:
			if !more {
				return
			}
			_, _ = io.WriteString(w, frame)
		}
	}
}

// send puts elements on every open stream as one event.
func (s *site) send(id int, html string) {
	s.raw(fmt.Sprintf("id: e-%d\ndata: %s\n\n", id, strings.ReplaceAll(html, "\n", "\ndata: ")))
}

func (s *site) raw(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for frames := range s.streams {
		frames <- event
	}
}

// drop ends every open stream.
func (s *site) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for frames := range s.streams {
		close(frames)
		delete(s.streams, frames)
	}
}

func (s *site) state() (open, closed int, after []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams), s.closed, append([]string(nil), s.opened...)
}

func (s *site) posted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.posts...)
}

// tab is a page of Chromium; what its console complains about fails the test.
type tab struct {
	ctx context.Context
	t   *testing.T
}

var allocator = sync.OnceValues(func() (context.Context, context.CancelFunc) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1280, 900),
		chromedp.Flag("allow-pre-commit-input", true)) // input on a page without a frame yet counts
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	browser, stop := chromedp.NewContext(ctx)
	if err := chromedp.Do(browser); err != nil {
		cancel()
		return nil, func() {}
	}
	return browser, func() { stop(); cancel() }
})

func TestMain(m *testing.M) {
	defer func() {
		if _, stop := allocator(); stop != nil {
			stop()
		}
	}()
	m.Run()
}

func open(t *testing.T, url string) *tab {
	t.Helper()
	browser, _ := allocator()
	if browser == nil {
		t.Fatal("Chromium does not start: these tests need Debian's chromium")
	}
	ctx, cancel := chromedp.NewContext(browser)
	messages := chromedp.Console(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			lost := strings.Contains(m.Text, "Failed to fetch") // htmx says so; a test that cuts the line expects it
			if m.IsException() || m.Type == "error" && m.Source != "network" && !lost {
				t.Errorf("the browser's console: %s", m)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	b := &tab{ctx, t}
	b.do(chromedp.Navigate(url))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// is evaluates a JavaScript condition.
func (b *tab) is(condition string) bool {
	b.t.Helper()
	ok, err := b.holds(condition)
	if err != nil {
		b.t.Fatalf("%s: %v", condition, err)
	}
	return ok
}

// holds evaluates a condition. A page that is just being left may never answer,
// hence the deadline.
func (b *tab) holds(condition string) (bool, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+condition+")"))
}

// run evaluates JavaScript for its effect.
func (b *tab) run(script string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("(()=>{"+script+"})(), true")); err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
}

// press presses keys as a person does: a key the page takes for itself types
// nothing (chromedp.KeyEvent types it all the same).
func (b *tab) press(keys string) {
	b.t.Helper()
	for _, key := range keys {
		down := input.DispatchKeyEventParams{Type: "keyDown", Key: string(key), Text: string(key)}
		up := input.DispatchKeyEventParams{Type: "keyUp", Key: string(key)}
		for _, event := range []input.DispatchKeyEventParams{down, up} {
			if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, event); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// mouse presses or releases the left button in the middle of an element.
func (b *tab) mouse(event input.DispatchMouseEventType, selector string) {
	b.t.Helper()
	middle, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]float64](`(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector("`+selector+`").getBoundingClientRect())`))
	if err != nil {
		b.t.Fatal(err)
	}
	p := input.DispatchMouseEventParams{Type: event, X: middle[0], Y: middle[1], Button: input.MouseButtonLeft, ClickCount: 1}
	if _, err := chromedp.Call(b.ctx, input.DispatchMouseEvent, p); err != nil {
		b.t.Fatal(err)
	}
}

// wait waits until a condition of the page holds, also across pages.
func (b *tab) wait(condition string) {
	b.t.Helper()
	eventually(b.t, condition, func() bool {
		ok, err := b.holds(condition)
		return ok && err == nil
	})
}

// want fails unless the condition holds now.
func (b *tab) want(condition string) {
	b.t.Helper()
	if !b.is(condition) {
		b.t.Errorf("not so: %s", condition)
	}
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-again.C:
		}
	}
}

func raw(html string) templ.Component { return templ.Raw(html) }
