package localhub

import (
	"context"
	"strings"
	"time"

	"twinboard/hubclient/iothub"
)

// caller is a service that proved it knows a key of a policy.
type caller struct {
	policy string
	expiry time.Time // of its token
}

// authorizeService checks the Authorization header of a service call: the
// signature, the expiry, the scope and the right of the policy. path is the
// decoded path without slashes around it, for example "twins/dev1". IoT Hub
// answers the same code to all of these; the text says which it was.
func (h *Hub) authorizeService(ctx context.Context, header, path string, right permission) (caller, error) {
	if header == "" {
		return caller{}, iothub.ErrUnauthorizedAccess.With("the Authorization header is missing")
	}
	if strings.HasPrefix(header, "Bearer ") {
		return caller{}, iothub.ErrUnauthorizedAccess.With("this hub knows no Microsoft Entra tokens: sign in with a shared access signature")
	}
	t, err := iothub.ParseToken(header)
	if err != nil {
		return caller{}, iothub.ErrUnauthorizedAccess.With("the Authorization header is %v", err)
	}
	if t.Policy == "" {
		return caller{}, iothub.ErrUnauthorizedAccess.With("the token names no policy (skn): service calls need a shared access policy")
	}
	if err := h.checkPolicy(ctx, t, right); err != nil {
		return caller{}, err
	}
	if !h.isOurHost(t.Host()) {
		return caller{}, iothub.ErrUnauthorizedAccess.With("the token was made for host %q, not for this hub", t.Host())
	}
	return caller{policy: t.Policy, expiry: t.Expiry}, h.checkToken(t, path)
}

// authorizeDevice checks the password of a CONNECT: a token signed with a key
// of the device or module, or with one of a policy that may act for any device.
// It returns the time the token expires. Any host name will do in the token, as
// in the user name: a device may know the hub under a name of its own and reach
// it through GatewayHostName. That is a choice; the keys are this hub's alone,
// so nothing is gained by a name.
func (h *Hub) authorizeDevice(ctx context.Context, key twinKey, password string) (time.Time, error) {
	d, err := h.registry.record(ctx, twinKey{DeviceID: key.DeviceID})
	if err != nil {
		return time.Time{}, err
	}
	who, path := d, "devices/"+key.DeviceID
	if key.ModuleID != "" {
		path += "/modules/" + key.ModuleID
		if who, err = h.registry.record(ctx, key); err != nil {
			return time.Time{}, err
		}
	}
	t, err := iothub.ParseToken(password)
	if err != nil {
		return time.Time{}, iothub.ErrUnauthorized.With("the password is %v", err)
	}
	if t.Policy != "" {
		err = h.checkPolicy(ctx, t, deviceConnect)
	} else if k := who.Authentication.SymmetricKey; !t.Verify(k.Primary, k.Secondary) {
		err = iothub.ErrUnauthorized.With("the signature was made with neither key of %s", path)
	}
	if err == nil {
		err = h.checkToken(t, path)
	}
	if err == nil && d.Status == iothub.StatusDisabled {
		err = iothub.ErrDeviceDisabled.With("device %s is disabled", key.DeviceID)
	}
	return t.Expiry, err
}

func (h *Hub) checkPolicy(ctx context.Context, t iothub.Token, right permission) error {
	known, err := h.policiesWith(ctx, t.Policy)
	if err != nil {
		return err
	}
	p, ok := known[t.Policy]
	switch {
	case !ok:
		return iothub.ErrUnauthorizedAccess.With("this hub has no policy %q", t.Policy)
	case !t.Verify(p.Primary, p.Secondary):
		return iothub.ErrUnauthorizedAccess.With("the signature was made with neither key of policy %s", t.Policy)
	case !p.Rights.has(right):
		return iothub.ErrUnauthorizedAccess.With("policy %s lacks the permission this call needs", t.Policy)
	}
	return nil
}

// checkToken checks what is left once the signature holds. The text of an
// expired token carries both clocks: skew is the usual reason.
func (h *Hub) checkToken(t iothub.Token, path string) error {
	now := h.now()
	switch {
	case t.Expired(now):
		return iothub.ErrUnauthorizedAccess.With("the token expired at %s; the clock of this hub says %s",
			t.Expiry.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case !t.Covers(path):
		return iothub.ErrUnauthorizedAccess.With("the token's resource does not cover /%s", path)
	}
	return nil
}
