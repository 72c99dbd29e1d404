package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"twinboard/views"
	"twinboard/views/text"
)

const (
	welcomePath = "/welcome"
	// hubCookie remembers the hub seen last; it also says that this is not the
	// first visit.
	hubCookie = "twinboard_hub"
)

// start leads to the overview of the hub seen last, or to the welcome page on the
// first visit.
func (s *Server) start(c echo.Context) error {
	last := cookie(c, hubCookie)
	for _, h := range s.hubs {
		if h.Slug == last {
			return c.Redirect(http.StatusFound, h.path())
		}
	}
	if last == "" && !wantsJSON(c) {
		return c.Redirect(http.StatusFound, welcomePath)
	}
	return c.Redirect(http.StatusFound, s.hubs[0].path())
}

// welcomePage shows the three doors: look around, learn, connect a hub.
func (s *Server) welcomePage(c echo.Context) error {
	page, err := s.frame(c, "")
	if err != nil {
		return err
	}
	ctx, first := c.Request().Context(), s.hubs[0]
	page.Hub, page.Hubs = first.chip(), s.hubLinks("")
	p := views.WelcomeProps{Look: views.Link{Label: text.T(ctx, "welcome.look.go", "Hub", first.Name), Href: first.path()}}
	for _, h := range s.hubs[1:] {
		p.Hubs = append(p.Hubs, views.Link{Label: text.T(ctx, "welcome.look.go", "Hub", h.Name), Href: h.path()})
	}
	if first.Local {
		p.Learn = views.Link{Label: text.T(ctx, "overview.door.learn.start"), Href: first.path() + "/learn"}
	}
	p.Commands = []views.CodeProps{
		{ID: "welcome-file", Label: text.T(ctx, "welcome.connect.file"), Text: `az iot hub connection-string show --hub-name NAME --query connectionString --output tsv > hub.txt`},
		{ID: "welcome-command", Label: text.T(ctx, "welcome.connect.command"), Text: "twinboard --hub cloud=@hub.txt"},
	}
	page.Title = text.T(ctx, "welcome.title")
	return s.show(c, http.StatusOK, views.WelcomePage(page, p), map[string]any{"look": p.Look.Href, "learn": p.Learn.Href})
}
