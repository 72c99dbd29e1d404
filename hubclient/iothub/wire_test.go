package iothub_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

// vectorKey is the key of the check vectors: bytes 0 to 31.
const vectorKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

var vectorExpiry = time.Unix(2000000000, 0)

// The three check vectors fix the signature over the resource as it is sent.
var vectors = []struct{ resource, sent, signature string }{
	{"contoso.azure-devices.net", "contoso.azure-devices.net", "8f+6/l2DywNwFDnVJWNfcEyZ1wQJsMgN6Bdfegjw7MA="},
	{"contoso.azure-devices.net/devices/dev1", "contoso.azure-devices.net%2Fdevices%2Fdev1", "/59gu18saMtf+JYdSV9cpMdOke7mjaEC0SMtbh95CLM="},
	{"contoso.azure-devices.net/devices/dev1/modules/mod1", "contoso.azure-devices.net%2Fdevices%2Fdev1%2Fmodules%2Fmod1", "QpGfB5Bh4XFGtb1O1oL9Brczq4DHUVO9HjzR7ibu8L4="},
}

func TestSignMatchesTheCheckVectors(t *testing.T) {
	for _, v := range vectors {
		got, err := iothub.Sign(v.resource, vectorKey, "policy", vectorExpiry)
		if err != nil {
			t.Fatal(err)
		}
		want := "SharedAccessSignature sr=" + v.sent + "&sig=" + url.QueryEscape(v.signature) + "&se=2000000000&skn=policy"
		if got != want {
			t.Errorf("Sign(%s)\n got %s\nwant %s", v.resource, got, want)
		}
	}
}

func TestVerifyAcceptsEverySpellingOfSDKs(t *testing.T) {
	v := vectors[1]
	escaped := url.QueryEscape(v.signature)
	for name, token := range map[string]string{
		"fields in another order": "SharedAccessSignature se=2000000000&sig=" + escaped + "&sr=" + v.sent,
		"slash in sig left bare":  "SharedAccessSignature sr=" + v.sent + "&sig=" + strings.ReplaceAll(escaped, "%2F", "/") + "&se=2000000000",
		"plus in sig left bare":   "SharedAccessSignature sr=" + v.sent + "&sig=" + strings.ReplaceAll(escaped, "%2B", "+") + "&se=2000000000",
	} {
		tok, err := iothub.ParseToken(token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !tok.Verify("", vectorKey) {
			t.Errorf("%s: signature refused", name)
		}
		if tok.Verify(base64.StdEncoding.EncodeToString([]byte("another key"))) || tok.Verify("") || tok.Verify() {
			t.Errorf("%s: wrong or empty key accepted", name)
		}
	}
}

func TestVerifyCoversTheRawResource(t *testing.T) {
	// Signed over the encoded text, sent decoded: must not verify.
	token := "SharedAccessSignature sr=contoso.azure-devices.net/devices/dev1&sig=" + url.QueryEscape(vectors[1].signature) + "&se=2000000000"
	tok, err := iothub.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	if tok.Verify(vectorKey) {
		t.Error("a token whose sr was changed after signing is accepted")
	}
}

func TestTokenScope(t *testing.T) {
	for _, tt := range []struct {
		resource, path string
		want           bool
	}{
		{"h", "devices/d1", true},
		{"h/", "devices/d1", true},
		{"h/devices", "devices/d1", true},
		{"h/devices/d1", "devices/d1", true},
		{"h/devices/d1", "devices/d1/modules/m", true},
		{"h/devices/d1", "devices/d12", false},
		{"h/devices/d1", "devices/D1", false},
		{"h/devices/d1/modules/m", "devices/d1", false},
		{"h/devices/100%", "devices/100%", true},
		{"h/devices/d1/api-version=2016-11-14", "devices/d1", true},
	} {
		for _, escape := range []bool{true, false} {
			sr := tt.resource
			if escape {
				sr = url.QueryEscape(sr)
			}
			tok, err := iothub.ParseToken("SharedAccessSignature sr=" + sr + "&sig=AAAA&se=1")
			if err != nil {
				t.Fatal(err)
			}
			if got := tok.Covers(tt.path); got != tt.want {
				t.Errorf("sr=%s covers %s: %v", sr, tt.path, got)
			}
		}
	}
	var tok iothub.Token
	for sr, host := range map[string]string{
		"LocalHost%3A8443%2Fdevices%2Fd": "localhost", "localhost:443": "localhost", "h/devices": "h",
		"%5B%3A%3A1%5D%3A8443": "::1", "[::1]": "::1",
	} {
		tok, _ = iothub.ParseToken("SharedAccessSignature sr=" + sr + "&sig=AAAA&se=1")
		if tok.Host() != host {
			t.Errorf("Host() of sr=%s is %s", sr, tok.Host())
		}
	}
	if !tok.Expired(time.Unix(1, 0)) || tok.Expired(time.Unix(0, 0)) {
		t.Error("a token expires at its expiry")
	}
	for _, se := range []string{"1764145200000", "253402300800", "9223372036854775807"} { // milliseconds, or never
		tok, err := iothub.ParseToken("SharedAccessSignature sr=h&sig=AAAA&se=" + se)
		if err != nil || tok.Expired(time.Now()) || tok.Expiry.Year() != 9999 {
			t.Errorf("se=%s expires at %s, %v", se, tok.Expiry, err)
		}
	}
}

func TestParseTokenRefuses(t *testing.T) {
	for _, s := range []string{
		"", "Bearer x", "SharedAccessSignature ", "SharedAccessSignature sr=h&sig=AAAA",
		"SharedAccessSignature sr=h&se=1", "SharedAccessSignature sig=AAAA&se=1", "SharedAccessSignature sr=h&sig=***&se=1",
		"SharedAccessSignature sr=h&sig=AAAA&se=tomorrow", "SharedAccessSignature sr=h&sig=%zz&se=1",
	} {
		if _, err := iothub.ParseToken(s); !errors.Is(err, iothub.ErrNotToken) {
			t.Errorf("ParseToken(%q) = %v", s, err)
		}
	}
	if _, err := iothub.Sign("h", "not base64!", "", vectorExpiry); err == nil {
		t.Error("Sign accepts a key that is not base64")
	}
}

func TestMaskSecrets(t *testing.T) {
	key := vectorKey
	token, _ := iothub.Sign("h", key, "p", vectorExpiry)
	sig := vectors[0].signature
	for _, in := range []string{
		token, "HostName=h;SharedAccessKeyName=p;SharedAccessKey=" + key, `{"symmetricKey":{"primaryKey":"` + key + `","secondaryKey": "` + key + `"}}`,
	} {
		got := iothub.MaskSecrets(in)
		if strings.Contains(got, key) || strings.Contains(got, sig) || !strings.Contains(got, "***") {
			t.Errorf("MaskSecrets leaves a secret: %s", got)
		}
	}
	for _, in := range []string{`{"primaryKey":null,"secondaryKey": null}`, `{"secondaryKey":null}`} {
		if got := iothub.MaskSecrets(in); got != in {
			t.Errorf("keys that are not there: %s", got)
		}
	}
	if got := iothub.MaskSecrets("SharedAccessKey=nullified"); got != "SharedAccessKey=***" {
		t.Errorf("MaskSecrets = %s", got)
	}
	if got := iothub.MaskSecrets("HostName=h;SharedAccessKeyName=p;SharedAccessKey=k;DeviceId=d"); got != "HostName=h;SharedAccessKeyName=p;SharedAccessKey=***;DeviceId=d" {
		t.Errorf("MaskSecrets = %s", got)
	}
}

func TestConnectionStrings(t *testing.T) {
	service := "HostName=localhost:8443;SharedAccessKeyName=iothubowner;SharedAccessKey=" + vectorKey
	s, err := iothub.ParseServiceConnectionString(service)
	if err != nil || s.String() != service || s.HostName != "localhost:8443" {
		t.Errorf("service: %+v, %v", s, err)
	}
	device := "HostName=localhost;DeviceId=a=b;ModuleId=m;SharedAccessKey=" + vectorKey + ";GatewayHostName=g:1"
	d, err := iothub.ParseDeviceConnectionString(device)
	if err != nil || d.String() != device || d.DeviceID != "a=b" || d.Resource() != "localhost/devices/a=b/modules/m" {
		t.Errorf("device: %+v, %v", d, err)
	}
	if wrapped, err := iothub.ParseServiceConnectionString(service[:20] + "\n" + service[20:70] + "\r\n" + service[70:] + "\n"); err != nil || wrapped != s {
		t.Errorf("in three lines: %+v, %v", wrapped, err)
	}
	if spaced, err := iothub.ParseDeviceConnectionString(strings.Replace(device, "localhost;", "localhost ;", 1)); err != nil || spaced != d {
		t.Errorf("with a blank: %+v, %v", spaced, err)
	}
	for in, want := range map[string]string{
		"":                                 "the connection string is empty",
		service + ";":                      "the connection string ends with a semicolon; remove it",
		"HostName":                         "the connection string has a part that is not Name=value (part 1)",
		service + ";Foo=1":                 `the connection string has an unknown field "Foo"`,
		service + ";HostName=x":            "the connection string has the field HostName twice",
		"HostName=h;SharedAccessKeyName=p": "the connection string lacks SharedAccessKey",
		"HostName=h;SharedAccessKeyName=p;SharedAccessKey=":             "the connection string lacks SharedAccessKey",
		"HostName=h;SharedAccessKeyName=p;SharedAccessKey=abc":          "the value of SharedAccessKey in the connection string is not base64; was it cut off while copying?",
		"HostName=https://h;SharedAccessKeyName=p;SharedAccessKey=AAAA": "the value of HostName in the connection string must be a host name, with a port if need be, such as name.azure-devices.net",
		"hostname=h;SharedAccessKeyName=p;SharedAccessKey=AAAA":         `the connection string has an unknown field "hostname"`,
	} {
		if _, err := iothub.ParseServiceConnectionString(in); err == nil || err.Error() != want {
			t.Errorf("%q: %v\nwant %s", in, err, want)
		}
	}
	if strings.Contains(s.Redacted(), vectorKey) || strings.Contains(d.Redacted(), vectorKey) {
		t.Error("Redacted shows the key")
	}
}

func FuzzServiceConnectionString(f *testing.F) {
	f.Add("HostName=h;SharedAccessKeyName=p;SharedAccessKey=AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := iothub.ParseServiceConnectionString(s)
		if err != nil {
			return
		}
		again, err := iothub.ParseServiceConnectionString(c.String())
		if err != nil || again != c {
			t.Errorf("%q reads as %+v, printed and read again as %+v, %v", s, c, again, err)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add("SharedAccessSignature sr=h&sig=AAAA&se=1&skn=p")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := iothub.ParseToken(s)
		if err == nil && tok.Verify(vectorKey) {
			t.Errorf("a token nobody signed verifies: %q", s)
		}
	})
}

// TestTheTopicOfAnAnswerHoldsItsRequestID takes the longest $rid with which the
// longest topic of an answer fits into MQTT's 65,535 bytes.
func TestTheTopicOfAnAnswerHoldsItsRequestID(t *testing.T) {
	rid := strings.Repeat("r", math.MaxUint16-len(iothub.TwinResponseTopic(204, "", math.MaxInt64)))
	if got, err := iothub.ParsePublish(iothub.TwinGetTopic(rid), "d", ""); err != nil || got.RequestID != rid {
		t.Errorf("%d bytes: %d came back, %v", len(rid), len(got.RequestID), err)
	}
	for _, topic := range []string{iothub.TwinGetTopic(rid + "r"), iothub.ReportedTopic(rid + "r")} {
		if _, err := iothub.ParsePublish(topic, "d", ""); !errors.Is(err, iothub.ErrTopic) {
			t.Errorf("%.50s… of %d bytes: %v", topic, len(topic), err)
		}
	}
}

func TestTopics(t *testing.T) {
	for topic, want := range map[string]iothub.Topic{
		iothub.TwinGetTopic("a-1"):                                  {Kind: iothub.TopicTwinGet, RequestID: "a-1"},
		iothub.ReportedTopic("%41"):                                 {Kind: iothub.TopicReported, RequestID: "%41"},
		"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=7": {Kind: iothub.TopicReported, RequestID: "1", Version: 7, HasVersion: true},
		"$iothub/twin/PATCH/properties/reported/":                   {Kind: iothub.TopicReported},
		"devices/d#1/messages/events/":                              {Kind: iothub.TopicTelemetry},
		"devices/d#1/messages/events":                               {Kind: iothub.TopicTelemetry},
		"devices/d#1/messages/events/%24.mid=1&k=v/":                {Kind: iothub.TopicTelemetry, Bag: "%24.mid=1&k=v"},
		"$iothub/methods/res/200/?$rid=5":                           {Kind: iothub.TopicMethodResult, RequestID: "5", Status: 200},
	} {
		got, err := iothub.ParsePublish(topic, "d#1", "")
		if err != nil {
			t.Errorf("%s: %v", topic, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", topic, diff)
		}
	}
	for _, topic := range []string{
		"", "a/b", "devices/other/messages/events/", "devices/d#1/messages/devicebound/", "$iothub/twin/GET/",
		"$iothub/twin/GET/?$rid=", "$iothub/twin/GET/x?$rid=1", "$iothub/twin/PATCH/properties/desired/?$version=1",
		"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x", "$iothub/methods/res/abc/?$rid=1", "$IOTHUB/twin/GET/?$rid=1",
		"devices/d#1/modules/m/messages/events/",
	} {
		if _, err := iothub.ParsePublish(topic, "d#1", ""); !errors.Is(err, iothub.ErrTopic) {
			t.Errorf("ParsePublish(%q) = %v", topic, err)
		}
	}
	for topic, want := range map[string]iothub.Topic{
		iothub.TwinResponseTopic(200, "r", 0): {Kind: iothub.TopicTwinResponse, Status: 200, RequestID: "r"},
		iothub.TwinResponseTopic(204, "r", 9): {Kind: iothub.TopicTwinResponse, Status: 204, RequestID: "r", Version: 9, HasVersion: true},
		iothub.DesiredTopic(4):                {Kind: iothub.TopicDesired, Version: 4, HasVersion: true},
	} {
		got, err := iothub.ParseReceived(topic)
		if err != nil {
			t.Errorf("%s: %v", topic, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", topic, diff)
		}
	}
	if got := iothub.TwinResponseTopic(204, "r", 9); got != "$iothub/twin/res/204/?$rid=r&$version=9" {
		t.Errorf("$rid must come first: %s", got)
	}
	if got := iothub.TelemetryTopic("d", "", url.Values{"a b": {"c/d"}}); got != "devices/d/messages/events/a%20b=c%2Fd" {
		t.Errorf("TelemetryTopic = %s", got)
	}
}

func TestUserNames(t *testing.T) {
	for in, want := range map[string]iothub.UserName{
		"localhost/d1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%283.11.2%3BLinux..%29": {Host: "localhost", DeviceID: "d1", APIVersion: "2019-10-01", ClientType: "azure-iot-device-iothub-py/2.14.0(3.11.2;Linux..)"},
		"localhost/d1/m1/?api-version=2021-04-12":                                           {Host: "localhost", DeviceID: "d1", ModuleID: "m1", APIVersion: "2021-04-12"},
		"h:8443/a?b/?api-version=2021-04-12&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1": {Host: "h:8443", DeviceID: "a?b", APIVersion: "2021-04-12", ModelID: "dtmi:com:example:Thermostat;1"},
		"h/d/api-version=2016-11-14":                                                        {Host: "h", DeviceID: "d", APIVersion: "2016-11-14"},
		"h/d":                                                                               {Host: "h", DeviceID: "d"},
		"h/100%/?api-version=2021-04-12":                                                    {Host: "h", DeviceID: "100%", APIVersion: "2021-04-12"},
	} {
		got, err := iothub.ParseUserName(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
		if want.APIVersion == iothub.APIVersion {
			again, err := iothub.ParseUserName(got.String())
			if err != nil || again != got {
				t.Errorf("%s printed and read again: %+v, %v", in, again, err)
			}
		}
	}
	for _, in := range []string{"", "h", "h/", "/d/?api-version=1", "h/d/m/x/?api-version=1"} {
		if _, err := iothub.ParseUserName(in); !errors.Is(err, iothub.ErrUserName) {
			t.Errorf("ParseUserName(%q) = %v", in, err)
		}
	}
}

func TestErrorsSurviveTheWire(t *testing.T) {
	for _, e := range []*iothub.Error{iothub.ErrDeviceNotFound.With("no device d1"), iothub.ErrPreconditionFailed.With("a; b"), iothub.ErrThrottling.With("")} {
		got := iothub.ParseError(e.Status, "", e.ServiceBody("abc"))
		if got.Code != e.Code || got.Number != e.Number || got.Status != e.Status || got.TrackingID != "abc" || e.Message != "" && got.Message != e.Message {
			t.Errorf("%+v came back as %+v", e, got)
		}
		if !errors.Is(fmt.Errorf("twin: %w", got), e) {
			t.Errorf("errors.Is does not recognise %s", e.Code)
		}
	}
	body := `{"errorCode":404103,"message":"offline","trackingId":"t","timestampUtc":"2026-11-22T00:00:00Z","info":null}`
	nested, _ := json.Marshal(map[string]string{"Message": body, "ExceptionMessage": ""})
	for _, b := range []string{body, string(nested)} {
		got := iothub.ParseError(404, "", []byte(b))
		if !errors.Is(got, iothub.ErrDeviceNotOnline) || got.Message != "offline" {
			t.Errorf("%s reads as %+v", b, got)
		}
	}
	for status, want := range map[int]string{401: "IotHubUnauthorizedAccess", 502: "HTTP502", 429: "ThrottlingException"} {
		if got := iothub.ParseError(status, "", []byte("<html>")); got.Code != want || got.Status != status {
			t.Errorf("status %d without a body reads as %+v", status, got)
		}
	}
	if got := iothub.AsError(errors.New("open /secret: no")); got.Message != "" || got.Status != 500 {
		t.Errorf("an internal error shows its text: %+v", got)
	}
}

func TestCursors(t *testing.T) {
	c := iothub.Cursor{Epoch: "ab12", ID: 42}
	if got, ok := iothub.ParseCursor(c.String()); !ok || got != c {
		t.Errorf("%s reads as %+v", c, got)
	}
	for _, s := range []string{"", "ab12", "-1", "ab-x", "ab--1"} {
		if _, ok := iothub.ParseCursor(s); ok {
			t.Errorf("ParseCursor accepts %q", s)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	token, err := iothub.Sign("localhost/devices/d1", vectorKey, "", vectorExpiry)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		tok, err := iothub.ParseToken(token)
		if err != nil || !tok.Verify(vectorKey) {
			b.Fatal("refused")
		}
	}
}
