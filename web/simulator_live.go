package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/views"
	"twinboard/views/text"
)

// simFeedID is the list of what simulated devices do.
const simFeedID = "sim-feed"

// simPainter paints the simulator of one open page.
type simPainter struct {
	server *Server
	hub    *Hub
	starts *starts
	back   string // the page, for its forms to come back to
	docked bool
	this   string // the device of the page beside, or ""
	from   string // the id from which the list begins

	mu    sync.Mutex
	dirty map[string]bool // devices that look different now
	shown []string        // ids as last painted; only the painting itself reads it
}

// newSimPainter is the simulator of the request's page; active is "simulator" on
// its own page. The same is made for the page's event stream, whose address is
// that of the page below /live.
func (s *Server) newSimPainter(c echo.Context, active string) *simPainter {
	h := hubOf(c)
	p := &simPainter{server: s, hub: h, starts: s.starts[h], back: pageOf(c), docked: active != "simulator", dirty: map[string]bool{}}
	if !p.docked {
		p.from = c.QueryParam("from")
		return p
	}
	if c.Param("id") != "" {
		p.this, _ = deviceID(c) // a page whose id cannot be read shows an error itself
	}
	return p
}

// pageOf is the address of the page that a request is about, be it the page, its
// event stream, or a form of it that was refused.
func pageOf(c echo.Context) string {
	u := *c.Request().URL
	if c.Request().Method != http.MethodGet {
		return localPath(c.FormValue("back"))
	}
	path, isLive := strings.CutPrefix(u.EscapedPath(), "/live")
	if !isLive {
		return localPath(u.RequestURI())
	}
	q := u.Query()
	for _, name := range []string{"after", "layout", "rows"} {
		q.Del(name)
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return localPath(path)
}

// sources are what moves the simulator: what devices do, as lines of the feed
// and as what it makes of the rows, and starts under way.
func (p *simPainter) sources() []source {
	events := p.hub.Sim.Events()
	lines := watch(events, p.seeLine)
	lines.pieces = true
	return []source{
		lines,
		watch(events, p.seeRow),
		watch(events, func(feed.Item[devicesim.Event]) (string, painter) { return "sim-summary", p.paintSummary }),
		watch(p.starts.changed, func(feed.Item[struct{}]) (string, painter) { return "sim-progress", p.paintProgress }),
	}
}

func (p *simPainter) seeLine(item feed.Item[devicesim.Event]) (string, painter) {
	if p.this != "" && item.Value.DeviceID != p.this {
		return "", nil
	}
	return "", func(ctx context.Context) ([]templ.Component, error) {
		if line, ok := p.line(ctx, item); ok {
			return []templ.Component{views.SimLine(line)}, nil
		}
		return nil, nil
	}
}

// seeRow notes a device that looks different; a burst is painted together.
func (p *simPainter) seeRow(item feed.Item[devicesim.Event]) (string, painter) {
	id := item.Value.DeviceID
	if p.this != "" && id == p.this {
		return "sim-this", func(ctx context.Context) ([]templ.Component, error) {
			return []templ.Component{views.SimThis(*p.thisProps(ctx))}, nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dirty[id] = true
	return "sim-devices", p.paintRows
}

// paintRows paints the rows that changed, or the whole list when other devices
// are on it than before.
func (p *simPainter) paintRows(ctx context.Context) ([]templ.Component, error) {
	p.mu.Lock()
	dirty := p.dirty
	p.dirty = map[string]bool{}
	p.mu.Unlock()
	shown, _, _ := p.window(p.hub.Sim.Devices())
	ids := make([]string, len(shown))
	for i, d := range shown {
		ids[i] = d.DeviceID
	}
	if !slices.Equal(ids, p.shown) {
		p.shown = ids
		return []templ.Component{views.SimList(p.list(ctx))}, nil
	}
	var rows []templ.Component
	for _, d := range shown {
		if dirty[d.DeviceID] {
			rows = append(rows, views.SimRow(p.row(ctx, d)))
		}
	}
	return rows, nil
}

func (p *simPainter) paintSummary(ctx context.Context) ([]templ.Component, error) {
	return []templ.Component{views.SimSummary(p.summary(ctx))}, nil
}

func (p *simPainter) paintProgress(ctx context.Context) ([]templ.Component, error) {
	return []templ.Component{views.SimProgress(p.progress(ctx))}, nil
}

// paintAll is for a page that missed more than can be replayed: the feed shows a
// gap, all else is as it is now.
func (p *simPainter) paintAll(ctx context.Context) ([]templ.Component, error) {
	list := []templ.Component{views.SimSummary(p.summary(ctx)), views.SimProgress(p.progress(ctx)), views.SimList(p.list(ctx))}
	if p.this != "" {
		list = append(list, views.SimThis(*p.thisProps(ctx)))
	}
	return list, nil
}

// thisProps is the device of the page beside.
func (p *simPainter) thisProps(ctx context.Context) *views.SimThisProps {
	out := &views.SimThisProps{Path: p.hub.simulatorPath(), Back: p.back, ID: p.this, Cloud: !p.hub.Local}
	if d, ok := p.hub.Sim.Device(p.this); ok {
		row := p.row(ctx, d)
		out.Row = &row
	} else if known, ok := p.hub.Fleet.Get(p.this); ok {
		out.Elsewhere = known.Connected
	}
	return out
}

// recent are the events a page opens with.
func (p *simPainter) recent() []feed.Item[devicesim.Event] {
	if p.this != "" {
		return p.hub.Sim.Recent(p.this)
	}
	return p.hub.Sim.Events().Recent(simLines, isTold)
}

// isTold reports whether an event makes a line. That a device which was told to
// stop loses its connection is no news.
func isTold(e devicesim.Event) bool {
	return told[e.Kind] && (e.Kind != devicesim.KindDisconnected || e.Problem != nil)
}

// told are the kinds of event that make a line; the rest is for experts.
var told = map[devicesim.Kind]bool{
	devicesim.KindConnected: true, devicesim.KindTwinRead: true, devicesim.KindReported: true, devicesim.KindReportRefused: true,
	devicesim.KindPatch: true, devicesim.KindDisconnected: true, devicesim.KindError: true, devicesim.KindRetry: true, devicesim.KindStopped: true,
}

// line is an event as a line of the feed; ok is false for those not told.
func (p *simPainter) line(ctx context.Context, item feed.Item[devicesim.Event]) (l views.SimLineProps, ok bool) {
	e := item.Value
	if !isTold(e) {
		return l, false
	}
	l = views.SimLineProps{
		Feed: simFeedID, ID: "sim-line-" + strconv.FormatUint(item.ID, 10), Time: clockProps(ctx, e.Time),
		Kind: string(e.Kind), Message: "simulator.line." + string(e.Kind), Version: e.Version, Payload: payload(ctx, e.Payload), Detail: e.Text,
	}
	if p.this == "" {
		l.Device, l.Href = e.DeviceID, p.deviceHref(e.DeviceID)
	}
	switch e.Kind {
	case devicesim.KindPatch:
		l.Arrow = "←"
	case devicesim.KindReported:
		l.Arrow = "→"
	case devicesim.KindTwinRead:
		l.Arrow = "←"
		if l.Payload == "" {
			l.Message += ".nothing"
		}
	case devicesim.KindRetry:
		l.Detail = text.SpanShort(ctx, e.Wait)
	case devicesim.KindDisconnected:
		l.Detail = problemText(ctx, e.Problem)
	case devicesim.KindError:
		if e.Problem == nil { // not the connection: something it was sent
			l.Message, l.Payload = l.Message+".sent", e.Text
			break
		}
		l.Detail = problemText(ctx, e.Problem)
	}
	return l, true
}

// nextID is where the page after the shown devices begins: just behind the last.
func (p *simPainter) nextID(shown []devicesim.Status) string {
	if len(shown) == 0 {
		return ""
	}
	return url.QueryEscape(shown[len(shown)-1].DeviceID + "\x00")
}
