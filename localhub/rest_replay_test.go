package localhub

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

// pythonService sends requests as Microsoft's Python service SDK 2.7.0 was seen
// to: its headers, its token, ids escaped with every sign.
type pythonService struct{ *wire }

func (p pythonService) call(method, path, body string, header ...string) reply {
	p.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	header = append([]string{
		"Accept", "application/json", "Accept-Encoding", "gzip, deflate", "Connection", "keep-alive",
		"User-Agent", "python/3.11.2 (Linux-6.1.0-28-amd64-x86_64-with-glibc2.36) msrest/0.6.21 iothubgatewayserviceapis/2021-04-12",
		"Authorization", p.token("iothubowner"),
	}, header...)
	if body != "" {
		header = append(header, "Content-Type", "application/json; charset=utf-8")
	}
	return p.send(method, path+sep+"api-version=2021-04-12", body, header...)
}

// TestPythonService replays the SDK's requests in the order an app makes them.
// {device} and {twin} stand for the etags that came last.
func TestPythonService(t *testing.T) {
	p := pythonService{startWire(t)}
	const created = `{"deviceId":"cap+dev#1","status":"enabled","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""},"type":"sas"},"capabilities":{"iotEdge":false}}`
	const path, twin = "/devices/cap%2Bdev%231", "/twins/cap%2Bdev%231"
	etags := map[string]string{}
	for _, step := range []struct {
		name, method, path, body, ifMatch string
		status                            int
		holds                             string
	}{
		{"create", http.MethodPut, path, created, "", 200, `"deviceId":"cap+dev#1"`},
		{"create again", http.MethodPut, path, created, "", 409, "ErrorCode:DeviceAlreadyExists;"},
		{"get", http.MethodGet, path, "", "", 200, `"status":"enabled"`},
		{"update", http.MethodPut, path, `{"deviceId":"cap+dev#1","status":"disabled","statusReason":"test","authentication":{"symmetricKey":{},"type":"sas"},"etag":"{device}"}`, `"{device}"`, 200, `"statusReason":"test"`},
		{"update with a stale etag", http.MethodPut, path, created, `"Ng=="`, 412, "ErrorCode:PreconditionFailed;"},
		{"list", http.MethodGet, "/devices?top=5", "", "", 200, `[{"deviceId":"cap+dev#1"`},
		{"get twin", http.MethodGet, twin, "", "", 200, `"etag":"AAAAAAAAAAE="`},
		{
			"update twin", http.MethodPatch, twin,
			`{"tags":{"location":{"region":"US","plant":"Redmond43"}},"properties":{"desired":{"power_level":1}}}`, `"{twin}"`, 200, `"plant":"Redmond43"`,
		},
		{"update twin with any etag", http.MethodPatch, twin, `{"tags":{"location":{"plant":null}}}`, `"*"`, 200, `"location":{"region":"US"}`},
		{"update twin with a stale etag", http.MethodPatch, twin, `{"tags":{"x":1}}`, `"AAAAAAAAAAE="`, 412, "ErrorCode:PreconditionFailed;"},
		{
			"replace twin with what was read", http.MethodPut, twin,
			`{"deviceId":"cap+dev#1","etag":"{twin}","deviceEtag":"{device}","status":"disabled","statusUpdateTime":"0001-01-01T00:00:00.000Z","connectionState":"Disconnected",` +
				`"lastActivityTime":"0001-01-01T00:00:00.000Z","cloudToDeviceMessageCount":0,"authenticationType":"sas","x509Thumbprint":{},"version":5,"tags":{"site":"b1"},` +
				`"properties":{"desired":{"power_level":2,"$metadata":{"$lastUpdated":"2026-11-22T10:00:00Z"},"$version":2},"reported":{"$metadata":{},"$version":1}},"capabilities":{"iotEdge":false}}`,
			`"{twin}"`, 200, `"tags":{"site":"b1"}`,
		},
		{"count", http.MethodGet, "/statistics/devices", "", "", 200, `"disabledDeviceCount":1`},
		{"update with any etag", http.MethodPut, path, created, `"*"`, 200, `"status":"enabled"`},
		{"create module", http.MethodPut, path + "/modules/m1", `{"moduleId":"m1","managedBy":"","deviceId":"cap+dev#1","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""},"type":"sas"}}`, "", 200, `"moduleId":"m1"`},
		{"get module twin", http.MethodGet, twin + "/modules/m1", "", "", 200, `"moduleId":"m1"`},
		{"delete module", http.MethodDelete, path + "/modules/m1", "", `"*"`, 204, ""},
		{
			"bulk", http.MethodPost, "/devices",
			`[{"id":"b1","importMode":"create","status":"enabled","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""},"type":"sas"}},{"id":"b2","importMode":"create"}]`, "", 200, `"isSuccessful":true`,
		},
		{"bulk delete", http.MethodPost, "/devices", `[{"id":"b1","importMode":"delete"}]`, "", 200, `"isSuccessful":true`},
		{"method of an absent device", http.MethodPost, "/twins/b2/methods", `{"methodName":"reboot","payload":"","responseTimeoutInSeconds":5,"connectTimeoutInSeconds":0}`, "", 404, `\"errorCode\":404103`},
		{"delete", http.MethodDelete, path, "", `"*"`, 204, ""},
		{"get what is gone", http.MethodGet, path, "", "", 404, "ErrorCode:DeviceNotFound;"},
	} {
		fill := strings.NewReplacer("{device}", etags["device"], "{twin}", etags["twin"]).Replace
		var header []string
		if step.ifMatch != "" {
			header = []string{"If-Match", fill(step.ifMatch)}
		}
		r := p.call(step.method, step.path, fill(step.body), header...)
		if r.Status != step.status || !strings.Contains(r.Body, step.holds) || step.status == 204 && r.Body != "" {
			t.Fatalf("%s: %d %s", step.name, r.Status, r.Body)
		}
		var body struct {
			ETag string `json:"etag"`
		}
		if _ = json.Unmarshal([]byte(r.Body), &body); body.ETag != "" { // some answers have no body
			etags[strings.TrimSuffix(strings.Split(step.path, "/")[1], "s")] = body.ETag
		}
	}
}

// TestPythonQuery pages as query_iot_hub does, and finds no continuation on the
// last page.
func TestPythonQuery(t *testing.T) {
	p := pythonService{startWire(t)}
	for _, id := range []string{"a", "b", "c"} {
		p.device(id)
	}
	const body = `{"query":"SELECT * FROM devices"}`
	first := p.call(http.MethodPost, "/devices/query", body, "x-ms-max-item-count", "2")
	token := first.Header.Get("x-ms-continuation")
	if first.Status != 200 || token == "" || first.Header.Get("x-ms-item-type") != iothub.ItemTwin {
		t.Fatalf("%d %v %s", first.Status, first.Header, first.Body)
	}
	second := p.call(http.MethodPost, "/devices/query", body, "x-ms-max-item-count", "2", "x-ms-continuation", token)
	if _, more := second.Header["X-Ms-Continuation"]; second.Status != 200 || more {
		t.Errorf("%d %v", second.Status, second.Header)
	}
	var twins []iothub.Twin
	if second.decode(t, &twins); len(twins) != 1 || twins[0].DeviceID != "c" {
		t.Errorf("%s", second.Body)
	}
}
