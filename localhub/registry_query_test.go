package localhub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
)

// rows runs a query to its end and returns all rows.
func (b *bench) rows(text string, pageSize int) (rows []string) {
	b.Helper()
	for continuation := ""; ; {
		p, err := b.query(b.Context(), text, continuation, pageSize)
		b.check(err)
		for _, row := range p.Rows {
			rows = append(rows, string(row))
		}
		if continuation = p.Continuation; continuation == "" {
			return rows
		}
	}
}

// fleet makes n devices d0…, every third in Redmond43, every second reporting
// cellular, the last connected.
func (b *bench) fleet(n int) {
	b.Helper()
	for i := range n {
		id := fmt.Sprint("d", i)
		b.create(id)
		if i%3 == 0 {
			b.patch(id, fmt.Sprintf(`{"tags":{"location":{"plant":"Redmond43"}},"properties":{"desired":{"n":%d}}}`, i))
		}
		s := b.connectTo(id)
		if i%2 == 0 {
			b.reportThrough(s, id, `{"connectivity":"cellular"}`)
		}
		if i < n-1 {
			b.disconnect(dev(id), s)
		}
	}
}

func ids(t *testing.T, rows []string) string {
	t.Helper()
	var out []string
	for _, row := range rows {
		var r struct{ DeviceID string }
		if err := json.Unmarshal([]byte(row), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r.DeviceID)
	}
	return strings.Join(out, " ")
}

func TestQueriesFindTheirTwins(t *testing.T) {
	b := newBench(t)
	b.fleet(8)
	for _, test := range []struct{ where, want string }{
		{"", "d0 d1 d2 d3 d4 d5 d6 d7"},
		{"WHERE tags.location.plant = 'Redmond43'", "d0 d3 d6"},
		{"WHERE tags.location.plant = 'Redmond43' AND properties.reported.connectivity = 'cellular'", "d0 d6"},
		{"WHERE NOT IS_DEFINED(tags.location)", "d1 d2 d4 d5 d7"},
		{"WHERE properties.desired.n > 2", "d3 d6"},
		{"WHERE deviceId = 'd4'", "d4"},
		{"WHERE deviceId IN ['d5', 'none', 'd1'] AND status = 'enabled'", "d1 d5"},
		{"WHERE connectionState = 'Connected'", "d7"},
		{"WHERE connectionState != 'Connected' AND properties.reported.$version = 2", "d0 d2 d4 d6"},
		{"WHERE lastActivityTime > '2026'", "d0 d1 d2 d3 d4 d5 d6 d7"},
		{"WHERE lastActivityTime < '2026'", ""},
		{"WHERE etag = 'AAAAAAAAAAI='", "d0 d3 d6"},
		{"WHERE version = 4", "d0 d6"},
		{"WHERE capabilities.iotEdge = false AND STARTSWITH(deviceId, 'd7')", "d7"},
	} {
		for _, size := range []int{1, 3, 100} {
			if got := ids(t, b.rows("SELECT * FROM devices "+test.where, size)); got != test.want {
				t.Errorf("%s, pages of %d: %q, want %q", test.where, size, got, test.want)
			}
		}
	}
}

func TestQueryRowsAreTwinsAsRead(t *testing.T) {
	b := newBench(t)
	b.fleet(3)
	b.patch("d1", `{"tags":{"html":"<a&b>","Größe":1.0,"q\"":[1,{"x":"y"}]},"properties":{"desired":{"a":{"b":{}}}}}`)
	rows := b.rows("SELECT * FROM devices", 100)
	for i, row := range rows {
		sameJSON(t, row, toJSON(t, b.get(fmt.Sprint("d", i))))
	}
	p, err := b.query(t.Context(), "SELECT * FROM devices", "", 100)
	if err != nil || p.Type != iothub.ItemTwin || p.Continuation != "" {
		t.Errorf("type %q, continuation %q, %v", p.Type, p.Continuation, err)
	}
}

func TestProjectionsGroupsAndTop(t *testing.T) {
	b := newBench(t)
	b.fleet(7)
	for _, test := range []struct {
		text string
		want []string
	}{
		{
			"SELECT deviceId, tags.location.plant AS plant FROM devices WHERE properties.desired.n >= 3",
			[]string{`{"deviceId":"d3","plant":"Redmond43"}`, `{"deviceId":"d6","plant":"Redmond43"}`},
		},
		{"SELECT TOP 3 deviceId FROM devices", []string{`{"deviceId":"d0"}`, `{"deviceId":"d1"}`, `{"deviceId":"d2"}`}},
		{"SELECT COUNT() AS n FROM devices WHERE properties.reported.connectivity = 'cellular'", []string{`{"n":4}`}},
		{"SELECT COUNT() AS n FROM devices WHERE deviceId = 'none'", []string{`{"n":0}`}},
		{"SELECT tags.location.plant, COUNT() AS n FROM devices GROUP BY tags.location.plant", []string{`{"plant":"Redmond43","n":3}`, `{"n":4}`}},
	} {
		for _, size := range []int{1, 2, 100} {
			if d := cmp.Diff(test.want, b.rows(test.text, size)); d != "" {
				t.Errorf("%s, pages of %d (-want +got):\n%s", test.text, size, d)
			}
		}
	}
	if p, err := b.query(t.Context(), "SELECT deviceId FROM devices", "", 2); err != nil || p.Type != iothub.ItemRaw {
		t.Errorf("type %q, %v", p.Type, err)
	}
}

func TestContinuationOutlivesChangesAndRestart(t *testing.T) {
	b := newBench(t)
	b.fleet(6)
	const text = "SELECT deviceId FROM devices"
	p, err := b.query(t.Context(), text, "", 2)
	b.check(err)
	// What was given changes or goes, what was not given goes, and one comes.
	b.patch("d0", `{"tags":{"x":1}}`)
	b.check(b.deleteDevice(t.Context(), owner, "d1", iothub.Any))
	b.check(b.deleteDevice(t.Context(), owner, "d3", iothub.Any))
	b.create("new")
	b.shut()
	b.open()
	if got := ids(t, append(b.rowsFrom(text, p.Continuation, 3), "{}")); got != "d2 d4 d5 new " {
		t.Errorf("the rest is %q", got)
	}
	for name, token := range map[string]string{
		"another text": p.Continuation, "noise": "!!!", "short": "AAAA", "cut": p.Continuation[:len(p.Continuation)-2], "longer": p.Continuation + "AAAA",
	} {
		query := text
		if name == "another text" {
			query += " WHERE deviceId = 'd2'"
		}
		if _, err := b.query(t.Context(), query, token, 2); !errors.Is(err, iothub.ErrArgumentInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestATokenPastTheBoundOfItsQuery forges what this hub never gives: a place
// behind the last row of TOP.
func TestATokenPastTheBoundOfItsQuery(t *testing.T) {
	b := newBench(t)
	b.create("d1", "d2", "d3")
	for _, text := range []string{
		"SELECT TOP 2 * FROM devices",
		"SELECT TOP 2 deviceId FROM devices WHERE status = 'enabled'",
		"SELECT TOP 2 deviceId, COUNT() AS n FROM devices GROUP BY deviceId",
		"SELECT TOP 2 * FROM devices.jobs",
	} {
		for _, given := range []uint64{2, 3, 1 << 31} {
			p, err := b.query(t.Context(), text, place{given: given}.token(text), 1)
			if !errors.Is(err, iothub.ErrArgumentInvalid) {
				t.Errorf("%s, %d rows given: %d more, %v", text, given, len(p.Rows), err)
			}
		}
	}
}

func (b *bench) rowsFrom(text, continuation string, pageSize int) (rows []string) {
	b.Helper()
	for continuation != "" {
		p, err := b.query(b.Context(), text, continuation, pageSize)
		b.check(err)
		for _, row := range p.Rows {
			rows = append(rows, string(row))
		}
		continuation = p.Continuation
	}
	return rows
}

func TestPagesHaveAtMostAHundredRows(t *testing.T) {
	b := newBench(t)
	for i := range 101 {
		b.create(fmt.Sprint("d", i))
	}
	for _, size := range []int{0, -1, 100, 101, 1 << 30} {
		p, err := b.query(t.Context(), "SELECT * FROM devices", "", size)
		if err != nil || len(p.Rows) != 100 || p.Continuation == "" {
			t.Errorf("page size %d gave %d rows, continuation %q, %v", size, len(p.Rows), p.Continuation, err)
		}
	}
	p, err := b.query(t.Context(), "SELECT * FROM devices", "", 100)
	b.check(err)
	p, err = b.query(t.Context(), "SELECT * FROM devices", p.Continuation, 100)
	if err != nil || len(p.Rows) != 1 || p.Continuation != "" {
		t.Errorf("the last page has %d rows, continuation %q, %v", len(p.Rows), p.Continuation, err)
	}
}

func TestAMistakeInAQueryKeepsItsPlace(t *testing.T) {
	b := newBench(t)
	_, err := b.query(t.Context(), "SELECT * FROM devices ORDER BY deviceId", "", 10)
	var q *query.Error
	if !errors.Is(err, iothub.ErrArgumentInvalid) || !errors.As(err, &q) || q.Column != 23 {
		t.Errorf("%v", err)
	}
}

// TestAQuerySeesEveryAnsweredWrite asks right after each answer.
func TestAQuerySeesEveryAnsweredWrite(t *testing.T) {
	b := newBench(t)
	b.create("d")
	for i := range 50 {
		b.patch("d", fmt.Sprintf(`{"tags":{"n":%d}}`, i))
		if got := b.rows(fmt.Sprintf("SELECT deviceId FROM devices WHERE tags.n = %d", i), 1); len(got) != 1 {
			t.Fatalf("write %d is not seen", i)
		}
	}
}

// TestQueriesOverModules asks for module twins: devices are never among them,
// nor modules among devices.
func TestQueriesOverModules(t *testing.T) {
	b := newBench(t)
	b.create("d", "e")
	b.createModules("d", "m1", "m2")
	b.createModules("e", "m1")
	for _, key := range []twinKey{{"d", "m1"}, {"e", "m1"}} {
		_, err := b.updateTwin(t.Context(), owner, key, parsePatch(t, `{"tags":{"v":1},"properties":{"desired":{"fps":30}}}`), "")
		b.check(err)
	}
	for _, test := range []struct {
		text string
		want []string
	}{
		{"SELECT deviceId, moduleId FROM devices.modules WHERE devices.modules.moduleId = 'm1' AND deviceId IN ['e', 'x']", []string{`{"deviceId":"e","moduleId":"m1"}`}},
		{"SELECT devices.deviceId, properties.desired.fps FROM devices.modules WHERE tags.v = 1", []string{`{"deviceId":"d","fps":30}`, `{"deviceId":"e","fps":30}`}},
		{"SELECT COUNT() AS n, SUM(properties.desired.fps) AS fps FROM Devices.Modules", []string{`{"n":3,"fps":60}`}},
		{"SELECT TOP 2 moduleId FROM devices.modules", []string{`{"moduleId":"m1"}`, `{"moduleId":"m2"}`}},
		{"SELECT deviceId, moduleId FROM devices", []string{`{"deviceId":"d"}`, `{"deviceId":"e"}`}},
	} {
		for _, size := range []int{1, 100} {
			if d := cmp.Diff(test.want, b.rows(test.text, size)); d != "" {
				t.Errorf("%s, pages of %d (-want +got):\n%s", test.text, size, d)
			}
		}
	}
	rows := b.rows("SELECT * FROM devices.modules", 2)
	for i, key := range []twinKey{{"d", "m1"}, {"d", "m2"}, {"e", "m1"}} {
		twin, err := b.twin(t.Context(), key)
		b.check(err)
		sameJSON(t, rows[i], toJSON(t, twin))
	}
	if p, err := b.query(t.Context(), "SELECT * FROM devices.modules", "", 2); err != nil || p.Type != iothub.ItemTwin || p.Continuation == "" {
		t.Errorf("%+v, %v", p, err)
	}
}
