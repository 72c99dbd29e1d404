package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// pageCases are the pages and their states, by the address that shows them.
var pageCases = []struct{ name, path string }{
	{"overview", "/h/local"},
	{"welcome", "/welcome"},
	{"changes", "/h/local/changes"},
	{"changes without a hit", "/h/local/changes?device=nowhere"},
	{"history", "/h/local/devices/demo-01?view=history"},
	{"history of nothing", "/h/local/devices/states?view=history"},
	{"devices", "/h/local/devices"},
	{"devices without a hit", "/h/local/devices?q=nowhere"},
	{"devices of a state", "/h/local/devices?state=rejected"},
	{"add a device", "/h/local/add-device"},
	{"compare", "/h/local/devices/states"},
	{"json", "/h/local/devices/states?view=json"},
	{"identity", "/h/local/devices/states?view=identity"},
	{"modules", "/h/local/devices/states?view=modules"},
	{"messages", "/h/local/devices/states?view=messages"},
	{"methods", "/h/local/devices/states?view=methods"},
	{"no such module", "/h/local/devices/states/modules/nobody"},
	{"edit as rows", "/h/local/devices/states/edit/desired"},
	{"edit as json", "/h/local/devices/states/edit/tags?as=json"},
	{"delete", "/h/local/devices/states/delete"},
	{"disable", "/h/local/devices/states/disable"},
	{"no such device", "/h/local/devices/nobody"},
	{"query", "/h/local/query"},
	{"query answered", "/h/local/query?q=SELECT+*+FROM+devices"},
	{"query as json", "/h/local/query?as=json&q=SELECT+*+FROM+devices"},
	{"query projected", "/h/local/query?q=SELECT+deviceId,+tags.location+FROM+devices"},
	{"query without a hit", "/h/local/query?q=SELECT+*+FROM+devices+WHERE+tags.x=1"},
	{"query with a mistake", "/h/local/query?q=SELECT+*+FROM+devices+WHERE+tags.group=1"},
	{"simulator", "/h/local/simulator"},
	{"simulator beside", "/h/local/devices/demo-01?dock=simulator"},
	{"stop all", "/h/local/simulator/stop-all"},
	{"tutorial 1", "/h/local/learn/1"},
	{"tutorial 2", "/h/local/learn/2"},
	{"tutorial 3", "/h/local/learn/3"},
	{"tutorial 5", "/h/local/learn/5"},
	{"tutorial 7", "/h/local/learn/7"},
	{"tutorial beside", "/h/local/devices?dock=learn"},
	{"no such page", "/h/local/nothing"},
	{"no such hub", "/h/elsewhere/devices"},
}

// TestE2EAccessible looks at every page with axe, light in English and dark in
// Spanish: theme and language do not change each other's findings.
func TestE2EAccessible(t *testing.T) {
	axe, err := os.ReadFile("../../node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("axe is missing, run make setup: %v", err)
	}
	p := startProgram(t, "serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0",
		"--log-level", "error", "--data", prepare(t, manyStates), "--demo", "2")
	browser := startBrowser(t)
	for _, look := range []struct{ theme, lang string }{{"light", "en"}, {"dark", "es"}} {
		t.Run(look.theme+" "+look.lang, func(t *testing.T) {
			b := browser.tab(t, p.Dashboard)
			b.prefer("prefers-color-scheme", look.theme)
			for _, page := range pageCases {
				b.open(inLanguage(page.path, look.lang))
				b.accessible(page.name, string(axe))
			}
		})
	}
}

func inLanguage(path, lang string) string {
	if strings.Contains(path, "?") {
		return path + "&lang=" + lang
	}
	return path + "?lang=" + lang
}

// prefer sets what the system prefers, as a media query asks for it.
func (b *tab) prefer(feature, value string) {
	b.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: feature, Value: value}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, params); err != nil {
		b.t.Fatal(err)
	}
}

// accessible fails with what axe finds on the page.
func (b *tab) accessible(name, axe string) {
	b.t.Helper()
	b.evaluate(axe + "; void 0")
	b.evaluate(`window.found = undefined; axe.run({resultTypes: ["violations"]}).then(r => { window.found = r.violations.map(v =>
		v.id + ": " + v.help + "\n    " + v.nodes.slice(0, 5).map(n => n.target.join(" ")).join("\n    ")).join("\n") }, e => { window.found = String(e) }); void 0`)
	b.until("axe", "window.found !== undefined")
	if found := b.evaluateText("window.found"); found != "" {
		b.t.Errorf("%s (%s):\n%s", name, must(b, "address", chromedp.Location()), fmt.Sprint(found))
	}
}
