package main

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"twinboard/views/text"
)

// narrow are the widths at which no page may scroll sideways: a phone's, and that
// of 1280 px at 400 % (WCAG 1.4.10).
var narrow = []int64{390, 320}

// TestE2EStates brings every page into each of its states, in English and light,
// and in Spanish and dark: theme and language do not change each other's findings.
// Whatever the state, axe finds nothing, the page has one heading and its
// language, fits narrow screens, and speaks that language alone.
func TestE2EStates(t *testing.T) {
	t.Parallel()
	axe, err := os.ReadFile("../../node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("axe is missing, run make setup: %v", err)
	}
	english := newEnglishOnly(t)
	for _, look := range []struct{ theme, lang string }{{"light", "en"}, {"dark", "es"}} {
		t.Run(look.lang+" "+look.theme, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			b := startBrowserIn(t, look.lang).tab(t, "")
			b.prefer("prefers-color-scheme", look.theme)
			for _, group := range []struct {
				of     *program
				states []pageState
			}{{s.far, farStates}, {s.empty, emptyStates}, {s.main, mainStates}, {s.far, lateStates}} {
				for _, state := range group.states {
					t.Run(state.name, func(t *testing.T) {
						v := &visit{tab: b.as(t, group.of), scene: s, lang: look.lang, english: english}
						v.reach(state)
						v.inspect(string(axe))
					})
				}
			}
		})
	}
}

// visit is one look at one state of a page.
type visit struct {
	*tab
	scene   *scene
	lang    string
	english englishOnly
}

// reach opens the page and brings it into the state.
func (v *visit) reach(state pageState) {
	v.t.Helper()
	v.window(1280, 900)
	v.open(state.path)
	if state.act != nil {
		state.act(v)
	}
	v.until("the state", fmt.Sprintf(`document.readyState === "complete" && document.querySelector(%q)?.checkVisibility()`, state.shows))
	if state.says != "" {
		words := text.T(text.With(v.t.Context(), v.lang), state.says)
		v.until(state.says, fmt.Sprintf(`document.body.innerText.includes(%q)`, words))
	}
}

// findings is what a page says of itself.
type findings struct {
	Axe   []string    // what axe finds
	H1    int         // how many
	Lang  string      // of the document
	Words []utterance // all that the page says in its own voice
}

// inspect checks the page as it stands.
func (v *visit) inspect(axe string) {
	v.t.Helper()
	v.evaluate(axe + "; void 0")
	var f findings
	if err := json.Unmarshal([]byte(must(v.tab, "inspect", chromedp.Evaluate[string](inspection, chromedp.EvalAwaitPromise))), &f); err != nil {
		v.t.Fatal(err)
	}
	for _, found := range f.Axe {
		v.t.Errorf("axe: %s", found)
	}
	if f.H1 != 1 {
		v.t.Errorf("the page has %d headings of the first level", f.H1)
	}
	if f.Lang != v.lang {
		v.t.Errorf("the document's language is %q", f.Lang)
	}
	if v.lang == "es" {
		for _, left := range v.english.in(f.Words) {
			v.t.Errorf("English in a Spanish page: %s", left)
		}
	}
	for _, width := range narrow {
		v.window(width, 900)
		v.until(fmt.Sprintf("%d px", width), fmt.Sprintf("innerWidth === %d", width))
		if out := v.evaluateText(sideways); out != "" {
			v.t.Errorf("scrolls sideways at %d px: %s", width, out)
		}
	}
}

// inspection gathers findings. A page that animates is judged by how it ends up.
const inspection = `(async () => {
	for (const a of document.getAnimations()) try { a.finish() } catch {}
	const said = []
	const say = (where, text) => { text = text.replace(/\s+/g, " ").trim(); if (text) said.push({where, text}) }
	const walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT)
	for (let n = walk.nextNode(); n; n = walk.nextNode()) {
		const e = n.nodeType === Node.TEXT_NODE ? n.parentElement : n
		const where = e.localName + (e.id && "#" + e.id) + [...e.classList].map(c => "." + c).join("")
		if (n === e) {
			if (!e.closest(` + "`" + named + "`" + `))
				for (const a of e.attributes)
					if (` + spoken + `.test(a.name) && !(a.name === "placeholder" && e.matches(".mono")) || e.name === "description") say(where + "[" + a.name + "]", a.value)
		} else if (!e.closest(` + "`" + foreign + "`" + `)) say(where, n.data)
	}
	const r = await axe.run({resultTypes: ["violations"]})
	return JSON.stringify({
		Axe: r.violations.map(v => v.id + ": " + v.help + v.nodes.slice(0, 5).map(n => "\n    " + n.target.join(" ")).join("")),
		H1: document.querySelectorAll("h1").length, Lang: document.documentElement.lang, Words: said,
	})
})()`

// sideways names what makes the page wider than the screen.
const sideways = `(() => {
	const root = document.documentElement, width = root.clientWidth
	if (root.scrollWidth <= width) return ""
	const scrolls = e => e && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement))
	return root.scrollWidth + " px: " + [...document.body.querySelectorAll("*")]
		.filter(e => e.getBoundingClientRect().right > width + 1 && !scrolls(e.parentElement)).slice(0, 5)
		.map(e => e.localName + (e.id && "#" + e.id) + [...e.classList].map(c => "." + c).join("")).join(", ")
})()`

// prefer sets what the system prefers, as a media query asks for it.
func (b *tab) prefer(feature, value string) {
	b.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: feature, Value: value}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, params); err != nil {
		b.t.Fatal(err)
	}
}

// as is the same tab within a subtest, on a program.
func (b *tab) as(t testing.TB, p *program) *tab {
	return &tab{ctx: b.ctx, t: t, base: p.Dashboard}
}
