package localhub

import (
	"context"
	"strings"
	"sync"
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
	v, known := h.tokens.get(header)
	if !known || !h.unchanged(v.policy) {
		var err error
		if v, err = h.verify(ctx, header); err != nil {
			return caller{}, err
		}
		h.tokens.keep(header, v)
	}
	if err := v.policy.allows(right); err != nil {
		return caller{}, err
	}
	return caller{policy: v.policy.Name, expiry: v.token.Expiry}, h.checkToken(v.token, path)
}

// verify checks what of a token does not depend on the call: that a policy of
// this hub signed it, and for this hub.
func (h *Hub) verify(ctx context.Context, header string) (verified, error) {
	if header == "" {
		return verified{}, iothub.ErrUnauthorizedAccess.With("the Authorization header is missing")
	}
	if strings.HasPrefix(header, "Bearer ") {
		return verified{}, iothub.ErrUnauthorizedAccess.With("this hub knows no Microsoft Entra tokens: sign in with a shared access signature")
	}
	t, err := iothub.ParseToken(header)
	if err != nil {
		return verified{}, iothub.ErrUnauthorizedAccess.With("the Authorization header is %v", err)
	}
	if t.Policy == "" {
		return verified{}, iothub.ErrUnauthorizedAccess.With("the token names no policy (skn): service calls need a shared access policy")
	}
	p, err := h.signer(ctx, t)
	if err != nil {
		return verified{}, err
	}
	if !h.isOurHost(t.Host()) {
		return verified{}, iothub.ErrUnauthorizedAccess.With("the token was made for host %q, not for this hub", t.Host())
	}
	return verified{t, p}, nil
}

// verified is a token and the policy that signed it.
type verified struct {
	token  iothub.Token
	policy policy
}

// tokensBytes bounds the tokens kept, by estimate.
const tokensBytes = 1 << 20

// tokens keeps those that were verified last, by their exact text: most programs
// send one for an hour. Whether a token has expired and what it is good for is
// looked at for each call.
type tokens struct {
	mu   sync.Mutex
	last *recent[string, verified]
}

func newTokens() *tokens { return &tokens{last: newRecent[string, verified](tokensBytes)} }

func (t *tokens) get(header string) (verified, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last.get(header)
}

func (t *tokens) keep(header string, v verified) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last.put(header, v, 512+2*len(header)) // its parts are of the same text
}

// unchanged reports whether a policy still has the keys and rights that it had.
func (h *Hub) unchanged(p policy) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.policies[p.Name] == p
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
		var p policy
		if p, err = h.signer(ctx, t); err == nil {
			err = p.allows(deviceConnect)
		}
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

// signer is the policy that a token names, if one of its keys made the signature.
func (h *Hub) signer(ctx context.Context, t iothub.Token) (policy, error) {
	known, err := h.policiesWith(ctx, t.Policy)
	if err != nil {
		return policy{}, err
	}
	p, ok := known[t.Policy]
	switch {
	case !ok:
		return policy{}, iothub.ErrUnauthorizedAccess.With("this hub has no policy %q", t.Policy)
	case !t.Verify(p.Primary, p.Secondary):
		return policy{}, iothub.ErrUnauthorizedAccess.With("the signature was made with neither key of policy %s", t.Policy)
	}
	return p, nil
}

func (p policy) allows(right permission) error {
	if !p.Rights.has(right) {
		return iothub.ErrUnauthorizedAccess.With("policy %s lacks the permission this call needs", p.Name)
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
