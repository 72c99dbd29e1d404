package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

// printed is the twin of a record as a hub prints it, without what the store
// does not hold.
func printed(t *testing.T, r *Record) iothub.Document {
	t.Helper()
	b, err := json.Marshal(iothub.Twin{
		DeviceID: r.DeviceID, ModuleID: r.ModuleID, ETag: iothub.TwinETag(r.TwinETag), DeviceETag: iothub.DeviceETag(r.IdentityETag),
		Status: r.Status, StatusReason: r.StatusReason, StatusUpdateTime: iothub.Time{Time: r.StatusUpdated},
		AuthenticationType: r.Authentication.Type, X509Thumbprint: r.Authentication.X509Thumbprint, ModelID: r.ModelID,
		Version: r.Version(), Tags: r.Tags, Properties: iothub.Properties{Desired: r.Desired, Reported: r.Reported},
		Capabilities: iothub.Capabilities{IoTEdge: r.IoTEdge}, DeviceScope: r.DeviceScope, ParentScopes: r.ParentScopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := document(t, string(b))
	delete(d, "connectionState")
	delete(d, "lastActivityTime")
	return d
}

// places lists every path of a document, inner ones too.
func places(at []string, v map[string]any) (out [][]string) {
	for k, v := range v {
		path := append(slices.Clip(at), k)
		out = append(out, path)
		if m, ok := v.(map[string]any); ok {
			out = append(out, places(path, m)...)
		}
	}
	return out
}

func scanOne(t *testing.T, s *Store, id string, paths [][]string) (values []string) {
	t.Helper()
	err := s.View(t.Context(), func(v *View) error {
		return v.Scan(t.Context(), Scan{Only: []string{id}, Paths: paths, Visit: func(f Found) bool {
			values = append([]string{}, f.Values...)
			return true
		}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestScanReadsWhatTheTwinPrints(t *testing.T) {
	s := openStore(t, newFile(t))
	records := []*Record{awkward(t, "a'b"), plain("c")}
	if err := s.Commit(&Batch{Insert: records}); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		doc := printed(t, r)
		paths := places(nil, doc)
		if len(paths) < 20 {
			t.Fatalf("only %d paths", len(paths))
		}
		for i, text := range scanOne(t, s, r.DeviceID, paths) {
			want, _ := doc.Get(paths[i])
			if text == "" {
				t.Errorf("%s %q: absent, want %v", r.DeviceID, paths[i], want)
				continue
			}
			got, err := iothub.ParseValue([]byte(text))
			if d := cmp.Diff(want, got); d != "" || err != nil {
				t.Errorf("%s %q: %v (-want +got):\n%s", r.DeviceID, paths[i], err, d)
			}
		}
	}
}

func TestScanFindsNothingWhereNothingIs(t *testing.T) {
	s := openStore(t, newFile(t))
	if err := s.Commit(&Batch{Insert: []*Record{plain("a")}}); err != nil {
		t.Fatal(err)
	}
	paths := [][]string{
		{"tags"},
		{"tags", "x"},
		{"tags", "x", "y"},
		{"statusReason"},
		{"moduleId"},
		{"deviceScope"},
		{"parentScopes"},
		{"properties", "desired", "x"},
		{"properties", "other"},
		{"properties", "desired", "$metadata", "x"},
		{"unknown"},
		{"tags", `quo"te`},
		{"connectionState"},
		{"lastActivityTime"},
		{"properties.desired"},
		{"tags", "a.b"},
		{"deviceId", "x"},
	}
	for i, text := range scanOne(t, s, "a", paths) {
		if text != "" {
			t.Errorf("%q is %s, want nothing", paths[i], text)
		}
	}
}

func TestScanKeepsOrderAndBounds(t *testing.T) {
	s := openStore(t, newFile(t))
	var records []*Record
	for i := range 10 {
		records = append(records, plain(fmt.Sprint("d", 9-i)))
	}
	module := plain("d0")
	module.ModuleID = "m"
	records = append(records, module)
	if err := s.Commit(&Batch{Insert: records}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		scan Scan
		stop int
		want []int64
	}{
		{"all", Scan{}, 0, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"behind a row", Scan{After: 7}, 0, []int64{8, 9, 10}},
		{"stopped", Scan{After: 2}, 3, []int64{3, 4, 5}},
		{"by id, in the order of rows", Scan{Only: []string{"d2", "d9", "none", "d5"}}, 0, []int64{1, 5, 8}},
		{"by id behind a row", Scan{Only: []string{"d2", "d9", "d5"}, After: 1}, 0, []int64{5, 8}},
		{"by no id", Scan{Only: []string{}}, 0, nil},
		{"modules", Scan{Modules: true}, 0, []int64{11}},
	} {
		var got []int64
		test.scan.Visit = func(f Found) bool { got = append(got, f.Key); return len(got) != test.stop }
		err := s.View(t.Context(), func(v *View) error { return v.Scan(t.Context(), test.scan) })
		if d := cmp.Diff(test.want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", test.name, err, d)
		}
	}
	err := s.View(t.Context(), func(v *View) error {
		rows, err := v.Rows(t.Context(), []int64{9, 2, 77})
		if err == nil && (len(rows) != 2 || rows[0].DeviceID != "d8" || rows[1].DeviceID != "d1") {
			t.Errorf("rows: %v", rows)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
