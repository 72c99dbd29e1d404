package static_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"twinboard/static"
)

func get(t *testing.T, url string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	static.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHandler(t *testing.T) {
	const forEver = "public, max-age=31536000, immutable"
	tests := []struct {
		name, url, accept     string
		status                int
		kind, cache, encoding string
	}{
		{"with its hash", static.URL("app.css"), "", 200, "text/css; charset=utf-8", forEver, ""},
		{"compressed", static.URL("app.js"), "br, gzip", 200, "text/javascript; charset=utf-8", forEver, "gzip"},
		{"sprite", static.URL("icons.svg"), "gzip", 200, "image/svg+xml", forEver, "gzip"},
		{"too small to compress", static.URL("mark.svg"), "", 200, "image/svg+xml", forEver, ""},
		{"without hash", "/static/app.css", "", 200, "text/css; charset=utf-8", "no-cache", ""},
		{"old hash", "/static/app.css?v=0000000000", "", 200, "text/css; charset=utf-8", "no-cache", ""},
		{"unknown", "/static/nothing.css", "", 404, "text/plain; charset=utf-8", "", ""},
		{"folder", "/static/", "", 404, "text/plain; charset=utf-8", "", ""},
		{"outside", "/static/../static.go", "", 404, "text/plain; charset=utf-8", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := get(t, tt.url, "Accept-Encoding", tt.accept)
			h := r.Header
			if r.StatusCode != tt.status || h.Get("Content-Type") != tt.kind || h.Get("Cache-Control") != tt.cache || h.Get("Content-Encoding") != tt.encoding {
				t.Errorf("%s: %d, %v", tt.url, r.StatusCode, h)
			}
		})
	}
}

func TestHandlerRevalidates(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		first := get(t, static.URL("app.css"), "Accept-Encoding", encoding)
		again := get(t, static.URL("app.css"), "Accept-Encoding", encoding, "If-None-Match", first.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified || len(body(t, again.Body)) != 0 {
			t.Errorf("%q: %d, want 304 without a body", encoding, again.StatusCode)
		}
	}
	plain := get(t, static.URL("app.css")).Header.Get("ETag")
	if zipped := get(t, static.URL("app.css"), "Accept-Encoding", "gzip").Header.Get("ETag"); plain == zipped {
		t.Error("plain and compressed form share an ETag")
	}
}

func TestHandlerCompressesTheSameBytes(t *testing.T) {
	r, err := gzip.NewReader(get(t, static.URL("app.js"), "Accept-Encoding", "gzip").Body)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body(t, r), body(t, get(t, static.URL("app.js")).Body)) {
		t.Error("the compressed file is another file")
	}
}

func TestHandlerMethods(t *testing.T) {
	for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405} {
		w := httptest.NewRecorder()
		static.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/static/app.css", nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
}

func TestFromDisk(t *testing.T) {
	dir := t.TempDir()
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "app.css"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	embedded := static.URL("app.css")
	write("a{}")
	static.FromDisk(dir)
	t.Cleanup(func() { static.FromDisk("dist") })
	first := static.URL("app.css")
	write("b{}")
	if second := static.URL("app.css"); first == embedded || second == first {
		t.Errorf("the address does not follow the file: %s, %s, %s", embedded, first, second)
	}
	if got := string(body(t, get(t, static.URL("app.css")).Body)); got != "b{}" {
		t.Errorf("read %q", got)
	}
}

// The budgets of script, compressed: 40 KB on every page, 180 KB with the
// editor.
func TestScriptStaysSmall(t *testing.T) {
	size := func(name string) int {
		r := get(t, static.URL(name), "Accept-Encoding", "gzip")
		return len(body(t, r.Body))
	}
	app, editor := size("app.js"), size("editor.js")
	if app == 0 || app > 40<<10 {
		t.Errorf("app.js is %d bytes, the budget 40 KB", app)
	}
	if editor == 0 || app+editor > 180<<10 {
		t.Errorf("app.js and editor.js are %d bytes, the budget 180 KB", app+editor)
	}
}

// Every icon a page names is in the sprite, and no other is.
func TestSprite(t *testing.T) {
	sprite := string(body(t, get(t, static.URL("icons.svg")).Body))
	for _, state := range []string{"in-sync", "waiting", "waiting-offline", "applying", "rejected", "differs", "type", "silent", "device-only", "expected", "online", "offline", "unknown"} {
		if !strings.Contains(sprite, `id="state-`+state+`"`) {
			t.Errorf("no sign for %s", state)
		}
	}
	code := pages(t)
	for _, m := range regexp.MustCompile(`(?:Icon\(|Icon:\s*)"([a-z0-9-]+)"`).FindAllStringSubmatch(code, -1) {
		if !strings.Contains(sprite, `id="`+m[1]+`"`) {
			t.Errorf("the icon %q is used and not in src/icons.json", m[1])
		}
	}
	script := string(body(t, get(t, static.URL("app.js")).Body))
	for _, m := range regexp.MustCompile(`<symbol id="([a-z0-9-]+)"`).FindAllStringSubmatch(sprite, -1) {
		used := strings.Contains(code, `"`+m[1]+`"`) || strings.Contains(script, "#"+m[1])
		if !used && !strings.HasPrefix(m[1], "state-") && m[1] != "mark" {
			t.Errorf("the icon %q is in src/icons.json and nowhere else", m[1])
		}
	}
}

// pages is the source of all pages.
func pages(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../views/*.templ", "../views/*.go", "../web/*.go"} {
		list, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range list {
			if strings.HasSuffix(file, "_templ.go") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(data)
		}
	}
	return all.String()
}
