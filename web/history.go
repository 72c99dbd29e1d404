package web

import (
	"context"
	"maps"
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

// historyAsked is what the address says: ?at= the id of an entry of the journal,
// or a time (RFC 3339), for how it was then; ?before= the place of a page.
// Unknown values are as good as none.
type historyAsked struct {
	before, entry int64
	time          time.Time
}

func parseHistory(q url.Values) (a historyAsked) {
	at := q.Get("at")
	if id, err := strconv.ParseInt(at, 10, 64); err == nil {
		a.entry = max(id, 0)
	} else if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		a.time = t
	}
	if !a.past() {
		before, _ := strconv.ParseInt(q.Get("before"), 10, 64) // what is no id is the first page
		a.before = max(before, 0)
	}
	return a
}

// past reports whether a moment is asked for, and not the list.
func (a historyAsked) past() bool { return a.entry > 0 || !a.time.IsZero() }

// most is how many entries to read.
func (a historyAsked) most() int {
	if a.past() {
		return rollbackMost
	}
	return changesPerPage
}

// find is the index of the latest entry that had happened by then, -1 for none.
func (a historyAsked) find(entries []store.Entry) int {
	return slices.IndexFunc(entries, func(e store.Entry) bool {
		if a.entry > 0 {
			return e.ID <= a.entry
		}
		return !e.Time.After(a.time)
	})
}

// history is what the journal knows of one device or module.
type history struct {
	of      subject
	asked   historyAsked
	entries []store.Entry // newest first
	more    bool          // there are older ones than entries
	watched []store.Span
	now     reading
}

// readHistory reads what is asked for of the changes of a device or module.
func (s *Server) readHistory(ctx context.Context, h *Hub, k subject, a historyAsked) (history, error) {
	got := history{of: k, asked: a}
	var err error
	if got.now, err = s.twinOrMemory(ctx, h, k); err != nil {
		return got, err
	}
	if got.watched, err = s.store.Watched(ctx, h.Slug); err != nil {
		return got, err
	}
	q := historyQuery(h, k)
	q.Before = a.before
	got.entries, err = s.store.Journal(ctx, q, a.most()+1)
	if got.more = len(got.entries) > a.most(); got.more {
		got.entries = got.entries[:a.most()]
	}
	return got, err
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
	return h.viewPath(got.of, "history") + "&before=" + strconv.FormatInt(list[len(list)-1].ID, 10)
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
	got, err := s.readHistory(ctx, h, k, parseHistory(c.QueryParams()))
	if err != nil {
		return err
	}
	if wantsJSON(c) {
		return showJSON(c, http.StatusOK, got.data(h))
	}
	newest, err := s.newestEntry(ctx, historyQuery(h, k))
	if err != nil {
		return err
	}
	page.LiveURL += "&newest=" + strconv.FormatInt(newest, 10)
	s.twinFrame(c, &page, got.now, s.drift(got.now))
	head := twinHead(ctx, h, got.now, s.now())
	head.EditHref = ""
	page.Actions = views.TwinHead(head)
	return render(c, http.StatusOK, views.HistoryPage(page, s.historyProps(ctx, h, got)))
}

// historyProps is the list, or how the device was where that is known.
func (s *Server) historyProps(ctx context.Context, h *Hub, got history) views.HistoryProps {
	p := views.HistoryProps{
		Tabs: twinTabs(ctx, h, got.of, "history"), Lead: text.T(ctx, "history.none"),
		Watched: text.T(ctx, "history.unwatched"), NowHref: h.viewPath(got.of, "history"),
	}
	if len(got.watched) > 0 {
		since := got.watched[0].Since.Local()
		p.Watched = text.T(ctx, "history.watched", "When", text.Date(ctx, since)+", "+text.ClockShort(ctx, since))
	}
	if got.asked.past() {
		if chosen := got.asked.find(got.entries); chosen >= 0 {
			p.Past = s.pastProps(ctx, h, got, chosen)
			return p
		}
		p.Unknown = text.T(ctx, "history.unknown")
	}
	if len(got.entries) > 0 {
		p.Lead = text.T(ctx, "history.lead", "When", text.When(ctx, got.entries[0].Time.Local(), s.now().Local()))
		if got.asked.before > 0 {
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
	if got.asked.before > 0 {
		until = got.entries[0].Time // what was since stands on the page before
	}
	for _, e := range got.page() {
		row := s.changeRow(ctx, h, e)
		row.Device, row.Href = "", ""
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
	if got.asked.before > 0 {
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

// asOf rolls the twin's tags and desired properties back to just after the entry
// at index i.
func (got history) asOf(i int) map[store.Section]iothub.Document {
	then := map[store.Section]iothub.Document{
		store.Tags: got.now.section(iothub.SectionTags), store.Desired: got.now.section(iothub.SectionDesired),
	}
	for _, e := range got.entries[:i] {
		if e.Section != store.State {
			then[e.Section] = iothub.Merge(then[e.Section], e.Old)
		}
	}
	return then
}

// pastProps is the device as it was just after the entry at index i.
func (s *Server) pastProps(ctx context.Context, h *Hub, got history, i int) *views.PastProps {
	e := got.entries[i]
	row := s.changeRow(ctx, h, e)
	p := &views.PastProps{
		When: momentText(ctx, e.Time), Row: row, Changes: changeProps(ctx, entryChanges(e)),
		Version: versionText(ctx, e), UndoHref: row.UndoHref, NowHref: h.viewPath(got.of, "history"), Unsure: gapTexts(ctx, got.watched, e.Time, s.now()),
	}
	if i > 0 {
		p.NewerHref = h.historyPath(got.entries[i-1])
	}
	if i+1 < len(got.entries) {
		p.OlderHref = h.historyPath(got.entries[i+1])
	}
	then := got.asOf(i)
	p.Sections = []views.PastSection{
		pastSection(ctx, store.Desired, then[store.Desired], got.now.section(iothub.SectionDesired)),
		pastSection(ctx, store.Tags, then[store.Tags], got.now.section(iothub.SectionTags)),
	}
	return p
}

// pastSection is every value of a section as it was, beside what it is now where
// that differs.
func pastSection(ctx context.Context, section store.Section, then, now iothub.Document) views.PastSection {
	p := views.PastSection{ID: "past-" + string(section), Title: text.T(ctx, "history.then."+string(section)), Technical: string(section)}
	values := map[string]leafChange{}
	for _, leaf := range iothub.Flatten(then) {
		values[leaf.Path.String()] = leafChange{Old: side{leaf.Value, true}}
	}
	changed := map[string]bool{}
	for _, c := range changes(then, now) {
		path := c.Path.String()
		values[path], changed[path] = c, true
	}
	for i, path := range slices.Sorted(maps.Keys(values)) {
		id := p.ID + "-" + strconv.Itoa(i)
		value := views.PastValue{Path: path, Then: valueProps(ctx, values[path].Old, id)}
		if changed[path] {
			value.Now = new(valueProps(ctx, values[path].New, id+"-now"))
		}
		p.Values = append(p.Values, value)
	}
	return p
}

// historyData is the history as JSON.
type historyData struct {
	DeviceID string        `json:"deviceId"`
	ModuleID string        `json:"moduleId,omitempty"`
	Watched  []watchedData `json:"watched"`
	Changes  []changeData  `json:"changes"`
	Next     string        `json:"next"` // the address of older changes, "" after the last
	// At is the twin as it was, when the address asks for one.
	At *pastData `json:"at,omitempty"`
}

// watchedData is a time during which changes were watched.
type watchedData struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// pastData is a twin as it was just after a change.
type pastData struct {
	Change  int64           `json:"change"`
	Time    time.Time       `json:"time"`
	Tags    iothub.Document `json:"tags"`
	Desired iothub.Document `json:"desired"`
}

func (got history) data(h *Hub) historyData {
	d := historyData{
		DeviceID: got.of.device, ModuleID: got.of.module, Watched: []watchedData{},
		Changes: changeDataOf(got.page()), Next: asJSON(got.nextHref(h)),
	}
	for _, span := range got.watched {
		d.Watched = append(d.Watched, watchedData(span))
	}
	if !got.asked.past() {
		return d
	}
	if i := got.asked.find(got.entries); i >= 0 {
		e, then := got.entries[i], got.asOf(i)
		d.At = &pastData{Change: e.ID, Time: e.Time, Tags: then[store.Tags], Desired: then[store.Desired]}
	}
	return d
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
	q.Before = 0
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
