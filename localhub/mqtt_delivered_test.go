package localhub

import (
	"slices"
	"testing"

	"twinboard/hubclient/iothub"
)

// TestDeliveriesAreAnnounced tells a desired patch that was written to a
// connection apart from one that waits, once for each version.
func TestDeliveriesAreAnnounced(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	delivered := func() (versions []int64) {
		for _, item := range w.hub.changes.Recent(100, func(c iothub.Change) bool { return c.Kind == iothub.ChangeDelivered }) {
			if item.Value.DeviceID != "d1" || item.Value.Time.IsZero() {
				t.Errorf("announced %+v", item.Value)
			}
			versions = append(versions, item.Value.SectionVersion)
		}
		return versions
	}
	want := func(what string, versions ...int64) {
		t.Helper()
		w.eventually(what, func() bool { return slices.Equal(delivered(), versions) })
	}
	read := func(d *thing, rid string) {
		t.Helper()
		d.send(publish(0, 0, iothub.TwinGetTopic(rid), nil))
		d.message(iothub.TwinResponseTopic(200, rid, 0))
	}
	d := w.listening("d1")
	read(d, "1")
	w.desired("d1", iothub.Document{"a": true})
	d.message(iothub.DesiredTopic(2))
	want("a patch", 2)
	read(d, "2")
	w.mustCall("PATCH", "/twins/d1", `{"tags":{"t":1}}`)
	want("reading it again is no news", 2)
	d.conn.Close()
	w.eventually("offline", func() bool { return w.hub.registry.connected() == 0 })
	w.desired("d1", iothub.Document{"a": false})
	w.desired("d1", iothub.Document{"b": true})
	want("nobody is there", 2)
	read(w.listening("d1"), "3")
	want("the twin it asks for", 2, 4)
}
