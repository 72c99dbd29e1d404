package localhub

import (
	"slices"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// edgeModules are the modules that every IoT Edge device has. (Measured on the
// real service, as everything here is that does not say otherwise.)
var edgeModules = []string{"$edgeAgent", "$edgeHub"}

// missingEdgeModules tells which of them a device lacks, if there is room for
// them. That the limit of modules holds for these is a choice.
func missingEdgeModules(deviceID string, present []*store.Record) (missing []string, err error) {
	for _, id := range edgeModules {
		if !slices.ContainsFunc(present, func(rec *store.Record) bool { return rec.ModuleID == id }) {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 && len(present)+len(missing) > iothub.MaxModules {
		return nil, tooManyModules(deviceID, len(present))
	}
	return missing, nil
}

func tooManyModules(deviceID string, present int) error {
	return iothub.ErrTooManyModules.With("device %s has %d modules; a device has %d at most", deviceID, present, iothub.MaxModules)
}

// addModules adds system modules of IoT Edge that are missing.
func (b *batch) addModules(by actor, deviceID string, ids []string) {
	for _, id := range ids {
		b.fresh(by, store.Identity{
			DeviceID: deviceID, ModuleID: id, Status: iothub.StatusEnabled,
			ManagedBy: "iotEdge", Authentication: iothub.Authentication{Type: "none"},
		})
	}
}

// edgeScope begins the scope of an IoT Edge device.
const edgeScope = "ms-azure-iot-edge://"

// settleScopes works out the scopes of an identity that is made, old nil, or
// replaced. A plain device names its parent's scope in deviceScope and has it in
// parentScopes, too; alone there, it is ignored. An IoT Edge device has a scope
// of its own, which nobody chooses or changes, and its parent in parentScopes.
// One that ceases to be such loses its parent with it.
func settleScopes(old *store.Record, wanted *store.Identity, generation string) error {
	own := edgeScope + wanted.DeviceID + "-"
	switch {
	case !wanted.IoTEdge && old != nil && old.IoTEdge:
		wanted.DeviceScope, wanted.ParentScopes = "", nil
	case !wanted.IoTEdge && wanted.DeviceScope != "":
		wanted.ParentScopes = []string{wanted.DeviceScope}
	case !wanted.IoTEdge:
		wanted.ParentScopes = nil
	case old == nil:
		wanted.DeviceScope = own + generation
	case old.IoTEdge && wanted.DeviceScope != old.DeviceScope:
		return iothub.ErrArgumentInvalid.With("deviceScope of an IoT Edge device cannot change: send %s as it was read", old.DeviceScope)
	case !old.IoTEdge && wanted.DeviceScope != "":
		// The service fails with 503 here; that it is a mistake is a choice.
		return iothub.ErrArgumentInvalid.With("a device that becomes an IoT Edge device gets a deviceScope of its own: leave it out, and name the parent in parentScopes")
	case !old.IoTEdge:
		wanted.DeviceScope = own
	}
	return nil
}
