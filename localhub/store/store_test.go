package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"twinboard/hubclient/iothub"
)

func openStore(t *testing.T, path string) *Store {
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

func newFile(t *testing.T) string { return filepath.Join(t.TempDir(), "hub.db") }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 1234500, time.UTC)

func document(t testing.TB, text string) iothub.Document {
	t.Helper()
	d, err := iothub.ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// awkward is a record in which as much as possible is unusual.
func awkward(t testing.TB, id string) *Record {
	print := "0123456789abcdefABCDEF0123456789abcdef01"
	r := &Record{Identity: Identity{
		DeviceID: id, Generation: "638", IdentityETag: 801232426, Status: iothub.StatusEnabled, StatusReason: "in <stock> & 'ready'",
		StatusUpdated: noon, IoTEdge: true, DeviceScope: "ms-azure-iot-edge://x-1", ParentScopes: []string{"a", "b"}, ManagedBy: "iotEdge",
		Authentication: iothub.Authentication{Type: "selfSigned", X509Thumbprint: iothub.X509Thumbprint{Primary: &print}},
	}}
	r.TwinETag, r.ModelID = 7, "dtmi:com:example:Thermostat;1"
	r.Tags = document(t, `{"":"empty name","Größe":1.0,"quo\"te":{"back\\slash":"a\"b\\c\u0007"},"brackets[0]":true,
		"html":"<&>","list":[1,{"x":[]},"z"],"big":4503599627370495,"exp":1e3,"o":{},"emoji":"😀\u2028"}`)
	r.Desired = iothub.NewSection(noon).Patch(document(t, `{"fan":{"speed":3},"single'quote":[true,false]}`), noon.Add(time.Hour), true)
	r.Reported = iothub.NewSection(noon).Patch(document(t, `{"fan":{"speed":"3"}}`), noon.Add(2*time.Hour), false)
	return r
}

func plain(id string) *Record {
	r := &Record{Identity: Identity{
		DeviceID: id, Generation: "1", IdentityETag: 1, Status: iothub.StatusEnabled,
		Authentication: iothub.Authentication{Type: "sas", SymmetricKey: iothub.SymmetricKey{Primary: "a", Secondary: "b"}},
	}}
	r.TwinETag, r.Tags = 1, iothub.Document{}
	r.Desired, r.Reported = iothub.NewSection(noon), iothub.NewSection(noon)
	return r
}

// exceptHeap compares twins that were counted with such that were not.
var exceptHeap = cmpopts.IgnoreUnexported(Twin{})

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	want := []*Record{awkward(t, "a"), plain("b")}
	if err := s.Commit(&Batch{Insert: want}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	for i, w := range want {
		got, err := s.Record(t.Context(), w.DeviceID, "")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(w, got, exceptHeap); d != "" {
			t.Errorf("record %d (-want +got):\n%s", i, d)
		}
		if got.Key != int64(i+1) {
			t.Errorf("key is %d, want %d", got.Key, i+1)
		}
	}
	if _, err := s.Record(t.Context(), "A", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("ids differ in case, got %v", err)
	}
}

func TestCommitWritesAllOrNothing(t *testing.T) {
	s := openStore(t, newFile(t))
	a := plain("a")
	if err := s.Commit(&Batch{Insert: []*Record{a}}); err != nil {
		t.Fatal(err)
	}
	changed := *a
	changed.TwinETag = 2
	twice := plain("a")
	if err := s.Commit(&Batch{Twins: []*Record{&changed}, Insert: []*Record{plain("b"), twice}}); err == nil {
		t.Fatal("an id was stored twice")
	}
	if twice.Key != 0 {
		t.Error("a record that was not stored has a key")
	}
	got, err := s.Record(t.Context(), "a", "")
	if err != nil || got.TwinETag != 1 {
		t.Errorf("after a failed commit: %v, %v", got, err)
	}
	if total, enabled, err := s.Count(t.Context()); total != 1 || enabled != 1 || err != nil {
		t.Errorf("count: %d, %d, %v", total, enabled, err)
	}
	// And the store still works.
	if err := s.Commit(&Batch{Twins: []*Record{&changed}}); err != nil {
		t.Error(err)
	}
	missing := *plain("gone")
	missing.Key = 99
	if err := s.Commit(&Batch{Twins: []*Record{&missing}}); err == nil {
		t.Error("a write that met no row was taken for done")
	}
}

func TestDeleteTakesTwinAndActivityAlong(t *testing.T) {
	s := openStore(t, newFile(t))
	a := plain("a")
	if err := s.Commit(&Batch{Insert: []*Record{a}}); err != nil {
		t.Fatal(err)
	}
	seen := Activity{DeviceID: "a", LastActivity: noon, ConnectionUpdated: noon.Add(time.Second)}
	if err := s.Commit(&Batch{Activity: []Activity{{DeviceID: "unknown", LastActivity: noon}, seen}}); err != nil {
		t.Fatal(err)
	}
	var got []Activity
	collect := func(a Activity) { got = append(got, a) }
	if err := s.ActivityOf(t.Context(), collect); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Activity{seen}, got); d != "" {
		t.Errorf("activity (-want +got):\n%s", d)
	}
	if err := s.Commit(&Batch{Delete: []int64{a.Key}, Insert: []*Record{plain("a")}}); err != nil {
		t.Fatal(err)
	}
	got = nil
	if err := s.ActivityOf(t.Context(), collect); err != nil || got != nil {
		t.Errorf("the new device has the activity of the old: %v, %v", got, err)
	}
	if r, err := s.Record(t.Context(), "a", ""); err != nil || r.Key == a.Key {
		t.Errorf("the row number was used again: %v, %v", r, err)
	}
}

func TestEveryConnectionProvesItsPragmas(t *testing.T) {
	s := openStore(t, newFile(t))
	for _, pool := range []struct {
		db      *sql.DB
		pragmas []pragma
		size    int
	}{{s.readers, readerPragmas, s.readers.Stats().MaxOpenConnections}, {nil, writerPragmas, 1}} {
		for range pool.size { // all at once, so that each is another one
			conn := s.writer
			if pool.db != nil {
				var err error
				if conn, err = pool.db.Conn(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
			}
			for _, p := range pool.pragmas {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+p.name).Scan(&got); err != nil || p.want != "" && got != p.want {
					t.Errorf("%s is %q, %v; want %q", p.name, got, err, p.want)
				}
			}
		}
	}
}

func TestAConnectionWithAnotherPragmaIsRefused(t *testing.T) {
	path := newFile(t)
	for _, p := range []pragma{{"synchronous", "NORMAL", "2"}, {"no_such_pragma", "1", "1"}} {
		db, err := openPool(path, "", []pragma{p}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(); err == nil || !strings.Contains(err.Error(), p.name) {
			t.Errorf("%s: %v", p.name, err)
		}
		db.Close()
	}
	if _, err := openStore(t, path).readers.Exec(`DELETE FROM identities`); err == nil {
		t.Error("a reader wrote")
	}
}

// fileBytes reads all files of the folder but those that carry no content.
func fileBytes(t *testing.T, path string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if len(b) > 0 {
			out[suffix] = b
		}
	}
	return out
}

// asNewer makes a file as a program of the future would, with a row of its own.
func asNewer(t *testing.T, path string) {
	t.Helper()
	s := openStore(t, path)
	if _, err := s.writer.ExecContext(t.Context(), `CREATE TABLE future (x); INSERT INTO future VALUES (1); PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, want Kind) *DataError {
	t.Helper()
	var e *DataError
	if !errors.As(err, &e) || e.Kind != want {
		t.Fatalf("error is %v, want one of kind %s", err, want)
	}
	return e
}

func TestNewerFileIsRefusedUntouched(t *testing.T) {
	closed := newFile(t)
	asNewer(t, closed)
	// One whose newest version is still in the WAL, as a crash leaves it.
	crashed := newFile(t)
	inUse := newFile(t)
	asNewer(t, inUse)
	for suffix, b := range fileBytes(t, inUse) {
		if err := os.WriteFile(crashed+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{"closed": closed, "crashed": crashed} {
		before := fileBytes(t, path)
		_, err := Open(t.Context(), path)
		e := wantKind(t, err, Newer)
		if !strings.Contains(e.Error(), path) || !strings.Contains(e.Error(), "newer Twinboard") {
			t.Errorf("the text does not help: %s", e)
		}
		_, err = OpenReadOnly(t.Context(), path)
		wantKind(t, err, Newer)
		if d := cmp.Diff(before, fileBytes(t, path)); d != "" {
			t.Errorf("%s: the refused file was changed", name)
		}
	}
	if len(fileBytes(t, crashed)["-wal"]) == 0 {
		t.Error("this test lost its point: the crashed file has no WAL")
	}
}

func TestOtherFilesAreRefusedUntouched(t *testing.T) {
	foreign := newFile(t)
	db, err := sql.Open("sqlite", foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE recipes (name)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	garbage := newFile(t)
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]Kind{foreign: Foreign, garbage: Corrupt} {
		before := fileBytes(t, path)
		_, err := Open(t.Context(), path)
		wantKind(t, err, kind)
		if d := cmp.Diff(before, fileBytes(t, path)); d != "" {
			t.Errorf("%s: the refused file was changed", kind)
		}
	}
	_, err = OpenReadOnly(t.Context(), newFile(t))
	wantKind(t, err, Missing)
	_, err = Open(t.Context(), filepath.Join(garbage, "below", "a", "file"))
	wantKind(t, err, Unreadable)
}

func TestDamageIsToldFromAbsence(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	var records []*Record
	for i := range 200 {
		records = append(records, awkward(t, fmt.Sprint("d", i)))
	}
	if err := s.Commit(&Batch{Insert: records}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 3 * 4096; i < len(b); i++ { // the first pages, and so the schema, stay whole
		b[i] = 0xa5
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Open(t.Context(), path)
	if err == nil {
		defer s.Close()
		_, err = s.Record(t.Context(), "d150", "")
	}
	wantKind(t, err, Corrupt)
}

func TestFullDiskFailsTheCommitAlone(t *testing.T) {
	s := openStore(t, newFile(t))
	if err := s.Commit(&Batch{Insert: []*Record{plain("a")}}); err != nil {
		t.Fatal(err)
	}
	// SQLite's own limit gives the same result code as a full disk.
	if _, err := s.writer.ExecContext(t.Context(), `PRAGMA max_page_count = 20`); err != nil {
		t.Fatal(err)
	}
	var many []*Record
	for i := range 200 {
		many = append(many, awkward(t, fmt.Sprint("d", i)))
	}
	e := wantKind(t, s.Commit(&Batch{Insert: many}), Full)
	if !strings.Contains(e.Error(), "disk") {
		t.Errorf("the text does not help: %s", e)
	}
	if total, _, err := s.Count(t.Context()); total != 1 || err != nil {
		t.Errorf("after a full disk: %d, %v", total, err)
	}
	if _, err := s.writer.ExecContext(t.Context(), `PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(&Batch{Insert: many}); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestSystemErrorsHaveTheirKind(t *testing.T) {
	for cause, kind := range map[error]Kind{
		syscall.ENOSPC: Full, syscall.EROFS: ReadOnly, syscall.EACCES: Unreadable, syscall.EPERM: Unreadable,
		syscall.ENOTDIR: Unreadable, syscall.ENOENT: Missing, syscall.EIO: Failed,
	} {
		err := FileError("/some/where", &os.PathError{Op: "open", Path: "/some/where", Err: cause})
		e := wantKind(t, err, kind)
		if !errors.Is(err, cause) || !strings.Contains(e.Error(), "/some/where") {
			t.Errorf("%v became %v", cause, err)
		}
	}
}

func TestFilesAreTheirOwnersAlone(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	if err := s.Commit(&Batch{Insert: []*Record{plain("a")}}); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("hub.db%s: %v, %v", suffix, info.Mode(), err)
		}
	}
}

func TestPoliciesAreKept(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	first := []Policy{{"b", "k1", "k2", "RegistryRead"}, {"a", "k3", "k4", "ServiceConnect"}}
	add := func(added ...Policy) error {
		return s.AddPolicies(t.Context(), func([]Policy) ([]Policy, error) { return added, nil })
	}
	if err := add(first...); err != nil {
		t.Fatal(err)
	}
	if err := add(Policy{"c", "", "", ""}, Policy{"a", "other", "other", ""}); err == nil {
		t.Error("a name was stored twice")
	}
	no := errors.New("no")
	if err := s.AddPolicies(t.Context(), func(present []Policy) ([]Policy, error) {
		if len(present) != 2 {
			t.Errorf("shown %v", present)
		}
		return nil, no
	}); !errors.Is(err, no) {
		t.Errorf("refused with %v", err)
	}
	ro, err := OpenReadOnly(t.Context(), path) // while the other is open
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	got, err := ro.Policies(t.Context())
	if d := cmp.Diff([]Policy{first[1], first[0]}, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestEncodingIsThatOfEncodingJSON(t *testing.T) {
	r := awkward(t, "a")
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	if err := e.Encode(r.Tags); err != nil {
		t.Fatal(err)
	}
	got, err := iothub.ParseDocument(textOf(r.Tags))
	if d := cmp.Diff(r.Tags, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for _, s := range []iothub.Section{r.Desired, r.Reported, iothub.NewSection(noon)} {
		raw := RawSection{Value: textOf(s.Value), Metadata: textOf(&s.Metadata), Version: s.Version}
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(document(t, string(want)), document(t, string(raw.JSON()))); d != "" {
			t.Errorf("section (-want +got):\n%s", d)
		}
	}
}

func TestViewStandsStill(t *testing.T) {
	s := openStore(t, newFile(t))
	if err := s.Commit(&Batch{Insert: []*Record{plain("a")}}); err != nil {
		t.Fatal(err)
	}
	count := func(v *View) (n int) {
		t.Helper()
		if err := v.Scan(t.Context(), Scan{Visit: func(Found) bool { n++; return true }}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	err := s.View(t.Context(), func(v *View) error {
		before := count(v)
		if err := s.Commit(&Batch{Insert: []*Record{plain("b")}}); err != nil {
			return err
		}
		if after := count(v); before != 1 || after != 1 {
			t.Errorf("a view saw %d, then %d devices", before, after)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.View(t.Context(), func(v *View) error {
		if n := count(v); n != 2 {
			t.Errorf("a later view sees %d devices", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestViewBeginsBeforeItIsRead has a view that is first read after a commit, and
// after one whose rows were brought up to date.
func TestViewBeginsBeforeItIsRead(t *testing.T) {
	s := openStore(t, newFile(t))
	a, b := plain("a"), plain("b")
	commit(t, s, &Batch{Insert: []*Record{a, b}})
	if err := s.View(t.Context(), func(v *View) error {
		edit(t, s, a, Edit{Tags: document(t, `{"n":1}`)})
		fold(t, s, 1)
		edit(t, s, b, Edit{Tags: document(t, `{"n":2}`)})
		rows, err := v.Rows(t.Context(), []int64{a.Key, b.Key})
		if err != nil {
			return err
		}
		if got := fmt.Sprintf("%s %s", rows[0].Tags, rows[1].Tags); got != "{} {}" {
			t.Errorf("a view of before the commits sees %s", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s := openStore(t, newFile(t))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := s.Record(context.Background(), "a", ""); err == nil {
		t.Error("a closed store answered")
	}
}
