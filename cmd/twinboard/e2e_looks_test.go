package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// emulate sets the medium, "print" or "", and what the system prefers.
func (b *tab) emulate(medium string, features ...*emulation.MediaFeature) {
	b.t.Helper()
	params := emulation.SetEmulatedMediaParams{Media: medium, Features: features}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, params); err != nil {
		b.t.Fatal(err)
	}
}

// window sets the size of the page in CSS pixels.
func (b *tab) window(width, height int64) {
	b.t.Helper()
	params := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, params); err != nil {
		b.t.Fatal(err)
	}
}

// none fails with what a list in the page holds.
func (b *tab) none(what, list string) {
	b.t.Helper()
	if found := b.evaluateText(`(` + list + `).slice(0, 5).join("\n    ")`); found != "" {
		b.t.Errorf("%s (%s):\n    %s", what, must(b, "address", chromedp.Location()), found)
	}
}

// shown are the elements of a selector that take room on the page, by their HTML.
func shown(selector string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].filter(e => e.checkVisibility({visibilityProperty: true}) && e.getClientRects().length)`, selector)
}

const inShort = `.map(e => e.outerHTML.slice(0, 90).replaceAll("\n", " "))`

// TestE2ELooks holds what the style sheets promise beyond the usual window: on a
// phone, on paper, with forced colours, without motion, with large text.
func TestE2ELooks(t *testing.T) {
	t.Parallel()
	p := startProgram(t, "serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0",
		"--log-level", "error", "--data", prepare(t, manyStates, longTexts()), "--demo", "5")
	p.lists(t, 7)
	browser := startBrowser(t)
	for name, look := range map[string]func(*tab){
		"phone": phoneLook, "paper": paperLook, "forced colours": forcedLook, "no motion": stillLook, "large text": largeLook,
		"editor": editorLook,
	} {
		t.Run(name, func(t *testing.T) { look(browser.tab(t, p.Dashboard)) })
	}
}

// editorLook: nothing moves when the editor takes the place of its field, so that a
// click meets what it was meant for.
func editorLook(b *tab) {
	const moved = `(() => {
		const area = document.querySelector("textarea[data-editor]")
		const below = () => area.form.querySelector(".button-primary").getBoundingClientRect().y
		const now = below()
		area.hidden = false
		document.querySelectorAll(".cm-editor, .editor-exit").forEach(e => { e.hidden = true; e.style.display = "none" })
		return now === below() ? "" : below() + " to " + now
	})()`
	for _, path := range []string{
		asks("SELECT * FROM devices"), asks("SELECT *\nFROM devices\nWHERE" + strings.Repeat("\n  tags.a = 1 OR", 12) + "\n  tags.a = 2"),
		"/h/local/devices/" + longID + "/edit/tags?as=json", "/h/local/devices/states/edit/desired?as=json",
	} {
		b.open(path)
		b.see(".cm-editor")
		if found := b.evaluateText(moved); found != "" {
			b.t.Errorf("%s: the editor moved the button below it from %s", path, found)
		}
	}
}

// phoneLook: a device takes two lines, none of them a label without a value; the
// buttons beside the heading stand in one row.
func phoneLook(b *tab) {
	for _, width := range []int64{390, 320} {
		b.window(width, 800)
		for _, lang := range []string{"en", "es"} {
			b.open(inLanguage("/h/local/devices?q=demo", lang))
			b.none("a device takes more than 90 px", shown("[data-testid=device-row]")+`.filter(e => e.offsetHeight > 90).map(e => e.offsetHeight + " px: " + e.innerText)`)
			b.open(inLanguage("/h/local/devices", lang))
			b.none("a cell without a value", shown("[data-testid=device-row] > td")+`.filter(e => !e.innerText.trim())`+inShort)
			b.none("a label for nothing", shown("[data-testid=device-row] > td")+`.filter(e => e.innerText.includes("0 of") || e.innerText.includes("0 de"))`+inShort)
			if rows := b.evaluateText(`String(new Set(` + shown(".page-actions > .button, .page-actions summary") + `.map(e => Math.round(e.getBoundingClientRect().bottom))).size)`); rows != "1" {
				b.t.Errorf("%d px, %s: the buttons of the heading stand in %s rows", width, lang, rows)
			}
			b.click("#devices-more > summary")
			b.see("#devices-more a[href*='format=csv']")
			b.none("the menu is cut off", shown("#devices-more a")+`.filter(e => e.getBoundingClientRect().left < 0 || e.getBoundingClientRect().right > innerWidth)`+inShort)
		}
		b.open("/h/local/devices")
		b.click(testid("columns") + " > summary")
		b.see(".column-choice")
		b.none("a column to choose hides the next", shown(".column-choice")+`.filter(e => e.scrollHeight > e.offsetHeight)`+inShort)
		b.fits("/h/local/devices?q=nowhere&state=rejected&conn=offline", "/h/local/devices?col=tags.location.plant,desired.power_level", "/h/local/changes", "/h/local")
	}
}

// fits fails for pages that scroll sideways.
func (b *tab) fits(paths ...string) {
	b.t.Helper()
	for _, path := range paths {
		b.open(path)
		if over := must(b, "width", chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`)); over > 0 {
			b.t.Errorf("%s scrolls sideways by %d px in a window of %s px", path, over, b.evaluateText("String(innerWidth)"))
		}
	}
}

func inLanguage(path, lang string) string {
	if strings.Contains(path, "?") {
		return path + "&lang=" + lang
	}
	return path + "?lang=" + lang
}

// paperLook: nothing to press is printed, what is said is, in black on white
// whatever the theme.
func paperLook(b *tab) {
	b.window(794, 1123)
	b.emulate("print", &emulation.MediaFeature{Name: "prefers-color-scheme", Value: "dark"})
	for path, says := range map[string]string{
		"/h/local":                               "devices",
		"/h/local/devices?state=rejected":        "states",
		"/h/local/devices/states":                "interval.seconds",
		"/h/local/devices?dock=simulator":        "demo-01",
		"/h/local/changes":                       "demo-01",
		"/h/local/devices/demo-01?view=history":  "power_level",
		"/h/local/query?q=SELECT+*+FROM+devices": "demo-01",
	} {
		b.open(path)
		b.evaluate(`document.documentElement.dataset.theme = "dark"`)
		b.none("printed, though it can only be pressed", shown(".rail, .side, button, .button, .icon-button, input, select, summary.button, .tab-row, .skip-link, dialog, .live, [role=search]")+inShort)
		if !b.is(`document.body.innerText.includes("` + says + `") && document.querySelector(".header").innerText.includes("local")`) {
			b.t.Errorf("%s on paper does not say %q and the hub", path, says)
		}
		b.none("not black on white", `[getComputedStyle(document.body)].flatMap(s => [s.color, s.backgroundColor]).filter((c, i) => {
			const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number); return a > 0 && ((r + g + b) / 3 < 128) !== (i === 0) })`)
	}
	b.open("/h/local/changes")
	b.none("the signs of a change stand below each other", shown("[data-kind=state] > .change-what")+`.filter(e => e.offsetHeight > 32)`+inShort)
	b.open("/h/local/devices/states?view=identity")
	b.none("printed, though it is about buttons", shown("[data-testid=danger]")+inShort)
	b.open("/h/local/devices/" + longID)
	b.none("a long value twice", shown(".long-value > summary")+inShort)
	b.none("a row that must fit a page but cannot", shown("tr:has(.long-value)")+`.filter(e => getComputedStyle(e).breakInside === "avoid")`+inShort)
	b.open("/h/local/devices/states")
	b.none("still folded on paper", shown(".fold")+`.filter(f => [...f.children].some(c => c.tagName !== "SUMMARY" && !c.checkVisibility({contentVisibilityAuto: true}) ))`+inShort)
}

// forcedLook: signs, choices and the focus can be seen where the system takes
// the colours away.
func forcedLook(b *tab) {
	b.emulate("", &emulation.MediaFeature{Name: "forced-colors", Value: "active"})
	b.open("/h/local/devices/states")
	b.none("a sign cannot be seen", shown(".sign")+`.filter(e => { const s = getComputedStyle(e); return !e.getBoundingClientRect().width || s.color === getComputedStyle(document.body).backgroundColor })`+inShort)
	b.none("a state without an outline", shown(".state")+`.filter(e => !parseFloat(getComputedStyle(e).borderTopWidth))`+inShort)
	b.none("the place where one is looks like the others", shown("[aria-current=page]")+`.filter(e => getComputedStyle(e).outlineStyle === "none")`+inShort)
	b.open("/h/local/devices/states/edit/desired")
	b.none("what is chosen looks like the rest", shown(".button[aria-pressed=true]")+`.filter(e => getComputedStyle(e).outlineStyle === "none")`+inShort)
	if _, err := chromedp.Call(b.ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		b.t.Fatal(err)
	}
	for _, path := range []string{"/h/local/devices", "/h/local/changes"} {
		b.open(path)
		b.evaluate(`window.unseen = []; for (const e of ` + shown("a[href], button, input, summary, select") + `) {
			e.focus({focusVisible: true}); const s = getComputedStyle(e)
			if (document.activeElement === e && (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2)) window.unseen.push(e.outerHTML.slice(0, 90)) }; void 0`)
		b.none("the focus cannot be seen", "window.unseen")
	}
}

// stillLook: nothing moves for whoever asks for that.
func stillLook(b *tab) {
	b.emulate("", &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
	for _, path := range []string{"/h/local", "/h/local/devices", "/h/local/devices/states", "/h/local/query", "/h/local/simulator", "/h/local/learn/1"} {
		b.open(path)
		b.evaluate(`document.querySelectorAll("[data-value]").forEach(e => e.dataset.changed = "changed")`)
		b.none("moves", `[...document.querySelectorAll("body *")].filter(e => { const s = getComputedStyle(e)
			return !e.matches(".reading, .late") && (s.animationName !== "none" || s.transitionDuration.split(", ").some(d => parseFloat(d) > 0)) })`+inShort)
	}
}

// largeLook: text of twice the size fits a phone and a wide window.
func largeLook(b *tab) {
	for _, state := range mainStates {
		if state.act == nil {
			b.fitsLarge(390, state.path)
		}
		if strings.Contains(state.path, "dock=") {
			b.foldsLarge()
		}
	}
	for _, path := range []string{"/h/local", "/h/local/devices", "/h/local/devices/states", "/h/local/devices/states/edit/desired"} {
		b.fitsLarge(1280, path)
	}
}

// foldsLarge fails when the panel beside a page leaves little of a phone to it.
func (b *tab) foldsLarge() {
	b.t.Helper()
	b.until("the panel leaves the phone to the page", `document.querySelector("#side").offsetHeight <= 100`)
	b.click("#side summary")
	b.see("#side .side-body")
	b.none("the panel's name twice", shown(".side-bar > h2")+inShort)
	if height := must(b, "height", chromedp.Evaluate[int](`document.querySelector("#side").offsetHeight`)); height > 340 {
		b.t.Errorf("the panel takes %d px of a phone when it is unfolded", height)
	}
}

func (b *tab) fitsLarge(width int64, path string) {
	b.t.Helper()
	b.window(width, 844)
	b.open(path)
	b.evaluate(`document.documentElement.style.fontSize = "200%"; void 0`)
	if over := must(b, "width", chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`)); over > 0 {
		b.t.Errorf("%s with text of twice the size scrolls sideways by %d px of %d", path, over, width)
	}
}
