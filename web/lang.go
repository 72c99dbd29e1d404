package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/views"
	"twinboard/views/text"
)

// taste is what a person likes, from cookies and, for one link, the address. It
// changes how a page looks, never what is on it.
type taste struct {
	theme   string // "light", "dark", or "" as the system
	keysOff bool
	compact bool   // more rows to the screen
	present bool   // large, keys hidden
	dock    string // what is docked beside pages: "", "simulator", "learn"
}

// dockCookie remembers what is docked beside the pages.
const dockCookie = "twinboard_dock"

const tasteKey = "taste"

// tasteOf is the taste of the request's person.
func tasteOf(c echo.Context) taste {
	t, _ := c.Get(tasteKey).(taste)
	return t
}

// readTaste gives the request its language and taste.
func (s *Server) readTaste(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		lang := text.Match(r.Header.Get("Accept-Language"), cookie(c, views.LangCookie), c.QueryParam("lang"))
		ctx := text.WithLogger(text.With(r.Context(), lang), s.log)
		c.SetRequest(r.WithContext(ctx))
		t := taste{
			theme:   oneOf(cookie(c, views.ThemeCookie), "light", "dark"),
			keysOff: cookie(c, views.KeysCookie) == "off",
			compact: cookie(c, views.RowsCookie) == "compact",
			present: cookie(c, views.SizeCookie) == "present",
			dock:    oneOf(cookie(c, dockCookie), docks...),
		}
		if c.QueryParams().Has("dock") {
			t.dock = oneOf(c.QueryParam("dock"), docks...)
		}
		if c.QueryParams().Has("present") {
			t.present = c.QueryParam("present") == "1"
		}
		c.Set(tasteKey, t)
		c.Response().Header().Set("Content-Language", lang)
		c.Response().Header().Add("Vary", "Accept-Language, Cookie")
		return next(c)
	}
}

func cookie(c echo.Context, name string) string {
	k, err := c.Cookie(name)
	if err != nil {
		return ""
	}
	return k.Value
}

// oneOf is value if it is among the allowed, else "".
func oneOf(value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return value
	}
	return ""
}

// settingsSave keeps what it is sent of a taste in cookies and goes back.
func (s *Server) settingsSave(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	for _, t := range []struct {
		name, cookie string
		allowed      []string
	}{
		{"lang", views.LangCookie, text.Languages()},
		{"theme", views.ThemeCookie, []string{"light", "dark"}},
		{"keys", views.KeysCookie, []string{"off"}},
		{"rows", views.RowsCookie, []string{"compact"}},
		{"size", views.SizeCookie, []string{"present"}},
	} {
		if form.Has(t.name) {
			setCookie(c, t.cookie, oneOf(form.Get(t.name), t.allowed...))
		}
	}
	return c.Redirect(http.StatusSeeOther, localPath(form.Get("back")))
}

// setCookie keeps a taste for a year; the empty value removes it. The script
// writes theme, rows and size to switch without a reload, hence no HttpOnly.
func setCookie(c echo.Context, name, value string) {
	k := &http.Cookie{
		Name: name, Value: value, Path: "/", SameSite: http.SameSiteLaxMode,
		MaxAge: int((365 * 24 * time.Hour).Seconds()),
	}
	if value == "" {
		k.MaxAge = -1
	}
	c.SetCookie(k)
}

// localPath is a path of ours to go back to; anything that could lead to
// another host becomes the start page.
func localPath(p string) string {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\\r\n\t") {
		return "/"
	}
	return p
}
