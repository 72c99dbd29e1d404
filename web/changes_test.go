package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// lines are the texts of the journal's lines.
func (p *page) lines() []string { return p.texts("[data-testid=change-row]") }

func TestChangesPage(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.get("/h/local/changes").wantPart("[data-testid=empty]", "No changes yet.")
	b.device("pump-1", `{"site":"oslo"}`, `{"interval":60}`)
	b.known(1)
	b.entries(2, store.JournalQuery{Others: true})
	b.save("pump-1", "30")
	b.entries(3, store.JournalQuery{})
	p := b.get("/h/local/changes").wantStatus(http.StatusOK)
	if got := p.lines(); len(got) != 3 || !strings.Contains(got[0], "interval 60 → to 30 this dashboard") || !strings.Contains(got[1], "iothubowner") {
		t.Errorf("%q", got)
	}
	p.want(".change-day h2", "Today")
	for query, want := range map[string]int{
		"kind=tags": 1, "kind=state": 0, "who=dashboard": 1, "who=others": 2, "who=policy:iothubowner": 2, "device=PUMP": 3, "device=gate": 0,
		"who=nonsense&kind=evil&before=x": 3, "kind=desired&who=others": 1,
	} {
		if got := b.get("/h/local/changes?" + query).lines(); len(got) != want {
			t.Errorf("%s shows %d: %q", query, len(got), got)
		}
	}
	b.get("/h/local/changes?device=gate&kind=tags").wantPart("[data-testid=empty]", "“gate” · Tags")
	t.Run("undo goes through the review", func(t *testing.T) {
		review := b.get(p.href("#" + attr(p.all("[data-testid=change-row]")[0], "id") + " [data-testid=undo]"))
		review.wantPart("[data-testid=change]", "30")
		review.form("#twin-review").press("apply").wantStatus(http.StatusOK)
		wantDocument(t, "desired", b.twin("pump-1").Properties.Desired.Value, `{"interval":60}`)
		if own := b.journal(store.JournalQuery{Source: store.FromDashboard}); len(own) != 2 || own[0].Undoes != own[1].ID {
			t.Errorf("%+v", own)
		}
	})
}

func TestChangesPagesAndData(t *testing.T) {
	b := newBoard(t)
	b.known(0) // none of the devices is registered any more
	var list []store.Entry
	for i := range changesPerPage + 10 {
		list = append(list, store.Entry{
			Time: time.Now().Add(time.Duration(i-100) * time.Hour), Hub: "local", DeviceID: fmt.Sprintf("d-%02d", i), Section: store.Desired, Source: store.FromFeed,
			Who: "=cmd()", Patch: document(t, `{"a":{"b":1},"c":null}`), Old: document(t, `{"a":{"b":null},"c":"@x"}`), ETag: "A",
		})
	}
	list[59].Section, list[59].Was, list[59].State = store.State, iothub.InSync, iothub.Silent
	if _, err := b.server.store.Observe(t.Context(), list...); err != nil {
		t.Fatal(err)
	}
	first := b.get("/h/local/changes")
	if got := first.lines(); len(got) != changesPerPage || !strings.Contains(got[0], "d-59 deleted In sync → to Never reported") {
		t.Errorf("%d lines, the first is %q", len(got), got[0])
	}
	second := b.get(first.href("a[rel=next]"))
	if got := second.lines(); len(got) != 10 || !strings.Contains(got[9], "d-00") || len(second.all("a[rel=next]")) != 0 {
		t.Errorf("%d lines: %q", len(got), got)
	}
	_, body := b.body(http.MethodGet, "/h/local/changes", map[string]string{"Accept": "application/json"})
	var data struct {
		Changes []changeData
		Next    string
	}
	if err := json.Unmarshal([]byte(body), &data); err != nil || len(data.Changes) != changesPerPage || data.Changes[0].State != iothub.Silent || data.Changes[1].Policy != "=cmd()" {
		t.Errorf("%v: %.300s", err, body)
	}
	if _, body = b.body(http.MethodGet, data.Next, nil); !strings.Contains(body, `"d-00"`) || !strings.Contains(body, `"next": ""`) {
		t.Errorf("the next page as JSON: %.300s", body)
	}
	_, body = b.body(http.MethodGet, "/h/local/changes?format=csv&kind=desired", nil)
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 1+2*59 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := strings.Join(rows[2][4:], "|"); got != "c|'@x||feed|'=cmd()" {
		t.Errorf("a row reads %s", got)
	}
}

// TestChangesOfEarlierDevices lists what changed before deletions that nobody saw:
// the versions tell.
func TestChangesOfEarlierDevices(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump-1", `{}`, `{"interval":60}`)
	b.device("pump-2", `{}`, `{"interval":60}`)
	b.known(2)
	b.entries(2, store.JournalQuery{})
	old := func(device, module string, version int64, ago time.Duration) store.Entry {
		return store.Entry{
			Time: time.Now().Add(-ago), Hub: "local", DeviceID: device, ModuleID: module, Section: store.Desired, Source: store.FromFeed,
			Patch: document(t, `{"a":1}`), Old: document(t, `{"a":null}`), Version: version,
		}
	}
	_, err := b.server.store.Observe(t.Context(), old("pump-1", "", 9, time.Hour), old("pump-1", "", 1, 2*time.Hour), old("pump-2", "", 1, time.Hour),
		old("pump-2", "cam", 1, time.Hour), old("pump-2", "cam", 7, 2*time.Hour), old("pump-3", "", 1, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	p := b.get("/h/local/changes")
	for selector, want := range map[string][]string{
		"[data-testid=former]": {"pump-1", "pump-1", "pump-2 / cam"}, "[data-testid=undo]": {"pump-1", "pump-2", "pump-2", "pump-2 / cam"},
	} {
		got := p.texts("[data-testid=change-row]:has(" + selector + ") .change-device > bdi")
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", selector, got, want)
		}
	}
}

func TestChangesCountsWhatIsNew(t *testing.T) {
	b := newBoard(t)
	b.device("pump", `{}`, `{}`)
	b.known(1)
	p := b.get("/h/local/changes?kind=tags")
	live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	live.current()
	b.write("pump", iothub.TwinPatch{Desired: document(t, `{"a":1}`)})
	b.write("pump", iothub.TwinPatch{Tags: document(t, `{"a":1}`)})
	if f := live.next(); !strings.Contains(f.data, "1 new change.") || !strings.Contains(f.data, "/h/local/changes?kind=tags") {
		t.Errorf("%+v", f)
	}
}
