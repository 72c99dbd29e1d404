package store

import (
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// version1 makes a file as the first version of the program left it.
func version1(t *testing.T) string {
	t.Helper()
	path := newFile(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{
		schema, fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 1",
		`INSERT INTO identities (device_id, generation, etag, status, authentication)
			VALUES ('old', '638', 5, 'enabled', '{"symmetricKey":{"primaryKey":"a","secondaryKey":"b"},"type":"sas"}')`,
		`INSERT INTO twins VALUES (1, 3, '', '{"site":"b1"}', '{}', '{"$lastUpdated":"2026-11-22T12:00:00.0000000Z"}', 1,
			'{"t":21.5}', '{"$lastUpdated":"2026-11-22T12:00:00.0000000Z"}', 4)`,
	} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestAFileOfVersion1IsMigrated(t *testing.T) {
	for name, open := range map[string]func(string) (*Store, error){
		"for writing": func(path string) (*Store, error) { return Open(t.Context(), path) },
		"for reading": func(path string) (*Store, error) { return OpenReadOnly(t.Context(), path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := version1(t)
			s, err := open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r, err := s.Record(t.Context(), "old", "")
			if err != nil {
				t.Fatal(err)
			}
			if r.Version() != 7 || r.Tags["site"] != "b1" || r.ManagedBy != "" || r.Authentication.SymmetricKey.Primary != "a" {
				t.Errorf("%+v", r)
			}
			if _, kept, err := s.SubscriptionsOf(t.Context(), "old", ""); kept || err != nil {
				t.Errorf("subscriptions kept %v, %v", kept, err)
			}
			var version int
			if err := s.readers.QueryRow("PRAGMA user_version").Scan(&version); err != nil || version != len(migrations) {
				t.Errorf("version %d, %v", version, err)
			}
		})
	}
}

// TestJobsOfVersion4AreMigrated has a job in the middle of its work, one of whose
// devices is done.
func TestJobsOfVersion4AreMigrated(t *testing.T) {
	path := newFile(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(slices.Clone(migrations[:4]),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 4",
		`INSERT INTO jobs (id, job_id, type, status, condition, work, policy, created, start, seconds) VALUES (7, 'j',
			'scheduleUpdateTwin', 'running', '*', '{}', 'p', '2026-11-22T12:00:00.0000000Z', '2026-11-22T12:00:00.0000000Z', 60)`,
		`INSERT INTO job_devices (id, job, device_id, status, created, updated, outcome)
			VALUES (3, 7, 'd1', 'completed', '', '', '{"status":200,"payload":1}'), (4, 7, 'd0', 'pending', '', '', '')`,
	) {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path)
	left, err := s.Pending(t.Context(), 7, 0, 9)
	if err != nil || len(left) != 1 || left[0].Key != 4 || left[0].DeviceID != "d0" || left[0].ModuleID != "" {
		t.Fatalf("%+v, %v", left, err)
	}
	choose := JobWrites{Choose: []*JobDevice{{Job: 7, DeviceID: "d1"}, {Job: 7, DeviceID: "d2"}}}
	commit(t, s, &Batch{Jobs: choose})
	got := ""
	scan := JobScan{Visit: func(_ int64, d iothub.DeviceJob) bool {
		got += fmt.Sprintf("%s %v, ", d.DeviceID, d.Outcome.Method != nil)
		return true
	}}
	if err := s.View(t.Context(), func(v *View) error { return v.ScanJobs(t.Context(), scan) }); err != nil || got != "d1 true, d0 false, d2 false, " {
		t.Errorf("rows are %s, %v", got, err)
	}
	commit(t, s, &Batch{Jobs: JobWrites{Jobs: []*Job{{Key: 7, JobID: "j", Status: iothub.JobCompleted, Ended: noon}}}})
	commit(t, s, &Batch{Jobs: JobWrites{Forget: noon.Add(time.Second)}})
	var rows int
	if err := s.readers.QueryRow(`SELECT count(*) FROM job_devices`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("a forgotten job left %d rows, %v", rows, err)
	}
}

func TestSubscriptionsAreKeptUntilForgotten(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	module := plain("d")
	module.ModuleID = "m"
	if err := s.Commit(&Batch{Insert: []*Record{plain("d"), module}}); err != nil {
		t.Fatal(err)
	}
	keep := func(device, module string, filters []string) {
		t.Helper()
		if err := s.Commit(&Batch{Subscriptions: []Subscriptions{{device, module, filters}}}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(device, module string, filters []string) {
		t.Helper()
		got, kept, err := s.SubscriptionsOf(t.Context(), device, module)
		if err != nil || kept != (filters != nil) || !slices.Equal(got, filters) {
			t.Errorf("%s/%s: %q, kept %v, %v; want %q", device, module, got, kept, err, filters)
		}
	}
	want("d", "", nil)
	keep("d", "", []string{"a/#"})
	keep("d", "", []string{"a/#", "b<&>"})
	keep("d", "m", []string{})
	keep("nobody", "", []string{"x"}) // deleted meanwhile
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	want("d", "", []string{"a/#", "b<&>"})
	want("d", "m", []string{})
	want("nobody", "", nil)
	keep("d", "m", nil)
	want("d", "m", nil)
	r, err := s.Record(t.Context(), "d", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(&Batch{Delete: []int64{r.Key}, Insert: []*Record{plain("d")}}); err != nil {
		t.Fatal(err)
	}
	want("d", "", nil)
}
