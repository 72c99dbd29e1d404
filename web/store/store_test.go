package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// openOld makes a file as it was after so many steps.
func openOld(t *testing.T, path string, step int) *Store {
	t.Helper()
	s := &Store{db: sql.OpenDB(connector{dsn: dsn(path)})}
	t.Cleanup(func() { _ = s.Close() })
	if err := migrate(t.Context(), s.db, steps(schema)[:step]); err != nil {
		t.Fatal(err)
	}
	return s
}

func doc(t *testing.T, text string) iothub.Document {
	t.Helper()
	d, err := iothub.ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

func TestOpen(t *testing.T) {
	t.Run("the file is the owner's alone, and so are its side files", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "new", "dashboard.db")
		s := open(t, path)
		if err := s.SetSetting(t.Context(), "local", "grace", "60"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{path, path + "-wal", path + "-shm"} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %o, want 600", filepath.Base(name), info.Mode().Perm())
			}
		}
	})
	t.Run("its path may be relative", func(t *testing.T) {
		t.Chdir(t.TempDir())
		for _, path := range []string{filepath.Join("some data", "dashboard.db"), "dash?board%20.db"} {
			open(t, path)
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
	})
	t.Run("what was kept is there after reopening", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "it's 100% ? # mine.db")
		first := open(t, path)
		if err := first.SetSetting(t.Context(), "local", "grace", "60"); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		got, ok, err := open(t, path).Setting(t.Context(), "local", "grace")
		if err != nil || !ok || got != "60" {
			t.Errorf("got %q, %v, %v", got, ok, err)
		}
	})
	t.Run("a newer file is refused and left alone", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dashboard.db")
		s := open(t, path)
		if _, err := s.db.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path); !errors.Is(err, ErrNewer) {
			t.Errorf("got %v, want ErrNewer", err)
		}
	})
	t.Run("a folder that is a file", func(t *testing.T) {
		blocked := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(blocked, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), filepath.Join(blocked, "dashboard.db")); err == nil {
			t.Error("opened")
		}
	})
}

func TestPragmasAreReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboard.db")
	open(t, path)
	for _, p := range pragmas {
		conn, err := connector{dsn: dsn(path)}.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := readPragma(t.Context(), conn, p.name)
		if err != nil || got != p.reads {
			t.Errorf("%s = %q, %v; want %q", p.name, got, err, p.reads)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	var plain driver.Connector = connector{dsn: "file:" + path + "?_pragma=synchronous(OFF)"}
	if conn, err := plain.Connect(t.Context()); err == nil {
		t.Error("a connection that does not sync was accepted")
		_ = conn.Close()
	}
}

func TestMigrate(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	if err := s.SetSetting(t.Context(), "local", "grace", "60"); err != nil {
		t.Fatal(err)
	}
	more := append(steps(schema), "2\nALTER TABLE setting ADD COLUMN note TEXT NOT NULL DEFAULT 'none';")
	if err := migrate(t.Context(), s.db, more); err != nil {
		t.Fatal(err)
	}
	var note string
	if err := s.db.QueryRowContext(t.Context(), `SELECT note FROM setting`).Scan(&note); err != nil || note != "none" {
		t.Errorf("got %q, %v", note, err)
	}
	broken := slices.Concat(more, []string{"3\nCREATE TABLE half (a TEXT); CREATE TABLE half (a TEXT);"})
	if err := migrate(t.Context(), s.db, broken); err == nil {
		t.Fatal("a broken step passed")
	}
	if _, err := s.db.ExecContext(t.Context(), `SELECT * FROM half`); err == nil {
		t.Error("half of a broken step stayed")
	}
	var version int
	if err := s.db.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&version); err != nil || version != len(more) {
		t.Errorf("version %d, %v; want %d", version, err, len(more))
	}
}

func TestSetting(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	if _, ok, err := s.Setting(t.Context(), "local", "grace"); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	for _, set := range []struct{ hub, value string }{{"local", "60"}, {"cloud", "90"}, {"local", "30"}} {
		if err := s.SetSetting(t.Context(), set.hub, "grace", set.value); err != nil {
			t.Fatal(err)
		}
	}
	for hub, want := range map[string]string{"local": "30", "cloud": "90"} {
		if got, ok, err := s.Setting(t.Context(), hub, "grace"); err != nil || !ok || got != want {
			t.Errorf("%s: %q, %v, %v; want %q", hub, got, ok, err, want)
		}
	}
}

func TestTutorial(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	ctx := t.Context()
	if err := s.SetTutorialStep(ctx, "local", "hub", Step{State: "done", At: noon}); err == nil {
		t.Error("a step was kept before the walk began")
	}
	if err := s.StartTutorial(ctx, "local", "myDevice", noon); err != nil {
		t.Fatal(err)
	}
	detail := json.RawMessage(`{"rows":1}`)
	for _, step := range []Step{{State: "open", At: noon}, {State: "done", At: noon.Add(time.Second), Detail: detail}} {
		if err := s.SetTutorialStep(ctx, "local", "query", step); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := s.Tutorial(ctx, "local")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	want := Tutorial{DeviceID: "myDevice", Started: noon, Steps: map[string]Step{
		"query": {State: "done", At: noon.Add(time.Second), Detail: detail},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := s.StartTutorial(ctx, "local", "second", noon); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := s.Tutorial(ctx, "local"); got.DeviceID != "second" || len(got.Steps) != 0 {
		t.Errorf("a new walk kept the old one: %+v", got)
	}
	if err := s.ResetTutorial(ctx, "local"); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Tutorial(ctx, "local"); ok || err != nil {
		t.Errorf("after reset: %v, %v", ok, err)
	}
}

func TestJournal(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	ctx := t.Context()
	tags := Entry{
		Time: noon, Hub: "local", DeviceID: "O'Neil", Section: Tags, Who: "you", Screen: "twin",
		Patch: doc(t, `{"location":{"plant":"Redmond43"},"old":null}`),
		Old:   doc(t, `{"location":{"plant":null},"old":1.0}`), ETag: "AAAAAAAAAAI=",
		Source: FromDashboard,
	}
	desired := tags
	desired.Section, desired.Patch, desired.Old = Desired, doc(t, `{"power_level":1}`), nil
	other := tags
	other.DeviceID = "other"
	ids, err := s.Record(ctx, tags, desired, other)
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
	tags.ID, desired.ID, other.ID = ids[0], ids[1], ids[2]

	one := JournalQuery{Hub: "local", DeviceID: "O'Neil"}
	list, err := s.Journal(ctx, one, 10)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Entry{desired, tags}, list); d != "" {
		t.Error("the journal is not what was recorded, newest first:\n" + d)
	}
	if list, err = s.Journal(ctx, JournalQuery{Hub: "local", DeviceID: "O'Neil", Before: desired.Place()}, 1); err != nil || len(list) != 1 || list[0].ID != tags.ID {
		t.Errorf("the page before: %v, %v", list, err)
	}
	if got, err := s.Entry(ctx, "local", tags.ID); err != nil || got.Old["old"] != json.Number("1.0") {
		t.Errorf("the number was not kept as written: %v, %v", got.Old, err)
	}
	if _, err := s.Entry(ctx, "cloud", tags.ID); !errors.Is(err, ErrNoEntry) {
		t.Errorf("an entry of another hub: %v, want ErrNoEntry", err)
	}
	bad := desired
	bad.Section = "reported"
	if _, err := s.Record(ctx, desired, bad); err == nil {
		t.Error("a section nobody writes was accepted")
	}
	if list, _ := s.Journal(ctx, one, 10); len(list) != 2 {
		t.Errorf("half of a refused record stayed: %d entries", len(list))
	}
}

func TestManyWritersAtOnce(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	const writers, each = 8, 10
	entry := Entry{Time: noon, Hub: "local", DeviceID: "d", Section: Tags, Patch: doc(t, `{"a":1}`)}
	errs := make(chan error, writers)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() { errs <- recordTimes(t.Context(), s, entry, each) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	list, err := s.Journal(t.Context(), JournalQuery{Hub: "local", DeviceID: "d"}, 1000)
	if err != nil || len(list) != writers*each {
		t.Errorf("%d entries, %v; want %d", len(list), err, writers*each)
	}
}

func recordTimes(ctx context.Context, s *Store, e Entry, n int) error {
	for range n {
		if _, err := s.Record(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
