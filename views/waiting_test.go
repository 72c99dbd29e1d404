package views_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestWaiting: while the next page does not come, the present one stays, says
// that it waits, and lets a read be given up; what was typed is still there.
// Chromium answers nothing while it waits: the page itself looks and acts.
func TestWaiting(t *testing.T) {
	s := newSite(t, raw(`<a id="away" href="/slow">away</a>
		<form action="/slow" data-running="Running… {n} s"><input name="q" id="q"><button id="run">Run</button></form>
		<form method="post" action="/form" data-running="Sending… {n} s"><button id="apply">Apply</button></form>`))
	slow := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	s.answer, s.slow = slow, slow
	b := open(t, s.URL)
	b.wait(`document.getElementById("live").dataset.state === "on"`)
	b.want(`document.getElementById("waiting").hidden`)
	b.run(`window.place = document.getElementById("waiting"); window.words = place.querySelector("[data-waiting-words]")
		window.giveUp = place.querySelector("[data-waiting-stop]"); window.seen = []
		window.when = (name, condition, act) => { const timer = setInterval(() => { if (condition()) { clearInterval(timer); seen.push(name); act() } }, 10) }`)

	b.run(`when("busy", () => !place.hidden && run.getAttribute("aria-busy") === "true" && words.hidden, () => {})
		when("words", () => words.innerText.startsWith("Running… 1 s"), () => giveUp.click())`)
	b.do(chromedp.SendKeys(chromedp.ID("q"), "SELECT"), chromedp.Click(chromedp.ID("run")))
	b.wait(`seen.join() === "busy,words"`)
	b.want(`place.hidden && !run.hasAttribute("aria-busy")`)
	b.want(`q.value === "SELECT" && location.pathname === "/"`)

	b.run(`when("line", () => !place.hidden && words.hidden, () => { window.stop(); document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"})) })`)
	b.do(chromedp.Click(chromedp.ID("away")))
	b.wait(`seen.at(-1) === "line"`)
	b.want(`place.hidden`)

	// What was sent may be done already: it cannot be given up.
	b.run(`when("sent", () => words.innerText.startsWith("Sending… 1 s") && giveUp.hidden, () => window.stop())`)
	b.do(chromedp.Click(chromedp.ID("apply")))
	b.wait(`seen.at(-1) === "sent"`)
}
