package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

// plain is a device as the test below sorts and counts it.
type plain struct {
	id    string
	n     int // the tag n, 0 for none
	state iothub.State
}

// plainly sorts devices by the rules that a list promises: what is missing
// comes last either way, and equals are ordered by id.
func plainly(devices []plain, by string, desc bool) (ids []string) {
	turn := func(by int) int {
		if desc {
			return -by
		}
		return by
	}
	slices.SortFunc(devices, func(a, b plain) int {
		order := 0
		switch {
		case by == SortID:
			order = turn(strings.Compare(a.id, b.id))
		case by == SortState:
			order = turn(cmp.Compare(a.state.Rank(), b.state.Rank()))
		case a.n == 0 || b.n == 0:
			order = cmp.Compare(b.n, a.n)
		default:
			order = turn(cmp.Compare(a.n, b.n))
		}
		return cmp.Or(order, strings.Compare(a.id, b.id))
	})
	for _, d := range devices {
		ids = append(ids, d.id)
	}
	return ids
}

// TestPagesOfAFullSort walks the pages of lists that are long enough to be
// sampled, and compares each with its part of the whole list sorted plainly.
func TestPagesOfAFullSort(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 700).Draw(t, "n")
		values := rapid.SampledFrom([]int{1, 3, 40, 10_000}).Draw(t, "values")
		random := rapid.Uint32().Draw(t, "random")
		order := rapid.SampledFrom([]string{"up", "down", "mixed"}).Draw(t, "order")
		f := New(nil, Options{Now: func() time.Time { return at }})
		var devices []plain
		for i := range n {
			random = random*1664525 + 1013904223
			value := map[string]int{"up": i, "down": n - i, "mixed": int(random >> 8)}[order] % values
			id, wanted := fmt.Sprintf("d%03d", (i*7)%701), []string{"x"}[:random>>30&1]
			twin := twinAt(id, at.Add(-time.Hour), random>>29&1 == 0, wanted...)
			if value > 0 {
				twin.Tags = iothub.Document{"n": json.Number(fmt.Sprint(value))}
			}
			raw, err := json.Marshal(twin)
			if err != nil {
				t.Fatal(err)
			}
			e := newEntry(twin, raw, at, at, f.grace)
			f.picture.putIf(e, func() bool { return true })
			devices = append(devices, plain{id, value, iothub.States[e.state]})
		}
		q := Query{
			Sort:  rapid.SampledFrom([]string{SortID, SortState, "tags.n"}).Draw(t, "sort"),
			Desc:  rapid.Bool().Draw(t, "desc"),
			Limit: rapid.IntRange(1, 30).Draw(t, "limit"),
		}
		want := plainly(devices, q.Sort, q.Desc)
		last := rapid.IntRange(0, 5).Draw(t, "last")
		page := f.List(q)
		for i := 0; ; i++ {
			part := want[min(i*q.Limit, n):min((i+1)*q.Limit, n)]
			if diff := gocmp.Diff(part, slices.Clip(listed(page))); diff != "" && len(part)+len(page.Devices) > 0 {
				t.Fatalf("page %d: %s", i, diff)
			}
			if page.Next == "" || i == last {
				break
			}
			q.After = page.Next
			page = f.List(q)
		}
		for page.Prev != "" {
			end := page.Offset
			q.After = page.Prev
			page = f.List(q)
			if diff := gocmp.Diff(want[max(0, end-q.Limit):max(end, q.Limit)], listed(page)); diff != "" {
				t.Fatalf("back from %d: %s", end, diff)
			}
		}
	})
}

// TestFacetKinds: a facet of too many values says how many there are and lists
// none, unless a filter asks for some.
func TestFacetKinds(t *testing.T) {
	t.Parallel()
	f := taggedFleet(t, `{"site":"oslo","n":5}`, `{"site":"lima","n":"5"}`, `{"site":"oslo","n":6}`, `{"site":"","n":"7"}`, `{}`)
	q := Query{Facets: []string{"tags.site", "tags.n"}, Kinds: 2}
	want := []Facet{{Path: "tags.site", Distinct: 3, None: 1}, {Path: "tags.n", Distinct: 3, None: 1}}
	if diff := gocmp.Diff(want, f.List(q).Facets); diff != "" {
		t.Error(diff)
	}
	q.Kinds = 3
	want[0].Values = []FacetValue{{"oslo", 2}, {"", 1}, {"lima", 1}}
	want[1].Values = []FacetValue{{"5", 2}, {"6", 1}, {"7", 1}}
	if diff := gocmp.Diff(want, f.List(q).Facets); diff != "" {
		t.Error(diff)
	}
	q.Kinds, q.Filters = 1, []Filter{{"tags.n", []string{"5"}}}
	want = []Facet{{Path: "tags.site", Distinct: 2}, want[1]}
	if diff := gocmp.Diff(want, f.List(q).Facets); diff != "" {
		t.Error(diff)
	}
	// Only the text of a value that is both a number and a text is found.
	q = Query{Facets: []string{"tags.n"}, Filters: []Filter{{"tags.site", []string{"lima"}}}}
	want = []Facet{{Path: "tags.n", Values: []FacetValue{{"5", 1}}, Distinct: 1}}
	if diff := gocmp.Diff(want, f.List(q).Facets); diff != "" {
		t.Error(diff)
	}
}
