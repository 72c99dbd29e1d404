package localhub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

func (b *bench) createModules(deviceID string, ids ...string) {
	b.Helper()
	for _, id := range ids {
		_, err := b.createModule(b.Context(), owner, iothub.Module{DeviceID: deviceID, ModuleID: id})
		b.check(err)
	}
}

func (b *bench) moduleIDs(deviceID string) string {
	b.Helper()
	list, err := b.modules(b.Context(), deviceID)
	b.check(err)
	var ids []string
	for _, m := range list {
		ids = append(ids, m.ModuleID)
	}
	return strings.Join(ids, " ")
}

func TestModulesHaveIdentitiesAndTwinsOfTheirOwn(t *testing.T) {
	b := newBench(t)
	b.create("d")
	m, err := b.createModule(t.Context(), owner, iothub.Module{DeviceID: "d", ModuleID: "m", ManagedBy: "me"})
	b.check(err)
	if m.ManagedBy != "me" || m.ETag == "" || m.GenerationID == "" || m.Authentication.Type != "sas" ||
		len(m.Authentication.SymmetricKey.Primary) != 44 || m.ConnectionState != iothub.Disconnected {
		t.Errorf("%+v", m)
	}
	key := twinKey{"d", "m"}
	twin, err := b.updateTwin(t.Context(), owner, key, parsePatch(t, `{"tags":{"a":1},"properties":{"desired":{"x":1}}}`), "")
	b.check(err)
	if twin.ModuleID != "m" || twin.Version != 3 || twin.DeviceETag != m.ETag || twin.Status != iothub.StatusEnabled {
		t.Errorf("%+v", twin)
	}
	if of := b.get("d"); of.Version != 2 || of.ModuleID != "" {
		t.Errorf("the device's twin is %+v", of)
	}
	again, err := b.updateModule(t.Context(), owner, iothub.Module{DeviceID: "d", ModuleID: "m"}, m.ETag)
	b.check(err)
	if again.ETag == m.ETag || again.ManagedBy != "" || again.Authentication.SymmetricKey == m.Authentication.SymmetricKey || again.GenerationID != m.GenerationID {
		t.Errorf("%+v became %+v", m, again)
	}
	twin, err = b.twin(t.Context(), key)
	b.check(err)
	if twin.Version != 3 || twin.DeviceETag != again.ETag {
		t.Errorf("the twin after an update of the identity is %+v", twin)
	}
	b.shut()
	b.open()
	got, err := b.module(t.Context(), key)
	b.check(err)
	if toJSON(t, got) != toJSON(t, again) {
		t.Errorf("after a restart %+v", got)
	}
}

func TestWhatIsRefusedOfModules(t *testing.T) {
	b := newBench(t)
	b.create("d", "off")
	b.createModules("d", "m")
	b.createModules("off", "m")
	_, err := b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "off", Status: iothub.StatusDisabled}, iothub.Any)
	b.check(err)
	create := func(device, module string) error {
		_, err := b.createModule(t.Context(), owner, iothub.Module{DeviceID: device, ModuleID: module})
		return err
	}
	update := func(device, module string, match iothub.ETag) error {
		_, err := b.updateModule(t.Context(), owner, iothub.Module{DeviceID: device, ModuleID: module}, match)
		return err
	}
	get := func(device, module string) error {
		_, err := b.module(t.Context(), twinKey{device, module})
		return err
	}
	list := func(device string) error {
		_, err := b.modules(t.Context(), device)
		return err
	}
	remove := func(device, module string, match iothub.ETag) error {
		return b.deleteModule(t.Context(), owner, twinKey{device, module}, match)
	}
	twin := func(device, module string) error {
		_, err := b.twin(t.Context(), twinKey{device, module})
		return err
	}
	b.check(twin("off", "m")) // only identities are out of reach
	for _, id := range []string{"", "a b", strings.Repeat("x", 129)} {
		if err := create("d", id); err == nil || !strings.Contains(err.Error(), "a module id ") {
			t.Errorf("of the module id %.9q: %v", id, err)
		}
	}
	for i, c := range []struct {
		err  error
		want *iothub.Error
	}{
		{create("d", "m"), iothub.ErrModuleAlreadyExists},
		{create("d", "$edgeHub"), iothub.ErrArgumentInvalid},
		{create("d", "a b"), iothub.ErrArgumentInvalid},
		{create("none", "m"), iothub.ErrUnauthorizedAccess},
		{create("off", "n"), iothub.ErrUnauthorizedAccess},
		{update("d", "none", iothub.Any), iothub.ErrModuleNotFound},
		{update("d", "m", "stale"), iothub.ErrPreconditionFailed},
		{update("off", "m", iothub.Any), iothub.ErrUnauthorizedAccess},
		{get("d", "none"), iothub.ErrModuleNotFound},
		{get("none", "m"), iothub.ErrUnauthorizedAccess},
		{get("off", "m"), iothub.ErrUnauthorizedAccess},
		{list("none"), iothub.ErrUnauthorizedAccess},
		{list("off"), iothub.ErrUnauthorizedAccess},
		{remove("d", "none", iothub.Any), iothub.ErrModuleNotFound},
		{remove("d", "m", ""), iothub.ErrPreconditionFailed},
		{remove("d", "m", "stale"), iothub.ErrPreconditionFailed},
		{remove("none", "m", iothub.Any), iothub.ErrUnauthorizedAccess},
		{twin("d", "none"), iothub.ErrDeviceNotFound},
		{twin("none", "m"), iothub.ErrDeviceNotFound},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { wantCode(t, c.err, c.want) })
	}
	_, err = b.createModule(t.Context(), owner, iothub.Module{DeviceID: "d", ModuleID: "none", Authentication: iothub.Authentication{Type: "none"}})
	b.check(err)
	if m, err := b.module(t.Context(), twinKey{"d", "none"}); err != nil || m.Authentication.Type != "sas" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestADeviceHasFiftyModulesAtMost(t *testing.T) {
	b := newBench(t)
	b.create("d")
	for i := range iothub.MaxModules {
		b.createModules("d", fmt.Sprintf("m%02d", i))
	}
	_, err := b.createModule(t.Context(), owner, iothub.Module{DeviceID: "d", ModuleID: "more"})
	wantCode(t, err, iothub.ErrTooManyModules)
	b.check(b.deleteModule(t.Context(), owner, twinKey{"d", "m00"}, iothub.Any))
	b.createModules("d", "more")
	if got := b.moduleIDs("d"); !strings.HasPrefix(got, "m01 m02 ") || !strings.HasSuffix(got, " m49 more") {
		t.Error(got)
	}
}

func TestADeletedDeviceTakesItsModulesAlong(t *testing.T) {
	b := newBench(t)
	b.create("d", "d2")
	b.createModules("d", "a", "b")
	b.createModules("d2", "a")
	sessions := map[twinKey]*recorder{{"d", "a"}: newRecorder(), {"d", ""}: newRecorder(), {"d2", "a"}: newRecorder()}
	for key, s := range sessions {
		b.check(b.connect(t.Context(), key, "", s))
	}
	if b.connected() != 1 {
		t.Errorf("%d devices connected", b.connected())
	}
	b.check(b.deleteDevice(t.Context(), owner, "d", iothub.Any))
	for _, key := range []twinKey{{"d", ""}, {"d", "a"}} {
		if got := sessions[key].next(t); got != "end: the device was deleted" {
			t.Errorf("%v: %s", key, got)
		}
	}
	sessions[twinKey{"d2", "a"}].silent(t)
	for _, id := range []string{"a", "b"} {
		_, err := b.twin(t.Context(), twinKey{"d", id})
		wantCode(t, err, iothub.ErrDeviceNotFound)
	}
	b.create("d")
	if got := b.moduleIDs("d"); got != "" {
		t.Errorf("a device made anew has modules %s", got)
	}
	if got := b.moduleIDs("d2"); got != "a" {
		t.Errorf("d2 has %s", got)
	}
	var removed []string
	for _, item := range slices.Backward(b.changes.Recent(100, func(c iothub.Change) bool { return c.Operation == iothub.OperationDelete })) {
		removed = append(removed, item.Value.DeviceID+"/"+item.Value.ModuleID)
	}
	slices.Sort(removed)
	if got := strings.Join(removed, " "); got != "d/ d/a d/b" {
		t.Errorf("announced %s", got)
	}
}

func TestADisabledDeviceCutsItsModules(t *testing.T) {
	b := newBench(t)
	b.create("d")
	b.createModules("d", "m")
	s, key := newRecorder(), twinKey{"d", "m"}
	b.check(b.connect(t.Context(), key, "", s))
	_, err := b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "d", Status: iothub.StatusDisabled}, iothub.Any)
	b.check(err)
	if got := s.next(t); got != "end: the device was disabled" {
		t.Error(got)
	}
	wantCode(t, b.connect(t.Context(), key, "", s), iothub.ErrDeviceDisabled)
}

// TestModulesWithinOneTransaction lets operations on modules see those before
// them that are not on the disk yet.
func TestModulesWithinOneTransaction(t *testing.T) {
	b := newBench(t)
	b.create("d")
	b.createModules("d", "old")
	release := b.hold()
	done := make(chan error, 4)
	queue := func(n int, f func() error) {
		go func() { done <- f() }()
		b.queued(n)
	}
	queue(1, func() error {
		_, err := b.createModule(t.Context(), owner, iothub.Module{DeviceID: "d", ModuleID: "new"})
		return err
	})
	queue(2, func() error { return b.deleteDevice(t.Context(), owner, "d", iothub.Any) })
	queue(3, func() error {
		_, err := b.createDevice(t.Context(), owner, iothub.Device{DeviceID: "d"})
		return err
	})
	queue(4, func() error {
		_, err := b.createModule(t.Context(), owner, iothub.Module{DeviceID: "d", ModuleID: "newer"})
		return err
	})
	release()
	for range 4 {
		b.check(<-done)
	}
	if got := b.moduleIDs("d"); got != "newer" {
		t.Errorf("left are %s", got)
	}
	total, _, err := b.store.Count(t.Context())
	if b.check(err); total != 1 {
		t.Errorf("%d devices", total)
	}
}
