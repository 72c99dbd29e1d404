package hubclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub"
)

// startHub runs a real hub and returns a client of it with a policy's key.
func startHub(t *testing.T) func(policy string) *Client {
	t.Helper()
	hub, err := localhub.New(localhub.Options{Data: t.TempDir(), HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := hub.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return func(policy string) *Client {
		t.Helper()
		cs, err := hub.ConnectionString(policy)
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(cs, &Options{RootCAs: hub.RootCAs()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
}

// TestTutorial does what the tutorial's service app does, on a real hub.
func TestTutorial(t *testing.T) {
	t.Parallel()
	as := startHub(t)
	c := as("iothubowner")
	d, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: "100%a#b?c"})
	if err != nil || d.Authentication.SymmetricKey.Primary == "" || d.ETag == "" {
		t.Fatal(d, err)
	}
	id := d.DeviceID
	if _, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: id}); !errors.Is(err, iothub.ErrDeviceAlreadyExists) {
		t.Errorf("created twice: %v", err)
	}
	twin, err := c.GetTwin(t.Context(), id)
	if err != nil || twin.DeviceID != id {
		t.Fatal(twin, err)
	}
	patch := iothub.TwinPatch{
		Tags:    iothub.Document{"location": map[string]any{"region": "US", "plant": "Redmond43"}},
		Desired: iothub.Document{"power_level": json.Number("1")},
	}
	stream, err := as("service").Changes(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Next(); !errors.Is(err, ErrChangeFeedReset) {
		t.Fatal(err)
	}
	after, err := as("serviceAndRegistryRead").UpdateTwin(t.Context(), id, patch, &UpdateTwinOptions{IfMatch: twin.ETag})
	if err != nil || after.ETag == twin.ETag || !iothub.Equal(map[string]any(after.Tags), map[string]any(patch.Tags)) {
		t.Fatal(after, err)
	}
	if _, err := c.UpdateTwin(t.Context(), id, patch, &UpdateTwinOptions{IfMatch: twin.ETag}); !errors.Is(err, iothub.ErrPreconditionFailed) {
		t.Errorf("stale etag: %v", err)
	}
	for _, kind := range []iothub.ChangeKind{iothub.ChangeTags, iothub.ChangeDesired} {
		change, err := stream.Next()
		if err != nil || change.Kind != kind || change.DeviceID != id || change.ETag != after.ETag || change.Policy != "serviceAndRegistryRead" {
			t.Errorf("%+v %v", change, err)
		}
	}
	page, err := c.QueryPage(t.Context(), "SELECT * FROM devices WHERE tags.location.plant = 'Redmond43'", "", 0)
	if err != nil || page.Type != iothub.ItemTwin || len(page.Rows) != 1 || page.Continuation != "" {
		t.Errorf("%+v %v", page, err)
	}
	replaced, err := c.ReplaceTwin(t.Context(), id, iothub.TwinPatch{Tags: iothub.Document{"k": "v"}}, &UpdateTwinOptions{IfMatch: iothub.Any})
	if err != nil || len(replaced.Tags) != 1 || len(replaced.Properties.Desired.Value) != 0 {
		t.Errorf("%+v %v", replaced, err)
	}
	d.Status, d.StatusReason = iothub.StatusDisabled, "lost"
	changed, err := c.UpdateDevice(t.Context(), d, nil)
	if err != nil || changed.Status != iothub.StatusDisabled || changed.Authentication.SymmetricKey != d.Authentication.SymmetricKey {
		t.Errorf("%+v %v", changed, err)
	}
	if _, err := c.UpdateDevice(t.Context(), d, nil); !errors.Is(err, iothub.ErrPreconditionFailed) {
		t.Errorf("stale identity: %v", err)
	}
	if s, err := c.Statistics(t.Context()); err != nil || s != (iothub.RegistryStatistics{Total: 1, Disabled: 1}) {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := c.ServiceStatistics(t.Context()); err != nil || s.Connected != 0 {
		t.Errorf("%+v %v", s, err)
	}
	if err := c.DeleteDevice(t.Context(), id, &DeleteDeviceOptions{IfMatch: d.ETag}); !errors.Is(err, iothub.ErrPreconditionFailed) {
		t.Errorf("stale delete: %v", err)
	}
	if err := c.DeleteDevice(t.Context(), id, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.GetTwin(t.Context(), id); !errors.Is(err, iothub.ErrDeviceNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

// TestHubPages pages through more devices than a page holds, while one is added.
func TestHubPages(t *testing.T) {
	t.Parallel()
	c := startHub(t)("iothubowner")
	want := map[string]bool{}
	for i := range 25 {
		id := fmt.Sprintf("pump-%02d", i)
		want[id] = true
		if _, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
	}
	pager := c.NewQueryPager("SELECT deviceId FROM devices WHERE STARTSWITH(deviceId, 'pump')", &QueryOptions{PageSize: 10})
	pages := 0
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range page.Rows {
			var row struct{ DeviceID string }
			if err := json.Unmarshal(raw, &row); err != nil || !want[row.DeviceID] {
				t.Errorf("row %s: %v", raw, err)
			}
			delete(want, row.DeviceID)
		}
		if pages++; pages == 1 {
			if _, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: "other"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if pages != 3 || len(want) != 0 {
		t.Errorf("%d pages, missing %v", pages, want)
	}
	if devices, err := c.ListDevices(t.Context(), 5); err != nil || len(devices) != 5 {
		t.Error(len(devices), err)
	}
}

// TestHubRefuses: a mistake in a query comes with its place, a right that is
// missing and a wrong key with their names.
func TestHubRefuses(t *testing.T) {
	t.Parallel()
	as := startHub(t)
	_, err := as("service").QueryPage(t.Context(), "SELECT *\nFROM devices WHERE tags.group = 'a'", "", 0)
	var mistake *QueryError
	if !errors.As(err, &mistake) || !errors.Is(err, iothub.ErrArgumentInvalid) {
		t.Fatal(err)
	}
	if mistake.Line != 2 || mistake.Column != 25 || mistake.Length != 5 || mistake.Message == "" || mistake.Code == "" {
		t.Errorf("%+v", mistake)
	}
	if _, err := as("service").GetDevice(t.Context(), "d"); !errors.Is(err, iothub.ErrUnauthorizedAccess) {
		t.Errorf("without the right: %v", err)
	}
	c := as("service")
	cs := testString(c.Host())
	wrong, err := New(cs, &Options{HTTPClient: c.http})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.GetTwin(t.Context(), "d"); !errors.Is(err, iothub.ErrUnauthorizedAccess) {
		t.Errorf("with another key: %v", err)
	}
	ahead, err := New(cs, &Options{HTTPClient: c.http, Now: func() time.Time { return time.Now().Add(-3 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	var skewed *ConnectionError
	if _, err := ahead.GetTwin(t.Context(), "d"); !errors.As(err, &skewed) || skewed.Kind != ClockSkew || skewed.Skew.Round(time.Minute) != -3*time.Hour {
		t.Errorf("with a clock that is slow: %v", err)
	}
}
