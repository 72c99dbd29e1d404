package localhub

import (
	"cmp"
	"context"
	"strings"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// createModule registers a module with a fresh twin.
func (r *registry) createModule(ctx context.Context, by actor, m iothub.Module) (iothub.Module, error) {
	return r.writeModule(ctx, m, func(b *batch, wanted store.Identity) (*store.Record, error) {
		return b.createIdentity(by, wanted)
	})
}

// updateModule replaces a module's identity whole, as updateDevice a device's.
func (r *registry) updateModule(ctx context.Context, by actor, m iothub.Module, ifMatch iothub.ETag) (iothub.Module, error) {
	return r.writeModule(ctx, m, func(b *batch, wanted store.Identity) (*store.Record, error) {
		return b.updateIdentity(by, wanted, ifMatch)
	})
}

func (r *registry) writeModule(ctx context.Context, m iothub.Module, write func(*batch, store.Identity) (*store.Record, error)) (iothub.Module, error) {
	wanted, err := moduleIdentityOf(m)
	if err != nil {
		return iothub.Module{}, err
	}
	var rec *store.Record
	err = r.do(ctx, func(b *batch) error {
		device, err := b.record(twinKey{DeviceID: m.DeviceID})
		if err = usable(m.DeviceID, device, err); err != nil {
			return err
		}
		rec, err = write(b, wanted)
		return err
	})
	if err != nil {
		return iothub.Module{}, err
	}
	return r.showModule(rec), nil
}

// deleteModule removes a module with its twin. Without ifMatch it refuses.
func (r *registry) deleteModule(ctx context.Context, by actor, key twinKey, ifMatch iothub.ETag) error {
	return r.do(ctx, func(b *batch) error {
		device, err := b.record(twinKey{DeviceID: key.DeviceID})
		if err := usable(key.DeviceID, device, err); err != nil {
			return err
		}
		return b.deleteIdentity(by, key, ifMatch)
	})
}

// module returns a module's identity, its keys included.
func (r *registry) module(ctx context.Context, key twinKey) (iothub.Module, error) {
	device, err := r.record(ctx, twinKey{DeviceID: key.DeviceID})
	if err := usable(key.DeviceID, device, err); err != nil {
		return iothub.Module{}, err
	}
	rec, err := r.record(ctx, key)
	if isNotFound(err) {
		err = moduleNotFound(key)
	}
	if err != nil {
		return iothub.Module{}, err
	}
	return r.showModule(rec), nil
}

// modules returns the modules of a device in the order of registration.
func (r *registry) modules(ctx context.Context, deviceID string) ([]iothub.Module, error) {
	device, err := r.record(ctx, twinKey{DeviceID: deviceID})
	if err := usable(deviceID, device, err); err != nil {
		return nil, err
	}
	rows, err := r.store.Modules(ctx, deviceID)
	if err != nil {
		return nil, err
	}
	out := make([]iothub.Module, len(rows))
	for i, row := range rows {
		out[i] = r.showModule(&store.Record{Identity: row.Identity})
	}
	return out, nil
}

// usable refuses module identities of a missing or disabled device. For both the
// service answers 401 to callers with a shared access signature (measured); the
// twins of modules are not concerned.
func usable(id string, device *store.Record, err error) error {
	switch {
	case isNotFound(err):
		return iothub.ErrUnauthorizedAccess.With("there is no device %s, and so no modules of it", id)
	case err != nil:
		return err
	case device.Status == iothub.StatusDisabled:
		return iothub.ErrUnauthorizedAccess.With("device %s is disabled, so its modules cannot be read or changed", id)
	}
	return nil
}

// moduleIdentityOf reads what a request may set of a module.
func moduleIdentityOf(m iothub.Module) (store.Identity, error) {
	if err := cmp.Or(iothub.CheckDeviceID(m.DeviceID), iothub.CheckModuleID(m.ModuleID)); err != nil {
		return store.Identity{}, iothub.ErrArgumentInvalid.With("%v", err)
	}
	if strings.HasPrefix(m.ModuleID, "$") {
		return store.Identity{}, iothub.ErrArgumentInvalid.With("module ids that begin with $ belong to the system")
	}
	if m.Authentication.Type == "none" { // the service makes it sas (measured)
		m.Authentication = iothub.Authentication{}
	}
	authentication, err := authenticationOf(m.Authentication)
	return store.Identity{
		DeviceID: m.DeviceID, ModuleID: m.ModuleID, Status: iothub.StatusEnabled,
		Authentication: authentication, ManagedBy: m.ManagedBy,
	}, err
}

func (r *registry) showModule(rec *store.Record) iothub.Module {
	seen := r.seen(keyOf(rec))
	return iothub.Module{
		ModuleID: rec.ModuleID, ManagedBy: rec.ManagedBy, DeviceID: rec.DeviceID, GenerationID: rec.Generation,
		ETag: iothub.DeviceETag(rec.IdentityETag), ConnectionState: seen.state(),
		ConnectionStateUpdatedTime: iothub.Time{Time: seen.connectionUpdated},
		LastActivityTime:           iothub.Time{Time: seen.lastActivity}, Authentication: rec.Authentication,
	}
}
