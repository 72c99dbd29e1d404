package localhub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

// bulk sends a bulk request and shows the answer as "status" and, for each
// error, "id code".
func (w *wire) bulk(body string) string {
	w.Helper()
	r := w.call(http.MethodPost, "/devices", body)
	var result iothub.BulkResult
	r.decode(w.T, &result)
	if result.Successful != (r.Status == 200) || result.Warnings == nil || result.Errors == nil {
		w.Errorf("%d %s", r.Status, r.Body)
	}
	if code := r.Header.Get(headerErrorCode); (code == "BulkRegistryOperationFailure") != (r.Status == 400) {
		w.Errorf("%d with %s", r.Status, code)
	}
	shown := []string{fmt.Sprint(r.Status)}
	for _, e := range result.Errors {
		if e.ErrorStatus == "" || e.Operation == "" {
			w.Errorf("%+v", e)
		}
		shown = append(shown, strings.TrimSuffix(e.DeviceID+"/"+e.ModuleID, "/")+" "+e.ErrorCode)
	}
	return strings.Join(shown, ", ")
}

// TestImportModes walks one hub through every mode, in the spellings of SDKs.
func TestImportModes(t *testing.T) {
	w := startWire(t)
	twin := func(path string) (got iothub.Twin) {
		w.mustCall(http.MethodGet, "/twins/"+path, "").decode(t, &got)
		return got
	}
	identity := func(id string) (got iothub.Device) {
		w.mustCall(http.MethodGet, "/devices/"+id, "").decode(t, &got)
		return got
	}
	key := strings.Repeat("A", 43) + "="
	for _, c := range []struct{ body, want string }{
		{`[{"id":"a","importMode":"create"},{"id":"b","importMode":"Create","status":"disabled","statusReason":"new",
			"authentication":{"type":"sas","symmetricKey":{"primaryKey":"` + key + `","secondaryKey":"` + key + `"}},
			"tags":{"n":1.0},"properties":{"desired":{"x":1,"$version":9,"$metadata":{}},"reported":{"no":1}}}]`, "200"},
		{`[{"id":"a","importMode":"create"},{"id":"c","importMode":"create"}]`, "400, a DeviceAlreadyExists"},
		{`[{"id":"none","importMode":"update"},{"id":"c","importMode":"Update","statusReason":"known"}]`, "400, none DeviceNotFound"},
		{`[{"id":"d"},{"id":"c","importMode":"createOrUpdate","tags":{"c":1}}]`, "200"},
		{`[{"id":"c","importMode":"UpdateIfMatchETag","etag":"c3RhbGU="}]`, "400, c EtagDoesNotMatch"},
		{`[{"id":"c","importMode":"updateIfMatchETag"}]`, "400, c EtagDoesNotMatch"},
		{`[{"id":"c","importMode":"createOrUpdateIfMatchETag","eTag":"c3RhbGU="},{"id":"e","importMode":"createOrUpdateIfMatchETag"}]`, "400, c EtagDoesNotMatch"},
		{`[{"id":"c","importMode":"updateIfMatchETag","eTag":"` + "%c" + `","statusReason":"matched"}]`, "200"},
		{`[{"id":"c","importMode":"updateTwin","tags":{"c":null,"d":2}},{"id":"none","importMode":"updateTwin","tags":{}}]`, "400, none DeviceNotFound"},
		{`[{"id":"c","importMode":"updateTwinIfMatchETag","twinETag":"AAAAAAAAAAE=","tags":{"d":3}}]`, "400, c EtagDoesNotMatch"},
		{`[{"id":"c","importMode":"updateTwinIfMatchETag","twinETag":"AAAAAAAAAAM=","tags":{"e":3}}]`, "200"},
		{`[{"id":"e","importMode":"DeleteIfMatchETag","etag":"c3RhbGU="},{"id":"d","importMode":"Delete"},{"id":"none","importMode":"delete"}]`, "400, e EtagDoesNotMatch, none DeviceNotFound"},
		{`[{"id":"e","importMode":"deleteIfMatchETag","etag":"%e"}]`, "200"},
		{
			`[{"id":"a","moduleId":"m","importMode":"create","tags":{"of":"m"}},{"id":"none","moduleId":"m","importMode":"create"},{"id":"c","moduleId":"x","importMode":"update"}]`,
			"400, none/m DeviceNotFound, c/x ModuleNotFound",
		},
		{`[{"id":"a","moduleId":"m","importMode":"updateTwin","properties":{"desired":{"y":1}}}]`, "200"},
	} {
		body := c.body
		for _, id := range []string{"c", "e"} {
			if strings.Contains(body, "%"+id) {
				body = strings.ReplaceAll(body, "%"+id, string(identity(id).ETag))
			}
		}
		if got := w.bulk(body); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", body, got, c.want)
		}
	}
	if b := identity("b"); b.Status != iothub.StatusDisabled || b.Authentication.SymmetricKey.Primary != key || b.StatusReason != "new" {
		t.Errorf("b is %+v", b)
	}
	if b := twin("b"); b.Tags["n"] != json.Number("1.0") || b.Properties.Desired.Version != 2 || len(b.Properties.Reported.Value) != 0 {
		t.Errorf("the twin of b is %+v", b)
	}
	if a := twin("a"); a.ETag != "AAAAAAAAAAE=" || a.Version != 2 {
		t.Errorf("the twin of a is %+v", a)
	}
	if c := twin("c"); toJSON(t, c.Tags) != `{"d":2,"e":3}` || identity("c").StatusReason != "matched" {
		t.Errorf("the twin of c is %+v", c)
	}
	if m := twin("a/modules/m"); m.Tags["of"] != "m" || m.Properties.Desired.Version != 2 {
		t.Errorf("the module is %+v", m)
	}
	for _, id := range []string{"d", "e", "none"} {
		if r := w.call(http.MethodGet, "/devices/"+id, ""); r.Status != 404 {
			t.Errorf("%s is still there", id)
		}
	}
}

// TestBulkItemsAreDoneWholeOrNotAtAll has items fail that have two parts.
func TestBulkItemsAreDoneWholeOrNotAtAll(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	large := `"` + strings.Repeat("x", 4000) + `"`
	got := w.bulk(`[
		{"id":"big","importMode":"create","tags":{"a":` + large + `,"b":` + large + `,"c":` + large + `}},
		{"id":"key","importMode":"create","properties":{"desired":{"a.b":1}}},
		{"id":"shape","importMode":"create","tags":[1]},
		{"id":"bad id","importMode":"create"},
		{"id":"status","importMode":"create","status":"away"},
		{"id":"mode","importMode":"replace"},
		{"importMode":"create"},
		{"id":"d1","importMode":"update","statusReason":"changed","tags":{"#":1}},
		{"id":"twice","importMode":"create"},{"id":"twice","importMode":"delete"},
		{"id":"mods","moduleId":"m1","importMode":"updateTwin"},{"id":"mods","moduleId":"m2","importMode":"updateTwin"},
		{"id":"good","importMode":"create"}]`)
	want := "400, big ArgumentInvalid, key ArgumentInvalid, shape ArgumentInvalid, bad id ArgumentInvalid, status ArgumentInvalid, mode ArgumentInvalid, " +
		" ArgumentNull, d1 ArgumentInvalid, twice DeviceDefinedMultipleTimes, twice DeviceDefinedMultipleTimes, mods/m1 DeviceDefinedMultipleTimes, mods/m2 DeviceDefinedMultipleTimes"
	if got != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
	list, err := w.hub.registry.devices(t.Context(), 0)
	if err != nil || len(list) != 2 || list[0].StatusReason != "" || list[1].DeviceID != "good" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestBulkRefusals(t *testing.T) {
	w := startWire(t)
	var many []string
	for i := range iothub.MaxBulk + 1 {
		many = append(many, fmt.Sprintf(`{"id":"d%d","importMode":"create"}`, i))
	}
	for _, c := range []struct {
		body, code string
	}{
		{`{"id":"a"}`, "ArgumentInvalid"},
		{`[]`, "ArgumentInvalid"},
		{`[` + strings.Join(many, ",") + `]`, "ArgumentInvalid"},
		{`[1]`, "ArgumentInvalid"},
		{`[{"id":1}]`, "DeserializationError"},
		{`[{"id":"a"}`, "IotHubFormatError"},
	} {
		if r := w.call(http.MethodPost, "/devices", c.body); r.Status != 400 || r.Header.Get(headerErrorCode) != c.code {
			t.Errorf("%.40s: %d %s", c.body, r.Status, r.Body)
		}
	}
	if got := w.bulk(`[` + strings.Join(many[1:], ",") + `]`); got != "200" {
		t.Errorf("a hundred: %s", got)
	}
}

// TestBulkTakesFullTwins sends as much as a hundred twins may hold.
func TestBulkTakesFullTwins(t *testing.T) {
	w := startWire(t)
	value := `"` + strings.Repeat("x", 4000) + `"`
	tags := `{"a":` + value + `,"b":` + value + `}`
	var members, items []string
	for i := range 8 {
		members = append(members, fmt.Sprintf(`"k%d":%s`, i, value))
	}
	desired := `{` + strings.Join(members, ",") + `}`
	for i := range iothub.MaxBulk {
		items = append(items, fmt.Sprintf(`{"id":"d%d","importMode":"create","tags":%s,"properties":{"desired":%s}}`, i, tags, desired))
	}
	if got := w.bulk(`[` + strings.Join(items, ",") + `]`); got != "200" {
		t.Error(got)
	}
	if r := w.call(http.MethodPost, "/devices", strings.Repeat(" ", maxBulkBody+1)); r.Status != 413 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}
