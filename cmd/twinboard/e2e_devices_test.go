package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"twinboard/hubclient/iothub"
)

// rows are the ids that the list shows, in its order.
const rows = `[...document.querySelectorAll("[data-testid=device-row]")].map(r => r.id.slice(7)).join(" ")`

func (b *tab) rows() []string {
	b.t.Helper()
	return strings.Fields(b.evaluateText(rows))
}

// press presses one key where the focus is.
func (b *tab) press(key string, modifiers ...chromedp.KeyOption) {
	b.t.Helper()
	b.ready()
	must(b, "press "+key, chromedp.KeyEvent(key, modifiers...))
}

// TestE2EManyDevices adds devices by pattern, filters, selects by keyboard and
// pointer, and deletes all of a filter.
func TestE2EManyDevices(t *testing.T) {
	t.Parallel()
	p := serve(t)
	owner := p.client(t, "iothubowner")
	b := startBrowser(t).tab(t, p.Dashboard)
	b.open("/h/local/import")
	b.fill("#pattern", "pump-{01..40}")
	b.fill("#pattern-tags", `{"site": "oslo \"é\""}`)
	b.follow(testid("import-pattern") + " .button-primary")
	b.follow(testid("bulk-start"))
	b.until("all are added", `document.querySelector("[data-phase=done]")?.innerText.includes("40 of 40 devices are added.")`)
	for _, id := range []string{"100%", "a?b#c", "O'Neil"} {
		if _, err := owner.CreateDevice(t.Context(), iothub.Device{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
	}
	b.open("/h/local/devices?col=tags.site")
	b.until("all are listed", `document.querySelector("[data-testid=pager-count]")?.innerText.includes("of 43")`)
	if b.is(`document.querySelector("[data-select-bar]").checkVisibility()`) {
		t.Error("the bar shows without a selection")
	}
	// By keyboard: the first row, and on to the third.
	b.press("j")
	b.press("x")
	b.press("j")
	b.press("j")
	b.press("X")
	b.until("three are selected", `document.querySelector("[data-select-count]").innerText === "3 devices selected"`)
	if got := b.evaluateText(`[...document.querySelectorAll("[data-select]:checked")].map(b => b.value).join(" ")`); got != "100% O'Neil a?b#c" {
		t.Errorf("selected: %s", got)
	}
	// A selected row is brought up to date and stays selected.
	if _, err := owner.UpdateTwin(t.Context(), "a?b#c", iothub.TwinPatch{Tags: iothub.Document{"site": "lima"}}, nil); err != nil {
		t.Fatal(err)
	}
	b.until("the new tag", `document.getElementById("device-a?b#c").innerText.includes("lima")`)
	if !b.is(`document.querySelector('[data-select][value="a?b#c"]').checked`) {
		t.Error("the selection is lost by an update")
	}
	// No row that has the focus is under the bar.
	for range 24 {
		b.press("j")
		if !b.is(`(() => { const r = document.activeElement.getBoundingClientRect(), s = document.querySelector("[data-select-bar]").getBoundingClientRect(); return r.bottom <= s.top + 1 || r.top >= s.bottom })()`) {
			t.Fatal("the bar covers the focused row")
		}
	}
	b.follow(testid("select-bar") + " [value=disable]")
	b.fill(testid("bulk-word"), "3")
	b.follow(testid("bulk-start"))
	b.until("they are disabled", `document.querySelector("[data-phase=done]")?.innerText.includes("3 of 3 devices are disabled.")`)
	if d, err := owner.GetDevice(t.Context(), "a?b#c"); err != nil || d.Status != iothub.StatusDisabled {
		t.Errorf("%s, %v", d.Status, err)
	}

	b.open("/h/local/devices")
	b.click("[id='facet-tags.site'] a")
	b.until("the filter", `document.querySelector("[data-testid=pager-count]")?.innerText.includes("of 40")`)
	b.click(testid("select-page"))
	b.click(testid("select-all"))
	b.follow(testid("select-bar") + " [value=delete]")
	b.fill(testid("bulk-word"), "40")
	b.follow(testid("bulk-start"))
	b.until("they are deleted", `document.querySelector("[data-phase=done]")?.innerText.includes("40 of 40 devices are deleted.")`)
	b.open("/h/local/devices")
	b.until("three are left", `document.querySelector("[data-testid=pager-count]")?.innerText.includes("of 3 devices")`)
}

// TestE2EKeys reveals a key, keeps it for longer, and makes a new one.
func TestE2EKeys(t *testing.T) {
	p := serve(t)
	owner := p.client(t, "iothubowner")
	d, err := owner.CreateDevice(t.Context(), iothub.Device{DeviceID: "100%"})
	if err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t).tab(t, p.Dashboard)
	b.open("/h/local/devices/100%25?view=identity")
	if b.is(`document.documentElement.outerHTML.includes(` + fmt.Sprintf("%q", d.Authentication.SymmetricKey.Primary) + `)`) {
		t.Fatal("a key is in the page")
	}
	b.click("form:has(#primary-key) [data-secret-reveal]")
	b.until("the key", `document.getElementById("primary-key").value === `+fmt.Sprintf("%q", d.Authentication.SymmetricKey.Primary))
	b.click("form:has(#primary-key) [data-secret-more]")
	b.click("form:has(#primary-key) [data-secret-reveal]")
	b.until("it is hidden", `document.getElementById("primary-key").value.startsWith("••")`)
	b.click(testid("key-primary"))
	b.see("#key-primary[open]")
	b.fill("#key-primary-word", "100%")
	b.follow("#key-primary .button-danger")
	after, err := owner.GetDevice(t.Context(), "100%")
	if err != nil || after.Authentication.SymmetricKey.Primary == d.Authentication.SymmetricKey.Primary || after.Authentication.SymmetricKey.Secondary != d.Authentication.SymmetricKey.Secondary {
		t.Errorf("not the primary key alone was made anew, %v", err)
	}
	b.withoutScript()
	b.open("/h/local/devices/100%25?view=identity")
	b.submit("form:has(#primary-key) [data-secret-reveal]", testid("secret"))
	if got := b.evaluateText(`document.querySelector("[data-testid=secret]").value`); got != after.Authentication.SymmetricKey.Primary {
		t.Error("without script the key is not shown")
	}
}

// TestE2EHundredThousand searches, filters, sorts and pages a hundred thousand
// devices in the browser.
func TestE2EHundredThousand(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	fillHub(t, data, many)
	p := serve(t, "--data", data)
	b := startBrowser(t).tab(t, p.Dashboard)
	p.lists(t, many)
	b.open("/h/local/devices?sort=-id")
	if got := b.rows(); len(got) != 25 || got[0] != "device-099999" {
		t.Errorf("from the end: %v", got)
	}
	b.fill(testid("search"), "-0123")
	b.press("\r")
	b.until("the search", `document.querySelector("[data-testid=pager-count]")?.innerText.includes("of 100 devices")`)
	b.open("/h/local/devices?tag.site=%C5%8Dsaka&reported.firmware=1.3.0&sort=tags.serial&col=tags.serial")
	want := []string{}
	for i := many - 1; len(want) < 50; i-- {
		if i%4 == 3 && i%7 == 3 {
			want = append(want, fmt.Sprintf("device-%06d", i))
		}
	}
	if got := b.rows(); strings.Join(got, " ") != strings.Join(want[:25], " ") {
		t.Errorf("sorted by a number: %v", got)
	}
	b.follow("a[rel=next]")
	if got := b.rows(); strings.Join(got, " ") != strings.Join(want[25:], " ") {
		t.Errorf("the second page: %v", got)
	}
	if got := b.text(testid("pager-count")); !strings.Contains(got, "26–50 of 3,572 devices") {
		t.Errorf("the second page counts %s", got)
	}
	if got := b.text("[id='facet-tags.site']"); !strings.Contains(strings.Join(strings.Fields(got), " "), "3,572") {
		t.Errorf("the facet counts %s", got)
	}
}
