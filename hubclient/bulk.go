package hubclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"twinboard/hubclient/iothub"
)

// BulkItem is what a bulk request does to one device.
type BulkItem struct {
	Mode iothub.ImportMode
	// Device is the identity as it shall be. For a delete its id is enough; the
	// modes with IfMatchETag compare its ETag.
	Device iothub.Device
	// Tags and Desired replace the twin's; nil leaves them.
	Tags, Desired iothub.Document
}

// bulkElement is a BulkItem on the wire. Its id and etag have other names than
// those of an identity.
type bulkElement struct {
	ID             string               `json:"id"`
	ETag           iothub.ETag          `json:"eTag,omitempty"`
	ImportMode     iothub.ImportMode    `json:"importMode"`
	Status         string               `json:"status,omitempty"`
	StatusReason   string               `json:"statusReason,omitempty"`
	Authentication *authentication      `json:"authentication,omitempty"`
	Capabilities   *iothub.Capabilities `json:"capabilities,omitempty"`
	DeviceScope    string               `json:"deviceScope,omitempty"`
	ParentScopes   []string             `json:"parentScopes,omitempty"`
	Tags           iothub.Document      `json:"tags,omitempty"`
	Properties     *bulkProperties      `json:"properties,omitempty"`
}

type bulkProperties struct {
	Desired iothub.Document `json:"desired"`
}

func (i BulkItem) element() bulkElement {
	d := identityOf(i.Device)
	e := bulkElement{ID: d.DeviceID, ETag: i.Device.ETag, ImportMode: i.Mode}
	if i.Mode == iothub.ImportDelete || i.Mode == iothub.ImportDeleteIfMatch {
		return e
	}
	e.Status, e.StatusReason, e.Authentication, e.Tags = d.Status, d.StatusReason, d.Authentication, i.Tags
	e.Capabilities, e.DeviceScope, e.ParentScopes = &d.Capabilities, d.DeviceScope, d.ParentScopes
	if i.Desired != nil {
		e.Properties = &bulkProperties{i.Desired}
	}
	return e
}

// Bulk does at most iothub.MaxBulk operations in one request, each device once.
// The hub does what it can: Errors of the result name the devices that it left
// as they are. It is sent at most once; each item counts against the hub's
// throttle.
func (c *Client) Bulk(ctx context.Context, items []BulkItem) (iothub.BulkResult, error) {
	body := make([]bulkElement, len(items))
	for i, item := range items {
		body[i] = item.element()
	}
	result, err := c.bulk(ctx, call{method: http.MethodPost, path: "/devices", body: body})
	if err != nil {
		return result, fmt.Errorf("bulk of %d devices: %w", len(items), err)
	}
	return result, nil
}

// bulk also takes the answer 400 for a result, when it names devices.
func (c *Client) bulk(ctx context.Context, k call) (result iothub.BulkResult, err error) {
	resp, err := c.exchange(ctx, k)
	if err != nil {
		return result, err
	}
	text, err := runtime.Payload(resp)
	if err != nil {
		return result, c.connectionError(ctx, err)
	}
	decoded := json.Unmarshal(text, &result)
	switch resp.StatusCode {
	case http.StatusOK:
		if decoded != nil {
			return result, c.notAHub(fmt.Errorf("%s %s answered what is no IoT Hub answer: %w", k.method, k.path, decoded))
		}
		return result, nil
	case http.StatusBadRequest:
		if decoded == nil && len(result.Errors) > 0 {
			return result, nil
		}
	}
	return iothub.BulkResult{}, c.refusal(resp)
}
