package localhub

import (
	"fmt"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// jobFolder is a data folder with devices, whose hub is killed at work.
type jobFolder struct {
	*testing.T
	data string
}

// in opens the folder without serving; no job moves.
func (f jobFolder) in(do func(h *Hub)) {
	f.Helper()
	h, err := New(Options{Data: f.data})
	if err != nil {
		f.Fatal(err)
	}
	defer closeHub(f.T, h)
	do(h)
}

func (f jobFolder) register(n int) {
	f.Helper()
	f.in(func(h *Hub) {
		for from := 0; from < n; from += iothub.MaxBulk {
			var items []*bulkItem
			for i := from; i < min(n, from+iothub.MaxBulk); i++ {
				items = append(items, &bulkItem{mode: iothub.ImportCreate, device: iothub.Device{DeviceID: fmt.Sprint("d", i)}})
			}
			if result, err := h.registry.bulk(f.Context(), owner, items); err != nil || !result.Successful {
				f.Fatalf("%+v, %v", result, err)
			}
		}
	})
}

// job returns a job, or schedules it when there is none.
func (f jobFolder) job(id string) (job iothub.JobResponse) {
	f.Helper()
	f.in(func(h *Hub) {
		var err error
		if job, err = h.jobs.job(f.Context(), id); err == nil && job.Status == iothub.JobUnknown {
			job, err = h.jobs.schedule(f.Context(), store.Job{
				JobID: id, Type: iothub.JobUpdateTwin, Condition: allDevices, Limit: time.Hour,
				Work: []byte(`{"etag":"*","properties":{"desired":{"by":"` + id + `"}}}`),
			})
		}
		if err != nil {
			f.Fatal(err)
		}
	})
	return job
}

// TestKillLeavesNoDeviceOfAJobOut kills hubs in the middle of jobs, and looks
// whether each device was written once by each.
func TestKillLeavesNoDeviceOfAJobOut(t *testing.T) {
	const devices, jobs, killSoon = 2000, 3, 50 * time.Millisecond
	f := jobFolder{t, t.TempDir()}
	f.register(devices)
	kills, halfway := 0, 0
	for n := range jobs {
		id := fmt.Sprint("job-", n)
		reached, patience := iothub.JobStatistics{}, killSoon
		for j := f.job(id); j.Status != iothub.JobCompleted; j = f.job(id) {
			if *j.Statistics == reached {
				patience *= 2 // a slow machine gets nowhere
			} else {
				reached, patience = *j.Statistics, killSoon
				halfway++
			}
			if kills++; j.Status == iothub.JobFailed || patience > 10*time.Second {
				t.Fatalf("after %d kills the job is %s", kills, toJSON(t, j))
			}
			c := startChild(t, "serve", f.data)
			c.ready()
			c.killWithin(patience)
			c.killed()
		}
		if j := f.job(id); j.Statistics.Succeeded != devices || j.Statistics.Devices != devices {
			t.Errorf("%s: %+v", id, j.Statistics)
		}
	}
	t.Logf("%d kills, %d of them in the middle of a job", kills, halfway)
	if halfway < jobs {
		t.Errorf("only %d kills came in the middle of a job", halfway)
	}
	f.in(func(h *Hub) {
		for i := range devices {
			twin, err := h.registry.twin(t.Context(), dev(fmt.Sprint("d", i)))
			if err != nil {
				t.Fatal(err)
			}
			if desired := twin.Properties.Desired; desired.Version != 1+jobs || desired.Value["by"] != fmt.Sprint("job-", jobs-1) {
				t.Errorf("d%d is at version %d and holds %v", i, desired.Version, desired.Value)
			}
		}
	})
}
