package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

func TestExplain(t *testing.T) {
	s := newServer(t, nil)
	connection := func(kind hubclient.ConnectionKind, skew time.Duration) error {
		return &hubclient.ConnectionError{Kind: kind, Host: "hub.example", Skew: skew, Err: errors.New("internal text")}
	}
	tests := []struct {
		err    error
		status int
		code   string
	}{
		{connection(hubclient.Unreachable, 0), http.StatusBadGateway, "hub-unreachable"},
		{connection(hubclient.Refused, 0), http.StatusBadGateway, "hub-local-stopped"},
		{connection(hubclient.DNS, 0), http.StatusBadGateway, "hub-dns"},
		{connection(hubclient.TLSUnknownAuthority, 0), http.StatusBadGateway, "hub-tls-unknown-authority"},
		{connection(hubclient.TLSName, 0), http.StatusBadGateway, "hub-tls-name"},
		{connection(hubclient.TLSInvalid, 0), http.StatusBadGateway, "hub-tls-invalid"},
		{connection(hubclient.Timeout, 0), http.StatusGatewayTimeout, "hub-timeout"},
		{connection(hubclient.ClockSkew, 2*time.Hour), http.StatusBadGateway, "hub-clock-ahead"},
		{connection(hubclient.ClockSkew, -2*time.Hour), http.StatusBadGateway, "hub-clock-behind"},
		{connection(hubclient.NotAHub, 0), http.StatusBadGateway, "hub-not-a-hub"},
		{&hubclient.ThrottledError{RetryAfter: 12 * time.Second, Err: iothub.ErrThrottling}, http.StatusTooManyRequests, "throttled"},
		{iothub.ErrThrottling, http.StatusTooManyRequests, "throttled-now"},
		{iothub.ErrDeviceNotFound.With("internal text"), http.StatusNotFound, "no-device"},
		{iothub.ErrDeviceAlreadyExists, http.StatusConflict, "device-exists"},
		{iothub.ErrPreconditionFailed, http.StatusPreconditionFailed, "changed-meanwhile"},
		{iothub.ErrUnauthorizedAccess, http.StatusBadGateway, "wrong-key"},
		{iothub.ErrUnauthorized, http.StatusBadGateway, "wrong-key"},
		{iothub.ErrQuotaExceeded, http.StatusTooManyRequests, "quota"},
		{iothub.ErrTooManyDevices, http.StatusConflict, "too-many-devices"},
		{iothub.ErrArgumentInvalid, http.StatusUnprocessableEntity, "refused-by-hub"},
		{iothub.ErrServiceUnavailable, http.StatusBadGateway, "hub-failed"},
		{&iothub.LimitError{Kind: iothub.LimitDepth, Section: iothub.SectionTags, Path: iothub.Path{"a"}, Max: 10}, http.StatusUnprocessableEntity, "limit"},
		{&http.MaxBytesError{Limit: 1 << 20}, http.StatusRequestEntityTooLarge, "body-too-large"},
		{badForm(errors.New("internal text")), http.StatusBadRequest, "bad-form"},
		{errNoPage, http.StatusNotFound, "not-found"},
		{errors.New("internal text"), http.StatusInternalServerError, "internal"},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			wrapped := fmt.Errorf("twin pump-07: %w", tt.err)
			for _, lang := range text.Languages() {
				p := s.explainFor(text.With(t.Context(), lang), s.hubs[0], "pump-07", wrapped)
				if p.status != tt.status || p.code != tt.code {
					t.Fatalf("%d %s, want %d %s", p.status, p.code, tt.status, tt.code)
				}
				checkWords(text.With(t.Context(), lang), t, p)
			}
		})
	}
}

// checkWords makes sure that a problem has its words, with every place filled.
func checkWords(ctx context.Context, t *testing.T, p *problem) {
	t.Helper()
	for _, part := range []string{"title", "what", "do"} {
		id := "error." + p.code + "." + part
		said := text.T(ctx, id, p.args...)
		if !text.Has(id) || said == id || strings.Contains(said, "<no value>") || strings.Contains(said, "internal text") {
			t.Errorf("%s %s: %q", text.Lang(ctx), id, said)
		}
	}
}

func TestEveryProblemCodeHasWords(t *testing.T) {
	for _, code := range []string{"no-hub", "foreign-host", "cross-site", "too-many-streams", "method", "hub-refused"} {
		for _, lang := range text.Languages() {
			p := &problem{code: code, args: []any{"Hub", "x", "Host", "x"}}
			checkWords(text.With(t.Context(), lang), t, p)
		}
	}
}

func TestSafety(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	b.stopHub()
	p := b.get("/h/local/devices/pump-99?view=identity").wantStatus(http.StatusBadGateway)
	p.wantPart("[data-testid=error]", "Nothing was changed.")
	p.wantPart("[data-testid=error]", "the hub that Twinboard runs itself has stopped")
	post := b.post("/h/local/devices/pump-07/delete", map[string]string{"confirm": "pump-07", "etag": "x"}).wantStatus(http.StatusBadGateway)
	post.wantPart("[data-testid=error]", "The change was not made.")
}

func TestErrorAsPageFragmentAndData(t *testing.T) {
	s := newServer(t, nil)
	page := ask(s, http.MethodGet, "/h/local/nothing", "", nil)
	if page.Code != http.StatusNotFound || !strings.Contains(page.Body.String(), "<!doctype html>") {
		t.Errorf("the page: %d %.80s", page.Code, page.Body)
	}
	fragment := ask(s, http.MethodGet, "/h/local/nothing", "", map[string]string{"HX-Request": "true"})
	if fragment.Code != http.StatusNotFound || !strings.HasPrefix(fragment.Body.String(), "<section") {
		t.Errorf("the fragment: %d %.80s", fragment.Code, fragment.Body)
	}
	for _, data := range []map[string]string{{"Accept": "application/json"}, {"Accept": "application/json, text/plain"}} {
		w := ask(s, http.MethodGet, "/h/none/devices", "", data)
		var body struct{ Error errorBody }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err, w.Body)
		}
		want := errorBody{
			Code: "no-hub", Title: "No hub of this name", What: "This dashboard does not manage a hub called none.",
			Do: "Check the address, or start again from the start page.", RequestID: w.Header().Get("X-Request-Id"),
		}
		if body.Error != want || w.Code != http.StatusNotFound {
			t.Errorf("%d %+v\nwant %+v", w.Code, body.Error, want)
		}
	}
	if w := ask(s, http.MethodDelete, "/h/local/devices", "", nil); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a method nobody offers: %d", w.Code)
	}
	if w := ask(s, http.MethodGet, "/h/local/nothing", "", map[string]string{"Accept": "text/html, application/json"}); !strings.Contains(w.Body.String(), "<html") {
		t.Error("a browser got JSON")
	}
}
