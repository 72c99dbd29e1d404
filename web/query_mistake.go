package web

import (
	"context"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"twinboard/hubclient"
	"twinboard/views"
	"twinboard/views/text"
)

// queryMessage says in the person's language what is wrong with a query and
// what to do. A code without words of ours keeps those of the hub.
func queryMessage(ctx context.Context, e *hubclient.QueryError) (message, hint string) {
	id := "query.error." + e.Code
	if !text.Has(id) {
		return e.Message, e.Hint
	}
	args := mistakeArgs(ctx, e.Args)
	message = capitalised(text.T(ctx, id, args...))
	if text.Has(id + ".hint") {
		hint = text.T(ctx, id+".hint", args...)
	}
	return message, hint
}

// capitalised begins a sentence whose first word may be "the end of the query".
func capitalised(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// mistakeArgs are the places of the messages: the hub's names in title case.
// What was found in the query stands in quotes, or is the query's end; numbers
// are written in the form of the language.
func mistakeArgs(ctx context.Context, args map[string]string) []any {
	var kv []any
	for name, value := range args {
		if name == "" {
			continue
		}
		title := strings.ToUpper(name[:1]) + name[1:]
		n, err := strconv.Atoi(value)
		switch {
		case name == "found" && value == "":
			kv = append(kv, title, text.T(ctx, "query.error.end"))
		case name == "found":
			kv = append(kv, title, text.T(ctx, "query.error.found", "Text", value))
		case (name == "length" || name == "limit" || name == "got") && err == nil:
			kv = append(kv, title, n)
		default:
			kv = append(kv, title, value)
		}
	}
	return kv
}

// mistakeProps shows the place under the editor.
func mistakeProps(ctx context.Context, h *Hub, a asking, e *hubclient.QueryError, hint string) *views.QueryMistake {
	m := &views.QueryMistake{Hint: hint}
	m.Line, m.Marker = excerpt(a.text, e.Line, e.Column, e.Length)
	if repaired, ok := repaired(a.text, e.Repair); ok {
		b := a.first()
		b.text = repaired
		m.RepairText = shortened(strings.TrimSpace(e.Repair.Text))
		m.Repair = views.Link{Label: text.T(ctx, "query.repair.remove"), Href: b.href(h)}
	}
	return m
}

// repaired is the query with the repair made. The hub names bytes of the text it
// was sent; ok is false when there is nothing to make, or they do not fit.
func repaired(query string, r *hubclient.QueryRepair) (out string, ok bool) {
	if r == nil || r.Start < 0 || r.End < r.Start || r.End > len(query) {
		return "", false
	}
	out = query[:r.Start] + r.Text + query[r.End:]
	return out, utf8.ValidString(out) || !utf8.ValidString(query)
}

// excerptWidth is how many characters of a long line are shown.
const excerptWidth = 72

// excerpt is the line of a mistake and the marker that stands under it. Line
// and column count from 1, in characters. A place that is not in the query marks
// its end.
func excerpt(query string, line, column, length int) (shown, marker string) {
	lines := strings.Split(query, "\n")
	chars := []rune(lines[min(max(line, 1), len(lines))-1])
	at := min(max(column, 1)-1, len(chars))
	head := ""
	if len(chars) > excerptWidth && at > excerptWidth/2 {
		cut := min(at-excerptWidth/2, len(chars)-excerptWidth)
		chars, at, head = chars[cut:], at-cut, "…"
	}
	tail := ""
	if len(chars) > excerptWidth {
		chars, tail = chars[:excerptWidth], "…"
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", utf8.RuneCountInString(head)))
	for _, r := range chars[:min(at, len(chars))] {
		if r != '\t' { // a tab is as wide in the marker as in the line
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat("^", max(1, min(length, len(chars)-at))))
	return head + string(chars) + tail, b.String()
}

// mistakeData is a mistake as JSON: what the hub said, in the person's language.
func mistakeData(e *hubclient.QueryError, message, hint string) any {
	return map[string]any{"error": struct {
		Code    string                 `json:"code"`
		Message string                 `json:"message"`
		Hint    string                 `json:"hint,omitempty"`
		Line    int                    `json:"line"`
		Column  int                    `json:"column"`
		Length  int                    `json:"length"`
		Repair  *hubclient.QueryRepair `json:"repair,omitempty"`
	}{e.Code, message, hint, e.Line, e.Column, e.Length, e.Repair}}
}
