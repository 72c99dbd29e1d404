package localhub

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

// TestRights asks for every operation with every policy.
func TestRights(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	const (
		readers  = "iothubowner registryRead registryReadWrite serviceAndRegistryRead"
		writers  = "iothubowner registryReadWrite"
		services = "iothubowner service serviceAndRegistryRead"
	)
	rights := map[string]string{
		"GET /devices":                         readers,
		"DELETE /devices/:id/commands":         services,
		"POST /twins/:id/methods":              services,
		"POST /twins/:id/modules/:mid/methods": services,
		"POST /devices":                        writers,
		"GET /devices/:id":                     readers,
		"PUT /devices/:id":                     writers,
		"DELETE /devices/:id":                  writers,
		"GET /devices/:id/modules":             readers,
		"GET /devices/:id/modules/:mid":        readers,
		"PUT /devices/:id/modules/:mid":        writers,
		"DELETE /devices/:id/modules/:mid":     writers,
		"GET /twins/:id/modules/:mid":          services,
		"PATCH /twins/:id/modules/:mid":        services,
		"PUT /twins/:id/modules/:mid":          services,
		"GET /statistics/devices":              readers,
		"GET /statistics/service":              readers,
		"GET /twins/:id":                       services,
		"PATCH /twins/:id":                     services,
		"PUT /twins/:id":                       services,
		"POST /devices/query":                  services,
		"GET /jobs/v2/query":                   services,
		"PUT /jobs/v2/:id":                     services,
		"GET /jobs/v2/:id":                     services,
		"POST /jobs/v2/:id/cancel":             services,
		"GET /changes":                         services,
		"GET /changes/bodies/:id":              services,
	}
	if len(w.hub.policies) != 6 {
		t.Errorf("%d policies", len(w.hub.policies))
	}
	for _, r := range w.hub.rest.routes() {
		allowed, ok := rights[r.method+" "+r.path]
		if !ok {
			t.Errorf("%s %s is not in the table", r.method, r.path)
		}
		delete(rights, r.method+" "+r.path)
		for policy := range w.hub.policies {
			path := strings.Replace(r.path, ":id", "d1", 1)
			status := w.statusOnly(r.method, path+"?api-version=2021-04-12", w.token(policy))
			if want := slices.Contains(strings.Fields(allowed), policy); (status != http.StatusUnauthorized) != want {
				t.Errorf("%s %s as %s: %d, allowed should be %v", r.method, r.path, policy, status, want)
			}
		}
	}
	for left := range rights {
		t.Errorf("%s is not offered", left)
	}
}

// statusOnly does not wait for a body: one of the operations never ends.
func (w *wire) statusOnly(method, target, token string) int {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+w.hub.HTTPSAddr()+target, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	res, err := w.http.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func TestVersions(t *testing.T) {
	w := startWire(t)
	for query, status := range map[string]int{
		"":                                400,
		"?api-version=":                   400,
		"?api-version=latest":             400,
		"?api-version=1999-01-01":         400,
		"?api-version=2021-04-12x":        400,
		"?api-version=2018-06-30":         200,
		"?api-version=2024-03-31":         200,
		"?api-version=2020-05-31-preview": 200,
	} {
		r := w.send(http.MethodGet, "/devices"+query, "", "Authorization", w.token("iothubowner"))
		if r.Status != status {
			t.Errorf("%q: %d %s", query, r.Status, r.Body)
		}
		if status == 400 && r.Header.Get("iothub-errorcode") != "InvalidProtocolVersion" {
			t.Errorf("%q: %s", query, r.Body)
		}
	}
	if r := w.send(http.MethodGet, "/devices", ""); r.Status != http.StatusUnauthorized {
		t.Errorf("the token does not come before the api-version: %d", r.Status)
	}
}

func TestAnswersHaveTheServicesHeaders(t *testing.T) {
	w := startWire(t)
	r := w.call(http.MethodPut, "/devices/d1", `{"deviceId":"d1"}`)
	for name, want := range map[string]string{
		"Content-Type":    `^application/json; charset=utf-8$`,
		"X-Ms-Request-Id": `^[0-9a-f]{32}$`,
		"Etag":            `^"[A-Za-z0-9+/=]+"$`,
		"Date":            `GMT$`,
	} {
		if got := r.Header.Get(name); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q", name, got)
		}
	}
	r = w.call(http.MethodGet, "/twins/nobody", "")
	if r.Status != 404 || r.Header.Get("Content-Type") != contentJSON {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	e := r.refused(t)
	// Node takes what stands between "ErrorCode:" and the semicolon.
	if !regexp.MustCompile(`^ErrorCode:DeviceNotFound;.+`).MatchString(e.Message) {
		t.Errorf("Message %q", e.Message)
	}
	id := r.Header.Get("x-ms-request-id")
	if !regexp.MustCompile(`^Tracking ID:` + id + `-G:0-TimeStamp:\d\d/\d\d/\d{4} \d\d:\d\d:\d\d$`).MatchString(e.ExceptionMessage) {
		t.Errorf("ExceptionMessage %q, request %s", e.ExceptionMessage, id)
	}
}

func TestIdentities(t *testing.T) {
	w := startWire(t)
	for _, body := range []string{ // Node, Python, and as short as it goes
		`{"deviceId":"d1","authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}`,
		`{"deviceId":"d1","status":"enabled","authentication":{"symmetricKey":{},"type":"sas"},"capabilities":{"iotEdge":false}}`,
		`{"deviceId":"d1"}`,
		`{}`,
	} {
		var d iothub.Device
		w.mustCall(http.MethodPut, "/devices/d1", body).decode(t, &d)
		if d.DeviceID != "d1" || d.Status != "enabled" || d.Authentication.SymmetricKey.Primary == "" || d.ETag == "" {
			t.Errorf("%s: %+v", body, d)
		}
		if r := w.call(http.MethodPut, "/devices/d1", body); r.Status != 409 || r.Header.Get("iothub-errorcode") != "DeviceAlreadyExists" {
			t.Errorf("created twice: %d %s", r.Status, r.Body)
		}
		if r := w.call(http.MethodDelete, "/devices/d1", ""); r.Status != 412 {
			t.Errorf("deleted without If-Match: %d", r.Status)
		}
		if r := w.call(http.MethodDelete, "/devices/d1", "", "If-Match", `"*"`); r.Status != 204 || r.Body != "" {
			t.Errorf("delete: %d %q", r.Status, r.Body)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut} {
		r := w.call(method, "/devices/d1", `{"deviceId":"d1"}`, "If-Match", "*")
		if r.Status != 404 || r.Header.Get("iothub-errorcode") != "DeviceNotFound" {
			t.Errorf("%s of a missing device: %d %s", method, r.Status, r.Body)
		}
	}
}

func TestIdentityUpdates(t *testing.T) {
	w := startWire(t)
	read := w.mustCall(http.MethodPut, "/devices/d1", `{}`)
	var before, after iothub.Device
	read.decode(t, &before)
	// Node sends the whole object back as it read it.
	changed := strings.Replace(read.Body, `"status":"enabled"`, `"status":"disabled","statusReason":"lost"`, 1)
	w.mustCall(http.MethodPut, "/devices/d1", changed, "If-Match", `"`+string(before.ETag)+`"`).decode(t, &after)
	if after.Status != "disabled" || after.StatusReason != "lost" || after.ETag == before.ETag ||
		after.Authentication.SymmetricKey != before.Authentication.SymmetricKey {
		t.Errorf("%+v", after)
	}
	if r := w.call(http.MethodPut, "/devices/d1", changed, "If-Match", `"`+string(before.ETag)+`"`); r.Status != 412 {
		t.Errorf("stale etag: %d", r.Status)
	}
	w.mustCall(http.MethodPut, "/devices/d1", `{"connectionStateUpdatedTime":"","lastActivityTime":"soon"}`, "If-Match", "*")
	for body, code := range map[string]string{
		`{"deviceId":"d2"}`:         "ArgumentInvalid",
		`{"status":"lost"}`:         "ArgumentInvalid",
		`{"status":7}`:              "DeserializationError",
		`{"parentScopes":"here"}`:   "DeserializationError",
		`[]`:                        "ArgumentInvalid",
		``:                          "IotHubFormatError",
		`{"deviceId":"d1",}`:        "IotHubFormatError",
		`{"authentication":{"x":1}`: "IotHubFormatError",
	} {
		r := w.call(http.MethodPut, "/devices/d1", body, "If-Match", "*")
		if r.Status != 400 || r.Header.Get("iothub-errorcode") != code {
			t.Errorf("%s: %d %s", body, r.Status, r.Body)
		}
	}
}

func TestIdentityList(t *testing.T) {
	w := startWire(t)
	if r := w.call(http.MethodGet, "/devices", ""); r.Body != "[]" {
		t.Errorf("an empty hub lists %q", r.Body)
	}
	w.device("a")
	w.device("b")
	for path, want := range map[string]int{
		"/devices": 2, "/devices/": 2, "/devices/?top=1": 1, "/devices?top=5": 2, "/devices?top=0": 2, "/devices?top=x": 2,
	} {
		var list []iothub.Device
		w.mustCall(http.MethodGet, path, "").decode(t, &list)
		if len(list) != want {
			t.Errorf("%s: %d devices", path, len(list))
		}
	}
	if r := w.call(http.MethodGet, "/statistics/devices", ""); r.Body != `{"totalDeviceCount":2,"enabledDeviceCount":2,"disabledDeviceCount":0}` {
		t.Errorf("statistics %s", r.Body)
	}
	if r := w.call(http.MethodGet, "/statistics/service", ""); r.Body != `{"connectedDeviceCount":0}` {
		t.Errorf("statistics %s", r.Body)
	}
}

// TestIDsInPaths sends every kind of id as Python (all escaped) and as Node
// (encodeURIComponent) would, over HTTP/1.1 and HTTP/2.
func TestIDsInPaths(t *testing.T) {
	w := startWire(t)
	node := strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*", "+", "%20")
	for _, id := range []string{"cap+dev#1", "100%", "a?b", "a%2Fb", "O'Neil", "pump.json", "a:b", "x@y", "query", "a,b;c=d", "$eq", "!(*)_~"} {
		if iothub.CheckDeviceID(id) != nil {
			id = strings.NewReplacer(";", "", "~", "").Replace(id)
		}
		w.device(id)
		for _, path := range []string{url.QueryEscape(id), node.Replace(url.QueryEscape(id)), url.PathEscape(id)} {
			var got struct {
				DeviceID string `json:"deviceId"`
			}
			w.mustCall(http.MethodGet, "/devices/"+path, "").decode(t, &got)
			if got.DeviceID != id {
				t.Errorf("/devices/%s is %q", path, got.DeviceID)
			}
			w.mustCall(http.MethodGet, "/twins/"+path+"/", "").decode(t, &got)
			if got.DeviceID != id {
				t.Errorf("/twins/%s/ is %q", path, got.DeviceID)
			}
		}
	}
}

func TestTwinConditions(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	const patch = `{"tags":{"location":{"region":"US","plant":"Redmond43"}},"properties":{"desired":{"power_level":1}}}`
	for i, match := range []string{`"AAAAAAAAAAE="`, `AAAAAAAAAAI=`, `W/"AAAAAAAAAAM="`, `"*"`, `*`, ``} {
		var header []string
		if match != "" {
			header = []string{"If-Match", match}
		}
		r := w.call(http.MethodPatch, "/twins/d1", patch, header...)
		etag := iothub.TwinETag(uint64(i + 2))
		if r.Status != 200 || r.Header.Get("ETag") != etag.Header() {
			t.Fatalf("If-Match %q: %d %s", match, r.Status, r.Body)
		}
		var twin iothub.Twin
		r.decode(t, &twin)
		if level, _ := twin.Properties.Desired.Value.Get(iothub.Path{"power_level"}); twin.ETag != etag || level != json.Number("1") {
			t.Errorf("If-Match %q: %s", match, r.Body)
		}
	}
	for _, method := range []string{http.MethodPatch, http.MethodPut} {
		// The present etag is 7: a list of several is not read as such.
		for _, match := range []string{`"AAAAAAAAAAE="`, `""`, `W/""`, `" "`, `"x", "AAAAAAAAAAc="`, `"AAAAAAAAAAc=", "*"`} {
			r := w.call(method, "/twins/d1", patch, "If-Match", match)
			if r.Status != 412 || r.Header.Get("iothub-errorcode") != "PreconditionFailed" {
				t.Errorf("%s with %s: %d %s", method, match, r.Status, r.Body)
			}
		}
	}
}

// TestTwinSentBackWhole is what Python's replace_twin does.
func TestTwinSentBackWhole(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.mustCall(http.MethodPatch, "/twins/d1", `{"tags":{"a":1},"properties":{"desired":{"keep":"1 < 2 & 3","go":true}}}`)
	read := w.mustCall(http.MethodGet, "/twins/d1", "").Body
	back := regexp.MustCompile(`"0001-01-01T00:00:00[^"]*"`).ReplaceAllString(read, `"0001-01-01T00:00:00.000Z"`)
	if back == read {
		t.Fatalf("no unset date in %s", read)
	}
	back = regexp.MustCompile(`"x509Thumbprint":\{[^}]*\}`).ReplaceAllString(back, `"x509Thumbprint":{}`)
	back = strings.Replace(back, `"reported":{`, `"reported":{"mine":true,`, 1)
	back = strings.Replace(back, `"go":true,`, ``, 1)
	var twin iothub.Twin
	w.mustCall(http.MethodPut, "/twins/d1", back, "If-Match", `"AAAAAAAAAAI="`).decode(t, &twin)
	desired, err := json.Marshal(twin.Properties.Desired.Value)
	if err != nil {
		t.Fatal(err)
	}
	if string(desired) != `{"keep":"1 \u003c 2 \u0026 3"}` || len(twin.Properties.Reported.Value) != 0 || twin.Properties.Desired.Version != 3 {
		t.Errorf("desired %s, twin %+v", desired, twin)
	}
}

func TestTwinRefusals(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	deep := strings.Repeat(`{"a":`, 12) + "1" + strings.Repeat("}", 12)
	for _, c := range []struct {
		body, code string
		says       string
		line, col  int
	}{
		{`{"tags": {"a": 1,}}`, "IotHubFormatError", "line 1, column 18", 1, 18},
		{"{\n  \"tags\": {\n    \"é\": tru\n  }\n}", "IotHubFormatError", "line 3", 3, 13},
		{``, "IotHubFormatError", "line 1", 1, 1},
		{`[]`, "ArgumentInvalid", "must be an object", 0, 0},
		{`{"tags":[1]}`, "ArgumentInvalid", "tags", 0, 0},
		{`{"properties":{"desired":"on"}}`, "ArgumentInvalid", "desired", 0, 0},
		{`{"tags":{"a.b":1}}`, "ArgumentInvalid", "a.b", 0, 0},
		{`{"properties":{"desired":` + deep + `}}`, "ArgumentInvalid", "", 0, 0},
		{`{"properties":{"desired":{"n":9007199254740993}}}`, "ArgumentInvalid", "9007199254740993", 0, 0},
	} {
		r := w.call(http.MethodPatch, "/twins/d1", c.body)
		e := r.refused(t)
		if r.Status != 400 || r.Header.Get("iothub-errorcode") != c.code || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s: %d %s", c.body, r.Status, r.Body)
		}
		switch {
		case c.line == 0 && e.Position != nil:
			t.Errorf("%s: has a position %+v", c.body, *e.Position)
		case c.line > 0 && (e.Position == nil || e.Position.Line != c.line || e.Position.Column != c.col || e.Position.Code != "json"):
			t.Errorf("%s: position %s", c.body, r.Body)
		}
	}
	big := `{"tags":{"a":"` + strings.Repeat("x", maxBody) + `"}}`
	if r := w.call(http.MethodPatch, "/twins/d1", big); r.Status != 413 || r.Header.Get("iothub-errorcode") != "RequestEntityTooLarge" {
		t.Errorf("too large: %d %s", r.Status, r.Body)
	}
}

// TestBodyWithoutLength sends too much without saying so beforehand.
func TestBodyWithoutLength(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	body := struct{ *strings.Reader }{strings.NewReader(`{"tags":{"a":"` + strings.Repeat("x", maxBody) + `"}}`)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch,
		"https://"+w.hub.HTTPSAddr()+"/twins/d1?api-version=2021-04-12", bufio.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", w.token("service"))
	res, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestQueryPages(t *testing.T) {
	w := startWire(t)
	for _, id := range []string{"a", "b", "c"} {
		w.device(id)
	}
	var got []string
	token := ""
	for range 10 {
		header := []string{"x-ms-max-item-count", "2"}
		if token != "" {
			header = append(header, "x-ms-continuation", token)
		}
		r := w.mustCall(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices"}`, header...)
		if r.Header.Get("x-ms-item-type") != "Twin" {
			t.Fatalf("item type %q", r.Header.Get("x-ms-item-type"))
		}
		var rows []iothub.Twin
		r.decode(t, &rows)
		for _, row := range rows {
			got = append(got, row.DeviceID)
		}
		next, more := r.Header[http.CanonicalHeaderKey("x-ms-continuation")]
		if !more {
			break
		}
		token = next[0]
	}
	if strings.Join(got, " ") != "a b c" {
		t.Errorf("rows %v", got)
	}
	r := w.mustCall(http.MethodPost, "/devices/query", `{"query":"SELECT deviceId FROM devices WHERE deviceId = 'b'"}`, "x-ms-max-item-count", "5000")
	if r.Header.Get("x-ms-item-type") != "Raw" || r.Body != `[{"deviceId":"b"}]` {
		t.Errorf("%v %s", r.Header, r.Body)
	}
	if r := w.call(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices WHERE deviceId = 'z'"}`); r.Body != "[]" {
		t.Errorf("no rows: %s", r.Body)
	}
}

func TestQueryRefusals(t *testing.T) {
	w := startWire(t)
	for body, code := range map[string]string{
		`{"query":null}`:  "ArgumentNull",
		`{}`:              "ArgumentNull",
		`{"query":""}`:    "ArgumentNull",
		`{"query":7}`:     "DeserializationError",
		`{"query":"SEL`:   "IotHubFormatError",
		`{"query":"SEL"}`: "ArgumentInvalid",
	} {
		r := w.call(http.MethodPost, "/devices/query", body)
		if r.Status != 400 || r.Header.Get("iothub-errorcode") != code {
			t.Errorf("%s: %d %s", body, r.Status, r.Body)
		}
	}
	r := w.call(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices\nWHERE tags.a = 'x' ORDER BY deviceId"}`)
	e := r.refused(t)
	if r.Status != 400 || !strings.HasPrefix(e.Message, "ErrorCode:ArgumentInvalid;") || !strings.Contains(e.Message, "line 2, column 20") || !strings.Contains(e.Message, "^^^^^") {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if p := e.Position; p == nil || p.Line != 2 || p.Column != 20 || p.Length < 5 || p.Code == "" || p.Message == "" {
		t.Errorf("position %+v", p)
	}
	if r := w.call(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices"}`, "x-ms-continuation", "made-up"); r.Status != 400 {
		t.Errorf("made-up continuation: %d %s", r.Status, r.Body)
	}
}

// TestInternalErrorsStayInside looks at what goes out when something of ours
// fails.
func TestInternalErrorsStayInside(t *testing.T) {
	w := startWire(t)
	for _, c := range []struct {
		err  error
		code string
	}{
		{errors.New("disk I/O error in /var/secret"), "ServerError"},
		{context.Canceled, "ServiceUnavailable"},
	} {
		rec := httptest.NewRecorder()
		ctx := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/twins/d1", nil), rec)
		w.hub.rest.answerError(c.err, ctx)
		if rec.Code < 500 || rec.Header().Get("iothub-errorcode") != c.code || strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%v: %d %s", c.err, rec.Code, rec.Body)
		}
	}
}

// TestNothingIsEscaped follows characters that JSON need not escape through
// every way out.
func TestNothingIsEscaped(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	_, next := w.changes("", w.token("service"))
	if e, err := next(); err != nil || e.kind != "reset" {
		t.Fatalf("%+v, %v", e, err)
	}
	d := w.listening("d1")
	const text = `"a<b>":"<&>"`
	r := w.mustCall(http.MethodPatch, "/twins/d1", `{"tags":{`+text+`},"properties":{"desired":{`+text+`}}}`)
	if strings.Count(r.Body, text) != 2 || !strings.Contains(r.Body, `{`+text+`,"$metadata":{`) {
		t.Errorf("PATCH answered %s", r.Body)
	}
	if got := d.message(iothub.DesiredTopic(2)); got != `{`+text+`,"$version":2}` {
		t.Errorf("the device was told %s", got)
	}
	d.send(publish(0, 0, iothub.TwinGetTopic("1"), nil))
	if got := d.message(iothub.TwinResponseTopic(200, "1", 0)); got != `{"desired":{`+text+`,"$version":2},"reported":{"$version":1}}` {
		t.Errorf("the device read %s", got)
	}
	for found := 0; found < 2; { // tags and desired
		e, err := next()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(e.data, `"patch":{`+text+`}`) {
			found++
		}
	}
	for _, c := range [][3]string{
		{http.MethodPost, "/devices/query", `{"query":"SELECT tags.[[a<b>]] FROM devices"}`},
		{http.MethodPut, "/jobs/v2/j", `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*","tags":{` + text + `}}}`},
		{http.MethodGet, "/jobs/v2/query", ""},
	} {
		if r := w.mustCall(c[0], c[1], c[2]); !strings.Contains(r.Body, text) {
			t.Errorf("%s %s answered %s", c[0], c[1], r.Body)
		}
	}
	if r := w.mustCall(http.MethodPut, "/devices/d1", `{"statusReason":"<&>"}`, "If-Match", "*"); !strings.Contains(r.Body, `"statusReason":"<&>"`) {
		t.Errorf("PUT answered %s", r.Body)
	}
	r = w.call(http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices WHERE <"}`)
	if r.Status != 400 || !strings.Contains(r.Body, "<") || strings.Contains(r.Body, `\u003c`) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}
