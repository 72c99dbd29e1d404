package localhub

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// ask pages through a query as a client of the hub does, and returns the type
// of its rows and the rows.
func ask(t *testing.T, c *hubclient.Client, text string, size int) (kind string, rows []string) {
	t.Helper()
	pager := c.NewQueryPager(text, &hubclient.QueryOptions{PageSize: size})
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			return "", []string{refusal(t, text, err)}
		}
		if len(page.Rows) > size {
			t.Errorf("%s: %d rows on a page of %d", text, len(page.Rows), size)
		}
		kind = page.Type
		for _, row := range page.Rows {
			rows = append(rows, string(row))
		}
	}
	return kind, rows
}

// refusal checks the service's envelope and returns the text within.
func refusal(t *testing.T, text string, err error) string {
	t.Helper()
	var e *iothub.Error
	if !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Code != iothub.ErrArgumentInvalid.Code || e.TrackingID == "" {
		t.Fatalf("%s: %v", text, err)
	}
	return e.Message
}

// goldenBlocks reads a golden file of package query: each query and what it
// answers.
func goldenBlocks(t *testing.T, file string) (blocks [][2]string) {
	t.Helper()
	text, err := os.ReadFile("query/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(string(text), "\n"), "\n----\n") {
		query, answer, _ := strings.Cut(block, "\n====\n")
		blocks = append(blocks, [2]string{query, answer})
	}
	return blocks
}

// shown writes rows as the golden files do: whole twins by their ids in one line.
func shown(t *testing.T, kind string, rows []string) string {
	t.Helper()
	if kind != iothub.ItemTwin {
		return strings.Join(rows, "\n")
	}
	var ids []string
	for _, row := range rows {
		var twin iothub.Twin
		if err := json.Unmarshal([]byte(row), &twin); err != nil {
			t.Fatal(err)
		}
		id := twin.DeviceID
		if twin.ModuleID != "" {
			id += "/" + twin.ModuleID
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, " ")
}

// TestGoldenRows asks a real hub every query that package query answers from
// documents, and wants the same rows, whatever the size of the pages.
func TestGoldenRows(t *testing.T) {
	w := seeded(t)
	c := w.client()
	for _, file := range []string{"rows.txt", "documented.txt"} {
		for i, block := range goldenBlocks(t, file) {
			text, want := block[0], block[1]
			for _, size := range []int{100, 5 + i%40} {
				kind, rows := ask(t, c, text, size)
				if diff := cmp.Diff(want, shown(t, kind, rows)); diff != "" {
					t.Errorf("%s, pages of %d (-want +got)\n%s", text, size, diff)
				}
			}
		}
	}
}

// TestGoldenRefusals asks a real hub for what cannot be asked: the envelope
// holds the golden text, and the position what a dashboard needs to mark it.
func TestGoldenRefusals(t *testing.T) {
	w := startWire(t)
	c := w.client()
	for _, block := range goldenBlocks(t, "refused.txt") {
		text, want := block[0], block[1]
		_, err := c.QueryPage(t.Context(), text, "", 0)
		if text == "" {
			if !errors.Is(err, iothub.ErrArgumentNull) {
				t.Errorf("no query: %v", err)
			}
			continue
		}
		q, ok := errors.AsType[*hubclient.QueryError](err)
		if !ok {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := refusal(t, text, err) + "\n[" + q.Code + "]"
		if q.Repair != nil {
			got += "\nrepaired: " + text[:q.Repair.Start] + q.Repair.Text + text[q.Repair.End:]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
		if !strings.HasPrefix(got, q.Error()) || q.Length < 1 || q.Offset > len(text) {
			t.Errorf("%s: %+v", text, q)
		}
	}
}

// TestQueryLength stands at IoT Hub's bound, one below it and one above, in
// characters, of which some have several bytes.
func TestQueryLength(t *testing.T) {
	w := startWire(t)
	w.device("d")
	c := w.client()
	for _, length := range []int{8191, 8192, 8193} {
		const head, tail = "SELECT deviceId FROM devices WHERE tags.v != 'é", "' OR deviceId = 'd'"
		text := head + strings.Repeat("é", length-len([]rune(head+tail))) + tail
		_, rows := ask(t, c, text, 10)
		want := `{"deviceId":"d"}`
		if length > 8192 {
			want = "line 1, column 8193: The query has 8193 characters; a hub accepts 8192."
		}
		if got, _, _ := strings.Cut(strings.Join(rows, " "), "\n"); got != want {
			t.Errorf("%d characters: %s", length, got)
		}
	}
}

// TestAnyPages draws page sizes: each row comes exactly once and in its place,
// even when the size changes from page to page.
func TestAnyPages(t *testing.T) {
	w := seeded(t)
	c := w.client()
	type whole struct {
		text string
		rows []string
	}
	var all []whole
	for _, text := range []string{
		"SELECT * FROM devices WHERE IS_DEFINED(tags)",
		"SELECT deviceId, tags.v FROM devices",
		"SELECT TOP 33 deviceId FROM devices WHERE NOT IS_STRING(tags.v)",
		"SELECT tags.v, COUNT() AS n FROM devices GROUP BY tags.v",
		"SELECT moduleId FROM devices.modules",
		"SELECT COUNT() AS n FROM devices",
		"SELECT * FROM devices WHERE deviceId = 'nobody'",
	} {
		page, err := c.QueryPage(t.Context(), text, "", 100)
		if err != nil || page.Continuation != "" && len(page.Rows) != 100 {
			t.Fatalf("%s: %d rows, %v", text, len(page.Rows), err)
		}
		_, rows := ask(t, c, text, 100)
		all = append(all, whole{text, rows})
	}
	rapid.Check(t, func(rt *rapid.T) {
		drawn := rapid.SampledFrom(all).Draw(rt, "query")
		sizes := rapid.IntRange(1, 50)
		var got []string
		for continuation, more := "", true; more; more = continuation != "" {
			size := sizes.Draw(rt, "size")
			page, err := c.QueryPage(t.Context(), drawn.text, continuation, size)
			if err != nil || len(page.Rows) > size || len(got) > len(drawn.rows) {
				rt.Fatalf("%s: %d rows behind %d, %v", drawn.text, len(page.Rows), len(got), err)
			}
			for _, row := range page.Rows {
				got = append(got, string(row))
			}
			continuation = page.Continuation
		}
		if diff := cmp.Diff(drawn.rows, got); diff != "" {
			rt.Fatalf("%s (-whole +pages)\n%s", drawn.text, diff)
		}
	})
}
