package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

// change is a write of a device as the feed tells of it.
func change(t *testing.T, device, etag string) Entry {
	return Entry{
		Time: noon, Hub: "local", DeviceID: device, Section: Desired, Source: FromFeed, Who: "service", ETag: iothub.ETag(etag), Version: 2,
		Patch: doc(t, `{"interval":30}`), Old: doc(t, `{"interval":60}`),
	}
}

func read(t *testing.T, s *Store, q JournalQuery) (list []Entry) {
	t.Helper()
	q.Hub = "local"
	list, err := s.Journal(t.Context(), q, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func observe(t *testing.T, s *Store, entries ...Entry) int {
	t.Helper()
	fresh, err := s.Observe(t.Context(), entries...)
	if err != nil {
		t.Fatal(err)
	}
	return len(fresh)
}

func record(t *testing.T, s *Store, entries ...Entry) []int64 {
	t.Helper()
	ids, err := s.Record(t.Context(), entries...)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestOneWriteIsOneEntry tells of a write twice, in either order.
func TestOneWriteIsOneEntry(t *testing.T) {
	told := change(t, "d", "AAAAAAAAAAI=")
	own := told
	own.Who, own.Screen, own.Version = "", "twin", 0
	t.Run("the dashboard first", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
		ids := record(t, s, own)
		if n := observe(t, s, told); n != 0 {
			t.Errorf("%d entries are new", n)
		}
		if list := read(t, s, JournalQuery{}); len(list) != 1 || list[0].ID != ids[0] || list[0].Source != FromDashboard || list[0].Screen != "twin" {
			t.Errorf("%+v", list)
		}
	})
	t.Run("the feed first", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
		observe(t, s, told)
		ids := record(t, s, own)
		if list := read(t, s, JournalQuery{}); len(list) != 1 || list[0].ID != ids[0] || list[0].Source != FromDashboard || list[0].Who != "" || list[0].Version != 2 {
			t.Errorf("%+v", list)
		}
	})
	t.Run("a read first", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
		noticed := told
		noticed.Source, noticed.Who = FromRead, ""
		observe(t, s, noticed)
		if n := observe(t, s, told) + observe(t, s, noticed); n != 1 {
			t.Errorf("%d are new, want the feed's", n)
		}
		if list := read(t, s, JournalQuery{}); len(list) != 1 || list[0].Source != FromFeed || list[0].Who != "service" {
			t.Errorf("%+v", list)
		}
	})
	t.Run("a device made again at once counts anew", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
		deleted := Entry{Time: noon.Add(time.Second), Hub: "local", DeviceID: "d", Section: State, Source: FromFeed}
		again := told
		again.Time = noon.Add(2 * time.Second)
		observe(t, s, told, deleted, again, again)
		if list := read(t, s, JournalQuery{Section: Desired}); len(list) != 2 {
			t.Errorf("%d entries, want 2: %+v", len(list), list)
		}
	})
	t.Run("a device made again counts anew", func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
		later := told
		later.Time = noon.Add(2 * sameWrite)
		tags := told
		tags.Section = Tags
		observe(t, s, told, tags, later)
		record(t, s, own, own)
		if list := read(t, s, JournalQuery{}); len(list) != 4 {
			t.Errorf("%d entries, want 4: %+v", len(list), list)
		}
	})
}

// TestJournalIsInOrderOfTime writes a state down after what happened later, and
// goes through the journal page by page while more comes.
func TestJournalIsInOrderOfTime(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	at := func(seconds int, device string) Entry {
		e := change(t, device, device)
		e.Time = noon.Add(time.Duration(seconds) * time.Second)
		return e
	}
	state := Entry{Time: noon.Add(2 * time.Second), Hub: "local", DeviceID: "2", Section: State, Was: iothub.InSync, State: iothub.Rejected, Source: FromRead}
	observe(t, s, at(0, "0"), at(1, "1"), at(3, "3"), at(4, "4"), state)
	for _, filter := range []JournalQuery{{}, {Who: "service"}} {
		var got []string
		filter.Hub = "local"
		for page := filter; ; {
			list, err := s.Journal(t.Context(), page, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				got = append(got, e.DeviceID)
			}
			if len(list) < 2 {
				break
			}
			page.Before = ParsePlace(list[1].Place().String())
			observe(t, s, at(9, "later"+strings.Join(got, "")))
		}
		got = slices.DeleteFunc(got, func(id string) bool { return strings.HasPrefix(id, "later") })
		want := []string{"4", "3", "2", "1", "0"}
		if filter.Who != "" {
			want = []string{"4", "3", "1", "0"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v gives %v, want %v", filter, got, want)
		}
	}
	if n, err := s.JournalCount(t.Context(), JournalQuery{Hub: "local", Section: State, After: 4}, 9); err != nil || n != 1 {
		t.Errorf("the state that was written down last counts %d, %v", n, err)
	}
	for _, s := range []string{"", "7", "x-1", "1-", "1-2-3"} {
		if p := ParsePlace(s); p != (Place{}) {
			t.Errorf("%q is the place %s", s, p)
		}
	}
}

func TestJournalQuery(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	module := change(t, "Pump-1", "C")
	module.ModuleID = "m"
	tags := change(t, "gate", "B")
	tags.Section, tags.Who = Tags, "iothubowner"
	elsewhere := change(t, "Pump-1", "D")
	elsewhere.Hub = "cloud"
	state := Entry{Time: noon, Hub: "local", DeviceID: "gate", Section: State, Was: iothub.InSync, State: iothub.Rejected, Source: FromFeed}
	observe(t, s, change(t, "Pump-1", "A"), tags, module, elsewhere, state) // 1 2 3 4 5
	record(t, s, change(t, "pump-2", "E"))                                  // 6
	for name, c := range map[string]struct {
		q    JournalQuery
		want []int64
	}{
		"all of the hub":    {JournalQuery{}, []int64{6, 5, 3, 2, 1}},
		"a device":          {JournalQuery{DeviceID: "Pump-1"}, []int64{1}},
		"a module":          {JournalQuery{DeviceID: "Pump-1", ModuleID: "m"}, []int64{3}},
		"a part of the id":  {JournalQuery{Part: "PUMP"}, []int64{6, 3, 1}},
		"no pattern":        {JournalQuery{Part: "%"}, nil},
		"nor a single one":  {JournalQuery{Part: "p_mp"}, nil},
		"no escape":         {JournalQuery{Part: `\`}, nil},
		"a section":         {JournalQuery{Section: State}, []int64{5}},
		"made here":         {JournalQuery{Source: FromDashboard}, []int64{6}},
		"made by others":    {JournalQuery{Others: true}, []int64{3, 2, 1}},
		"a policy":          {JournalQuery{Who: "iothubowner"}, []int64{2}},
		"between two":       {JournalQuery{After: 1, Before: Place{micros(noon), 5}}, []int64{3, 2}},
		"several at a time": {JournalQuery{Others: true, Part: "pump", Before: Place{micros(noon), 3}}, []int64{1}},
	} {
		var got []int64
		for _, e := range read(t, s, c.q) {
			got = append(got, e.ID)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
		c.q.Hub = "local"
		if n, err := s.JournalCount(t.Context(), c.q, 2); err != nil || n != min(2, len(c.want)) {
			t.Errorf("%s: counts %d, %v", name, n, err)
		}
	}
	state.ID = 5
	if d := cmp.Diff([]Entry{state}, read(t, s, JournalQuery{Section: State})); d != "" {
		t.Error(d)
	}
}

// TestJournalIsReadInOrder looks at SQLite's plans: a query that sorts reads the
// whole journal for one page of it.
func TestJournalIsReadInOrder(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	for name, q := range map[string]JournalQuery{
		"all": {}, "a page of all": {Before: Place{micros(noon), 50}}, "a section": {Section: State}, "made here": {Source: FromDashboard},
		"a device": {DeviceID: "d", Before: Place{micros(noon), 50}}, "a device's tags made here": {DeviceID: "d", Source: FromDashboard, Section: Tags},
	} {
		q.Hub = "local"
		where, args := q.where()
		if !q.indexed() {
			t.Errorf("%s is searched for", name)
		}
		plan := planOf(t, s, "SELECT "+entryColumns+" FROM journal WHERE "+where+" ORDER BY at DESC, id DESC LIMIT 51", args...)
		if !strings.Contains(plan, "USING INDEX") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s: %s", name, plan)
		}
	}
}

// TestJournalSearch finds the same in memory as one who reads all of the journal,
// while it is written and pruned.
func TestJournalSearch(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for round := range 60 {
		var list []Entry
		for range 1 + r.IntN(20) {
			e := change(t, pick("Pump-1", "pump-2", "gate%", "100_1"), fmt.Sprint(r.IntN(30)))
			e.Section, e.Source, e.Who = Section(pick("tags", "desired", "state")), Source(pick("feed", "read")), pick("", "service", "iothubowner")
			e.Time = noon.Add(time.Duration(r.IntN(3)) * time.Second) // not in order
			list = append(list, e)
		}
		if r.IntN(2) == 0 {
			observe(t, s, list...)
		} else {
			record(t, s, list...) // takes the place of what the feed has told
		}
		if round%10 == 9 {
			if err := s.Prune(t.Context(), "local", JournalLimits{Own: 60, Others: 80}); err != nil {
				t.Fatal(err)
			}
		}
		all := read(t, s, JournalQuery{})
		for range 20 {
			q := JournalQuery{
				Hub: "local", Part: pick("", "PUMP", "%", "1", "nothing"), Who: pick("", "service", "nobody"), Others: r.IntN(2) == 0, Section: Section(pick("", "tags", "state")),
				Source: Source(pick("", "", "dashboard", "read")), Before: pickEntry(r, all).Place(), After: pickEntry(r, all).ID,
			}
			var want []Entry
			for _, e := range all {
				if q.asksFor(e) && len(want) < 7 {
					want = append(want, e)
				}
			}
			got, err := s.Journal(t.Context(), q, 7)
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Fatalf("%+v: %v\n%s", q, err, d)
			}
			if n, err := s.JournalCount(t.Context(), q, 7); err != nil || n != len(want) {
				t.Errorf("%+v counts %d, want %d: %v", q, n, len(want), err)
			}
		}
	}
}

// pickEntry is one of the list, or none.
func pickEntry(r *rand.Rand, list []Entry) Entry {
	if len(list) == 0 || r.IntN(2) == 0 {
		return Entry{Time: fromMicros(0)}
	}
	return list[r.IntN(len(list))]
}

// asksFor is what the fields of a query say.
func (q JournalQuery) asksFor(e Entry) bool {
	return strings.Contains(strings.ToLower(e.DeviceID), strings.ToLower(q.Part)) &&
		(q.Section == "" || e.Section == q.Section) && (q.Source == "" || e.Source == q.Source) && (q.Who == "" || e.Who == q.Who) &&
		(!q.Others || e.Source != FromDashboard && e.Section != State) && (q.After == 0 || e.ID > q.After) && (q.Before == Place{} || e.Place().Compare(q.Before) < 0)
}

// planOf is how SQLite would answer a query.
func planOf(t *testing.T, s *Store, query string, args ...any) (plan string) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			id, parent, unused int
			detail             string
		)
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan += detail + "; "
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestJournalDeletions(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	deleted := func(device, module string, after time.Duration) Entry {
		return Entry{Time: noon.Add(after), Hub: "local", DeviceID: device, ModuleID: module, Section: State, Source: FromFeed}
	}
	late, module, again := deleted("d", "", time.Hour), deleted("d", "m", time.Minute), deleted("d", "", time.Minute)
	silent, elsewhere := deleted("e", "", 0), deleted("d", "", 2*time.Hour)
	silent.State, elsewhere.Hub = iothub.Silent, "cloud"
	observe(t, s, change(t, "d", "A"), late, module, again, silent, elsewhere, deleted("f", "", 0))
	list, err := s.JournalDeletions(t.Context(), "local", []string{"d", "e", "e"})
	var got []Place
	for _, e := range list {
		if !e.Deletion() {
			t.Errorf("%+v is no deletion", e)
		}
		got = append(got, e.Place())
	}
	late.ID, module.ID = 2, 3
	if want := []Place{late.Place(), module.Place()}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, want %v, %v", got, want, err)
	}
}

func TestPrune(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	for i := range 10 {
		e := change(t, fmt.Sprint("d", i), "A")
		e.Time = noon.Add(time.Duration(i) * time.Hour)
		observe(t, s, e)
		record(t, s, change(t, fmt.Sprint("own", i), "A"))
	}
	if err := s.Prune(t.Context(), "cloud", JournalLimits{Since: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, s, JournalQuery{})); n != 20 {
		t.Fatalf("another hub's limits leave %d", n)
	}
	if err := s.Prune(t.Context(), "local", JournalLimits{Own: 8, Others: 3}); err != nil {
		t.Fatal(err)
	}
	others, own := read(t, s, JournalQuery{Others: true}), read(t, s, JournalQuery{Source: FromDashboard})
	if len(others) != 3 || others[2].DeviceID != "d7" || len(own) != 8 || own[7].DeviceID != "own2" {
		t.Errorf("%d and %d entries are left", len(others), len(own))
	}
	if err := s.Prune(t.Context(), "local", JournalLimits{Own: 100, Others: 100, Since: noon.Add(9 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if list := read(t, s, JournalQuery{}); len(list) != 1 || list[0].DeviceID != "d9" {
		t.Errorf("by age, %d are left: %+v", len(list), list)
	}
}

func TestWatched(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for _, minute := range []int{0, 1, 2, 1, 10, 11} {
		if err := s.Watch(t.Context(), "local", at(minute), 2*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Watch(t.Context(), "cloud", at(3), time.Hour); err != nil {
		t.Fatal(err)
	}
	got, err := s.Watched(t.Context(), "local")
	if d := cmp.Diff([]Span{{at(0), at(2)}, {at(10), at(11)}}, got); d != "" || err != nil {
		t.Error(err, d)
	}
	if err := s.Prune(t.Context(), "local", JournalLimits{Since: at(5)}); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Watched(t.Context(), "local"); len(got) != 1 {
		t.Errorf("after pruning: %v", got)
	}
}

// TestJournalOfAnOlderFile opens a file of the first version.
func TestJournalOfAnOlderFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboard.db")
	s, ctx := openOld(t, path, 1), t.Context()
	if _, err := s.db.ExecContext(ctx, `INSERT INTO journal (at, hub, device_id, module_id, section, patch, old, who, screen, etag)
		VALUES (?, 'local', 'd', '', 'tags', '{"a":1}', '{"a":null}', '', 'twin', 'A')`, micros(noon)); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	want := []Entry{{
		ID: 1, Time: noon, Hub: "local", DeviceID: "d", Section: Tags, Source: FromDashboard, Screen: "twin", ETag: "A",
		Patch: doc(t, `{"a":1}`), Old: doc(t, `{"a":null}`),
	}}
	if d := cmp.Diff(want, read(t, s, JournalQuery{})); d != "" {
		t.Error(d)
	}
}

// BenchmarkObserve is what a thousand changes of a fleet cost, written as they
// are: in one transaction, into a journal of its full size.
func BenchmarkObserve(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "dashboard.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	limits := JournalLimits{Own: 20_000, Others: 100_000}
	thousand := func(round int) []Entry {
		list := make([]Entry, 1000)
		for i := range list {
			list[i] = Entry{
				Time: noon.Add(time.Duration(round) * time.Second), Hub: "local", DeviceID: fmt.Sprintf("device-%05d", (round*1000+i)%50_000), Section: Desired, Source: FromFeed,
				Who: "service", ETag: iothub.ETag(fmt.Sprint(round)), Version: 2,
				Patch: iothub.Document{"interval": "30", "mode": "eco"}, Old: iothub.Document{"interval": "60", "mode": nil},
			}
		}
		return list
	}
	put := func(round int) error {
		if _, err := s.Observe(context.Background(), thousand(round)...); err != nil {
			return err
		}
		return s.Prune(context.Background(), "local", limits)
	}
	round := 0
	for ; round < 100; round++ {
		if err := put(round); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := put(round); err != nil {
			b.Fatal(err)
		}
		round++
	}
}

// BenchmarkJournalFilter is a page of the journal at its full size, for filters
// that match nothing, little and everything.
func BenchmarkJournalFilter(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "dashboard.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for round := range 100 {
		list := make([]Entry, 1000)
		for i := range list {
			n := round*1000 + i
			list[i] = Entry{
				Time: noon.Add(time.Duration(round) * time.Second), Hub: "local", DeviceID: fmt.Sprintf("device-%05d", n%50_000), Section: Desired, Source: FromFeed,
				Who: "service", ETag: iothub.ETag(fmt.Sprint(n)), Version: 2,
				Patch: iothub.Document{"interval": "30", "mode": "eco"}, Old: iothub.Document{"interval": "60", "mode": nil},
			}
			if n%100 == 0 {
				list[i].Section = Tags
			}
		}
		if _, err := s.Observe(b.Context(), list...); err != nil {
			b.Fatal(err)
		}
	}
	for name, q := range map[string]JournalQuery{
		"all": {}, "no device": {Part: "gate"}, "one device": {Part: "ICE-00007"}, "every device": {Part: "device"},
		"no policy": {Who: "nobody"}, "no state": {Section: State}, "tags of no policy": {Section: Tags, Who: "nobody"}, "settings of no policy": {Section: Desired, Who: "nobody"},
		"made here": {Source: FromDashboard}, "others' of no device": {Others: true, Part: "gate"}, "everything at once": {Others: true, Part: "gate", Section: Desired, Who: "service"},
	} {
		q.Hub = "local"
		b.Run(name, func(b *testing.B) {
			if err := s.Warm(b.Context(), "local"); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := s.Journal(b.Context(), q, 51); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
