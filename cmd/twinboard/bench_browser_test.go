package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"twinboard/hubclient"
)

// saveInBrowser edits the wanted value of the device whose page is open, as far
// as the review, and returns the milliseconds from pressing its button until the
// patch that the device received is a line of the simulator's panel beside it.
const saveInBrowser = `(async () => {
	const action = location.pathname + "/edit/desired"
	const parse = async answer => new DOMParser().parseFromString(await (await answer).text(), "text/html")
	const post = body => fetch(action, {method: "POST", body, redirect: "manual"})
	const filled = (form, act) => { const v = new URLSearchParams(new FormData(form)); v.set("do", act); return v }
	const editor = (await parse(fetch(action))).querySelector("#twin-edit")
	editor.querySelector("[name=value]").value = "%[1]d"
	const review = (await parse(post(filled(editor, "review")))).querySelector("#twin-review")
	const panel = document.querySelector("[data-testid=simulator] [data-feed]")
	const arrived = new Promise(resolve => new MutationObserver((_, o) => {
		if (panel.textContent.includes("power_level %[1]d")) { o.disconnect(); resolve(performance.now()) }
	}).observe(panel, {childList: true, subtree: true, characterData: true}))
	const body = filled(review, "apply"), pressed = performance.now()
	post(body)
	return await arrived - pressed
})()`

// BenchmarkSaveInBrowser saves on a device's page in Chromium while 1,000
// simulated devices run: form, HTTPS with SAS, durable commit, MQTT over TLS to
// the device, event stream, line in the panel.
func BenchmarkSaveInBrowser(b *testing.B) {
	const others = 1000
	p := serve(b, "--demo", fmt.Sprint(others))
	waitTagged(b, p.client(b, "iothubowner"), fmt.Sprint("demo-", others))
	tab := startBrowser(b).tab(b, p.Dashboard)
	tab.open("/h/local/devices/demo-01?dock=simulator")
	tab.live()
	var took []float64
	for n := 100; b.Loop(); n++ {
		took = append(took, must(tab, "save", chromedp.Evaluate[float64](fmt.Sprintf(saveInBrowser, n), chromedp.EvalAwaitPromise)))
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "ms-p50")
	b.ReportMetric(took[len(took)*99/100], "ms-p99")
}

// waitTagged waits for a device of the demo to have its tags, which come when all
// run.
func waitTagged(b testing.TB, client *hubclient.Client, id string) {
	b.Helper()
	deadline := time.Now().Add(2 * patience)
	for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
		twin, err := client.GetTwin(b.Context(), id)
		if err == nil && len(twin.Tags) > 0 {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s has no tags: %v", id, err)
		}
	}
}
