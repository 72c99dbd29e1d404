package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// changesPerPage is how many lines a page of the journal has.
const changesPerPage = 50

func (h *Hub) changesPath() string { return h.path() + "/changes" }

// changesAsked is what the address of the page says: ?device= a part of an id,
// kind= tags, desired or state, who= dashboard, others or policy:NAME, before=
// the place of a page. Unknown values are as good as none.
type changesAsked struct {
	device, kind, who string
	before            store.Place
}

const byPolicy = "policy:"

func parseChanges(q url.Values) changesAsked {
	a := changesAsked{device: strings.TrimSpace(q.Get("device")), kind: oneOf(q.Get("kind"), "tags", "desired", "state"), who: q.Get("who")}
	if !strings.HasPrefix(a.who, byPolicy) {
		a.who = oneOf(a.who, "dashboard", "others")
	}
	a.before = store.ParsePlace(q.Get("before")) // what is no place is the first page
	return a
}

// older reports whether the page is not the first one.
func (a changesAsked) older() bool { return a.before != store.Place{} }

func (a changesAsked) values() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"device": a.device, "kind": a.kind, "who": a.who} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if a.older() {
		q.Set("before", a.before.String())
	}
	return q
}

// href is the address, changed by with, from its first page on.
func (a changesAsked) href(h *Hub, with func(*changesAsked)) string {
	a.before = store.Place{}
	with(&a)
	if q := a.values().Encode(); q != "" {
		return h.changesPath() + "?" + q
	}
	return h.changesPath()
}

func (a changesAsked) query(h *Hub) store.JournalQuery {
	q := store.JournalQuery{Hub: h.Slug, Part: a.device, Section: store.Section(a.kind), Before: a.before}
	policy, named := strings.CutPrefix(a.who, byPolicy)
	switch {
	case named:
		q.Who = policy
	case a.who == "dashboard":
		q.Source = store.FromDashboard
	case a.who == "others":
		q.Others = true
	}
	return q
}

// changesPage lists what changed on a hub.
func (s *Server) changesPage(c echo.Context) error {
	h, ctx, a := hubOf(c), c.Request().Context(), parseChanges(c.QueryParams())
	if c.QueryParam("format") == "csv" {
		return s.journalCSV(c, "changes.csv", a.query(h))
	}
	page, err := s.frame(c, "changes", s.journalSource(h, nil))
	if err != nil {
		return err
	}
	newest, err := s.store.NewestEntry(ctx) // before the list: what comes after is news
	if err != nil {
		return err
	}
	list, err := s.store.Journal(ctx, a.query(h), changesPerPage+1)
	if err != nil {
		return err
	}
	next := ""
	if len(list) > changesPerPage {
		list = list[:changesPerPage]
		next = a.href(h, func(a *changesAsked) { a.before = list[changesPerPage-1].Place() })
	}
	if wantsJSON(c) {
		return showJSON(c, http.StatusOK, map[string]any{"hub": h.Slug, "changes": changeDataOf(list), "next": asJSON(next)})
	}
	props, err := s.changesProps(ctx, h, a, list, next)
	if err != nil {
		return err
	}
	page.LiveURL += "&newest=" + strconv.FormatInt(newest, 10)
	page.Title = text.T(ctx, "changes.title")
	page.Notes = s.bulkNotes(ctx, h)
	if len(list) > 0 {
		q := a.values()
		q.Del("before")
		q.Set("format", "csv")
		page.Actions = views.ChangesActions(h.changesPath() + "?" + q.Encode())
	}
	return render(c, http.StatusOK, views.ChangesPage(page, props))
}

// asJSON is an address with the same as data.
func asJSON(href string) string {
	if href == "" {
		return ""
	}
	return href + "&format=json"
}

func (s *Server) changesProps(ctx context.Context, h *Hub, a changesAsked, list []store.Entry, next string) (views.ChangesProps, error) {
	former, err := s.formerAmong(ctx, h, list)
	if err != nil {
		return views.ChangesProps{}, err
	}
	var rows []views.ChangeRow
	for _, e := range list {
		row := s.changeRow(ctx, h, e)
		if former[e.ID] {
			row.Former, row.Href, row.UndoHref = true, h.viewPath(subjectOfEntry(e), "history"), ""
		}
		rows = append(rows, row)
	}
	p := views.ChangesProps{
		Lead: s.changesLead(ctx, list), Filter: changesFilter(ctx, h, a), Days: byDay(ctx, list, rows, s.now()),
		Foot:        views.PagerProps{Text: text.T(ctx, "changes.count", "Count", len(list)), NextHref: next},
		DevicesHref: h.devicesPath(), Note: text.T(ctx, "changes.note"),
	}
	if a.older() {
		p.Foot.PrevHref = a.href(h, func(*changesAsked) {})
		p.Foot.Note = text.T(ctx, "changes.older")
	}
	if !h.Fleet.Peek().Live && !h.Local {
		p.Note = text.T(ctx, "changes.note.crawled")
	}
	if len(a.values()) > 0 {
		p.NoHits = describeChanges(ctx, h, a)
	}
	return p, nil
}

// changesLead is the answer the page opens with: when the last change was.
func (s *Server) changesLead(ctx context.Context, list []store.Entry) string {
	if len(list) == 0 {
		return text.T(ctx, "changes.lead.none")
	}
	return text.T(ctx, "changes.lead", "When", text.When(ctx, list[0].Time.Local(), s.now().Local()))
}

func changesFilter(ctx context.Context, h *Hub, a changesAsked) views.ChangesFilter {
	f := views.ChangesFilter{Path: h.changesPath(), Device: a.device, ClearHref: h.changesPath(), Chips: changesChips(ctx, h, a)}
	for _, name := range []string{"kind", "who"} {
		if value := a.values().Get(name); value != "" {
			f.Hidden = append(f.Hidden, views.Hidden{Name: name, Value: value})
		}
	}
	for _, kind := range []string{"", "desired", "tags", "state"} {
		f.Kinds = append(f.Kinds, views.ChoiceLink{
			Label: text.T(ctx, "changes.kinds."+cmp.Or(kind, "all")), Chosen: a.kind == kind,
			Href: a.href(h, func(a *changesAsked) { a.kind = kind }),
		})
	}
	for _, who := range []string{"", "dashboard", "others"} {
		f.Who = append(f.Who, views.ChoiceLink{
			Label: text.T(ctx, "changes.whos."+cmp.Or(who, "all")), Chosen: a.who == who,
			Href: a.href(h, func(a *changesAsked) { a.who = who }),
		})
	}
	return f
}

// changesChips are the parts of the filter that no choice shows.
func changesChips(ctx context.Context, h *Hub, a changesAsked) (chips []views.ChipProps) {
	add := func(label string, without func(*changesAsked)) {
		chips = append(chips, views.ChipProps{
			Label: label, RemoveHref: a.href(h, without), RemoveLabel: text.T(ctx, "devices.chip.remove", "Filter", label),
		})
	}
	if a.device != "" {
		add(text.T(ctx, "devices.chip.text", "Text", shortened(a.device)), func(a *changesAsked) { a.device = "" })
	}
	if policy, named := strings.CutPrefix(a.who, byPolicy); named {
		add(text.T(ctx, "changes.by", "Who", policy), func(a *changesAsked) { a.who = "" })
	}
	return chips
}

// describeChanges says what the filter asks for.
func describeChanges(ctx context.Context, h *Hub, a changesAsked) string {
	var parts []string
	for _, chip := range changesChips(ctx, h, a) {
		parts = append(parts, chip.Label)
	}
	if a.kind != "" {
		parts = append(parts, text.T(ctx, "changes.kinds."+a.kind))
	}
	if a.who == "dashboard" || a.who == "others" {
		parts = append(parts, text.T(ctx, "changes.whos."+a.who))
	}
	if len(parts) == 0 {
		return text.T(ctx, "changes.older")
	}
	return text.T(ctx, "devices.no-hits.text", "Filter", strings.Join(parts, " · "))
}

// journalCSV writes every entry that matches, not only one page.
func (s *Server) journalCSV(c echo.Context, name string, q store.JournalQuery) error {
	head := []string{"time", "deviceId", "moduleId", "kind", "path", "old", "new", "source", "policy"}
	var failed error
	err := writeCSV(c, name, head, func(yield func([]string) bool) {
		for {
			list, err := s.store.Journal(c.Request().Context(), q, csvPage)
			for _, e := range list {
				for _, row := range changeCells(e) {
					if !yield(row) {
						return
					}
				}
			}
			if failed = err; err != nil || len(list) < csvPage {
				return
			}
			q.Before = list[len(list)-1].Place()
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

// changeCells are an entry's rows, one for each value.
func changeCells(e store.Entry) (rows [][]string) {
	row := func(path, old, now string) {
		rows = append(rows, []string{
			e.Time.Format(time.RFC3339Nano), e.DeviceID, e.ModuleID, string(e.Section), path, old, now, string(e.Source), e.Who,
		})
	}
	if e.Section == store.State {
		row("", string(e.Was), string(e.State))
	}
	cell := func(s side) string {
		if !s.Set {
			return ""
		}
		return plain(s.Value)
	}
	for _, c := range entryChanges(e) {
		row(c.Path.String(), cell(c.Old), cell(c.New))
	}
	return rows
}

// journalSource is the journal's feed; see is nil where only the place in it
// matters.
func (s *Server) journalSource(h *Hub, see func([]store.Entry) (string, painter)) source {
	return watch(s.journals[h].written, func(item feed.Item[[]store.Entry]) (string, painter) {
		if see == nil {
			return "", nil
		}
		return see(item.Value)
	})
}

// changesLive is the event stream of a page of the journal: it counts what has
// come since.
func (s *Server) changesLive(c echo.Context) error {
	h, a := hubOf(c), parseChanges(c.QueryParams())
	return s.serveNews(c, "changes", a.query(h), a.href(h, func(*changesAsked) {}))
}
