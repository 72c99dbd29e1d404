package query

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pieces are values that are easily taken for one another, as JSON.
var pieces = []string{
	"", `"a"`, `"b"`, `"c"`, `""`, `"1"`, `"true"`, `"q\"\\ü"`, "1", "1.0", "-0", "0", "2.5", "2.50", "9007199254740993", "9007199254740992",
	"1e3", "true", "false", "null", "[]", `[1,"a"]`, `{"x":1}`,
}

// genTwin draws a twin with tags a to c, each a piece or missing.
func genTwin() *rapid.Generator[Document] {
	piece := rapid.SampledFrom(pieces)
	return rapid.Custom(func(t *rapid.T) Document {
		tags := map[string]any{}
		for _, name := range []string{"a", "b", "c"} {
			if text := piece.Draw(t, name); text != "" {
				v, err := FromJSON(text)
				if err != nil {
					t.Fatal(err)
				}
				tags[name] = v.Any()
			}
		}
		return Document{"deviceId": "d", "tags": tags}
	})
}

// genCondition draws conditions that often hold for such twins.
func genCondition(depth int) *rapid.Generator[string] {
	path := rapid.SampledFrom([]string{"tags.a", "tags.b", "tags.c"})
	constant := rapid.SampledFrom([]string{"'a'", "'b'", "'1'", "'q\"\\\\ü'", "1", "0", "2.5", "1000", "9007199254740993", "9007199254740992", "true", "null"})
	operator := rapid.SampledFrom([]string{"=", "=", "!=", "<", ">="})
	leaf := rapid.Custom(func(t *rapid.T) string {
		p := path.Draw(t, "path")
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return fmt.Sprintf("%s %s %s", p, operator.Draw(t, "op"), path.Draw(t, "other"))
		case 1:
			return fmt.Sprintf("%s %s [%s, %s]", p, rapid.SampledFrom([]string{"IN", "NIN"}).Draw(t, "in"), constant.Draw(t, "one"), constant.Draw(t, "two"))
		case 2:
			return fmt.Sprintf("IS_DEFINED(%s)", p)
		}
		return fmt.Sprintf("%s %s %s", p, operator.Draw(t, "op"), constant.Draw(t, "constant"))
	})
	if depth == 0 {
		return leaf
	}
	inner := genCondition(depth - 1)
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 3).Draw(t, "join") {
		case 0:
			return leaf.Draw(t, "leaf")
		case 1:
			return fmt.Sprintf("NOT (%s)", inner.Draw(t, "x"))
		}
		return fmt.Sprintf("(%s) %s (%s)", inner.Draw(t, "x"), rapid.SampledFrom([]string{"AND", "OR"}).Draw(t, "with"), inner.Draw(t, "y"))
	})
}

// overColumns answers as a hub that holds columns does, with rows by number.
func overColumns(q *Query, columns []*Column, count int) (rows []int, groups []Record) {
	f, g := q.Filter(columns, count), q.NewGroups()
	add := g.Over(columns)
	visit := func(row int) {
		if f.Match(row) {
			rows = append(rows, row)
			add(row)
		}
	}
	if candidates, ok := f.Candidates(); ok {
		for _, row := range candidates {
			visit(int(row))
		}
	} else {
		for row := range count {
			visit(row)
		}
	}
	return rows, g.Records()
}

func overDocuments(q *Query, twins []Document) (rows []int, groups []Record) {
	g := q.NewGroups()
	for row, twin := range twins {
		if q.Match(twin) {
			rows = append(rows, row)
			g.Add(twin)
		}
	}
	return rows, g.Records()
}

// TestColumnsAnswerAsDocumentsWhileTheyChange draws twins, puts them into
// columns, changes some, and asks.
func TestColumnsAnswerAsDocumentsWhileTheyChange(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		twins := rapid.SliceOfN(genTwin(), 1, 60).Draw(t, "twins")
		q := mustParse(outer, "SELECT tags.a, tags.b, COUNT() AS n, SUM(tags.c) AS sum, MIN(tags.c) AS least FROM devices WHERE "+
			genCondition(3).Draw(t, "condition")+" GROUP BY tags.a"+rapid.SampledFrom([]string{", tags.b", ", tags.b, tags.c"}).Draw(t, "group"))
		single := mustParse(outer, "SELECT tags.a, COUNT() AS n, AVG(tags.b) AS mean FROM devices WHERE "+genCondition(1).Draw(t, "simple")+" GROUP BY tags.a")
		for _, q := range []*Query{q, single} {
			held := make([]*Column, len(q.AllPaths()))
			for i := range held {
				held[i] = NewColumn()
			}
			for _, twin := range twins {
				appendTwin(outer, held, q, twin)
			}
			compare(t, q, held, twins)
			now := slices.Clone(twins)
			for range rapid.IntRange(0, 80).Draw(t, "changes") {
				row := rapid.IntRange(0, len(now)-1).Draw(t, "row")
				now[row] = genTwin().Draw(t, "twin")
				for i, p := range q.AllPaths() {
					held[i].Set(row, now[row].Value(p))
				}
			}
			compare(t, q, held, now)
		}
	})
}

func appendTwin(t *testing.T, held []*Column, q *Query, twin Document) {
	t.Helper()
	for i, p := range q.AllPaths() {
		text := ""
		if v := twin.Value(p); v.Type() != Undefined {
			b, err := json.Marshal(v.Any())
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if err := held[i].AppendJSON(text); err != nil {
			t.Fatal(err)
		}
	}
}

// compare also follows every chain: each row must be in that of its value.
func compare(t *rapid.T, q *Query, held []*Column, twins []Document) {
	for i, c := range held {
		rows := 0
		for code, d := range c.values {
			chained := c.rowsIn(nil, d.first)
			if rows += len(chained); d.rows != len(chained) || slices.ContainsFunc(chained, func(row int32) bool { return c.codes[row] != uint32(code) }) {
				t.Fatalf("column %d: %q is chained to %v, counted %d", i, d.key, chained, d.rows)
			}
		}
		if rows != len(twins) {
			t.Fatalf("column %d: %d rows in chains, %d twins", i, rows, len(twins))
		}
	}
	wantRows, wantGroups := overDocuments(q, twins)
	rows, groups := overColumns(q, held, len(twins))
	if !slices.Equal(rows, wantRows) {
		t.Fatalf("%s\ncolumns find %v, documents %v", q, rows, wantRows)
	}
	if diff := cmp.Diff(wantGroups, groups); diff != "" {
		t.Fatalf("%s\ngroups differ (-documents +columns)\n%s", q, diff)
	}
}

// TestAColumnForgetsValuesThatNobodyHas holds the memory of a column whose
// values come and go, such as times, to what the present ones take.
func TestAColumnForgetsValuesThatNobodyHas(t *testing.T) {
	c := NewColumn()
	for range 10 {
		c.Append(Of("2026-01-01T00:00:00Z"))
	}
	for i := range 10_000 {
		c.Set(i%10, Of(fmt.Sprintf("2026-01-01T%08dZ", i)))
	}
	if len(c.values) > 12 || len(c.found) > 12 {
		t.Errorf("%d values, %d of them to be found, for 10 rows", len(c.values), len(c.found))
	}
	if c.Bytes() > 10*(rowBytes+valueBytes+40) {
		t.Errorf("%d bytes", c.Bytes())
	}
}

func TestAColumnRefusesWhatIsNoJSON(t *testing.T) {
	if err := NewColumn().AppendJSON("{"); err == nil || !strings.Contains(err.Error(), "read JSON value") {
		t.Errorf("%v", err)
	}
}
