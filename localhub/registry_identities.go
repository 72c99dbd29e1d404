package localhub

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// identity returns a device or module as the operations before left it. Unlike
// for twins, the service says ModuleNotFound when only the module is missing.
func (b *batch) identity(key twinKey) (*store.Record, error) {
	rec, err := b.record(key)
	if key.ModuleID == "" || !isNotFound(err) {
		return rec, err
	}
	if _, err := b.record(twinKey{DeviceID: key.DeviceID}); err != nil {
		return nil, err
	}
	return nil, moduleNotFound(key)
}

func moduleNotFound(key twinKey) error {
	return iothub.ErrModuleNotFound.With("there is no module %s on device %s", key.ModuleID, key.DeviceID)
}

// modules returns the modules of a device as the operations before left them.
func (b *batch) modules(deviceID string) ([]*store.Record, error) {
	stored, err := b.r.store.ModulesForWrite(deviceID)
	if err != nil {
		return nil, err
	}
	stored = slices.DeleteFunc(stored, func(rec *store.Record) bool { return b.pending[keyOf(rec)] != nil })
	for _, p := range b.order {
		if p.key.DeviceID == deviceID && p.key.ModuleID != "" && p.record != nil {
			stored = append(stored, p.record)
		}
	}
	return stored, nil
}

// createIdentity adds a device or module with a fresh twin. An IoT Edge device
// gets its two modules and a scope, as the service has it.
func (b *batch) createIdentity(by actor, wanted store.Identity) (*store.Record, error) {
	key := twinKey{wanted.DeviceID, wanted.ModuleID}
	switch _, err := b.record(key); {
	case err == nil && key.ModuleID != "":
		return nil, iothub.ErrModuleAlreadyExists.With("a module %s is already registered on device %s", key.ModuleID, key.DeviceID)
	case err == nil:
		return nil, iothub.ErrDeviceAlreadyExists.With("a device %s is already registered", key.DeviceID)
	case !isNotFound(err):
		return nil, err
	}
	if key.ModuleID != "" {
		if err := b.checkRoom(key.DeviceID); err != nil {
			return nil, err
		}
	}
	if err := settleScopes(nil, &wanted, b.generation()); err != nil {
		return nil, err
	}
	rec := b.fresh(by, wanted)
	if wanted.IoTEdge {
		b.addModules(by, wanted.DeviceID, edgeModules)
	}
	return rec, nil
}

// checkRoom refuses a module that a device is missing for, or has no room for.
func (b *batch) checkRoom(deviceID string) error {
	if _, err := b.record(twinKey{DeviceID: deviceID}); err != nil {
		return err
	}
	modules, err := b.modules(deviceID)
	if err == nil && len(modules) >= iothub.MaxModules {
		err = tooManyModules(deviceID, len(modules))
	}
	return err
}

// fresh adds an identity, whose key nobody has, with an empty twin.
func (b *batch) fresh(by actor, wanted store.Identity) *store.Record {
	rec := &store.Record{Identity: wanted}
	rec.Generation = b.generation()
	// Random, so that a device made anew has another etag than the one before it.
	rec.IdentityETag = 100_000_000 + rand.Uint64N(900_000_000)
	rec.Twin = store.Twin{
		TwinETag: 1, Tags: iothub.Document{},
		Desired: iothub.NewSection(b.at), Reported: iothub.NewSection(b.at),
	}
	b.create(rec)
	b.after(func(at time.Time) { b.r.announceIdentity(at, by, iothub.OperationCreate, rec) })
	return rec
}

// generation tells apart devices that had the same id one after the other: the
// time in ticks of 100 ns since the year 1, as the service's look.
func (b *batch) generation() string {
	const unixEpoch = 621_355_968_000_000_000
	return strconv.FormatInt(b.at.UnixNano()/100+unixEpoch, 10)
}

// updateIdentity replaces an identity whole; its twin stays.
func (b *batch) updateIdentity(by actor, wanted store.Identity, ifMatch iothub.ETag) (*store.Record, error) {
	old, err := b.identity(twinKey{wanted.DeviceID, wanted.ModuleID})
	if err != nil {
		return nil, err
	}
	if err := checkETag(ifMatch, iothub.DeviceETag(old.IdentityETag)); err != nil {
		return nil, err
	}
	var modules []*store.Record
	if wanted.IoTEdge || wanted.Status == iothub.StatusDisabled {
		if modules, err = b.modules(wanted.DeviceID); err != nil {
			return nil, err
		}
	}
	if err := settleScopes(old, &wanted, ""); err != nil {
		return nil, err
	}
	if wanted.IoTEdge {
		missing, err := missingEdgeModules(wanted.DeviceID, modules)
		if err != nil {
			return nil, err
		}
		b.addModules(by, wanted.DeviceID, missing)
	}
	next := *old
	next.Identity = wanted
	next.Generation, next.IdentityETag, next.StatusUpdated = old.Generation, old.IdentityETag+1, old.StatusUpdated
	if next.Status != old.Status {
		next.StatusUpdated = b.at
	}
	b.putIdentity(&next)
	b.after(func(at time.Time) { b.r.identityChanged(at, by, &next, modules) })
	return &next, nil
}

// identityChanged cuts a device that was disabled, and its modules with it.
func (r *registry) identityChanged(at time.Time, by actor, rec *store.Record, modules []*store.Record) {
	r.announceIdentity(at, by, iothub.OperationUpdate, rec)
	if rec.Status != iothub.StatusDisabled {
		return
	}
	for _, one := range append(modules, rec) {
		r.drop(keyOf(one), "the device was disabled")
		r.calls.awaken(keyOf(one)) // calls that wait for it
	}
}

// deleteIdentity removes a device with its twin and modules, or one module.
func (b *batch) deleteIdentity(by actor, key twinKey, ifMatch iothub.ETag) error {
	old, err := b.identity(key)
	if err != nil {
		return err
	}
	if ifMatch == "" {
		return iothub.ErrPreconditionFailed.With("deleting needs If-Match: the etag of the identity, or *")
	}
	if err := checkETag(ifMatch, iothub.DeviceETag(old.IdentityETag)); err != nil {
		return err
	}
	gone := []*store.Record{old}
	if key.ModuleID == "" {
		modules, err := b.modules(key.DeviceID)
		if err != nil {
			return err
		}
		gone = slices.Concat(modules, gone)
	}
	for _, rec := range gone {
		b.delete(rec)
		b.after(func(at time.Time) {
			b.r.forget(keyOf(rec), "the device was deleted")
			b.r.announceIdentity(at, by, iothub.OperationDelete, rec)
		})
	}
	return nil
}
