package web

import (
	"context"
	"errors"
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

// limitText says in the reader's language what part of a document a hub would
// refuse. doc is the document, for naming what makes it big, or nil.
func limitText(ctx context.Context, e *iothub.LimitError, doc iothub.Document) string {
	at := e.Path.String()
	switch e.Kind {
	case iothub.LimitSize:
		if doc == nil {
			return text.T(ctx, "twin.limit.size-alone", "Size", text.Size(ctx, int64(e.Got)), "Limit", text.Size(ctx, int64(e.Max)))
		}
		name, size := iothub.BiggestBranch(doc)
		return text.T(ctx, "twin.limit.size", "Size", text.Size(ctx, int64(e.Got)), "Limit", text.Size(ctx, int64(e.Max)),
			"Name", shortened(name), "Part", text.Size(ctx, int64(size)))
	case iothub.LimitDepth:
		return text.T(ctx, "twin.limit.depth", "Path", at, "Max", e.Max)
	case iothub.LimitKeyLength:
		return text.T(ctx, "twin.limit.key-length", "Got", e.Got, "Max", e.Max)
	case iothub.LimitKeyCharacter:
		return keyText(ctx, e)
	case iothub.LimitStringLength:
		return text.T(ctx, "twin.limit.string-length", "Path", at, "Got", e.Got, "Max", e.Max)
	case iothub.LimitInteger:
		return text.T(ctx, "twin.limit.integer", "Path", at, "Number", e.Text)
	case iothub.LimitNumberLength:
		return text.T(ctx, "twin.limit.number-length", "Path", at, "Got", e.Got, "Max", e.Max)
	case iothub.LimitNullInArray:
		return text.T(ctx, "twin.limit.null-in-array", "Path", at)
	}
	return e.Error()
}

// keyText names the character that must not stand in a name: some cannot be
// shown as themselves.
func keyText(ctx context.Context, e *iothub.LimitError) string {
	code, control := strings.CutPrefix(e.Text, "the control character ")
	switch {
	case control:
		return text.T(ctx, "twin.limit.key-control", "Code", code)
	case e.Text == "a space":
		return text.T(ctx, "twin.limit.key-space")
	}
	return text.T(ctx, "twin.limit.key-character", "Character", strings.Trim(e.Text, "'"))
}

// contentMistakes checks a change as the hub will: row by row, so that each row
// at fault says so, or as a whole where it was typed as JSON.
func (f *twinForm) contentMistakes(ctx context.Context, change iothub.Document) (mistakes []mistake) {
	err := iothub.CheckContent(f.Section, change)
	if err == nil {
		return nil
	}
	for _, r := range f.Rows {
		path := iothub.ParsePath(strings.TrimSpace(r.Path))
		value, changed := change.Get(path)
		if r.Removed || r.blank() || !changed {
			continue
		}
		alone := iothub.Document{}
		alone.Set(path, value)
		if err := iothub.CheckContent(f.Section, alone); err != nil {
			mistakes = append(mistakes, f.limitMistake(ctx, err, alone))
		}
	}
	if len(mistakes) == 0 {
		return []mistake{f.limitMistake(ctx, err, change)}
	}
	return mistakes
}

// limitMistake finds the field that a refusal of the hub's rules belongs to.
func (f *twinForm) limitMistake(ctx context.Context, err error, doc iothub.Document) mistake {
	var limit *iothub.LimitError
	if !errors.As(err, &limit) {
		return mistake{Text: err.Error()}
	}
	p := mistake{Field: jsonField, Text: limitText(ctx, limit, doc)}
	if f.AsJSON {
		return p
	}
	p.Field = ""
	if limit.Kind == iothub.LimitSize {
		return p
	}
	for i, r := range f.Rows {
		at := iothub.ParsePath(strings.TrimSpace(r.Path))
		n := min(len(at), len(limit.Path)) // the offence may be above the row's value or inside it
		if !r.Removed && slices.Equal(at[:n], limit.Path[:n]) {
			p.Field = valueField(i)
		}
	}
	return p
}

// shortened keeps quotes of typed text readable.
func shortened(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
