package hubclient

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"twinboard/hubclient/iothub"
)

func TestTrace(t *testing.T) {
	t.Parallel()
	c, trace := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/twins/gone" {
			refuse(w, iothub.ErrDeviceNotFound)
			return
		}
		reply(w, 200, iothub.Device{DeviceID: "d", Authentication: iothub.Authentication{
			SymmetricKey: iothub.SymmetricKey{Primary: testKey, Secondary: testKey},
		}})
	})
	ctx := iothub.WithAction(t.Context(), "step-3")
	device := iothub.Device{DeviceID: "d"}
	device.Authentication.SymmetricKey = iothub.SymmetricKey{Primary: testKey, Secondary: testKey}
	if _, err := c.CreateDevice(ctx, device); err != nil {
		t.Fatal(err)
	}
	c.GetTwin(t.Context(), "gone")
	c.GetTwin(Untraced(t.Context()), "gone")
	c.QueryPage(ctx, "SELECT * FROM devices WHERE a < '&'", "", 5)

	got := entries(trace)
	if len(got) != 3 {
		t.Fatalf("%d entries", len(got))
	}
	for i, want := range []struct {
		method, path, action string
		status               int
	}{{"PUT", "/devices/d", "step-3", 200}, {"GET", "/twins/gone", "", 404}, {"POST", "/devices/query", "step-3", 200}} {
		e := got[i]
		url := "https://" + c.Host() + want.path + "?api-version=" + iothub.APIVersion
		if e.Method != want.method || e.URL != url || e.Action != want.action || e.Status != want.status ||
			e.Protocol != "HTTP" || !e.Outgoing || e.Duration <= 0 || e.Time.IsZero() {
			t.Errorf("entry %d: %+v", i, e)
		}
		all := strings.Join(append(e.RequestHeaders, e.ResponseHeaders...), "\n") + e.RequestBody + e.ResponseBody
		if strings.Contains(all, testKey) || !strings.Contains(all, "Authorization: SharedAccessSignature sr=127.0.0.1&sig=*") {
			t.Errorf("entry %d: %s", i, all)
		}
	}
	if !strings.Contains(got[0].RequestBody, `"primaryKey":"`) || !strings.Contains(got[0].ResponseBody, `"deviceId":"d"`) {
		t.Errorf("bodies %s %s", got[0].RequestBody, got[0].ResponseBody)
	}
	if got[2].RequestBody != `{"query":"SELECT * FROM devices WHERE a < '&'"}` {
		t.Errorf("query body %s", got[2].RequestBody)
	}
	if !strings.Contains(strings.Join(got[2].RequestHeaders, "\n"), "X-Ms-Max-Item-Count: 5") {
		t.Errorf("headers %q", got[2].RequestHeaders)
	}
}

func TestTraceBody(t *testing.T) {
	t.Parallel()
	secret := `{"primaryKey":"` + testKey + `"}`
	for _, body := range []string{
		"", secret,
		strings.Repeat("x", maxTraceBody),
		strings.Repeat("é", maxTraceBody),
		"a" + strings.Repeat("日", maxTraceBody),
		strings.Repeat(" ", maxTraceBody-30) + secret,
		strings.Repeat(secret, maxTraceBody),
	} {
		got := traceBody([]byte(body))
		if len(got) > maxTraceBody+len("…") || !utf8.ValidString(got) || strings.Contains(got, testKey[:8]) {
			t.Errorf("%.40q…: %d bytes, ends in %q", body, len(got), got[max(0, len(got)-80):])
		}
		if len(body) <= maxTraceBody && !strings.Contains(body, "Key") && got != body {
			t.Errorf("%.40q… is changed", body)
		}
	}
}
