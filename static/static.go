// Package static holds what the browser loads beside the pages: style sheet,
// script, icons. It is built from src into dist by npm, and dist is committed
// and embedded, so that building Twinboard needs Go alone.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
)

// Prefix is the path under which Handler answers.
const Prefix = "/static/"

//go:embed all:dist
var dist embed.FS

// current is what URL and Handler read from; FromDisk replaces it.
var current = embedded()

// source is one place files come from.
type source struct {
	files fs.FS
	live  bool // read again on each use: development
	cache sync.Map
}

// asset is one file, read.
type asset struct {
	content []byte
	hash    string
	zip     func() []byte // gzip form, made once; nil where it does not help
}

func embedded() *atomic.Pointer[source] {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder's name is a constant of this file
	}
	p := new(atomic.Pointer[source])
	p.Store(&source{files: files})
	return p
}

// FromDisk makes the package read dir (static/dist of a checkout) on every
// request instead of the embedded files: for development, where the files change
// while the program runs.
func FromDisk(dir string) { current.Store(&source{files: os.DirFS(dir), live: true}) }

// URL is the address of a file of dist, with a hash of its content, so that
// browsers may keep it for ever: "/static/app.css?v=1b2c3d4e5f". A name that
// does not exist is a mistake in the program; its address answers 404.
func URL(name string) string {
	a, err := current.Load().open(name)
	if err != nil {
		return Prefix + name
	}
	return Prefix + name + "?v=" + a.hash
}

func (s *source) open(name string) (*asset, error) {
	if a, ok := s.cache.Load(name); ok && !s.live {
		return a.(*asset), nil
	}
	content, err := fs.ReadFile(s.files, name)
	if err != nil {
		return nil, fmt.Errorf("static file: %w", err)
	}
	sum := sha256.Sum256(content)
	a := &asset{content: content, hash: hex.EncodeToString(sum[:5])}
	a.zip = sync.OnceValue(func() []byte { return compressed(content) })
	s.cache.Store(name, a)
	return a, nil
}

// compressed is nil where compression saves nothing.
func compressed(content []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	_, _ = w.Write(content) // a bytes.Buffer takes everything
	_ = w.Close()
	if b.Len() > len(content)*9/10 {
		return nil
	}
	return b.Bytes()
}

var types = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".png": "image/png",
	".txt": "text/plain; charset=utf-8",
}

// Handler serves the files under Prefix. An address with the present hash may
// be kept for a year without asking; any other is checked by ETag each time.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, Prefix)
		kind, known := types[path.Ext(name)]
		a, err := current.Load().open(name)
		if err != nil || !known {
			http.NotFound(w, r)
			return
		}
		serve(w, r, a, kind)
	})
}

func serve(w http.ResponseWriter, r *http.Request, a *asset, kind string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body, tag := a.content, a.hash
	if zip := a.zip(); zip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body, tag = zip, a.hash+"-gzip"
	}
	h.Set("ETag", `"`+tag+`"`)
	if r.Header.Get("If-None-Match") == `"`+tag+`"` {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the reader may have gone; nobody else must know
	}
}
