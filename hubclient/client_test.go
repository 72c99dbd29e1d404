package hubclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

// TestRequests holds what each call sends, byte for byte where a hub looks.
func TestRequests(t *testing.T) {
	t.Parallel()
	thumb := "AB12"
	patch := iothub.TwinPatch{
		Tags:    iothub.Document{"location": map[string]any{"plant": "Redmond43"}, "old": nil},
		Desired: iothub.Document{"power_level": json.Number("1.0")},
	}
	patched := `{"properties":{"desired":{"power_level":1.0}},"tags":{"location":{"plant":"Redmond43"},"old":null}}`
	tests := []struct {
		name, request, ifMatch, body string
		do                           func(*Client) error
	}{
		{
			"create", "PUT /devices/d", "", `{"deviceId":"d","capabilities":{"iotEdge":false}}`,
			func(c *Client) error { _, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: "d"}); return err },
		},
		{
			"update with the device's etag", "PUT /devices/d", `"MQ=="`,
			`{"deviceId":"d","status":"disabled","statusReason":"lost","authentication":{"type":"selfSigned","symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":"AB12","secondaryThumbprint":null}},"capabilities":{"iotEdge":true}}`,
			func(c *Client) error {
				d := iothub.Device{DeviceID: "d", ETag: "MQ==", Status: "disabled", StatusReason: "lost", Capabilities: iothub.Capabilities{IoTEdge: true}}
				d.Authentication = iothub.Authentication{Type: "selfSigned", X509Thumbprint: iothub.X509Thumbprint{Primary: &thumb}}
				_, err := c.UpdateDevice(t.Context(), d, nil)
				return err
			},
		},
		{
			"update without any etag", "PUT /devices/d", `"*"`, `{"deviceId":"d","capabilities":{"iotEdge":false}}`,
			func(c *Client) error {
				_, err := c.UpdateDevice(t.Context(), iothub.Device{DeviceID: "d"}, nil)
				return err
			},
		},
		{
			"update with another etag", "PUT /devices/d", `"Mg=="`, `{"deviceId":"d","capabilities":{"iotEdge":false}}`,
			func(c *Client) error {
				_, err := c.UpdateDevice(t.Context(), iothub.Device{DeviceID: "d", ETag: "MQ=="}, &UpdateDeviceOptions{IfMatch: "Mg=="})
				return err
			},
		},
		{"delete", "DELETE /devices/d", `"*"`, "", func(c *Client) error { return c.DeleteDevice(t.Context(), "d", nil) }},
		{
			"delete if unchanged", "DELETE /devices/d", `"MQ=="`, "",
			func(c *Client) error { return c.DeleteDevice(t.Context(), "d", &DeleteDeviceOptions{IfMatch: "MQ=="}) },
		},
		{
			"update twin", "PATCH /twins/d", "", patched,
			func(c *Client) error { _, err := c.UpdateTwin(t.Context(), "d", patch, nil); return err },
		},
		{
			"update twin if unchanged", "PATCH /twins/d", `"AAAAAAAAAAE="`, patched,
			func(c *Client) error {
				_, err := c.UpdateTwin(t.Context(), "d", patch, &UpdateTwinOptions{IfMatch: iothub.TwinETag(1)})
				return err
			},
		},
		{
			"replace twin", "PUT /twins/d", `"*"`, patched,
			func(c *Client) error {
				_, err := c.ReplaceTwin(t.Context(), "d", patch, &UpdateTwinOptions{IfMatch: iothub.Any})
				return err
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Method + " " + r.URL.Path; got != tt.request {
					t.Errorf("%s, want %s", got, tt.request)
				}
				if got := r.URL.RawQuery; got != "api-version="+iothub.APIVersion {
					t.Errorf("query %q", got)
				}
				if _, sent := r.Header["If-Match"]; r.Header.Get("If-Match") != tt.ifMatch || sent != (tt.ifMatch != "") {
					t.Errorf("If-Match %q, want %q", r.Header["If-Match"], tt.ifMatch)
				}
				if got := readAll(t, r.Body); got != tt.body {
					t.Errorf("body %s\nwant %s", got, tt.body)
				}
				if got := r.Header.Get("Content-Type"); tt.body != "" && got != "application/json; charset=utf-8" {
					t.Errorf("content type %q", got)
				}
				if r.Method == http.MethodDelete {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				reply(w, 200, twinOf("d"))
			})
			if err := tt.do(c); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestIDs: each id arrives as one segment that decodes to the id.
func TestIDs(t *testing.T) {
	t.Parallel()
	var path string
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path = r.RequestURI
		reply(w, 200, twinOf("x"))
	})
	for _, id := range []string{
		"pump1", "100%", "a%2Fb", "a#b", "a?b", "a*b", "O'Neil", "(x)", "a,b", "a:b", "a=b", "a@b", "$edge", "a+b", "_-.!", ".", "..", "a;b", "a&b",
	} {
		if _, err := c.GetTwin(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		raw, _, _ := strings.Cut(path, "?")
		segments := strings.Split(raw, "/")
		if len(segments) != 3 || segments[1] != "twins" {
			t.Errorf("%q: path %q", id, path)
			continue
		}
		if got, err := url.PathUnescape(segments[2]); err != nil || got != id {
			t.Errorf("%q arrives as %q in %q (%v)", id, got, path, err)
		}
		if strings.Trim(segments[2], ".") == "" {
			t.Errorf("%q would be cleaned away in %q", id, path)
		}
	}
}

func TestListAndStatistics(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/devices":
			if r.URL.Query().Get("top") != "20" {
				t.Errorf("query %s", r.URL.RawQuery)
			}
			reply(w, 200, []iothub.Device{{DeviceID: "a"}, {DeviceID: "b"}})
		case "/statistics/devices":
			reply(w, 200, iothub.RegistryStatistics{Total: 3, Enabled: 2, Disabled: 1})
		case "/statistics/service":
			reply(w, 200, iothub.ServiceStatistics{Connected: 2})
		}
	})
	devices, err := c.ListDevices(t.Context(), 20)
	if err != nil || len(devices) != 2 || devices[1].DeviceID != "b" {
		t.Error(devices, err)
	}
	s, err := c.Statistics(t.Context())
	if err != nil || s != (iothub.RegistryStatistics{Total: 3, Enabled: 2, Disabled: 1}) {
		t.Error(s, err)
	}
	service, err := c.ServiceStatistics(t.Context())
	if err != nil || service.Connected != 2 {
		t.Error(service, err)
	}
}

// TestToken: one token for about an hour, renewed before it ends and when the
// clock was set back, and always one the hub can verify.
func TestToken(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start
	var tokens []string
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization"))
		reply(w, 200, twinOf("d"))
	}, func(o *Options) { o.Now = func() time.Time { return now } })
	for i, tt := range []struct {
		after time.Duration
		fresh bool
	}{{0, true}, {time.Minute, false}, {49 * time.Minute, false}, {51 * time.Minute, true}, {60 * time.Minute, false}, {-time.Hour, true}} {
		now = start.Add(tt.after)
		if _, err := c.GetTwin(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		token, err := iothub.ParseToken(tokens[i])
		if err != nil || !token.Verify(testKey) || token.Policy != "service" || token.Host() != "127.0.0.1" || !token.Covers("twins/d") {
			t.Fatalf("token %q: %v", tokens[i], err)
		}
		if left := token.Expiry.Sub(now); left < tokenRenewal || left > tokenLifetime {
			t.Errorf("after %v: %v left", tt.after, left)
		}
		if fresh := i == 0 || tokens[i] != tokens[i-1]; fresh != tt.fresh {
			t.Errorf("after %v: fresh %v", tt.after, fresh)
		}
	}
}

func TestQueryPager(t *testing.T) {
	t.Parallel()
	const text = "SELECT * FROM devices"
	requests := 0
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if r.Method+" "+r.URL.Path != "POST /devices/query" || r.Header.Get("x-ms-max-item-count") != "2" {
			t.Errorf("%s %s, %q rows", r.Method, r.URL.Path, r.Header.Get("x-ms-max-item-count"))
		}
		if got := readAll(t, r.Body); got != `{"query":"`+text+`"}` {
			t.Errorf("body %s", got)
		}
		var n int
		fmt.Sscanf(r.Header.Get("x-ms-continuation"), "after %d", &n)
		w.Header().Set("x-ms-item-type", iothub.ItemTwin)
		switch n {
		case 0, 1: // the middle page is empty, which is not the end
			w.Header().Set("x-ms-continuation", fmt.Sprintf("after %d", n+1))
		}
		rows := [][]int{{1, 2}, {}, {3}}[n]
		reply(w, 200, rows)
	})
	pager := c.NewQueryPager(text, &QueryOptions{PageSize: 2})
	if requests != 0 {
		t.Error("a request before the first page")
	}
	var got []string
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		if err != nil || page.Type != iothub.ItemTwin {
			t.Fatal(page.Type, err)
		}
		for _, row := range page.Rows {
			got = append(got, string(row))
		}
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, got); diff != "" || requests != 3 {
		t.Errorf("%d requests: %s", requests, diff)
	}
	last := c.NewQueryPager(text, &QueryOptions{PageSize: 2, Continuation: "after 2"})
	if page, err := last.NextPage(t.Context()); err != nil || len(page.Rows) != 1 || last.More() {
		t.Errorf("from a continuation: %v %v", page, err)
	}
}

func TestQueryError(t *testing.T) {
	t.Parallel()
	body := `{"Message":"ErrorCode:ArgumentInvalid;BadRequest","ExceptionMessage":"Tracking ID:1"}`
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("iothub-errorcode", "ArgumentInvalid")
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(body))
	})
	_, err := c.QueryPage(t.Context(), "SELEKT", "", 0)
	var placed *QueryError
	if errors.As(err, &placed) || !errors.Is(err, iothub.ErrArgumentInvalid) {
		t.Errorf("Azure's answer: %v", err)
	}
	body = strings.TrimSuffix(body, "}") + `,"position":{"code":"expected-select","args":{"got":"SELEKT"},"message":"A query begins with SELECT.","hint":"Write SELECT.","offset":0,"line":1,"column":1,"length":6,"repair":{"start":0,"end":6,"text":"SELECT"}}}`
	_, err = c.QueryPage(t.Context(), "SELEKT", "", 0)
	if !errors.As(err, &placed) || !errors.Is(err, iothub.ErrArgumentInvalid) {
		t.Fatalf("%v", err)
	}
	want := &QueryError{
		Refusal: &iothub.Error{Code: "ArgumentInvalid", Number: 400004, Status: 400, Message: "BadRequest", TrackingID: "1"},
		Code:    "expected-select", Args: map[string]string{"got": "SELEKT"}, Message: "A query begins with SELECT.",
		Hint: "Write SELECT.", Line: 1, Column: 1, Length: 6, Repair: &QueryRepair{End: 6, Text: "SELECT"},
	}
	if diff := cmp.Diff(want, placed); diff != "" {
		t.Error(diff)
	}
}
