package web

import (
	"net/http"
	"net/url"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

// docks are the panels that may stand beside a page. Server.panels, in
// routes.go, says what each is.
var docks = []string{"simulator", "learn"}

// panel is a component beside a page of a hub.
type panel struct {
	label string // message that names it
	// live is what the panel adds to the page's live stream.
	live func(c echo.Context) live
	body func(c echo.Context) (templ.Component, error)
}

// dockSave chooses the docked panel ("" closes it) and goes back.
func (s *Server) dockSave(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	setCookie(c, dockCookie, oneOf(form.Get("dock"), docks...))
	return c.Redirect(http.StatusSeeOther, withoutDock(localPath(form.Get("back"))))
}

// withoutDock removes ?dock=, which would override the choice.
func withoutDock(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return "/"
	}
	q := u.Query()
	q.Del("dock")
	u.RawQuery = q.Encode()
	return u.String()
}

// docked is the panel beside a page of the place active, if there is one. A
// panel is never docked beside its own page.
func (s *Server) docked(c echo.Context, active string) (panel, bool) {
	dock := tasteOf(c).dock
	if hubOf(c) == nil || dock == active {
		return panel{}, false
	}
	p, ok := s.panels()[dock]
	return p, ok
}
