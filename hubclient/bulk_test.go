package hubclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"twinboard/hubclient/iothub"
)

// TestBulk registers, changes and deletes devices of a real hub at once.
func TestBulk(t *testing.T) {
	t.Parallel()
	c := startHub(t)("iothubowner")
	key := iothub.SymmetricKey{Primary: testKey, Secondary: testKey}
	made := []BulkItem{
		{Mode: iothub.ImportCreate, Device: iothub.Device{
			DeviceID: "a%#?'", Status: iothub.StatusDisabled, Authentication: iothub.Authentication{Type: "sas", SymmetricKey: key},
		}, Tags: iothub.Document{"site": "oslo"}, Desired: iothub.Document{"n": json.Number("1.0")}},
		{Mode: iothub.ImportCreate, Device: iothub.Device{DeviceID: "b"}},
	}
	result, err := c.Bulk(t.Context(), made)
	if err != nil || !result.Successful {
		t.Fatalf("%+v %v", result, err)
	}
	twin, err := c.GetTwin(t.Context(), "a%#?'")
	if err != nil || twin.Tags["site"] != "oslo" || twin.Properties.Desired.Value["n"] != json.Number("1.0") {
		t.Errorf("%+v %v", twin, err)
	}
	a, err := c.GetDevice(t.Context(), "a%#?'")
	if err != nil || a.Status != iothub.StatusDisabled || a.Authentication.SymmetricKey != key || twin.DeviceETag != a.ETag {
		t.Errorf("%+v %v", a, err)
	}

	// What could be done is done; the rest is named.
	again := append(slices.Clip(made), BulkItem{Mode: iothub.ImportCreate, Device: iothub.Device{DeviceID: "c"}})
	result, err = c.Bulk(t.Context(), again)
	if err != nil || result.Successful || len(result.Errors) != 2 || result.Errors[0].ErrorCode != iothub.ErrDeviceAlreadyExists.Code {
		t.Errorf("%+v %v", result, err)
	}
	if _, err := c.GetDevice(t.Context(), "c"); err != nil {
		t.Error(err)
	}

	enabled := a
	enabled.Status = iothub.StatusEnabled
	stale := enabled
	stale.ETag = "stale"
	for _, d := range []iothub.Device{stale, enabled} {
		result, err = c.Bulk(t.Context(), []BulkItem{{Mode: iothub.ImportUpdateIfMatch, Device: d}})
		if err != nil || result.Successful != (d.ETag != "stale") {
			t.Errorf("etag %s: %+v %v", d.ETag, result, err)
		}
	}
	after, err := c.GetDevice(t.Context(), a.DeviceID)
	if err != nil || after.Status != iothub.StatusEnabled || after.Authentication.SymmetricKey != key {
		t.Errorf("%+v %v", after, err)
	}
	if twin, err = c.GetTwin(t.Context(), a.DeviceID); err != nil || twin.Tags["site"] != "oslo" {
		t.Errorf("the twin stays: %+v %v", twin, err)
	}
	result, err = c.Bulk(t.Context(), []BulkItem{
		{Mode: iothub.ImportDeleteIfMatch, Device: a}, {Mode: iothub.ImportDelete, Device: iothub.Device{DeviceID: "b"}},
	})
	if err != nil || len(result.Errors) != 1 || result.Errors[0].DeviceID != a.DeviceID {
		t.Errorf("%+v %v", result, err)
	}
}

// TestBulkRefused: a refusal of the whole request is no result.
func TestBulkRefused(t *testing.T) {
	t.Parallel()
	as := startHub(t)
	items := make([]BulkItem, iothub.MaxBulk+1)
	for i := range items {
		items[i] = BulkItem{Mode: iothub.ImportCreate, Device: iothub.Device{DeviceID: fmt.Sprint("d", i)}}
	}
	var refused *iothub.Error
	if _, err := as("iothubowner").Bulk(t.Context(), items); !errors.As(err, &refused) || refused.Status != 400 {
		t.Errorf("too many: %v", err)
	}
	if _, err := as("registryRead").Bulk(t.Context(), items[:1]); !errors.Is(err, iothub.ErrUnauthorizedAccess) && !errors.Is(err, iothub.ErrUnauthorized) {
		t.Errorf("without the right: %v", err)
	}
}
