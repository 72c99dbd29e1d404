package hubclient

import (
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
	body := struct {
		DeviceID       string          `json:"deviceId"`
		ModuleID       string          `json:"moduleId"`
		ManagedBy      string          `json:"managedBy,omitempty"`
		Authentication *authentication `json:"authentication,omitempty"`
	}{m.DeviceID, m.ModuleID, m.ManagedBy, authenticationOf(m.Authentication)}
	return c.module(ctx, call{method: http.MethodPut, body: body}, m.DeviceID, m.ModuleID)
}

// GetModule reads a module identity with its keys.
func (c *Client) GetModule(ctx context.Context, device, module string) (iothub.Module, error) {
	return c.module(ctx, call{method: http.MethodGet, safe: true}, device, module)
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
