package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// querySizes are the rows a page may have; the first is the usual number.
var querySizes = []int{25, 100}

// asking is what the address of the query page says. The address reproduces the
// screen: a query changes nothing, so it runs whenever the page is opened.
type asking struct {
	text string // the query, lines ended by \n
	run  bool   // false on the page without a query
	as   string // "table" or "json"
	size int    // rows a page
	// after is the hub's continuation, bound to the text; from is how many rows
	// came before it.
	after string
	from  int
}

func parseAsking(q url.Values) asking {
	a := asking{
		text: strings.ReplaceAll(q.Get("q"), "\r\n", "\n"), run: q.Has("q"),
		as: cmp.Or(oneOf(q.Get("as"), "json"), "table"), size: querySizes[0], after: q.Get("after"),
	}
	if n, err := strconv.Atoi(q.Get("size")); err == nil && slices.Contains(querySizes, n) {
		a.size = n
	}
	if n, err := strconv.Atoi(q.Get("from")); err == nil && n > 0 && a.after != "" {
		a.from = n
	}
	return a
}

// values is the address' query again, what is usual left out.
func (a asking) values() url.Values {
	v := url.Values{"q": {a.text}}
	if a.as != "table" {
		v.Set("as", a.as)
	}
	if a.size != querySizes[0] {
		v.Set("size", strconv.Itoa(a.size))
	}
	if a.after != "" {
		v.Set("after", a.after)
		v.Set("from", strconv.Itoa(a.from))
	}
	return v
}

func (h *Hub) queryPath() string { return h.path() + "/query" }

func (a asking) href(h *Hub) string { return h.queryPath() + "?" + a.values().Encode() }

// first is the same question, answered from its first row.
func (a asking) first() asking {
	a.after, a.from = "", 0
	return a
}

// answer is a page of rows as the hub gave it.
type answer struct {
	hubclient.QueryPage
	at   time.Time
	took time.Duration
}

// ask runs the query once. It never waits for a throttled hub: the page says so
// at once, and the person decides.
func (s *Server) ask(ctx context.Context, h *Hub, a asking) (answer, error) {
	began := s.now()
	page, err := h.Client.QueryPage(ctx, a.text, a.after, a.size)
	if err != nil {
		return answer{}, err
	}
	now := s.now()
	return answer{QueryPage: page, at: now, took: now.Sub(began)}, nil
}

// queryPage is the editor, and the answer to the query in the address. What was
// typed is on the page whatever happens to the query.
func (s *Server) queryPage(c echo.Context) error {
	h, ctx := hubOf(c), c.Request().Context()
	a := parseAsking(c.QueryParams())
	page, err := s.frame(c, "query")
	if err != nil {
		return err
	}
	page.Title = text.T(ctx, "query.title")
	known := seenIn(h)
	p := queryProps(ctx, h, a, known)
	if !a.run {
		p.Examples = queryExamples(ctx, h, known)
		return s.show(c, http.StatusOK, views.QueryPage(page, p), map[string]any{"examples": p.Examples})
	}
	got, err := s.ask(ctx, h, a)
	if err != nil {
		return s.queryRefused(c, page, p, a, err)
	}
	if c.QueryParam("format") == "csv" {
		return queryCSV(c, got)
	}
	if p.Result, err = s.queryResult(c, h, a, got); err != nil {
		return err
	}
	page.Heading = page.Title
	page.Title = text.T(ctx, "query.title.done", "Answer", strings.TrimSuffix(p.Result.Lead, "."))
	return s.show(c, http.StatusOK, views.QueryPage(page, p), queryData(h, a, got))
}

// queryLive is the event stream of the page: an answer does not change by
// itself, what is docked beside it does.
func (s *Server) queryLive(c echo.Context) error { return s.serveLive(c, "query", live{}) }

// queryProps is the page before the hub was asked.
func queryProps(ctx context.Context, h *Hub, a asking, known *seen) views.QueryProps {
	p := views.QueryProps{
		Path: h.queryPath(), Limit: iothub.MaxQueryLength,
		Used:     text.T(ctx, "query.used", "N", utf8.RuneCountInString(a.text), "Limit", iothub.MaxQueryLength),
		UsedForm: text.T(ctx, "query.used", "N", "{n}", "Limit", iothub.MaxQueryLength),
		Editor: views.EditorProps{
			ID: "q", Name: "q", Mode: "query", Label: text.T(ctx, "query.label"), Value: a.text, Rows: 5,
			Words: strings.Join(known.words(), " "),
		},
	}
	if a.as != "table" {
		p.Hidden = append(p.Hidden, views.Hidden{Name: "as", Value: a.as})
	}
	if a.size != querySizes[0] {
		p.Hidden = append(p.Hidden, views.Hidden{Name: "size", Value: strconv.Itoa(a.size)})
	}
	return p
}

// queryRefused is the page of a query without an answer: a mistake in it is
// marked, everything else stands where the answer would be.
func (s *Server) queryRefused(c echo.Context, page views.PageProps, p views.QueryProps, a asking, err error) error {
	ctx, h := c.Request().Context(), hubOf(c)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return err
	}
	page.Heading = page.Title
	page.Title = text.T(ctx, "query.title.failed")
	if mistake, ok := errors.AsType[*hubclient.QueryError](err); ok {
		message, hint := queryMessage(ctx, mistake)
		p.Editor.Error = text.T(ctx, "query.place", "Line", mistake.Line, "Column", mistake.Column, "Message", message)
		p.Editor.ErrorLine, p.Editor.ErrorColumn = mistake.Line, mistake.Column
		p.Mistake = mistakeProps(ctx, h, a, mistake, hint)
		return s.show(c, http.StatusUnprocessableEntity, views.QueryPage(page, p), mistakeData(mistake, message, hint))
	}
	reason := s.explain(c, err)
	if wantsJSON(c) || c.QueryParam("format") == "csv" {
		return err
	}
	s.log.InfoContext(ctx, "query failed", "hub", h.Slug, "code", reason.code, "error", err)
	props := errorProps(c, reason, "")
	props.Actions = []views.Link{{Label: text.T(ctx, "error.try-again"), Href: a.href(h)}}
	p.Problem = &props
	if reason.wait > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(reason.wait.Seconds()+1)))
	}
	return render(c, reason.status, views.QueryPage(page, p))
}
