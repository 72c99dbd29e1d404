package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// ask sends one request to the handler, as a proxy or an attacker could.
func ask(s *Server, method, target string, body string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range header {
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func TestHostIsChecked(t *testing.T) {
	s := newServer(t, nil)
	for host, want := range map[string]int{
		"127.0.0.1:8080":      http.StatusOK,
		"localhost":           http.StatusOK,
		"LOCALHOST:8080":      http.StatusOK,
		"localhost.:8080":     http.StatusOK,
		"board.localhost:80":  http.StatusOK,
		"[::1]:8080":          http.StatusOK,
		"127.9.9.9":           http.StatusOK,
		"board.example":       http.StatusOK, // an option of this server
		"evil.example":        http.StatusMisdirectedRequest,
		"evil.example:8080":   http.StatusMisdirectedRequest,
		"192.168.1.5":         http.StatusMisdirectedRequest,
		"127.0.0.1.evil.test": http.StatusMisdirectedRequest,
		"localhost.evil.test": http.StatusMisdirectedRequest,
		"notlocalhost":        http.StatusMisdirectedRequest,
		"0.0.0.0:8080":        http.StatusMisdirectedRequest,
		"":                    http.StatusMisdirectedRequest,
	} {
		w := ask(s, http.MethodGet, "/h/local/devices", "", map[string]string{"Host": host})
		if w.Code != want {
			t.Errorf("Host %q: status %d, want %d", host, w.Code, want)
		}
		if want != http.StatusOK && strings.Contains(w.Body.String(), `data-testid="devices`) {
			t.Errorf("Host %q: the answer shows the page", host)
		}
	}
}

func TestCrossSitePostsAreRefused(t *testing.T) {
	s := newServer(t, nil)
	for name, c := range map[string]struct {
		header map[string]string
		want   int
	}{
		"same origin":                   {map[string]string{"Sec-Fetch-Site": "same-origin"}, http.StatusSeeOther},
		"typed or a program":            {nil, http.StatusSeeOther},
		"another site":                  {map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"a sibling site":                {map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		"an old browser, another site":  {map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
		"an old browser, this site":     {map[string]string{"Origin": "http://127.0.0.1:8080"}, http.StatusSeeOther},
		"an old browser, a hidden site": {map[string]string{"Origin": "null"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(s, http.MethodPost, "/settings", "theme=dark&back=/h/local/devices", c.header)
			if w.Code != c.want {
				t.Errorf("status %d, want %d", w.Code, c.want)
			}
			if got := len(w.Result().Cookies()) > 0; got != (c.want == http.StatusSeeOther) {
				t.Errorf("a cookie was set: %v", got)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	s := newServer(t, nil)
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
	}
	nonces := map[string]bool{}
	for _, target := range []string{"/h/local/devices", "/h/local/devices?format=json", "/h/local/devices?format=csv", "/nowhere", "/h/other/devices", "/"} {
		w := ask(s, http.MethodGet, target, "", nil)
		for name, value := range want {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", target, name, got, value)
			}
		}
		csp := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, part) {
				t.Errorf("%s: the policy lacks %q: %s", target, part, csp)
			}
		}
		if strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy is unsafe: %s", target, csp)
		}
		if w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", target)
		}
		nonces[csp] = true
	}
	if len(nonces) != 6 {
		t.Errorf("%d different nonces in 6 answers", len(nonces))
	}
	w := ask(s, http.MethodGet, "/h/local/devices", "", nil)
	_, rest, _ := strings.Cut(w.Header().Get("Content-Security-Policy"), "'nonce-")
	nonce, _, _ := strings.Cut(rest, "'")
	if !strings.Contains(w.Body.String(), `nonce="`+nonce+`"`) {
		t.Error("the page's script does not carry the nonce of its policy")
	}
	for _, forbidden := range []string{" style=", "<style", "onclick=", "javascript:"} {
		if strings.Contains(w.Body.String(), forbidden) {
			t.Errorf("the page holds %q, which the policy forbids", forbidden)
		}
	}
	if w := ask(s, http.MethodGet, "/static/app.css", "", nil); w.Code != http.StatusOK || w.Header().Get("Cache-Control") == "no-store" {
		t.Errorf("the style sheet: status %d, Cache-Control %q", w.Code, w.Header().Get("Cache-Control"))
	}
}

func TestPagesArePacked(t *testing.T) {
	s := newServer(t, nil)
	plain := ask(s, http.MethodGet, "/h/local/add-device", "", nil)
	packed := ask(s, http.MethodGet, "/h/local/add-device", "", map[string]string{"Accept-Encoding": "gzip"})
	if got := plain.Header().Get("Content-Encoding"); got != "" {
		t.Errorf("who did not ask for it gets %q", got)
	}
	if got := packed.Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding is %q, want gzip", got)
	}
	if packed.Body.Len() > plain.Body.Len()/2 {
		t.Errorf("%d bytes became %d", plain.Body.Len(), packed.Body.Len())
	}
	reader, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(reader)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(page)), "</html>") {
		t.Errorf("unpacked it is %d bytes of no page: %v", len(page), err)
	}
}

func TestBodiesAreLimited(t *testing.T) {
	s := newServer(t, nil)
	long := "id=" + strings.Repeat("x", maxBody)
	w := ask(s, http.MethodPost, "/h/local/add-device", long, nil)
	if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "larger than 1 MB") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	// A body that does not say how long it is.
	r := httptest.NewRequest(http.MethodPost, "/h/local/add-device", strings.NewReader(long))
	r.Host, r.ContentLength = "localhost", -1
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("without a length: status %d", rec.Code)
	}
}

func TestSettings(t *testing.T) {
	s := newServer(t, nil)
	for name, c := range map[string]struct{ form, cookie, location string }{
		"language":                  {"lang=es&back=/h/local/devices?q=a", "twinboard_lang=es", "/h/local/devices?q=a"},
		"an unknown language":       {"lang=fr&back=/x", "twinboard_lang=; Path=/; Max-Age=0", "/x"},
		"theme of the system":       {"theme=&back=/x", "twinboard_theme=; Path=/; Max-Age=0", "/x"},
		"keys off":                  {"keys=off&back=/x", "twinboard_keys=off", "/x"},
		"compact rows":              {"rows=compact&back=/x", "twinboard_rows=compact", "/x"},
		"present":                   {"size=present&back=/x", "twinboard_size=present", "/x"},
		"an odd size":               {"size=<x>&back=/x", "twinboard_size=; Path=/; Max-Age=0", "/x"},
		"no way to another host":    {"theme=dark&back=" + url.QueryEscape("//evil.example/"), "twinboard_theme=dark", "/"},
		"nor with a whole address":  {"theme=dark&back=" + url.QueryEscape("https://evil.example/"), "twinboard_theme=dark", "/"},
		"nor with backslashes":      {"theme=dark&back=" + url.QueryEscape(`/\evil.example`), "twinboard_theme=dark", "/"},
		"nor with a line in a line": {"theme=dark&back=" + url.QueryEscape("/\r\nLocation: x"), "twinboard_theme=dark", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(s, http.MethodPost, "/settings", c.form, nil)
			if w.Code != http.StatusSeeOther || w.Header().Get("Location") != c.location {
				t.Errorf("status %d to %q, want 303 to %q", w.Code, w.Header().Get("Location"), c.location)
			}
			if got := w.Header().Get("Set-Cookie"); !strings.HasPrefix(got, c.cookie) {
				t.Errorf("cookie %q, want %q", got, c.cookie)
			}
		})
	}
}

func TestDock(t *testing.T) {
	s := newServer(t, nil)
	w := ask(s, http.MethodPost, "/dock", "dock=learn&back="+url.QueryEscape("/h/local/devices?dock=simulator&q=a"), nil)
	if got := w.Header().Get("Location"); got != "/h/local/devices?q=a" {
		t.Errorf("goes to %q: ?dock= would override the choice", got)
	}
	if got := w.Header().Get("Set-Cookie"); !strings.HasPrefix(got, "twinboard_dock=learn") {
		t.Errorf("cookie %q", got)
	}
	if w := ask(s, http.MethodPost, "/dock", "dock=evil&back=/x", nil); !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("an unknown panel was kept: %q", w.Header().Get("Set-Cookie"))
	}
}

func TestLanguageAndTheme(t *testing.T) {
	s := newServer(t, nil)
	for name, c := range map[string]struct {
		target string
		header map[string]string
		html   string
	}{
		"by default":              {"/h/local/devices", nil, `<html lang="en">`},
		"by the browser's wish":   {"/h/local/devices", map[string]string{"Accept-Language": "es-MX,en;q=0.5"}, `<html lang="es">`},
		"by cookie":               {"/h/local/devices", map[string]string{"Cookie": "twinboard_lang=es; twinboard_theme=dark", "Accept-Language": "en"}, `<html lang="es" data-theme="dark">`},
		"by the link":             {"/h/local/devices?lang=es", map[string]string{"Cookie": "twinboard_lang=en"}, `<html lang="es">`},
		"rows and size":           {"/h/local/devices", map[string]string{"Cookie": "twinboard_rows=compact; twinboard_size=present"}, `<html lang="en" data-rows="compact" data-size="present">`},
		"large for one link":      {"/h/local/devices?present=1", nil, `<html lang="en" data-size="present">`},
		"not large for one link":  {"/h/local/devices?present=0", map[string]string{"Cookie": "twinboard_size=present"}, `<html lang="en">`},
		"an odd cookie":           {"/h/local/devices", map[string]string{"Cookie": `twinboard_theme=<x>; twinboard_lang="><script>`}, `<html lang="en">`},
		"errors too":              {"/nowhere?lang=es", nil, `<html lang="es">`},
		"errors before the route": {"/h/local/devices?lang=es", map[string]string{"Host": "evil.example"}, `<html lang="es">`},
	} {
		t.Run(name, func(t *testing.T) {
			if w := ask(s, http.MethodGet, c.target, "", c.header); !strings.Contains(w.Body.String(), c.html) {
				t.Errorf("want %s in:\n%.300s", c.html, w.Body)
			}
		})
	}
}

func TestPanicIsAnError(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, slog.New(slog.NewTextHandler(&log, nil)))
	s.now = func() time.Time { panic("secret detail") }
	s.hubs[0].Fleet = nil // the list panics
	w := ask(s, http.MethodGet, "/h/local/devices", "", nil)
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "nil pointer") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	id := w.Header().Get("X-Request-Id")
	if !strings.Contains(w.Body.String(), "Reference "+id) || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "nil pointer") {
		t.Errorf("the reference does not lead from the page to the log:\n%s", log.String())
	}
}
