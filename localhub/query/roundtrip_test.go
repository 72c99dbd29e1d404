package query

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// sameTree compares what queries say, not where they say it.
var sameTree = cmp.Options{
	cmpopts.IgnoreUnexported(Query{}, Item{}, Not{}, Negate{}, Call{}, Path{}, Const{}),
	cmpopts.IgnoreFields(Query{}, "Warnings"),
	cmpopts.EquateEmpty(),
}

// roomy is for printed queries, which may be longer than what was typed.
var roomy = limits{chars: 1 << 20, depth: 1000, operands: 1 << 20}

// checkRoundTrip holds that printing and parsing give the tree back, and that
// both trees choose the same twins.
func checkRoundTrip(t interface {
	Helper()
	Fatalf(string, ...any)
}, q *Query, twins []Document,
) {
	t.Helper()
	printed := q.String()
	again, err := parse(printed, roomy)
	if err != nil {
		t.Fatalf("printed query is refused: %v", err)
	}
	if diff := cmp.Diff(q, again, sameTree); diff != "" {
		t.Fatalf("%s\nparses differently (-before +after)\n%s", printed, diff)
	}
	if twice := again.String(); twice != printed {
		t.Fatalf("prints first as\n%s\nthen as\n%s", printed, twice)
	}
	for _, twin := range twins {
		if q.Match(twin) != again.Match(twin) {
			t.Fatalf("%s\nno longer agrees about %s", printed, twin["deviceId"])
		}
	}
}

func genName() *rapid.Generator[string] {
	plain := rapid.SampledFrom([]string{
		"tags", "properties", "reported", "desired", "v", "deviceId", "DEVICEID", "devices", "$version", "größe", "a-b", "count", "STARTSWITH",
	})
	strange := rapid.SampledFrom([]string{
		"group", "FROM", "null", "2nd", "", "a b", "a.b", "a-", "-a", "[x", "a]b", "'", "値", "🙂", "/*", "\t",
	})
	return rapid.OneOf(plain, plain, strange)
}

func genPath() *rapid.Generator[*Path] {
	return rapid.Custom(func(t *rapid.T) *Path {
		return &Path{Segments: rapid.SliceOfN(genName(), 1, 4).Draw(t, "segments")}
	})
}

func genValue() *rapid.Generator[Value] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64Min(-1<<62), integer),
		rapid.Map(rapid.Float64(), number64),
		rapid.Map(rapid.String(), func(s string) Value { return str(strings.ToValidUTF8(s, "")) }),
		rapid.Map(rapid.Bool(), boolean),
		rapid.SampledFrom([]Value{{}, {typ: Null}, integer(0), integer(1), str("US"), str(`\'"`)}),
	)
}

func genArray() *rapid.Generator[*Const] {
	return rapid.Custom(func(t *rapid.T) *Const {
		list := rapid.SliceOfN(genValue(), 0, 4).Draw(t, "array")
		if rapid.Bool().Draw(t, "nested") {
			list = append(list, Value{typ: Array, tree: []Value{integer(1), str("x")}})
		}
		return &Const{Value: Value{typ: Array, tree: list}}
	})
}

// genExpr makes any tree the parser can make.
func genExpr(depth int) *rapid.Generator[Expr] {
	leaf := rapid.OneOf(
		rapid.Map(genPath(), func(p *Path) Expr { return p }),
		rapid.Map(genValue(), func(v Value) Expr { return &Const{Value: v} }),
		rapid.Map(genArray(), func(c *Const) Expr { return c }),
	)
	if depth == 0 {
		return leaf
	}
	inner := genExpr(depth - 1)
	binary := rapid.Custom(func(t *rapid.T) Expr {
		op := rapid.SampledFrom([]Operator{
			Or, And, Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, Add, Subtract, Multiply, Divide, Remainder,
		}).Draw(t, "op")
		return &Binary{op, inner.Draw(t, "x"), inner.Draw(t, "y")}
	})
	unary := rapid.Custom(func(t *rapid.T) Expr {
		x := inner.Draw(t, "x")
		c, isConst := x.(*Const)
		if rapid.Bool().Draw(t, "not") || isConst && c.Value.number() { // the parser folds -5
			return &Not{X: x}
		}
		return &Negate{X: x}
	})
	in := rapid.Custom(func(t *rapid.T) Expr {
		return &In{X: inner.Draw(t, "x"), List: genArray().Draw(t, "list"), Nin: rapid.Bool().Draw(t, "nin")}
	})
	call := rapid.Custom(func(t *rapid.T) Expr {
		switch rapid.IntRange(0, 2).Draw(t, "function") {
		case 0:
			return &Call{Name: "IS_DEFINED", Args: []Expr{genPath().Draw(t, "path")}}
		case 1:
			return &Call{Name: "IS_NUMBER", Args: []Expr{inner.Draw(t, "x")}}
		}
		return &Call{Name: "STARTSWITH", Args: []Expr{inner.Draw(t, "x"), inner.Draw(t, "y")}}
	})
	return rapid.OneOf(leaf, binary, binary, unary, in, call)
}

func genQuery() *rapid.Generator[*Query] {
	return rapid.Custom(func(t *rapid.T) *Query {
		q := &Query{Source: Devices, Top: rapid.IntRange(0, 3).Draw(t, "top")}
		if rapid.Bool().Draw(t, "where") {
			q.Where = genExpr(4).Draw(t, "condition")
		}
		item := rapid.Custom(func(t *rapid.T) Item { return Item{Path: genPath().Draw(t, "path")} })
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 1:
			q.Items = rapid.SliceOfN(item, 1, 3).Draw(t, "items")
		case 2:
			q.GroupBy = rapid.SliceOfN(genPath(), 0, 2).Draw(t, "group by")
			for _, p := range q.GroupBy {
				q.Items = append(q.Items, Item{Path: p})
			}
			kind := rapid.SampledFrom([]Aggregate{Average, Sum, Minimum, Maximum}).Draw(t, "aggregate")
			q.Items = append(q.Items, Item{Aggregate: Count}, Item{Aggregate: kind, Path: genPath().Draw(t, "of")})
		}
		for i := range q.Items {
			if name := genName().Draw(t, "alias"); rapid.Bool().Draw(t, "named") {
				q.Items[i].Alias = name
			}
		}
		return q
	})
}

// TestPrintParse draws trees, prints them and parses what was printed.
func TestPrintParse(t *testing.T) {
	twins := awkwardTwins(t)
	rapid.Check(t, func(t *rapid.T) {
		drawn := genQuery().Draw(t, "query")
		q, err := parse(drawn.String(), roomy)
		if err != nil {
			t.Fatalf("drawn query is refused: %v", err)
		}
		if diff := cmp.Diff(drawn, q, sameTree); diff != "" {
			t.Fatalf("%s\nparses differently (-drawn +parsed)\n%s", drawn, diff)
		}
		checkRoundTrip(t, q, twins)
	})
}

// TestColumnsAnswerAsDocuments draws twins too: values fetched one by one
// decide as whole documents do, and no match is outside the candidates.
func TestColumnsAnswerAsDocuments(t *testing.T) {
	outer := t
	names := rapid.SampledFrom([]string{"v", "group", "größe", "a b", "desired", "reported", ""})
	leaf := rapid.Map(genValue(), func(v Value) any { return v.Any() })
	object := func(inner *rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.Map(rapid.MapOfN(names, inner, 0, 4), func(m map[string]any) any { return m })
	}
	list := rapid.Map(rapid.SliceOfN(leaf, 0, 3), func(l []any) any { return l })
	section := object(rapid.OneOf(leaf, list, object(rapid.OneOf(leaf, list))))
	rapid.Check(t, func(t *rapid.T) {
		twin := Document{
			"deviceId":   rapid.SampledFrom([]string{"US", "x", ""}).Draw(t, "id"),
			"tags":       section.Draw(t, "tags"),
			"properties": section.Draw(t, "properties"),
		}
		q, err := parse((&Query{Source: Devices, Where: genExpr(4).Draw(t, "condition")}).String(), roomy)
		if err != nil {
			t.Fatal(err)
		}
		match := q.Match(twin)
		if match != q.Match(columns(outer, q, twin)) {
			t.Fatalf("%s\ncolumns and document disagree about %v", q, twin)
		}
		if ids, ok := q.DeviceIDs(); ok && match {
			found := false
			for _, id := range ids {
				found = found || id == twin["deviceId"]
			}
			if !found {
				t.Fatalf("%s\nmatches %q, which is no candidate", q, twin["deviceId"])
			}
		}
	})
}

// FuzzParse holds for any text: what is accepted survives printing, what is
// refused has a place within the text, and an offered repair can be applied.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"testdata/rows.txt", "testdata/strange.txt", "testdata/jobs.txt", "testdata/documented.txt", "testdata/refused.txt", "testdata/warned.txt"} {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for block := range strings.SplitSeq(string(content), "\n----\n") {
			query, _, _ := strings.Cut(block, "\n====\n")
			f.Add(query)
		}
	}
	twins := awkwardTwins(f)
	f.Fuzz(func(t *testing.T, text string) {
		checkTokens(t, text)
		q, err := Parse(text)
		if err == nil {
			for _, w := range q.Warnings {
				checkPlace(t, text, w)
			}
			checkRoundTrip(t, q, twins)
			return
		}
		e := func() *Error {
			target := &Error{}
			_ = errors.As(err, &target)
			return target
		}()
		checkPlace(t, text, e.Problem)
		if lines := strings.Split(e.Error(), "\n"); len(lines) != 3 || strings.Trim(lines[2], " \t^") != "" {
			t.Fatalf("%q\nis refused without line and marker: %q", text, e.Error())
		}
	})
}

func checkTokens(t *testing.T, text string) {
	t.Helper()
	at := 0
	for _, token := range Tokens(text) {
		if token.Offset < at || text[token.Offset:token.Offset+len(token.Text)] != token.Text {
			t.Fatalf("%q\ntoken %+v is not where it says", text, token)
		}
		at = token.Offset + len(token.Text)
	}
}

// checkPlace counts line and column anew, character by character.
func checkPlace(t *testing.T, text string, p Problem) {
	t.Helper()
	if p.Offset < 0 || p.Offset > len(text) {
		t.Fatalf("%q\noffset %d is outside", text, p.Offset)
	}
	line, column := 1, 1
	for i, c := range text {
		if i >= p.Offset {
			break
		}
		if column++; c == '\n' {
			line, column = line+1, 1
		}
	}
	if p.Line != line || p.Column != column || p.Length < 1 {
		t.Fatalf("%q\nline %d, column %d, length %d; want line %d, column %d", text, p.Line, p.Column, p.Length, line, column)
	}
	if strings.ContainsAny(English(p.Code).Text+English(p.Code).Hint, "{}") && len(p.Args) == 0 {
		t.Fatalf("%s has no arguments", p.Code)
	}
	if p.Message == "" || utf8.ValidString(text) && !utf8.ValidString(p.Sentence()) {
		t.Fatalf("%q\nmessage %q", text, p.Sentence())
	}
	if p.Repair != nil && p.Repair.Apply(text) == text {
		t.Fatalf("%q\nrepair changes nothing", text)
	}
}
