package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/views"
	"twinboard/views/text"
)

// frame is what a page tells the layout around it; the handler adds title and
// actions. active is its place in the navigation. With sources the page is
// live: frame notes where they stand, so call it before reading what is shown.
func (s *Server) frame(c echo.Context, active string, sources ...source) (views.PageProps, error) {
	t := tasteOf(c)
	page := views.PageProps{
		Active: active, Theme: t.theme, Compact: t.compact, Presenting: t.present, KeysOff: t.keysOff,
		Path: c.Request().URL.RequestURI(), Nonce: templ.GetNonce(c.Request().Context()),
		Flashes: takeFlash(c),
	}
	if h := hubOf(c); h != nil {
		page.Hub, page.Hubs = h.chip(), s.hubLinks(active)
	}
	docked, beside := s.docked(c, active)
	if beside {
		sources = append(sources, docked.live(c).sources...)
	}
	if len(sources) > 0 {
		page.LiveURL = liveURL(c, here(sources).cursor(sources))
	}
	if beside {
		body, err := docked.body(c)
		if err != nil {
			return page, err
		}
		page.Side, page.SideLabel = body, text.T(c.Request().Context(), docked.label)
	}
	return page, nil
}

// liveURL is the event stream of the page at hand, after a cursor: its path
// below /live, and its query, so that both show the same.
func liveURL(c echo.Context, cursor string) string {
	u := *c.Request().URL
	q := u.Query()
	q.Set("after", cursor)
	return "/live" + u.EscapedPath() + "?" + q.Encode()
}

// show answers with a page for people, or with the same as data for programs
// that ask for JSON. It renders before it writes: a component that fails gives
// an error, never half a page.
func (s *Server) show(c echo.Context, status int, page templ.Component, data any) error {
	if data != nil && wantsJSON(c) {
		return showJSON(c, status, data)
	}
	return render(c, status, page)
}

// render answers with one component, a page or a fragment.
func render(c echo.Context, status int, component templ.Component) error {
	var b bytes.Buffer
	if err := component.Render(c.Request().Context(), &b); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	return c.HTMLBlob(status, b.Bytes())
}

func showJSON(c echo.Context, status int, data any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(data); err != nil {
		return fmt.Errorf("render JSON: %w", err)
	}
	return c.JSONBlob(status, b.Bytes())
}

// wantsJSON reports whether the request asks for data: with ?format=json, or an
// Accept header that names JSON and not HTML.
func wantsJSON(c echo.Context) bool {
	if format := c.QueryParam("format"); format != "" {
		return format == "json"
	}
	accept := c.Request().Header.Get("Accept")
	for part := range strings.SplitSeq(accept, ",") {
		switch kind, _, _ := mime.ParseMediaType(strings.TrimSpace(part)); kind {
		case "text/html":
			return false
		case "application/json":
			return true
		}
	}
	return false
}

// isFragment reports whether the page's script asked, to replace a part of it.
func isFragment(c echo.Context) bool { return c.Request().Header.Get("HX-Request") == "true" }

// goTo sends the person on after a change: the script follows HX-Redirect,
// browsers the 303.
func goTo(c echo.Context, path string) error {
	if isFragment(c) {
		c.Response().Header().Set("HX-Redirect", path)
		return c.NoContent(http.StatusNoContent)
	}
	return c.Redirect(http.StatusSeeOther, path)
}

// flash is the answer to what a person did, shown by the page they get next.
type flash struct {
	Kind string   `json:"k"` // "ok", "info", "warning", "error"
	ID   string   `json:"i"` // message
	Args []string `json:"a"` // its places
	// Undo is where the change can be taken back, after review; "" for nowhere.
	Undo string `json:"u,omitempty"`
}

const flashCookie = "twinboard_flash"

// keepFlash keeps a message for the next page of this browser.
func keepFlash(c echo.Context, f flash) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("flash: %w", err)
	}
	c.SetCookie(&http.Cookie{
		Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(b), Path: "/",
		MaxAge: 60, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return nil
}

// takeFlash returns the message kept, once.
func takeFlash(c echo.Context) []views.FlashProps {
	value := cookie(c, flashCookie)
	if value == "" {
		return nil
	}
	c.SetCookie(&http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1})
	var f flash
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || json.Unmarshal(b, &f) != nil || !text.Has(f.ID) {
		return nil
	}
	ctx := c.Request().Context()
	args := make([]any, len(f.Args))
	for i, a := range f.Args {
		args[i] = a
		if n, err := strconv.Atoi(a); err == nil && i > 0 && f.Args[i-1] == "Count" {
			args[i] = n
		}
	}
	p := views.FlashProps{Kind: f.Kind, Text: text.T(ctx, f.ID, args...)}
	if f.Undo != "" {
		p.Undo = views.ButtonLink(views.LinkProps{Label: text.T(ctx, "action.undo"), Href: localPath(f.Undo), Icon: "undo-2", Attrs: templ.Attributes{"data-key": "u"}})
	}
	return []views.FlashProps{p}
}
