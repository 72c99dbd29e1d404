package web

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"twinboard/devicesim"
	"twinboard/hubclient/iothub"
)

func TestSecretsAreOnNoPage(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	b.known(1)
	d, err := b.client.GetDevice(t.Context(), "pump-07")
	if err != nil {
		t.Fatal(err)
	}
	keys := d.Authentication.SymmetricKey
	for _, path := range []string{
		"/h/local/devices", "/h/local/devices?format=json", "/h/local/devices?format=csv", "/h/local/devices/pump-07",
		"/h/local/devices/pump-07?view=identity", "/h/local/devices/pump-07?view=identity&format=json",
		"/h/local/devices/pump-07?view=identity&added=1", "/h/local/devices/pump-07/delete",
	} {
		status, body := b.body(http.MethodGet, path, nil)
		if status != http.StatusOK || strings.Contains(body, keys.Primary) || strings.Contains(body, keys.Secondary) {
			t.Errorf("%s: status %d, or a key is on it", path, status)
		}
	}
	secret := func(what string) string {
		status, body := b.body(http.MethodPost, "/h/local/devices/pump-07/secret?what="+what, nil)
		if status != http.StatusOK {
			t.Fatalf("%s: status %d", what, status)
		}
		return body
	}
	if secret("primary-key") != keys.Primary || secret("secondary-key") != keys.Secondary {
		t.Error("not the device's keys")
	}
	cs, err := iothub.ParseDeviceConnectionString(secret("primary-connection"))
	if err != nil || cs.DeviceID != "pump-07" || cs.SharedAccessKey != keys.Primary || cs.HostName != b.hub.DeviceHostName() {
		t.Errorf("connection string %s, %v", cs.Redacted(), err)
	}
	if status, _ := b.body(http.MethodGet, "/h/local/devices/pump-07/secret?what=primary-key", nil); status != http.StatusMethodNotAllowed {
		t.Errorf("a link to a key answers %d", status)
	}
	status, _ := b.body(http.MethodPost, "/h/local/devices/pump-07/secret?what=primary-key", map[string]string{"Sec-Fetch-Site": "cross-site"})
	if status != http.StatusForbidden {
		t.Errorf("another site's request for a key answers %d", status)
	}
}

func TestDeviceDelete(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	form := b.get("/h/local/devices/pump-07/delete").form("main form")
	form.Set("confirm", "pump-08")
	form.press("").wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=errors]", "The name typed is not pump-07.")

	d, err := b.client.GetDevice(t.Context(), "pump-07")
	if err != nil {
		t.Fatal(err)
	}
	d.StatusReason = "changed by another"
	if _, err := b.client.UpdateDevice(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	form.Set("confirm", "pump-07")
	stale := form.press("").wantStatus(http.StatusPreconditionFailed)
	stale.wantPart("[data-testid=error]", "Nothing was overwritten.")
	if _, err := b.client.GetDevice(t.Context(), "pump-07"); err != nil {
		t.Fatal("an old page deleted the device:", err)
	}
	again := b.get("/h/local/devices/pump-07/delete").form("main form")
	again.Set("confirm", "pump-07")
	again.press("").wantStatus(http.StatusOK).wantPart("#flashes", "pump-07 was deleted.")
	b.get("/h/local/devices/pump-07?view=identity").wantStatus(http.StatusNotFound)
	if p := b.post("/h/local/devices/pump-07/delete", map[string]string{"confirm": "pump-07"}); p.status != http.StatusBadRequest {
		t.Errorf("a delete without an etag: status %d", p.status)
	}
}

func TestDeleteEndsTheSimulatedDevice(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	sim := devicesim.New(devicesim.Options{MQTTAddr: b.hub.MQTTAddr(), RootCAs: b.hub.RootCAs()})
	t.Cleanup(func() {
		if err := sim.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.server.hubs[0].Sim = sim
	d, err := b.client.GetDevice(t.Context(), "pump-07")
	if err != nil {
		t.Fatal(err)
	}
	cs, err := iothub.ParseDeviceConnectionString(connectionString(b.server.hubs[0], identity{Device: d}, d.Authentication.SymmetricKey.Primary))
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(t.Context(), devicesim.Spec{ConnectionString: cs}); err != nil {
		t.Fatal(err)
	}
	form := b.get("/h/local/devices/pump-07/delete").form("main form")
	form.Set("confirm", "pump-07")
	form.press("").wantStatus(http.StatusOK)
	if left := sim.Devices(); len(left) != 0 {
		t.Errorf("%s still tries to connect", left[0].DeviceID)
	}
}

func TestDeviceDisableAndEnable(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"keep":1}`, `{}`)
	before, err := b.client.GetDevice(t.Context(), "pump-07")
	if err != nil {
		t.Fatal(err)
	}
	form := b.get("/h/local/devices/pump-07/disable").form("main form")
	form.press("").wantStatus(http.StatusUnprocessableEntity)
	form.Set("confirm", "pump-07")
	p := form.press("").wantStatus(http.StatusOK)
	p.want("[data-testid=identity-enabled]", "Disabled")
	after, err := b.client.GetDevice(t.Context(), "pump-07")
	if err != nil || after.Status != iothub.StatusDisabled || after.Authentication.SymmetricKey != before.Authentication.SymmetricKey {
		t.Fatalf("%v, %s; the keys are the same: %v", err, after.Status, after.Authentication == before.Authentication)
	}
	enable := p.form("[data-testid=danger] form")
	enable.press("").wantStatus(http.StatusOK).want("[data-testid=identity-enabled]", "Enabled")
	wantDocument(t, "tags", b.twin("pump-07").Tags, `{"keep":1}`)
}

func TestIdentityLive(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	b.known(1)
	p := b.get("/h/local/devices/pump-07?view=identity")
	tab := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	b.connect("pump-07")
	tab.waitFor(`id="identity-state"`, `data-connection="online"`)
	if err := b.client.DeleteDevice(t.Context(), "pump-07", nil); err != nil {
		t.Fatal(err)
	}
	tab.waitFor(`id="identity-state"`, "This device has been deleted.")
}
