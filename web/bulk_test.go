package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"twinboard/hubclient/iothub"
)

// choose sends the bar's form with some rows, and returns the page it leads to.
func (b *board) choose(query, act string, ids ...string) *page {
	b.t.Helper()
	form := url.Values{"act": {act}, "id": ids}
	if ids == nil {
		form.Set("all", "1")
	}
	resp, err := b.person.PostForm(b.url+"/h/local/bulk"+query, form)
	if err != nil {
		b.t.Fatal(err)
	}
	return readPage(b.t, b.person, b.url, resp)
}

// finished reads a bulk change's page until it no longer runs.
func (b *board) finished(path string) bulkData {
	b.t.Helper()
	var data bulkData
	eventually(b.t, func() bool {
		data = bulkData{}
		_, body := b.body(http.MethodGet, path+"?format=json", nil)
		if err := json.Unmarshal([]byte(body), &data); err != nil {
			b.t.Fatal(err, body)
		}
		return data.Phase == phaseDone || data.Phase == phaseStopped
	}, "the bulk change ends")
	return data
}

func (b *board) devices(prefix string, n int) {
	b.t.Helper()
	for i := range n {
		if _, err := b.client.CreateDevice(b.t.Context(), iothub.Device{DeviceID: fmt.Sprintf("%s%03d", prefix, i)}); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestBulkDisableAndEnable(t *testing.T) {
	b := newBoard(t)
	b.device("100%", `{"keep":1}`, `{}`)
	b.device("a?b", `{}`, `{}`)
	b.device("other", `{}`, `{}`)
	b.known(3)
	before, err := b.client.GetDevice(t.Context(), "100%")
	if err != nil {
		t.Fatal(err)
	}
	ask := b.choose("", actDisable, "100%", "a?b").wantStatus(http.StatusOK)
	ask.want("h1", "Disable 2 devices")
	if d, _ := b.client.GetDevice(t.Context(), "100%"); d.Status != iothub.StatusEnabled {
		t.Fatal("a question has changed a device")
	}
	form := ask.form("[data-testid=bulk-ask]")
	form.press("").wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=errors]", "What was typed is not 2.")
	form.Set("confirm", "2")
	p := form.press("").wantStatus(http.StatusOK)
	if got := b.finished(p.path); got.Done != 2 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
	after, err := b.client.GetDevice(t.Context(), "100%")
	if err != nil || after.Status != iothub.StatusDisabled || after.Authentication.SymmetricKey != before.Authentication.SymmetricKey {
		t.Errorf("%s, %v, or other keys", after.Status, err)
	}
	wantDocument(t, "tags", b.twin("100%").Tags, `{"keep":1}`)
	b.get(p.path).want("#bulk-lead", "2 of 2 devices are disabled.")
	eventually(t, func() bool {
		one, _ := b.fleet.Get("100%")
		other, _ := b.fleet.Get("a?b")
		return !one.Enabled && !other.Enabled
	}, "the list knows")
	b.get("/h/local/devices?status=disabled").wantIDs("100%", "a?b")

	// Enabling few devices takes one press. The one that is enabled stays as it is.
	p = b.choose("", actEnable).form("[data-testid=bulk-ask]").press("")
	if got := b.finished(p.path); got.Done != 2 || got.Already != 1 {
		t.Errorf("%+v", got)
	}
}

func TestBulkDeleteAllOfAFilter(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 230)
	b.device("keep", `{}`, `{}`)
	b.known(231)
	ask := b.choose("?q=d", actDelete)
	ask.want("h1", "Delete 230 devices")
	form := ask.form("[data-testid=bulk-ask]")
	form.Set("confirm", "229")
	form.press("").wantStatus(http.StatusUnprocessableEntity)

	// Meanwhile one is deleted by another, and one changes.
	if err := b.client.DeleteDevice(t.Context(), "d000", nil); err != nil {
		t.Fatal(err)
	}
	changed, err := b.client.GetDevice(t.Context(), "d001")
	if err != nil {
		t.Fatal(err)
	}
	changed.StatusReason = "changed by another"
	if _, err := b.client.UpdateDevice(t.Context(), changed, nil); err != nil {
		t.Fatal(err)
	}
	form.Set("confirm", "230")
	p := form.press("").wantStatus(http.StatusOK)
	if got := b.finished(p.path); got.Done != 228 || got.Already != 1 || got.Failed != 1 || got.Phase != phaseDone {
		t.Fatalf("%d done, %d gone already, %d failed, %s", got.Done, got.Already, got.Failed, got.Phase)
	}
	result := b.get(p.path)
	result.wantPart("[data-outcome=failed]", "d001")
	_, body := b.body(http.MethodGet, p.path+"?format=csv", nil)
	if rows, err := csv.NewReader(strings.NewReader(body)).ReadAll(); err != nil || len(rows) != 231 {
		t.Errorf("the result as CSV has %d rows, %v", len(rows), err)
	}
	// Once seen, the newer one may go too.
	retry := b.post(p.path+"/retry", map[string]string{"retry": "failed"})
	if got := b.finished(retry.path); got.Failed != 0 || got.Done != 229 {
		t.Errorf("%d failed, %d done", got.Failed, got.Done)
	}
	b.known(1)
	b.get("/h/local/devices").wantIDs("keep")
}

func TestBulkWhileTheHubIsAway(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 3)
	b.known(3)
	form := b.choose("", actDelete).form("[data-testid=bulk-ask]")
	form.Set("confirm", "3")
	b.stopHub()
	p := form.press("").wantStatus(http.StatusOK)
	if got := b.finished(p.path); got.Failed != 3 || got.Done != 0 {
		t.Errorf("%+v", got)
	}
	b.get(p.path).wantPart("[data-testid=bulk-state]", "Retry the 3 that failed")
}

func TestBulkNothing(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 1)
	b.known(1)
	b.choose("?q=d", actDelete, "unknown").wantStatus(http.StatusOK).wantPart("#flashes", "No device was selected.")
	b.choose("", "explode").wantStatus(http.StatusBadRequest)
	b.get("/h/local/bulk/unknown").wantStatus(http.StatusNotFound)
	if p := b.choose("", actDisable, "d000"); attr(p.all("#bulk-word")[0], "data-confirm-word") != "d000" {
		t.Error("the name of a single device is not asked for")
	}
}

// TestBulkThrottled deletes on a hub that slows everyone down: nothing is lost,
// nothing is done twice, and the page says what it waits for.
func TestBulkThrottled(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 2)
	b.known(2)
	var asked atomic.Int32
	refuse := func(r *http.Request) *iothub.Error {
		if r.Method == http.MethodPost && r.URL.Path == "/devices" && asked.Add(1) <= 2 {
			return iothub.ErrThrottling
		}
		return nil
	}
	b.refuse.Store(&refuse)
	form := b.choose("", actDelete).form("[data-testid=bulk-ask]")
	form.Set("confirm", "2")
	p := form.press("")
	eventually(t, func() bool { return len(b.get(p.path).all("[data-testid=bulk-wait]")) == 1 }, "the page says that it waits")
	if got := b.finished(p.path); got.Done != 2 || asked.Load() != 3 {
		t.Errorf("%+v after %d requests", got, asked.Load())
	}
}

func TestBulkStop(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 2)
	b.known(2)
	refuse := func(r *http.Request) *iothub.Error {
		if r.Method == http.MethodPost && r.URL.Path == "/devices" {
			return iothub.ErrThrottling
		}
		return nil
	}
	b.refuse.Store(&refuse)
	form := b.choose("", actDelete).form("[data-testid=bulk-ask]")
	form.Set("confirm", "2")
	p := form.press("")
	b.post(p.path+"/stop", nil)
	if got := b.finished(p.path); got.Waiting != 2 || got.Phase != phaseStopped {
		t.Errorf("%+v", got)
	}
	b.get(p.path).wantPart("[data-testid=bulk-state]", "Go on with the other 2")
}

func TestBulkLive(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 3)
	b.known(3)
	ask := b.choose("", actEnable)
	tab := openTab(t, b.url+attr(ask.all("body")[0], "data-live"), nil)
	ask.form("[data-testid=bulk-ask]").press("")
	tab.waitFor(`id="bulk-state"`, `data-phase="done"`, "3 were enabled already.")
	late := openTab(t, b.url+attr(ask.all("body")[0], "data-live"), nil)
	late.current()
	if got := late.next(); got.event != "" || !strings.Contains(got.data, `data-phase="done"`) {
		t.Errorf("a page that comes late is told %+v", got)
	}
}

// interrupted begins an act on the devices d000, d001 … and ends the program
// while the answer to the second request of 25 is on its way: as if it were
// killed, or in an orderly way. It returns the page's path on the program that
// was started after that.
func (b *board) interrupted(act string, n int, killed bool) string {
	b.t.Helper()
	var sent atomic.Int32
	holds, release := make(chan struct{}), make(chan struct{})
	b.answered.Store(new(func(r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/devices" && sent.Add(1) == 2 {
			close(holds)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	form := b.choose("", act).form("[data-testid=bulk-ask]")
	form.Set("confirm", fmt.Sprint(n))
	path := form.press("").wantStatus(http.StatusOK).path
	<-holds
	old := b.server
	if killed {
		b.t.Cleanup(func() { close(release) }) // what happens to it after its death is not seen
	} else {
		closeServer(b.t, old)
	}
	b.serve()
	return path
}

// state reads a bulk change's page as data.
func (b *board) state(path string) (data bulkData) {
	b.t.Helper()
	_, body := b.body(http.MethodGet, path+"?format=json", nil)
	if err := json.Unmarshal([]byte(body), &data); err != nil {
		b.t.Fatal(err, body)
	}
	return data
}

func (b *board) enabled() (n int) {
	b.t.Helper()
	list, err := b.client.ListDevices(b.t.Context(), 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range list {
		if d.Status == iothub.StatusEnabled {
			n++
		}
	}
	return n
}

func TestBulkInterrupted(t *testing.T) {
	for name, killed := range map[string]bool{"killed": true, "ended": false} {
		t.Run(name, func(t *testing.T) {
			b := newBoardOf(t, false)
			b.devices("d", 60)
			b.known(60)
			path := b.interrupted(actDisable, 60, killed)
			got := b.state(path)
			if got.Phase != phaseInterrupted || got.Done != 25 || got.Unsure != 25 || got.Waiting != 35 || got.Total != 60 {
				t.Fatalf("%s: %d done, %d waiting, %d of them unsure", got.Phase, got.Done, got.Waiting, got.Unsure)
			}
			for _, from := range []string{"/h/local", "/h/local/devices", "/h/local/changes"} {
				p := b.get(from)
				p.wantPart("[data-testid=page-note]", "Interrupted: 25 of 60 devices are disabled.")
				if to := p.href("[data-testid=page-note] a"); to != path {
					t.Errorf("%s leads to %s", from, to)
				}
			}
			p := b.get(path)
			p.wantPart("[data-testid=bulk-state]", "Of 25 devices it is not known whether it was done")
			b.post(path+"/retry", map[string]string{"retry": "waiting"})
			if got := b.finished(path); got.Done != 60 || got.Already != 0 || got.Phase != phaseDone {
				t.Errorf("%s: %d done, %d already", got.Phase, got.Done, got.Already)
			}
			if n := b.enabled(); n != 0 {
				t.Errorf("%d are still enabled", n)
			}
			if notes := b.get("/h/local/changes").all("[data-testid=page-note]"); len(notes) != 0 {
				t.Error("what is done is still told of")
			}
			b.serve()
			if got := b.state(path); got.Done != 60 || got.Phase != phaseDone {
				t.Errorf("after another start: %+v", got)
			}
		})
	}
}

// TestBulkUndoPutsReasonsBack takes back that devices were enabled: they are
// disabled again, each for its reason, also after the dashboard was restarted.
func TestBulkUndoPutsReasonsBack(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 3)
	for id, reason := range map[string]string{"d000": "stolen", "d001": ""} {
		d, err := b.client.GetDevice(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		d.Status, d.StatusReason = iothub.StatusDisabled, reason
		if d, err = b.client.UpdateDevice(t.Context(), d, nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { known, _ := b.fleet.Get(id); return known.Identity().ETag == d.ETag }, "the picture has "+id)
	}
	reason := func(id string) string {
		t.Helper()
		d, err := b.client.GetDevice(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return d.Status + " " + d.StatusReason
	}
	done := b.choose("?q=d", actEnable).form("[data-testid=bulk-ask]").press("")
	if got := b.finished(done.path); got.Done != 2 || got.Already != 1 {
		t.Fatalf("%+v", got)
	}
	if got := reason("d000"); got != "enabled " {
		t.Errorf("enabled, it is %q", got)
	}
	closeServer(b.t, b.server)
	b.serve()
	ask := b.post(done.path+"/undo", nil).wantStatus(http.StatusOK).form("[data-testid=bulk-ask]")
	ask.Set("confirm", "2")
	b.finished(ask.press("").path)
	if got := reason("d000") + ", " + reason("d001") + ", " + reason("d002"); got != "disabled stolen, disabled , enabled " {
		t.Errorf("taken back: %s", got)
	}
}

// TestBulkInterruptedUndo takes back what was done, the devices of the unanswered
// request among them, and nothing else.
func TestBulkInterruptedUndo(t *testing.T) {
	b := newBoardOf(t, false)
	b.devices("d", 60)
	d, err := b.client.GetDevice(t.Context(), "d059")
	if err != nil {
		t.Fatal(err)
	}
	d.Status = iothub.StatusDisabled // before, by another
	if _, err := b.client.UpdateDevice(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	b.known(60)
	path := b.interrupted(actDisable, 60, true)
	ask := b.post(path+"/undo", nil).wantStatus(http.StatusOK)
	ask.want("h1", "Enable 50 devices")
	undo := ask.form("[data-testid=bulk-ask]").press("").path
	if got := b.finished(undo); got.Done != 50 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
	if n := b.enabled(); n != 59 {
		t.Errorf("%d are enabled, want all but the one that another disabled", n)
	}
	if notes := b.get("/h/local/changes").all("[data-testid=page-note]"); len(notes) != 0 {
		t.Error("what was taken back still waits for a decision")
	}
}

// TestBulkInterruptedAdding goes on with devices to add. Those that were to get
// keys of their own need their line again.
func TestBulkInterruptedAdding(t *testing.T) {
	b := newBoardOf(t, false)
	b.known(0)
	csv := "deviceId,desired.interval,primaryKey,secondaryKey\n"
	for i := range 52 {
		key := ""
		if i == 51 {
			key = "c2VjcmV0"
		}
		csv += fmt.Sprintf("d%03d,1.0,%s,%s\n", i, key, key)
	}
	var sent atomic.Int32
	holds := make(chan struct{})
	b.answered.Store(new(func(r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/devices" && sent.Add(1) == 2 {
			close(holds)
			<-r.Context().Done()
		}
	}))
	ask := b.post("/h/local/import", map[string]string{"by": "csv", "csv": csv}).wantStatus(http.StatusOK)
	form := ask.form("[data-testid=bulk-ask]")
	form.Set("confirm", "52")
	path := form.press("").wantStatus(http.StatusOK).path
	<-holds
	closeServer(t, b.server)
	b.serve()
	if got := b.state(path); got.Done != 25 || got.Unsure != 25 || got.Waiting != 27 {
		t.Fatalf("%+v", got)
	}
	b.post(path+"/retry", map[string]string{"retry": "waiting"})
	if got := b.finished(path); got.Done != 51 || got.Failed != 1 {
		t.Errorf("%d done, %d failed", got.Done, got.Failed)
	}
	b.get(path).wantPart("[data-outcome=failed]", "Twinboard does not keep keys when it ends")
	wantDocument(t, "desired", b.twin("d050").Properties.Desired.Value, `{"interval":1.0}`)
	b.known(51)
	b.post(path+"/undo", nil).want("h1", "Delete 51 devices")
}

func TestBulkLeft(t *testing.T) {
	b := newBoardOf(t, false)
	b.devices("d", 60)
	b.known(60)
	path := b.interrupted(actDelete, 60, false)
	p := b.get(path)
	if len(p.all("[data-testid=bulk-undo-2]")) != 0 {
		t.Error("deleting is offered to be undone")
	}
	b.post(path+"/undo", nil).wantStatus(http.StatusBadRequest)
	b.post(path+"/leave", nil).want("#bulk-lead", "25 of 60 devices are deleted.")
	b.serve()
	if got := b.state(path); got.Phase != phaseDone || got.Waiting != 35 {
		t.Errorf("%+v", got)
	}
	if notes := b.get("/h/local").all("[data-testid=page-note]"); len(notes) != 0 {
		t.Error("what was left still waits for a decision")
	}
}
