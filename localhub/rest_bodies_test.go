package localhub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// TestContentTypes sends what tools send: a body is JSON whatever they call it.
func TestContentTypes(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	for _, kind := range []string{"application/json; charset=utf-8", "application/json", "", "application/x-www-form-urlencoded", "text/plain"} {
		if r := w.call(http.MethodPatch, "/twins/d1", `{"tags":{"a":"é"}}`, "Content-Type", kind); r.Status != 200 || r.Header.Get("Content-Type") != contentJSON {
			t.Errorf("%q: %d %v", kind, r.Status, r.Header)
		}
	}
}

// TestMalformedBodies sends what is no JSON to every operation that takes a
// body.
func TestMalformedBodies(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.module("d1", "m1")
	for _, operation := range []string{
		"PUT /devices/d1", "PUT /devices/d1/modules/m1", "POST /devices", "PATCH /twins/d1", "PUT /twins/d1",
		"PATCH /twins/d1/modules/m1", "POST /twins/d1/methods", "POST /devices/query",
	} {
		method, path, _ := strings.Cut(operation, " ")
		for _, c := range []struct {
			body      string
			line, col int
		}{
			{"", 1, 1},
			{"{", 1, 2},
			{"{\n \"a\": tru }", 2, 10},
			{`{"a":1} x`, 1, 9},
			{"{\"a\":\"\xff\"}", 1, 7},
			{"\ufeff{}", 1, 1},
			{strings.Repeat("[", 1<<20), 0, 0},
			{strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), 0, 0},
		} {
			r := w.call(method, path, c.body, "If-Match", "*")
			if r.Status != 400 || r.Header.Get(headerErrorCode) != "IotHubFormatError" {
				t.Errorf("%s %.40q: %d %.300s", operation, c.body, r.Status, r.Body)
				continue
			}
			p := r.refused(t).Position
			if p == nil || p.Code != "json" || p.Message == "" || c.line > 0 && (p.Line != c.line || p.Column != c.col) {
				t.Errorf("%s %.40q: position %+v", operation, c.body, p)
			}
		}
	}
}

// TestSizesOfBodies sends as much as is taken, and one byte more.
func TestSizesOfBodies(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	fill := func(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }
	for _, c := range []struct {
		method, path, body string
		limit              int
	}{
		{"PATCH", "/twins/d1", `{"tags":{}}`, maxBody},
		{"PUT", "/devices/d1", `{}`, maxBody},
		{"POST", "/devices", `[{"id":"b"}]`, maxBulkBody},
		{"POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, maxBody},
	} {
		if r := w.call(c.method, c.path, fill(c.body, c.limit), "If-Match", "*"); r.Status != 200 {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.Status, r.Body)
		}
		r := w.call(c.method, c.path, fill(c.body, c.limit+1), "If-Match", "*")
		if r.Status != 413 || r.Header.Get(headerErrorCode) != "RequestEntityTooLarge" || !strings.HasPrefix(r.refused(t).Message, "ErrorCode:RequestEntityTooLarge;") {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.Status, r.Body)
		}
	}
}

// TestThrottledAnswers reads one as a client would: it says how long to wait in
// its text alone, and ends the connection.
func TestThrottledAnswers(t *testing.T) {
	w := throttled(t, iothub.ThrottleTwinReads, 0)
	w.device("d1")
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{TLSClientConfig: clientTLS(w.hub), ForceAttemptHTTP2: protocol == "HTTP/2.0"}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+w.hub.HTTPSAddr()+"/twins/d1?api-version=2021-04-12", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", w.token("service"))
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Proto != protocol || res.StatusCode != http.StatusTooManyRequests || protocol == "HTTP/1.1" && !res.Close || res.Header.Get("Retry-After") != "" {
			t.Errorf("%s: %s, close %v, %v", protocol, res.Status, res.Close, res.Header)
		}
		res.Body.Close()
		again := &wire{T: t, hub: w.hub, http: client}
		if e := again.call(http.MethodGet, "/twins/d1", "").refused(t); !strings.HasPrefix(e.Message, "ErrorCode:ThrottlingException;") || !strings.Contains(e.Message, "Wait 10 seconds") {
			t.Errorf("%s: %q", protocol, e.Message)
		}
	}
}

// TestLongAnswers asks for more than net/http would measure by itself, from many
// sides at once: each answer has its length and is whole.
func TestLongAnswers(t *testing.T) {
	w := startWire(t)
	var wg sync.WaitGroup
	for i := range 8 {
		id, text := fmt.Sprint("d", i), strings.Repeat(strconv.Itoa(i), 1000+200*i)
		w.device(id)
		wg.Go(func() {
			for range 20 {
				r := w.call(http.MethodPatch, "/twins/"+id, `{"tags":{"a":"`+text+`","b":"`+text+`"}}`)
				var twin iothub.Twin
				if err := json.Unmarshal([]byte(r.Body), &twin); err != nil || twin.DeviceID != id || twin.Tags["a"] != text {
					t.Errorf("%s: %d %v\n%s", id, r.Status, err, r.Body)
				}
				if r.Header.Get("Content-Length") != strconv.Itoa(len(r.Body)) {
					t.Errorf("%s: the length of %d bytes is %q", id, len(r.Body), r.Header.Get("Content-Length"))
				}
			}
		})
	}
	wg.Wait()
}

// TestBodiesThatDoNotFitSayWhatDoesNot reads the text of refusals.
func TestBodiesThatDoNotFitSayWhatDoesNot(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	for _, c := range []struct{ method, path, body, says string }{
		{"PUT", "/devices/d1", `{"status":7}`, "status does not fit: number"},
		{"PUT", "/devices/d1", `{"capabilities":{"iotEdge":"true"}}`, "capabilities.iotEdge does not fit: string"},
		{"POST", "/devices/query", `{"query":["SELECT * FROM devices"]}`, "query does not fit: array"},
		{"POST", "/twins/d1/methods", `{"methodName":"a","responseTimeoutInSeconds":5.5}`, "responseTimeoutInSeconds does not fit: number 5.5"},
		{"PUT", "/jobs/v2/j", `{"startTime":"tomorrow"}`, `the body does not fit: "tomorrow" is no time such as 2026-11-22T10:00:00Z`},
		{"PUT", "/jobs/v2/j", `{"startTime":1764145200}`, `the body does not fit: 1764145200 is no time such as 2026-11-22T10:00:00Z`},
	} {
		r := w.call(c.method, c.path, c.body)
		if e := r.refused(t); r.Status != http.StatusBadRequest || e.Message != "ErrorCode:DeserializationError;"+c.says {
			t.Errorf("%s: %d %q", c.body, r.Status, e.Message)
		}
	}
}
