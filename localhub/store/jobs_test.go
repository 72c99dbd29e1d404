package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

var jobTime = time.Date(2026, 11, 22, 10, 0, 0, 1234500, time.UTC)

func newJob(id string) *Job {
	return &Job{
		JobID: id, Type: iothub.JobDeviceMethod, Status: iothub.JobRunning, Condition: "tags.a = '<ü>'", Work: []byte(`{"methodName":"m","payload":1.0}`),
		Policy: "service", Created: jobTime, Start: jobTime.Add(time.Hour), Limit: 90 * time.Second,
	}
}

// commitJobs writes jobs with devices d0… each, and returns the jobs' keys.
func commitJobs(t *testing.T, s *Store, devices int, jobs ...*Job) {
	t.Helper()
	commit := func(w JobWrites) {
		t.Helper()
		if err := s.Commit(&Batch{Jobs: w}); err != nil {
			t.Fatal(err)
		}
	}
	commit(JobWrites{Jobs: jobs})
	for _, j := range jobs {
		var w JobWrites
		for i := range devices {
			w.Choose = append(w.Choose, &JobDevice{Job: j.Key, DeviceID: fmt.Sprint("d", i), Status: iothub.JobPending, Updated: jobTime})
		}
		commit(w)
	}
}

func TestJobsComeBackAsTheyWere(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path)
	j := newJob("j")
	commitJobs(t, s, 0, j)
	ended := *j
	ended.Status, ended.Ended, ended.Failure, ended.Place, ended.Chosen = iothub.JobFailed, jobTime.Add(time.Minute), "<&>", "token", true
	if err := s.Commit(&Batch{Jobs: JobWrites{Jobs: []*Job{&ended}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	got, err := s.JobForWrite("j")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&ended, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got.Active() || got.Deadline() != jobTime.Add(time.Hour+90*time.Second) {
		t.Errorf("active %v, deadline %v", got.Active(), got.Deadline())
	}
	for _, read := range []func() error{
		func() error { _, err := s.JobForWrite("none"); return err },
		func() error { _, err := s.JobByID(t.Context(), "none"); return err },
	} {
		if err := read(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	if err := s.Commit(&Batch{Jobs: JobWrites{Jobs: []*Job{newJob("j")}}}); err == nil {
		t.Error("an id was taken twice")
	}
}

func TestDevicesOfJobs(t *testing.T) {
	s := openStore(t, newFile(t))
	if err := s.Commit(&Batch{Insert: []*Record{plain("d1")}}); err != nil {
		t.Fatal(err)
	}
	j, other := newJob("j"), newJob("other")
	commitJobs(t, s, 4, j, other)
	left, err := s.Pending(t.Context(), j.Key, 0, 3)
	if err != nil || len(left) != 3 || !left[0].Gone || left[1].Gone {
		t.Fatalf("%+v, %v", left, err)
	}
	done, failed := *left[0], *left[1]
	done.Status, done.Outcome = iothub.JobCompleted, &iothub.MethodResult{Status: 200, Payload: []byte(`{"a":"<&>"}`)}
	failed.Status, failed.Error = iothub.JobFailed, &iothub.JobProblem{Code: "DeviceNotFound", Description: "gone"}
	late := JobRest{Job: j.Key, Status: iothub.JobFailed, At: jobTime.Add(time.Hour), Error: &iothub.JobProblem{Code: "late"}}
	done.Updated, failed.Updated = jobTime.Add(time.Second), jobTime.Add(time.Second)
	if err := s.Commit(&Batch{Jobs: JobWrites{Devices: []*JobDevice{&done, &failed}, Rest: []JobRest{late}}}); err != nil {
		t.Fatal(err)
	}
	counted, err := s.JobByID(t.Context(), "j")
	if want := (iothub.JobStatistics{Devices: 4, Failed: 3, Succeeded: 1}); err != nil || counted.JobStatistics != want {
		t.Errorf("%+v, %v", counted, err)
	}
	for _, c := range []struct {
		scan JobScan
		want string
	}{
		{JobScan{Jobs: []string{"j"}}, "d0 completed -, d1 failed DeviceNotFound, d2 failed late, d3 failed late"},
		{JobScan{Jobs: []string{"j"}, After: left[1].Key}, "d2 failed late, d3 failed late"},
		{JobScan{Devices: []string{"d3"}}, "d3 failed late, d3 pending -"},
		{JobScan{Devices: []string{"d3", "d0"}, Jobs: []string{"other", "j"}}, "d0 completed -, d3 failed late, d0 pending -, d3 pending -"},
		{JobScan{Devices: []string{}}, ""},
	} {
		var got []string
		c.scan.Visit = func(_ int64, d iothub.DeviceJob) bool {
			code := "-"
			if d.Error != nil {
				code = d.Error.Code
			}
			got = append(got, fmt.Sprintf("%s %s %s", d.DeviceID, d.Status, code))
			return true
		}
		if err := s.View(t.Context(), func(v *View) error { return v.ScanJobs(t.Context(), c.scan) }); err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%+v: %s", c.scan, text)
		}
	}
}

// TestModulesOfJobs has a device and its modules in one job, each once.
func TestModulesOfJobs(t *testing.T) {
	s := openStore(t, newFile(t))
	module := plain("d1")
	module.ModuleID = "m1"
	commit(t, s, &Batch{Insert: []*Record{plain("d1"), module}})
	j := newJob("j")
	commit(t, s, &Batch{Jobs: JobWrites{Jobs: []*Job{j}}})
	for range 2 {
		var w JobWrites
		for _, id := range []string{"m1", "", "gone"} {
			w.Choose = append(w.Choose, &JobDevice{Job: j.Key, DeviceID: "d1", ModuleID: id, Status: iothub.JobPending, Updated: jobTime})
		}
		commit(t, s, &Batch{Jobs: w})
	}
	left, err := s.Pending(t.Context(), j.Key, 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, d := range left {
		got += fmt.Sprintf("%s/%s %v, ", d.DeviceID, d.ModuleID, d.Gone)
	}
	if got != "d1/m1 false, d1/ false, d1/gone true, " {
		t.Errorf("pending are %s", got)
	}
	got = ""
	scan := JobScan{Devices: []string{"d1"}, Visit: func(_ int64, d iothub.DeviceJob) bool {
		got += d.DeviceID + "/" + d.ModuleID + ", "
		return true
	}}
	if err := s.View(t.Context(), func(v *View) error { return v.ScanJobs(t.Context(), scan) }); err != nil || got != "d1/m1, d1/, d1/gone, " {
		t.Errorf("rows are %s, %v", got, err)
	}
}

// TestRowsOfAJobNeedNoSorting holds what paging through a large job rests on.
func TestRowsOfAJobNeedNoSorting(t *testing.T) {
	s := openStore(t, newFile(t))
	text, args := JobScan{Jobs: []string{"j"}, After: 5}.statement()
	rows, err := s.readers.Query("EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	plan := ""
	for rows.Next() {
		var a, b, c int
		var step string
		if err := rows.Scan(&a, &b, &c, &step); err != nil {
			t.Fatal(err)
		}
		plan += step + "\n"
	}
	if err := rows.Err(); err != nil || strings.Contains(plan, "B-TREE") || !strings.Contains(plan, "job_devices_order (job=? AND id>?)") {
		t.Errorf("%v\n%s", err, plan)
	}
}

func TestForgottenJobsTakeTheirDevicesAlong(t *testing.T) {
	s := openStore(t, newFile(t))
	old, active := newJob("old"), newJob("active")
	commitJobs(t, s, 2, old, active)
	ended := *old
	ended.Ended = jobTime
	if err := s.Commit(&Batch{Jobs: JobWrites{Jobs: []*Job{&ended}}}); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]bool{jobTime: false, jobTime.Add(time.Second): true} {
		if some, err := s.JobsEndedBefore(t.Context(), at); some != want || err != nil {
			t.Errorf("ended before %v: %v, %v", at, some, err)
		}
	}
	if err := s.Commit(&Batch{Jobs: JobWrites{Forget: jobTime.Add(time.Second)}}); err != nil {
		t.Fatal(err)
	}
	var jobs, devices int
	if err := s.readers.QueryRow(`SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM job_devices)`).Scan(&jobs, &devices); err != nil || jobs != 1 || devices != 2 {
		t.Errorf("%d jobs and %d devices are left, %v", jobs, devices, err)
	}
	if list, err := s.ActiveJobs(t.Context()); err != nil || len(list) != 1 || list[0].JobID != "active" {
		t.Errorf("%v, %v", list, err)
	}
}
