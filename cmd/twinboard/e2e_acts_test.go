package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"twinboard/hubclient/iothub"
)

var (
	longID       = strings.Repeat("long", iothub.MaxDeviceIDLength/4)
	attackerPath = url.PathEscape(attackerID)
	// tooMuch is a little more than a section of a twin may hold.
	tooMuch = oversized()
	badCSV  = "deviceId,tags.bay,desired.interval,colour,tags.bay\n" +
		"a b,b1,30,1,2\n" + long(200) + ",b1,30,1,2\n" + "ok-1,\"unfinished,30,1,2\n"
)

func oversized() string {
	var parts []string
	for n := range 9 {
		parts = append(parts, fmt.Sprintf(`"chunk%d":%q`, n, long(4000)))
	}
	return "{" + strings.Join(parts, ",\n") + "}"
}

// long is a word of n letters, of which nothing is a word of a language.
func long(n int) string { return strings.Repeat("x", n) }

func asks(query string) string { return "/h/local/query?q=" + escape(query) }

func lesson(step int, done bool) string {
	return fmt.Sprintf(`[data-testid=learn][data-step="%d"] [data-done=%s]`, step, strconv.FormatBool(done))
}

// call is the newest call of a method, in a state.
func call(state string) string {
	return "h2 + " + testid("method-call") + "[data-state=" + state + "]"
}

func clicks(selector string) func(*visit) { return func(v *visit) { v.click(selector) } }

func follows(selector string) func(*visit) { return func(v *visit) { v.follow(selector) } }

func presses(key string) func(*visit) { return func(v *visit) { v.press(key) } }

// opens unfolds the first <details> of a selector.
func opens(selector string) func(*visit) {
	return func(v *visit) { v.click(selector + " > summary") }
}

// sends posts a form to an address, as a page without script would.
func sends(path, fields string) func(*visit) {
	return func(v *visit) { v.send(path, fields) }
}

func (v *visit) send(path, fields string) {
	v.t.Helper()
	values, err := url.ParseQuery(fields)
	if err != nil {
		v.t.Fatal(err)
	}
	list, err := json.Marshal(values)
	if err != nil {
		v.t.Fatal(err)
	}
	v.evaluate(fmt.Sprintf(`(() => {
		window.before = true
		const form = document.createElement("form")
		form.method = "post"; form.action = %q
		for (const [name, values] of Object.entries(%s)) for (const value of values) {
			const field = document.createElement("textarea")
			field.name = name; field.value = value; form.append(field)
		}
		document.body.append(form)
		form.submit()
	})()`, path, list))
	v.until("the answer to "+path, `!window.before && document.readyState === "complete"`)
}

func phoneFilters(v *visit) {
	v.window(narrow[0], 900)
	v.click("#devices-panel > summary")
}

func addDevice(id string) func(*visit) {
	return func(v *visit) {
		v.fill("[name=id]", id)
		v.click(testid("add-form") + " .button-primary")
	}
}

// write puts a text into the code editor.
func (v *visit) write(text string) {
	v.t.Helper()
	const area = `document.querySelector("textarea[data-editor]")`
	v.until("the editor", area+"?.editor")
	v.evaluate(fmt.Sprintf(area+`.dispatchEvent(new CustomEvent("twinboard:fill", {detail: %s}))`, quoted(text)))
}

func writesJSON(text string) func(*visit) {
	return func(v *visit) {
		v.write(text)
		v.follow(testid("review-button"))
	}
}

func rowMistake(v *visit) {
	v.addRow("a..b", "number", "12e")
	v.follow(testid("review-button"))
}

func review(v *visit) {
	v.fill("[name=value]", "45")
	v.follow(testid("review-button"))
}

func reviewLong(v *visit) {
	v.addRow(long(90), "text", long(200))
	v.follow(testid("review-button"))
}

// meets edits a setting that another program changes meanwhile.
func meets(v *visit) {
	review(v)
	wants(v.t, v.scene.hub, "edited", iothub.Document{"level": number("40")})
	v.follow(testid("apply"))
}

func undecided(v *visit) {
	v.fill("[name=value]", "46")
	v.follow(testid("review-button"))
	wants(v.t, v.scene.hub, "edited", iothub.Document{"level": number("41")})
	v.follow(testid("apply"))
	v.follow(testid("resolve"))
}

func saves(v *visit) {
	v.fill("[name=value]", "47")
	v.follow(testid("review-button"))
	v.follow(testid("apply"))
}

func goneWhileEditing(v *visit) {
	review(v)
	if err := v.scene.hub.DeleteDevice(v.t.Context(), "batch-01", nil); err != nil {
		v.t.Fatal(err)
	}
	v.follow(testid("apply"))
}

func undoes(v *visit) {
	v.follow(testid("change-row") + ":has(" + testid("undo") + ") .change-time a")
	v.follow(testid("undo"))
}

func keyShown(v *visit) {
	v.click("form:has(#primary-key) [data-secret-reveal]")
	v.until("the key", `!document.querySelector("form:has(#primary-key) [data-secret-more]").hidden`)
}

// swapLate swaps the keys of a device that has changed since.
func swapLate(v *visit) {
	d, err := v.scene.hub.GetDevice(v.t.Context(), "fobs")
	if err != nil {
		v.t.Fatal(err)
	}
	d.StatusReason = "changed"
	if _, err := v.scene.hub.UpdateDevice(v.t.Context(), d, nil); err != nil {
		v.t.Fatal(err)
	}
	v.follow("main .button-primary")
}

// messages waits for those of the device, and a change of its twin.
func messages(v *visit) {
	v.live()
	wants(v.t, v.scene.hub, "talker", iothub.Document{"interval": number("30")})
	v.until("the change", `document.querySelector(".message[data-kind=desired]")`)
}

// calls calls a method and waits until it is in a state.
func calls(id, method, state string) func(*visit) {
	return func(v *visit) {
		v.fill("#method-name", method)
		v.fill("#method-response", "300")
		v.follow(testid("call-method"))
		v.until("the call", fmt.Sprintf("document.querySelector(%q)", call(state)))
	}
}

func methodMistake(v *visit) {
	v.write(`{"a": }`)
	v.fill("#method-response", "1")
	v.follow(testid("call-method"))
}

// selects takes all devices of the list, and an act.
func selects(act string) func(*visit) {
	return func(v *visit) {
		v.click(testid("select-page"))
		v.follow(testid("select-bar") + " [value=" + act + "]")
	}
}

// start confirms a bulk change.
func (v *visit) start() {
	v.t.Helper()
	if v.is(`document.querySelector("[data-confirm-word]")`) {
		v.fill(testid("bulk-word"), v.evaluateText(`document.querySelector("[data-confirm-word]").dataset.confirmWord`))
	}
	v.follow(testid("bulk-start"))
}

func unconfirmed(v *visit) {
	selects("delete")(v)
	v.send(v.evaluateText(`document.querySelector("[data-testid=bulk-ask]").getAttribute("action")`), "confirm=7")
}

// partlyFails disables devices of which one has changed since, and one has gone.
func partlyFails(v *visit) {
	selects("disable")(v)
	ctx := v.t.Context()
	d, err := v.scene.hub.GetDevice(ctx, "batch-02")
	if err != nil {
		v.t.Fatal(err)
	}
	d.StatusReason = "changed"
	if _, err := v.scene.hub.UpdateDevice(ctx, d, nil); err != nil {
		v.t.Fatal(err)
	}
	if err := v.scene.hub.DeleteDevice(ctx, "batch-03", nil); err != nil {
		v.t.Fatal(err)
	}
	v.start()
}

func enablesAgain(v *visit) {
	selects("disable")(v)
	v.start()
}

func deletesAll(v *visit) {
	selects("delete")(v)
	v.start()
}

func pattern(pattern, tags, desired string) func(*visit) {
	return func(v *visit) {
		v.fill("#pattern", pattern)
		v.fill("#pattern-tags", tags)
		v.fill("#pattern-desired", desired)
		v.follow(testid("import-pattern") + " .button-primary")
	}
}

func csv(text string) func(*visit) {
	return func(v *visit) {
		v.evaluate(fmt.Sprintf(`document.querySelector("#csv").value = %s; void 0`, quoted(text)))
		v.follow(testid("import-csv") + " .actions .button")
	}
}

// someRefused adds devices of which another program adds one first.
func someRefused(v *visit) {
	csv("deviceId,tags.bay\nspare-01,b1\nspare-02,b1\nspare-03,b1\n")(v)
	if _, err := v.scene.hub.CreateDevice(v.t.Context(), iothub.Device{DeviceID: "spare-02"}); err != nil {
		v.t.Fatal(err)
	}
	v.start()
}

func simulatesDisabled(v *visit) {
	v.send("/h/local/simulator/device", "id=barred&back=/h/local/simulator")
	v.until("the reason", `[...document.querySelectorAll("[data-testid=sim-reason]")].some(r => !r.hidden)`)
}

// bulkWaits deletes on a hub that asks to slow down.
func bulkWaits(v *visit) {
	selects("delete")(v)
	v.start()
}

func bulkStops(v *visit) {
	bulkWaits(v)
	v.until("the wait", `document.querySelector("[data-testid=bulk-wait]")`)
	v.follow(testid("bulk-square"))
}

func bulkTorn(v *visit) {
	selects("delete")(v)
	v.start()
	v.until("its end", `!document.querySelector("[data-phase=running]")`)
}
