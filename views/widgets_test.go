package views_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/a-h/templ"
	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"

	"twinboard/views"
	"twinboard/views/text"
)

var states = []string{"in-sync", "waiting", "waiting-offline", "applying", "rejected", "differs", "type", "silent", "device-only", "expected"}

func document(t *testing.T, doc string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// with gives a component its children.
func with(c templ.Component, children ...templ.Component) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return c.Render(templ.WithChildren(ctx, templ.Join(children...)), w)
	})
}

// gallery is one of everything.
func gallery() templ.Component {
	long := strings.Repeat("long", 40)
	var all []templ.Component
	for _, s := range states {
		all = append(all, with(views.Cell("State"), views.StateBadge(s), views.Age(views.AgeProps{Text: "12 min"})))
	}
	return templ.Join(
		views.Flash(views.FlashProps{Kind: "ok", Text: "Applied. " + long, Undo: views.Button(views.ButtonProps{Label: "Undo", Kind: "quiet"})}),
		views.Lead("lead", "2 of 9 settings differ. The oldest has waited 12 minutes."),
		views.Tabs("Views", []views.Tab{{Label: "Compare", Href: "/", Current: true}, {Label: "Identity", Href: "/i"}}),
		with(views.DataTable(views.TableProps{ID: "rows", Caption: "Devices", Columns: []views.Column{{Label: "Device", SortHref: "/?sort=id", Sorted: "ascending"}, {Label: "State"}}}),
			raw("<tr>"), with(views.Cell("Device"), views.DeviceText(long)), templ.Join(all...), raw("</tr>")),
		views.ErrorSummary([]views.FieldError{{FieldID: "g1", Message: long}}),
		raw(`<form>`), views.Field(views.FieldProps{ID: "g1", Name: "id", Label: "Device", Hint: "Hint", Error: long}),
		views.Field(views.FieldProps{ID: "g2", Name: "kind", Label: "Kind", Type: "select", Options: []views.Option{{Value: "a", Label: long, Selected: true}}}),
		views.Choice(views.ChoiceProps{ID: "g3", Name: "c", Value: "1", Label: "Plug", Type: "switch"}),
		views.Button(views.ButtonProps{Label: "Delete", Kind: "danger", Why: "Not on this hub.", WhyID: "why"}), raw(`</form>`),
		views.SecretField(views.SecretProps{ID: "g4", Label: "Key", RevealURL: "/secret"}),
		views.SizeMeter(views.SizeProps{Name: "tags", Text: "33.1 / 32 KB", Percent: 103}),
		views.Code(views.CodeProps{ID: "g5", Label: "curl", Text: long}),
		views.JSONTree("Twin", views.JSONTreeOf(map[string]any{long: map[string]any{"a": long}})),
		with(views.FeedPanel(views.FeedProps{ID: "g6", Label: "What happens"}), with(views.FeedLine("g6", "g7"), raw(long))),
		views.Pager(views.PagerProps{Text: "25 of 12,480", Note: "read just now", PrevHref: "/", NextHref: "/"}),
		with(views.EmptyState(views.EmptyProps{Icon: "router", Title: "No devices yet."}), views.ButtonLink(views.LinkProps{Label: "Add", Href: "/"})),
		views.ErrorNotice(views.ErrorProps{What: "The hub cannot be reached.", Safe: "Nothing was changed.", Do: "Start it.", Detail: long, Actions: []views.Link{{Label: "Back", Href: "/"}}, Reference: "4f1c"}),
	)
}

func render(t *testing.T, lang string, c templ.Component) (*html.Node, string) {
	t.Helper()
	var b strings.Builder
	if err := c.Render(text.With(t.Context(), lang), &b); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return root, b.String()
}

func find(root *html.Node, selector string) []*html.Node {
	return cascadia.QueryAll(root, cascadia.MustCompile(selector))
}

func one(t *testing.T, root *html.Node, selector string) *html.Node {
	t.Helper()
	found := find(root, selector)
	if len(found) != 1 {
		t.Fatalf("%d elements %s, want one", len(found), selector)
	}
	return found[0]
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func content(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(content(c))
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestStateBadge(t *testing.T) {
	for _, state := range states {
		for _, lang := range text.Languages() {
			root, _ := render(t, lang, views.StateBadge(state))
			badge := one(t, root, `.state[data-state="`+state+`"]`)
			if word := text.T(text.With(t.Context(), lang), "state."+state); content(badge) != word {
				t.Errorf("%s in %s reads %q, want %q", state, lang, content(badge), word)
			}
			if use := one(t, root, "svg[aria-hidden=true] use"); !strings.HasSuffix(attr(use, "href"), "#state-"+state) {
				t.Errorf("%s has the sign %s", state, attr(use, "href"))
			}
		}
	}
}

func TestLayout(t *testing.T) {
	p := views.PageProps{
		Title: "pump-07 · 2 differ", Heading: "pump<07>", HeadingIsID: true, Path: "/h/local/devices?q=a&lang=es", Theme: "dark", KeysOff: true,
		Hub: views.HubChip{Name: "local", Path: "/h/local"}, Active: "devices", LiveURL: "/live/h/local/devices?after=x", Nonce: "n0nce",
		Back: views.Link{Label: "Devices", Href: "/h/local/devices"}, Side: raw("<h2>Tutorial</h2>"), SideLabel: "Tutorial",
		Flashes: []views.FlashProps{{Kind: "error", Text: "no"}, {Kind: "ok", Text: "yes"}},
	}
	root, page := render(t, "es", with(views.Layout(p), raw(`<p id="inner">content</p>`)))
	if !strings.HasPrefix(strings.ToLower(page), "<!doctype html>") {
		t.Error("no doctype")
	}
	for selector, want := range map[string]string{
		"title":                         "pump-07 · 2 differ — Twinboard",
		"h1":                            "pump<07>",
		"main #inner":                   "content",
		`nav a[aria-current="page"]`:    "Dispositivos",
		"aside[aria-label=Tutorial] h2": "Tutorial",
		".hub-kind":                     "LOCAL",
		`.flash[role="alert"] p`:        "Error: no",
		`.flash[role="status"] p`:       "Hecho: yes",
		`button[name=lang]`:             "English",
		`[data-theme-choice=dark][aria-pressed=true]`: "Oscuro",
	} {
		if got := content(one(t, root, selector)); got != want {
			t.Errorf("%s reads %q, want %q", selector, got, want)
		}
	}
	for selector, want := range map[string]string{
		"html": "lang=es data-theme=dark", "body": "data-live=/live/h/local/devices?after=x data-keys=off data-environment=local",
		"script": "nonce=n0nce", "button[name=lang]": "value=en lang=en", ".skip-link": "href=#content", "form.search": "action=/h/local/devices",
	} {
		n := one(t, root, selector)
		for pair := range strings.FieldsSeq(want) {
			name, value, _ := strings.Cut(pair, "=")
			if attr(n, name) != value {
				t.Errorf("%s has %s=%q, want %q", selector, name, attr(n, name), value)
			}
		}
	}
	for _, back := range find(root, "input[name=back]") {
		if attr(back, "value") != "/h/local/devices?q=a" {
			t.Errorf("a setting returns to %q, want the page without ?lang=", attr(back, "value"))
		}
	}
	checkPage(t, root)
}

func TestLayoutWithoutHub(t *testing.T) {
	root, _ := render(t, "en", views.ErrorPage(views.PageProps{Title: "This page does not exist"}, views.ErrorProps{What: "Nothing is here."}))
	if n := len(find(root, ".hub-chip, .search, .rail a, #live, [data-live], .side")); n != 0 {
		t.Errorf("%d parts of a hub's page", n)
	}
	checkPage(t, root)
}

// checkPage holds for every page: unique ids, one h1, labels, nothing that a
// strict Content-Security-Policy refuses, no text in English by accident.
func checkPage(t *testing.T, root *html.Node) {
	t.Helper()
	seen := map[string]bool{}
	for _, n := range find(root, "[id]") {
		if seen[attr(n, "id")] {
			t.Errorf("the id %q stands twice", attr(n, "id"))
		}
		seen[attr(n, "id")] = true
	}
	one(t, root, "h1")
	one(t, root, "main")
	for _, n := range find(root, "[style], [onclick], [onload], style, script:not([src]), [hx-on], [target=_blank]") {
		t.Errorf("<%s> is nothing for a strict policy", n.Data)
	}
	for _, n := range find(root, "[aria-describedby], [aria-labelledby]") {
		for id := range strings.FieldsSeq(attr(n, "aria-describedby") + " " + attr(n, "aria-labelledby")) {
			if !seen[id] {
				t.Errorf("<%s> refers to %q, which is not there", n.Data, id)
			}
		}
	}
	for _, n := range find(root, "input:not([type=hidden]), select, textarea") {
		if attr(n, "aria-label") == "" && len(find(root, `label[for="`+attr(n, "id")+`"]`)) == 0 && n.Parent.Data != "label" {
			t.Errorf("the field %q has no label", attr(n, "name"))
		}
	}
	for _, n := range find(root, "a, button, summary") {
		if content(n) == "" && attr(n, "aria-label") == "" {
			t.Errorf("<%s> without a name: %v", n.Data, n.Attr)
		}
	}
}

func TestGalleryIsSound(t *testing.T) {
	for _, lang := range text.Languages() {
		root, _ := render(t, lang, with(views.Layout(views.PageProps{Title: "Gallery", Path: "/"}), gallery()))
		checkPage(t, root)
	}
}

func TestField(t *testing.T) {
	root, _ := render(t, "en", views.Field(views.FieldProps{ID: "f", Name: "id", Label: "Device", Value: `"><script>`, Hint: "Letters.", Error: "No spaces.", Optional: true, Mono: true}))
	input := one(t, root, "input#f")
	if attr(input, "aria-describedby") != "f-error f-hint" || attr(input, "aria-invalid") != "true" || attr(input, "value") != `"><script>` {
		t.Errorf("the field is %v", input.Attr)
	}
	if got := content(one(t, root, "label[for=f]")); got != "Device (optional)" {
		t.Errorf("the label reads %q", got)
	}
}

func TestButtonThatCanNotBeUsed(t *testing.T) {
	root, _ := render(t, "en", views.Button(views.ButtonProps{Label: "Delete", Why: "Not on this hub.", WhyID: "w"}))
	button := one(t, root, "button[aria-disabled=true][aria-describedby=w]:not([disabled])")
	if content(button) != "Delete" || content(one(t, root, "#w")) != "Not on this hub." {
		t.Error("the reason is not with the button")
	}
}

// Text of devices can be nothing but text.
func TestDeviceTextIsOnlyText(t *testing.T) {
	for _, s := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "\u202eevil", strings.Repeat("x", 4096), "{{.Name}}"} {
		root, _ := render(t, "en", views.JSONTree("Twin", views.JSONTreeOf(map[string]any{s: s, "a": []any{s}})))
		if n := len(find(root, "script, img")); n != 0 {
			t.Errorf("%q became %d elements", s, n)
		}
		for _, n := range find(root, ".json-key, .json-leaf") {
			if n.Data != "bdi" {
				t.Errorf("%q is not isolated", s)
			}
		}
		root, _ = render(t, "en", views.DeviceText(s))
		if got := one(t, root, "bdi.value").FirstChild.Data; got != s {
			t.Errorf("shown as %q, want %q", got, s)
		}
	}
}

func TestJSONTree(t *testing.T) {
	tree := views.JSONTreeOf(document(t, `{"b":{"deep":{"deeper":{"x":1}}},"a":[true,null,"</b>&"],"n":1.50,"big":12345678901234567890,"o":{},"e":[]}`))
	root, _ := render(t, "en", views.JSONTree("Twin", tree))
	var names []string
	for _, n := range find(root, ".json > ul > li > .json-key, .json > ul > li > details > summary > .json-key") {
		names = append(names, content(n))
	}
	if got := strings.Join(names, " "); !strings.Contains(got, "a") || len(names) != 6 {
		t.Errorf("names at the top: %q", got)
	}
	var leaves []string
	for _, n := range find(root, ".json-leaf, .json-empty") {
		leaves = append(leaves, content(n))
	}
	want := "true null \"</b>&\" 1 12345678901234567890 [] 1.50 {}"
	if got := strings.Join(leaves, " "); got != want {
		t.Errorf("leaves\n%s\nwant\n%s", got, want)
	}
	if n := len(find(root, "details[open]")); n != 3 {
		t.Errorf("%d branches are open, want those of the first two levels", n)
	}
	for _, n := range find(root, "details") {
		if attr(n, "data-key-path") == "" {
			t.Error("a branch without a path closes when the page is updated")
		}
	}
}

func TestSentence(t *testing.T) {
	root, _ := render(t, "es", views.Sentence("error.reference", "ID", views.DeviceText("<4f1c>")))
	if got := content(one(t, root, "body")); got != "Referencia <4f1c>" {
		t.Errorf("reads %q", got)
	}
	one(t, root, "bdi.value")
	_, plain := render(t, "en", views.Sentence("error.reference", "ID", "<b>"))
	if plain != "Reference &lt;b&gt;" {
		t.Errorf("a plain value reads %q", plain)
	}
}

func TestSizeMeter(t *testing.T) {
	for percent, want := range map[int]string{-5: "fine", 3: "fine", 80: "high", 100: "high", 101: "over"} {
		root, _ := render(t, "en", views.SizeMeter(views.SizeProps{Name: "tags", Text: "x", Percent: percent}))
		if got := attr(one(t, root, ".meter"), "data-level"); got != want {
			t.Errorf("%d%% is %q, want %q", percent, got, want)
		}
	}
}
