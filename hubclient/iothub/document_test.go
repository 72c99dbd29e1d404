package iothub_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

// failer is what testing.T and rapid.T share.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func doc(t failer, s string) iothub.Document {
	t.Helper()
	d, err := iothub.ParseDocument([]byte(s))
	if err != nil {
		t.Fatalf("ParseDocument(%s): %v", s, err)
	}
	return d
}

func text(t failer, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct{ name, base, patch, want string }{
		{"objects merge member by member", `{"a":{"b":1,"c":2}}`, `{"a":{"c":3}}`, `{"a":{"b":1,"c":3}}`},
		{"missing objects are made", `{}`, `{"a":{"b":{"c":1}}}`, `{"a":{"b":{"c":1}}}`},
		{"null removes a scalar", `{"a":1,"b":2}`, `{"a":null}`, `{"b":2}`},
		{"null removes an object", `{"a":{"b":1}}`, `{"a":null}`, `{}`},
		{"null removes an array", `{"a":[1]}`, `{"a":null}`, `{}`},
		{"null for an absent member does nothing", `{"a":1}`, `{"b":null}`, `{"a":1}`},
		{"arrays are replaced whole", `{"a":[1,2,3]}`, `{"a":[9]}`, `{"a":[9]}`},
		{"removing the last member leaves an empty object", `{"a":{"b":1}}`, `{"a":{"b":null}}`, `{"a":{}}`},
		{"an empty object is stored", `{}`, `{"a":{}}`, `{"a":{}}`},
		{"an empty object changes no existing object", `{"a":{"b":1}}`, `{"a":{}}`, `{"a":{"b":1}}`},
		{"a new object of nulls becomes empty", `{}`, `{"a":{"b":null}}`, `{"a":{}}`},
		{"a scalar replaces an object", `{"a":{"b":1}}`, `{"a":5}`, `{"a":5}`},
		{"an object replaces a scalar", `{"a":5}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{"numbers stay verbatim", `{"a":1.0}`, `{"b":1e2}`, `{"a":1.0,"b":1e2}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, patch := doc(t, tt.base), doc(t, tt.patch)
			got := text(t, iothub.Merge(base, patch))
			if got != tt.want {
				t.Errorf("Merge(%s, %s) = %s, want %s", tt.base, tt.patch, got, tt.want)
			}
			if text(t, base) != text(t, doc(t, tt.base)) || text(t, patch) != text(t, doc(t, tt.patch)) {
				t.Errorf("Merge changed an argument: %s, %s", text(t, base), text(t, patch))
			}
		})
	}
}

// jsonValue draws values that twins can hold.
func jsonValue(depth int) *rapid.Generator[any] {
	scalars := rapid.OneOf(
		rapid.Map(rapid.IntRange(-5, 5), func(i int) any { return json.Number(strconv.Itoa(i)) }),
		rapid.SampledFrom([]any{"", "a", "5", "true", true, false, json.Number("1.0"), json.Number("1")}),
	)
	if depth == 0 {
		return scalars
	}
	return rapid.OneOf(scalars,
		rapid.Map(rapid.SliceOfN(jsonValue(depth-1), 0, 3), func(s []any) any { return s }),
		rapid.Map(jsonObject(depth-1), func(d iothub.Document) any { return map[string]any(d) }),
	)
}

func jsonObject(depth int) *rapid.Generator[iothub.Document] {
	keys := rapid.SampledFrom([]string{"a", "b", "c", "", "é"})
	return rapid.Map(rapid.MapOfN(keys, jsonValue(depth), 0, 4), func(m map[string]any) iothub.Document { return m })
}

func TestDiffThenMergeGivesTheTarget(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		from, to := jsonObject(3).Draw(rt, "from"), jsonObject(3).Draw(rt, "to")
		d := iothub.Diff(from, to)
		if got := iothub.Merge(from, d); text(t, got) != text(t, to) {
			rt.Fatalf("Merge(%s, Diff) = %s, want %s", text(t, from), text(t, got), text(t, to))
		}
		if same := iothub.Diff(to, to); len(same) != 0 {
			rt.Fatalf("Diff of equal documents = %s", text(t, same))
		}
	})
}

func TestReplacedUndoesAPatch(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		before, after := jsonObject(3).Draw(rt, "before"), jsonObject(3).Draw(rt, "after")
		patch := iothub.Diff(before, after)
		undo := iothub.Replaced(before, patch)
		if got := iothub.Merge(after, undo); text(t, got) != text(t, before) {
			rt.Fatalf("undo of %s on %s gives %s, want %s", text(t, patch), text(t, after), text(t, got), text(t, before))
		}
	})
}

func TestParseDocumentErrors(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, "line 1, column 1: unexpected end of JSON"},
		{`{"a":1`, "line 1, column 7: unexpected end of JSON"},
		{"{\n  \"a\": 1,\n  \"é\": x\n}", "line 3, column 8: invalid character 'x' looking for beginning of value"},
		{`{"a":1} extra`, "line 1, column 9: unexpected text after the JSON value"},
		{`[1]`, "the JSON must be an object"},
		{`{"a":01}`, "line 1, column 7: invalid character '1' after object key:value pair"},
		{"{\"é\":\n\"x\xff\"}", "line 2, column 3: invalid UTF-8 encoding"},
		{"\"\ufffd\xc3", "line 1, column 3: invalid UTF-8 encoding"},
		{`{a:1}`, "line 1, column 2: invalid character 'a' looking for beginning of object key string"},
	} {
		_, err := iothub.ParseDocument([]byte(tt.in))
		if err == nil || err.Error() != tt.want {
			t.Errorf("ParseDocument(%q) = %v, want %s", tt.in, err, tt.want)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`1`, `1.0`, true},
		{`100`, `1e2`, true},
		{`1`, `"1"`, false},
		{`true`, `"true"`, false},
		{`[1,2]`, `[1.0,2]`, true},
		{`[1,2]`, `[2,1]`, false},
		{`{"a":1}`, `{"a":1.0}`, true},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{}`, `[]`, false},
		{`null`, `null`, true},
		{`1e999999999`, `1e999999999`, true},
		{`1e999999999`, `1`, false},
		{`9007199254740993`, `9007199254740992`, false},
	} {
		a, errA := iothub.ParseValue([]byte(tt.a))
		b, errB := iothub.ParseValue([]byte(tt.b))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := iothub.Equal(a, b); got != tt.want {
			t.Errorf("Equal(%s, %s) = %v", tt.a, tt.b, got)
		}
	}
}

func TestFlatten(t *testing.T) {
	var got []string
	for _, l := range iothub.Flatten(doc(t, `{"b":{"y":1,"x":{}},"a":[1,{"z":2}],"c":{"d":{"e":true}}}`)) {
		got = append(got, l.Path.String()+"="+text(t, l.Value))
	}
	want := []string{`a=[1,{"z":2}]`, `b.x={}`, `b.y=1`, `c.d.e=true`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTimeReadsEverySpelling(t *testing.T) {
	for in, want := range map[string]string{
		`"2026-11-22T10:00:00.1234567Z"`: `"2026-11-22T10:00:00.1234567Z"`,
		`"2026-11-22T10:00:00"`:          `"2026-11-22T10:00:00.0000000Z"`,
		`"2026-11-22T10:00:00.5"`:        `"2026-11-22T10:00:00.5000000Z"`,
		`"2026-11-22T12:00:00+02:00"`:    `"2026-11-22T10:00:00.0000000Z"`,
		`"0001-01-01T00:00:00.000Z"`:     `"0001-01-01T00:00:00Z"`,
		`null`:                           `"0001-01-01T00:00:00Z"`,
	} {
		var got iothub.Time
		if err := json.Unmarshal([]byte(in), &got); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if text(t, got) != want {
			t.Errorf("%s prints as %s, want %s", in, text(t, got), want)
		}
	}
}

func TestSectionPatchStampsWhatItWrites(t *testing.T) {
	t0 := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := iothub.NewSection(t0)
	if got, want := text(t, s), `{"$metadata":{"$lastUpdated":"2026-11-22T10:00:00.0000000Z"},"$version":1}`; got != want {
		t.Fatalf("fresh section = %s, want %s", got, want)
	}
	s = s.Patch(doc(t, `{"fan":{"speed":3,"mode":"eco"}}`), t0.Add(time.Second), true)
	s = s.Patch(doc(t, `{"fan":{"speed":4},"gone":null}`), t0.Add(2*time.Second), true)
	want := `{"fan":{"mode":"eco","speed":4},"$metadata":{"$lastUpdated":"2026-11-22T10:00:02.0000000Z","$lastUpdatedVersion":3,"fan":{"$lastUpdated":"2026-11-22T10:00:02.0000000Z","$lastUpdatedVersion":3,"mode":{"$lastUpdated":"2026-11-22T10:00:01.0000000Z","$lastUpdatedVersion":2},"speed":{"$lastUpdated":"2026-11-22T10:00:02.0000000Z","$lastUpdatedVersion":3}}},"$version":3}`
	if got := text(t, s); got != want {
		t.Errorf("section = %s\nwant      %s", got, want)
	}
	s = s.Patch(doc(t, `{"fan":{"mode":null}}`), t0.Add(3*time.Second), false)
	want = `{"fan":{"speed":4},"$metadata":{"$lastUpdated":"2026-11-22T10:00:03.0000000Z","fan":{"$lastUpdated":"2026-11-22T10:00:03.0000000Z","speed":{"$lastUpdated":"2026-11-22T10:00:02.0000000Z","$lastUpdatedVersion":3}}},"$version":4}`
	if got := text(t, s); got != want {
		t.Errorf("section = %s\nwant      %s", got, want)
	}
	var back iothub.Section
	if err := json.Unmarshal([]byte(want), &back); err != nil {
		t.Fatal(err)
	}
	if text(t, back) != want {
		t.Errorf("read back = %s\nwant        %s", text(t, back), want)
	}
}

func TestSectionPatchDropsMetadataBelowAScalar(t *testing.T) {
	t0 := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := iothub.NewSection(t0).Patch(doc(t, `{"a":{"b":{"c":1}}}`), t0, false).Patch(doc(t, `{"a":{"b":5}}`), t0, false)
	if got := text(t, &s.Metadata); strings.Contains(got, `"c"`) {
		t.Errorf("metadata of a vanished leaf is kept: %s", got)
	}
}

func TestSectionReplaceTellsVanishedMembers(t *testing.T) {
	t0 := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := iothub.NewSection(t0).Patch(doc(t, `{"a":1,"b":2,"n":{"x":1,"y":2}}`), t0, true)
	next, told := s.Replace(doc(t, `{"a":1,"c":100,"n":{"x":1},"z":null}`), t0, true)
	if got, want := text(t, told), `{"a":1,"b":null,"c":100,"n":{"x":1,"y":null}}`; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if got, want := text(t, next.Value), `{"a":1,"c":100,"n":{"x":1}}`; got != want || next.Version != 3 {
		t.Errorf("section %s version %d, want %s version 3", got, next.Version, want)
	}
}

// A device that merges what it is told must end with the hub's document.
func TestReplaceKeepsDeviceAndHubTogether(t *testing.T) {
	t0 := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	rapid.Check(t, func(rt *rapid.T) {
		s := iothub.NewSection(t0).Patch(jsonObject(2).Draw(rt, "old"), t0, true)
		next, told := s.Replace(jsonObject(2).Draw(rt, "new"), t0, true)
		if got := iothub.Merge(s.Value, told); text(t, got) != text(t, next.Value) {
			rt.Fatalf("device holds %s, hub %s", text(t, got), text(t, next.Value))
		}
	})
}

func TestParseTwinPatchIgnoresReadOnlyMembers(t *testing.T) {
	p, err := iothub.ParseTwinPatch([]byte(`{"deviceId":"d","etag":"x","version":7,"status":"enabled","x509Thumbprint":{},
		"tags":{"a":1},"properties":{"desired":{"p":1,"$metadata":{"$lastUpdated":"T"},"$version":4},"reported":{"r":1}},"capabilities":{"iotEdge":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(t, p), `{"properties":{"desired":{"p":1}},"tags":{"a":1}}`; got != want {
		t.Errorf("patch = %s, want %s", got, want)
	}
	for in, want := range map[string]string{
		`{}`:                              "",
		`{"tags":null}`:                   "",
		`{"properties":{"desired":null}}`: "",
		`{"tags":5}`:                      "tags must be a JSON object",
		`{"properties":[]}`:               "properties must be a JSON object",
		`{"properties":{"desired":"x"}}`:  "properties.desired must be a JSON object",
		`[]`:                              "the JSON must be an object",
	} {
		p, err := iothub.ParseTwinPatch([]byte(in))
		switch {
		case want == "" && err != nil, want != "" && (err == nil || err.Error() != want):
			t.Errorf("ParseTwinPatch(%s): %v, want %q", in, err, want)
		case in == `{}` && !p.Empty():
			t.Errorf("ParseTwinPatch({}) is not empty")
		case in == `{"tags":null}` && !p.ClearTags, in == `{"properties":{"desired":null}}` && !p.ClearDesired:
			t.Errorf("ParseTwinPatch(%s) does not clear", in)
		}
	}
}

func TestETags(t *testing.T) {
	for counter, want := range map[uint64]iothub.ETag{1: "AAAAAAAAAAE=", 7: "AAAAAAAAAAc="} {
		if got := iothub.TwinETag(counter); got != want {
			t.Errorf("TwinETag(%d) = %s, want %s", counter, got, want)
		}
	}
	if got := iothub.DeviceETag(801232426); got != "ODAxMjMyNDI2" {
		t.Errorf("DeviceETag = %s", got)
	}
	for header, want := range map[string]iothub.ETag{
		`"AAAAAAAAAAE="`: "AAAAAAAAAAE=", `AAAAAAAAAAE=`: "AAAAAAAAAAE=", `"*"`: "*", `*`: "*", `W/"MQ=="`: "MQ==", ``: "", `""`: `""`, `W/""`: `""`,
	} {
		if got := iothub.ParseIfMatch(header); got != want {
			t.Errorf("ParseIfMatch(%s) = %s, want %s", header, got, want)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	base := doc(b, `{"a":{"b":1,"c":{"d":2}},"e":[1,2,3],"f":"text","g":{"h":{"i":{"j":1}}}}`)
	patch := doc(b, `{"a":{"c":{"d":3}},"f":null,"k":1}`)
	b.ReportAllocs()
	for b.Loop() {
		iothub.Merge(base, patch)
	}
}

// TestSectionsPrintAsTheServicePrints holds the order of members and what stays
// unescaped.
func TestSectionsPrintAsTheServicePrints(t *testing.T) {
	t0 := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	s := iothub.NewSection(t0).Patch(doc(t, `{"a<b>&c":"<&>","z":1.0}`), t0, false)
	const metadata = `{"$lastUpdated":"2026-11-22T10:00:00.0000000Z","a<b>&c":{"$lastUpdated":"2026-11-22T10:00:00.0000000Z"},"z":{"$lastUpdated":"2026-11-22T10:00:00.0000000Z"}}`
	for _, c := range []struct {
		of   any
		want string
	}{
		{s, `{"a<b>&c":"<&>","z":1.0,"$metadata":` + metadata + `,"$version":2}`},
		{iothub.Section{Version: 1}, `{"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1}`},
		{iothub.TwinPatch{Tags: doc(t, `{"x":"<"}`)}, `{"tags":{"x":"<"}}`},
	} {
		got, err := iothub.EncodeJSON(c.of)
		if err != nil || string(got) != c.want {
			t.Errorf("%s, %v\nwant %s", got, err, c.want)
		}
	}
	for want, s := range map[string]iothub.Section{
		`{"a<b>&c":"<&>","z":1.0,"$version":2}`: s,
		`{"$version":1}`:                        {Version: 1},
	} {
		if got, err := s.DeviceJSON(); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}
