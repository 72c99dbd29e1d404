package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

// TestExportImport: what a list exports, another hub's dashboard takes in, with
// every name, tag and wanted setting as it was.
func TestExportImport(t *testing.T) {
	from, to := newBoard(t), newBoard(t)
	tags := `{"site":"Ōsaka 大阪","n":5,"s":"5","float":1.0,"neg":-3,"yes":true,"text":"true","empty":"","none":{},
		"deep":{"list":[1,"a",{"b":"c"}],"q":"say \"hi\", ok;\n next"},"formula":"=1+1","at":"@x","minus":"-x","apo":"'=x","json":"{","zero":"007"}`
	for i, id := range oddIDs {
		from.device(id, `{"i":`+fmt.Sprint(i)+`}`, `{"interval":30}`)
	}
	for _, id := range []string{"=cmd", "-1", "@a", "'x", "'=x", "''x", "all"} {
		from.device(id, tags, `{"deep":{"x":[true]},"name":"+47"}`)
	}
	from.known(len(oddIDs) + 7)
	off, err := from.client.GetDevice(t.Context(), "all")
	if err != nil {
		t.Fatal(err)
	}
	off.Status = iothub.StatusDisabled
	if _, err := from.client.UpdateDevice(t.Context(), off, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { d, _ := from.fleet.Get("all"); return !d.Enabled }, "the list knows")
	_, exported := from.body(http.MethodGet, "/h/local/devices?format=csv", nil)
	for line := range strings.Lines(exported) {
		if strings.ContainsAny(line[:1], "=+@") || strings.Contains(line, ",=") || strings.Contains(line, ",@") {
			t.Errorf("a cell is a formula: %s", line)
		}
	}
	ask := to.post("/h/local/import", map[string]string{"csv": exported}).wantStatus(http.StatusOK)
	if len(ask.all("[data-testid=bulk-ask]")) == 0 {
		t.Fatal(ask.path, "refused:", ask.all("[data-testid=import-problems]"))
	}
	p := ask.form("[data-testid=bulk-ask]").press("")
	if got := to.finished(p.path); got.Failed != 0 || got.Done != len(oddIDs)+7 {
		t.Fatalf("%+v", got)
	}
	to.known(len(oddIDs) + 7)
	for _, id := range append([]string{"=cmd", "-1", "@a", "'x", "'=x", "''x", "all"}, oddIDs...) {
		a, b := from.twin(id), to.twin(id)
		if diff := cmp.Diff(a.Tags, b.Tags); diff != "" || a.Status != b.Status {
			t.Errorf("%s: %s, status %s and %s", id, diff, a.Status, b.Status)
		}
		if diff := cmp.Diff(a.Properties.Desired.Value, b.Properties.Desired.Value); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	_, again := to.body(http.MethodGet, "/h/local/devices?format=csv", nil)
	if got, want := cells(t, again), cells(t, exported); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

// cells are the columns of an export that can be set.
func cells(t *testing.T, text string) (out []string) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		out = append(out, fmt.Sprint(row[0], row[6], row[8:]))
	}
	return out
}

func TestImportMistakes(t *testing.T) {
	b := newBoard(t)
	b.device("taken", `{"keep":1}`, `{}`)
	b.known(1)
	for name, c := range map[string]struct{ csv, message string }{
		"nothing":          {"", "There is no device in it."},
		"an accent":        {"deviceId\nválvula", "Line 2 válvula The character á is not possible in a device name."},
		"no name":          {"deviceId,tags.a\n,x", "Line 2"},
		"twice":            {"id\na\nb\na", "Line 4 a Line 2 has the same name."},
		"taken":            {"taken", "Line 1 taken The hub already has a device taken."},
		"unknown column":   {"deviceId,site\na,b", "Line 1 The column site is not known."},
		"column twice":     {"deviceId,tags.a,tags.a\na,b,c", "Line 1 The column tags.a is there twice."},
		"no id column":     {"tags.a,tags.b\na,b", "Line 1 No column is called deviceId."},
		"too many cells":   {"deviceId,tags.a\na,b,c", "Line 2 a The line has 3 cells, but there are 2 columns."},
		"status":           {"deviceId,status\na,on", "Line 2 a The status on is not known."},
		"overlap":          {"deviceId,tags.a,tags.a.b\na,1,2", "Line 2 a tags.a.b lies inside a value"},
		"one key":          {"deviceId,primaryKey\na,AAAA", "Line 2 a Only one of the two keys is given."},
		"bad key":          {"deviceId,primaryKey,secondaryKey\na,A,A", "Line 2 a A key is not base64."},
		"forbidden name":   {"deviceId,tags.a$b\na,1", "Line 2 a"},
		"broken quotes":    {"deviceId,tags.a\na,1\nb,\"x\"y\n", "Line 3 The line is no CSV from character"},
		"too large a text": {"deviceId,tags.a\na," + strings.Repeat("x", 5000), "Line 2 a"},
	} {
		p := b.post("/h/local/import", map[string]string{"csv": c.csv}).wantStatus(http.StatusUnprocessableEntity)
		p.wantPart("[data-testid=import-problems]", c.message)
		if got := p.form("[data-testid=import-csv]").Get("csv"); got != c.csv {
			t.Errorf("%s: %q is left of what was typed", name, got)
		}
	}
	wantDocument(t, "the device that has the name", b.twin("taken").Tags, `{"keep":1}`)

	p := b.post("/h/local/import", map[string]string{"csv": "deviceId;tags.n\r\ngood;1\r\nb d;2\r\nfine;3\r\n"}).wantStatus(http.StatusUnprocessableEntity)
	p.wantPart("[data-testid=import-csv]", "Add only the 2 without mistakes")
	form := p.form("[data-testid=import-csv]")
	form.Set("only", "good")
	ask := form.press("").wantStatus(http.StatusOK)
	ask.want("h1", "Add 2 devices")
	b.finished(ask.form("[data-testid=bulk-ask]").press("").path)
	wantDocument(t, "tags", b.twin("fine").Tags, `{"n":3}`)
}

// TestImportTakenMeanwhile: names that were free when the text was checked are
// told line by line in the end.
func TestImportTakenMeanwhile(t *testing.T) {
	b := newBoard(t)
	ask := b.post("/h/local/import", map[string]string{"csv": "a\nb\nc"})
	b.device("b", `{"keep":1}`, `{}`)
	p := ask.form("[data-testid=bulk-ask]").press("")
	if got := b.finished(p.path); got.Done != 2 || got.Failed != 1 {
		t.Errorf("%+v", got)
	}
	b.get(p.path).wantPart("[data-outcome=failed]", "Line 2")
	wantDocument(t, "tags", b.twin("b").Tags, `{"keep":1}`)
}

func TestImportPattern(t *testing.T) {
	b := newBoard(t)
	for pattern, message := range map[string]string{
		"pump":             "The pattern has no numbers in braces",
		"pump-{5..1}":      "The braces need two numbers",
		"pump-{1..999999}": "at most 10,000 devices",
		"pu mp-{1..2}":     "The character U+0020 is not possible",
	} {
		b.post("/h/local/import", map[string]string{"by": "pattern", "pattern": pattern}).
			wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=import-problems]", message)
	}
	b.post("/h/local/import", map[string]string{"by": "pattern", "pattern": "p{1..2}", "tags": `{"a":`}).
		wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=import-problems]", "Line 1")
	ask := b.post("/h/local/import", map[string]string{"by": "pattern", "pattern": "pump-{08..60}.x", "tags": `{"site":"b1"}`, "desired": `{"n":1.0}`})
	ask.want("h1", "Add 53 devices")
	form := ask.form("[data-testid=bulk-ask]")
	form.Set("confirm", "53")
	if got := b.finished(form.press("").path); got.Done != 53 {
		t.Errorf("%+v", got)
	}
	twin := b.twin("pump-08.x")
	wantDocument(t, "tags", twin.Tags, `{"site":"b1"}`)
	wantDocument(t, "desired", twin.Properties.Desired.Value, `{"n":1.0}`)
	b.twin("pump-60.x")
}

func TestImportKeys(t *testing.T) {
	b := newBoard(t)
	key := "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	ask := b.post("/h/local/import", map[string]string{"csv": "deviceId,primaryKey,secondaryKey\na," + key + "," + key})
	if _, body := b.body(http.MethodGet, ask.path, nil); strings.Contains(body, key) {
		t.Error("the preview shows a key")
	}
	b.finished(ask.form("[data-testid=bulk-ask]").press("").path)
	d, err := b.client.GetDevice(t.Context(), "a")
	if err != nil || d.Authentication.SymmetricKey.Primary != key {
		t.Errorf("not the key given, %v", err)
	}
}

// TestCSVValues: a cell that was written reads as the same value.
func TestCSVValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v any = rapid.OneOf(rapid.String(), rapid.StringMatching(`["'=+@\-0-9tfn\[{].{0,3}`)).Draw(t, "text")
		if rapid.Bool().Draw(t, "number") {
			v = json.Number(fmt.Sprint(rapid.Float64().Draw(t, "n")))
		}
		cell := csvValue(v)
		if back := parseCell(cell); !cmp.Equal(back, v) {
			t.Fatalf("%v was written %q and read %v", v, cell, back)
		}
		if cell != "" && strings.ContainsRune("=+@\t\r", rune(cell[0])) {
			t.Fatalf("%q is a formula", cell)
		}
		id := rapid.StringMatching(`[=+\-@'a-c]{1,4}`).Draw(t, "id")
		if back := uncsvID(csvID(id)); back != id {
			t.Fatalf("%s was written %s and read %s", id, csvID(id), back)
		}
	})
}
