package main

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// apart runs a hub and a dashboard of it as two programs. restart stops the hub
// and starts it again where it was.
func apart(t *testing.T) (dashboard *program, hub *hubclient.Client, restart func(between func())) {
	t.Helper()
	data, https := t.TempDir(), "127.0.0.1:0"
	start := func() *program {
		return startProgram(t, "hub", "--data", data, "--hub-https", https, "--hub-mqtt", "127.0.0.1:0", "--log-level", "error")
	}
	h := start()
	https = "127.0.0.1" + h.HTTPS[len("localhost"):]
	file := filepath.Join(t.TempDir(), "hub")
	if err := os.WriteFile(file, []byte(ask(t, "connection-string", "--data", data)), 0o600); err != nil {
		t.Fatal(err)
	}
	dashboard = startProgram(t, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--hub", "far=@"+file, "--hub-ca", h.CA, "--log-level", "error")
	return dashboard, h.client(t, "iothubowner"), func(between func()) {
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		between()
		h = start()
	}
}

func wants(t testing.TB, c *hubclient.Client, id string, desired iothub.Document) {
	t.Helper()
	if _, err := c.UpdateTwin(t.Context(), id, iothub.TwinPatch{Desired: desired}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestE2ETwinStandsStill reads, selects and types on the pages of a device while
// it changes, and while its hub is away: nothing of the person's is touched.
func TestE2ETwinStandsStill(t *testing.T) {
	p, hub, restart := apart(t)
	if _, err := hub.CreateDevice(t.Context(), iothub.Device{DeviceID: "pump-07"}); err != nil {
		t.Fatal(err)
	}
	setTag(t, hub, "pump-07", "untouched")
	wants(t, hub, "pump-07", iothub.Document{"interval": number("1")})
	reader := startBrowser(t).tab(t, p.Dashboard)
	reader.open("/h/far/devices/pump-07")
	reader.live()
	const row, tags = `document.querySelector("[data-testid=setting]")`, `document.querySelector("[data-testid=tags]")`

	// The state opens to its trace, which goes on under the focus.
	reader.click(testid("setting") + " .trace > summary")
	for n := range 12 {
		wants(t, hub, "pump-07", iothub.Document{"interval": number(strconv.Itoa(n + 2))})
	}
	reader.until("the newest value", row+`.innerText.includes("13")`)
	reader.until("the newest trace", row+`.querySelector(".trace-steps").innerText.includes("version 14")`)
	if !reader.is(row + `.querySelector(".trace").open && document.activeElement.matches(".trace > summary")`) {
		t.Error("the trace was closed, or lost the focus")
	}

	// A selection holds its place; all around it goes on.
	reader.evaluate(`document.activeElement.blur(); getSelection().selectAllChildren(` + tags + `.querySelector("dd")); void 0`)
	for n := range 5 {
		setTag(t, hub, "pump-07", "note "+strconv.Itoa(n))
		wants(t, hub, "pump-07", iothub.Document{"interval": number(strconv.Itoa(n + 20))})
	}
	reader.until("the value beside the selection", row+`.innerText.includes("24")`)
	if got := reader.evaluateText(`getSelection().toString().trim()`); got != "untouched" {
		t.Errorf("the selection became %q", got)
	}

	writer := reader.another(t)
	writer.open("/h/far/devices/pump-07?view=messages")
	writer.live()
	typing := func(text string) {
		t.Helper()
		must(writer, "type "+text, chromedp.SendKeys(chromedp.CSS("#message-text"), text))
	}
	typing("inter")
	lines := func(n int) string {
		return `document.querySelectorAll("[data-testid=message]").length >= ` + strconv.Itoa(n)
	}
	wants(t, hub, "pump-07", iothub.Document{"interval": number("30")})
	writer.until("a line more", lines(1))
	restart(func() {
		reader.until("the page says that the hub is away", `!document.querySelector("[data-testid=twin-notice]").hidden`)
		typing("v")
	})
	typing("al")
	writer.until("a gap where something may be missing", `document.querySelector(".message[data-kind=gap]")`)
	wants(t, hub, "pump-07", iothub.Document{"interval": number("31")})
	writer.until("what came after", `[...document.querySelectorAll("[data-testid=message]")].at(-1).innerText.includes("31")`)
	if !writer.is(`document.activeElement.id === "message-text" && document.activeElement.value === "interval"`) {
		t.Error("what was typed, or the focus, is lost")
	}
	reader.until("the page is up to date again", `document.querySelector("[data-testid=twin-notice]").hidden && `+row+`.innerText.includes("31")`)
	if !reader.is(row + `.querySelector(".trace").open`) {
		t.Error("the trace was closed while the hub was away")
	}
}

// TestE2EMessagesPause reads a paused list while the device goes on.
func TestE2EMessagesPause(t *testing.T) {
	p := serve(t)
	hub := p.client(t, "iothubowner")
	if _, err := hub.CreateDevice(t.Context(), iothub.Device{DeviceID: "pump-07"}); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t).tab(t, p.Dashboard)
	b.open("/h/local/devices/pump-07?view=messages&show=twin")
	b.live()
	const count = `document.querySelectorAll("[data-testid=message]").length`
	setTag(t, hub, "pump-07", "one")
	b.until("a line", count+" === 1")
	b.click("[data-feed-pause]")
	setTag(t, hub, "pump-07", "two")
	setTag(t, hub, "pump-07", "three")
	b.until("the button counts what waits", `document.querySelector("[data-feed-pause]").innerText.includes("2")`)
	if !b.is(count + " === 1") {
		t.Error("a paused list goes on")
	}
	b.click("[data-feed-pause]")
	b.until("what was collected", count+" === 3")
}

// TestE2EMethod calls a method of a device that is not there, from the keyboard,
// and reads what became of it.
func TestE2EMethod(t *testing.T) {
	p := serve(t)
	hub := p.client(t, "iothubowner")
	if _, err := hub.CreateDevice(t.Context(), iothub.Device{DeviceID: "pump-07"}); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t).tab(t, p.Dashboard)
	b.open("/h/local/devices/pump-07?view=methods")
	b.fill("#method-name", "reboot")
	b.fill("#method-connect", "2")
	b.follow(testid("call-method"))
	b.live()
	b.until("the call is running", `document.querySelector("[data-testid=method-call]").dataset.state === "running"`)
	b.until("what became of it", `document.querySelector("[data-testid=method-call]").dataset.state === "offline"`)
}

// TestE2EHistory goes back in time from the keyboard, sees that this is the past,
// and undoes what was done then.
func TestE2EHistory(t *testing.T) {
	p := serve(t)
	hub := p.client(t, "iothubowner")
	if _, err := hub.CreateDevice(t.Context(), iothub.Device{DeviceID: "pump-07"}); err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t).tab(t, p.Dashboard)
	b.open("/h/local/devices/pump-07?view=history")
	b.live()
	for _, interval := range []string{"60", "30"} {
		wants(t, hub, "pump-07", iothub.Document{"interval": number(interval)})
	}
	// A device that takes long to answer gets a row of its own: its state.
	const wanted = `[data-testid=change-row][data-kind=desired]`
	b.until("both are offered", `document.querySelector("[data-testid=changes-new]")?.innerText.match(/\d+/)?.[0] >= 2`)
	b.open("/h/local/devices/pump-07")
	b.live()
	b.press("h")
	b.until("the history", `document.querySelectorAll("`+wanted+`").length === 2`)
	b.follow(wanted + " .change-time a")
	b.see(testid("past"))
	b.live()
	b.press(",")
	b.until("the version before", `document.querySelector("[data-testid=past-value]")?.innerText.replace(/\s+/g, " ") === "interval 60 30"`)
	b.live()
	b.press(".")
	b.until("the latest version", `document.querySelector("[data-testid=past-value]")?.innerText.replace(/\s+/g, " ").startsWith("interval 30 ")`)
	b.live()
	b.press("u")
	b.see(testid("apply"))
	b.follow(testid("apply"))
	twin, err := hub.GetTwin(t.Context(), "pump-07")
	if err != nil || !iothub.Equal(twin.Properties.Desired.Value["interval"], number("60")) {
		t.Errorf("%v, undone: %v", err, twin.Properties.Desired.Value)
	}
}
