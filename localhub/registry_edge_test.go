package localhub

import (
	"fmt"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

var edge = iothub.Capabilities{IoTEdge: true}

func TestAnEdgeDeviceHasItsModules(t *testing.T) {
	b := newBench(t)
	d, err := b.createDevice(t.Context(), owner, iothub.Device{DeviceID: "e", Capabilities: edge, DeviceScope: "mine"})
	b.check(err)
	if d.DeviceScope != "ms-azure-iot-edge://e-"+d.GenerationID {
		t.Errorf("scope %s, generation %s", d.DeviceScope, d.GenerationID)
	}
	list, err := b.modules(t.Context(), "e")
	b.check(err)
	if len(list) != 2 || list[0].ModuleID != "$edgeAgent" || list[1].ModuleID != "$edgeHub" ||
		list[0].ManagedBy != "iotEdge" || list[0].Authentication.Type != "none" {
		t.Errorf("%+v", list)
	}
	b.patch("e", `{"tags":{"a":1}}`)
	b.createModules("e", "m")
	d.Status = iothub.StatusDisabled
	_, err = b.updateDevice(t.Context(), owner, d, iothub.Any)
	b.check(err)
	d.Status = iothub.StatusEnabled
	_, err = b.updateDevice(t.Context(), owner, d, iothub.Any)
	b.check(err)
	if got := b.moduleIDs("e"); got != "$edgeAgent $edgeHub m" {
		t.Errorf("modules %s", got)
	}
}

// TestScopesOfParentsAndChildren walks a device through what can become of it.
func TestScopesOfParentsAndChildren(t *testing.T) {
	b := newBench(t)
	const parent = "ms-azure-iot-edge://p-1"
	for n, c := range []struct {
		edge    bool
		scope   string
		parents []string
		want    string // scope and parents afterwards, "" means refused
	}{
		{false, "", []string{parent}, " []"}, // first as a new device
		{false, parent, nil, parent + " [" + parent + "]"},
		{false, "", nil, " []"},
		{true, parent, nil, ""},
		{true, "", []string{parent}, "ms-azure-iot-edge://d- [" + parent + "]"},
		{true, "", []string{parent}, ""},
		{true, "other", []string{parent}, ""},
		{true, "ms-azure-iot-edge://d-", []string{}, "ms-azure-iot-edge://d- []"},
		{true, "ms-azure-iot-edge://d-", []string{parent}, "ms-azure-iot-edge://d- [" + parent + "]"},
		{true, "ms-azure-iot-edge://d-", nil, "ms-azure-iot-edge://d- []"},
		{false, parent, nil, " []"},
		{false, parent, nil, parent + " [" + parent + "]"},
	} {
		d := iothub.Device{DeviceID: "d", Capabilities: iothub.Capabilities{IoTEdge: c.edge}, DeviceScope: c.scope, ParentScopes: c.parents}
		var err error
		if n == 0 {
			d, err = b.createDevice(t.Context(), owner, d)
		} else {
			d, err = b.updateDevice(t.Context(), owner, d, iothub.Any)
		}
		if c.want == "" {
			wantCode(t, err, iothub.ErrArgumentInvalid)
			continue
		}
		b.check(err)
		if got := fmt.Sprint(d.DeviceScope, " ", d.ParentScopes); got != c.want {
			t.Errorf("step %d: %s, want %s", n, got, c.want)
		}
		if twin := b.get("d"); twin.DeviceScope != d.DeviceScope || len(twin.ParentScopes) != len(d.ParentScopes) {
			t.Errorf("step %d: the twin shows %s %v", n, twin.DeviceScope, twin.ParentScopes)
		}
	}
}

func TestEdgeModulesNeedRoom(t *testing.T) {
	b := newBench(t)
	b.create("full", "fits")
	var ids []string
	for n := range iothub.MaxModules - 1 {
		ids = append(ids, fmt.Sprint("m", n))
	}
	b.createModules("full", ids...)
	b.createModules("fits", ids[1:]...)
	_, err := b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "full", Capabilities: edge}, iothub.Any)
	wantCode(t, err, iothub.ErrTooManyModules)
	if strings.Contains(b.moduleIDs("full"), "$") {
		t.Error("some were added")
	}
	_, err = b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "fits", Capabilities: edge}, iothub.Any)
	b.check(err)
}
