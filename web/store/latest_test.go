package store

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLatest(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "dashboard.db"))
	var entries []Entry
	for _, e := range []struct{ hub, device string }{{"local", "a"}, {"cloud", "c"}, {"local", "b"}, {"local", "a"}} {
		entries = append(entries, Entry{
			Time: noon, Hub: e.hub, DeviceID: e.device, Section: Desired,
			Patch: doc(t, `{"interval":30}`), Old: doc(t, `{"interval":60}`), ETag: "AAAAAAAAAAI=",
		})
	}
	ids, err := s.Record(t.Context(), entries...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		entries[i].ID = ids[i]
	}
	for limit, want := range map[int][]Entry{
		10: {entries[3], entries[2], entries[0]},
		2:  {entries[3], entries[2]},
	} {
		got, err := s.Latest(t.Context(), "local", limit)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("the latest %d: %v\n%s", limit, err, d)
		}
	}
	if got, err := s.Latest(t.Context(), "none", 10); len(got) != 0 || err != nil {
		t.Errorf("a hub without changes: %v, %v", got, err)
	}
}
