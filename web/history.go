package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// rollbackMost is how many changes are taken back to show a time past; a device
// that changed more often since cannot be shown at it.
const rollbackMost = 5000

// historyPath shows a device or module as it was just after an entry of the
// journal.
func (h *Hub) historyPath(e store.Entry) string {
	return h.viewPath(subjectOfEntry(e), "history") + "&at=" + strconv.FormatInt(e.ID, 10)
}

// moment is an entry of the journal, for how it was just after that, or a time.
// The zero value is now.
type moment struct {
	entry int64
	time  time.Time
}

// parseMoment reads an id, or a time (RFC 3339); ok is false for anything else.
func parseMoment(s string) (m moment, ok bool) {
	if id, err := strconv.ParseInt(s, 10, 64); err == nil {
		return moment{entry: id}, id > 0
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return moment{time: t}, err == nil
}

func (m moment) isNow() bool { return m == moment{} }

// find is the index of the entry, or of the latest that had happened by then; -1
// for none.
func (m moment) find(entries []store.Entry) int {
	return slices.IndexFunc(entries, func(e store.Entry) bool {
		if m.entry > 0 {
			return e.ID == m.entry
		}
		return !e.Time.After(m.time)
	})
}

// historyAsked is what the address says: ?at= a moment, for how it was then;
// ?from= and to= two moments to compare, the second now when it is missing;
// ?before= the place of a page. Unknown values are as good as none.
type historyAsked struct {
	before   store.Place
	at       moment
	compare  bool
	from, to moment
}

func parseHistory(q url.Values) (a historyAsked) {
	if a.from, a.compare = parseMoment(q.Get("from")); a.compare {
		a.to, _ = parseMoment(q.Get("to"))
		return a
	}
	if at, ok := parseMoment(q.Get("at")); ok {
		a.at = at
		return a
	}
	a.before = store.ParsePlace(q.Get("before")) // what is no place is the first page
	return a
}

// older reports whether the page is not the first one.
func (a historyAsked) older() bool { return a.before != store.Place{} }

// past reports whether one moment is asked for.
func (a historyAsked) past() bool { return !a.at.isNow() }

// most is how many entries to read.
func (a historyAsked) most() int {
	if a.past() || a.compare {
		return rollbackMost
	}
	return changesPerPage
}

// history is what the journal knows of one device or module.
type history struct {
	of      subject
	asked   historyAsked
	entries []store.Entry // newest first
	more    bool          // there are older ones than entries
	watched []store.Span
	now     reading
	gone    bool  // it is no longer registered
	ended   []int // see endedLives
}

// readHistory reads what is asked for of the changes of a device or module.
func (s *Server) readHistory(ctx context.Context, h *Hub, k subject, a historyAsked) (history, error) {
	got := history{of: k, asked: a}
	now, err := s.twinOrMemory(ctx, h, k)
	if isGone(err) {
		return s.readGone(ctx, h, got, err)
	}
	if err != nil {
		return got, err
	}
	got.now = now
	return got, s.readEntries(ctx, h, &got)
}

// readEntries reads what the journal holds of it.
func (s *Server) readEntries(ctx context.Context, h *Hub, got *history) (err error) {
	if got.watched, err = s.store.Watched(ctx, h.Slug); err != nil {
		return err
	}
	q := historyQuery(h, got.of)
	q.Before = got.asked.before
	got.entries, err = s.store.Journal(ctx, q, got.asked.most()+1)
	if got.more = len(got.entries) > got.asked.most(); got.more {
		got.entries = got.entries[:got.asked.most()]
	}
	got.findLives()
	return err
}

// readGone is readHistory for what is no longer registered, which is refused as
// usual when the journal does not know it either. Of its last values those are
// known that changed while the hub was watched.
func (s *Server) readGone(ctx context.Context, h *Hub, got history, refused error) (history, error) {
	got.gone = true
	got.now = reading{Twin: &iothub.Twin{DeviceID: got.of.device, ModuleID: got.of.module}, at: s.now()}
	if err := s.readEntries(ctx, h, &got); err != nil {
		return got, err
	}
	if len(got.entries) == 0 {
		return got, refused
	}
	from, to := got.life(0)
	last := lastKnown(got.entries[from:to])
	got.now.Tags, got.now.Properties.Desired.Value = last[store.Tags], last[store.Desired]
	return got, nil
}

// historyQuery asks for all that is known of a device or module.
func historyQuery(h *Hub, k subject) store.JournalQuery {
	return store.JournalQuery{Hub: h.Slug, DeviceID: k.device, ModuleID: k.module}
}

// page is the entries that one page lists.
func (got history) page() []store.Entry {
	return got.entries[:min(changesPerPage, len(got.entries))]
}

// nextHref is the page of older entries, "" after the last one.
func (got history) nextHref(h *Hub) string {
	list := got.page()
	if len(list) == len(got.entries) && !got.more {
		return ""
	}
	return h.viewPath(got.of, "history") + "&before=" + list[len(list)-1].Place().String()
}

// historyPage lists what changed on a device, or (?at=) shows it as it was.
func (s *Server) historyPage(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	if c.QueryParam("format") == "csv" {
		return s.journalCSV(c, "history.csv", historyQuery(h, k))
	}
	page, err := s.frame(c, "devices", s.journalSource(h, nil))
	if err != nil {
		return err
	}
	newest, err := s.store.NewestEntry(ctx)
	if err != nil {
		return err
	}
	got, err := s.readHistory(ctx, h, k, parseHistory(c.QueryParams()))
	if err != nil {
		return err
	}
	if wantsJSON(c) {
		return showJSON(c, http.StatusOK, got.data(h))
	}
	page.LiveURL += "&newest=" + strconv.FormatInt(newest, 10)
	if got.gone {
		s.subjectFrame(c, &page, k, text.T(ctx, "devices.gone"))
		page.Back = views.Link{Label: text.T(ctx, "changes.title"), Href: h.changesPath()}
	} else {
		s.twinFrame(c, &page, got.now, s.drift(got.now))
		head := twinHead(ctx, h, got.now, s.now())
		head.EditHref = ""
		page.Actions = views.TwinHead(head)
	}
	return render(c, http.StatusOK, views.HistoryPage(page, s.historyProps(ctx, h, got)))
}

// historyProps is the list, or how the device was, or what differs between two
// moments, where that is known.
func (s *Server) historyProps(ctx context.Context, h *Hub, got history) views.HistoryProps {
	p := views.HistoryProps{
		Lead:    text.T(ctx, "history.none"),
		Watched: text.T(ctx, "history.unwatched"), NowHref: h.viewPath(got.of, "history"), Chooser: historyChooser(ctx, h, got),
	}
	if got.gone {
		p.Gone = text.T(ctx, "history.gone")
	} else {
		p.Tabs = twinTabs(ctx, h, got.of, "history")
	}
	if len(got.watched) > 0 {
		since := got.watched[0].Since.Local()
		p.Watched = text.T(ctx, "history.watched", "When", text.Date(ctx, since)+", "+text.ClockShort(ctx, since))
	}
	switch {
	case got.asked.past():
		if chosen := got.asked.at.find(got.entries); chosen >= 0 {
			p.Past = s.pastProps(ctx, h, got, chosen)
			return p
		}
		p.Unknown = text.T(ctx, "history.unknown")
	case got.asked.compare:
		if p.Compare = s.differenceProps(ctx, h, got); p.Compare != nil {
			return p
		}
		p.Unknown = text.T(ctx, "history.unknown")
	}
	if len(got.entries) > 0 {
		p.Lead = text.T(ctx, "history.lead", "When", text.When(ctx, got.entries[0].Time.Local(), s.now().Local()))
		if got.asked.older() {
			p.Lead = text.T(ctx, "changes.older")
		}
		p.Days, p.Foot = s.historyDays(ctx, h, got), historyFoot(ctx, h, got)
		p.CSVHref = p.NowHref + "&format=csv"
	}
	return p
}

// historyDays are the lines of a page, with the times nobody watched between
// them.
func (s *Server) historyDays(ctx context.Context, h *Hub, got history) []views.ChangeDay {
	var rows []views.ChangeRow
	until := s.now()
	if got.asked.older() {
		until = got.entries[0].Time // what was since stands on the page before
	}
	for i, e := range got.page() {
		row := s.changeRow(ctx, h, e)
		row.Device, row.Href, row.Gone, row.HistoryKey = "", "", false, ","
		if got.gone || got.former(i) {
			row.UndoHref = ""
		}
		if slices.Contains(got.ended, i) {
			row.Boundary = text.T(ctx, "history.boundary")
		}
		row.Version = versionText(ctx, e)
		row.Gaps = gapTexts(ctx, got.watched, e.Time, until)
		until = e.Time
		rows = append(rows, row)
	}
	return byDay(ctx, got.page(), rows, s.now())
}

func versionText(ctx context.Context, e store.Entry) string {
	if e.Version == 0 {
		return ""
	}
	return text.T(ctx, "history.version", "N", e.Version)
}

func historyFoot(ctx context.Context, h *Hub, got history) views.PagerProps {
	foot := views.PagerProps{Text: text.T(ctx, "changes.count", "Count", len(got.page())), NextHref: got.nextHref(h)}
	if got.asked.older() {
		foot.PrevHref, foot.Note = h.viewPath(got.of, "history"), text.T(ctx, "changes.older")
	}
	return foot
}

// gapTexts say when nobody watched between two times.
func gapTexts(ctx context.Context, watched []store.Span, from, until time.Time) (list []string) {
	for i := len(watched) - 1; i > 0; i-- {
		begin, end := watched[i-1].Until, watched[i].Since
		if end.After(from) && begin.Before(until) && end.Sub(begin) >= time.Second {
			list = append(list, text.T(ctx, "history.gap", "From", momentText(ctx, begin), "To", momentText(ctx, end)))
		}
	}
	return list
}

func momentText(ctx context.Context, at time.Time) string {
	return text.Date(ctx, at.Local()) + ", " + text.Clock(ctx, at.Local())
}

// historyLive is the event stream of the page: it counts what has come since.
func (s *Server) historyLive(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h := hubOf(c)
	return s.serveNews(c, "devices", historyQuery(h, k), h.viewPath(k, "history"))
}

// serveNews is the event stream of a page that lists the journal: it counts what
// a query has got since the page's newest entry (?newest=), and leads to it.
func (s *Server) serveNews(c echo.Context, active string, q store.JournalQuery, href string) error {
	q.Before = store.Place{}
	q.After, _ = strconv.ParseInt(c.QueryParam("newest"), 10, 64) // an empty page counts from the start
	paint := func(ctx context.Context) ([]templ.Component, error) {
		const most = 1000
		n, err := s.store.JournalCount(ctx, q, most)
		if err != nil || n == 0 {
			return nil, err
		}
		id := "changes.new"
		if n == most {
			id = "changes.new.many"
		}
		return []templ.Component{views.ChangesNew(views.ChangesNewProps{Text: text.T(ctx, id, "Count", n), Href: href})}, nil
	}
	see := func([]store.Entry) (string, painter) { return "new", paint }
	return s.serveLive(c, active, live{sources: []source{s.journalSource(hubOf(c), see)}, all: paint})
}
