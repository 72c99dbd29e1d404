package iothub_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// write is one step of a twin's history: seconds after noon, and what is sent.
type write struct {
	after             int
	desired, reported string
}

func twinAfter(t *testing.T, state string, history ...write) *iothub.Twin {
	t.Helper()
	tw := &iothub.Twin{ConnectionState: state}
	tw.Properties.Desired, tw.Properties.Reported = iothub.NewSection(noon), iothub.NewSection(noon)
	for _, w := range history {
		at := noon.Add(time.Duration(w.after) * time.Second)
		if w.desired != "" {
			tw.Properties.Desired = tw.Properties.Desired.Patch(doc(t, w.desired), at, true)
		}
		if w.reported != "" {
			tw.Properties.Reported = tw.Properties.Reported.Patch(doc(t, w.reported), at, false)
		}
	}
	return tw
}

func TestCompareGivesEachState(t *testing.T) {
	const on, off = iothub.Connected, iothub.Disconnected
	for _, tt := range []struct {
		name    string
		conn    string
		history []write
		now     int // seconds after noon
		state   iothub.State
		since   int
	}{
		{"equal", on, []write{{1, `{"p":30}`, ``}, {5, ``, `{"p":30.0}`}}, 6, iothub.InSync, 5},
		{"equal with a current 200", on, []write{{1, `{"p":3}`, ``}, {5, ``, `{"p":{"value":3,"ac":200,"av":2}}`}}, 6, iothub.InSync, 5},
		{"equal with the device's own start value", on, []write{{1, `{"p":3}`, ``}, {5, ``, `{"p":{"value":3,"ac":203,"av":2}}`}}, 6, iothub.InSync, 5},
		{"equal though the device is offline", off, []write{{1, `{"p":3}`, ``}, {5, ``, `{"p":3}`}}, 600, iothub.InSync, 5},
		{"not answered within grace", on, []write{{1, `{"p":3}`, ``}}, 60, iothub.Waiting, 1},
		{"other value within grace", on, []write{{0, ``, `{"p":2}`}, {1, `{"p":3}`, ``}}, 60, iothub.Waiting, 1},
		{"old acknowledgement within grace", on, []write{{0, `{"p":2}`, ``}, {1, ``, `{"p":{"value":2,"ac":200,"av":2}}`}, {10, `{"p":3}`, ``}}, 20, iothub.Waiting, 10},
		{"refusal of an older value within grace", on, []write{{0, `{"p":2}`, ``}, {1, ``, `{"p":{"value":9,"ac":400,"av":2}}`}, {10, `{"p":3}`, ``}}, 20, iothub.Waiting, 10},
		{"stale acknowledgement, equal, grace over", on, []write{{0, `{"p":2}`, ``}, {1, ``, `{"p":{"value":2,"ac":200,"av":2}}`}, {10, `{"p":2}`, ``}}, 100, iothub.InSync, 10},
		{"offline and never answered, long after", off, []write{{1, `{"p":3}`, ``}}, 9000, iothub.WaitingOffline, 1},
		{"offline with an older value, long after", off, []write{{0, ``, `{"p":2}`}, {1, `{"p":3}`, ``}}, 9000, iothub.WaitingOffline, 1},
		{"offline but it had answered otherwise", off, []write{{1, `{"p":3}`, ``}, {2, ``, `{"p":2}`}}, 9000, iothub.Differs, 2},
		{"acknowledged 202", on, []write{{1, `{"p":3}`, ``}, {4, ``, `{"p":{"value":2,"ac":202,"av":2}}`}}, 9000, iothub.Applying, 4},
		{"refused", on, []write{{1, `{"p":3}`, ``}, {4, ``, `{"p":{"value":10,"ac":400,"av":2,"ad":"below 5 s"}}`}}, 5, iothub.Rejected, 4},
		{"failed with 500", on, []write{{1, `{"p":3}`, ``}, {4, ``, `{"p":{"value":10,"ac":500,"av":2}}`}}, 5, iothub.Rejected, 4},
		{"other value, grace over", on, []write{{0, ``, `{"p":60}`}, {1, `{"p":30}`, ``}}, 61, iothub.Differs, 1},
		{"done with another value", on, []write{{1, `{"p":30}`, ``}, {2, ``, `{"p":{"value":60,"ac":200,"av":2}}`}}, 3, iothub.Differs, 2},
		{"number as text", on, []write{{1, `{"p":"5"}`, ``}, {2, ``, `{"p":5}`}}, 90, iothub.TypeDiffers, 2},
		{"boolean as text", on, []write{{1, `{"p":true}`, ``}, {2, ``, `{"p":"true"}`}}, 90, iothub.TypeDiffers, 2},
		{"number as text inside grace", on, []write{{1, `{"p":"5"}`, ``}, {2, ``, `{"p":5}`}}, 10, iothub.Waiting, 1},
		{"never reported", on, []write{{1, `{"p":3}`, ``}, {2, ``, `{"q":1}`}}, 61, iothub.Silent, 1},
		{"never reported, spoke since, now offline", off, []write{{1, `{"p":3}`, ``}, {2, ``, `{"q":1}`}}, 61, iothub.Silent, 1},
		{"an array is one leaf", on, []write{{1, `{"p":[1,2]}`, `{"p":[1,3]}`}}, 61, iothub.Differs, 1},
		{"empty objects are equal", on, []write{{1, `{"p":{}}`, `{"p":{}}`}}, 61, iothub.InSync, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tw := twinAfter(t, tt.conn, tt.history...)
			d := iothub.Compare(tw, iothub.DriftOptions{Now: noon.Add(time.Duration(tt.now) * time.Second)})
			if d.State != tt.state {
				t.Fatalf("state %s, want %s; settings %+v", d.State, tt.state, d.Settings)
			}
			if want := noon.Add(time.Duration(tt.since) * time.Second); !d.Since.Equal(want) {
				t.Errorf("since %v, want %v", d.Since, want)
			}
			if d.Wanted != 1 || d.Counts[tt.state] != 1 {
				t.Errorf("wanted %d, counts %v", d.Wanted, d.Counts)
			}
		})
	}
}

func TestCompareUnwrapsAcknowledgedObjects(t *testing.T) {
	tw := twinAfter(t, iothub.Connected,
		write{1, `{"limits":{"min":1,"max":80},"c1":{"__t":"c","target":23}}`, ``},
		write{2, ``, `{"limits":{"value":{"min":1,"max":70},"ac":200,"av":2,"ad":"ok"},"c1":{"__t":"c","target":{"value":23,"ac":200,"av":2},"serial":"x"},"start":{"value":5,"ac":203,"av":0}}`})
	d := iothub.Compare(tw, iothub.DriftOptions{Now: noon.Add(time.Hour)})
	var got []string
	for _, s := range d.Settings {
		got = append(got, s.Path.String()+" "+string(s.State)+" "+text(t, s.Reported))
	}
	want := []string{`limits.max differs 70`, `c1.target in-sync 23`, `limits.min in-sync 1`, `c1.serial device-only "x"`, `start device-only 5`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if d.Wanted != 3 || d.Differing() != 1 || d.State != iothub.Differs {
		t.Errorf("wanted %d, differing %d, state %s", d.Wanted, d.Differing(), d.State)
	}
}

func TestCompareAcceptsExpectedDifferences(t *testing.T) {
	tw := twinAfter(t, iothub.Connected, write{1, `{"p":1,"q":2}`, `{"p":9,"q":9}`})
	d := iothub.Compare(tw, iothub.DriftOptions{Now: noon.Add(time.Hour), Expected: func(p iothub.Path) bool { return p.String() == "p" }})
	if d.Counts[iothub.Expected] != 1 || d.Counts[iothub.Differs] != 1 || d.State != iothub.Differs {
		t.Errorf("counts %v, state %s", d.Counts, d.State)
	}
}

func TestCompareOfNothingWanted(t *testing.T) {
	d := iothub.Compare(twinAfter(t, iothub.Connected, write{1, ``, `{"connectivity":"cellular"}`}), iothub.DriftOptions{Now: noon})
	if d.State != iothub.InSync || d.Wanted != 0 || len(d.Settings) != 1 || d.Settings[0].State != iothub.DeviceOnly {
		t.Errorf("drift %+v", d)
	}
}

func TestStatesAreInTheOrderOfAttention(t *testing.T) {
	want := []iothub.State{"rejected", "differs", "type", "silent", "applying", "waiting", "waiting-offline", "expected", "in-sync", "device-only"}
	if diff := cmp.Diff(want, iothub.States); diff != "" {
		t.Error(diff)
	}
	for i, s := range want {
		if s.Rank() != i || s.NeedsLook() != (i < 4) {
			t.Errorf("%s: rank %d, needs a look %v", s, s.Rank(), s.NeedsLook())
		}
	}
}
