package web

import (
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/static"
)

// maxBody is the largest request body: a form with a whole twin, its base and
// the encoding of a form fits several times.
const maxBody = 1 << 20

// requestID names the request in the log and on error pages. For a page nobody
// waits until a hub has time again: it says so at once.
func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := randomName(9)
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		r := c.Request()
		ctx := hubclient.WithPatience(iothub.WithAction(r.Context(), id), hubclient.Patience{})
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

func randomName(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// compress packs pages and data, which shrink to a tenth: that counts behind a
// proxy and on a phone. Files are packed already; event streams must not wait for
// a block to fill.
func compress() echo.MiddlewareFunc {
	return middleware.GzipWithConfig(middleware.GzipConfig{
		Level: gzip.BestSpeed, MinLength: 1 << 10,
		Skipper: func(c echo.Context) bool {
			path := c.Request().URL.Path
			return strings.HasPrefix(path, "/live/") || strings.HasPrefix(path, static.Prefix)
		},
	})
}

// recoverPanics turns a panic into an error: one broken page must not end the
// program.
func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			r := recover()
			if r == any(http.ErrAbortHandler) {
				panic(r)
			}
			if r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		return next(c)
	}
}

// checkHost refuses requests addressed to a foreign name. A page elsewhere
// could otherwise point its own host name at 127.0.0.1 and read the dashboard
// through the visitor's browser (DNS rebinding).
func (s *Server) checkHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		host := normalHost(c.Request().Host)
		if isLoopback(host) || s.hosts[host] {
			return next(c)
		}
		return &problem{status: http.StatusMisdirectedRequest, code: "foreign-host", args: []any{"Host", host}}
	}
}

// normalHost is a host name in small letters, without port, brackets and final
// dot.
func normalHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// checkOrigin refuses changes that another site's page asked for.
func checkOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	protection := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		if err := protection.Check(c.Request()); err != nil {
			return &problem{status: http.StatusForbidden, code: "cross-site", cause: err}
		}
		return next(c)
	}
}

// limitBody refuses bodies over maxBody, whether or not they say how long they
// are.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.ContentLength > maxBody {
			return &http.MaxBytesError{Limit: maxBody}
		}
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxBody)
		return next(c)
	}
}

// setHeaders gives every answer the headers that keep a page from being framed,
// sniffed, kept or scripted by others. The nonce is for the page's own script
// and the code editor's styles.
func setHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		nonce := randomName(16)
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy(nonce))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		r := c.Request()
		c.SetRequest(r.WithContext(templ.WithNonce(r.Context(), nonce)))
		return next(c)
	}
}

func policy(nonce string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self' 'nonce-" + nonce + "'",
		"style-src 'self' 'nonce-" + nonce + "'",
		"img-src 'self' data:",
		"font-src 'self'",
		"connect-src 'self'",
		"form-action 'self'",
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}
