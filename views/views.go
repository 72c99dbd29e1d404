// Package views turns props into HTML with templ: the layout, the widgets and
// one component for each page. Props hold what is shown, already read, compared
// and formatted; the package knows no hub, no store and no request, and decides
// nothing that could fail.
//
// The language of a page is that of its context (text.With). Text that comes
// from a device is escaped by templ and isolated by DeviceText, so that it can
// neither become markup nor turn the line around it.
package views

import (
	"context"
	"io"
	"strings"

	"github.com/a-h/templ"

	"twinboard/views/text"
)

// Cookies of personal taste: read by the server for the first paint, written
// by POST /settings and by the script.
const (
	LangCookie  = "twinboard_lang"  // en, es
	ThemeCookie = "twinboard_theme" // light, dark; absent: as the system
	KeysCookie  = "twinboard_keys"  // off: no single-key shortcuts
	RowsCookie  = "twinboard_rows"  // compact: more rows to the screen
	SizeCookie  = "twinboard_size"  // present: to be read across a room
)

// SettingsPath takes the forms of the header: lang, theme, keys, rows, size, and
// back, the path to return to.
const SettingsPath = "/settings"

// Sentence is a message with components in its places, as a link or a value in
// its own type face: Sentence("twin.refused", "Device", DeviceText(id)). Other
// values are as for text.T.
func Sentence(id string, kv ...any) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		plain := make([]any, len(kv))
		parts := map[string]templ.Component{}
		for i, v := range kv {
			plain[i] = v
			if c, ok := v.(templ.Component); ok {
				mark := "\x00" + string(rune('a'+i)) + "\x00"
				plain[i], parts[mark] = mark, c
			}
		}
		return writeParts(ctx, w, text.T(ctx, id, plain...), parts)
	})
}

// writeParts writes s escaped, with each mark in it replaced by its component.
func writeParts(ctx context.Context, w io.Writer, s string, parts map[string]templ.Component) error {
	for s != "" {
		before, after, found := strings.Cut(s, "\x00")
		if _, err := io.WriteString(w, templ.EscapeString(before)); err != nil {
			return err
		}
		if !found {
			return nil
		}
		mark, rest, _ := strings.Cut(after, "\x00")
		if c := parts["\x00"+mark+"\x00"]; c != nil {
			if err := c.Render(ctx, w); err != nil {
				return err
			}
		}
		s = rest
	}
	return nil
}
