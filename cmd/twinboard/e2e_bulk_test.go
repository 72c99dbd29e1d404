package main

import (
	"strings"
	"testing"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// walkManySettings changes the settings of both devices that were read from a file,
// and takes that back: of the one that somebody else has changed since, only what is
// still as it was written.
func walkManySettings(t *testing.T, b *tab, _ *program, hub *hubclient.Client) {
	has := func(id string, want iothub.Document) {
		t.Helper()
		twin, err := hub.GetTwin(t.Context(), id)
		if err != nil || len(iothub.Diff(twin.Properties.Desired.Value, want)) > 0 {
			t.Errorf("%v, %s has %v, want %v", err, id, twin.Properties.Desired.Value, want)
		}
	}
	b.open("/h/local/devices?q=csv-")
	b.until("both devices", `document.querySelectorAll("[data-testid=device-row]").length === 2 || (location.reload(), false)`)
	b.click(testid("select-page"))
	b.follow(testid("select-bar") + " [value=desired]")
	b.addRow("mode", "text", "eco")
	b.click(testid("add-row"))
	b.addRow("level", "number", "1.0")
	b.click(testid("add-removal"))
	b.fill(".edit-row-removed:last-child [name=path]", "interval")
	b.follow(testid("review-button"))
	if got := b.text(testid("bulk-sets")); !strings.Contains(got, "The setting mode becomes eco.") || !strings.Contains(got, "The setting interval is removed") {
		t.Errorf("the review says %q", got)
	}
	if got := b.text(testid("samples")); !strings.Contains(got, "csv-1") || !strings.Contains(got, "30") || !strings.Contains(got, "csv-2") {
		t.Errorf("before and after: %q", got)
	}
	b.follow(testid("back-to-editing"))
	b.follow(testid("review-button")) // all of it is still there
	b.follow(testid("bulk-start"))
	b.until("both have it", `document.querySelector("[data-phase=done]")?.innerText.includes("2 of 2 devices have the new settings.")`)
	for _, id := range []string{"csv-1", "csv-2"} {
		has(id, iothub.Document{"mode": "eco", "level": number("1.0")})
	}
	wants(t, hub, "csv-2", iothub.Document{"mode": "full"})
	b.follow(testid("bulk-undo-2"))
	b.follow(testid("bulk-start"))
	b.until("both are told of", `document.querySelector("[data-phase=done]")?.innerText.includes("Changed since and left alone: mode.")`)
	has("csv-1", iothub.Document{"interval": number("30")})
	has("csv-2", iothub.Document{"interval": number("60"), "mode": "full"})
	b.open("/h/local/devices/csv-1?view=history")
	if got := b.text(testid("change-row")); !strings.Contains(got, "interval") {
		t.Errorf("the history of csv-1 shows %q", got)
	}
}

// changesAsJSON takes all devices of the list, to change a section of theirs.
func changesAsJSON(section string) func(*visit) {
	return func(v *visit) {
		selects(section)(v)
		v.follow(testid("as-json"))
	}
}

// removesMany adds a row for what goes, as without script: what only the browser
// knew would keep the page from being left.
func removesMany(v *visit) {
	selects("desired")(v)
	v.evaluate(`document.querySelector("[data-testid=add-removal]").removeAttribute("data-rows-add"); void 0`)
	v.follow(testid("add-removal"))
}

func namesNothing(v *visit) {
	selects("tags")(v)
	v.follow(testid("review-button"))
}

func manyMistakes(v *visit) {
	selects("desired")(v)
	v.fill("[name=path]", "a..b")
	v.click(testid("add-removal"))
	v.follow(testid("review-button"))
}

func reviewsMany(section, patch string) func(*visit) {
	return func(v *visit) {
		changesAsJSON(section)(v)
		v.write(patch)
		v.follow(testid("review-button"))
	}
}

// changesMany changes devices of which one has the values already.
func changesMany(v *visit) {
	wants(v.t, v.scene.hub, "batch-02", iothub.Document{"level": number("45")})
	v.makeMany(`{"level": 45}`)
}

// makeMany makes a change of the settings of all devices of the list.
func (v *visit) makeMany(patch string) {
	v.t.Helper()
	reviewsMany("desired", patch)(v)
	v.start()
	v.until("its end", `document.querySelector("[data-phase=done]")`)
}

func undoesMany(v *visit) {
	v.makeMany(`{"level": 46, "mode": "eco"}`)
	v.follow(testid("bulk-undo-2"))
}

// undoesSome takes a change back of which another program has changed some again.
func undoesSome(v *visit) {
	v.makeMany(`{"level": 47, "mode": null}`)
	wants(v.t, v.scene.hub, "batch-04", iothub.Document{"level": number("50"), "mode": "full"})
	wants(v.t, v.scene.hub, "batch-05", iothub.Document{"level": number("50")})
	v.follow(testid("bulk-undo-2"))
	v.start()
}

// changesOnBusy changes devices on a hub that asks to slow down.
func changesOnBusy(v *visit) {
	reviewsMany("desired", `{"level": 45}`)(v)
	v.start()
}
