package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"twinboard/devicesim"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// values and documents as twins may hold them, few names, so that patches meet.
func drawDocument(depth int) *rapid.Generator[iothub.Document] {
	return rapid.Custom(func(t *rapid.T) iothub.Document {
		d := iothub.Document{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			d[rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")] = drawValue(t, depth)
		}
		return d
	})
}

func drawValue(t *rapid.T, depth int) any {
	switch kind := rapid.IntRange(0, 6).Draw(t, "kind"); {
	case kind == 0:
		return nil
	case kind == 1:
		return rapid.Bool().Draw(t, "bool")
	case kind == 2:
		return json.Number(rapid.SampledFrom([]string{"0", "1.0", "-3.25", "1e3"}).Draw(t, "number"))
	case kind == 3:
		return []any{"x", json.Number("1"), map[string]any{"<y>": true}}
	case kind >= 5 && depth > 0:
		return map[string]any(drawDocument(depth-1).Draw(t, "object"))
	}
	return rapid.SampledFrom([]string{"", "<on> & \"off\"", "Ärmel 日本"}).Draw(t, "text")
}

// drawPatch makes any write of a service but one without a section, which
// changes nothing.
func drawPatch(t *rapid.T) iothub.TwinPatch {
	var p iothub.TwinPatch
	what := rapid.IntRange(1, 5).Draw(t, "sections")
	if what&1 != 0 {
		p.Tags = drawDocument(2).Draw(t, "tags")
	}
	if what&2 != 0 {
		p.Desired = drawDocument(2).Draw(t, "desired")
	}
	if what >= 4 {
		p.ClearTags, p.ClearDesired = p.Tags == nil, p.Desired == nil
	}
	return p
}

// TestApply: following the changes leads to the same twins as reading them, and
// needs no reading.
func TestApply(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c, wire := h.client(nil)
	devices := []string{"a", "b"}
	create(t, c, devices...)
	f := startFleet(t, c, Options{})
	eventually(t, "live", func() bool { return f.Status().Live })
	other, _ := h.client(nil)
	sim := startDevice(t, h, other, "a")
	eventually(t, "connected", func() bool { d, _ := f.Get("a"); return d.Connected })
	wire.twins.Store(0)
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 8).Draw(r, "writes") {
			id := rapid.SampledFrom(devices).Draw(r, "device")
			var err error
			switch rapid.IntRange(0, 3).Draw(r, "write") {
			case 0:
				err = sim.SetConnectivity(t.Context(), "a", rapid.SampledFrom(devicesim.Connectivities).Draw(r, "connectivity"))
			case 1:
				_, err = other.ReplaceTwin(t.Context(), id, drawPatch(r), nil)
			default:
				_, err = other.UpdateTwin(t.Context(), id, drawPatch(r), nil)
			}
			if err != nil {
				r.Fatal(err)
			}
		}
		deadline := time.Now().Add(10 * time.Second)
		for {
			diff, err := differences(t.Context(), f, other)
			if err != nil {
				r.Fatal(err)
			}
			if diff == "" {
				break
			}
			if time.Now().After(deadline) {
				r.Fatal(diff)
			}
		}
	})
	if n := wire.twins.Load(); n != 0 {
		t.Errorf("%d twins were read although each change followed on", n)
	}
}

func startDevice(t *testing.T, h *testHub, c *hubclient.Client, id string) *devicesim.Fleet {
	t.Helper()
	sim := devicesim.New(devicesim.Options{MQTTAddr: h.hub.MQTTAddr(), RootCAs: h.hub.RootCAs()})
	t.Cleanup(func() { sim.Close(context.Background()) })
	d, err := c.GetDevice(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	cs := iothub.DeviceConnectionString{HostName: h.hub.DeviceHostName(), DeviceID: id, SharedAccessKey: d.Authentication.SymmetricKey.Primary}
	if err := sim.Start(t.Context(), devicesim.Spec{ConnectionString: cs, Connectivity: "cellular"}); err != nil {
		t.Fatal(err)
	}
	return sim
}

// TestApplyOutOfOrder: what the twin has already changes nothing, and what does
// not follow on is not guessed.
func TestApplyOutOfOrder(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	change := func(kind iothub.ChangeKind, version, section int64) iothub.Change {
		return iothub.Change{
			DeviceID: "d", Kind: kind, Operation: iothub.OperationUpdate, Version: version, SectionVersion: section,
			Time: at, Patch: iothub.Document{"k": json.Number(fmt.Sprint(version))},
		}
	}
	// The twin has version 5, desired 3 and reported 2.
	for _, tt := range []struct {
		name   string
		change iothub.Change
		want   outcome
	}{
		{"next", change(iothub.ChangeDesired, 6, 4), applied},
		{"next reported", change(iothub.ChangeReported, 6, 3), applied},
		{"next tags", change(iothub.ChangeTags, 6, 0), applied},
		{"desired beside tags", change(iothub.ChangeDesired, 5, 4), applied},
		{"the latest again", change(iothub.ChangeDesired, 5, 3), known},
		{"an old one", change(iothub.ChangeDesired, 4, 2), known},
		{"old tags", change(iothub.ChangeTags, 4, 0), known},
		{"one is missing", change(iothub.ChangeDesired, 7, 5), unclear},
		{"tags before it are missing", change(iothub.ChangeTags, 7, 0), unclear},
		{"a section's is missing", change(iothub.ChangeReported, 6, 4), unclear},
		{"of a device made anew", change(iothub.ChangeReported, 6, 2), unclear},
		{"identity", change(iothub.ChangeIdentity, 5, 0), unclear},
		{"of a later kind", change("method", 5, 0), unclear},
	} {
		twin := twinAt("d", at, true)
		twin.Version, twin.Properties.Desired.Version, twin.Properties.Reported.Version = 5, 3, 2
		before, _ := json.Marshal(twin)
		got := applyChange(twin, tt.change)
		after, _ := json.Marshal(twin)
		if got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		if same := string(before) == string(after); same == (got == applied) {
			t.Errorf("%s: the twin became %s", tt.name, after)
		}
	}
}
