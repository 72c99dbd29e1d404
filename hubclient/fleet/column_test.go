package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

// tagged is a twin with tags given as JSON.
func tagged(t interface{ Fatal(...any) }, id, tags string) *iothub.Twin {
	twin := twinAt(id, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), true)
	d, err := iothub.ParseDocument([]byte(tags))
	if err != nil {
		t.Fatal(err)
	}
	twin.Tags = d
	return twin
}

// taggedFleet is a picture of devices a, b, c … with these tags.
func taggedFleet(t *testing.T, tags ...string) *Fleet {
	return fleetOf(t, time.Now(), len(tags), func(i int) *iothub.Twin { return tagged(t, string(rune('a'+i)), tags[i]) })
}

func TestListByPath(t *testing.T) {
	t.Parallel()
	f := taggedFleet(t,
		`{"site":"oslo","line":10}`,
		`{"site":"Oslo","line":9.5}`,
		`{"site":"","line":"10"}`,
		`{"line":-3,"list":[1, 2],"deep":{"x":{"y":true}}}`,
		`{"site":"oslo","line":1e3,"odd":"a\u0000b \"é\" %?#"}`,
		`{"site":"ōsaka 大阪","a-b":1,"a":{"b":null,"c":2}}`,
	)
	filter := func(path string, values ...string) Query {
		return Query{Filters: []Filter{{path, values}}}
	}
	for name, tt := range map[string]struct {
		q    Query
		want string
	}{
		"equal, case matters":             {filter("tags.site", "oslo"), "ae"},
		"one of":                          {filter("tags.site", "oslo", "ōsaka 大阪"), "aef"},
		"nothing there, or an empty text": {filter("tags.site", ""), "cd"},
		"a number and a text of it":       {filter("tags.line", "10"), "ac"},
		"list":                            {filter("tags.list", "[1,2]"), "d"},
		"deep":                            {filter("tags.deep.x.y", "true"), "d"},
		"an object":                       {filter("tags.deep", `{"x":{"y":true}}`), "d"},
		"any characters":                  {filter("tags.odd", "a\x00b \"é\" %?#"), "e"},
		"a name that sorts before a dot":  {filter("tags.a-b", "1"), "f"},
		"beside it":                       {filter("tags.a.c", "2"), "f"},
		"a path that is none":             {filter("site", "oslo"), "abcdef"},
		"a path nobody has":               {filter("reported.nothing", "oslo"), ""},
		"numbers, texts, missing last":    {Query{Sort: "tags.line"}, "dbaecf"},
		"backwards, missing still last":   {Query{Sort: "tags.line", Desc: true}, "ceabdf"},
		"texts by their bytes":            {Query{Sort: "tags.site"}, "cbaefd"},
		"both filters":                    {Query{Text: "oslo", Filters: []Filter{{"tags.line", []string{"10"}}}}, "a"},
		"status":                          {Query{Status: iothub.StatusDisabled}, ""},
	} {
		if got := strings.Join(listed(f.List(tt.q)), ""); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if got := strings.Join(matchingIDs(f, tt.q), ""); got != tt.want {
			t.Errorf("%s: ids %s, want %s", name, got, tt.want)
		}
	}
	if v, ok := f.List(Query{}).Devices[3].Value("tags.list"); v != "[1,2]" || !ok {
		t.Errorf("value %q, %v", v, ok)
	}
}

func matchingIDs(f *Fleet, q Query) (ids []string) {
	for _, m := range f.Matching(q) {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestFacets(t *testing.T) {
	t.Parallel()
	f := taggedFleet(t, `{"site":"oslo","n":5}`, `{"site":"oslo","n":"5"}`, `{"site":"lima","n":5}`, `{"n":7}`)
	page := f.List(Query{Facets: []string{"tags.site", "tags.n", "no path"}, Filters: []Filter{{"tags.n", []string{"5"}}, {"tags.site", []string{"oslo", "gone"}}}})
	want := []Facet{
		{Path: "tags.site", Values: []FacetValue{{"oslo", 2}, {"lima", 1}}, Distinct: 2},
		{Path: "tags.n", Values: []FacetValue{{"5", 2}}, Distinct: 1},
	}
	if diff := gocmp.Diff(want, page.Facets); diff != "" {
		t.Error(diff)
	}
	if page := f.List(Query{Facets: []string{"tags.site"}}); page.Facets[0].None != 1 {
		t.Errorf("none: %+v", page.Facets)
	}
	many := make([]string, 2000)
	for i := range many {
		many[i] = fmt.Sprintf(`{"serial":"s%04d"}`, i)
	}
	f = fleetOf(t, time.Now(), len(many), func(i int) *iothub.Twin { return tagged(t, fmt.Sprint("d", i), many[i]) })
	facet := f.List(Query{Facets: []string{"tags.serial"}, Filters: []Filter{{"tags.serial", []string{"s1999"}}}}).Facets[0]
	if facet.Distinct != len(many) || len(facet.Values) != mostFacetValues+1 || facet.Values[mostFacetValues].Text != "s1999" {
		t.Errorf("%d values of %d, last %+v", len(facet.Values), facet.Distinct, facet.Values[len(facet.Values)-1])
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	f := taggedFleet(t, `{"site":"oslo"}`, `{"site":"lima","a-b":1,"a":{"x":2}}`)
	twin := tagged(t, "a", `{}`)
	twin.Properties.Reported = twin.Properties.Reported.Patch(iothub.Document{"fw": map[string]any{"v": "1.4"}}, time.Now(), false)
	raw, _ := json.Marshal(twin)
	f.picture.putIf(newEntry(twin, raw, time.Now(), time.Now(), f.grace), func() bool { return true })
	want := []PathInfo{{"reported.fw.v", 1, "1.4"}, {"tags.a-b", 1, "1"}, {"tags.a.x", 1, "2"}, {"tags.site", 1, "lima"}}
	if diff := gocmp.Diff(want, f.Paths()); diff != "" {
		t.Error(diff)
	}
	f.picture.remove("b")
	if paths := f.Paths(); len(paths) != 1 || len(f.picture.shapes) != 1 {
		t.Errorf("left: %+v, %d shapes", paths, len(f.picture.shapes))
	}
}

// TestColumnsKeepUp changes, adds and removes devices while lists use columns,
// and compares each list with one worked out twin by twin.
func TestColumnsKeepUp(t *testing.T) {
	t.Parallel()
	tags := []string{`{}`, `{"p":1}`, `{"p":"1"}`, `{"p":"x","q":2}`, `{"q":[1]}`, `{"p":10,"q":"y"}`}
	rapid.Check(t, func(t *rapid.T) {
		f := New(nil, Options{})
		now := map[string]string{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "id")
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				f.picture.remove(id)
				delete(now, id)
			} else {
				now[id] = rapid.SampledFrom(tags).Draw(t, "tags")
				twin := tagged(t, id, now[id])
				raw, _ := json.Marshal(twin)
				f.picture.putIf(newEntry(twin, raw, time.Now(), time.Now(), f.grace), func() bool { return true })
			}
			values := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "x", "10", ""}), 1, 2).Draw(t, "values")
			desc := rapid.Bool().Draw(t, "desc")
			got := listed(f.List(Query{Filters: []Filter{{"tags.p", values}}, Facets: []string{"tags.q"}, Sort: "tags.q", Desc: desc}))
			if want := worked(t, now, values, desc); !slices.Equal(got, want) {
				t.Fatalf("%v: listed %v, want %v", now, got, want)
			}
		}
		c := f.picture.columns["tags.p"]
		if used := len(c.values) - 1 - len(c.free); used != len(c.byKey) || used > len(now) {
			t.Fatalf("%d values of %d devices, %d named", used, len(now), len(c.byKey))
		}
	})
}

// worked lists the devices whose tag p is one of values, by tag q.
func worked(t *rapid.T, now map[string]string, values []string, desc bool) []string {
	plain := func(id, key string) (string, bool) {
		v, ok := tagged(t, id, now[id]).Tags[key]
		if s, isText := v.(string); isText || !ok {
			return s, ok
		}
		b, _ := json.Marshal(v)
		return string(b), true
	}
	ids := slices.Sorted(maps.Keys(now))
	ids = slices.DeleteFunc(ids, func(id string) bool { p, _ := plain(id, "p"); return !slices.Contains(values, p) })
	rank := map[string]int{"2": 0, "[1]": 1, "y": 2} // number before texts
	slices.SortStableFunc(ids, func(a, b string) int {
		x, hasX := plain(a, "q")
		y, hasY := plain(b, "q")
		switch {
		case !hasX || !hasY:
			return cmp.Compare(fmt.Sprint(!hasX), fmt.Sprint(!hasY))
		case desc:
			return rank[y] - rank[x]
		}
		return rank[x] - rank[y]
	})
	return ids
}

// TestPagingByPath walks an order by a path forward and back.
func TestPagingByPath(t *testing.T) {
	t.Parallel()
	f := fleetOf(t, time.Now(), 40, func(i int) *iothub.Twin {
		values := []string{`"x"`, "3", "-3.5", `"ñ"`, "1e2"}
		if i%6 == 5 {
			return tagged(t, fmt.Sprintf("d%02d", i), `{}`)
		}
		return tagged(t, fmt.Sprintf("d%02d", i), `{"p":`+values[i%5]+`}`)
	})
	for _, desc := range []bool{false, true} {
		q := Query{Sort: "tags.p", Desc: desc, Limit: 7}
		want := matchingIDs(f, q)
		var got []string
		page := f.List(q)
		for ; ; page = f.List(q) {
			got = append(got, listed(page)...)
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("forward %v, want %v", got, want)
		}
		for q.After = page.Prev; q.After != ""; q.After = page.Prev {
			page = f.List(q)
			if got := listed(page); !slices.Equal(got, want[page.Offset:page.Offset+len(got)]) {
				t.Errorf("back at %d: %v", page.Offset, got)
			}
		}
	}
}

func TestColumnsAreBounded(t *testing.T) {
	t.Parallel()
	f := taggedFleet(t, `{"site":"oslo"}`)
	for i := range 3 * mostColumns {
		f.List(Query{Sort: "tags.site", Facets: []string{fmt.Sprint("tags.x", i)}})
	}
	if n := len(f.picture.columns); n != mostColumns || f.picture.columns["tags.site"] == nil {
		t.Errorf("%d columns, the one in use kept: %v", n, f.picture.columns["tags.site"] != nil)
	}
}
