package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t testing.TB, text string) *Query {
	t.Helper()
	q, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestLimits stands at each bound and just beyond it.
func TestLimits(t *testing.T) {
	t.Parallel()
	padded := func(n int) string {
		const q = "SELECT * FROM devices WHERE tags.v = 'é"
		return q + strings.Repeat("é", n-len([]rune(q))-1) + "'"
	}
	nested := func(open, shut string, n int) string {
		return "SELECT * FROM devices WHERE " + strings.Repeat(open, n) + "true" + strings.Repeat(shut, n)
	}
	arrays := func(n int) string {
		return "SELECT * FROM devices WHERE a IN " + strings.Repeat("[", n) + strings.Repeat("]", n)
	}
	operands := func(n int) string {
		return "SELECT * FROM devices WHERE a" + strings.Repeat("+a", n-1)
	}
	tests := []struct {
		name, at, beyond string
		message          string
		column           int
	}{
		{"characters", padded(8192), padded(8193), "The query has 8193 characters; a hub accepts 8192.", 8193},
		{"parentheses", nested("(", ")", 100), nested("(", ")", 101), "The query is nested more than 100 levels deep.", 129},
		{"not", nested("NOT ", "", 100), nested("NOT ", "", 101), "The query is nested more than 100 levels deep.", 429},
		{"calls", nested("IS_BOOL(", ")", 100), nested("IS_BOOL(", ")", 101), "The query is nested more than 100 levels deep.", 829},
		{"arrays", arrays(100), arrays(101), "The query is nested more than 100 levels deep.", 134},
		{"operands", operands(2048), operands(2049), "The query has more than 2048 operands. For many values of one property use IN with an array.", 4125},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Parse(test.at); err != nil {
				t.Errorf("at the bound: %v", err)
			}
			_, err := Parse(test.beyond)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatal("beyond the bound: accepted")
			}
			if e.Sentence() != test.message || e.Line != 1 || e.Column != test.column {
				t.Errorf("line %d, column %d: %s; want column %d: %s", e.Line, e.Column, e.Sentence(), test.column, test.message)
			}
		})
	}
}

func TestNotUTF8(t *testing.T) {
	t.Parallel()
	_, err := Parse("SELECT * FROM devices\nWHERE tags.v = 'ü\xff'")
	want := "line 2, column 18: The query is not valid UTF-8 here.\nWHERE tags.v = 'ü\uFFFD'\n                 ^"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestCarriageReturn holds that lines of Windows are shown without their end.
func TestCarriageReturn(t *testing.T) {
	t.Parallel()
	_, err := Parse("SELECT * FROM devices\r\n\tWHERE tags.größe.group = '🙂'\r\n\tAND tags.b = 1\r\n")
	want := "line 2, column 19: \"group\" is a reserved word here. Write it as [[group]].\n\tWHERE tags.größe.group = '🙂'\n\t                 ^^^^^"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestProblem shows what a dashboard gets besides the text.
func TestProblem(t *testing.T) {
	t.Parallel()
	text := "SELECT *\nFROM devices\nWHERE tags.größe.group = 'a'"
	_, err := Parse(text)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	want := Problem{
		Code: "reserved-word", Args: map[string]string{"word": "group"},
		Message: `"group" is a reserved word here.`, Hint: "Write it as [[group]].",
		Offset: strings.Index(text, "group"), Line: 3, Column: 18, Length: 5,
		Repair: &Repair{Start: strings.Index(text, "group"), End: strings.Index(text, " = "), Text: "[[group]]"},
	}
	if diff := cmp.Diff(want, e.Problem); diff != "" {
		t.Error(diff)
	}
}

func TestItemType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT * FROM devices":            "Twin",
		"SELECT TOP 5 * FROM devices":      "Twin",
		"SELECT deviceId FROM devices":     "Raw",
		"SELECT COUNT() AS n FROM devices": "Raw",
	} {
		if q := mustParse(t, text); q.ItemType() != want || q.Star() != (want == "Twin") {
			t.Errorf("%s: %s, star %v; want %s", text, q.ItemType(), q.Star(), want)
		}
	}
	if q := mustParse(t, "SELECT TOP 5 * FROM devices"); q.Top != 5 || q.Project(Document{"deviceId": "a"}) != nil {
		t.Errorf("top %d, projection %v", q.Top, q.Project(Document{"deviceId": "a"}))
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	q := mustParse(t, `SELECT tags.a, DEVICEID, properties.reported.[[x.y]] FROM devices
		WHERE devices.tags.a = 1 AND (Tags.a > 2 OR STARTSWITH(deviceId, 'x')) AND IS_DEFINED(tags.[[group]])`)
	keys := func(paths []*Path) (all [][]string) {
		for i, p := range paths {
			all = append(all, p.Keys())
			if p.Slot() != i {
				t.Errorf("%s has slot %d, want %d", p, p.Slot(), i)
			}
		}
		return all
	}
	where := [][]string{{"tags", "a"}, {"deviceId"}, {"tags", "group"}}
	if diff := cmp.Diff(where, keys(q.Paths())); diff != "" {
		t.Errorf("Paths (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(append(where, []string{"properties", "reported", "x.y"}), keys(q.AllPaths())); diff != "" {
		t.Errorf("AllPaths (-want +got)\n%s", diff)
	}
	values := Values{Of(json.Number("1")), Of("xy"), Of(true)}
	if !q.Match(values) {
		t.Error("values of Paths alone do not match")
	}
}

// TestCollectionPrefixes covers also the collections the hub does not answer
// yet, whose paths resolve all the same.
func TestCollectionPrefixes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path   string
		source Source
		want   string
	}{
		{"devices.deviceId", Devices, "deviceId"},
		{"Devices.DeviceID", Devices, "deviceId"},
		{"devices", Devices, "devices"},
		{"devices.devices.x", Devices, "devices.x"},
		{"devices.modules.moduleId", Devices, "modules.moduleId"},
		{"devices.modules.MODULEID", Modules, "moduleId"},
		{"devices.deviceId", Modules, "deviceId"},
		{"moduleId", Modules, "moduleId"},
		{"devices.modules", Modules, "modules"},
		{"devices.jobs.status", Jobs, "status"},
		{"tags.Status", Devices, "tags.Status"},
	} {
		if got := strings.Join(resolve(strings.Split(test.path, "."), test.source), "."); got != test.want {
			t.Errorf("%s from %s is %s, want %s", test.path, test.source, got, test.want)
		}
	}
}

func TestDeviceIDs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		where string
		want  []string // nil when every twin must be looked at
	}{
		{"deviceId = 'a'", []string{"a"}},
		{"'a' = devices.DEVICEID", []string{"a"}},
		{"deviceId IN ['b', 'a', 'b', 5]", []string{"b", "a"}},
		{"deviceId IN []", []string{}},
		{"deviceId = 5", []string{}},
		{"deviceId = null", []string{}},
		{"deviceId = ['a']", []string{}},
		{"deviceId = 'a' AND tags.x = 1", []string{"a"}},
		{"tags.x = 1 AND (tags.y = 2 AND deviceId IN ['a', 'b'])", []string{"a", "b"}},
		{"deviceId IN ['a', 'b', 'c'] AND deviceId IN ['c', 'b', 'd']", []string{"b", "c"}},
		{"deviceId = 'a' AND deviceId = 'b'", []string{}},
		{"deviceId = 'a' OR deviceId IN ['b', 'a']", []string{"a", "b"}},
		{"deviceId = 'a' OR tags.x = 1", nil},
		{"tags.x = 1 AND (deviceId = 'a' OR tags.x = 1)", nil},
		{"NOT deviceId = 'a'", nil},
		{"deviceId != 'a'", nil},
		{"deviceId NIN ['a']", nil},
		{"deviceId > 'a'", nil},
		{"deviceId = tags.x", nil},
		{"deviceId + 'a' = 'a'", nil},
		{"tags.deviceId = 'a'", nil},
		{"(deviceId = 'a') = false", nil},
		{"STARTSWITH(deviceId, 'a')", nil},
		{"true", nil},
	}
	for _, test := range tests {
		got, ok := mustParse(t, "SELECT * FROM devices WHERE "+test.where).DeviceIDs()
		if diff := cmp.Diff(test.want, got); diff != "" || ok != (test.want != nil) {
			t.Errorf("%s: ok is %v (-want +got)\n%s", test.where, ok, diff)
		}
	}
	if ids, ok := mustParse(t, "SELECT * FROM devices").DeviceIDs(); ok {
		t.Errorf("without WHERE: %v", ids)
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"select  top 0x5 *\nfrom\nDEVICES":                                             `SELECT TOP 5 * FROM devices`,
		`Select a.[[b]] as x, count() as n from devices where a<>"x" group by a . b`:   `SELECT a.b AS x, COUNT() AS n FROM devices WHERE a != 'x' GROUP BY a.b`,
		`SELECT * FROM devices WHERE ((a=1) or (b=2)) and not ((c in [1,'x',null]))`:   `SELECT * FROM devices WHERE (a = 1 OR b = 2) AND NOT c IN [1, 'x', null]`,
		`SELECT * FROM devices WHERE a-(b - c)-1 = (-(x)*2)%3 or (a = 1) = true`:       `SELECT * FROM devices WHERE a - (b - c) - 1 = -x * 2 % 3 OR (a = 1) = true`,
		`SELECT * FROM devices WHERE is_defined( tags.[[group]].[[a b]] ) = TRUE`:      `SELECT * FROM devices WHERE IS_DEFINED(tags.[[group]].[[a b]]) = true`,
		`SELECT * FROM devices WHERE a = "it's\u000a\"\\" and b = -1.50e2 and c=0x1F`:  `SELECT * FROM devices WHERE a = 'it\'s\u000a"\\' AND b = -150 AND c = 31`,
		`SELECT * FROM devices WHERE -(-a) = 1 AND - (5) = 1 AND a NIN [] AND x=1e+21`: `SELECT * FROM devices WHERE -(-a) = 1 AND -5 = 1 AND a NIN [] AND x = 1e+21`,
		`SELECT avg(devices.tags.x), min([[2]]) as [[min of]] FROM devices`:            `SELECT AVG(devices.tags.x), MIN([[2]]) AS [[min of]] FROM devices`,
	} {
		if got := mustParse(t, text).String(); got != want {
			t.Errorf("%s\nprints %s\nwant   %s", text, got, want)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	text := "select x.[[y]] /* c */ FROM devices WHERE a<>'é' AND b >= 0x1F #rest"
	var got []string
	for _, token := range Tokens(text) {
		got = append(got, fmt.Sprintf("%d@%d %s|%s", token.Kind, token.Offset, token.Text, token.Value))
	}
	want := []string{
		"4@0 select|SELECT", "2@7 x|x", "7@8 .|.", "3@9 [[y]]|y", "8@15 /* c */|", "4@23 FROM|FROM", "2@28 devices|devices",
		"4@36 WHERE|WHERE", "2@42 a|a", "7@43 <>|!=", "6@45 'é'|é", "4@50 AND|AND", "2@54 b|b", "7@56 >=|>=", "5@59 0x1F|0x1F", "1@64 #|",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if tokens := Tokens(""); len(tokens) != 0 {
		t.Errorf("empty text has tokens %v", tokens)
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	type section map[string]any
	type word string
	tests := []struct {
		in   any
		typ  Type
		want any
	}{
		{nil, Null, nil},
		{true, Bool, true},
		{"x", Text, "x"},
		{word("x"), Text, "x"},
		{json.Number("1.50"), Float, json.Number("1.50")},
		{json.Number("2.0"), Integer, json.Number("2.0")},
		{json.Number("1e400"), Float, json.Number("1e400")},
		{7, Integer, json.Number("7")},
		{int64(-7), Integer, json.Number("-7")},
		{uint8(7), Integer, json.Number("7")},
		{0.5, Float, json.Number("0.5")},
		{[]any{"x"}, Array, []any{"x"}},
		{map[string]any{"x": "y"}, Object, map[string]any{"x": "y"}},
		{section{"x": "y"}, Object, map[string]any{"x": "y"}},
		{struct{}{}, Undefined, nil},
	}
	for _, test := range tests {
		got := Of(test.in)
		if diff := cmp.Diff(test.want, got.Any()); diff != "" || got.Type() != test.typ {
			t.Errorf("%T %v has type %d, want %d (-want +got)\n%s", test.in, test.in, got.Type(), test.typ, diff)
		}
	}
	if _, err := FromJSON("{"); err == nil || !strings.Contains(err.Error(), "read JSON value") {
		t.Errorf("broken JSON: %v", err)
	}
	q := mustParse(t, "SELECT * FROM devices WHERE tags.x = 'y'")
	if !q.Match(Document{"tags": section{"x": "y"}}) {
		t.Error("a named map is not followed")
	}
}

// TestRecordJSON holds order, spelling and the absence of HTML escapes, also
// within a larger answer.
func TestRecordJSON(t *testing.T) {
	t.Parallel()
	q := mustParse(t, "SELECT tags.z AS [[<z>]], tags.a, tags.n, tags.none FROM devices")
	row := q.Project(Document{"tags": map[string]any{"a": "<&>\n", "z": map[string]any{"b": nil}, "n": json.Number("1.00")}})
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode([]Record{row, {}}); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(b.String()), `[{"<z>":{"b":null},"a":"<&>\n","n":1.00},{}]`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSharedQuery uses one query from many goroutines, for the race detector.
func TestSharedQuery(t *testing.T) {
	t.Parallel()
	twins := awkwardTwins(t)
	q := mustParse(t, "SELECT tags.v, COUNT() AS n FROM devices WHERE tags.v != 'x' OR NOT IS_DEFINED(tags.v) GROUP BY tags.v")
	var wait sync.WaitGroup
	counts := make([]int, 8)
	for i := range counts {
		wait.Go(func() {
			groups := q.NewGroups()
			for _, twin := range twins {
				if q.Match(twin) {
					groups.Add(twin)
				}
			}
			counts[i] = len(groups.Records())
		})
	}
	wait.Wait()
	for _, n := range counts {
		if n != counts[0] || n == 0 {
			t.Errorf("groups differ: %v", counts)
		}
	}
}

// TestGroupKeys holds that neighbouring texts do not flow into one another.
func TestGroupKeys(t *testing.T) {
	t.Parallel()
	q := mustParse(t, "SELECT tags.a, tags.b, COUNT() AS n FROM devices GROUP BY tags.a, tags.b")
	groups := q.NewGroups()
	for _, pair := range [][2]any{{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {json.Number("1"), "1"}, {"1", json.Number("1.0")}, {"1", json.Number("1")}} {
		groups.Add(Document{"tags": map[string]any{"a": pair[0], "b": pair[1]}})
	}
	records := groups.Records()
	if len(records) != 5 || records[4][2].Value != json.Number("2") {
		t.Errorf("got %v", records)
	}
}

// TestManyWarnings holds that a query of nothing but mistakes keeps the first.
func TestManyWarnings(t *testing.T) {
	t.Parallel()
	q := mustParse(t, "SELECT * FROM devices WHERE a = 1"+strings.Repeat(" OR b = null", 50))
	if len(q.Warnings) != mostWarnings || q.Warnings[0].Args["name"] != "a" {
		t.Errorf("%d warnings, the first about %v", len(q.Warnings), q.Warnings[0].Args)
	}
}

func TestClosest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ word, want string }{
		{"STARTWITH", "STARTSWITH"},
		{"SATRTSWITH", "STARTSWITH"},
		{"startswth", "STARTSWITH"},
		{"ENDSWITHH", "ENDSWITH"},
		{"ED", ""},
		{"BEGINSWITH", ""},
		{"", ""},
	} {
		if got := closest(test.word, "STARTSWITH", "ENDSWITH"); got != test.want {
			t.Errorf("%s suggests %q, want %q", test.word, got, test.want)
		}
	}
}
