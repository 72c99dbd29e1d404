package web

import (
	"net/http"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

func (b *board) module(device, module string) iothub.Module {
	b.t.Helper()
	m, err := b.client.CreateModule(b.t.Context(), iothub.Module{DeviceID: device, ModuleID: module})
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

func TestModulesPage(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	p := b.get(pump + "?view=modules").wantStatus(http.StatusOK)
	p.want("[data-testid=lead]", "This device has no modules.")
	p.wantPart("[data-testid=empty]", "A module is a part of a device")

	const odd = "cam%1:2"
	p = b.post(pump+"/modules", map[string]string{"id": " " + odd + " "}).wantStatus(http.StatusOK)
	p.want("h1", odd)
	p.wantPart("[data-testid=next-steps]", "Open")
	p = b.get(pump + "?view=modules")
	p.want("[data-testid=lead]", "This device has 1 module, with a twin of its own.")
	p.wantPart("[data-testid=module]", odd+" offline never nobody")
	p = b.get(p.href("[data-testid=module] .row-link")).wantStatus(http.StatusOK)
	p.want("h1", odd)
	p.want("[data-testid=lead]", "Nothing is wanted from this module yet.")

	for typed, want := range map[string]string{
		odd:                      "This device has a module " + odd + " already.",
		"":                       "Give the module a name.",
		"a b":                    "The character U+0020 is not possible in a module name.",
		strings.Repeat("x", 129): "A module name has at most 128.",
	} {
		p := b.post(pump+"/modules", map[string]string{"id": typed}).wantStatus(http.StatusUnprocessableEntity)
		p.wantPart("#module-id-error", want)
		if got := p.form("[data-testid=module-add]").Get("id"); got != typed {
			t.Errorf("typed %q, the form holds %q", typed, got)
		}
	}
	status, body := b.body(http.MethodGet, pump+"?view=modules&format=json", nil)
	if status != http.StatusOK || !strings.Contains(body, `"moduleId": "cam%1:2"`) || strings.Contains(body, b.modules("pump-07")[0].Authentication.SymmetricKey.Primary) {
		t.Errorf("as JSON: %d %s", status, body)
	}
}

func (b *board) modules(device string) []iothub.Module {
	b.t.Helper()
	list, err := b.client.ListModules(b.t.Context(), device)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// TestModuleTwin edits a module's twin on the page that devices have, meets a
// conflict, and takes the change back; the device's own twin stays as it is.
func TestModuleTwin(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", `{"own":1}`)
	b.module("pump-07", "cam")
	const cam = pump + "/modules/cam"
	form := b.get(cam + "/edit/desired").form("[data-testid=edit]")
	stale := b.get(cam + "/edit/desired").form("[data-testid=edit]")
	form.last("fps", "number", "25")
	p := form.press("review")
	p.wantPart("[data-testid=request]", "PATCH https://")
	p.wantPart("[data-testid=request]", "/twins/pump-07/modules/cam?api-version=")
	p = p.form("[data-testid=review]").press("apply").wantStatus(http.StatusOK)
	p.wantPart(p.settingRow("fps"), "fps 25")
	undo := p.href(".flash .button")
	if !strings.HasPrefix(undo, cam+"/edit/desired?undo=") {
		t.Errorf("undo leads to %s", undo)
	}
	stale.last("fps", "number", "30")
	stale.press("review").form("[data-testid=review]").press("apply").wantStatus(http.StatusConflict)
	b.get(undo).form("[data-testid=review]").press("apply").wantStatus(http.StatusOK)
	twin, err := b.client.GetModuleTwin(t.Context(), "pump-07", "cam")
	if err != nil {
		t.Fatal(err)
	}
	wantDocument(t, "the module's settings", twin.Properties.Desired.Value, "{}")
	wantDocument(t, "the device's own", b.twin("pump-07").Properties.Desired.Value, `{"own":1}`)
	b.get(cam+"?view=json").wantStatus(http.StatusOK).want("h1", "cam")
}

// TestModulePageIsLive follows a module, which the picture of the hub does not
// hold.
func TestModulePageIsLive(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.module("pump-07", "cam")
	b.known(1)
	const cam = pump + "/modules/cam"
	twin, list := b.open(cam), b.open(pump+"?view=modules")
	if _, err := b.client.UpdateModuleTwin(t.Context(), "pump-07", "cam", iothub.TwinPatch{Desired: document(t, `{"fps":25}`)}, nil); err != nil {
		t.Fatal(err)
	}
	twin.waitFor("fps", "25")
	b.module("pump-07", "mic")
	list.waitFor("This device has 2 modules", "mic")
}

// TestModuleKeysChange makes each key anew and swaps them, in both languages, and
// leaves the rest of the identity as it is.
func TestModuleKeysChange(t *testing.T) {
	b := newBoard(t)
	b.device("100%", "{}", "{}")
	if _, err := b.client.CreateModule(t.Context(), iothub.Module{DeviceID: "100%", ModuleID: "cam?1", ManagedBy: "someone"}); err != nil {
		t.Fatal(err)
	}
	path := b.server.hubs[0].twinPath(subject{"100%", "cam?1"})
	keys := func() iothub.SymmetricKey {
		m := b.modules("100%")[0]
		if m.ManagedBy != "someone" {
			t.Errorf("managed by %q now", m.ManagedBy)
		}
		return m.Authentication.SymmetricKey
	}
	first := keys()
	form := b.get(path + "/keys/primary").wantStatus(http.StatusOK).form("main form")
	form.Set("confirm", "100%") // the device's name is not the module's
	form.press("").wantStatus(http.StatusUnprocessableEntity).wantPart("[data-testid=errors]", "The name typed is not cam?1.")
	form.Set("confirm", "cam?1")
	form.press("").wantStatus(http.StatusOK).wantPart("#flashes", "cam?1 has a new primary key.")
	second := keys()
	if second.Primary == first.Primary || second.Secondary != first.Secondary {
		t.Error("another key than the primary one changed")
	}
	form.press("").wantStatus(http.StatusPreconditionFailed).wantPart("[data-testid=error]", "Nothing was overwritten.")
	p := b.get(path + "?view=identity")
	p.wantPart("#key-secondary", "a module that signs in with it")
	p.wantPart("[data-testid=keys]", "move the module to one")
	p.form("#key-swap form").press("").wantStatus(http.StatusOK).wantPart("#flashes", "The keys of cam?1 were swapped.")
	if got := keys(); got.Primary != second.Secondary || got.Secondary != second.Primary {
		t.Error("the keys are not swapped")
	}
	b.get(path+"?view=identity&lang=es").wantPart("#key-primary", "un módulo que la use")
	form = b.get(path + "/keys/secondary").form("main form")
	form.Set("confirm", "cam?1")
	form.press("").wantStatus(http.StatusOK)
	if got := keys(); got.Secondary == second.Primary || got.Primary != second.Secondary {
		t.Error("another key than the secondary one changed")
	}
	b.get(path + "/keys/evil").wantStatus(http.StatusNotFound)
	b.get(b.server.hubs[0].twinPath(subject{"100%", "nobody"}) + "/keys/swap").wantStatus(http.StatusNotFound)
}

func TestModuleIdentity(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	m := b.module("pump-07", "cam")
	const cam = pump + "/modules/cam"
	p := b.get(cam + "?view=identity").wantStatus(http.StatusOK)
	p.want("h1", "cam")
	p.want("#danger-title", "Delete")
	if n := len(p.all("[data-testid=identity-enabled]")); n != 0 {
		t.Error("a module shows a status, which it does not have")
	}
	status, secret := b.body(http.MethodPost, cam+"/secret?what=primary-connection", nil)
	want := "DeviceId=pump-07;ModuleId=cam;SharedAccessKey=" + m.Authentication.SymmetricKey.Primary
	if status != http.StatusOK || !strings.HasSuffix(secret, want) {
		t.Errorf("connection string: %d %s", status, secret)
	}
	etag := string(m.ETag)
	b.post(cam+"/delete", map[string]string{"etag": etag, "confirm": "wrong"}).wantStatus(http.StatusUnprocessableEntity)
	p = b.post(cam+"/delete", map[string]string{"etag": etag, "confirm": "cam"}).wantStatus(http.StatusOK)
	p.want("[data-testid=lead]", "This device has no modules.")
	p = b.get(cam).wantStatus(http.StatusNotFound)
	p.wantPart("main", "There is no module cam of a device pump-07 on hub local.")
	b.get(cam + "?view=identity").wantStatus(http.StatusNotFound)
	b.get(cam + "?view=modules").wantStatus(http.StatusNotFound)
}
