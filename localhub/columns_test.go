package localhub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
	"twinboard/localhub/store"
)

// forgetColumns makes the next query build its columns anew.
func (b *bench) forgetColumns() {
	b.columns.state.Lock()
	defer b.columns.state.Unlock()
	b.columns.tables = [2]*table{}
}

// foldRows brings rows of twins up to date at once, so that they are read again.
func (b *bench) foldRows(n int) {
	b.Helper()
	b.check(b.do(b.Context(), func(*batch) error {
		_, err := b.store.Fold(n)
		return err
	}))
	b.cache = newCache(cacheBytes)
}

// naive answers a query the slow way: every twin as it is read, decoded.
func (b *bench) naive(text string) (rows []string) {
	b.Helper()
	q, err := query.Parse(text)
	b.check(err)
	groups := q.NewGroups()
	for _, twin := range b.documents(q.Source == query.Modules) {
		switch {
		case !q.Match(twin):
		case q.Grouped():
			groups.Add(twin)
		case q.Star():
			rows = append(rows, toJSON(b, twin))
		default:
			rows = append(rows, toJSON(b, q.Project(twin)))
		}
	}
	if q.Grouped() {
		for _, record := range groups.Records() {
			rows = append(rows, toJSON(b, record))
		}
	}
	return rows
}

// documents reads all twins in the order of the store.
func (b *bench) documents(modules bool) (twins []query.Document) {
	b.Helper()
	var keys []twinKey
	b.check(b.store.View(b.Context(), func(v *store.View) error {
		return v.Scan(b.Context(), store.Scan{Modules: modules, Visit: func(f store.Found) bool {
			keys = append(keys, twinKey{f.DeviceID, f.ModuleID})
			return true
		}})
	}))
	for _, key := range keys {
		twin, err := b.twin(b.Context(), key)
		b.check(err)
		twins = append(twins, query.Document(reread(twin)))
	}
	return twins
}

// sameRows compares what a hub answers page by page with the naive rows.
func sameRows(t *rapid.T, b *bench, text string, size int) {
	got := b.rows(text, size)
	for i, row := range got {
		if d, err := iothub.ParseDocument([]byte(row)); err == nil && strings.HasPrefix(text, "SELECT *") {
			got[i] = toJSON(b, d)
		}
	}
	if d := cmp.Diff(b.naive(text), got); d != "" {
		t.Fatalf("%s, pages of %d (-naive +got):\n%s", text, size, d)
	}
}

// genQueryText draws queries over what the drawn operations touch.
func genQueryText() *rapid.Generator[string] {
	path := rapid.SampledFrom([]string{
		"tags.a", "tags.b.c", "tags", "properties.desired.a", "properties.reported.a", "properties.desired.$version",
		"properties.reported.$version", "properties.reported.$metadata.a.$lastUpdated", "properties.desired.$metadata.a.$lastUpdatedVersion",
		"properties.desired", "connectionState", "lastActivityTime", "status", "statusReason", "version", "etag", "deviceEtag", "modelId",
		"capabilities.iotEdge", "authenticationType", "x509Thumbprint.primaryThumbprint", "deviceId", "moduleId", "parentScopes", "statusUpdateTime",
	})
	constant := rapid.SampledFrom([]string{"1", "2", "'x'", "'y'", "'Connected'", "'enabled'", "'AAAAAAAAAAI='", "true", "'2026-11-22T10:00:30'"})
	condition := rapid.Custom(func(t *rapid.T) string {
		p := path.Draw(t, "path")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return fmt.Sprintf("NOT (%s = %s)", p, constant.Draw(t, "constant"))
		case 1:
			return fmt.Sprintf("%sIS_DEFINED(%s)", rapid.SampledFrom([]string{"", "NOT "}).Draw(t, "not"), p)
		case 2:
			return fmt.Sprintf("%s IN [%s, %s]", p, constant.Draw(t, "one"), constant.Draw(t, "two"))
		}
		return fmt.Sprintf("%s %s %s", p, rapid.SampledFrom([]string{"=", "=", "!=", ">"}).Draw(t, "op"), constant.Draw(t, "constant"))
	})
	where := rapid.Map(rapid.SliceOfN(condition, 1, 3), func(c []string) string { return " WHERE " + strings.Join(c, " AND ") })
	return rapid.Custom(func(t *rapid.T) string {
		p := path.Draw(t, "selected")
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			return fmt.Sprintf("SELECT %s AS v, COUNT() AS n, SUM(version) AS sum FROM devices%s GROUP BY %s", p, where.Draw(t, "where"), p)
		case 1:
			return fmt.Sprintf("SELECT deviceId, moduleId, %s AS v FROM devices%s%s", p, rapid.SampledFrom([]string{"", ".modules"}).Draw(t, "of"), where.Draw(t, "where"))
		}
		return "SELECT * FROM devices" + where.Draw(t, "where")
	})
}

// operations change a registry at random; they may fail where what they need is
// missing.
func (b *bench) operate(t *rapid.T) {
	id := rapid.SampledFrom([]string{"d1", "d2", "d3", "d4", "d5"}).Draw(t, "id")
	value := rapid.SampledFrom([]string{"1", "2", "1.0", `"x"`, `"y"`, `{"c":"x"}`, `["x"]`, "null", "true"}).Draw(t, "value")
	ctx := context.Background()
	switch rapid.IntRange(0, 8).Draw(t, "operation") {
	case 0:
		_ = b.deleteDevice(ctx, owner, id, iothub.Any)
	case 1:
		_, _ = b.createModule(ctx, owner, iothub.Module{DeviceID: id, ModuleID: "m"})
		_, _ = b.updateTwin(ctx, owner, twinKey{id, "m"}, parsePatch(b, `{"tags":{"a":`+value+`}}`), "")
	case 2:
		_, _ = b.updateDevice(ctx, owner, iothub.Device{DeviceID: id, Status: iothub.StatusDisabled, StatusReason: "x"}, iothub.Any)
	case 3:
		s := newRecorder()
		if b.connect(ctx, dev(id), "dtmi:x;1", s) == nil {
			b.reportThrough(s, id, `{"a":`+value+`}`)
		}
	case 4:
		if s := b.seen(dev(id)).session; s != nil {
			b.disconnect(dev(id), s)
		}
	case 5:
		_, _ = b.updateTwin(ctx, owner, dev(id), parsePatch(b, `{"tags":{"b":`+value+`}}`), "")
	case 6:
		_, _ = b.updateTwin(ctx, owner, dev(id), parsePatch(b, `{"properties":{"desired":{"a":`+value+`}}}`), "")
	default:
		_, _ = b.createDevice(ctx, owner, iothub.Device{DeviceID: id})
		_, _ = b.updateTwin(ctx, owner, dev(id), parsePatch(b, `{"tags":{"a":`+value+`}}`), "")
	}
}

// TestQueriesAnswerAsTheTwinsRead changes twins in every way there is and asks
// in between, so that columns are made, brought up to date and forgotten.
func TestQueriesAnswerAsTheTwinsRead(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(t *rapid.T) {
		queries := rapid.SliceOfN(genQueryText(), 1, 4).Draw(t, "queries")
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			for range rapid.IntRange(0, 5).Draw(t, "operations") {
				b.operate(t)
			}
			if rapid.IntRange(0, 9).Draw(t, "forget") == 0 {
				b.forgetColumns()
			}
			b.foldRows(rapid.SampledFrom([]int{0, 0, 1, 100}).Draw(t, "rows"))
			for _, text := range queries {
				sameRows(t, b, text, rapid.IntRange(1, 6).Draw(t, "size"))
			}
		}
	})
}

// TestPagesWhileTwinsChange has writers at work on the very twins that are
// asked for: devices come and go, some match all the time, some by turns, and
// columns are made anew again and again.
func TestPagesWhileTwinsChange(t *testing.T) {
	b := newBench(t)
	b.fill(300)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() { b.unsettle(w, stop) })
	}
	const text = "SELECT * FROM devices WHERE properties.desired.power_level IN [3, 4] AND tags.location.region = 'US'"
	for range 25 {
		b.forgetColumns()
		for range 4 {
			given := map[string]int{}
			for _, row := range b.rows(text, 7) {
				given[b.matching(row)]++
			}
			for i := range 300 {
				id := fmt.Sprintf("device-%06d", i)
				if n, always := given[id], i%10 == 4; n > 1 || always && n != 1 {
					t.Fatalf("%s is there %d times", id, n)
				}
			}
		}
	}
	close(stop)
	writers.Wait()
}

// matching returns the id of a row, which must be as the query asks.
func (b *bench) matching(row string) string {
	b.Helper()
	var twin iothub.Twin
	b.check(json.Unmarshal([]byte(row), &twin))
	if level := fmt.Sprint(twin.Properties.Desired.Value["power_level"]); level != "3" && level != "4" {
		b.Fatalf("%s has power_level %s", twin.DeviceID, level)
	}
	return twin.DeviceID
}

// unsettle moves every tenth device in and out of what the query asks for, sets
// something else in the others, and makes and deletes devices.
func (b *bench) unsettle(w int, stop chan struct{}) {
	ctx := context.Background()
	for i := w; ; i += 4 {
		select {
		case <-stop:
			return
		default:
		}
		id, body := fmt.Sprintf("device-%06d", i%300), fmt.Sprintf(`{"tags":{"n":%d}}`, i)
		if i%10 == 3 {
			body = fmt.Sprintf(`{"properties":{"desired":{"power_level":%d}}}`, 3+2*(i/300%2))
		}
		if _, err := b.updateTwin(ctx, owner, dev(id), parsePatch(b, body), ""); err != nil {
			b.Error(err)
		}
		if i%7 == 0 {
			passing := fmt.Sprint("passing-", w)
			_, _ = b.createDevice(ctx, owner, iothub.Device{DeviceID: passing})
			_ = b.deleteDevice(ctx, owner, passing, iothub.Any)
		}
	}
}

// TestAQuerySeesTransactionsWhole swaps the values of two twins in one
// transaction: whatever is counted, one of them has each value.
func TestAQuerySeesTransactionsWhole(t *testing.T) {
	b := newBench(t)
	b.create("d1", "d2")
	swap := func(first, second string) {
		result, err := b.bulk(context.Background(), owner, []*bulkItem{
			{mode: iothub.ImportUpdateTwin, device: iothub.Device{DeviceID: "d1"}, twin: parsePatch(b, `{"tags":{"side":"`+first+`"}}`)},
			{mode: iothub.ImportUpdateTwin, device: iothub.Device{DeviceID: "d2"}, twin: parsePatch(b, `{"tags":{"side":"`+second+`"}}`)},
		})
		if err != nil || !result.Successful {
			t.Error(result, err)
		}
	}
	swap("left", "right")
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				swap("right", "left")
				swap("left", "right")
			}
		}
	})
	want := []string{`{"side":"left","n":1}`, `{"side":"right","n":1}`}
	for i := range 300 {
		if i%3 == 0 {
			b.forgetColumns()
		}
		rows := b.rows("SELECT tags.side, COUNT() AS n FROM devices GROUP BY tags.side", 100)
		slices.Sort(rows)
		if d := cmp.Diff(want, rows); d != "" {
			t.Fatalf("count %d (-want +got):\n%s", i, d)
		}
	}
	close(stop)
	writer.Wait()
}

// TestARowWrittenMeanwhileIsLookedAtAgain writes between finding the rows of a
// page and reading them.
func TestARowWrittenMeanwhileIsLookedAtAgain(t *testing.T) {
	b := newBench(t)
	b.create("d1", "d2", "d3")
	for _, id := range []string{"d1", "d2", "d3"} {
		b.patch(id, `{"tags":{"a":1}}`)
	}
	q, err := query.Parse("SELECT * FROM devices WHERE tags.a = 1")
	b.check(err)
	s := &search{r: b.registry, q: q, limit: 10, watch: b.columns.watch()}
	defer b.columns.unwatch(s.watch)
	b.check(b.columns.read(t.Context(), false, q.Paths(), s.look))
	b.patch("d1", `{"tags":{"a":2}}`)
	b.patch("d2", `{"tags":{"b":1}}`)
	b.check(s.twins(t.Context()))
	var rows []string
	for _, row := range s.page.Rows {
		rows = append(rows, string(row))
	}
	if got := ids(t, rows); got != "d2 d3" || !strings.Contains(rows[0], `"b":1`) {
		t.Errorf("the page has %s", rows)
	}
	b.columns.begin([]int64{7})
	defer b.columns.end(nil)
	if w := b.columns.watch(); !w.dirty[7] {
		t.Error("a page does not know of a row that is being written as it begins")
	}
}

// TestConnectionsAreSeenAtOnce asks after each change of a device's presence.
func TestConnectionsAreSeenAtOnce(t *testing.T) {
	b := newBench(t)
	b.create("d1", "d2")
	connected := func(want string) {
		t.Helper()
		if got := ids(t, b.rows("SELECT * FROM devices WHERE connectionState = 'Connected'", 100)); got != want {
			t.Errorf("%q are connected, want %q", got, want)
		}
	}
	connected("")
	s := b.connectTo("d2")
	connected("d2")
	b.disconnect(dev("d2"), s)
	connected("")
	b.connectTo("d1")
	b.rows("SELECT * FROM devices WHERE lastActivityTime = '2026'", 100)
	before := b.seen(dev("d1")).lastActivity
	b.touch(dev("d1"))
	text := fmt.Sprintf("SELECT * FROM devices WHERE lastActivityTime > '%s'", before.Format("2006-01-02T15:04:05.9999999Z"))
	if got := ids(t, b.rows(text, 100)); got != "d1" {
		t.Errorf("%s: %q", text, got)
	}
	b.check(b.deleteDevice(t.Context(), owner, "d1", iothub.Any))
	b.create("d1")
	connected("")
}

// TestANewColumnIsNotAheadOfTheOthers begins a commit, as the writer does, and
// asks for another path of the twin before it has ended.
func TestANewColumnIsNotAheadOfTheOthers(t *testing.T) {
	b := newBench(t)
	b.create("d")
	b.patch("d", `{"tags":{"x":1,"y":1}}`)
	b.ask("SELECT * FROM devices WHERE tags.x = 1")
	rec, err := b.record(t.Context(), dev("d"))
	b.check(err)
	next := *rec
	next.Tags = parsePatch(b, `{"tags":{"x":2,"y":2}}`).Tags
	b.columns.begin([]int64{rec.Key})
	b.check(b.do(t.Context(), func(*batch) error { return b.store.Commit(&store.Batch{Twins: []*store.Record{&next}}) }))
	counted := make(chan string, 1)
	go func() {
		p, err := b.query(context.Background(), "SELECT COUNT() AS n FROM devices WHERE tags.x != tags.y", "", 1)
		counted <- fmt.Sprintf("%s %v", p.Rows, err)
	}()
	const want = `[{"n":0}] <nil>`
	select {
	case got := <-counted:
		t.Errorf("before the commit had ended it was answered %s", got)
		counted <- want
	case <-time.After(200 * time.Millisecond): // that long it has waited at least
	}
	b.columns.end(map[int64]*store.Record{rec.Key: &next})
	if got := <-counted; got != want {
		t.Errorf("%s twins are half old, half new", got)
	}
}

// TestAWriteDoesNotWaitForAQuery changes more twins than may wait while a query
// looks at the columns.
func TestAWriteDoesNotWaitForAQuery(t *testing.T) {
	b := newBench(t)
	b.fill(pendingLength + 10)
	b.ask("SELECT * FROM devices WHERE tags.n = 1")
	q, err := query.Parse("SELECT * FROM devices WHERE tags.n = 1")
	b.check(err)
	b.check(b.columns.read(t.Context(), false, q.Paths(), func(*table, []*query.Column) error {
		var wg sync.WaitGroup
		for i := range pendingLength + 10 {
			wg.Go(func() {
				_, err := b.updateTwin(context.Background(), owner, dev(fmt.Sprintf("device-%06d", i)), parsePatch(b, `{"tags":{"n":1}}`), "")
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		return nil
	}))
	if got := len(b.rows("SELECT deviceId FROM devices WHERE tags.n = 1", 100)); got != pendingLength+10 {
		t.Errorf("%d devices have changed", got)
	}
}

// TestColumnsAreBounded counts columns and bytes, and asks for what does not fit.
func TestColumnsAreBounded(t *testing.T) {
	b := newBench(t)
	b.fill(100)
	b.columns.single = 10_000
	want := b.naive("SELECT deviceId FROM devices WHERE tags.serial > '00000090'")
	if d := cmp.Diff(want, b.rows("SELECT deviceId FROM devices WHERE tags.serial > '00000090'", 100)); d != "" {
		t.Errorf("too large for a column (-want +got):\n%s", d)
	}
	if t0 := b.columns.tables[0]; t0 != nil {
		t.Errorf("a column that is too large was kept: %v", t0.columns)
	}
	b.columns.limit = 20_000
	for i := range 30 {
		b.ask(fmt.Sprintf("SELECT * FROM devices WHERE tags.x%d = 1 OR tags.location.region = 'US'", i))
	}
	held := b.columns.tables[0].columns
	bytes := 0
	for _, h := range held {
		bytes += h.Bytes()
	}
	if bytes > 20_000 || len(held) < 5 || held[`["tags" "location" "region"]`] == nil {
		t.Errorf("%d columns with %d bytes", len(held), bytes)
	}
}
