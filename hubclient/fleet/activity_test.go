package fleet

import (
	"encoding/json"
	"testing"

	"twinboard/hubclient/iothub"
)

// TestActivity holds what the picture leaves out: modules, and deliveries, which
// change no twin and so must not have one read again.
func TestActivity(t *testing.T) {
	h := startHub(t)
	c, w := h.client(nil)
	f := startFleet(t, c, Options{})
	create(t, c, "d")
	eventually(t, "live", func() bool { return f.Status().Live })
	if _, err := c.CreateModule(t.Context(), iothub.Module{DeviceID: "d", ModuleID: "m"}); err != nil {
		t.Fatal(err)
	}
	startDevice(t, h, c, "d")
	eventually(t, "connected", func() bool { d, ok := f.Get("d"); return ok && d.Connected })
	read := w.twins.Load()
	patch := iothub.TwinPatch{Desired: iothub.Document{"n": json.Number("1")}}
	if _, err := c.UpdateTwin(t.Context(), "d", patch, nil); err != nil {
		t.Fatal(err)
	}
	told := func(what string, match func(iothub.Change) bool) {
		t.Helper()
		eventually(t, what, func() bool {
			return len(f.Activity().Recent(1, func(a Activity) bool { return !a.Gap && match(a.Change) })) == 1
		})
	}
	told("the module", func(c iothub.Change) bool { return c.ModuleID == "m" && c.Kind == iothub.ChangeIdentity })
	told("the delivery", func(c iothub.Change) bool {
		return c.DeviceID == "d" && c.Kind == iothub.ChangeDelivered && c.SectionVersion == 2
	})
	if n := w.twins.Load(); n != read {
		t.Errorf("%d twins were read for a delivery", n-read)
	}
	if first := f.Activity().Recent(kept, nil)[0].Value; !first.Gap {
		t.Errorf("the list begins with %+v; what came before it is unknown", first)
	}
}
