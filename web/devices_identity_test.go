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

func TestKeysChange(t *testing.T) {
	b := newBoard(t)
	b.device("100%", `{"keep":1}`, `{}`)
	path := b.server.hubs[0].devicePath("100%")
	keys := func() iothub.SymmetricKey {
		d, err := b.client.GetDevice(t.Context(), "100%")
		if err != nil {
			t.Fatal(err)
		}
		return d.Authentication.SymmetricKey
	}
	first := keys()
	form := b.get(path + "/keys/primary").wantStatus(http.StatusOK).form("main form")
	form.press("").wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=errors]", "The name typed is not 100%.")
	form.Set("confirm", "100%")
	form.press("").wantStatus(http.StatusOK).wantPart("#flashes", "100% has a new primary key.")
	second := keys()
	if second.Primary == first.Primary || second.Secondary != first.Secondary {
		t.Error("another key than the primary one changed")
	}
	form.press("").wantStatus(http.StatusPreconditionFailed)
	swap := b.get(path + "?view=identity").form("#key-swap form")
	swap.press("").wantStatus(http.StatusOK).wantPart("#flashes", "The keys of 100% were swapped.")
	if got := keys(); got.Primary != second.Secondary || got.Secondary != second.Primary {
		t.Error("the keys are not swapped")
	}
	form = b.get(path + "/keys/secondary").form("main form")
	form.Set("confirm", "100%")
	form.press("").wantStatus(http.StatusOK)
	if got := keys(); got.Secondary == second.Primary || got.Primary != second.Secondary {
		t.Error("another key than the secondary one changed")
	}
	wantDocument(t, "tags", b.twin("100%").Tags, `{"keep":1}`)
	b.get(path + "/keys/evil").wantStatus(http.StatusNotFound)
}

// TestSecretWithoutScript shows a key on a page that leaves by itself.
func TestSecretWithoutScript(t *testing.T) {
	b := newBoard(t)
	b.device("a?b", `{}`, `{}`)
	d, err := b.client.GetDevice(t.Context(), "a?b")
	if err != nil {
		t.Fatal(err)
	}
	path := b.server.hubs[0].devicePath("a?b") + "/secret?what=primary-key"
	status, body := b.body(http.MethodPost, path, map[string]string{"Accept": "text/html"})
	if status != http.StatusOK || !strings.Contains(body, d.Authentication.SymmetricKey.Primary) {
		t.Fatalf("status %d, or the key is not there", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	resp, err := b.person.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Refresh"); got != "30; url="+b.server.hubs[0].devicePath("a?b")+"?view=identity" {
		t.Errorf("leaves with %q", got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a page with a key may be kept: %q", got)
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
