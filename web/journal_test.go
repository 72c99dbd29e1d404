package web

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// journal reads what has been written down of the board's hub, newest first.
func (b *board) journal(q store.JournalQuery) []store.Entry {
	b.t.Helper()
	q.Hub = "local"
	list, err := b.server.store.Journal(b.t.Context(), q, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// entries waits until the journal holds that many.
func (b *board) entries(n int, q store.JournalQuery) (list []store.Entry) {
	b.t.Helper()
	eventually(b.t, func() bool {
		list = b.journal(q)
		return len(list) >= n
	}, fmt.Sprintf("%d entries", n))
	if len(list) > n {
		b.t.Fatalf("%d entries, want %d: %+v", len(list), n, list)
	}
	return list
}

// save applies one setting as a person does.
func (b *board) save(id, value string) { b.t.Helper(); b.saveIn(store.Desired, id, value) }

func (b *board) saveIn(section store.Section, id, value string) {
	b.t.Helper()
	form := b.get(b.server.hubs[0].devicePath(id) + "/edit/" + string(section)).form("#twin-edit")
	form.Set("value", value)
	form.press("review").form("#twin-review").press("apply")
}

func TestJournalOfOthersAndOneself(t *testing.T) {
	b := newBoard(t)
	b.known(0) // so that the feed tells of what follows
	b.device("pump", `{}`, `{"interval":60}`)
	b.known(1)
	told := b.entries(1, store.JournalQuery{Section: store.Desired})[0]
	if told.Source != store.FromFeed || told.Who != "iothubowner" || told.Version != 2 || !iothub.Equal(told.Patch["interval"], json.Number("60")) || told.Old["interval"] != nil {
		t.Errorf("another program's: %+v", told)
	}
	b.save("pump", "30")
	b.write("pump", iothub.TwinPatch{Tags: document(t, `{"site":"oslo"}`)})
	tags := b.entries(1, store.JournalQuery{Section: store.Tags})[0] // told after the save, so that is told too
	if tags.Who != "iothubowner" {
		t.Errorf("a tag: %+v", tags)
	}
	own := b.entries(2, store.JournalQuery{Section: store.Desired})[0]
	if own.Source != store.FromDashboard || own.Screen != "twin" || own.Version != 3 || !iothub.Equal(own.Old["interval"], json.Number("60")) {
		t.Errorf("one's own: %+v", own)
	}
}

func TestJournalOfAReplacement(t *testing.T) {
	b := newBoard(t)
	b.known(0) // so that the feed tells of what follows
	b.device("pump", `{}`, `{"interval":60,"mode":"eco"}`)
	b.known(1)
	b.entries(1, store.JournalQuery{})
	if _, err := b.client.ReplaceTwin(t.Context(), "pump", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)}, nil); err != nil {
		t.Fatal(err)
	}
	e := b.entries(2, store.JournalQuery{Section: store.Desired})[0]
	wantDocument(t, "what changed", e.Patch, `{"interval":30,"mode":null}`)
	wantDocument(t, "what it replaced", e.Old, `{"interval":60,"mode":"eco"}`)
}

// TestJournalOfModules keeps what happens to modules, which the picture of the hub
// does not hold, and leads to them.
func TestJournalOfModules(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.device("pump-07", `{}`, `{}`)
	b.module("pump-07", "cam")
	b.known(1)
	const cam = pump + "/modules/cam"
	write := func(p iothub.TwinPatch) {
		t.Helper()
		if _, err := b.client.UpdateModuleTwin(t.Context(), "pump-07", "cam", p, nil); err != nil {
			t.Fatal(err)
		}
	}
	write(iothub.TwinPatch{Desired: document(t, `{"fps":25}`)})
	told := b.entries(1, store.JournalQuery{})[0]
	if told.Source != store.FromFeed || told.Who != "iothubowner" || told.ModuleID != "cam" || told.Version != 2 {
		t.Errorf("another program's: %+v", told)
	}
	form := b.get(cam + "/edit/desired").form("#twin-edit")
	form.row("fps", "30")
	form.press("review").form("#twin-review").press("apply")
	write(iothub.TwinPatch{Tags: document(t, `{"lens":"wide"}`)})
	b.entries(1, store.JournalQuery{Section: store.Tags}) // told after the save, so that is told too
	own := b.entries(2, store.JournalQuery{Section: store.Desired})[0]
	if own.Source != store.FromDashboard || own.ModuleID != "cam" {
		t.Errorf("one's own: %+v", own)
	}
	changes := b.get("/h/local/changes")
	if got := changes.lines(); len(got) != 3 || !strings.Contains(got[2], "pump-07 / cam Wanted setting: fps new → to 25 iothubowner") {
		t.Errorf("%q", got)
	}
	b.get(changes.href("#"+attr(changes.all("[data-testid=change-row]")[0], "id")+" .change-device")).want("h1", "cam")
	if got := b.get(cam + "?view=history").lines(); len(got) != 3 {
		t.Errorf("the module's history: %q", got)
	}
	if got := b.get(pump + "?view=history").lines(); len(got) != 0 {
		t.Errorf("the device's history: %q", got)
	}
}

// TestJournalOfStates keeps a state that holds, and not one that is over at once.
func TestJournalOfStates(t *testing.T) {
	b := newBoard(t)
	b.known(0) // so that the feed tells of what follows
	b.device("pump", `{}`, `{}`)
	b.known(1)
	report, _ := b.connect("pump")
	b.write("pump", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)})
	report(`{"interval":30}`)
	b.entries(1, store.JournalQuery{Section: store.Desired})
	b.write("pump", iothub.TwinPatch{Desired: document(t, `{"interval":2}`)})
	report(`{"interval":{"value":30,"ac":400,"av":99,"ad":"below 5 s"}}`)
	b.entries(2, store.JournalQuery{Section: store.Desired})
	eventually(t, func() bool { d, _ := b.fleet.Get("pump"); return d.State == iothub.Rejected }, "rejected")
	b.ahead.Store(int64(time.Minute))
	e := b.entries(1, store.JournalQuery{Section: store.State})[0]
	if e.Was != iothub.InSync || e.State != iothub.Rejected || e.DeviceID != "pump" {
		t.Errorf("%+v", e)
	}
}

// TestUnsettledStates waits on for a state while its device is only written to, and
// no longer when the device is deleted.
func TestUnsettledStates(t *testing.T) {
	s := newServer(t, nil)
	j := s.journals[s.hubs[0]]
	j.unsettled["d"] = unsettled{was: iothub.InSync, state: iothub.Silent, since: time.Now(), at: time.Now()}
	j.unsettle(noted{Update: fleet.Update{DeviceID: "d", Change: iothub.Change{Kind: iothub.ChangeDesired}}, at: time.Now()})
	if len(j.unsettled) != 1 {
		t.Error("a write has ended the wait")
	}
	j.note(fleet.Update{DeviceID: "d", Removed: true})
	j.flush(t.Context(), 0)
	if list, err := s.store.Journal(t.Context(), store.JournalQuery{Hub: "local"}, 10); err != nil || len(list) != 0 {
		t.Errorf("a deleted device has a state: %+v, %v", list, err)
	}
}

// TestJournalOfACrawledHub is about a hub that tells nothing by itself.
func TestJournalOfACrawledHub(t *testing.T) {
	b := newCrawledBoard(t, 20*time.Millisecond)
	b.device("pump", `{"site":"oslo"}`, `{"mode":"eco"}`)
	eventually(t, func() bool { d, ok := b.fleet.Get("pump"); return ok && b.fleet.Status().Complete && d.Wanted == 1 }, "the crawl has the device")
	b.write("pump", iothub.TwinPatch{Tags: document(t, `{"site":null}`), Desired: document(t, `{"mode":"auto"}`)})
	newest := func(q store.JournalQuery) (e store.Entry) {
		eventually(t, func() bool {
			list := b.journal(q)
			if len(list) > 0 {
				e = list[0]
			}
			return e.Patch["mode"] == "auto" || e.Patch["site"] == nil && len(e.Patch) == 1
		}, "the change is noticed")
		return e
	}
	desired, tags := newest(store.JournalQuery{Section: store.Desired}), newest(store.JournalQuery{Section: store.Tags})
	if desired.Source != store.FromRead || desired.Who != "" {
		t.Errorf("%+v", desired)
	}
	wantDocument(t, "desired", desired.Patch, `{"mode":"auto"}`)
	wantDocument(t, "tags", tags.Patch, `{"site":null}`)
	wantDocument(t, "tags before", tags.Old, `{"site":"oslo"}`)
}

// TestJournalKnowsOnesOwn reads a twin again only after somebody else has written it,
// too. The reading before is of the time before one's own change, though its answer
// came after: only versions tell which changes lie between.
func TestJournalKnowsOnesOwn(t *testing.T) {
	others := map[store.Section]iothub.TwinPatch{
		store.Desired: {Tags: document(t, `{"line":3}`)},
		store.Tags:    {Desired: document(t, `{"mode":"auto"}`)},
	}
	for section, other := range others {
		t.Run(string(section), func(t *testing.T) {
			b := newRereadBoard(t)
			b.device("pump", `{"site":"oslo"}`, `{"mode":"eco"}`)
			b.reread("pump")
			answered, goOn, read := make(chan bool), make(chan bool), make(chan bool)
			b.answered.Store(new(func(*http.Request) {
				b.answered.Store(nil) // the others pass
				close(answered)
				<-goOn
			}))
			go func() { defer close(read); b.reread("pump") }()
			<-answered
			b.saveIn(section, "pump", "mine")
			b.write("pump", other)
			close(goOn)
			<-read
			b.reread("pump")
			list := b.entries(2, store.JournalQuery{DeviceID: "pump"})
			if theirs, own := list[0], list[1]; theirs.Source != store.FromRead || theirs.Section == section || own.Source != store.FromDashboard || own.Section != section {
				t.Errorf("%+v", list)
			}
		})
	}
}

// TestJournalOfOnesOwnChanged is a change that somebody else has changed again before
// the twin is read: theirs replaced one's own, and is noticed once.
func TestJournalOfOnesOwnChanged(t *testing.T) {
	b := newRereadBoard(t)
	b.device("pump", `{}`, `{"mode":"eco"}`)
	b.reread("pump")
	b.save("pump", "off")
	b.write("pump", iothub.TwinPatch{Desired: document(t, `{"mode":"auto"}`)})
	b.reread("pump")
	theirs := b.entries(2, store.JournalQuery{DeviceID: "pump"})[0]
	if theirs.Source != store.FromRead || theirs.Patch["mode"] != "auto" || theirs.Old["mode"] != "off" {
		t.Errorf("%+v", theirs)
	}
	b.write("pump", iothub.TwinPatch{Tags: document(t, `{"line":3}`)})
	b.reread("pump")
	b.entries(3, store.JournalQuery{DeviceID: "pump"})
}

// TestJournalOfAFormerLife: what was changed on an earlier device of the same id is
// none of the changes of this one, though the versions would fit.
func TestJournalOfAFormerLife(t *testing.T) {
	b := newRereadBoard(t)
	b.device("pump", `{}`, `{"mode":"eco"}`)
	b.reread("pump")
	b.save("pump", "off")
	b.reread("pump")
	b.entries(1, store.JournalQuery{DeviceID: "pump"})
	if err := b.client.DeleteDevice(t.Context(), "pump", nil); err != nil {
		t.Fatal(err)
	}
	b.reread("pump")
	b.entries(2, store.JournalQuery{DeviceID: "pump"})
	b.device("pump", `{}`, `{"mode":"eco"}`)
	b.reread("pump")
	b.write("pump", iothub.TwinPatch{Desired: document(t, `{"mode":"off"}`)})
	b.reread("pump")
	if theirs := b.entries(3, store.JournalQuery{DeviceID: "pump"})[0]; theirs.Source != store.FromRead || theirs.Old["mode"] != "eco" {
		t.Errorf("%+v", theirs)
	}
}

// newRereadBoard is a crawled board whose twins are read when the test says so.
func newRereadBoard(t *testing.T) *board {
	t.Helper()
	b := newCrawledBoard(t, time.Hour)
	eventually(t, func() bool { return b.fleet.Status().Complete }, "the first crawl is over")
	return b
}

func (b *board) reread(id string) {
	b.t.Helper()
	if _, err := b.fleet.Refresh(b.t.Context(), id); err != nil {
		b.t.Error(err)
	}
}

// TestJournalWatches notes when it watched, and a gap when it could not follow.
func TestJournalWatches(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	spans := func() []store.Span {
		list, err := b.server.store.Watched(t.Context(), "local")
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	eventually(t, func() bool { return len(spans()) == 1 }, "it watches")
	b.server.journals[b.server.hubs[0]].missed("a test says so")
	eventually(t, func() bool { return len(spans()) == 2 }, "a gap is noted")
	if list := spans(); list[1].Since.Before(list[0].Until) {
		t.Errorf("%v", list)
	}
}

// TestJournalKeepsUp is about a thousand changes a second: all of them are written
// down. While the dashboard cannot write for a while, the hub's writers do not wait
// for it, and nothing is lost.
func TestJournalKeepsUp(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	const devices, each = 10, 60
	b.devices("d", devices)
	b.known(devices)
	file, err := sql.Open("sqlite", "file:"+b.storePath)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	blocked, err := file.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer blocked.Close()
	if _, err := blocked.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	errs := make(chan error, devices)
	for n := range devices {
		go func() {
			for i := range each {
				patch := iothub.TwinPatch{Desired: iothub.Document{"n": jsonNumber(int64(i))}}
				if _, err := b.client.UpdateTwin(t.Context(), fmt.Sprintf("d%03d", n), patch, nil); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range devices {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(start)
	if n := len(b.journal(store.JournalQuery{})); n != 0 {
		t.Errorf("%d changes were written although the file is locked", n)
	}
	if _, err := blocked.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		n, err := b.server.store.JournalCount(t.Context(), store.JournalQuery{Hub: "local", Section: store.Desired}, devices*each+1)
		return err == nil && n == devices*each
	}, "every change is written down")
	t.Logf("%.0f changes a second", devices*each/took.Seconds())
	if list, err := b.server.store.Watched(t.Context(), "local"); err != nil || len(list) > 1 {
		t.Errorf("a gap although nothing was lost: %v, %v", list, err)
	}
}

// TestJournalIsBounded marks a gap when more is waiting than it has room for.
func TestJournalIsBounded(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	spans := func() int {
		list, err := b.server.store.Watched(t.Context(), "local")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	eventually(t, func() bool { return spans() == 1 }, "it watches")
	j := b.server.journals[b.server.hubs[0]]
	for range journalRoom + 1000 {
		j.note(fleet.Update{DeviceID: "d", Change: iothub.Change{
			Time: time.Now(), DeviceID: "d", Kind: iothub.ChangeTags, Patch: iothub.Document{"same": "value"}, Old: iothub.Document{"same": "value"},
		}})
	}
	j.mu.Lock()
	waiting := len(j.waiting)
	j.mu.Unlock()
	if waiting > journalRoom {
		t.Errorf("%d changes wait", waiting)
	}
	eventually(t, func() bool { return spans() == 2 }, "the gap is marked")
}

// BenchmarkJournal is what a change of a fleet costs the dashboard until it is on
// disk: follow, pack, write, prune.
func BenchmarkJournal(b *testing.B) {
	s := newServer(b, nil)
	j := s.journals[s.hubs[0]]
	n := 0
	for b.Loop() {
		n++
		j.note(fleet.Update{DeviceID: "d", Change: iothub.Change{
			Time: time.Now(), DeviceID: fmt.Sprintf("device-%05d", n%50_000), Kind: iothub.ChangeDesired, Operation: iothub.OperationUpdate,
			Patch: iothub.Document{"interval": json.Number("30")}, Old: iothub.Document{"interval": json.Number("60")},
			ETag: iothub.ETag(fmt.Sprint(n)), Policy: "service", SectionVersion: 2,
		}})
		if n%500 == 0 { // as many as come in journalEvery at 1,000 a second
			j.flush(b.Context(), settle)
		}
	}
}

// toldHub is a hub that only tells: every twin it has, and changes as fast as they
// are read.
type toldHub struct {
	devices, changes int
	tell             chan struct{} // closed when the changes may come
}

func (h *toldHub) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {"application/json"}, "X-Ms-Item-Type": {iothub.ItemTwin}}}
	switch r.URL.Path {
	case "/devices/query":
		var twins []string
		for n := range h.devices {
			twins = append(twins, fmt.Sprintf(`{"deviceId":"d%03d","version":1,"properties":{"desired":{"$version":1},"reported":{"$version":1}}}`, n))
		}
		answer.Body = io.NopCloser(strings.NewReader("[" + strings.Join(twins, ",") + "]"))
	case "/changes":
		body, feed := io.Pipe()
		answer.Body = body
		answer.Header.Set("Content-Type", "text/event-stream")
		context.AfterFunc(r.Context(), func() { _ = feed.Close() })
		go h.write(feed)
	default:
		answer.StatusCode, answer.Body = http.StatusNotFound, http.NoBody
	}
	return answer, nil
}

// write ends with the first error: nobody reads any more.
func (h *toldHub) write(feed io.Writer) {
	if _, err := io.WriteString(feed, "event: reset\ndata: {\"cursor\":\"e-0\"}\n\n"); err != nil {
		return
	}
	<-h.tell
	for i := range h.changes {
		version := i/h.devices + 2
		change := iothub.Change{
			Time: time.Now(), DeviceID: fmt.Sprintf("d%03d", i%h.devices), Kind: iothub.ChangeDesired, Operation: iothub.OperationUpdate, Policy: "service",
			Patch: iothub.Document{"n": version}, Old: iothub.Document{"n": version - 1}, Version: int64(version), SectionVersion: int64(version), ETag: iothub.ETag(fmt.Sprint(version)),
		}
		data, err := json.Marshal(change)
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(feed, "id: e-%d\nevent: change\ndata: %s\n\n", i+1, data); err != nil {
			return
		}
	}
}

// BenchmarkJournalFollows is 10,000 changes that a hub tells at once, until each
// of them is on disk: read, applied to the picture, and written down.
func BenchmarkJournalFollows(b *testing.B) {
	const changes = 10_000
	for b.Loop() {
		b.StopTimer()
		told := &toldHub{devices: 100, changes: changes, tell: make(chan struct{})}
		cs := iothub.ServiceConnectionString{HostName: "hub", SharedAccessKeyName: "service", SharedAccessKey: "c2VjcmV0"}
		client, err := hubclient.New(cs, &hubclient.Options{HTTPClient: &http.Client{Transport: told}})
		if err != nil {
			b.Fatal(err)
		}
		picture := fleet.New(client, fleet.Options{})
		picture.Start(b.Context())
		kept := openStore(b)
		s, err := New(Options{Store: kept, Hubs: []Hub{{Slug: "local", Client: client, Fleet: picture}}})
		if err != nil {
			b.Fatal(err)
		}
		s.Start(b.Context())
		eventually(b, func() bool { return picture.Status().Live }, "the picture is live")
		b.StartTimer()
		close(told.tell)
		eventually(b, func() bool {
			n, err := kept.JournalCount(b.Context(), store.JournalQuery{Hub: "local", Section: store.Desired}, changes)
			if err != nil {
				b.Fatal(err)
			}
			return n == changes
		}, "each change is written down")
		b.StopTimer()
		if err := s.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := picture.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(changes*b.N)/b.Elapsed().Seconds(), "changes/s")
}
