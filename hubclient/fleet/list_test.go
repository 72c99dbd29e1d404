package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

// fleetOf makes a picture of twins without a hub.
func fleetOf(t testing.TB, at time.Time, n int, make func(i int) *iothub.Twin) *Fleet {
	t.Helper()
	f := New(nil, Options{Now: func() time.Time { return at }})
	for i := range n {
		twin := make(i)
		raw, err := json.Marshal(twin)
		if err != nil {
			t.Fatal(err)
		}
		f.picture.putIf(newEntry(twin, raw, at, at, f.grace), func() bool { return true })
	}
	return f
}

func listed(p Page) (out []string) {
	for _, d := range p.Devices {
		out = append(out, d.ID)
	}
	return out
}

func TestListSearch(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	twins := []*iothub.Twin{
		twinAt("Pump-1", at, true), twinAt("pump-2", at, false), twinAt("valve", at, true),
	}
	twins[0].Tags = iothub.Document{"location": map[string]any{"plant": "Redmond43"}}
	twins[1].Properties.Desired = twins[1].Properties.Desired.Patch(iothub.Document{"list": []any{"Ärmel", true}}, at, true)
	twins[2].Properties.Reported = twins[2].Properties.Reported.Patch(iothub.Document{"deep": map[string]any{"n": json.Number("12.50")}}, at, false)
	f := fleetOf(t, at, len(twins), func(i int) *iothub.Twin { return twins[i] })
	for text, want := range map[string][]string{
		"":          {"Pump-1", "pump-2", "valve"},
		"PUMP":      {"Pump-1", "pump-2"},
		"mond4":     {"Pump-1"},
		"ärm":       {"pump-2"},
		"true":      {"pump-2"},
		"2.5":       {"valve"},
		"plant":     nil, // a key, not a value
		"connected": nil, // a member of the hub's own
		"pump-1r":   nil, // values do not run into each other
	} {
		if diff := cmp.Diff(want, listed(f.List(Query{Text: text}))); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestListOrder(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hour := time.Hour
	twins := []*iothub.Twin{
		twinAt("a", at.Add(-2*hour), true, "x"),  // silent for two hours
		twinAt("b", at, true),                    // nothing wanted
		twinAt("c", at.Add(-1*hour), true, "x"),  // silent for one hour
		twinAt("d", at.Add(-3*hour), false, "x"), // waiting, offline
		twinAt("e", at, true, "x"),               // waiting
	}
	f := fleetOf(t, at, len(twins), func(i int) *iothub.Twin { return twins[i] })
	for _, tt := range []struct {
		sort string
		desc bool
		want string
	}{
		{"", false, "abcde"},
		{SortID, false, "abcde"},
		{SortID, true, "edcba"},
		{SortState, false, "acedb"},
		{SortState, true, "bdeac"},
		{SortSince, false, "daceb"},
		{SortSince, true, "ecadb"},
		{SortConnection, false, "abced"},
		{SortConnection, true, "dabce"},
		{"nonsense", false, "abcde"},
	} {
		got := strings.Join(listed(f.List(Query{Sort: tt.sort, Desc: tt.desc})), "")
		if got != tt.want {
			t.Errorf("sort %q, desc %v: %s, want %s", tt.sort, tt.desc, got, tt.want)
		}
	}
	page := f.List(Query{States: []iothub.State{iothub.Silent}, Connection: iothub.Connected})
	want := Page{
		Devices: page.Devices, Total: 2, Known: 5,
		States:      map[iothub.State]int{iothub.Silent: 2, iothub.Waiting: 1, iothub.InSync: 1},
		Connections: map[string]int{iothub.Connected: 2, iothub.Disconnected: 0},
		Statuses:    map[string]int{iothub.StatusEnabled: 2, iothub.StatusDisabled: 0},
		AllStates:   map[iothub.State]int{iothub.Silent: 2, iothub.Waiting: 1, iothub.WaitingOffline: 1, iothub.InSync: 1},
	}
	if diff := cmp.Diff(want, page, cmpopts.IgnoreUnexported(Device{})); diff != "" {
		t.Error(diff)
	}
	d := page.Devices[0]
	if d.ID != "a" || d.State != iothub.Silent || d.Wanted != 1 || d.Differing != 1 || !d.Connected || !d.Enabled ||
		!d.Since.Equal(at.Add(-2*hour)) || !d.ReadAt.Equal(at) || !maps.Equal(d.Counts, map[iothub.State]int{iothub.Silent: 1}) {
		t.Errorf("%+v", d)
	}
}

// TestListPaging walks pages of any size in any order, forward and back: every
// matching device comes once, in order, and the counts are those of a plain
// count.
func TestListPaging(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(t, "n")
		twins := make([]*iothub.Twin, n)
		for i := range twins {
			names := []string{"x"}[:rapid.IntRange(0, 1).Draw(t, "wanted")]
			age := time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Hour
			twins[i] = twinAt(fmt.Sprint("d", i), at.Add(-age), rapid.Bool().Draw(t, "connected"), names...)
		}
		f := New(nil, Options{Now: func() time.Time { return at }})
		for _, twin := range twins {
			raw, _ := json.Marshal(twin)
			f.picture.putIf(newEntry(twin, raw, at, at, f.grace), func() bool { return true })
		}
		q := Query{
			Text:       rapid.SampledFrom([]string{"", "1", "d2"}).Draw(t, "text"),
			Connection: rapid.SampledFrom([]string{"", iothub.Connected, iothub.Disconnected}).Draw(t, "connection"),
			States:     rapid.SampledFrom([][]iothub.State{nil, {iothub.InSync}, {iothub.Silent, iothub.Waiting}}).Draw(t, "states"),
			Sort:       rapid.SampledFrom([]string{"", SortID, SortState, SortSince, SortConnection}).Draw(t, "sort"),
			Desc:       rapid.Bool().Draw(t, "desc"),
			Limit:      rapid.IntRange(1, 9).Draw(t, "limit"),
		}
		all := Query{Text: q.Text, Connection: q.Connection, States: q.States, Sort: q.Sort, Desc: q.Desc, Limit: 1000}
		want := f.List(all)
		matches := matching(f, q)
		if ids := listed(want); len(ids) != len(matches) || want.Total != len(ids) || !slices.Equal(slices.Sorted(slices.Values(ids)), matches) {
			t.Fatalf("listed %v, want %v", ids, matches)
		}
		var forward, back []string
		page := f.List(q)
		for {
			if page.Total != want.Total || page.Offset != len(forward) || !cmp.Equal(page.States, want.States) || !cmp.Equal(page.Connections, want.Connections) {
				t.Fatalf("page %+v of %+v", page, want)
			}
			forward = append(forward, listed(page)...)
			if (page.Prev == "") != (page.Offset == 0) {
				t.Fatalf("Prev %q at %d", page.Prev, page.Offset)
			}
			if page.Next == "" {
				break
			}
			q.After = page.Next
			page = f.List(q)
		}
		if !slices.Equal(forward, listed(want)) {
			t.Fatalf("forward %v, want %v", forward, listed(want))
		}
		// Back from the last page: full pages, the first one a whole page again.
		for page.Prev != "" {
			end := page.Offset
			q.After = page.Prev
			page = f.List(q)
			back = listed(page)
			if !slices.Equal(back, forward[page.Offset:page.Offset+len(back)]) || page.Offset+len(back) < end || page.Next == "" {
				t.Fatalf("back to %d: %v of %v", page.Offset, back, forward)
			}
		}
		if page.Offset != 0 {
			t.Fatalf("back ends at %d", page.Offset)
		}
	})
}

// matching finds what a query should, one device at a time.
func matching(f *Fleet, q Query) (out []string) {
	for _, e := range f.picture.list {
		state := iothub.States[e.state]
		connection := iothub.Disconnected
		if e.connected {
			connection = iothub.Connected
		}
		if strings.Contains(e.search, q.Text) && (q.Connection == "" || q.Connection == connection) &&
			(q.States == nil || slices.Contains(q.States, state)) {
			out = append(out, e.id)
		}
	}
	slices.Sort(out)
	return out
}

// TestListCursor: what is no cursor of this list begins at the beginning, and a
// page whose rows have gone shows what is left.
func TestListCursor(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := fleetOf(t, at, 10, func(i int) *iothub.Twin { return twinAt(fmt.Sprint("d", i), at, true) })
	first := f.List(Query{Limit: 4})
	second := f.List(Query{Limit: 4, After: first.Next})
	for _, after := range []string{"%", "e30", first.Next + "x", f.List(Query{Limit: 4, Sort: SortState}).Next, f.List(Query{Limit: 4, Desc: true}).Next} {
		if got := listed(f.List(Query{Limit: 4, After: after})); !slices.Equal(got, listed(first)) {
			t.Errorf("after %q: %v", after, got)
		}
	}
	third := f.List(Query{Limit: 4, After: second.Next})
	for _, id := range listed(third) {
		f.picture.remove(id)
	}
	if got := f.List(Query{Limit: 4, After: second.Next}); !slices.Equal(listed(got), listed(second)) || got.Next != "" || got.Total != 8 {
		t.Errorf("a page that has gone: %v", listed(got))
	}
	f.picture.remove("d1")
	if got := f.List(Query{Limit: 4, After: second.Prev}); !slices.Equal(listed(got), []string{"d0", "d2", "d3", "d4"}) || got.Prev != "" {
		t.Errorf("the first page after a removal: %v", listed(got))
	}
}
