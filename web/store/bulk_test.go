package store

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

func TestBulk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboard.db")
	s := open(t, path)
	ctx := t.Context()
	first := Bulk{ID: "b", Hub: "local", Act: "delete", Phase: "running", At: noon, Items: []BulkItem{
		{DeviceID: "O'Neil", ETag: "A", State: "waiting"}, {DeviceID: "100%", Line: 3, Made: json.RawMessage(`{"tags":{"n":1.0}}`), State: "waiting"},
	}}
	second := first
	second.ID, second.At, second.Items = "a", noon.Add(time.Second), []BulkItem{
		{DeviceID: "100%", State: "waiting", Old: iothub.Document{"interval": json.Number("1.0"), "mode": nil}},
	}
	second.Act, second.Patch = "desired-back", iothub.Document{"interval": json.Number("2"), "mode": "eco"}
	elsewhere := first
	elsewhere.ID, elsewhere.Hub = "c", "cloud"
	for _, b := range []Bulk{second, first, elsewhere} {
		if err := s.StartBulk(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.StartBulk(ctx, first); err == nil {
		t.Error("one act was begun twice")
	}
	failed := json.RawMessage(`{"code":"DeviceNotFound"}`)
	if err := s.SetBulk(ctx, "b", "stopped",
		BulkResult{Place: 0, State: "done", Old: iothub.Document{"n": json.Number("1.0"), "new": nil}}, BulkResult{Place: 1, State: "failed", Error: failed}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	want := first
	want.Phase = "stopped"
	want.Items = []BulkItem{first.Items[0], first.Items[1]}
	want.Items[0].Old = iothub.Document{"n": json.Number("1.0"), "new": nil}
	want.Items[0].State, want.Items[1].State, want.Items[1].Error = "done", "failed", failed
	got, err := s.Bulks(ctx, "local")
	if d := cmp.Diff([]Bulk{want, second}, got); d != "" || err != nil {
		t.Error(err, d)
	}
	if err := s.DropBulk(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	var items int
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM bulk_item WHERE bulk = 'b'`).Scan(&items); err != nil || items != 0 {
		t.Errorf("%d devices of a forgotten act are left, %v", items, err)
	}
	if got, err := s.Bulks(ctx, "local"); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
