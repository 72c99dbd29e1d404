package hubclient

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"twinboard/hubclient/iothub"
)

// identity is what a service may write of a device identity. Read-only members
// of iothub.Device are not sent.
type identity struct {
	DeviceID       string              `json:"deviceId"`
	Status         string              `json:"status,omitempty"`
	StatusReason   string              `json:"statusReason,omitempty"`
	Authentication *authentication     `json:"authentication,omitempty"`
	Capabilities   iothub.Capabilities `json:"capabilities"`
	DeviceScope    string              `json:"deviceScope,omitempty"`
	ParentScopes   []string            `json:"parentScopes,omitempty"`
}

type authentication struct {
	Type           string                 `json:"type,omitempty"`
	SymmetricKey   iothub.SymmetricKey    `json:"symmetricKey"`
	X509Thumbprint *iothub.X509Thumbprint `json:"x509Thumbprint,omitempty"`
}

func identityOf(d iothub.Device) identity {
	return identity{
		DeviceID: d.DeviceID, Status: d.Status, StatusReason: d.StatusReason, Authentication: authenticationOf(d.Authentication),
		Capabilities: d.Capabilities, DeviceScope: d.DeviceScope, ParentScopes: d.ParentScopes,
	}
}

// authenticationOf is nil where the hub is to make the keys.
func authenticationOf(a iothub.Authentication) *authentication {
	auth := &authentication{Type: a.Type, SymmetricKey: a.SymmetricKey}
	if t := a.X509Thumbprint; t.Primary != nil || t.Secondary != nil {
		auth.X509Thumbprint = &t
	}
	if *auth == (authentication{}) {
		return nil
	}
	return auth
}

func devicePath(id string) string { return "/devices/" + escapeID(id) }

// CreateDevice registers an identity; a taken id is iothub.ErrDeviceAlreadyExists.
// Without keys the hub makes them, and the answer carries them.
func (c *Client) CreateDevice(ctx context.Context, d iothub.Device) (iothub.Device, error) {
	return c.device(ctx, call{method: http.MethodPut, path: devicePath(d.DeviceID), body: identityOf(d)}, d.DeviceID)
}

// GetDevice reads an identity with its keys.
func (c *Client) GetDevice(ctx context.Context, id string) (iothub.Device, error) {
	return c.device(ctx, call{method: http.MethodGet, path: devicePath(id), safe: true}, id)
}

// ListDevices reads at most top identities, 1 to 1000. The service API has no
// pages here; a query does.
func (c *Client) ListDevices(ctx context.Context, top int) ([]iothub.Device, error) {
	query := url.Values{"top": {strconv.Itoa(top)}}
	devices, err := receive[[]iothub.Device](ctx, c, call{method: http.MethodGet, path: "/devices", query: query, safe: true})
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	return devices, nil
}

// UpdateDeviceOptions are the options of UpdateDevice.
type UpdateDeviceOptions struct {
	IfMatch iothub.ETag // the device's own ETag by default, or Any if it has none
}

// UpdateDevice replaces an identity: what is left out of the device is reset,
// keys are made anew. A stale etag is iothub.ErrPreconditionFailed. IoT Hub
// takes a write without a condition for a creation, so there always is one.
func (c *Client) UpdateDevice(ctx context.Context, d iothub.Device, o *UpdateDeviceOptions) (iothub.Device, error) {
	condition := cmp.Or(d.ETag, iothub.Any)
	if o != nil {
		condition = cmp.Or(o.IfMatch, condition)
	}
	return c.device(ctx, call{
		method: http.MethodPut, path: devicePath(d.DeviceID), body: identityOf(d), header: ifMatch(condition),
	}, d.DeviceID)
}

// DeleteDeviceOptions are the options of DeleteDevice.
type DeleteDeviceOptions struct {
	IfMatch iothub.ETag // Any by default: IoT Hub insists on a condition
}

// DeleteDevice removes an identity with its twin and modules.
func (c *Client) DeleteDevice(ctx context.Context, id string, o *DeleteDeviceOptions) error {
	condition := iothub.Any
	if o != nil && o.IfMatch != "" {
		condition = o.IfMatch
	}
	_, err := c.send(ctx, call{method: http.MethodDelete, path: devicePath(id), header: ifMatch(condition)})
	if err != nil {
		return fmt.Errorf("device %s: %w", id, err)
	}
	return nil
}

func (c *Client) device(ctx context.Context, k call, id string) (iothub.Device, error) {
	d, err := receive[iothub.Device](ctx, c, k)
	if err == nil && d.DeviceID == "" {
		err = c.notAHub(errNoDeviceID)
	}
	if err != nil {
		return iothub.Device{}, fmt.Errorf("device %s: %w", id, err)
	}
	return d, nil
}
