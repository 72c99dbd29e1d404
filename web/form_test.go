package web

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

func english() context.Context { return text.With(context.Background(), "en") }

func TestFormShowsWhatItReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := iothub.Document(anyObject(2).Draw(t, "base"))
		now := iothub.Document(anyObject(2).Draw(t, "now"))
		f := newTwinForm(iothub.SectionDesired, base, "AAA=", rapid.Bool().Draw(t, "as JSON"))
		f.show(now)
		back, err := parseTwinForm(iothub.SectionDesired, fields(f))
		if err != nil {
			t.Fatal(err)
		}
		doc, mistakes := back.edited(english())
		if len(mistakes) > 0 {
			t.Fatalf("mistakes in what nobody touched: %v", mistakes)
		}
		if diff := cmp.Diff(now, doc); diff != "" {
			t.Errorf("the document came back changed (-shown +read):\n%s", diff)
		}
	})
}

// TestManyFormShowsWhatItReads: a change of many twins, removals included, comes
// back from either form as it was shown.
func TestManyFormShowsWhatItReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := iothub.Document(anyObject(2).Draw(t, "from")), iothub.Document(anyObject(2).Draw(t, "to"))
		patch := iothub.Diff(from, to)
		f := newManyForm(iothub.SectionDesired, rapid.Bool().Draw(t, "as JSON"))
		f.show(patch)
		back, err := parseManyForm(iothub.SectionDesired, fields(f))
		if err != nil {
			t.Fatal(err)
		}
		doc, mistakes := back.edited(english())
		if len(mistakes) > 0 {
			t.Fatalf("mistakes in what nobody touched: %v", mistakes)
		}
		if diff := cmp.Diff(patch, doc); diff != "" {
			t.Errorf("the patch came back changed (-shown +read):\n%s", diff)
		}
	})
}

// fields is what a browser sends of a form: line breaks as CR LF.
func fields(f twinForm) url.Values {
	v := url.Values{}
	for _, h := range f.hidden() {
		v.Add(h.Name, strings.ReplaceAll(h.Value, "\n", "\r\n"))
	}
	return v
}

func TestRowsOf(t *testing.T) {
	base := document(t, `{"a":1,"o":{"x":true,"y":"t"},"list":[1,2],"empty":{},"lines":"a\r\nb","gone":1}`)
	now := document(t, `{"a":2,"o":{"x":true,"y":"t"},"list":[1,2],"empty":{},"lines":"a\r\nb","new":"n"}`)
	want := []formRow{
		{Path: "a", Known: true, Kind: kindNumber, Text: "2"},
		{Path: "empty", Known: true, Kind: kindJSON, Text: "{}"},
		{Path: "gone", Known: true, Kind: kindNumber, Text: "1", Removed: true},
		{Path: "lines", Known: true, Kind: kindJSON, Text: `"a\r\nb"`},
		{Path: "list", Known: true, Kind: kindJSON, Text: "[1,2]"},
		{Path: "o.x", Known: true, Kind: kindBoolean, Text: "true"},
		{Path: "o.y", Known: true, Kind: kindText, Text: "t"},
		{Path: "new", Kind: kindText, Text: "n"},
	}
	if diff := cmp.Diff(want, rowsOf(base, now)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestEditedRows(t *testing.T) {
	known := formRow{Path: "o.x", Known: true, Kind: kindNumber, Text: "1"}
	added := func(path, kind, value string) formRow { return formRow{Path: path, Kind: kind, Text: value} }
	long := strings.Repeat("x", iothub.MaxStringBytes+1)
	tests := []struct {
		name  string
		rows  []formRow
		want  string
		field string
		text  string
	}{
		{"nothing", nil, `{}`, "", ""},
		{"a blank new row is none", []formRow{known, added(" ", kindText, "")}, `{"o":{"x":1}}`, "", ""},
		{"removed", []formRow{{Path: "o.x", Known: true, Kind: kindNumber, Text: "1", Removed: true}}, `{}`, "", ""},
		{"text as typed", []formRow{added("a", kindText, " 5 ")}, `{"a":" 5 "}`, "", ""},
		{"number as typed", []formRow{added("a", kindNumber, " 1.50 ")}, `{"a":1.50}`, "", ""},
		{"boolean", []formRow{added("a", kindBoolean, "false")}, `{"a":false}`, "", ""},
		{"array", []formRow{added("a", kindJSON, "[1, \"x\"]")}, `{"a":[1,"x"]}`, "", ""},
		{"deeper", []formRow{known, added(" o.y.z ", kindNumber, "2")}, `{"o":{"x":1,"y":{"z":2}}}`, "", ""},
		{"no number", []formRow{known, added("a", kindNumber, "2,5")}, "", "row-1-value", `“2,5” is not a number. Write decimals with a point: 2.5`},
		{"number in quotes", []formRow{added("a", kindNumber, `"5"`)}, "", "row-0-value", `“"5"” is not a number. Write decimals with a point: 2.5`},
		{"no boolean", []formRow{added("a", kindBoolean, "yes")}, "", "row-0-value", "Write true or false."},
		{"no JSON", []formRow{added("a", kindJSON, "[1,\n}")}, "", "row-0-value", "Line 2, column 1: “}” is not expected here."},
		{"null", []formRow{added("a", kindJSON, "null")}, "", "row-0-value", "null is no value. To remove the setting, use Remove."},
		{"no name", []formRow{added("", kindText, "x")}, "", "row-0-path", "Give it a name. A dot goes one level deeper: location.region"},
		{"half a name", []formRow{added("a..b", kindText, "x")}, "", "row-0-path", "Give it a name. A dot goes one level deeper: location.region"},
		{"forbidden character", []formRow{added("a.$b", kindText, "x")}, "", "row-0-path", "A name must not contain “$”."},
		{"space", []formRow{added("a b", kindText, "x")}, "", "row-0-path", "A name must not contain a space."},
		{"control character", []formRow{added("a\u0007", kindText, "x")}, "", "row-0-path", "A name must not contain the control character U+0007."},
		{"taken", []formRow{known, added("o.x", kindText, "x")}, "", "row-1-path", "“o.x” has a value already."},
		{"below a value", []formRow{known, added("o.x.y", kindText, "x")}, "", "row-1-path", "“o.x” has a value already."},
		{"above a value", []formRow{known, added("o", kindText, "x")}, "", "row-1-path", "“o” has a value already."},
		{"below an empty object", []formRow{{Path: "e", Known: true, Kind: kindJSON, Text: "{}"}, added("e.a", kindText, "x")}, `{"e":{"a":"x"}}`, "", ""},
		{"where one was removed", []formRow{{Path: "a", Known: true, Kind: kindText, Removed: true}, added("a.b", kindText, "x")}, `{"a":{"b":"x"}}`, "", ""},
		{"text too long", []formRow{known, added("a", kindText, long)}, "", "row-1-value", "The text of “a” is 4,097 bytes long. The limit is 4,096."},
		{"number too large", []formRow{added("a", kindNumber, "4503599627370496")}, "", "row-0-value", "“a”: 4503599627370496 is too large. Whole numbers reach from −4503599627370496 to 4503599627370495."},
		{"number too long", []formRow{added("a", kindNumber, "0."+strings.Repeat("1", 127))}, "", "row-0-value", "The number of “a” is 129 characters long. The limit is 128."},
		{"null in a list", []formRow{added("a", kindJSON, "[null]")}, "", "row-0-value", "“a”: a list must not contain null."},
		{"too deep", []formRow{added("a.b.c.d.e.f.g.h.i.j.k.l", kindNumber, "1")}, "", "row-0-value", "“a.b.c.d.e.f.g.h.i.j.k” is nested too deeply. The limit is 10 levels."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := twinForm{Section: iothub.SectionDesired, Base: iothub.Document{}, Rows: tt.rows}
			doc, mistakes := f.edited(english())
			if tt.text != "" {
				want := []mistake{{Field: tt.field, Text: tt.text}}
				if diff := cmp.Diff(want, mistakes); diff != "" {
					t.Errorf("mistakes (-want +got):\n%s", diff)
				}
				return
			}
			if diff := cmp.Diff(document(t, tt.want), doc); diff != "" || len(mistakes) > 0 {
				t.Errorf("document (-want +got), mistakes %v:\n%s", mistakes, diff)
			}
		})
	}
}

func TestEditedJSON(t *testing.T) {
	tests := []struct{ name, typed, want, text string }{
		{"empty field", " \n", `{}`, ""},
		{"null removes", `{"a":null,"o":{"x":null,"y":1}}`, `{"o":{"y":1}}`, ""},
		{"numbers as typed", `{"a":1.0}`, `{"a":1.0}`, ""},
		{"comma at the end", "{\n  \"a\": 1,\n}", "", "Line 3, column 1: “}” is not expected here."},
		{"ends early", "{\n  \"a\": 1", "", "Line 2, column 9: the JSON ends too early."},
		{"text after it", `{} x`, "", "Line 1, column 4: “x” is not expected here."},
		{"no object", `[1]`, "", `This must be an object in braces: {"name": value}.`},
		{"a name twice", "{\n  \"a\": 1,\n  \"ñ\\\"\": {\"b\": 1, \"b\": 2}\n}", "", "Line 3, column 19: “b” is there twice."},
		{"an escaped name twice", `{"q\"": 1, "q\"": 2}`, "", `Line 1, column 12: “q"” is there twice.`},
		{"the same name in two objects", `{"a":{"x":1},"b":{"x":1}}`, `{"a":{"x":1},"b":{"x":1}}`, ""},
		{"forbidden name", `{"a#b":1}`, "", "A name must not contain “#”."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := twinForm{Section: iothub.SectionTags, Base: iothub.Document{}, AsJSON: true, JSON: tt.typed}
			doc, mistakes := f.edited(english())
			if tt.text != "" {
				if len(mistakes) != 1 || mistakes[0].Field != jsonField || mistakes[0].Text != tt.text {
					t.Errorf("mistakes %v, want %q", mistakes, tt.text)
				}
				if place := fmt.Sprintf("Line %d, column %d:", mistakes[0].Line, mistakes[0].Column); strings.HasPrefix(tt.text, "Line") && !strings.HasPrefix(tt.text, place) {
					t.Errorf("marked at %s", place)
				}
				return
			}
			if diff := cmp.Diff(document(t, tt.want), doc); diff != "" || len(mistakes) > 0 {
				t.Errorf("document (-want +got), mistakes %v:\n%s", mistakes, diff)
			}
		})
	}
}

// filled has n bytes of tags: names of 3, texts of 997.
func filled(n int) iothub.Document {
	d := iothub.Document{}
	for i := range n / 1000 {
		d[fmt.Sprintf("t%02d", i)] = strings.Repeat("x", 997)
	}
	return d
}

func TestEditedSize(t *testing.T) {
	f := newTwinForm(iothub.SectionTags, iothub.Document{}, "AAA=", true)
	f.show(filled(9000))
	want := []mistake{{Field: jsonField, Text: "The document would be 8.8 KB. The limit is 8 KB. “t00” alone is 1 KB."}}
	_, mistakes := f.edited(english())
	if diff := cmp.Diff(want, mistakes); diff != "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
	_, mistakes = f.edited(text.With(context.Background(), "es"))
	want = []mistake{{Field: jsonField, Text: "El documento tendría 8,8 KB. El límite es de 8 KB. Solo «t00» ocupa 1 KB."}}
	if diff := cmp.Diff(want, mistakes); diff != "" {
		t.Errorf("mistakes in Spanish (-want +got):\n%s", diff)
	}
	f.Base = filled(10000)
	if _, mistakes := f.edited(english()); len(mistakes) > 0 {
		t.Errorf("shrinking a document that is too large is refused: %v", mistakes)
	}
}

func TestAct(t *testing.T) {
	base := document(t, `{"a":1,"b":2}`)
	start := func() twinForm { return newTwinForm(iothub.SectionTags, base, "AAA=", false) }
	t.Run("add", func(t *testing.T) {
		f := start()
		_, focus := f.act(english(), "add")
		if len(f.Rows) != 3 || f.Rows[2] != (formRow{Kind: kindText}) || focus != "row-2-path" {
			t.Errorf("rows %v, focus %q", f.Rows, focus)
		}
	})
	t.Run("remove and restore what was there", func(t *testing.T) {
		f := start()
		if _, focus := f.act(english(), "remove:1"); !f.Rows[1].Removed || focus != "row-1-restore" {
			t.Errorf("after remove: %v, focus %q", f.Rows, focus)
		}
		if _, focus := f.act(english(), "restore:1"); f.Rows[1].Removed || focus != "row-1-value" {
			t.Errorf("after restore: %v, focus %q", f.Rows, focus)
		}
	})
	t.Run("remove what was added", func(t *testing.T) {
		f := start()
		f.act(english(), "add")
		f.act(english(), "remove:2")
		if len(f.Rows) != 2 {
			t.Errorf("rows %v", f.Rows)
		}
	})
	t.Run("no such row", func(t *testing.T) {
		f := start()
		for _, do := range []string{"remove:9", "remove:-1", "remove:", "restore:x", "nonsense"} {
			f.act(english(), do)
		}
		if diff := cmp.Diff(start(), f); diff != "" {
			t.Errorf("the form changed:\n%s", diff)
		}
	})
	t.Run("to JSON and back", func(t *testing.T) {
		f := start()
		f.act(english(), "remove:0")
		f.Rows[1].Text = "3"
		f.act(english(), "json")
		if f.JSON != "{\n  \"b\": 3\n}" || !f.AsJSON {
			t.Errorf("JSON %q", f.JSON)
		}
		f.act(english(), "rows")
		want := []formRow{{Path: "a", Known: true, Kind: kindNumber, Text: "1", Removed: true}, {Path: "b", Known: true, Kind: kindNumber, Text: "3"}}
		if diff := cmp.Diff(want, f.Rows); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
	t.Run("a mistake keeps what was typed", func(t *testing.T) {
		f := start()
		f.act(english(), "json")
		f.JSON = `{"a":`
		mistakes, _ := f.act(english(), "rows")
		if len(mistakes) != 1 || f.JSON != `{"a":` || !f.AsJSON {
			t.Errorf("mistakes %v, JSON %q", mistakes, f.JSON)
		}
		f = start()
		f.Rows[0].Text = "x"
		if mistakes, _ = f.act(english(), "json"); len(mistakes) != 1 || f.AsJSON || f.Rows[0].Text != "x" {
			t.Errorf("mistakes %v, rows %v", mistakes, f.Rows)
		}
	})
}

func TestParseTwinFormRefuses(t *testing.T) {
	good := newTwinForm(iothub.SectionTags, document(t, `{"a":1}`), "AAA=", false)
	for _, field := range []string{"base", "etag", "kind", "known", "removed", "value"} {
		t.Run("without "+field, func(t *testing.T) {
			v := fields(good)
			v.Del(field)
			if _, err := parseTwinForm(iothub.SectionTags, v); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestEditedNamesEveryRow refuses several rows at once, each at its own field.
func TestEditedNamesEveryRow(t *testing.T) {
	f := newTwinForm(iothub.SectionDesired, document(t, `{"fine":1}`), "AAA=", false)
	f.Rows = append(f.Rows,
		formRow{Path: "long", Kind: kindText, Text: strings.Repeat("x", iothub.MaxStringBytes+1)},
		formRow{Path: "good", Kind: kindText, Text: "x"},
		formRow{Path: "big", Kind: kindNumber, Text: "4503599627370496"},
		formRow{Path: "list", Kind: kindJSON, Text: "[null]"},
	)
	_, mistakes := f.edited(english())
	var at []string
	for _, m := range mistakes {
		at = append(at, m.Field)
	}
	if diff := cmp.Diff([]string{"row-1-value", "row-3-value", "row-4-value"}, at); diff != "" {
		t.Errorf("fields at fault (-want +got):\n%s", diff)
	}
}
