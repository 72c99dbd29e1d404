package views

import (
	"context"
	"net/url"

	"github.com/a-h/templ"

	"twinboard/views/text"
)

// PageProps is what every page tells the frame around it.
type PageProps struct {
	// Title of the browser tab, the thing first, then its state:
	// "pump-07 · 2 differ". The layout adds the product's name.
	Title string
	// Heading is the page's only h1; empty means Title.
	Heading string
	// HeadingIsID sets the heading as a value that comes from a device.
	HeadingIsID bool
	// Back leads to the list the page came from; its zero value shows nothing.
	Back Link
	// Actions stand at the right of the heading: badges, buttons; may be nil.
	Actions templ.Component
	// Active is the place of the navigation the page belongs to: "overview",
	// "devices", "query", "changes", "simulator", "learn" or "".
	Active string
	Hub    HubChip
	// Hubs are all hubs there are, each with the page that is this one's like;
	// nil when there is only one.
	Hubs []HubLink
	// Search is what the header's search field holds.
	Search string
	// Path is path and query of this page, to return to after a setting.
	Path string
	// Theme is "light", "dark" or "" for the system's (ThemeCookie).
	Theme string
	// Compact rows are 36 px high, not 48 px (RowsCookie).
	Compact bool
	// Presenting sets everything large, and hides keys (SizeCookie).
	Presenting bool
	// KeysOff is true when single-key shortcuts are switched off (KeysCookie).
	KeysOff bool
	// LiveURL is the page's event stream, with ?after= where it should begin;
	// empty for pages that do not change.
	LiveURL string
	// Nonce is that of the page's Content-Security-Policy.
	Nonce string
	// Flashes are the messages of the request before.
	Flashes []FlashProps
	// Notes lead to what is under way, or waits for a decision.
	Notes []PageNote
	// Side is docked beside the page (at the bottom on narrow screens): the
	// tutorial or the simulator; nil for none. SideLabel names it.
	Side      templ.Component
	SideLabel string
	// Wide pages use the whole window.
	Wide bool
}

// PageNote is a sentence with a way on.
type PageNote struct {
	Text    string
	Warning bool // waits for a decision
	Link    Link
}

// HubChip names the hub the page works on.
type HubChip struct {
	Name  string // as in the address
	Path  string // "/h/local"; empty where there is no hub
	Cloud bool   // an Azure IoT Hub; else the local one
}

// HubLink leads to a hub.
type HubLink struct {
	HubChip
	Href string
}

// Link is a place to go.
type Link struct{ Label, Href string }

func (p PageProps) heading() string {
	if p.Heading != "" {
		return p.Heading
	}
	return p.Title
}

func (p PageProps) environment() string { return p.Hub.environment() }

func (h HubChip) environment() string {
	if h.Cloud {
		return "cloud"
	}
	return "local"
}

type place struct{ id, icon, href, key string }

// places are the navigation, in its order. Keys follow g.
func (p PageProps) places() []place {
	if p.Hub.Path == "" {
		return nil
	}
	return []place{
		{"overview", "layout-dashboard", p.Hub.Path, "o"},
		{"devices", "router", p.Hub.Path + "/devices", "d"},
		{"query", "text-search", p.Hub.Path + "/query", "q"},
		{"changes", "history", p.Hub.Path + "/changes", "c"},
		{"simulator", "activity", p.Hub.Path + "/simulator", "s"},
	}
}

func otherLanguage(ctx context.Context) string {
	if text.Lang(ctx) == "en" {
		return "es"
	}
	return "en"
}

// back is this page without ?lang= and ?present=, which would override a choice.
func (p PageProps) back() string {
	u, err := url.Parse(p.Path)
	if err != nil || p.Path == "" {
		return "/"
	}
	q := u.Query()
	if !q.Has("lang") && !q.Has("present") {
		return p.Path
	}
	q.Del("lang")
	q.Del("present")
	u.RawQuery = q.Encode()
	return u.String()
}

type shortcut struct{ keys, id, needs string }

// shortcuts are all there are; the script shows those whose target (a
// selector) is on the page.
func shortcuts() []shortcut {
	return []shortcut{
		{"/", "keys.search", "[data-key='/']"},
		{"?", "keys.help", ""},
		{"g o", "keys.overview", "[data-key='g o']"},
		{"g d", "keys.devices", "[data-key='g d']"},
		{"g q", "keys.query", "[data-key='g q']"},
		{"g c", "keys.changes", "[data-key='g c']"},
		{"g s", "keys.simulator", "[data-key='g s']"},
		{"g l", "keys.learn", "[data-key='g l']"},
		{"j", "keys.next", "[data-row]"},
		{"k", "keys.previous", "[data-row]"},
		{"keys.key.enter", "keys.open", "[data-row]"},
		{"x", "keys.select", "[data-select]"},
		{"keys.key.shift-x", "keys.select-to", "[data-select]"},
		{"e", "keys.edit", "[data-key='e']"},
		{"h", "keys.history", "[data-key='h']"},
		{",", "keys.older", "[data-key=',']"},
		{".", "keys.newer", "[data-key='.']"},
		{"u", "keys.undo", "[data-key='u']"},
		{"c", "keys.copy", "[data-key='c']"},
		{"keys.key.submit", "keys.submit", "main [data-default], form[method=post] input:not([type=hidden]), form textarea"},
		{"keys.key.escape", "keys.escape", ""},
		{"keys.key.space", "keys.pause", "[data-feed]"},
		{"l", "keys.language", "[data-key='l']"},
		{"t", "keys.theme", "[data-theme-choice]"},
		{"p", "keys.present", "[data-key='p']"},
	}
}

// keyCaps are the caps of a shortcut, named by id where the name is a word.
func keyCaps(ctx context.Context, keys string) []string {
	if text.Has(keys) {
		return []string{text.T(ctx, keys)}
	}
	var caps []string
	for _, r := range keys {
		if r != ' ' {
			caps = append(caps, string(r))
		}
	}
	return caps
}

func themeIcon(theme string) string {
	switch theme {
	case "light":
		return "sun"
	case "dark":
		return "moon"
	}
	return "monitor"
}
