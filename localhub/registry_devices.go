package localhub

import (
	"cmp"
	"context"
	"regexp"
	"unicode/utf8"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

const (
	maxStatusReason = 128
	// maxListed is how many identities a list holds at most (IoT Hub
	// documentation: identity registry); whoever wants more queries.
	maxListed = 1000
)

// createDevice registers a device with a fresh twin.
func (r *registry) createDevice(ctx context.Context, by actor, d iothub.Device) (iothub.Device, error) {
	wanted, err := identityOf(d)
	if err != nil {
		return iothub.Device{}, err
	}
	var rec *store.Record
	err = r.do(ctx, func(b *batch) (err error) {
		rec, err = b.createIdentity(by, wanted)
		return err
	})
	if err != nil {
		return iothub.Device{}, err
	}
	return r.showDevice(rec), nil
}

// updateDevice replaces an identity whole: what d leaves out goes back to its
// default, and keys it leaves out are made anew. ifMatch is what makes it an
// update; the caller sends a PUT without one to createDevice.
func (r *registry) updateDevice(ctx context.Context, by actor, d iothub.Device, ifMatch iothub.ETag) (iothub.Device, error) {
	wanted, err := identityOf(d)
	if err != nil {
		return iothub.Device{}, err
	}
	var rec *store.Record
	err = r.do(ctx, func(b *batch) (err error) {
		rec, err = b.updateIdentity(by, wanted, ifMatch)
		return err
	})
	if err != nil {
		return iothub.Device{}, err
	}
	return r.showDevice(rec), nil
}

// deleteDevice removes a device with its twin and its modules. Without ifMatch
// it refuses, as the service does.
func (r *registry) deleteDevice(ctx context.Context, by actor, id string, ifMatch iothub.ETag) error {
	return r.do(ctx, func(b *batch) error { return b.deleteIdentity(by, twinKey{DeviceID: id}, ifMatch) })
}

// device returns an identity, its keys included.
func (r *registry) device(ctx context.Context, id string) (iothub.Device, error) {
	rec, err := r.record(ctx, twinKey{DeviceID: id})
	if err != nil {
		return iothub.Device{}, err
	}
	return r.showDevice(rec), nil
}

// devices returns the first identities in the order of registration: top of
// them if it is from 1 to 1000, otherwise 1000, as the service does.
func (r *registry) devices(ctx context.Context, top int) ([]iothub.Device, error) {
	if top < 1 || top > maxListed {
		top = maxListed
	}
	rows, err := r.store.Identities(ctx, top)
	if err != nil {
		return nil, err
	}
	out := make([]iothub.Device, len(rows))
	for i, row := range rows {
		out[i] = r.showDevice(&store.Record{Identity: row.Identity})
	}
	return out, nil
}

// statistics counts the devices.
func (r *registry) statistics(ctx context.Context) (iothub.RegistryStatistics, error) {
	total, enabled, err := r.store.Count(ctx)
	return iothub.RegistryStatistics{Total: total, Enabled: enabled, Disabled: total - enabled}, err
}

func (r *registry) showDevice(rec *store.Record) iothub.Device {
	seen := r.seen(keyOf(rec))
	return iothub.Device{
		DeviceID: rec.DeviceID, GenerationID: rec.Generation, ETag: iothub.DeviceETag(rec.IdentityETag),
		ConnectionState: seen.state(), ConnectionStateUpdatedTime: iothub.Time{Time: seen.connectionUpdated},
		Status: rec.Status, StatusReason: rec.StatusReason, StatusUpdatedTime: iothub.Time{Time: rec.StatusUpdated},
		LastActivityTime: iothub.Time{Time: seen.lastActivity}, Authentication: rec.Authentication,
		Capabilities: iothub.Capabilities{IoTEdge: rec.IoTEdge}, DeviceScope: rec.DeviceScope, ParentScopes: rec.ParentScopes,
	}
}

func checkETag(ifMatch, current iothub.ETag) error {
	if !ifMatch.Matches(current) {
		return iothub.ErrPreconditionFailed.With("the etag is %s by now, not %s", current, ifMatch)
	}
	return nil
}

// identityOf reads what a request may set of an identity and fills in defaults.
func identityOf(d iothub.Device) (store.Identity, error) {
	if err := iothub.CheckDeviceID(d.DeviceID); err != nil {
		return store.Identity{}, iothub.ErrArgumentInvalid.With("%v", err)
	}
	status := cmp.Or(d.Status, iothub.StatusEnabled)
	if status != iothub.StatusEnabled && status != iothub.StatusDisabled {
		return store.Identity{}, iothub.ErrArgumentInvalid.With("status is %q; it must be enabled or disabled", d.Status)
	}
	if utf8.RuneCountInString(d.StatusReason) > maxStatusReason {
		return store.Identity{}, iothub.ErrArgumentInvalid.With("statusReason is longer than %d characters", maxStatusReason)
	}
	authentication, err := authenticationOf(d.Authentication)
	return store.Identity{
		DeviceID: d.DeviceID, Status: status, StatusReason: d.StatusReason, Authentication: authentication,
		IoTEdge: d.Capabilities.IoTEdge, DeviceScope: d.DeviceScope, ParentScopes: d.ParentScopes,
	}, err
}

// authenticationOf completes the authentication of a device: keys, or the
// thumbprints of X.509 as given, or neither. A selfSigned one without a
// thumbprint is accepted (measured on the real service).
func authenticationOf(a iothub.Authentication) (iothub.Authentication, error) {
	thumbprints := []*string{a.X509Thumbprint.Primary, a.X509Thumbprint.Secondary}
	if a.Type == "" {
		// Choice: a thumbprint without a type means selfSigned.
		a.Type = "sas"
		if thumbprints[0] != nil || thumbprints[1] != nil {
			a.Type = "selfSigned"
		}
	}
	switch a.Type {
	case "sas":
		keys, err := completeKeys(a.SymmetricKey)
		return iothub.Authentication{SymmetricKey: keys, Type: a.Type}, err
	case "selfSigned":
		for _, t := range thumbprints {
			if t != nil && !thumbprint.MatchString(*t) {
				return a, iothub.ErrArgumentInvalid.With("a thumbprint must be hexadecimal digits without separators")
			}
		}
		return iothub.Authentication{X509Thumbprint: a.X509Thumbprint, Type: a.Type}, nil
	case "certificateAuthority":
		return iothub.Authentication{Type: a.Type}, nil
	}
	return a, iothub.ErrArgumentInvalid.With("authentication type is %q; for a device it must be sas, selfSigned or certificateAuthority", a.Type)
}

// thumbprint is SHA-1 or SHA-256 in hexadecimal digits of either case.
var thumbprint = regexp.MustCompile(`^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$`)
