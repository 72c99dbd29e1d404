package localhub

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// TestIdentitiesPrintAsTheServicePrints looks at whole answers: keys that are
// not there are null, times never set differ between writing and reading.
func TestIdentitiesPrintAsTheServicePrints(t *testing.T) {
	w := startWire(t)
	thumb := strings.Repeat("aB", 20)
	volatile := regexp.MustCompile(`"(generationId|etag)":"[^"]+"`)
	key := strings.Repeat("A", 43) + "="
	for _, c := range []struct{ path, sent, authentication, rest string }{
		{
			"/devices/sas", `{"authentication":{"symmetricKey":{"primaryKey":"` + key + `","secondaryKey":"` + key + `"},"x509Thumbprint":{"primaryThumbprint":null}},"statusReason":"0001-01-01T00:00:00Z"}`,
			`{"symmetricKey":{"primaryKey":"` + key + `","secondaryKey":"` + key + `"},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"}`,
			`"statusReason":"0001-01-01T00:00:00Z"`,
		},
		{
			"/devices/self", `{"authentication":{"type":"selfSigned","symmetricKey":{"primaryKey":"` + key + `"},"x509Thumbprint":{"primaryThumbprint":"` + thumb + `"}}}`,
			`{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":"` + thumb + `","secondaryThumbprint":null},"type":"selfSigned"}`,
			`"status":"enabled"`,
		},
		{
			"/devices/ca", `{"authentication":{"type":"certificateAuthority","x509Thumbprint":{"primaryThumbprint":"` + thumb + `"}}}`,
			`{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"certificateAuthority"}`,
			`"cloudToDeviceMessageCount":0`,
		},
		{
			"/devices/sas/modules/m", `{"authentication":{"type":"none","symmetricKey":{"primaryKey":"` + key + `","secondaryKey":"` + key + `"}}}`,
			"", `"managedBy":""`,
		},
	} {
		const written, read = `:"0001-01-01T00:00:00Z"`, `:"0001-01-01T00:00:00.0000000Z"`
		put := w.mustCall(http.MethodPut, c.path, c.sent).Body
		got := w.mustCall(http.MethodGet, c.path, "").Body
		if !strings.Contains(put, `"authentication":`+c.authentication) || !strings.Contains(put, c.rest) || !strings.Contains(put, `"connectionStateUpdatedTime`+`"`+written) {
			t.Errorf("PUT %s: %s", c.path, put)
		}
		if strings.Contains(put, read) || len(volatile.FindAllString(put, -1)) != 2 {
			t.Errorf("PUT %s: %s", c.path, put)
		}
		same := strings.NewReplacer(`Time"`+read, `Time"`+written).Replace(got)
		if same != put || strings.Contains(strings.Replace(got, `"statusReason"`+written, "", 1), written) {
			t.Errorf("GET %s: %s", c.path, got)
		}
		list := w.mustCall(http.MethodGet, c.path[:strings.LastIndex(c.path, "/")], "").Body
		if !strings.Contains(list, got) {
			t.Errorf("listed as %s", list)
		}
	}
	if m := w.mustCall(http.MethodGet, "/devices/sas/modules/m", "").Body; !strings.Contains(m, `"type":"sas"`) || strings.Contains(m, key) {
		t.Errorf("a module of no authentication became %s", m)
	}
	if twin := w.mustCall(http.MethodGet, "/twins/self", "").Body; !strings.Contains(twin, `"authenticationType":"selfSigned","x509Thumbprint":{"primaryThumbprint":"`+thumb+`","secondaryThumbprint":null}`) {
		t.Errorf("the twin shows %s", twin)
	}
}

// TestKeysAreSwappedAndMadeAnew does what tools do about keys: read the identity,
// change its keys, and put it back.
func TestKeysAreSwappedAndMadeAnew(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	w.module("d1", "m1")
	for _, path := range []string{"/devices/d1", "/devices/d1/modules/m1"} {
		keys := func(r reply) iothub.SymmetricKey {
			var d iothub.Device
			r.decode(t, &d)
			return d.Authentication.SymmetricKey
		}
		read := w.mustCall(http.MethodGet, path, "")
		before := keys(read)
		swapped := strings.NewReplacer(before.Primary, before.Secondary, before.Secondary, before.Primary).Replace(read.Body)
		after := keys(w.mustCall(http.MethodPut, path, swapped, "If-Match", read.Header.Get("ETag")))
		if after.Primary != before.Secondary || after.Secondary != before.Primary {
			t.Errorf("%s: swapped keys became %v", path, after)
		}
		if r := w.call(http.MethodPut, path, swapped, "If-Match", read.Header.Get("ETag")); r.Status != http.StatusPreconditionFailed {
			t.Errorf("%s: swapped twice with one etag: %d", path, r.Status)
		}
		for _, body := range []string{
			`{"authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}`,
			`{"authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null}}}`,
			`{"authentication":{}}`,
			`{}`,
		} {
			last := after
			after = keys(w.mustCall(http.MethodPut, path, body, "If-Match", "*"))
			if after.Primary == last.Primary || after.Secondary == last.Secondary || after.Primary == "" || after.Secondary == "" {
				t.Errorf("%s with %s: the keys stayed", path, body)
			}
		}
		one := `{"authentication":{"symmetricKey":{"primaryKey":"` + after.Primary + `","secondaryKey":""}}}`
		if r := w.call(http.MethodPut, path, one, "If-Match", "*"); r.Status != http.StatusBadRequest || r.Header.Get(headerErrorCode) != "ArgumentInvalid" {
			t.Errorf("%s with one key: %d %s", path, r.Status, r.Body)
		}
		if keys(w.mustCall(http.MethodGet, path, "")) != after {
			t.Errorf("%s: a refused write changed the keys", path)
		}
	}
}

// TestConditionsOfDeleting asks in every way, of devices and of modules.
func TestConditionsOfDeleting(t *testing.T) {
	w := startWire(t)
	d := w.device("d1")
	m := w.module("d1", "m1")
	for _, c := range []struct {
		path string
		etag iothub.ETag
		code string
	}{
		{"/devices/d1/modules/m1", m.ETag, "ModuleNotFound"},
		{"/devices/d1", d.ETag, "DeviceNotFound"},
	} {
		if r := w.call(http.MethodDelete, c.path, ""); r.Status != 412 || r.Header.Get(headerErrorCode) != "PreconditionFailed" {
			t.Errorf("%s without If-Match: %d %s", c.path, r.Status, r.Body)
		}
		if r := w.call(http.MethodDelete, c.path, "", "If-Match", `"c3RhbGU="`); r.Status != 412 {
			t.Errorf("%s with another etag: %d %s", c.path, r.Status, r.Body)
		}
		if r := w.call(http.MethodDelete, c.path, "", "If-Match", c.etag.Header()); r.Status != 204 {
			t.Errorf("%s: %d %s", c.path, r.Status, r.Body)
		}
		if r := w.call(http.MethodDelete, c.path, "", "If-Match", "*"); r.Status != 404 || r.Header.Get(headerErrorCode) != c.code {
			t.Errorf("%s twice: %d %s", c.path, r.Status, r.Body)
		}
	}
}

// TestModulesOfADisabledDevice asks for each operation on identities, which the
// service answers 401, and on twins, which go on.
func TestModulesOfADisabledDevice(t *testing.T) {
	w := startWire(t)
	w.device("off")
	w.module("off", "m")
	w.mustCall(http.MethodPut, "/devices/off", `{"status":"disabled"}`, "If-Match", "*")
	for _, device := range []string{"off", "none"} {
		for _, c := range []struct{ method, path string }{
			{"GET", ""}, {"GET", "/m"}, {"PUT", "/m"}, {"PUT", "/new"}, {"DELETE", "/m"},
		} {
			r := w.call(c.method, "/devices/"+device+"/modules"+c.path, "{}", "If-Match", "*")
			if r.Status != http.StatusUnauthorized || r.Header.Get(headerErrorCode) != "IotHubUnauthorizedAccess" {
				t.Errorf("%s modules%s of %s: %d %s", c.method, c.path, device, r.Status, r.Body)
			}
		}
	}
	w.mustCall(http.MethodPatch, "/twins/off/modules/m", `{"tags":{"a":1}}`)
	w.mustCall(http.MethodGet, "/twins/off/modules/m", "")
	if r := w.call(http.MethodGet, "/twins/none/modules/m", ""); r.Status != 404 || r.Header.Get(headerErrorCode) != "DeviceNotFound" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// TestX509DevicesCannotSignIn has devices come that have no key: without a
// password, and with the signature of an empty key.
func TestX509DevicesCannotSignIn(t *testing.T) {
	w := startWire(t)
	w.device("sas")
	w.mustCall(http.MethodPut, "/devices/self", `{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"`+strings.Repeat("a", 40)+`"}}}`)
	w.mustCall(http.MethodPut, "/devices/ca", `{"authentication":{"type":"certificateAuthority"}}`)
	soon := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	for _, id := range []string{"self", "ca"} {
		resource := "localhost%2Fdevices%2F" + id
		empty := "SharedAccessSignature sr=" + resource + "&sig=" + url.QueryEscape(signRaw(t, resource, soon, "")) + "&se=" + soon
		for _, c := range []struct {
			flags    byte
			password string
		}{{0x80, ""}, {0xc0, ""}, {0xc0, empty}} {
			hello := w.deviceConnect("sas")
			hello.id, hello.user = id, "localhost/"+id+"/?api-version=2021-04-12"
			hello.flags, hello.password = c.flags, c.password
			d := w.dial()
			d.send(hello.bytes())
			if ack := d.next(packets.Connack); ack.ReasonCode != connackNotAuthorized {
				t.Errorf("%s with %+v: CONNACK %d", id, c, ack.ReasonCode)
			}
		}
	}
}

// TestConditionsOfWriting holds that If-Match alone makes a PUT an update, and
// its absence a creation, whatever else a request says.
func TestConditionsOfWriting(t *testing.T) {
	w := startWire(t)
	d := w.device("d1")
	m := w.module("d1", "m1")
	for _, c := range []struct {
		path, missing, exists, gone string
		etag                        iothub.ETag
	}{
		{"/devices/d1", "/devices/d2", "DeviceAlreadyExists", "DeviceNotFound", d.ETag},
		{"/devices/d1/modules/m1", "/devices/d1/modules/m2", "ModuleAlreadyExistsOnDevice", "ModuleNotFound", m.ETag},
	} {
		for _, header := range [][]string{nil, {"If-None-Match", "*"}, {"If-None-Match", `"other"`}, {"If-Match", ""}} {
			r := w.call(http.MethodPut, c.path, `{"etag":"`+string(c.etag)+`"}`, header...)
			if r.Status != http.StatusConflict || r.Header.Get(headerErrorCode) != c.exists {
				t.Errorf("%s with %v: %d %s", c.path, header, r.Status, r.Body)
			}
		}
		for _, match := range []string{"*", `"*"`, `""`, c.etag.Header()} {
			r := w.call(http.MethodPut, c.missing, `{}`, "If-Match", match)
			if r.Status != http.StatusNotFound || r.Header.Get(headerErrorCode) != c.gone {
				t.Errorf("%s with %s: %d %s", c.missing, match, r.Status, r.Body)
			}
		}
		for _, match := range []string{string(c.etag), "*"} {
			if r := w.call(http.MethodPut, c.path, `{"etag":"c3RhbGU="}`, "If-Match", match); r.Status != http.StatusOK {
				t.Errorf("%s with %s: %d %s", c.path, match, r.Status, r.Body)
			}
		}
		for _, match := range []string{c.etag.Header(), `""`} { // of the past, and of no time
			if r := w.call(http.MethodPut, c.path, `{}`, "If-Match", match); r.Status != http.StatusPreconditionFailed {
				t.Errorf("%s with %s: %d %s", c.path, match, r.Status, r.Body)
			}
		}
	}
}
