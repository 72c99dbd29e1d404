package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// browser is one Chromium; its tabs share cookies.
type browser struct{ allocator context.Context }

func startBrowser(t testing.TB) browser {
	t.Helper()
	return startBrowserIn(t, "en")
}

// startBrowserIn starts a Chromium whose person reads a language.
func startBrowserIn(t testing.TB, lang string) browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("accept-lang", lang),
		chromedp.Flag("kiosk", true),                     // no bars round the page, which would be drawn with it
		chromedp.Flag("js-flags", "--no-flush-bytecode"), // what one page compiled serves the next
		chromedp.Flag("allow-pre-commit-input", true))    // input on a page without a frame yet counts
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	return browser{allocator}
}

// tab is one page of a browser. What its console complains about fails the test.
type tab struct {
	ctx  context.Context
	t    testing.TB
	base string
}

func (b browser) tab(t testing.TB, base string) *tab {
	t.Helper()
	return newTab(b.allocator, t, base)
}

func newTab(parent context.Context, t testing.TB, base string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent)
	messages := chromedp.Console(ctx)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		complain(t, messages)
	}()
	tab := &tab{ctx: ctx, t: t, base: base}
	t.Cleanup(func() {
		if t.Failed() {
			tab.keepPicture()
		}
		cancel()
		<-done
	})
	tab.window(1280, 900)
	return tab
}

// complain reports the errors of a page. Refusals of ours have a status of 4xx,
// which Chromium reports as a failed resource: those of the network are left out.
func complain(t testing.TB, messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.IsException() || m.Type == "error" && m.Source != "network" {
			t.Errorf("the browser's console: %s (%s)", m, m.URL)
		}
	}
}

// keepPicture leaves a screenshot of a failed test in the folder SCREENSHOTS.
func (b *tab) keepPicture() {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(90))
	if err != nil {
		b.t.Log(err)
		return
	}
	name := strings.ReplaceAll(b.t.Name(), "/", "-") + ".png"
	if err := os.WriteFile(filepath.Join(dir, name), picture, 0o600); err != nil {
		b.t.Log(err)
	}
}

// must runs one action within its own deadline.
func must[T any](b *tab, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.describe())
	}
	return value
}

// describe says where the tab is and what it shows.
func (b *tab) describe() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return s
}

func (b *tab) open(path string) {
	b.t.Helper()
	must(b, "open "+path, chromedp.Navigate(b.base+path))
}

func testid(id string) string { return fmt.Sprintf("[data-testid=%q]", id) }

func (b *tab) click(selector string) {
	b.t.Helper()
	must(b, "click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// follow clicks something that leads to another page and waits until it is there.
func (b *tab) follow(selector string) {
	b.t.Helper()
	b.evaluate("window.before = true")
	b.click(selector)
	b.until("the next page after "+selector, `!window.before && document.readyState === "complete"`)
}

// evaluate runs JavaScript in the page.
func (b *tab) evaluate(expression string) {
	b.t.Helper()
	must(b, expression, chromedp.Evaluate[chromedp.Void](expression))
}

// is evaluates a condition in the page.
func (b *tab) is(condition string) bool {
	b.t.Helper()
	return must(b, condition, chromedp.Evaluate[bool]("!!("+condition+")"))
}

// until waits for a condition in the page, across pages.
func (b *tab) until(what, condition string) {
	b.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := b.holds(condition)
		if err == nil && ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("%s: %s is still false (%v)\n%s", what, condition, err, b.describe())
		}
	}
}

// holds evaluates a condition once. A page that is just being left may never
// answer, hence the deadline.
func (b *tab) holds(condition string) (bool, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
}

func (b *tab) see(selector string) {
	b.t.Helper()
	must(b, "see "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return must(b, "text of "+selector, chromedp.Text(chromedp.CSS(selector)))
}

// typed is the length up to which fill types a text. A longer one it pastes, as
// each key waits for the page.
const typed = 20

func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.see(selector)
	b.evaluate(fmt.Sprintf("document.querySelector(%q).value = ''; void 0", selector))
	if len(value) <= typed {
		must(b, "fill "+selector, chromedp.SendKeys(chromedp.CSS(selector), value))
		return
	}
	must(b, "focus "+selector, chromedp.Focus(chromedp.CSS(selector)))
	must(b, "paste into "+selector, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: value})
		return err
	}))
}

// withoutScript switches JavaScript off for the pages opened from now on.
func (b *tab) withoutScript() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		b.t.Fatal(err)
	}
}

// another opens a second tab of the same browser.
func (b *tab) another(t *testing.T) *tab {
	t.Helper()
	return newTab(b.ctx, t, b.base)
}

// live waits until the page's event stream is open.
func (b *tab) live() {
	b.t.Helper()
	b.until("the event stream", `document.querySelector("[data-testid=live]")?.dataset.state === "on"`)
}

// background makes the page think that its tab is hidden, or shown again: in
// headless Chromium every tab counts as shown.
func (b *tab) background(hidden bool) {
	b.t.Helper()
	state := "visible"
	if hidden {
		state = "hidden"
	}
	b.evaluate(`Object.defineProperty(document, "visibilityState", {value: "` + state + `", configurable: true});
		Object.defineProperty(document, "hidden", {value: ` + fmt.Sprint(hidden) + `, configurable: true});
		document.dispatchEvent(new Event("visibilitychange"));`)
}

// submit clicks a button that leads to another page, without script in it, and
// waits for something on the next one: a selector, or a word in its address.
func (b *tab) submit(selector, next string) {
	b.t.Helper()
	b.click(selector)
	b.until(next+" after "+selector, fmt.Sprintf(`document.readyState === "complete" && (location.href.includes(%[1]q) || (/[\[.#]/.test(%[1]q) && document.querySelector(%[1]q)))`, next))
}

// addRow fills a new row of the edit form.
func (b *tab) addRow(path, kind, value string) {
	b.t.Helper()
	last := testid("edit-row") + ":last-child "
	if !b.is(`document.querySelector('` + last + `input[name=path]:not([type=hidden])')`) {
		b.click(testid("add-row"))
	}
	b.fill(last+"[name=path]", path)
	b.evaluate(`(() => { const s = document.querySelector('` + last + `[name=kind]'); s.value = "` + kind + `"; s.dispatchEvent(new Event("change", {bubbles: true})); })()`)
	b.fill(last+"[name=value]", value)
}

// review goes on to the review, which must show the request to be sent.
func (b *tab) review(request string) {
	b.t.Helper()
	b.follow(testid("review-button"))
	b.see(testid("apply"))
	if got := b.evaluateText(`document.querySelector("[data-testid=request]").textContent`); !strings.Contains(strings.Join(strings.Fields(got), ""), request) {
		b.t.Errorf("the review shows the request %q, want %s in it", got, request)
	}
}

func (b *tab) evaluateText(expression string) string {
	b.t.Helper()
	return must(b, expression, chromedp.Evaluate[string](expression))
}

// startDevice starts a device that is registered, on the simulator's page, and
// waits until it runs.
func (b *tab) startDevice(id string) {
	b.t.Helper()
	b.open("/h/local/simulator")
	if !b.is(`document.querySelector("#sim-start").open`) {
		b.click("#sim-start > summary")
	}
	b.fill("#sim-id", id)
	b.follow(testid("sim-start-one") + " button")
	b.until(id+" online", `[...document.querySelectorAll("[data-testid=sim-row]")].some(r => r.dataset.sim === "online" && r.innerText.includes("`+id+`"))`)
}

func escape(s string) string { return url.QueryEscape(s) }

func number(s string) json.Number { return json.Number(s) }

// setTag writes the tag note of a device, past the dashboard.
func setTag(t *testing.T, c *hubclient.Client, id, note string) {
	t.Helper()
	if _, err := c.UpdateTwin(t.Context(), id, iothub.TwinPatch{Tags: iothub.Document{"note": note}}, nil); err != nil {
		t.Fatal(err)
	}
}

// client reaches the program's own hub, to check what a page did.
func (p *program) client(t testing.TB, policy string) *hubclient.Client {
	t.Helper()
	cs, err := iothub.ParseServiceConnectionString(ask(t, "connection-string", "--data", p.Data, "--policy", policy))
	if err != nil {
		t.Fatal(err)
	}
	cas, err := readCAs(p.CA)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hubclient.New(cs, &hubclient.Options{RootCAs: cas})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// found runs a query and returns the ids of the devices it finds.
func found(t *testing.T, c *hubclient.Client, query string) []string {
	t.Helper()
	page, err := c.QueryPage(t.Context(), query, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, row := range page.Rows {
		doc, err := iothub.ParseDocument(row)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, fmt.Sprint(doc["deviceId"]))
	}
	return ids
}
