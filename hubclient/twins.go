package hubclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"twinboard/hubclient/iothub"
)

var errNoDeviceID = errors.New("the answer has no deviceId")

// GetTwin reads a device twin. Unlike a query's rows it is always current.
func (c *Client) GetTwin(ctx context.Context, id string) (*iothub.Twin, error) {
	return c.GetModuleTwin(ctx, id, "")
}

// GetModuleTwin is GetTwin for a module; with module "" it is the device's own
// twin.
func (c *Client) GetModuleTwin(ctx context.Context, device, module string) (*iothub.Twin, error) {
	return c.twin(ctx, call{method: http.MethodGet, safe: true}, device, module)
}

// UpdateTwinOptions are the options of UpdateTwin and ReplaceTwin.
type UpdateTwinOptions struct {
	// IfMatch is the etag of the twin the change was made for; without it the
	// write is unconditional.
	IfMatch iothub.ETag
}

// UpdateTwin merges a patch into tags and desired properties and returns the
// twin after it. A stale IfMatch is iothub.ErrPreconditionFailed. It is sent at
// most once.
func (c *Client) UpdateTwin(ctx context.Context, id string, p iothub.TwinPatch, o *UpdateTwinOptions) (*iothub.Twin, error) {
	return c.UpdateModuleTwin(ctx, id, "", p, o)
}

// UpdateModuleTwin is UpdateTwin for a module; with module "" it is the device's
// own twin.
func (c *Client) UpdateModuleTwin(ctx context.Context, device, module string, p iothub.TwinPatch, o *UpdateTwinOptions) (*iothub.Twin, error) {
	return c.writeTwin(ctx, http.MethodPatch, device, module, p, o)
}

// ReplaceTwin puts the patch's sections in place of tags and desired properties
// and returns the twin after it. It is sent at most once.
func (c *Client) ReplaceTwin(ctx context.Context, id string, p iothub.TwinPatch, o *UpdateTwinOptions) (*iothub.Twin, error) {
	return c.writeTwin(ctx, http.MethodPut, id, "", p, o)
}

func (c *Client) writeTwin(ctx context.Context, method, device, module string, p iothub.TwinPatch, o *UpdateTwinOptions) (*iothub.Twin, error) {
	k := call{method: method, body: p}
	if o != nil {
		k.header = ifMatch(o.IfMatch)
	}
	return c.twin(ctx, k, device, module)
}

func (c *Client) twin(ctx context.Context, k call, device, module string) (*iothub.Twin, error) {
	k.path = twinPath(device, module)
	t, err := receive[iothub.Twin](ctx, c, k)
	if err == nil && t.DeviceID == "" {
		err = c.notAHub(errNoDeviceID)
	}
	if err != nil {
		return nil, fmt.Errorf("twin of %s: %w", subject(device, module), err)
	}
	return &t, nil
}

// twinPath is where the twin of a device or module stands, and below it its
// direct methods.
func twinPath(device, module string) string {
	path := "/twins/" + escapeID(device)
	if module != "" {
		path += "/modules/" + escapeID(module)
	}
	return path
}

// subject names a device or module in an error.
func subject(device, module string) string {
	if module == "" {
		return "device " + device
	}
	return "module " + module + " of device " + device
}
