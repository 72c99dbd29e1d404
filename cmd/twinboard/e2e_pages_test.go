package main

import (
	"slices"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

// TestE2EPages does the tutorial's work on the normal pages, beginning with
// nothing: add a device, edit tags and desired, query, start the device, and see
// a patch arrive.
func TestE2EPages(t *testing.T) {
	t.Parallel()
	p := serve(t)
	owner := p.client(t, "iothubowner")
	b := startBrowser(t).tab(t, p.Dashboard)
	b.open("/")
	b.follow(testid("door-look") + " .button-primary")
	b.see(testid("empty"))

	b.open("/h/local/add-device")
	b.fill("[name=id]", "pump-07")
	b.follow(testid("add-form") + " .button-primary")
	if _, err := owner.GetDevice(t.Context(), "pump-07"); err != nil {
		t.Fatal(err)
	}

	b.open("/h/local/devices/pump-07")
	b.follow(testid("edit-tags"))
	b.addRow("location.plant", "text", "Redmond43")
	b.review(`"plant":"Redmond43"`)
	b.follow(testid("apply"))
	if got := b.text(testid("tags")); !strings.Contains(got, "Redmond43") {
		t.Errorf("the tags show %q", got)
	}
	b.follow(testid("edit-settings"))
	b.addRow("power_level", "number", "1")
	b.review(`"power_level":1`)
	b.follow(testid("apply"))
	twin, err := owner.GetTwin(t.Context(), "pump-07")
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := twin.Tags.Get(iothub.ParsePath("location.plant")); v != "Redmond43" || !iothub.Equal(twin.Properties.Desired.Value["power_level"], number("1")) {
		t.Errorf("the hub has tags %v, desired %v", twin.Tags, twin.Properties.Desired.Value)
	}

	b.open("/h/local/query?q=" + escape(plantQuery))
	if got := b.text(testid("query-row")); !strings.Contains(got, "pump-07") {
		t.Errorf("the query shows %q", got)
	}

	b.startDevice("pump-07")
	if got := found(t, owner, cellularQuery); !slices.Equal(got, []string{"pump-07"}) {
		t.Errorf("the device started, yet the query finds %v", got)
	}

	// In another tab the wanted value changes; the patch appears here, live.
	editor := b.another(t)
	editor.open("/h/local/devices/pump-07/edit/desired")
	editor.fill("[name=value]", "2")
	editor.review(`"power_level":2`)
	editor.follow(testid("apply"))
	b.until("the patch in the feed", `document.querySelector("[data-testid=simulator] [data-feed]").innerText.includes("power_level 2 (version 3)")`)
}

// TestE2EWithoutScript reads and makes simple changes with JavaScript off.
func TestE2EWithoutScript(t *testing.T) {
	p := serve(t)
	owner := p.client(t, "iothubowner")
	b := startBrowser(t).tab(t, p.Dashboard)
	b.withoutScript()
	b.open("/h/local/add-device")
	b.fill("[name=id]", "plain")
	b.submit(testid("add-form")+" .button-primary", "plain")
	b.open("/h/local/devices/plain/edit/tags")
	if !b.is(`document.querySelector("[data-testid=edit-row] [name=path]")`) {
		b.submit(testid("add-row"), "[name=path]")
	}
	b.fill("[name=path]", "site")
	b.fill("[name=value]", "b1")
	b.submit(testid("review-button"), testid("apply"))
	b.submit(testid("apply"), testid("tags"))
	twin, err := owner.GetTwin(t.Context(), "plain")
	if err != nil || twin.Tags["site"] != "b1" {
		t.Errorf("the hub has tags %v, %v", twin.Tags, err)
	}
	b.open("/h/local/devices")
	if got := b.text(testid("device-row")); !strings.Contains(got, "plain") {
		t.Errorf("the list shows %q", got)
	}
	b.open("/h/local/query?q=" + escape("SELECT deviceId, tags.site FROM devices"))
	if got := b.text(testid("query-row")); !strings.Contains(got, "b1") {
		t.Errorf("the query shows %q", got)
	}
	b.open("/learn")
	b.submit(testid("learn-check"), `[data-done=true]`)
}

// TestE2EEightTabs keeps eight tabs of one browser open: over HTTP/1.1 a browser
// has six connections to a host, so tabs in the background must give theirs up.
func TestE2EEightTabs(t *testing.T) {
	p := serve(t, "--demo", "1")
	owner := p.client(t, "iothubowner")
	first := startBrowser(t).tab(t, p.Dashboard)
	first.open("/h/local/devices/demo-01")
	first.live()
	tabs := []*tab{first}
	for range 7 {
		tabs[len(tabs)-1].background(true)
		next := first.another(t)
		next.open("/h/local/devices/demo-01")
		next.live()
		tabs = append(tabs, next)
	}
	shows := func(b *tab, value string) {
		t.Helper()
		b.until("the tag "+value, `document.querySelector("[data-testid=tags]").innerText.includes("`+value+`")`)
	}
	setTag(t, owner, "demo-01", "eight")
	shows(tabs[7], "eight")
	// The first tab comes to the front again and catches up with what it missed.
	tabs[7].background(true)
	first.background(false)
	shows(first, "eight")
	setTag(t, owner, "demo-01", "again")
	shows(first, "again")
	if tabs[3].is(`document.querySelector("[data-testid=tags]").innerText.includes("again")`) {
		t.Error("a tab in the background holds its event stream")
	}
}
