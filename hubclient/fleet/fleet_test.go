package fleet

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
)

func tlsOf(h *localhub.Hub) *tls.Config { return &tls.Config{RootCAs: h.RootCAs()} }

func ids(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return out
}

// differences compares the picture with what the hub says of every device.
func differences(ctx context.Context, f *Fleet, c *hubclient.Client) (string, error) {
	devices, err := c.ListDevices(ctx, 1000)
	if err != nil {
		return "", err
	}
	if known := f.Status().Known; known != len(devices) {
		return fmt.Sprintf("%d devices, want %d", known, len(devices)), nil
	}
	for _, d := range devices {
		want, err := c.GetTwin(ctx, d.DeviceID)
		if err != nil {
			return "", err
		}
		got, ok := f.Get(d.DeviceID)
		if !ok {
			return d.DeviceID + " is missing", nil
		}
		// When a device last spoke is not part of a change; it only moves on.
		ignore := cmpopts.IgnoreFields(iothub.Twin{}, "LastActivityTime")
		if diff := cmp.Diff(want, got.Twin(), ignore); diff != "" {
			return d.DeviceID + ": " + diff, nil
		}
		if v := got.DesiredVersion(); v != want.Properties.Desired.Version {
			return fmt.Sprintf("%s: desired version %d, want %d", d.DeviceID, v, want.Properties.Desired.Version), nil
		}
		drift := iothub.Compare(want, iothub.DriftOptions{Now: time.Now()})
		if got.State != drift.State || got.Wanted != drift.Wanted || got.Differing != drift.Differing() || !got.Since.Equal(drift.Since) {
			return fmt.Sprintf("%s: %+v, want %+v", d.DeviceID, got, drift), nil
		}
	}
	return "", nil
}

// sameAsHub waits until the picture and the hub agree.
func sameAsHub(t *testing.T, f *Fleet, c *hubclient.Client) {
	t.Helper()
	last := ""
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	eventually(t, "the picture is what the hub says", func() bool {
		var err error
		if last, err = differences(t.Context(), f, c); err != nil {
			t.Fatal(err)
		}
		return last == ""
	})
}

func TestFillAndFollow(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, wire := h.client(nil)
	create(t, c, ids("pump", 205)...)
	f := startFleet(t, c, Options{})
	_, updates, _ := f.Changes().Subscribe(0)
	defer updates.Close()
	eventually(t, "live", func() bool { return f.Status().Live })
	if s := f.Status(); s.Known != 205 || s.Total != 205 || !s.Complete || s.Filling || s.Err != nil || time.Since(s.AsOf) > time.Second {
		t.Fatalf("%+v", s)
	}
	if n := wire.queries.Load(); n != 3 {
		t.Errorf("%d queries for 205 devices", n)
	}

	create(t, c, "new")
	patch := iothub.TwinPatch{
		Tags:    iothub.Document{"location": map[string]any{"plant": "Redmond43"}},
		Desired: iothub.Document{"power_level": json.Number("1")},
	}
	twin, err := c.UpdateTwin(t.Context(), "pump-007", patch, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(t.Context(), "pump-008", nil); err != nil {
		t.Fatal(err)
	}
	d, err := c.GetDevice(t.Context(), "pump-009")
	if err != nil {
		t.Fatal(err)
	}
	d.Status = iothub.StatusDisabled
	if _, err := c.UpdateDevice(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	sameAsHub(t, f, c)
	if got, _ := f.Get("pump-007"); got.State != iothub.WaitingOffline || got.Wanted != 1 || got.Version != twin.Version {
		t.Errorf("%+v", got)
	}
	if got, _ := f.Get("pump-009"); got.Enabled {
		t.Errorf("%+v", got)
	}
	checkUpdates(t, updates, map[string]int{"new": 1, "pump-007": 2, "pump-008": 1, "pump-009": 1})
}

// checkUpdates waits for so many announced changes of each device.
func checkUpdates(t *testing.T, updates *feed.Subscription[Update], want map[string]int) {
	t.Helper()
	got := map[string]int{}
	timeout := time.After(10 * time.Second)
	for !cmp.Equal(want, got) {
		select {
		case item, ok := <-updates.C():
			if !ok {
				t.Fatal("the subscription ended")
			}
			u := item.Value
			if u.Change.Kind == "" {
				continue
			}
			got[u.DeviceID]++
			if u.Change.DeviceID != u.DeviceID || u.Removed != (u.Change.Operation == iothub.OperationDelete) {
				t.Errorf("%+v", u)
			}
		case <-timeout:
			t.Fatalf("updates %v, want %v", got, want)
		}
	}
}

// TestDevice follows a real device: it comes, reports, and goes.
func TestDevice(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, wire := h.client(nil)
	create(t, c, "dev1")
	f := startFleet(t, c, Options{})
	eventually(t, "live", func() bool { return f.Status().Live })
	sim := devicesim.New(devicesim.Options{MQTTAddr: h.hub.MQTTAddr(), RootCAs: h.hub.RootCAs()})
	defer sim.Close(context.Background())
	d, err := c.GetDevice(t.Context(), "dev1")
	if err != nil {
		t.Fatal(err)
	}
	cs := iothub.DeviceConnectionString{HostName: h.hub.DeviceHostName(), DeviceID: "dev1", SharedAccessKey: d.Authentication.SymmetricKey.Primary}
	if err := sim.Start(t.Context(), devicesim.Spec{ConnectionString: cs, Connectivity: "cellular"}); err != nil {
		t.Fatal(err)
	}
	for _, connectivity := range devicesim.Connectivities {
		if err := sim.SetConnectivity(t.Context(), "dev1", connectivity); err != nil {
			t.Fatal(err)
		}
		sameAsHub(t, f, c)
		page := f.List(Query{Text: connectivity, Connection: iothub.Connected})
		if page.Total != 1 || page.Devices[0].LastActivity.IsZero() {
			t.Errorf("%s: %+v", connectivity, page)
		}
	}
	before := wire.twins.Load()
	if err := sim.Stop(t.Context(), "dev1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "disconnected", func() bool { d, _ := f.Get("dev1"); return !d.Connected })
	if n := wire.twins.Load() - before; n != 0 {
		t.Errorf("a disconnection cost %d reads", n)
	}
	sameAsHub(t, f, c)
}

// TestRestart stops the hub and starts it again, which ends the feed's epoch:
// the old picture is served until the new one stands.
func TestRestart(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, _ := h.client(nil)
	create(t, c, ids("pump", 130)...)
	f := startFleet(t, c, Options{})
	eventually(t, "live", func() bool { return f.Status().Live })
	h.stop()
	eventually(t, "the loss is told", func() bool { return f.Status().Err != nil })
	s := f.Status()
	var trouble *hubclient.ConnectionError
	if !errors.As(s.Err, &trouble) || s.Live || !s.Complete || s.Known != 130 {
		t.Errorf("%+v", s)
	}
	if later := f.Status(); !later.AsOf.Equal(s.AsOf) {
		t.Error("a picture that is not live does not stay as of now")
	}

	h.start()
	// Whatever happens before the fleet is back must not be missed.
	if _, err := c.UpdateTwin(t.Context(), "pump-003", iothub.TwinPatch{Tags: iothub.Document{"a": "b"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(t.Context(), "pump-004", nil); err != nil {
		t.Fatal(err)
	}
	least := 130
	eventually(t, "live again", func() bool {
		s := f.Status()
		least = min(least, s.Known)
		return s.Live && s.Err == nil && s.Known == 129
	})
	if least < 129 {
		t.Errorf("the list shrank to %d while it was read again", least)
	}
	sameAsHub(t, f, c)
}

// TestStartWithoutHub: the fleet finds a hub that comes later.
func TestStartWithoutHub(t *testing.T) {
	t.Parallel()
	h := &testHub{T: t, data: t.TempDir(), https: closedPort(t)}
	h.start()
	c, _ := h.client(nil)
	create(t, c, "dev1")
	h.stop()
	f := startFleet(t, c, Options{})
	eventually(t, "the reason is told", func() bool { return f.Status().Err != nil })
	if s := f.Status(); s.Complete || s.Known != 0 {
		t.Errorf("%+v", s)
	}
	h.start()
	t.Cleanup(h.stop)
	eventually(t, "live", func() bool { s := f.Status(); return s.Live && s.Err == nil })
	sameAsHub(t, f, c)
}

// TestChangesDuringFill writes, creates and deletes while pages are read.
func TestChangesDuringFill(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, _ := h.client(nil)
	all := ids("pump", 300)
	create(t, c, all...)
	// Each page is on its way while writes are made, so that it is out of date
	// when it arrives.
	writes := make(chan struct{}, 1000)
	var w *wire
	slow, w := h.client(func(r *http.Request) *http.Response {
		if r.URL.Path != "/devices/query" {
			return nil
		}
		resp := passOn(t, w, r)
		for range 60 {
			select {
			case <-writes:
			case <-r.Context().Done():
			}
		}
		return resp
	})
	f := startFleet(t, slow, Options{})
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := range 150 {
				if err := writeSomething(t.Context(), c, all, w, i); err != nil {
					t.Error(err)
				}
				writes <- struct{}{}
			}
		})
	}
	writers.Wait()
	eventually(t, "live", func() bool { return f.Status().Live })
	sameAsHub(t, f, c)
}

// writeSomething is the i-th write of a writer; no two writers touch the same
// device.
func writeSomething(ctx context.Context, c *hubclient.Client, all []string, w, i int) error {
	id := all[(i*37+w*150)%150+w*150]
	switch i % 10 {
	case 3:
		return c.DeleteDevice(ctx, id, nil)
	case 7:
		_, err := c.CreateDevice(ctx, iothub.Device{DeviceID: fmt.Sprintf("late-%d-%d", w, i)})
		return err
	}
	patch := iothub.TwinPatch{Desired: iothub.Document{"n": json.Number(fmt.Sprint(i))}}
	_, err := c.UpdateTwin(ctx, id, patch, nil)
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		return nil
	}
	return err
}

// TestFeedBreaks: a connection that breaks costs no new fill, the feed goes on
// where it was.
func TestFeedBreaks(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	other, _ := h.client(nil)
	create(t, other, "a", "b")
	bodies := make(chan io.Closer, 10)
	var w *wire
	c, w := h.client(func(r *http.Request) *http.Response {
		if r.URL.Path != "/changes" {
			return nil
		}
		resp := passOn(t, w, r)
		bodies <- resp.Body
		return resp
	})
	f := startFleet(t, c, Options{})
	eventually(t, "live", func() bool { return f.Status().Live })
	queries := w.queries.Load()
	(<-bodies).Close()
	eventually(t, "the break is noticed", func() bool { return !f.Status().Live })
	if _, err := other.UpdateTwin(t.Context(), "a", iothub.TwinPatch{Tags: iothub.Document{"k": "v"}}, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "live again", func() bool { return f.Status().Live })
	sameAsHub(t, f, other)
	if n := w.queries.Load() - queries; n != 0 {
		t.Errorf("%d queries although nothing was missed", n)
	}
}

// TestRefreshOvertaken: an answer that a change has overtaken does not undo the
// change.
func TestRefreshOvertaken(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*hubclient.Client) error{
		"update": func(c *hubclient.Client) error {
			_, err := c.UpdateTwin(t.Context(), "a", iothub.TwinPatch{Tags: iothub.Document{"k": "v"}}, nil)
			return err
		},
		"delete": func(c *hubclient.Client) error { return c.DeleteDevice(t.Context(), "a", nil) },
	} {
		h := startHub(t)
		other, _ := h.client(nil)
		create(t, other, "a")
		var f *Fleet
		var once sync.Once
		var w *wire
		c, w := h.client(func(r *http.Request) *http.Response {
			if r.URL.Path != "/twins/a" {
				return nil
			}
			resp := passOn(t, w, r)
			once.Do(func() {
				before, _ := f.Get("a")
				if err := write(other); err != nil {
					t.Error(err)
				}
				eventually(t, "the change is in the picture", func() bool { d, _ := f.Get("a"); return d.Version != before.Version })
			})
			return resp
		})
		f = startFleet(t, c, Options{})
		eventually(t, "live", func() bool { return f.Status().Live })
		if _, err := f.Refresh(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if diff, err := differences(t.Context(), f, other); diff != "" || err != nil {
			t.Errorf("%s: %s %v", name, diff, err)
		}
	}
}

// TestRereadRecovers: a device that cannot be read at first is read later, and
// the trouble is told only as long as it lasts.
func TestRereadRecovers(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	var broken atomic.Bool
	c, _ := h.client(func(r *http.Request) *http.Response {
		if strings.HasPrefix(r.URL.Path, "/twins/") && broken.Load() {
			return answerOf(r, iothub.ErrUnauthorizedAccess)
		}
		return nil
	})
	f := startFleet(t, c, Options{})
	eventually(t, "live", func() bool { return f.Status().Live })
	broken.Store(true)
	other, _ := h.client(nil)
	create(t, other, "a", "b")
	eventually(t, "the trouble is told", func() bool { return errors.Is(f.Status().Err, iothub.ErrUnauthorizedAccess) })
	broken.Store(false)
	sameAsHub(t, f, other)
	eventually(t, "the trouble is over", func() bool { return f.Status().Err == nil && f.Status().Live })
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, _ := h.client(noChangeFeed)
	create(t, c, "a", "b", "c")
	f := startFleet(t, c, Options{Crawl: Crawl{Every: time.Hour}})
	eventually(t, "complete", func() bool { return f.Status().Complete })
	if _, err := c.UpdateTwin(t.Context(), "a", iothub.TwinPatch{Tags: iothub.Document{"k": "v"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	create(t, c, "d")
	devices, err := f.Refresh(t.Context(), "d", "b", "a")
	if err != nil || len(devices) != 2 || devices[0].ID != "d" || devices[1].Twin().Tags["k"] != "v" {
		t.Errorf("%+v %v", devices, err)
	}
	sameAsHub(t, f, c)
	if d, err := f.Refresh(t.Context()); d != nil || err != nil {
		t.Error(d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Refresh(ctx, "a", "c"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRefreshTells tells readers what it brought to light, and reads the others
// when one is refused.
func TestRefreshTells(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, w := h.client(func(r *http.Request) *http.Response {
		if r.Method == http.MethodGet && r.URL.Path == "/twins/refused" {
			return answerOf(r, iothub.ErrUnauthorizedAccess)
		}
		return noChangeFeed(r)
	})
	create(t, c, "changed", "gone", "refused", "same")
	f := startFleet(t, c, Options{Crawl: Crawl{Every: time.Hour}})
	eventually(t, "complete", func() bool { return f.Status().Complete })
	if _, err := c.UpdateTwin(t.Context(), "changed", iothub.TwinPatch{Desired: iothub.Document{"k": "v"}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteDevice(t.Context(), "gone", nil); err != nil {
		t.Fatal(err)
	}
	last, start, read := f.Changes().Last(), time.Now(), w.twins.Load()
	devices, err := f.Refresh(t.Context(), "gone", "refused", "same", "changed")
	if !errors.Is(err, iothub.ErrUnauthorizedAccess) || len(devices) != 2 || devices[0].ID != "same" || devices[0].ReadAt.Before(start) || devices[1].ID != "changed" {
		t.Errorf("%+v, %v", devices, err)
	}
	if n := w.twins.Load() - read; n != 4 {
		t.Errorf("%d twins were read", n)
	}
	told, sub, _ := f.Changes().Subscribe(last)
	sub.Close()
	slices.SortFunc(told, func(a, b feed.Item[Update]) int { return strings.Compare(a.Value.DeviceID, b.Value.DeviceID) })
	if len(told) != 2 || told[0].Value.DeviceID != "changed" || told[1].Value.DeviceID != "gone" || !told[1].Value.Removed {
		t.Fatalf("%+v", told)
	}
	before, had := told[0].Value.Before()
	after, has := told[0].Value.After()
	if !had || !has || before.Wanted != 0 || after.Wanted != 1 || told[0].Value.Change.Kind != "" {
		t.Errorf("from %+v to %+v", before, after)
	}
	if _, known := f.Get("refused"); !known {
		t.Error("what could not be read has left the picture")
	}
}
