package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/views/text"
)

// livePage is a server with one live page that follows feeds of numbers: even
// ones paint the row "even", others a line of their own, negative ones nothing.
type livePage struct {
	*Server
	url   string
	feeds []*feed.Feed[int]
	live  live
}

func newLivePage(t *testing.T, p pace, keep int, feeds int) *livePage {
	t.Helper()
	page := &livePage{Server: newServer(t, nil)}
	page.streams = newStreams(p)
	for range feeds {
		f := feed.New[int](keep)
		page.feeds = append(page.feeds, f)
		page.live.sources = append(page.live.sources, watch(f, page.see))
	}
	e := echo.New()
	e.HTTPErrorHandler = page.answerError
	e.Use(page.readTaste)
	e.GET("/live/numbers", func(c echo.Context) error { return page.serveLive(c, "", page.live) })
	web := httptest.NewServer(e)
	t.Cleanup(func() {
		if err := page.Close(context.Background()); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	page.url = web.URL + "/live/numbers"
	return page
}

func (p *livePage) see(item feed.Item[int]) (string, painter) {
	if item.Value < 0 {
		return "", nil
	}
	key := ""
	if item.Value%2 == 0 {
		key = "even"
	}
	return key, func(context.Context) ([]templ.Component, error) {
		return []templ.Component{number(key, item.Value)}, nil
	}
}

func number(key string, n int) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		_, err := fmt.Fprintf(w, "<li id=%q\nlang=%q>%d</li>", key, text.Lang(ctx), n)
		return err
	})
}

// frameRead is one event as a browser sees it.
type frameRead struct{ id, event, data string }

// tab is a browser's end of a stream.
type tab struct {
	t      *testing.T
	frames chan frameRead // closed when the stream ends
	cancel context.CancelFunc
	header http.Header
	status int
}

func openTab(t *testing.T, url string, header http.Header) *tab {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	tab := &tab{t: t, frames: make(chan frameRead, 4096), cancel: cancel, header: resp.Header, status: resp.StatusCode}
	t.Cleanup(cancel)
	go func() {
		defer resp.Body.Close()
		defer close(tab.frames)
		readFrames(resp.Body, tab.frames)
	}()
	return tab
}

func readFrames(r io.Reader, out chan<- frameRead) {
	var f frameRead
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			f.id = value
		case "event":
			f.event = value
		case "data":
			f.data += value + "\n"
		case "":
			if f != (frameRead{}) {
				out <- f
			}
			f = frameRead{}
		}
	}
}

// next is the next frame; the test fails when none comes.
func (tab *tab) next() frameRead {
	tab.t.Helper()
	select {
	case f, open := <-tab.frames:
		if !open {
			tab.t.Fatal("the stream ended")
		}
		return f
	case <-time.After(30 * time.Second):
		tab.t.Fatal("no frame came")
	}
	return frameRead{}
}

// hello takes the version event that opens each stream.
func (tab *tab) hello() {
	tab.t.Helper()
	if f := tab.next(); f.event != "version" || f.data != "v1\n" {
		tab.t.Fatalf("first event %+v, want the version", f)
	}
}

// current takes the events that open each stream of a hub whose changes are followed.
func (tab *tab) current() {
	tab.t.Helper()
	version, hub := tab.next(), tab.next()
	if version.event != "version" || hub.event != "hub" || hub.data != "on\n" {
		tab.t.Fatalf("first events %+v, %+v", version, hub)
	}
}

// ended waits for the end of the stream.
func (tab *tab) ended() {
	tab.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case _, open := <-tab.frames:
			if !open {
				return
			}
		case <-deadline:
			tab.t.Fatal("the stream did not end")
		}
	}
}

func (p *livePage) waitForStreams(t *testing.T, want int) {
	t.Helper()
	eventually(t, func() bool { return p.streams.count() == want }, "open streams")
}

// eventually polls until something is so.
func eventually(t testing.TB, so func() bool, what string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatal("did not happen: " + what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

var quick = pace{repaint: 50 * time.Millisecond, heartbeat: time.Hour, life: time.Hour, write: 10 * time.Second, most: 100}

func TestLiveFrames(t *testing.T) {
	page := newLivePage(t, quick, 100, 1)
	cursor := func(n int) string { return fmt.Sprintf("%s-%d", page.feeds[0].Epoch(), n) }
	tab := openTab(t, page.url+"?lang=es&after="+cursor(0), nil)
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Content-Encoding": "",
	} {
		if got := tab.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	tab.hello()
	page.feeds[0].Publish(1)
	want := frameRead{id: cursor(1), data: "<li id=\"\"\nlang=\"es\">1</li>\n"}
	if got := tab.next(); got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestLiveBurstIsOneRepaint(t *testing.T) {
	page := newLivePage(t, quick, 100, 1)
	epoch := page.feeds[0].Epoch()
	tab := openTab(t, page.url+"?after="+epoch+"-0", nil)
	tab.hello()
	page.feeds[0].Publish(2)
	if got := tab.next(); !strings.Contains(got.data, ">2<") {
		t.Fatalf("the first change is not painted at once: %+v", got)
	}
	for n := 4; n <= 40; n += 2 {
		page.feeds[0].Publish(n)
	}
	page.feeds[0].Publish(7) // a line, painted without waiting
	line := tab.next()
	if !strings.Contains(line.data, ">7<") || strings.Contains(line.data, "even") {
		t.Fatalf("want the line alone: %+v", line)
	}
	if line.id != epoch+"-1" {
		t.Errorf("the line's id is %s: whoever reconnects there loses the row that waits", line.id)
	}
	last := tab.next()
	if !strings.Contains(last.data, ">40<") || strings.Count(last.data, "<li") != 1 {
		t.Errorf("want the newest value, once: %+v", last)
	}
	if last.id != epoch+"-21" {
		t.Errorf("id %s, want that of the newest event", last.id)
	}
}

func TestLiveReplay(t *testing.T) {
	page := newLivePage(t, quick, 4, 2)
	for n := range 3 {
		page.feeds[0].Publish(2*n + 1)
		page.feeds[1].Publish(2*n + 11)
	}
	at := func(a, b int) string {
		return fmt.Sprintf("%s-%d.%s-%d", page.feeds[0].Epoch(), a, page.feeds[1].Epoch(), b)
	}
	t.Run("after the last event the browser saw", func(t *testing.T) {
		tab := openTab(t, page.url+"?after="+at(0, 0), http.Header{"Last-Event-Id": {at(1, 2)}})
		tab.hello()
		got := tab.next()
		for _, want := range []string{">3<", ">5<", ">15<"} {
			if !strings.Contains(got.data, want) {
				t.Errorf("%s is missing in %q", want, got.data)
			}
		}
		if strings.Contains(got.data, ">1<") || strings.Contains(got.data, ">13<") || got.id != at(3, 3) {
			t.Errorf("too much, or the wrong id: %+v", got)
		}
	})
	for name, cursor := range map[string]string{
		"a cursor of an earlier epoch": "0000-1.0000-1",
		"no cursor":                    "",
		"another number of sources":    page.feeds[0].Epoch() + "-1",
		"a place in the future":        at(9, 0),
		"nonsense":                     at(1, 1) + "x",
	} {
		t.Run(name+" reads the page again", func(t *testing.T) {
			tab := openTab(t, page.url+"?after="+cursor, nil)
			tab.hello()
			if got := tab.next(); got.event != "reload" {
				t.Errorf("got %+v, want a reload", got)
			}
		})
	}
}

func TestLiveStartsAfreshWhenTheRingIsTooShort(t *testing.T) {
	page := newLivePage(t, quick, 4, 2)
	page.live.all = func(context.Context) ([]templ.Component, error) {
		return []templ.Component{number("everything", 99)}, nil
	}
	for n := range 10 {
		page.feeds[0].Publish(2*n + 1)
	}
	page.feeds[1].Publish(101)
	at := func(a, b int) string {
		return fmt.Sprintf("%s-%d.%s-%d", page.feeds[0].Epoch(), a, page.feeds[1].Epoch(), b)
	}
	for _, c := range []struct {
		name, after   string
		lines, others bool // whether the feeds paint in pieces
		gap, replayed bool
	}{
		{"of lines", at(2, 1), true, false, true, false},
		{"of what is painted whole", at(2, 1), false, false, false, false},
		{"beside lines that can be replayed", at(2, 0), false, true, false, true},
		{"of an earlier epoch, of lines", "0000-1.0000-1", false, true, true, false},
		{"of an earlier epoch, painted whole", "0000-1.0000-1", false, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			page.live.sources[0].pieces, page.live.sources[1].pieces = c.lines, c.others
			tab := openTab(t, page.url+"?after="+c.after, nil)
			tab.hello()
			got := tab.next()
			if c.gap {
				if got.event != "gap" {
					t.Fatalf("got %+v, want the gap said", got)
				}
				got = tab.next()
			}
			newest := at(10, 1)
			if c.replayed {
				newest = at(10, 0)
			}
			if !strings.Contains(got.data, "everything") || strings.Count(got.data, "<li") != 1 || got.id != newest {
				t.Errorf("want everything, once, at the newest place: %+v", got)
			}
			if c.replayed {
				if got = tab.next(); !strings.Contains(got.data, ">101<") || got.id != at(10, 1) {
					t.Errorf("want what the other feed missed: %+v", got)
				}
			}
		})
	}
}

func TestLiveTickAndHeartbeat(t *testing.T) {
	p := quick
	p.heartbeat = 20 * time.Millisecond
	page := newLivePage(t, p, 4, 1)
	page.live.every = 30 * time.Millisecond
	page.live.tick = func(context.Context) ([]templ.Component, error) {
		return []templ.Component{number("age", 1)}, nil
	}
	epoch := page.feeds[0].Epoch()
	tab := openTab(t, page.url+"?after="+epoch+"-0", nil)
	tab.hello()
	page.feeds[0].Publish(-1) // paints nothing, but moves the place on
	want := map[string]bool{"heartbeat": false, "tick": false}
	for !want["heartbeat"] || !want["tick"] {
		switch f := tab.next(); {
		case f.data == "" && f.id == epoch+"-1":
			want["heartbeat"] = true
		case strings.Contains(f.data, "age"):
			want["tick"] = true
		}
	}
}

func TestLiveEnds(t *testing.T) {
	t.Run("at once when the server closes", func(t *testing.T) {
		page := newLivePage(t, quick, 4, 1)
		tab := openTab(t, page.url, nil)
		tab.hello()
		begin := time.Now()
		if err := page.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		tab.ended()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("took %s", took)
		}
		if refused := openTab(t, page.url, nil); refused.status != http.StatusServiceUnavailable {
			t.Errorf("a stream after the close: status %d", refused.status)
		}
	})
	t.Run("when its time is over", func(t *testing.T) {
		p := quick
		p.life = 20 * time.Millisecond
		page := newLivePage(t, p, 4, 1)
		openTab(t, page.url, nil).ended()
		page.waitForStreams(t, 0)
	})
	t.Run("when the tab is hidden or closed", func(t *testing.T) {
		page := newLivePage(t, quick, 4, 1)
		tab := openTab(t, page.url, nil)
		tab.hello()
		page.waitForStreams(t, 1)
		tab.cancel()
		page.waitForStreams(t, 0)
	})
	t.Run("there is a bound, and a place becomes free again", func(t *testing.T) {
		p := quick
		p.most = 2
		page := newLivePage(t, p, 4, 1)
		first, second := openTab(t, page.url, nil), openTab(t, page.url, nil)
		first.hello()
		second.hello()
		if third := openTab(t, page.url, nil); third.status != http.StatusServiceUnavailable {
			t.Fatalf("a third stream: status %d", third.status)
		}
		first.cancel()
		page.waitForStreams(t, 1)
		openTab(t, page.url, nil).hello()
	})
}

func TestLiveDropsTheSlowReader(t *testing.T) {
	p := quick
	p.write = 200 * time.Millisecond
	page := newLivePage(t, p, 8, 1)
	page.live.sources = []source{watch(page.feeds[0], func(item feed.Item[int]) (string, painter) {
		return "", func(context.Context) ([]templ.Component, error) {
			return []templ.Component{templ.Raw("<p>" + strings.Repeat("x", 1<<16) + "</p>")}, nil
		}
	})}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req) // and never reads the body
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page.waitForStreams(t, 1)
	var longest time.Duration
	eventually(t, func() bool {
		begin := time.Now()
		page.feeds[0].Publish(1)
		longest = max(longest, time.Since(begin))
		return page.streams.count() == 0
	}, "the slow reader is dropped")
	if longest > 100*time.Millisecond {
		t.Errorf("a publisher waited %s for the slow reader", longest)
	}
}
