package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// lateBy30 catches what the page would do 30 seconds from now, for the test to do
// it at once.
const lateBy30 = `window.late = []; { const real = window.setTimeout
	window.setTimeout = (f, ms, ...rest) => ms === 30000 ? window.late.push(f) : real(f, ms, ...rest) } void 0`

// TestE2EFlows walks through what people come for, with one program.
func TestE2EFlows(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0",
		"--log-level", "error", "--data", prepare(t, manyStates))
	hub := p.client(t, "iothubowner")
	p.lists(t, 1)
	b := startBrowser(t).tab(t, p.Dashboard)
	for _, part := range []struct {
		name string
		walk func(*testing.T, *tab, *program, *hubclient.Client)
	}{
		{"welcome", walkWelcome},
		{"overview", walkOverview},
		{"changes", walkChanges},
		{"conflict", walkConflict},
		{"module keys", walkModuleKeys},
		{"many by CSV", walkCSV},
		{"settings of many", walkManySettings},
		{"odd names", walkOddNames},
	} {
		b.part(t, part.name, func(t *testing.T) { part.walk(t, b, p, hub) })
	}
}

// walkWelcome is a first visit: three ways on. The next visit begins on the hub.
func walkWelcome(t *testing.T, b *tab, _ *program, _ *hubclient.Client) {
	b.open("/")
	b.at("/welcome")
	if got := b.text(testid("door-connect")); !strings.Contains(got, "--hub") {
		t.Errorf("how to connect a hub: %q", got)
	}
	b.follow(testid("door-learn") + " .button")
	b.at("/h/local/learn")
	b.open("/welcome")
	b.follow(testid("door-look") + " .button-primary")
	b.at("/h/local")
	b.open("/")
	b.at("/h/local")
}

// walkOverview follows the bar to the devices of a state and the list of those to
// look at to one of them; and sees a change arrive.
func walkOverview(t *testing.T, b *tab, _ *program, hub *hubclient.Client) {
	b.open("/h/local")
	if got := b.text(testid("lead")); !strings.Contains(got, "1") {
		t.Errorf("the answer: %q", got)
	}
	b.follow(`.state-count[data-state="rejected"]`)
	b.at("/h/local/devices?state=rejected")
	if got := b.rows(); strings.Join(got, " ") != manyStates.id {
		t.Errorf("rejected: %v", got)
	}
	b.open("/h/local")
	b.follow(testid("look-row") + " a")
	b.at("/h/local/devices/" + manyStates.id)

	b.open("/h/local")
	b.live()
	b.evaluate("window.before = true")
	setTag(t, hub, manyStates.id, "arrives")
	b.until("the change", `document.querySelector("[data-testid=latest]").innerText.includes("arrives")`)
	if !b.is("window.before") {
		t.Error("the page was read again")
	}
}

// walkChanges filters the journal, takes a change back and reads the CSV.
func walkChanges(t *testing.T, b *tab, p *program, hub *hubclient.Client) {
	setTag(t, hub, manyStates.id, "=1+1")
	wants(t, hub, manyStates.id, iothub.Document{"limit": number("31")})
	b.open("/h/local/changes")
	b.until("both changes", `(document.querySelector("main").innerText.includes("=1+1") && document.querySelector("main").innerText.includes("31")) || (location.reload(), false)`)
	const kinds = `[...new Set([...document.querySelectorAll("[data-testid=change-row]")].map(r => r.dataset.kind))].join(" ")`
	b.follow(`.segments a[href*="kind=tags"]`)
	if got := b.evaluateText(kinds); got != "tags" {
		t.Errorf("filtered by tags: %s", got)
	}
	b.fill(testid("search"), "nowhere")
	b.press(kb.Enter)
	b.until("no hit", `document.querySelector("[data-testid=empty]") && !document.querySelector("[data-testid=change-row]")`)
	b.follow(testid("empty") + " .button")
	b.follow(`.segments a[href*="kind=desired"]`)
	b.follow(testid("undo"))
	b.follow(testid("apply"))
	twin, err := hub.GetTwin(t.Context(), manyStates.id)
	if err != nil || !iothub.Equal(twin.Properties.Desired.Value["limit"], number("30")) {
		t.Errorf("%v, undone: %v", err, twin.Properties.Desired.Value)
	}
	b.open("/h/local/changes?kind=tags")
	csv := string(p.page(t, b.evaluateText(`document.querySelector("a[href*='format=csv']").getAttribute("href")`)))
	if !strings.Contains(csv, "note") || !strings.Contains(csv, "'=1+1") || strings.Contains(csv, "desired") {
		t.Errorf("the CSV:\n%s", csv)
	}
}

// walkConflict edits what somebody else changes meanwhile: what both changed is
// asked about, what only one did is kept.
func walkConflict(t *testing.T, b *tab, _ *program, hub *hubclient.Client) {
	if _, err := hub.CreateDevice(t.Context(), iothub.Device{DeviceID: "pump-07"}); err != nil {
		t.Fatal(err)
	}
	wants(t, hub, "pump-07", iothub.Document{"interval": number("1")})
	b.open("/h/local/devices/pump-07/edit/desired")
	b.fill("[name=value]", "20")
	wants(t, hub, "pump-07", iothub.Document{"interval": number("30"), "mode": "eco"})
	b.follow(testid("review-button"))
	b.follow(testid("apply"))
	if got := b.text(testid("conflict-field")); !strings.Contains(got, "interval") || !strings.Contains(got, "30") || !strings.Contains(got, "20") {
		t.Errorf("the conflict shows %q", got)
	}
	b.follow(testid("resolve"))
	b.see(".field-wrong") // nothing was chosen
	b.click("#keep-mine-0")
	b.follow(testid("resolve"))
	b.see(testid("compare"))
	twin, err := hub.GetTwin(t.Context(), "pump-07")
	if err != nil || len(iothub.Diff(twin.Properties.Desired.Value, iothub.Document{"interval": number("20"), "mode": "eco"})) > 0 {
		t.Errorf("%v, resolved: %v", err, twin.Properties.Desired.Value)
	}
}

// walkModuleKeys shows a key of a module, sees it hidden after 30 seconds, and
// makes it anew.
func walkModuleKeys(t *testing.T, b *tab, _ *program, hub *hubclient.Client) {
	m, err := hub.CreateModule(t.Context(), iothub.Module{DeviceID: "pump-07", ModuleID: "cam"})
	if err != nil {
		t.Fatal(err)
	}
	key := m.Authentication.SymmetricKey.Primary
	b.open("/h/local/devices/pump-07/modules/cam?view=identity")
	b.evaluate(lateBy30)
	const shown, reveal = `document.getElementById("primary-key").value`, "form:has(#primary-key) [data-secret-reveal]"
	b.click(reveal)
	b.until("the key", fmt.Sprintf("%s === %q", shown, key))
	b.click("form:has(#primary-key) [data-secret-more]")
	b.until("another 30 seconds", "late.length === 2")
	b.evaluate("late[1](); void 0")
	if !b.is(shown + `.startsWith("••")`) {
		t.Error("after 30 seconds the key is still there")
	}
	b.click(testid("key-primary"))
	b.fill("#key-primary-word", "cam")
	b.follow("#key-primary .button-danger")
	after, err := hub.GetModule(t.Context(), "pump-07", "cam")
	if err != nil || after.Authentication.SymmetricKey.Primary == key || after.Authentication.SymmetricKey.Secondary != m.Authentication.SymmetricKey.Secondary {
		t.Errorf("not the primary key alone was made anew, %v", err)
	}
	b.click(testid("key-swap"))
	b.follow("#key-swap .button-primary")
	if swapped, err := hub.GetModule(t.Context(), "pump-07", "cam"); err != nil || swapped.Authentication.SymmetricKey.Primary != m.Authentication.SymmetricKey.Secondary {
		t.Errorf("the keys are not swapped, %v", err)
	}
}

// walkCSV adds devices from a file, after a mistake in it was told.
func walkCSV(t *testing.T, b *tab, _ *program, hub *hubclient.Client) {
	file := filepath.Join(t.TempDir(), "devices.csv")
	choose := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b.open("/h/local/import")
		must(b, "choose a file", chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}))
		b.follow(testid("import-csv") + " .button:not(.button-quiet)")
	}
	choose("deviceId,tags.site\nok-1,oslo\nno good,oslo\n")
	if got := b.text(testid("import-problems")); !strings.Contains(got, "3") || !strings.Contains(got, "no good") {
		t.Errorf("the mistake is told as %q", got)
	}
	choose("deviceId,tags.site,desired.interval\ncsv-1,\"oslo \"\"é\"\"\",30\ncsv-2,ōsaka,60\n")
	b.follow(testid("bulk-start"))
	b.until("both are added", `document.querySelector("[data-phase=done]")?.innerText.includes("2 of 2 devices are added.")`)
	twin, err := hub.GetTwin(t.Context(), "csv-1")
	if err != nil || twin.Tags["site"] != `oslo "é"` || !iothub.Equal(twin.Properties.Desired.Value["interval"], number("30")) {
		t.Errorf("csv-1: %v, %v", twin, err)
	}
}

// walkOddNames adds, finds, edits, asks for and deletes devices whose names mean
// something in addresses, in HTML and in the query language, with a value that is
// all of it.
func walkOddNames(t *testing.T, b *tab, _ *program, hub *hubclient.Client) {
	const value = `ñandú "x" 'y' <b>&amp; 100% ?a=b#c 🚀`
	for _, id := range []string{"100%25", "it's(1)?b=c#d", ".."} {
		b.open("/h/local/add-device")
		b.fill("[name=id]", id)
		b.follow(testid("add-form") + " .button-primary")
		b.open("/h/local/devices?q=" + escape(id))
		b.until("the device in the list", fmt.Sprintf(`document.getElementById(%q) || (location.reload(), false)`, "device-"+id))
		b.follow(fmt.Sprintf(`[id=%q] a.row-link`, "device-"+id))
		if got := b.text("h1"); got != id {
			t.Errorf("the page of %s is headed %q", id, got)
		}
		b.follow(testid("edit-tags"))
		b.addRow("note", "text", value)
		b.follow(testid("review-button"))
		b.follow(testid("apply"))
		if got := b.text(testid("tags")); !strings.Contains(got, value) {
			t.Errorf("the tags of %s show %q", id, got)
		}
		twin, err := hub.GetTwin(t.Context(), id)
		if err != nil || twin.Tags["note"] != value {
			t.Fatalf("%s has the tags %v, %v", id, twin.Tags, err)
		}
		b.open("/h/local/query?q=" + escape("SELECT * FROM devices WHERE deviceId = '"+strings.ReplaceAll(id, "'", `\'`)+"'"))
		b.follow(testid("query-row") + " a")
		b.follow(`.tab-row a[href*="view=history"]`)
		if got := b.text(testid("change-row")); !strings.Contains(got, "note") {
			t.Errorf("the history of %s shows %q", id, got)
		}
		b.follow(`.tab-row a[href*="view=identity"]`)
		b.click(testid("delete-device"))
		b.fill("#delete-word", id)
		b.follow("#delete .button-danger")
		b.at("/h/local/devices")
		if _, err := hub.GetDevice(t.Context(), id); !isNotFound(err) {
			t.Errorf("%s is not deleted: %v", id, err)
		}
	}
}

// TestE2EHubAway stops the hub and starts it again while pages are open: each
// says so and is well again, and nothing typed is lost.
func TestE2EHubAway(t *testing.T) {
	p, hub, restart := apart(t)
	if _, err := hub.CreateDevice(t.Context(), iothub.Device{DeviceID: "pump-07"}); err != nil {
		t.Fatal(err)
	}
	wants(t, hub, "pump-07", iothub.Document{"interval": number("1")})
	p.until(t, "/h/far/devices", "the device is listed", func(body []byte) bool { return strings.Contains(string(body), "pump-07") })
	overview := startBrowser(t).tab(t, p.Dashboard)
	overview.open("/h/far")
	overview.live()
	list := overview.another(t)
	list.open("/h/far/devices")
	list.live()
	list.fill(testid("search"), "half a wo")
	list.click(`[data-select][value="pump-07"]`)
	editor := overview.another(t)
	editor.open("/h/far/devices/pump-07/edit/desired")
	editor.fill("[name=value]", "42")
	restart(func() {
		overview.until("the overview says that the hub is away", `document.querySelector("[data-testid=overview-notice]")?.checkVisibility()`)
		list.until("the list says that the hub is away", `document.querySelector("#devices-notice .notice")?.checkVisibility()`)
		editor.follow(testid("review-button"))
		editor.follow(testid("apply"))
		editor.see(testid("failure"))
	})
	overview.until("the overview is well again", `!document.querySelector("[data-testid=overview-notice]")`)
	list.until("the list is well again", `!document.querySelector("#devices-notice .notice")?.checkVisibility()`)
	if !list.is(`document.querySelector("[data-testid=search]").value === "half a wo" && document.querySelector('[data-select][value="pump-07"]').checked`) {
		t.Error("what was typed, or the selection, is lost")
	}
	editor.review(`"interval":42`)
	editor.follow(testid("apply"))
	editor.see(testid("compare"))
	if twin, err := hub.GetTwin(t.Context(), "pump-07"); err != nil || !iothub.Equal(twin.Properties.Desired.Value["interval"], number("42")) {
		t.Errorf("%v, saved: %v", err, twin.Properties.Desired.Value)
	}
	setTag(t, hub, "pump-07", "after")
	overview.until("what came after", `document.querySelector("[data-testid=latest]").innerText.includes("after")`)
}
