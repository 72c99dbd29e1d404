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
		{DeviceID: "O'Neil", ETag: "A", State: "waiting", Reason: "stolen"}, {DeviceID: "100%", Line: 3, Made: json.RawMessage(`{"tags":{"n":1.0}}`), State: "waiting"},
	}}
	second := first
	second.ID, second.At, second.Items = "a", noon.Add(time.Second), []BulkItem{
		{DeviceID: "100%", State: "waiting", Old: iothub.Document{"interval": json.Number("1.0"), "mode": nil}, Entry: 7},
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
		BulkResult{Place: 0, State: "done", Old: iothub.Document{"n": json.Number("1.0"), "new": nil}, ReasonWas: "lent", Entry: 1 << 40}, BulkResult{Place: 1, State: "failed", Error: failed}); err != nil {
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
	want.Items[0].ReasonWas, want.Items[0].Entry = "lent", 1<<40
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

// TestBulkReasonsOfOld reads acts from when the reasons of a status stood among
// the values of twins.
func TestBulkReasonsOfOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dashboard.db")
	s, ctx := openOld(t, path, 6), t.Context()
	for _, statement := range []string{
		`INSERT INTO bulk (id, hub, act, phase, at) VALUES ('a', 'local', 'enable', 'done', 1), ('b', 'local', 'disable', 'done', 2), ('c', 'local', 'tags', 'done', 3)`,
		`INSERT INTO bulk_item (bulk, place, device_id, etag, line, made, state, error, old) VALUES
		 ('a', 0, 'd', '', 0, 'null', 'done', 'null', '{"statusReason":"it''s \"5\""}'), ('a', 1, 'e', '', 0, 'null', 'already', 'null', 'null'),
		 ('b', 0, 'd', '', 0, 'null', 'done', 'null', '{"statusReasonBack":"stolen","statusReason":""}'),
		 ('c', 0, 'd', '', 0, 'null', 'done', 'null', '{"statusReason":"a tag"}')`,
	} {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	list, err := open(t, path).Bulks(ctx, "local")
	if err != nil {
		t.Fatal(err)
	}
	var got []BulkItem
	for _, b := range list {
		got = append(got, b.Items...)
	}
	want := []BulkItem{
		{DeviceID: "d", State: "done", ReasonWas: `it's "5"`},
		{DeviceID: "e", State: "already"},
		{DeviceID: "d", State: "done", Reason: "stolen"},
		{DeviceID: "d", State: "done", Old: iothub.Document{"statusReason": "a tag"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
