package iothub_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// byReflection is what encoding/json makes of a value, <, > and & as they are.
func byReflection(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// metadataByReflection is $metadata as a map, which encoding/json sorts.
func metadataByReflection(m *iothub.Metadata) map[string]any {
	out := map[string]any{}
	for k, c := range m.Children {
		out[k] = metadataByReflection(c)
	}
	out["$lastUpdated"] = "0001-01-01T00:00:00Z"
	if !m.LastUpdated.IsZero() {
		out["$lastUpdated"] = m.LastUpdated.UTC().Format("2006-01-02T15:04:05.0000000Z")
	}
	if m.LastUpdatedVersion > 0 {
		out["$lastUpdatedVersion"] = m.LastUpdatedVersion
	}
	return out
}

// sectionByReflection is a section as text.
func sectionByReflection(t *testing.T, s iothub.Section) json.RawMessage {
	t.Helper()
	values := "{"
	if len(s.Value) > 0 {
		values = strings.TrimSuffix(byReflection(t, map[string]any(s.Value)), "}") + ","
	}
	return json.RawMessage(values + `"$metadata":` + byReflection(t, metadataByReflection(&s.Metadata)) +
		`,"$version":` + byReflection(t, s.Version) + "}")
}

// twinByReflection prints a twin by the tags of its fields.
func twinByReflection(t *testing.T, twin iothub.Twin) string {
	t.Helper()
	type fields iothub.Twin
	type properties struct {
		Desired  json.RawMessage `json:"desired"`
		Reported json.RawMessage `json:"reported"`
	}
	return byReflection(t, struct {
		fields
		Tags         map[string]any      `json:"tags,omitempty"` // hides the one of fields, and the next ones keep the order
		Properties   properties          `json:"properties"`
		Capabilities iothub.Capabilities `json:"capabilities"`
		DeviceScope  string              `json:"deviceScope,omitempty"`
		ParentScopes []string            `json:"parentScopes,omitempty"`
	}{
		fields: fields(twin), Tags: twin.Tags,
		Properties:   properties{sectionByReflection(t, twin.Properties.Desired), sectionByReflection(t, twin.Properties.Reported)},
		Capabilities: twin.Capabilities, DeviceScope: twin.DeviceScope, ParentScopes: twin.ParentScopes,
	})
}

// checkEncoding compares what the package writes of a twin with these documents
// with what encoding/json does.
func checkEncoding(t *testing.T, twin iothub.Twin) {
	t.Helper()
	got, err := iothub.EncodeJSON(twin)
	if err != nil {
		t.Fatal(err)
	}
	if want := twinByReflection(t, twin); string(got) != want {
		t.Fatalf("the twin is written\n%s\ninstead of\n%s", got, want)
	}
	again, err := iothub.EncodeJSON(&twin)
	if err != nil || string(again) != string(got) {
		t.Fatalf("by its address it is written\n%s\n%v", again, err)
	}
	for _, d := range []iothub.Document{twin.Tags, twin.Properties.Desired.Value} {
		if got, err := iothub.EncodeJSON(d); err != nil || string(got) != byReflection(t, map[string]any(d)) {
			t.Fatalf("the document is written\n%s\ninstead of\n%s\n%v", got, byReflection(t, map[string]any(d)), err)
		}
	}
	if text := byReflection(t, twin); text != string(got) {
		t.Fatalf("within another value it is written\n%s\ninstead of\n%s", text, got)
	}
}

func TestEncodeTwin(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 1_234_500, time.FixedZone("", 3600))
	thumbprint := "A<B>&\u2028"
	full := iothub.Twin{
		DeviceID: "d$'%#1", ModuleID: "m", ETag: "AAAAAAAAAAE=", DeviceETag: "MQ==", Status: "enabled", StatusReason: "\"\\\b\f\n\r\t\x00\x1f\x7f ü€😀",
		StatusUpdateTime: iothub.Time{Time: at}, ConnectionState: "Connected", LastActivityTime: iothub.Time{Time: at},
		CloudToDeviceMessageCount: 3, AuthenticationType: "sas", X509Thumbprint: iothub.X509Thumbprint{Primary: &thumbprint},
		ModelID: "dtmi:a;1", Version: 12, Tags: iothub.Document{"b": []any{nil, true, "x"}, "a": map[string]any{}},
		Capabilities: iothub.Capabilities{IoTEdge: true}, DeviceScope: "ms-azure-iot-edge://a-1", ParentScopes: []string{"x", "y"},
	}
	full.Properties.Desired = iothub.NewSection(at).Patch(iothub.Document{
		"!first": json.Number("1.0"), "z\u2029": json.Number("-0"), "n": json.Number("1e5"), "": map[string]any{"deep": map[string]any{"er": "\xff"}},
		"foreign": 7, "list": []any{map[string]any{"k": json.Number("0")}}, "nilmap": map[string]any(nil), "nillist": []any(nil), "empty": json.Number(""),
	}, at, true)
	full.Properties.Reported = iothub.NewSection(time.Time{})
	for name, twin := range map[string]iothub.Twin{
		"full":  full,
		"fresh": {DeviceID: "dev1", Properties: iothub.Properties{Desired: iothub.NewSection(at), Reported: iothub.NewSection(at)}},
		"zero":  {},
	} {
		t.Run(name, func(t *testing.T) { checkEncoding(t, twin) })
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, d := range map[string]iothub.Document{
		"a channel":       {"a": []any{make(chan int)}},
		"a broken number": {"a": map[string]any{"b": json.Number("1x")}},
	} {
		t.Run(name, func(t *testing.T) {
			twin := iothub.Twin{Properties: iothub.Properties{Desired: iothub.Section{Value: d}}}
			if b, err := iothub.EncodeJSON(twin); err == nil {
				t.Errorf("it is written %s", b)
			}
		})
	}
}

// FuzzEncode holds for any documents: a twin with them is written as
// encoding/json would.
func FuzzEncode(f *testing.F) {
	f.Add(`{"a":{"b":[1,"x",null,{"c":true}]}}`, `{"a":null,"!":"\u2028<&>","n":-0.1e-7}`, "reason\x00\xff")
	f.Fuzz(func(t *testing.T, first, second, text string) {
		one, errOne := iothub.ParseDocument([]byte(first))
		two, errTwo := iothub.ParseDocument([]byte(second))
		if errOne != nil || errTwo != nil || names(one, "$") || names(two, "$") { // no twin has such names
			return
		}
		at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		twin := iothub.Twin{DeviceID: text, StatusReason: text, Tags: two, DeviceScope: text}
		twin.Properties.Desired = iothub.NewSection(at).Patch(one, at, true).Patch(two, at.Add(time.Millisecond), true)
		twin.Properties.Reported = iothub.NewSection(time.Time{}).Patch(two, at, false)
		checkEncoding(t, twin)
	})
}

// names tells whether a name in a document begins so.
func names(v any, prefix string) bool {
	switch v := v.(type) {
	case iothub.Document:
		return names(map[string]any(v), prefix)
	case map[string]any:
		for k, inner := range v {
			if strings.HasPrefix(k, prefix) || names(inner, prefix) {
				return true
			}
		}
	case []any:
		for _, inner := range v {
			if names(inner, prefix) {
				return true
			}
		}
	}
	return false
}

func BenchmarkEncodeTwin(b *testing.B) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	twin := &iothub.Twin{DeviceID: "device-000001", Tags: iothub.Document{"location": map[string]any{"region": "US", "plant": "plant-7"}, "serial": "00000001"}}
	twin.Properties.Desired = iothub.NewSection(at).Patch(iothub.Document{
		"power_level": json.Number("7"), "telemetry": map[string]any{"interval": json.Number("30"), "fields": []any{"t", "h"}},
	}, at, true)
	twin.Properties.Reported = iothub.NewSection(at).Patch(iothub.Document{
		"connectivity": "cellular", "firmware": map[string]any{"version": "1.7.0", "state": "current"},
	}, at, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := iothub.EncodeJSON(twin); err != nil {
			b.Fatal(err)
		}
	}
}
