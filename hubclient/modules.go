package hubclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"twinboard/hubclient/iothub"
)

var errNoModuleID = errors.New("the answer has no moduleId")

func modulePath(device, module string) string {
	return devicePath(device) + "/modules/" + escapeID(module)
}

// moduleIdentity is what a service may write of a module identity, which has no
// status of its own. Read-only members of iothub.Module are not sent.
type moduleIdentity struct {
	DeviceID       string          `json:"deviceId"`
	ModuleID       string          `json:"moduleId"`
	ManagedBy      string          `json:"managedBy,omitempty"`
	Authentication *authentication `json:"authentication,omitempty"`
}

func moduleIdentityOf(m iothub.Module) moduleIdentity {
	return moduleIdentity{m.DeviceID, m.ModuleID, m.ManagedBy, authenticationOf(m.Authentication)}
}

// ListModules reads the module identities of a device, at most
// iothub.MaxModules.
func (c *Client) ListModules(ctx context.Context, device string) ([]iothub.Module, error) {
	list, err := receive[[]iothub.Module](ctx, c, call{method: http.MethodGet, path: devicePath(device) + "/modules", safe: true})
	if err != nil {
		return nil, fmt.Errorf("modules of device %s: %w", device, err)
	}
	return list, nil
}

// CreateModule registers a module identity; a taken id is
// iothub.ErrModuleAlreadyExists. Without keys the hub makes them, and the answer
// carries them.
func (c *Client) CreateModule(ctx context.Context, m iothub.Module) (iothub.Module, error) {
	return c.module(ctx, call{method: http.MethodPut, body: moduleIdentityOf(m)}, m.DeviceID, m.ModuleID)
}

// GetModule reads a module identity with its keys.
func (c *Client) GetModule(ctx context.Context, device, module string) (iothub.Module, error) {
	return c.module(ctx, call{method: http.MethodGet, safe: true}, device, module)
}

// UpdateModuleOptions are the options of UpdateModule.
type UpdateModuleOptions struct {
	IfMatch iothub.ETag // the module's own ETag by default, or Any if it has none
}

// UpdateModule replaces a module identity: what is left out of the module is
// reset, keys are made anew. A stale etag is iothub.ErrPreconditionFailed, a
// module that is not there iothub.ErrModuleNotFound. IoT Hub takes a write
// without a condition for a creation, so there always is one.
func (c *Client) UpdateModule(ctx context.Context, m iothub.Module, o *UpdateModuleOptions) (iothub.Module, error) {
	condition := cmp.Or(m.ETag, iothub.Any)
	if o != nil {
		condition = cmp.Or(o.IfMatch, condition)
	}
	return c.module(ctx, call{
		method: http.MethodPut, body: moduleIdentityOf(m), header: ifMatch(condition),
	}, m.DeviceID, m.ModuleID)
}

// DeleteModuleOptions are the options of DeleteModule.
type DeleteModuleOptions struct {
	IfMatch iothub.ETag // Any by default: IoT Hub insists on a condition
}

// DeleteModule removes a module identity with its twin.
func (c *Client) DeleteModule(ctx context.Context, device, module string, o *DeleteModuleOptions) error {
	condition := iothub.Any
	if o != nil && o.IfMatch != "" {
		condition = o.IfMatch
	}
	_, err := c.send(ctx, call{method: http.MethodDelete, path: modulePath(device, module), header: ifMatch(condition)})
	if err != nil {
		return fmt.Errorf("%s: %w", subject(device, module), err)
	}
	return nil
}

func (c *Client) module(ctx context.Context, k call, device, module string) (iothub.Module, error) {
	k.path = modulePath(device, module)
	m, err := receive[iothub.Module](ctx, c, k)
	if err == nil && m.ModuleID == "" {
		err = c.notAHub(errNoModuleID)
	}
	if err != nil {
		return iothub.Module{}, fmt.Errorf("%s: %w", subject(device, module), err)
	}
	return m, nil
}
