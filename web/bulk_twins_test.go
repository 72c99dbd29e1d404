package web

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// setting is the form for the settings of some devices, all when none is named.
func (b *board) setting(ids ...string) sheet {
	b.t.Helper()
	return b.choose("", actDesired, ids...).wantStatus(http.StatusOK).form("[data-testid=edit]")
}

// asJSON is the form with a patch typed as JSON.
func (f sheet) asJSON(patch string) sheet {
	f.page.t.Helper()
	f = f.press("json").wantStatus(http.StatusOK).form("[data-testid=edit]")
	f.Set("json", patch)
	return f
}

// review presses through to the review.
func (f sheet) review() sheet {
	f.page.t.Helper()
	return f.press("review").wantStatus(http.StatusOK).form("[data-testid=bulk-review]")
}

func TestBulkSettingsAsRows(t *testing.T) {
	b := newBoard(t)
	b.device("100%", `{}`, `{"interval":60,"mode":"auto","debug":true,"keep":1.0}`)
	b.device("b", `{}`, `{"interval":60}`)
	b.device("c", `{}`, `{"interval":30,"link":{"mode":"eco"}}`)
	b.device("other", `{}`, `{"interval":60}`)
	b.known(4)
	form := b.setting("100%", "b", "c")
	form.page.want("h1", "Change settings of 3 devices")
	form.page.want(".lead", "Only what is named here changes on these 3 devices. Their other settings stay.")
	form.page.wantPart("[data-testid=bulk-which]", "100%")
	if names := form.page.all("#edit-names option"); len(names) != 5 {
		t.Errorf("%d names are offered", len(names))
	}
	form.press("review").wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=errors]", "Nothing is named yet.")

	form.last("interval", kindNumber, "30")
	form = form.press("add").form("[data-testid=edit]")
	form.last("link.mode", kindText, "eco")
	form = form.press("add-removal").form("[data-testid=edit]")
	form.last("debug", kindText, "")
	form.page.wantPart(".edit-removed", "will be removed from each device that has it")
	review := form.review()
	review.page.want("h1", "Review settings of 3 devices")
	review.page.want("[data-testid=lead]", "2 of 3 devices will change.")
	review.page.want("[data-testid=bulk-sets]",
		"The setting interval becomes 30 . The setting link.mode becomes eco . The setting debug is removed from each device that has it.")
	review.page.wantPart(".bulk-notes", "One has these values already and stays as it is.")
	// Some may be other than known by now: all are asked for, and the button says so.
	review.page.wantPart(".bulk-notes", "All 3 devices are read again, and each is written only if something changes")
	review.page.want("[data-testid=bulk-start] span", "Apply to all 3 devices")
	review.page.wantPart("[data-testid=sample]", "100% debug true → to removed interval 60 → to 30 link.mode new → to eco")
	review.page.wantPart("[data-testid=request]", "PATCH https://")
	if got := b.twin("b").Properties.Desired.Version; got != 2 {
		t.Fatalf("a review has changed a device: version %d", got)
	}

	// Back in the form, everything typed is there.
	again := review.press("edit").wantStatus(http.StatusOK).form("[data-testid=edit]")
	if got := strings.Join(again.Values["path"], " "); got != "interval link.mode debug" || again.Values["removed"][2] != "1" {
		t.Errorf("back in the form: %v", again.Values)
	}

	p := review.press("apply").wantStatus(http.StatusOK)
	if got := b.finished(p.path); got.Done != 2 || got.Already != 1 || got.Failed != 0 || got.Phase != phaseDone {
		t.Errorf("%+v", got)
	}
	wantDocument(t, "100%", b.twin("100%").Properties.Desired.Value, `{"interval":30,"keep":1.0,"link":{"mode":"eco"},"mode":"auto"}`)
	wantDocument(t, "b", b.twin("b").Properties.Desired.Value, `{"interval":30,"link":{"mode":"eco"}}`)
	wantDocument(t, "c", b.twin("c").Properties.Desired.Value, `{"interval":30,"link":{"mode":"eco"}}`)
	wantDocument(t, "other", b.twin("other").Properties.Desired.Value, `{"interval":60}`)
	done := b.get(p.path)
	done.want("#bulk-lead", "3 of 3 devices have the new settings.")
	done.wantPart("[data-testid=bulk-state]", "One had these settings already.")
	done.wantPart("[data-outcome=done]", "interval 60 → to 30")
	_, body := b.body(http.MethodGet, p.path+"?format=csv", nil)
	if rows, err := csv.NewReader(strings.NewReader(body)).ReadAll(); err != nil || len(rows) != 4 || rows[3][2] != itemAlready {
		t.Errorf("the result as CSV: %v, %v", rows, err)
	}
	b.inJournal("b", store.Entry{
		Section: store.Desired, Screen: "bulk", Source: store.FromDashboard,
		Patch: document(t, `{"interval":30,"link":{"mode":"eco"}}`), Old: document(t, `{"interval":60,"link":null}`),
	})
}

// newest is the newest entry of a device in the journal.
func (b *board) newest(id string, section store.Section) store.Entry {
	b.t.Helper()
	list, err := b.store.Journal(b.t.Context(), store.JournalQuery{Hub: "local", DeviceID: id, Section: section}, 1)
	if err != nil || len(list) != 1 {
		b.t.Fatalf("%d entries about %s, %v", len(list), id, err)
	}
	return list[0]
}

// inJournal checks the newest entry of a device.
func (b *board) inJournal(id string, want store.Entry) {
	b.t.Helper()
	got := b.newest(id, want.Section)
	if got.Screen != want.Screen || got.Source != want.Source || got.ETag != b.twin(id).ETag || got.Undoes != want.Undoes ||
		len(iothub.Diff(got.Patch, want.Patch)) > 0 || len(iothub.Diff(got.Old, want.Old)) > 0 {
		b.t.Errorf("the journal says of %s: %+v", id, got)
	}
}

func TestBulkTagsAsJSON(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 60)
	b.known(60)
	b.write("d001", iothub.TwinPatch{Tags: document(t, `{"site":{"hall":"b1","row":4}}`)})
	form := b.choose("?q=d0", actTags).wantStatus(http.StatusOK).form("[data-testid=edit]")
	form.page.want("h1", "Change tags of 60 devices")
	for typed, says := range map[string]string{
		`{"site": {"hall": }}`: "Line 1, column 19", `{"a b": 1}`: "A name must not contain a space.",
		`{"a": 1, "a": 2}`: "is there twice", `{"list": [null]}`: "a list must not contain null", ``: "Nothing is named yet.",
		`{"big": ["` + strings.Repeat("x", 4000) + `","` + strings.Repeat("x", 4000) + `","` + strings.Repeat("x", 300) + `"]}`: "The limit is 8 KB.",
	} {
		form.asJSON(typed).press("review").wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=errors]", says)
	}
	typed := form.asJSON(`{"site": {"hall": "c2", "row": null}, "n": 1.0}`)
	rows := typed.press("rows").form("[data-testid=edit]")
	if got := strings.Join(rows.Values["path"], " "); got != "n site.hall site.row" || rows.Values["removed"][2] != "1" {
		t.Errorf("as rows: %v", rows.Values)
	}
	review := rows.review()
	review.page.want("[data-testid=lead]", "All 60 devices will change.")
	review.page.wantPart("[data-testid=samples]", "d000 and 58 more like it")
	review.page.wantPart("[data-testid=samples]", "site.row 4 → to removed")
	review.Set("confirm", "59")
	refused := review.press("apply").wantStatus(http.StatusUnprocessableEntity)
	refused.wantPart("[data-testid=errors]", "What was typed is not 60.")
	review = refused.form("[data-testid=bulk-review]")
	review.Set("confirm", "60")
	p := review.press("apply").wantStatus(http.StatusOK)
	if got := b.finished(p.path); got.Done != 60 {
		t.Errorf("%+v", got)
	}
	wantDocument(t, "tags", b.twin("d001").Tags, `{"n":1.0,"site":{"hall":"c2"}}`)
	wantDocument(t, "tags", b.twin("d002").Tags, `{"n":1.0,"site":{"hall":"c2"}}`)

	// The same said twice is one change; another of the same choice is one more.
	if again := review.press("apply"); again.path != p.path {
		t.Errorf("said twice: %s and %s", p.path, again.path)
	}
	other := form.asJSON(`{"n": 2}`).review()
	other.Set("confirm", "60")
	next := other.press("apply").wantStatus(http.StatusOK)
	if next.path == p.path {
		t.Error("another change is not made")
	}
	if got := b.finished(next.path); got.Done != 60 {
		t.Errorf("%+v", got)
	}
}

// TestBulkSettingsTooLarge names the devices that cannot take a change, before and
// after.
func TestBulkSettingsTooLarge(t *testing.T) {
	b := newBoard(t)
	full := iothub.Document{}
	for n := range 8 {
		full[fmt.Sprintf("chunk%d", n)] = strings.Repeat("x", 4000)
	}
	b.device("full", `{}`, `{}`)
	b.write("full", iothub.TwinPatch{Desired: full})
	b.device("ok", `{}`, `{}`)
	b.known(2)
	review := b.setting().asJSON(`{"text":"` + strings.Repeat("y", 1000) + `"}`).review()
	review.page.want("[data-testid=lead]", "1 of 2 devices will change.")
	review.page.wantPart(".bulk-notes", "One cannot take them")
	review.page.wantPart("[data-testid=too-much]", "full The document would be")
	p := review.press("apply")
	if got := b.finished(p.path); got.Done != 1 || got.Failed != 1 {
		t.Errorf("%+v", got)
	}
	b.get(p.path).wantPart("[data-outcome=failed]", "The limit is 32 KB.")
	b.serve()
	b.get(p.path).wantPart("[data-outcome=failed]", "The limit is 32 KB.")
}

// TestBulkSettingsMeetOthers has another program write each twin between the read
// and the write: its change stays, and what was asked is set on top.
func TestBulkSettingsMeetOthers(t *testing.T) {
	b := newBoard(t)
	b.device("a", `{}`, `{"interval":60,"mode":"auto"}`)
	b.known(1)
	review := b.setting("a").asJSON(`{"interval":30}`).review()
	var once sync.Once
	b.answered.Store(new(func(r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/twins/a" {
			once.Do(func() { b.write("a", iothub.TwinPatch{Desired: document(t, `{"interval":45,"mode":"eco"}`)}) })
		}
	}))
	p := review.press("apply")
	if got := b.finished(p.path); got.Done != 1 {
		t.Errorf("%+v", got)
	}
	wantDocument(t, "a", b.twin("a").Properties.Desired.Value, `{"interval":30,"mode":"eco"}`)
	undo := b.post(p.path+"/undo", nil).form("[data-testid=bulk-ask]").press("")
	b.finished(undo.path)
	wantDocument(t, "a", b.twin("a").Properties.Desired.Value, `{"interval":45,"mode":"eco"}`)
}

func TestBulkSettingsOfTheRestless(t *testing.T) {
	b := newBoard(t)
	b.device("a", `{}`, `{"interval":60}`)
	b.known(1)
	review := b.setting("a").asJSON(`{"interval":30}`).review()
	var n atomic.Int32
	b.answered.Store(new(func(r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/twins/a" {
			b.write("a", iothub.TwinPatch{Desired: document(t, fmt.Sprintf(`{"n":%d}`, n.Add(1)))})
		}
	}))
	p := review.press("apply")
	if got := b.finished(p.path); got.Failed != 1 || got.Phase != phaseDone {
		t.Errorf("%+v", got)
	}
	b.answered.Store(nil)
	if got := b.finished(b.post(p.path+"/retry", map[string]string{"retry": "failed"}).path); got.Done != 1 {
		t.Errorf("%+v", got)
	}
}

// TestBulkSettingsUndo puts the former values back, but only where nobody has
// changed them since.
func TestBulkSettingsUndo(t *testing.T) {
	b := newBoard(t)
	b.device("a", `{}`, `{"interval":60,"debug":true}`)
	b.device("b", `{}`, `{"interval":60,"debug":true}`)
	b.device("c", `{}`, `{"interval":10}`)
	b.device("d", `{}`, `{"interval":60}`)
	b.device("gone", `{}`, `{"interval":60}`)
	b.known(5)
	p := b.setting().asJSON(`{"interval":30,"debug":null,"link":{"mode":"eco"}}`).review().press("apply")
	if got := b.finished(p.path); got.Done != 5 {
		t.Fatalf("%+v", got)
	}
	applied := b.newest("a", store.Desired)
	b.write("b", iothub.TwinPatch{Desired: document(t, `{"interval":15,"link":{"rate":5}}`)})
	b.write("c", iothub.TwinPatch{Desired: document(t, `{"interval":15,"link":{"mode":"full"}}`)})
	b.write("d", iothub.TwinPatch{Desired: document(t, `{"interval":60,"link":null}`)})
	if err := b.client.DeleteDevice(t.Context(), "gone", nil); err != nil {
		t.Fatal(err)
	}
	b.serve() // what is to be put back outlives a restart

	ask := b.post(p.path+"/undo", nil).wantStatus(http.StatusOK)
	ask.want("h1", "Put settings of 5 devices back")
	ask.wantPart("[data-testid=bulk-item]", "a debug new → to true interval 30 → to 60 link.mode eco → to removed")
	undo := ask.form("[data-testid=bulk-ask]").press("")
	got := b.finished(undo.path)
	if got.Done != 2 || got.Already != 1 || got.Left != 1 || got.Failed != 1 {
		t.Errorf("%+v", got)
	}
	wantDocument(t, "a", b.twin("a").Properties.Desired.Value, `{"debug":true,"interval":60}`)
	wantDocument(t, "b", b.twin("b").Properties.Desired.Value, `{"debug":true,"interval":15,"link":{"rate":5}}`)
	wantDocument(t, "c", b.twin("c").Properties.Desired.Value, `{"interval":15,"link":{"mode":"full"}}`)
	wantDocument(t, "d", b.twin("d").Properties.Desired.Value, `{"interval":60}`)
	for range 2 {
		result := b.get(undo.path)
		result.want("#bulk-lead", "3 of 5 devices have their former settings back.")
		result.wantPart("[data-outcome=left]", "Changed since and left alone: interval, link.mode.")
		result.wantPart("[data-outcome=done]", "Changed since and left alone: interval.")
		result.wantPart("[data-outcome=failed]", "gone")
		if len(result.all("[data-testid=bulk-undo-2]")) != 0 {
			t.Error("an undo is offered to be undone")
		}
		b.serve()
	}
	b.inJournal("a", store.Entry{
		Section: store.Desired, Screen: "bulk", Source: store.FromDashboard, Undoes: applied.ID,
		Patch: document(t, `{"debug":true,"interval":60,"link":null}`), Old: document(t, `{"debug":null,"interval":30,"link":{"mode":"eco"}}`),
	})
	if got := b.get("/h/local/changes?device=a&who=dashboard").lines(); len(got) != 2 || !strings.Contains(got[0], "by undo") || strings.Contains(got[1], "by undo") {
		t.Errorf("the changes are %q", got)
	}
}

// slowsDown has the hub refuse that many writes of twins, and counts all.
func (b *board) slowsDown(refused int32) *atomic.Int32 {
	var asked atomic.Int32
	b.refuse.Store(new(func(r *http.Request) *iothub.Error {
		if r.Method == http.MethodPatch && asked.Add(1) <= refused {
			return iothub.ErrThrottling
		}
		return nil
	}))
	return &asked
}

func TestBulkSettingsThrottled(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 2)
	b.known(2)
	asked := b.slowsDown(3)
	p := b.setting().asJSON(`{"interval":30}`).review().press("apply")
	eventually(t, func() bool { return len(b.get(p.path).all("[data-testid=bulk-wait]")) == 1 }, "the page says that it waits")
	if got := b.finished(p.path); got.Done != 2 || asked.Load() != 5 {
		t.Errorf("%+v after %d requests", got, asked.Load())
	}
}

func TestBulkSettingsStop(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 30)
	b.known(30)
	b.slowsDown(1 << 30)
	p := b.setting().asJSON(`{"interval":30}`).review().press("apply")
	eventually(t, func() bool { return len(b.get(p.path).all("[data-testid=bulk-wait]")) == 1 }, "the page says that it waits")
	b.post(p.path+"/stop", nil)
	if got := b.finished(p.path); got.Waiting != 30 || got.Unsure != 0 || got.Phase != phaseStopped {
		t.Errorf("%+v", got)
	}
	b.refuse.Store(nil)
	b.serve() // a stopped one goes on after a restart
	if got := b.finished(b.post(p.path+"/retry", map[string]string{"retry": "waiting"}).path); got.Done != 30 || got.Already != 0 {
		t.Errorf("%+v", got)
	}
}

func TestBulkSettingsWhileTheHubIsAway(t *testing.T) {
	b := newBoard(t)
	b.devices("d", 3)
	b.known(3)
	review := b.setting().asJSON(`{"interval":30}`).review()
	b.stopHub()
	p := review.press("apply")
	if got := b.finished(p.path); got.Waiting != 3 || got.Failed != 0 || got.Phase != phaseStopped {
		t.Errorf("%+v", got)
	}
	b.get(p.path).wantPart("[data-testid=bulk-state]", "Go on with the other 3")
}

// TestBulkSettingsRefused keeps the rest from being sent when the hub refuses what
// it would refuse each time.
func TestBulkSettingsRefused(t *testing.T) {
	b := newBoardOf(t, false)
	b.devices("d", 30)
	b.known(30)
	var asked atomic.Int32
	b.refuse.Store(new(func(r *http.Request) *iothub.Error {
		if r.Method == http.MethodPatch && asked.Add(1) > 0 {
			return iothub.ErrUnauthorized
		}
		return nil
	}))
	p := b.setting().asJSON(`{"interval":30}`).review().press("apply")
	got := b.finished(p.path)
	if got.Phase != phaseStopped || got.Failed == 0 || got.Failed+got.Waiting != 30 || asked.Load() > readersCloud {
		t.Errorf("%+v after %d requests", got, asked.Load())
	}
}

// TestBulkSettingsInterrupted ends the program while answers are on their way: the
// next one looks first, and takes back what was done.
func TestBulkSettingsInterrupted(t *testing.T) {
	for name, killed := range map[string]bool{"killed": true, "ended": false} {
		t.Run(name, func(t *testing.T) {
			b := newBoardOf(t, false)
			b.devices("d", 60)
			b.write("d010", iothub.TwinPatch{Desired: document(t, `{"interval":10}`)})
			b.known(60)
			review := b.setting().asJSON(`{"interval":30}`).review()
			review.Set("confirm", "60")
			path := b.interruptedWrites(review, killed)
			got := b.state(path)
			if got.Phase != phaseInterrupted || got.Unsure == 0 || got.Done+got.Waiting != 60 {
				t.Fatalf("%+v", got)
			}
			b.post(path+"/retry", map[string]string{"retry": "waiting"})
			if got := b.finished(path); got.Done != 60 || got.Already != 0 {
				t.Errorf("%s: %d done, %d already, %d failed", got.Phase, got.Done, got.Already, got.Failed)
			}
			undo := b.post(path+"/undo", nil).form("[data-testid=bulk-ask]")
			undo.Set("confirm", "60")
			if got := b.finished(undo.press("").path); got.Done != 60 {
				t.Errorf("%+v", got)
			}
			wantDocument(t, "d010", b.twin("d010").Properties.Desired.Value, `{"interval":10}`)
			wantDocument(t, "d059", b.twin("d059").Properties.Desired.Value, `{}`)
		})
	}
}

// interruptedWrites applies a change and ends the program while the answers from the
// fortieth write on are on their way, as many as are sent at a time.
func (b *board) interruptedWrites(review sheet, killed bool) (path string) {
	b.t.Helper()
	var sent atomic.Int32
	holds, release := make(chan struct{}), make(chan struct{})
	b.answered.Store(new(func(r *http.Request) {
		n := int32(0)
		if r.Method == http.MethodPatch {
			n = sent.Add(1)
		}
		if n == 40+readersCloud-1 {
			close(holds)
		}
		if n >= 40 {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	path = review.press("apply").wantStatus(http.StatusOK).path
	<-holds
	if killed {
		b.t.Cleanup(func() { close(release) })
	} else {
		closeServer(b.t, b.server)
	}
	b.answered.Store(nil)
	b.serve()
	return path
}

func TestBulkSettingsPages(t *testing.T) {
	b := newBoard(t)
	b.device("a", `{}`, `{"interval":30}`)
	b.known(1)
	b.get("/h/local/bulk/unknown/edit").wantStatus(http.StatusNotFound)
	form := b.setting("a")
	form.page.want("h1", "Change settings of one device")
	if at := b.get(strings.TrimSuffix(form.action, "/edit")).path; at != form.action {
		t.Errorf("what is chosen leads to %s", at)
	}
	review := form.asJSON(`{"interval":30}`).review()
	review.page.want("[data-testid=lead]", "No device will change.")
	if len(review.page.all("[data-testid=bulk-start]")) != 0 {
		t.Error("a change of nothing is offered")
	}
	// Another act has no such form.
	disable := b.choose("", actDisable, "a")
	b.get(disable.path + "/edit").wantStatus(http.StatusNotFound)
	// Without its fields the form is damaged.
	b.post(form.action, map[string]string{"do": "review", "as": "rows", "path": "x"}).wantStatus(http.StatusBadRequest)
}

func TestForecastIsBounded(t *testing.T) {
	b := newBoard(t)
	b.device("a", `{}`, `{"n":1}`)
	b.known(1)
	items := make([]bulkItem, mostForecast+5)
	for n := range items {
		items[n] = bulkItem{id: "a"}
	}
	f := b.server.newBulk(b.server.hubs[0], actDesired, items).forecast(document(t, `{"n":2}`))
	if f.changing != mostForecast || f.unseen != 5 || len(f.alike) != 1 || f.alike[0].count != mostForecast {
		t.Errorf("%d change, %d not looked at, %d groups", f.changing, f.unseen, len(f.alike))
	}
	if _, notes := f.sentences(context.Background(), len(items)); !strings.Contains(strings.Join(notes, " "), "5 more are looked at when it is their turn.") {
		t.Errorf("%v", notes)
	}
}
