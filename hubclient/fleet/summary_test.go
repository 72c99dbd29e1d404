package fleet

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

func attended(s Summary) string {
	var ids []string
	for _, d := range s.Attention {
		ids = append(ids, d.ID)
	}
	return strings.Join(ids, " ")
}

func TestSummary(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	twins := []*iothub.Twin{
		twinAt("young", at.Add(-time.Hour), true, "x"), // silent for one hour
		twinAt("plain", at, true),                      // nothing wanted
		twinAt("old", at.Add(-2*time.Hour), true, "x"), // silent for two hours
		twinAt("away", at, false, "x"),                 // waiting, offline
		twinAt("other", at.Add(-time.Minute*5), false, "x"),
	}
	twins[4].Properties.Reported = twins[4].Properties.Reported.Patch(iothub.Document{"x": "off"}, at.Add(-time.Minute*5), false)
	f := fleetOf(t, at, len(twins), func(i int) *iothub.Twin { return twins[i] })
	s := f.Summary(5)
	if got := attended(s); got != "other old young" {
		t.Errorf("in the order of attention: %s", got)
	}
	if got := attended(f.Summary(2)); got != "other old" {
		t.Errorf("the first two: %s", got)
	}
	if n := len(f.Summary(0).Attention); n != 0 {
		t.Errorf("%d devices where none was asked for", n)
	}
	states := map[iothub.State]int{iothub.Differs: 1, iothub.Silent: 2, iothub.WaitingOffline: 1, iothub.InSync: 1}
	connections := map[string]int{iothub.Connected: 3, iothub.Disconnected: 2}
	if s.Known != 5 || s.Look != 3 || s.Unwanted != 1 || !s.Oldest.Equal(at.Add(-2*time.Hour)) ||
		!maps.Equal(s.States, states) || !maps.Equal(s.Connections, connections) {
		t.Errorf("%+v", s)
	}
}

func TestSummaryOfNothing(t *testing.T) {
	t.Parallel()
	f := fleetOf(t, time.Now(), 0, nil)
	if s := f.Summary(5); s.Known != 0 || s.Look != 0 || !s.Oldest.IsZero() || s.Attention != nil {
		t.Errorf("%+v", s)
	}
}

// TestSummaryCountsAsTheList draws pictures and compares the summary with what
// the list and a plain sort say.
func TestSummaryCountsAsTheList(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		f := New(nil, Options{Now: func() time.Time { return at }})
		for i := range rapid.IntRange(0, 60).Draw(t, "n") {
			age := time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Hour
			names := []string{"x"}[:rapid.IntRange(0, 1).Draw(t, "wanted")]
			twin := twinAt(fmt.Sprint("d", i), at.Add(-age), rapid.Bool().Draw(t, "connected"), names...)
			if rapid.Bool().Draw(t, "reported") {
				twin.Properties.Reported = twin.Properties.Reported.Patch(iothub.Document{"x": "off"}, at.Add(-age), false)
			}
			raw, _ := json.Marshal(twin)
			f.picture.putIf(newEntry(twin, raw, at, at, f.grace), func() bool { return true })
		}
		top := rapid.IntRange(1, 8).Draw(t, "top")
		s, list := f.Summary(top), f.List(Query{Limit: 100, Sort: SortState})
		if !maps.Equal(s.States, list.States) || !maps.Equal(s.Connections, list.Connections) || s.Known != list.Known {
			t.Fatalf("summary %+v, list %+v", s, list)
		}
		var want []Device
		for _, d := range list.Devices {
			if d.State.NeedsLook() {
				want = append(want, d)
			}
		}
		slices.SortStableFunc(want, func(a, b Device) int {
			if n := a.State.Rank() - b.State.Rank(); n != 0 {
				return n
			}
			return a.Since.Compare(b.Since)
		})
		if s.Look != len(want) {
			t.Fatalf("%d need a look, want %d", s.Look, len(want))
		}
		for i, d := range s.Attention {
			if d.ID != want[i].ID {
				t.Fatalf("place %d: %s, want %s", i, d.ID, want[i].ID)
			}
		}
		if len(s.Attention) != min(top, len(want)) {
			t.Fatalf("%d devices, want %d", len(s.Attention), min(top, len(want)))
		}
	})
}

func BenchmarkSummary(b *testing.B) {
	f := bigFleet(b, 100_000)
	for b.Loop() {
		if s := f.Summary(5); s.Look == 0 {
			b.Fatal("nothing to count")
		}
	}
}
