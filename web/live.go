package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
)

// painter renders what a change looks like now: elements with ids the page has,
// or feed lines. It runs when the frame is sent, not when the change happened,
// so that a burst is painted once, with its newest value.
type painter func(ctx context.Context) ([]templ.Component, error)

// repaint is one change on its way to a page.
type repaint struct {
	// key names what is painted: of several repaints of one key only the newest
	// is sent, at most once a second. "" is never merged: a line of a feed.
	key    string
	paint  painter
	source int
	id     uint64
}

// source is a feed that a page follows, reduced to repaints.
type source struct {
	epoch string
	last  func() uint64
	// follow opens the feed after an id, as the number-th source of a page.
	// complete is false when what was missed cannot be replayed. run hands over
	// what comes until ctx ends (nil) or the reader is too slow (errTooSlow); it
	// must be called.
	follow func(number int, after uint64) (missed []repaint, complete bool, run runner)
	// pieces says that what it paints is not all painted by live.all: lines of a
	// feed. Missed, they are lost.
	pieces bool
}

type runner func(ctx context.Context, out chan<- repaint) error

// watch makes a source of a feed: see says what an item paints, and nothing
// (a nil painter) for items the page does not show.
func watch[T any](f *feed.Feed[T], see func(feed.Item[T]) (key string, paint painter)) source {
	follow := func(number int, after uint64) ([]repaint, bool, runner) {
		translate := func(item feed.Item[T]) repaint {
			key, paint := see(item)
			return repaint{key: key, paint: paint, source: number, id: item.ID}
		}
		items, sub, complete := f.Subscribe(after)
		missed := make([]repaint, len(items))
		for i, item := range items {
			missed[i] = translate(item)
		}
		return missed, complete, func(ctx context.Context, out chan<- repaint) error {
			defer sub.Close()
			return forward(ctx, sub.C(), translate, out)
		}
	}
	return source{epoch: f.Epoch(), last: f.Last, follow: follow}
}

// forward translates what arrives until ctx ends or the feed ends the reader.
func forward[T any](ctx context.Context, in <-chan feed.Item[T], translate func(feed.Item[T]) repaint, out chan<- repaint) error {
	for {
		select {
		case item, open := <-in:
			if !open {
				return errTooSlow
			}
			select {
			case out <- translate(item):
			case <-ctx.Done():
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// place is where a page stands in each of its sources; as text, the cursor of
// its frames: <epoch>-<id>, joined by dots.
type place []uint64

func (p place) cursor(sources []source) string {
	parts := make([]string, len(sources))
	for i, src := range sources {
		parts[i] = src.epoch + "-" + strconv.FormatUint(p[i], 10)
	}
	return strings.Join(parts, ".")
}

// here is the newest place of all sources. It must be taken before a page reads
// what it shows: then a change in between is painted once too often, not lost.
func here(sources []source) place {
	p := make(place, len(sources))
	for i, src := range sources {
		p[i] = src.last()
	}
	return p
}

// parsePlace reads a cursor. ok is false when it is of other sources, or of
// their earlier epochs.
func parsePlace(cursor string, sources []source) (p place, ok bool) {
	parts := strings.Split(cursor, ".")
	if len(parts) != len(sources) {
		return nil, false
	}
	p = make(place, len(sources))
	for i, src := range sources {
		id, found := strings.CutPrefix(parts[i], src.epoch+"-")
		n, err := strconv.ParseUint(id, 10, 64)
		if !found || err != nil {
			return nil, false
		}
		p[i] = n
	}
	return p, true
}

// pace are the times of event streams.
type pace struct {
	repaint   time.Duration // least time between two paintings of one key
	heartbeat time.Duration // a comment this often keeps proxies from closing
	life      time.Duration // a stream ends after about this, and comes back
	write     time.Duration // a reader that takes longer for a frame is dropped
	most      int           // streams at a time
}

var defaultPace = pace{
	repaint: time.Second, heartbeat: 15 * time.Second, life: 30 * time.Minute, write: 10 * time.Second, most: 1000,
}

// live is what the event stream of a page is made of.
type live struct {
	sources []source
	// all paints everything the page shows, for a page that missed changes
	// which cannot be replayed. When it is nil, such a page is read again.
	all painter
	// every is how often tick paints what changes with time alone, ages for
	// example; 0 for never.
	every time.Duration
	tick  painter
}

// with adds the panel beside a page. What is missed on a page that shows nothing
// live itself is the panel's alone.
func (l live) with(panel live) live {
	switch page := l.all; {
	case len(l.sources) == 0:
		l.all = panel.all
	case page != nil && panel.all != nil:
		l.all = func(ctx context.Context) ([]templ.Component, error) {
			list, err := page(ctx)
			if err != nil {
				return nil, err
			}
			more, err := panel.all(ctx)
			return slices.Concat(list, more), err
		}
	}
	l.sources = slices.Concat(l.sources, panel.sources)
	return l
}

// serveLive answers the live stream of a page whose place in the navigation is
// active; what is docked beside the page is part of it.
func (s *Server) serveLive(c echo.Context, active string, l live) error {
	if p, ok := s.docked(c, active); ok {
		l = l.with(p.live(c))
	}
	ctx, done, err := s.streams.begin(c.Request().Context())
	if err != nil {
		return err
	}
	defer done()
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &stream{
		live: l, hub: s.hubNow(hubOf(c)), pace: s.streams.pace, ctx: ctx, w: w, rc: http.NewResponseController(w.Writer),
		waiting: waiting{gap: s.streams.pace.repaint},
	}
	err = out.run(s.version, lastEventID(c))
	if err != nil && ctx.Err() == nil {
		s.log.Info("event stream ended", "path", c.Path(), "error", err)
	}
	return nil // the status is sent; the browser comes back by itself
}

// lastEventID is the cursor the page stands at: on a reconnect the browser says
// it, on the first connection the page's address.
func lastEventID(c echo.Context) string {
	if id := c.Request().Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return c.QueryParam("after")
}

// stream is one open event stream.
type stream struct {
	live
	hub     func() string // see hubState; nil on pages of no hub
	told    string        // what it said last
	pace    pace
	ctx     context.Context //nolint:containedctx // a stream is one request
	w       http.ResponseWriter
	rc      *http.ResponseController
	at      place
	lost    bool // something was missed that cannot be painted
	waiting waiting
	ticked  map[string]bool // what the last tick painted
}

var errTooSlow = errors.New("the reader does not keep up")

func (st *stream) run(version, cursor string) error {
	hello := fmt.Sprintf("retry: %d\nevent: version\ndata: %s\n\n", 1000+rand.IntN(2000), version)
	if err := st.write(hello); err != nil {
		return err
	}
	if err := st.tellHub(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(st.ctx)
	defer cancel()
	changes := make(chan repaint, burst)
	whole, ended, wait := st.follow(ctx, cursor, changes)
	defer wait()
	defer cancel()
	if err := st.catchUp(whole); err != nil {
		return err
	}
	heartbeat := time.NewTicker(st.pace.heartbeat)
	defer heartbeat.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	tick := newTick(st.every)
	defer tick.Stop()
	life := time.NewTimer(st.pace.life + rand.N(st.pace.life/4+1))
	defer life.Stop()
	for {
		var err error
		select {
		case r := <-changes:
			st.see(r)
			st.drain(changes)
			err = st.flush()
		case <-st.waiting.due():
			err = st.flush()
		case <-tick.C:
			err = st.paint(st.once(st.tick))
		case <-look.C:
			err = st.tellHub()
		case <-heartbeat.C:
			err = st.write("id: " + st.cursor() + "\n: \n\n")
		case <-ended:
			return errTooSlow
		case <-life.C:
			return nil
		case <-st.ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tellHub tells the page when it can be trusted more or less than before: an
// open stream alone does not make what it shows current.
func (st *stream) tellHub() error {
	if st.hub == nil {
		return nil
	}
	now := st.hub()
	if now == st.told {
		return nil
	}
	st.told = now
	return st.write("event: hub\ndata: " + now + "\n\n")
}

// newTick ticks never when every is 0.
func newTick(every time.Duration) *time.Ticker {
	if every <= 0 {
		t := time.NewTicker(time.Hour)
		t.Stop()
		return t
	}
	return time.NewTicker(every)
}

// follow opens all sources after the cursor and joins them into all. whole says
// whether the page can be brought up to date by replay. ended is closed when a
// source ended because the reader was too slow; wait waits for the goroutines,
// which end with ctx.
func (st *stream) follow(ctx context.Context, cursor string, all chan<- repaint) (whole bool, ended <-chan struct{}, wait func()) {
	at, whole := parsePlace(cursor, st.sources)
	if !whole {
		at = here(st.sources)
		st.lost = slices.ContainsFunc(st.sources, func(src source) bool { return src.pieces })
	}
	st.at = at
	var wg sync.WaitGroup
	slow := make(chan struct{})
	closeOnce := sync.OnceFunc(func() { close(slow) })
	for i, src := range st.sources {
		newest := src.last()
		missed, complete, run := src.follow(i, at[i])
		if !complete {
			whole, missed, st.at[i] = false, nil, newest
			st.lost = st.lost || src.pieces
		}
		for _, r := range missed {
			st.see(r)
		}
		wg.Go(func() {
			if run(ctx, all) != nil {
				closeOnce()
			}
		})
	}
	return whole, slow, wg.Wait
}

// see notes one change of a source.
func (st *stream) see(r repaint) {
	st.at[r.source] = r.id
	st.waiting.add(r)
}

// catchUp brings the page up to date: by replay, or else by painting all. The page
// says that something was missed when that is not all of it.
func (st *stream) catchUp(whole bool) error {
	if whole {
		return st.flush()
	}
	if st.all == nil {
		return st.write("event: reload\ndata: 1\n\n")
	}
	if st.lost {
		if err := st.write("event: gap\ndata: 1\n\n"); err != nil {
			return err
		}
	}
	return st.paint(st.all)
}

// burst is how many changes are taken in one go.
const burst = 256

// drain takes what else is there already, so that a burst is one frame.
func (st *stream) drain(changes <-chan repaint) {
	for range burst {
		select {
		case r := <-changes:
			st.see(r)
		default:
			return
		}
	}
}

// flush sends what may be painted now.
func (st *stream) flush() error {
	ready := st.waiting.take(time.Now())
	if len(ready) == 0 {
		return nil
	}
	return st.paint(func(ctx context.Context) ([]templ.Component, error) {
		var list []templ.Component
		for _, r := range ready {
			more, err := r.paint(ctx)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
		return list, nil
	})
}

// once leaves out what the tick before painted the same.
func (st *stream) once(tick painter) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		list, err := tick(ctx)
		if err != nil {
			return nil, err
		}
		painted := map[string]bool{}
		var fresh []templ.Component
		for _, component := range list {
			var html strings.Builder
			if err := component.Render(ctx, &html); err != nil {
				return nil, fmt.Errorf("render a live frame: %w", err)
			}
			painted[html.String()] = true
			if !st.ticked[html.String()] {
				fresh = append(fresh, templ.Raw(html.String()))
			}
		}
		st.ticked = painted
		return fresh, nil
	}
}

// cursor is the place before the oldest change that still waits, so that
// nothing is lost when the connection breaks now.
func (st *stream) cursor() string { return st.waiting.before(st.at).cursor(st.sources) }

// paint sends one frame.
func (st *stream) paint(p painter) error {
	list, err := p(st.ctx)
	if err != nil {
		return err
	}
	var html bytes.Buffer
	for _, component := range list {
		if err := component.Render(st.ctx, &html); err != nil {
			return fmt.Errorf("render a live frame: %w", err)
		}
		html.WriteByte('\n')
	}
	if html.Len() == 0 {
		return nil
	}
	var frame strings.Builder
	frame.WriteString("id: " + st.cursor() + "\n")
	for line := range strings.Lines(strings.TrimRight(html.String(), "\n")) {
		frame.WriteString("data: " + strings.TrimRight(line, "\r\n") + "\n")
	}
	frame.WriteString("\n")
	return st.write(frame.String())
}

// write sends text at once. The deadline replaces the HTTP server's, which
// would cut the stream, by one for this frame.
func (st *stream) write(text string) error {
	if err := st.rc.SetWriteDeadline(time.Now().Add(st.pace.write)); err != nil {
		return fmt.Errorf("event stream: %w", err)
	}
	if _, err := st.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("event stream: %w", err)
	}
	if err := st.rc.Flush(); err != nil {
		return fmt.Errorf("event stream: %w", err)
	}
	return nil
}
