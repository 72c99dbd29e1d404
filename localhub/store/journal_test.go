package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

func commit(t testing.TB, s *Store, b *Batch) {
	t.Helper()
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
}

// edit commits an edit of a record and returns the record as it is then.
func edit(t testing.TB, s *Store, old *Record, e Edit) *Record {
	t.Helper()
	b := &Batch{}
	next := b.edit(old, e, noon)
	commit(t, s, b)
	return next
}

func (b *Batch) edit(old *Record, e Edit, at time.Time) *Record {
	next := *old
	next.Twin = e.Apply(old.Twin, at)
	b.Edits = append(b.Edits, Edited{e, at, &next})
	return &next
}

func fold(t testing.TB, s *Store, n int) {
	t.Helper()
	if _, err := s.Fold(n); err != nil {
		t.Fatal(err)
	}
}

// crashed is a file as a hub leaves it that is killed at this moment.
func crashed(t testing.TB, path string) string {
	t.Helper()
	copied := t.TempDir() + "/hub.db"
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(copied+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// inRow is the twin as its own row has it, and how many rows the journal has.
func inRow(t testing.TB, s *Store, id string) (version int64, journal int) {
	t.Helper()
	if err := s.readers.QueryRow(`SELECT t.etag + t.reported_version, (SELECT count(*) FROM journal)
		FROM identities JOIN twins t USING (id) WHERE device_id = ?`, id).Scan(&version, &journal); err != nil {
		t.Fatal(err)
	}
	return version, journal
}

func wantRecord(t interface{ Errorf(string, ...any) }, s *Store, want *Record) {
	got, err := s.Record(context.Background(), want.DeviceID, want.ModuleID)
	// What is removed last leaves an empty map in memory alone.
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), exceptHeap); d != "" || err != nil {
		t.Errorf("%s: %v (-want +got):\n%s", want.DeviceID, err, d)
	}
	if err == nil && want.Memory() != got.Memory() {
		t.Errorf("%s takes %d bytes by estimate, read anew %d", want.DeviceID, want.Memory(), got.Memory())
	}
}

func genDocument() *rapid.Generator[iothub.Document] {
	value := rapid.SampledFrom([]string{"1", "1.0", `"x<&>"`, "null", "true", `["a",{"b":1}]`, "{}", `{"c":1}`, `{"c":null,"d":{"e":"y"}}`})
	return rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", `q"\ü`, ""}), value, 0, 3), func(m map[string]string) iothub.Document {
		d := iothub.Document{}
		for k, text := range m {
			d[k], _ = iothub.ParseValue([]byte(text)) // all are well formed
		}
		return d
	})
}

func genEdit() *rapid.Generator[Edit] {
	return rapid.Custom(func(t *rapid.T) (e Edit) {
		d := genDocument()
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			e.Reported = d.Draw(t, "reported")
		case 1:
			e.Tags, e.Desired = d.Draw(t, "tags"), d.Draw(t, "desired")
		case 2:
			e.ReplaceTags, e.ReplaceDesired = d.Draw(t, "all tags"), d.Draw(t, "all desired")
		case 3:
			e.ReplaceTags, e.Desired = iothub.Document{}, d.Draw(t, "desired")
		case 4:
			e.Tags = d.Draw(t, "tags")
		default:
			e.Desired = d.Draw(t, "desired")
		}
		return e
	})
}

// TestWhatWasCommittedIsReadAtAnyTime writes, folds, deletes and crashes at
// random: a record is read as it was committed last, before and after.
func TestWhatWasCommittedIsReadAtAnyTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		path := newFile(t)
		s := openStore(t, path)
		present := map[string]*Record{}
		at := noon
		for range rapid.IntRange(1, 8).Draw(r, "commits") {
			b := &Batch{}
			for range rapid.IntRange(1, 4).Draw(r, "writes") {
				at = at.Add(time.Second)
				id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "id")
				if present[id] != nil && present[id].Key != 0 {
					present[id] = b.edit(present[id], genEdit().Draw(r, "edit"), at)
				} else if present[id] == nil {
					present[id] = plain(id)
					b.Insert = append(b.Insert, present[id])
				}
			}
			commit(t, s, b)
			switch id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "other"); rapid.IntRange(0, 7).Draw(r, "then") {
			case 0:
				fold(t, s, rapid.IntRange(1, 3).Draw(r, "rows"))
			case 1: // as a hub that was killed
				s = openStore(t, crashed(t, path))
				path = s.path
			case 2:
				if err := s.Close(); err != nil {
					r.Fatal(err)
				}
				s = openStore(t, path)
				if len(s.overdue.twins) > 0 {
					r.Errorf("a closed file has %d rows that lag behind", len(s.overdue.twins))
				}
			case 3:
				if old := present[id]; old != nil {
					commit(t, s, &Batch{Delete: []int64{old.Key}})
					delete(present, id)
				}
			case 4: // otherwise than by an edit
				if old := present[id]; old != nil {
					next := *old
					next.ModelID, next.StatusReason = "dtmi:x;1", "moved"
					present[id] = &next
					commit(t, s, &Batch{Twins: []*Record{&next}, Identities: []*Record{&next}})
				}
			case 5:
				if old := present[id]; old != nil {
					next := *old
					next.StatusReason = "why"
					present[id] = &next
					commit(t, s, &Batch{Identities: []*Record{&next}})
				}
			}
			for _, want := range present {
				wantRecord(r, s, want)
			}
			if total, _, err := s.Count(context.Background()); total != len(present) || err != nil {
				r.Errorf("%d devices instead of %d, %v", total, len(present), err)
			}
		}
	})
}

func TestRowsFollowTheJournal(t *testing.T) {
	s := openStore(t, newFile(t))
	a, b := plain("a"), plain("b")
	commit(t, s, &Batch{Insert: []*Record{a, b}})
	want := func(id string, version int64, journal int) {
		t.Helper()
		if v, n := inRow(t, s, id); v != version || n != journal {
			t.Errorf("row of %s is at version %d with %d rows in the journal, want %d and %d", id, v, n, version, journal)
		}
	}
	more := func(n int, want bool) {
		t.Helper()
		if got, err := s.Fold(n); got != want || err != nil {
			t.Errorf("more to do: %v, %v", got, err)
		}
	}
	more(10, false)
	for range 3 {
		a = edit(t, s, a, Edit{Tags: document(t, `{"n":1}`)})
	}
	b = edit(t, s, b, Edit{Reported: document(t, `{"n":1}`)})
	want("a", 2, 4)
	more(1, true)
	want("a", 5, 1) // b needs the last
	want("b", 2, 1)
	a = edit(t, s, a, Edit{Desired: document(t, `{"n":1}`)})
	more(1, true)
	want("b", 3, 1)
	want("a", 5, 1)
	more(1, false)
	want("a", 6, 0)
	more(1, false)
	wantRecord(t, s, a)
	wantRecord(t, s, b)
}

// TestReadersSeeWhatRowsLack asks in each way there is for a twin whose row lags
// behind, and in views that were there before.
func TestReadersSeeWhatRowsLack(t *testing.T) {
	s := openStore(t, newFile(t))
	d, m := plain("d"), plain("d")
	m.ModuleID = "m"
	commit(t, s, &Batch{Insert: []*Record{d, m}})
	look := func(v *View) string {
		t.Helper()
		rows, err := v.Rows(t.Context(), []int64{d.Key, m.Key})
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		seen := fmt.Sprintf("%s %s %d", rows[0].Tags, rows[1].Reported.Value, rows[0].Version())
		err = v.Scan(t.Context(), Scan{Paths: [][]string{{"tags", "n"}}, Visit: func(f Found) bool {
			if f.Fresh != nil {
				seen += fmt.Sprint(" fresh ", f.Fresh.Tags["n"])
			} else {
				seen += " stored " + f.Values[0]
			}
			return true
		}})
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	want := func(v *View, want string) {
		t.Helper()
		if got := look(v); got != want {
			t.Errorf("seen %q, want %q", got, want)
		}
	}
	view := func(f func(*View)) {
		t.Helper()
		if err := s.View(t.Context(), func(v *View) error { f(v); return nil }); err != nil {
			t.Error(err)
		}
	}
	view(func(v *View) {
		want(v, "{} {} 2 stored ")
		d = edit(t, s, d, Edit{Tags: document(t, `{"n":1}`)})
		m = edit(t, s, m, Edit{Reported: document(t, `{"n":7}`)})
		want(v, "{} {} 2 stored ")
	})
	view(func(v *View) {
		want(v, `{"n":1} {"n":7} 3 fresh 1`)
		d = edit(t, s, d, Edit{Tags: document(t, `{"n":2}`)})
		fold(t, s, 10)
		want(v, `{"n":1} {"n":7} 3 fresh 1`)
		view(func(v *View) { want(v, `{"n":2} {"n":7} 4 stored 2`) })
		d = edit(t, s, d, Edit{Tags: document(t, `{"n":3}`)})
		want(v, `{"n":1} {"n":7} 3 fresh 1`)
	})
	wantRecord(t, s, d)
	wantRecord(t, s, m)
	m = edit(t, s, m, Edit{Reported: document(t, `{"n":8}`)})
	for name, got := range map[string]func() (*Record, error){
		"one to write": func() (*Record, error) { return s.RecordForWrite("d", "m") },
		"of a device": func() (*Record, error) {
			all, err := s.ModulesForWrite("d")
			return all[0], err
		},
	} {
		r, err := got()
		if diff := cmp.Diff(m, r, exceptHeap); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// TestReadersNeverMissAWrite reads while rows are brought up to date all the time.
func TestReadersNeverMissAWrite(t *testing.T) {
	s := openStore(t, newFile(t))
	r := plain("d")
	commit(t, s, &Batch{Insert: []*Record{r}})
	var committed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				before := committed.Load()
				got, err := s.Record(t.Context(), "d", "")
				if err != nil || got.Version() < before {
					t.Errorf("version %d was committed, %d is read, %v", before, got.Version(), err)
					return
				}
			}
		})
	}
	for range 500 {
		r = edit(t, s, r, Edit{Reported: iothub.Document{"n": "x"}})
		committed.Store(r.Version())
		fold(t, s, 1)
	}
	stop()
	readers.Wait()
}

func TestAFullDiskLosesNothingOfTheJournal(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	r := plain("d")
	commit(t, s, &Batch{Insert: []*Record{r}})
	// Much longer than the pages that migrations leave free.
	r = edit(t, s, r, Edit{Tags: iothub.Document{"x": strings.Repeat("x", 100_000)}})
	pages := func(limit string) {
		t.Helper()
		if _, err := s.writer.ExecContext(t.Context(), `PRAGMA max_page_count = `+limit); err != nil {
			t.Fatal(err)
		}
	}
	pages("1") // SQLite makes it the present size
	_, err := s.Fold(1)
	wantKind(t, err, Full)
	wantRecord(t, s, r)
	wantRecord(t, openStore(t, crashed(t, path)), r)
	pages("100000")
	fold(t, s, 1)
	if version, journal := inRow(t, s, "d"); version != r.Version() || journal != 0 {
		t.Errorf("with space again, the row is at version %d and the journal has %d rows", version, journal)
	}
	wantRecord(t, s, r)
}

func TestMemoryOfTheJournalIsBounded(t *testing.T) {
	s := openStore(t, newFile(t))
	big := iothub.Document{}
	for i := range 8 {
		big[fmt.Sprint(i)] = strings.Repeat("x", 4000)
	}
	var records []*Record
	for i := range 400 {
		records = append(records, plain(fmt.Sprint("d", i)))
	}
	commit(t, s, &Batch{Insert: records})
	for from := 0; from < len(records); from += 50 {
		b := &Batch{}
		for i := from; i < from+50; i++ {
			records[i] = b.edit(records[i], Edit{Reported: big}, noon)
		}
		commit(t, s, b)
	}
	commit(t, s, &Batch{Activity: []Activity{{DeviceID: "d0"}}}) // whatever comes next
	if held, all := s.overdue.memory, len(records)*records[0].Memory(); held > overdueBytes || all < overdueBytes {
		t.Errorf("%d bytes are held of %d, %d are allowed", held, all, overdueBytes)
	}
	if n := len(s.overdue.twins); n == 0 || n == len(records) {
		t.Errorf("%d twins are held", n)
	}
	for _, r := range records {
		wantRecord(t, s, r)
	}
}

func TestOthersLeaveTheJournalAlone(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	r := plain("d")
	commit(t, s, &Batch{Insert: []*Record{r}})
	r = edit(t, s, r, Edit{Tags: document(t, `{"n":1}`)})
	beside, err := OpenBeside(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	err = beside.AddPolicies(t.Context(), func([]Policy) ([]Policy, error) { return []Policy{{"a", "k1", "k2", "RegistryRead"}}, nil })
	if err != nil || beside.Close() != nil {
		t.Fatal(err)
	}
	if version, journal := inRow(t, s, "d"); version != 2 || journal != 1 {
		t.Errorf("the row is at version %d and the journal has %d rows", version, journal)
	}
	wantRecord(t, s, r)
}

func TestADamagedJournalIsRefused(t *testing.T) {
	for name, edits := range map[string]string{
		"no JSON":   `[{"id":1,"version":3,"tags":{}`,
		"no array":  `{}`,
		"no id":     `[{"version":3,"tags":{}}]`,
		"no number": `[{"id":"1","version":3,"tags":{}}]`,
		"a gap":     `[{"id":1,"version":4,"tags":{}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			s := openStore(t, path)
			commit(t, s, &Batch{Insert: []*Record{plain("d")}})
			if _, err := s.writer.ExecContext(t.Context(), `INSERT INTO journal (at, edits) VALUES ('2026-11-22T12:00:00.0000000Z', ?)`, edits); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			before := fileBytes(t, path)
			_, err := Open(t.Context(), path)
			wantKind(t, err, Corrupt)
			if d := cmp.Diff(before, fileBytes(t, path)); d != "" {
				t.Error("the refused file was changed")
			}
		})
	}
}
