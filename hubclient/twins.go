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
	return c.twin(ctx, call{method: http.MethodGet, safe: true}, id)
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
	return c.writeTwin(ctx, http.MethodPatch, id, p, o)
}

// ReplaceTwin puts the patch's sections in place of tags and desired properties
// and returns the twin after it. It is sent at most once.
func (c *Client) ReplaceTwin(ctx context.Context, id string, p iothub.TwinPatch, o *UpdateTwinOptions) (*iothub.Twin, error) {
	return c.writeTwin(ctx, http.MethodPut, id, p, o)
}

func (c *Client) writeTwin(ctx context.Context, method, id string, p iothub.TwinPatch, o *UpdateTwinOptions) (*iothub.Twin, error) {
	k := call{method: method, body: p}
	if o != nil {
		k.header = ifMatch(o.IfMatch)
	}
	return c.twin(ctx, k, id)
}

func (c *Client) twin(ctx context.Context, k call, id string) (*iothub.Twin, error) {
	k.path = "/twins/" + escapeID(id)
	t, err := receive[iothub.Twin](ctx, c, k)
	if err == nil && t.DeviceID == "" {
		err = c.notAHub(errNoDeviceID)
	}
	if err != nil {
		return nil, fmt.Errorf("twin %s: %w", id, err)
	}
	return &t, nil
}
