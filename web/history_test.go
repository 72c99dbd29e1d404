package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

func TestHistory(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("O'Neil", `{"site":"oslo"}`, `{"interval":60,"mode":"eco"}`)
	b.known(1)
	b.entries(2, store.JournalQuery{})
	b.write("O'Neil", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)})
	b.write("O'Neil", iothub.TwinPatch{Desired: document(t, `{"mode":null,"limit":5}`), Tags: document(t, `{"site":"lima"}`)})
	b.entries(5, store.JournalQuery{Others: true})
	p := b.get("/h/local/devices/O'Neil?view=history").wantStatus(http.StatusOK)
	if got := p.lines(); len(got) != 5 || !strings.Contains(got[0]+got[1], "limit new → to 5") {
		t.Errorf("%q", got)
	}
	p.wantPart("[data-testid=watched]", "the hub itself keeps no history")
	if tab := p.all(".tab-row [data-key=h]"); len(tab) != 1 || attr(tab[0], "aria-current") != "page" {
		t.Error("the tab is not there, or not the present one")
	}
	interval := b.entries(3, store.JournalQuery{Section: store.Desired})[1]
	then := b.get(b.server.hubs[0].historyPath(interval))
	then.wantPart("[data-testid=past]", "You are looking at the past")
	then.want("[data-testid=change]", "interval 60 → 30")
	if got := strings.Join(then.texts("[data-testid=past-value]"), "; "); got != "interval Then 30 Now the same; limit Then not set Now 5; mode Then eco Now not set; site Then oslo Now lima" {
		t.Errorf("the twin then and now: %s", got)
	}
	b.get(then.href("[data-key=',']")).wantPart("[data-testid=past-value]", "interval Then 60 Now 30")
	b.get(then.href("[data-key='.']")).wantPart("[data-testid=past]", "You are looking at the past")
	t.Run("undo goes through the review", func(t *testing.T) {
		b.get(then.href("[data-key=u]")).form("#twin-review").press("apply").wantStatus(http.StatusOK)
		wantDocument(t, "desired", b.twin("O'Neil").Properties.Desired.Value, `{"interval":60,"limit":5}`)
	})
	_, body := b.body(http.MethodGet, then.path+"&format=json", nil)
	var data historyData
	if err := json.Unmarshal([]byte(body), &data); err != nil || data.At == nil || data.At.Change != interval.ID || len(data.Watched) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	wantDocument(t, "desired then", data.At.Desired, `{"interval":30,"mode":"eco"}`)
	wantDocument(t, "tags then", data.At.Tags, `{"site":"oslo"}`)
}

func TestHistoryOfNothing(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump", `{}`, `{}`)
	b.known(1)
	eventually(t, func() bool { w, err := b.server.store.Watched(t.Context(), "local"); return err == nil && len(w) == 1 }, "it watches")
	p := b.get("/h/local/devices/pump?view=history").wantStatus(http.StatusOK)
	p.wantPart("[data-testid=empty]", "Twinboard has watched this device since")
	p.wantPart("[data-testid=empty]", "the hub itself keeps no history")
	b.get("/h/local/devices/pump?view=history&at=2020-01-01T00:00:00Z").wantPart("[data-testid=unknown]", "Nothing is known of that moment")
	b.get("/h/local/devices/pump?view=history&at=nonsense&before=x").wantStatus(http.StatusOK)
}

func TestHistoryPagesAndData(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump", `{}`, `{}`)
	b.module("pump", "camera")
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	var list []store.Entry
	for i := range changesPerPage + 10 {
		list = append(list, store.Entry{
			Time: at, Hub: "local", DeviceID: "pump", ModuleID: "camera", Section: store.Desired, Source: store.FromFeed, Version: int64(i + 2),
			Patch: iothub.Document{"a": json.Number(strconv.Itoa(i))}, Old: iothub.Document{"a": json.Number(strconv.Itoa(i - 1))}, ETag: iothub.ETag(strconv.Itoa(i)),
		})
	}
	list = append(list, store.Entry{Time: at, Hub: "local", DeviceID: "pump", Section: store.Tags, Source: store.FromFeed, Patch: iothub.Document{"not": "here"}, ETag: "A"})
	fresh, err := b.server.store.Observe(t.Context(), list...)
	if err != nil || len(fresh) != len(list) {
		t.Fatal(len(fresh), err)
	}
	first := b.get("/h/local/devices/pump/modules/camera?view=history").wantStatus(http.StatusOK)
	if got := first.lines(); len(got) != changesPerPage || !strings.Contains(got[0], "version 61") || !strings.Contains(got[0], "a 58 → to 59") {
		t.Errorf("%d lines, the first %q", len(got), got[0])
	}
	older := b.get(first.href("[rel=next]"))
	if got := older.lines(); len(got) != 10 || len(older.all("[rel=next]")) != 0 || older.href("[rel=prev]") != first.path {
		t.Errorf("the second page has %q", got)
	}
	// All were at the same time: it is the entry that leads along the versions.
	past := b.get(b.server.hubs[0].historyPath(fresh[30]))
	past.want("[data-testid=change]", "a 29 → 30")
	b.get(past.href("[data-key=',']")).want("[data-testid=change]", "a 28 → 29")
	b.get(past.href("[data-key='.']")).want("[data-testid=change]", "a 30 → 31")
	b.get(first.path+"&at="+at.Add(time.Minute).UTC().Format(time.RFC3339)).want("[data-testid=change]", "a 58 → 59")
	_, body := b.body(http.MethodGet, first.path+"&format=json", nil)
	var data historyData
	if err := json.Unmarshal([]byte(body), &data); err != nil || len(data.Changes) != changesPerPage || data.Next != first.href("[rel=next]")+"&format=json" {
		t.Errorf("%v: next %q of %d", err, data.Next, len(data.Changes))
	}
	_, body = b.body(http.MethodGet, first.href("[href*='format=csv']"), nil)
	if rows, err := csv.NewReader(strings.NewReader(body)).ReadAll(); err != nil || len(rows) != changesPerPage+11 || rows[1][4] != "a" || rows[1][5] != "58" || rows[1][6] != "59" {
		t.Errorf("%v: %d rows", err, len(rows))
	}
}

// TestHistoryCompares compares any two versions, by an address that keeps them.
func TestHistoryCompares(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump-07", `{"site":"oslo"}`, `{"interval":60,"mode":"eco"}`)
	b.known(1)
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)})
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":10,"mode":null,"limit":5}`)})
	first := b.entries(3, store.JournalQuery{Section: store.Desired})[2]
	list := b.get(pump + "?view=history")
	chooser := list.form("[data-testid=history-chooser]")
	if got := chooser.Get("to"); got != "now" || chooser.Get("view") != "history" {
		t.Errorf("at first it offers %v", chooser.Values)
	}
	p := chooser.choose("from", strconv.FormatInt(first.ID, 10)).wantStatus(http.StatusOK)
	p.want("[data-testid=compare-banner] .lead", "3 values differ between the two versions.")
	p.wantPart("[data-testid=compared]", "Now One value is the same.")
	rows := func(p *page) string { return strings.Join(p.texts("[data-testid=past-value]"), "; ") }
	if got := rows(p); got != "interval version 2 60 Now 10; limit version 2 not set Now 5; mode version 2 eco Now not set" {
		t.Error(got)
	}
	p.want("[data-testid=compare-tags]", "Tags tags No difference.")
	if form := p.form("[data-testid=history-chooser]"); form.Get("from") != strconv.FormatInt(first.ID, 10) || form.Get("to") != "now" {
		t.Errorf("what is compared is not chosen: %v", form.Values)
	}
	// Two in the past, the newer one first.
	second := b.entries(3, store.JournalQuery{Section: store.Desired})[1]
	older := fmt.Sprintf("%s?view=history&from=%d&to=%d", pump, second.ID, first.ID)
	p = b.get(older)
	p.want("[data-testid=compare-banner] .lead", "One value differs between the two versions.")
	p.wantPart("[data-testid=past-value]", "60")
	if then := b.get(p.href("[data-testid=compared] a:first-child")); !strings.HasSuffix(then.path, fmt.Sprintf("at=%d", first.ID)) {
		t.Errorf("the older one is at %s", then.path)
	}
	_, body := b.body(http.MethodGet, older+"&format=json", nil)
	var data historyData
	if err := json.Unmarshal([]byte(body), &data); err != nil || data.From == nil || data.To == nil || data.From.Change != first.ID || data.To.Change != second.ID {
		t.Fatalf("%v: %s", err, body)
	}
	wantDocument(t, "from", data.From.Desired, `{"interval":60,"mode":"eco"}`)
	wantDocument(t, "to", data.To.Desired, `{"interval":30,"mode":"eco"}`)
	same := fmt.Sprintf("%s?view=history&from=%d&to=%d", pump, first.ID, first.ID)
	b.get(same).want("[data-testid=compare-banner] .lead", "Nothing differs between the two versions.")
	for query, want := range map[string]string{
		"from=2020-01-01T00:00:00Z": "Nothing is known of that moment", "from=1&to=2020-01-01T00:00:00Z": "Nothing is known of that moment", "from=x&to=7": "",
	} {
		if p := b.get(pump + "?view=history&" + query).wantStatus(http.StatusOK); !strings.Contains(p.text("main"), want) || len(p.all("[data-testid=compare-banner]")) != 0 {
			t.Errorf("%s: %s", query, p.text("main"))
		}
	}
}

// TestHistoryOfTheGone is about a device that is no longer registered.
func TestHistoryOfTheGone(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump-07", `{"site":"oslo"}`, `{"interval":60}`)
	b.module("pump-07", "cam")
	if _, err := b.client.UpdateModuleTwin(t.Context(), "pump-07", "cam", iothub.TwinPatch{Desired: document(t, `{"fps":25}`)}, nil); err != nil {
		t.Fatal(err)
	}
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)})
	b.entries(4, store.JournalQuery{})
	before := b.entries(2, store.JournalQuery{DeviceID: "pump-07", Section: store.Desired})[1]
	if err := b.client.DeleteDevice(t.Context(), "pump-07", nil); err != nil {
		t.Fatal(err)
	}
	b.known(0)
	b.entries(6, store.JournalQuery{}) // the device and its module were deleted
	changes := b.get("/h/local/changes")
	rows := changes.all("[data-testid=change-row]")
	if len(rows) != 6 || len(changes.all("[data-testid=undo]")) != 0 {
		t.Fatalf("%d changes, %d with undo", len(rows), len(changes.all("[data-testid=undo]")))
	}
	p := b.get(changes.href("#" + attr(rows[5], "id") + " .change-device")).wantStatus(http.StatusOK)
	p.want("h1", "pump-07")
	p.wantPart("[data-testid=gone]", "no longer registered")
	if got := p.lines(); len(got) != 4 || !strings.Contains(got[0], "Deleted") || len(p.all(".tab-row")) != 0 || len(p.all("[data-testid=boundary]")) != 0 {
		t.Errorf("%q, %d tabs", got, len(p.all(".tab-row")))
	}
	then := b.get(b.server.hubs[0].historyPath(before))
	if got := strings.Join(then.texts("[data-testid=past-value]"), "; "); got != "interval Then 60; site Then oslo" {
		t.Errorf("how it was: %s", got)
	}
	if len(then.all("[data-testid=undo]")) != 0 {
		t.Error("a change of what is gone can be taken back")
	}
	form := then.form("[data-testid=history-chooser]")
	if got := form.Get("to"); got == "now" {
		t.Error("what is gone has no present")
	}
	form.choose("from", strconv.FormatInt(before.ID, 10)).wantPart("[data-testid=past-value]", "60")
	missing := b.get(pump).wantStatus(http.StatusNotFound)
	b.get(missing.href("main a[href$='view=history']")).wantStatus(http.StatusOK).want("h1", "pump-07")
	b.get(pump+"/modules/cam?view=history").wantStatus(http.StatusOK).wantPart("[data-testid=change-row]", "fps")
	unknown := b.get("/h/local/devices/never?view=history").wantStatus(http.StatusNotFound)
	if len(unknown.all("main a[href$='view=history']")) > 1 {
		t.Error("a device that never was has a history")
	}
	_, body := b.body(http.MethodGet, pump+"?view=history&format=json", nil)
	if !strings.Contains(body, `"deleted": true`) {
		t.Errorf("as JSON: %s", body)
	}
}

// TestHistoryOfTheAddedAgain is about a device that was deleted and added again: it
// is another one, though it has the same id.
func TestHistoryOfTheAddedAgain(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump-07", `{"site":"oslo"}`, `{"interval":60}`)
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":30,"mode":"eco"}`)})
	b.entries(3, store.JournalQuery{})
	former := b.entries(2, store.JournalQuery{Section: store.Desired})[0]
	if err := b.client.DeleteDevice(t.Context(), "pump-07", nil); err != nil {
		t.Fatal(err)
	}
	b.entries(4, store.JournalQuery{})
	b.device("pump-07", `{}`, `{}`)
	b.known(1)
	again := b.get(pump + "?view=history").wantStatus(http.StatusOK)
	if got := len(again.all("[data-testid=boundary]")); got != 1 || len(again.all("[data-testid=undo]")) != 0 {
		t.Errorf("%d boundaries, %d changes of the earlier one can be taken back", got, len(again.all("[data-testid=undo]")))
	}
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":5}`)})
	b.entries(3, store.JournalQuery{Section: store.Desired})
	p := b.get(pump + "?view=history")
	lines := p.texts(".change-list > li")
	at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "added again here") })
	if at < 1 || len(lines) != at+5 || !strings.Contains(lines[at+1], "Deleted") {
		t.Errorf("the history is %q", lines)
	}
	if got := len(p.all("[data-testid=undo]")); got != 1 {
		t.Errorf("%d changes can be taken back: %s", got, p.text("main"))
	}
	t.Run("the changes of all devices tell the two apart", func(t *testing.T) {
		for query, want := range map[string]struct{ former, undo int }{"": {4, 1}, "?kind=desired": {2, 1}, "?kind=tags": {1, 0}} {
			p := b.get("/h/local/changes" + query)
			if f, u := len(p.all("[data-testid=former]")), len(p.all("[data-testid=undo]")); f != want.former || u != want.undo {
				t.Errorf("%q: %d are of the earlier one, %d can be taken back, want %+v", query, f, u, want)
			}
		}
		p := b.get("/h/local/changes")
		p.wantPart("[data-testid=former]", "can be read, not taken back")
		b.get(p.href("#change-"+strconv.FormatInt(former.ID, 10)+" .change-device")).wantPart("[data-testid=boundary]", "added again")
	})
	t.Run("the earlier one is for reading", func(t *testing.T) {
		then := b.get(b.server.hubs[0].historyPath(former))
		then.wantPart("[data-testid=former]", "an earlier one with the same id")
		if got := strings.Join(then.texts("[data-testid=past-value]"), "; "); got != "interval Then 30; mode Then eco; site Then oslo" {
			t.Errorf("how it was: %s", got)
		}
		if len(then.all("[data-testid=undo]")) != 0 {
			t.Error("its change can be taken back")
		}
		b.get(undoPath(b.server.hubs[0], former)).wantPart(".flash", "cannot be undone on this one")
		wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"interval":5}`)
	})
	t.Run("a comparison across says so", func(t *testing.T) {
		across := b.get(fmt.Sprintf("%s?view=history&from=%d", pump, former.ID))
		across.wantPart("[data-testid=former]", "two different ones with the same id")
		if got := strings.Join(across.texts("[data-testid=past-value]"), "; "); got != "interval version 3 30 Now 5; mode version 3 eco Now not set; site version 3 oslo Now not set" {
			t.Error(got)
		}
		first := b.entries(3, store.JournalQuery{Section: store.Desired})[2]
		within := b.get(fmt.Sprintf("%s?view=history&from=%d&to=%d", pump, first.ID, former.ID))
		if len(within.all("[data-testid=former]")) != 0 || len(within.all("[data-testid=compare-banner]")) != 1 {
			t.Error("two versions of the earlier one are not of one device")
		}
	})
	_, body := b.body(http.MethodGet, pump+"?view=history&format=json", nil)
	if strings.Count(body, `"deleted": true`) != 1 {
		t.Errorf("as JSON: %s", body)
	}
}

// TestHistoryOfTheShortLived is about a device that was deleted before its first
// change was written down.
func TestHistoryOfTheShortLived(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump-07", `{}`, `{"interval":60}`)
	if err := b.client.DeleteDevice(t.Context(), "pump-07", nil); err != nil {
		t.Fatal(err)
	}
	if list := b.entries(2, store.JournalQuery{}); !list[0].Deletion() || list[1].Section != store.Desired {
		t.Errorf("%+v", list)
	}
}

func TestEndedLives(t *testing.T) {
	now := time.Now()
	version := func(n int64, ago time.Duration) store.Entry {
		return store.Entry{Section: store.Desired, Version: n, Time: now.Add(-ago)}
	}
	tag, deleted := store.Entry{Section: store.Tags, Time: now}, store.Entry{Section: store.State, Time: now}
	state := store.Entry{Section: store.State, State: iothub.Silent, Time: now}
	for name, c := range map[string]struct {
		entries []store.Entry
		version int64
		want    []int
	}{
		"nothing":                       {nil, 3, nil},
		"one life":                      {[]store.Entry{version(3, time.Hour), tag, state, version(2, 2*time.Hour)}, 3, nil},
		"a deletion":                    {[]store.Entry{version(2, time.Hour), tag, deleted, version(9, 2*time.Hour)}, 2, []int{2}},
		"a deletion nobody saw":         {[]store.Entry{version(2, time.Hour), tag, version(9, 2*time.Hour)}, 2, []int{2}},
		"one since the last change":     {[]store.Entry{version(9, 2*time.Hour)}, 1, []int{0}},
		"two":                           {[]store.Entry{deleted, version(9, 2*time.Hour), deleted, version(4, 3*time.Hour)}, 1, []int{0, 2}},
		"neighbours of nearly one time": {[]store.Entry{version(8, time.Hour), version(9, time.Hour+time.Second)}, 9, nil},
		"a version that is not known":   {[]store.Entry{version(0, time.Hour), version(9, 2*time.Hour)}, 9, nil},
	} {
		if got := endedLives(c.entries, c.version, now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestHistorySaysItsGaps(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 22, 13, minute, 0, 0, time.Local) }
	watched := []store.Span{{Since: at(0), Until: at(10)}, {Since: at(55), Until: at(59)}}
	want := []string{"Not observed between 22 Nov 2026, 13:10:00 and 22 Nov 2026, 13:55:00."}
	if got := gapTexts(t.Context(), watched, at(5), at(57)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := gapTexts(t.Context(), watched, at(1), at(5)); len(got) != 0 {
		t.Errorf("a gap while it was watched: %v", got)
	}
}
