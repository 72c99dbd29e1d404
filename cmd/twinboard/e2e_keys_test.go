package main

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"twinboard/hubclient/iothub"
)

// pressTo presses keys one after the other and waits for the page they lead to.
func (b *tab) pressTo(path string, keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.press(key)
	}
	b.at(path)
}

// at waits until the address, without the host, begins with path.
func (b *tab) at(path string) {
	b.t.Helper()
	b.until(path, `document.readyState === "complete" && (location.pathname + location.search).startsWith("`+path+`")`)
}

// ready waits until the page and its script are there and a frame is painted:
// Chromium throws away what is typed before.
func (b *tab) ready() {
	b.t.Helper()
	b.until("the page", `document.readyState === "complete"`)
	must(b, "a frame", chromedp.Evaluate[bool](`new Promise(r => requestAnimationFrame(() => r(true)))`, chromedp.EvalAwaitPromise))
}

// part is a subtest that goes on in the same tab.
func (b *tab) part(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		whole := b.t
		b.t = t
		defer func() { b.t = whole }()
		f(t)
	})
}

// offered are the keys that the list of keys shows, which is closed again.
func (b *tab) offered() string {
	b.t.Helper()
	b.press("?")
	b.see("#keys[open]")
	list := b.evaluateText(`[...document.querySelectorAll("#keys [data-key-needs]:not([hidden]) dt")].map(d => [...d.querySelectorAll("kbd")].map(k => k.innerText).join(" ")).join(",")`)
	b.press(kb.Escape)
	b.until("the list is closed", `!document.querySelector("#keys").open`)
	return list
}

// TestE2EKeyboard presses every key that the list of keys offers, where it offers
// it. Selecting rows is part of TestE2EManyDevices.
func TestE2EKeyboard(t *testing.T) {
	t.Parallel()
	p := serve(t)
	hub := p.client(t, "iothubowner")
	for _, id := range []string{"a?b", "pump-07"} {
		if _, err := hub.CreateDevice(t.Context(), iothub.Device{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
		wants(t, hub, id, iothub.Document{"interval": number("1")})
		wants(t, hub, id, iothub.Document{"interval": number("2")})
	}
	p.lists(t, 2)
	b := startBrowser(t).tab(t, p.Dashboard)
	const everywhere = "/,?,g o,g d,g q,g c,g s,g l,"

	b.part(t, "places", func(t *testing.T) {
		b.open("/h/local/devices")
		for _, place := range []struct{ key, path string }{
			{"q", "/h/local/query"}, {"c", "/h/local/changes"}, {"s", "/h/local/simulator"}, {"l", "/h/local/learn"}, {"d", "/h/local/devices"}, {"o", "/h/local"},
		} {
			b.pressTo(place.path, "g", place.key)
		}
	})
	b.part(t, "rows", func(t *testing.T) {
		b.open("/h/local/devices")
		if got := b.offered(); got != everywhere+"j,k,Enter,x,Shift x,Ctrl+Enter,Esc,l,t,p" {
			t.Errorf("the list offers %s", got)
		}
		focused := func(what, id string) {
			t.Helper()
			b.until(what, `document.activeElement.closest("[data-row]")?.id === "device-`+id+`"`)
		}
		b.press("j")
		focused("the first row", "a?b")
		b.press("j")
		focused("the second row", "pump-07")
		b.press("k")
		focused("the first row again", "a?b")
		b.press(kb.ArrowDown)
		focused("the second row by arrow", "pump-07")
		b.press(kb.ArrowUp)
		focused("the first row by arrow", "a?b")
		b.press("x")
		if !b.is(`document.querySelector('[data-select][value="a?b"]').checked`) {
			t.Error("the row is not selected")
		}
		b.press("j")
		b.pressTo("/h/local/devices/pump-07", kb.Enter)
		b.open("/h/local/devices")
		b.press("/")
		b.press("gt?")
		if got := b.evaluateText(`document.activeElement.value`); !strings.HasSuffix(got, "gt?") || b.is(`document.querySelector("#keys").open`) {
			t.Errorf("in the search field %q was typed", got)
		}
	})
	b.part(t, "edit and undo", func(t *testing.T) {
		b.open("/h/local/devices/pump-07")
		if got := b.offered(); got != everywhere+"e,h,c,Esc,l,t,p" {
			t.Errorf("the list offers %s", got)
		}
		b.press("c")
		if got := b.evaluateText(`document.activeElement.innerText.trim()`); got != "az" {
			t.Errorf("the focus is at %q", got)
		}
		b.pressTo("/h/local/devices/pump-07/edit/desired", "e")
		b.fill("[name=value]", "3")
		b.press(kb.Enter, chromedp.KeyModifiers(2))
		b.see(testid("apply"))
		b.press(kb.Enter, chromedp.KeyModifiers(2))
		b.see(".flash")
		if got := b.offered(); got != everywhere+"e,h,u,c,Esc,l,t,p" {
			t.Errorf("after saving the list offers %s", got)
		}
		b.pressTo("/h/local/devices/pump-07/edit/desired?undo=", "u")
		b.see(testid("apply"))
		b.press(kb.Enter, chromedp.KeyModifiers(2))
		b.see(".flash")
		if twin, err := hub.GetTwin(t.Context(), "pump-07"); err != nil || !iothub.Equal(twin.Properties.Desired.Value["interval"], number("2")) {
			t.Errorf("%v, undone: %v", err, twin.Properties.Desired.Value)
		}
	})
	b.part(t, "versions", func(t *testing.T) {
		b.open("/h/local/devices/pump-07")
		b.pressTo("/h/local/devices/pump-07?view=history", "h")
		if got := b.offered(); got != everywhere+"j,k,Enter,h,,,u,Esc,l,t,p" {
			t.Errorf("the list offers %s", got)
		}
		shows := func(what, values string) {
			t.Helper()
			b.until(what, `document.readyState === "complete" && document.querySelector("[data-testid=past-value]")?.innerText.replace(/\s+/g, " ").startsWith("`+values+`")`)
		}
		b.press(",")
		shows("the latest version", "interval 2 ")
		b.press(",")
		shows("the version before", "interval 3 2")
		b.press(".")
		shows("the latest version again", "interval 2 ")
	})
	b.part(t, "undo in a list", func(t *testing.T) {
		b.open("/h/local/changes?device=a%3Fb&kind=desired")
		b.press("j")
		b.press("j")
		undo := b.evaluateText(`document.activeElement.closest("[data-row]").querySelector("[data-testid=undo]").getAttribute("href")`)
		first := b.evaluateText(`document.querySelector("[data-testid=undo]").getAttribute("href")`)
		if undo == first {
			t.Fatal("the focus is in the first row")
		}
		b.pressTo(undo, "u")
		b.open("/h/local/changes?device=a%3Fb&kind=desired")
		b.pressTo(first, "u")
	})
	b.part(t, "feed", func(t *testing.T) {
		b.open("/h/local/devices/pump-07?view=messages")
		b.live()
		b.evaluate(`document.querySelector("[data-feed-lines]").focus()`)
		b.press(" ")
		b.until("the feed is paused", `document.querySelector("[data-feed-pause]").getAttribute("aria-pressed") === "true"`)
		b.press(" ")
		b.until("the feed goes on", `document.querySelector("[data-feed-pause]").getAttribute("aria-pressed") === "false"`)
	})
	b.part(t, "editor", func(t *testing.T) {
		b.open("/h/local/devices/pump-07/edit/desired?as=json")
		b.until("the editor", `document.querySelector(".cm-content")`)
		b.evaluate(`document.querySelector(".cm-content").focus()`)
		b.press(kb.Escape)
		b.press(kb.Tab)
		b.until("Tab leaves the editor", `!document.activeElement.closest(".cm-editor")`)
	})
	b.part(t, "look", func(t *testing.T) {
		b.open("/h/local/devices/pump-07")
		theme := b.evaluateText(`document.documentElement.dataset.theme ?? ""`)
		b.press("t")
		b.until("another theme", `(document.documentElement.dataset.theme ?? "") !== "`+theme+`"`)
		b.press("p")
		b.until("presenting", `document.querySelector("[data-look][aria-pressed=true]")`)
		b.press("p")
		b.until("no longer presenting", `!document.querySelector("[data-look][aria-pressed=true]")`)
		b.press("l")
		b.until("Spanish", `document.documentElement.lang === "es"`)
		if got := b.offered(); !strings.HasSuffix(got, ",e,h,c,Esc,l,t,p") {
			t.Errorf("in Spanish the list offers %s", got)
		}
		b.press("l")
		b.until("English", `document.documentElement.lang === "en"`)
		b.ready()
		// Switched off, single keys do nothing; the list opens by pointer.
		b.press("?")
		b.see("#keys[open]")
		b.follow("#keys [name=keys]")
		b.press("e")
		b.press("?")
		if !b.is(`location.pathname.endsWith("/pump-07") && !document.querySelector("#keys").open`) {
			t.Error("a key works though keys are switched off")
		}
	})
}
