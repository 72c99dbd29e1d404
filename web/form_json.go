package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

// jsonMistake says in the reader's language where a typed text stops being the
// JSON we need. It names the character instead of passing on the parser's
// English.
func jsonMistake(ctx context.Context, typed string, err error) mistake {
	var syntax *iothub.SyntaxError
	var twice *duplicateError
	switch {
	case errors.As(err, &twice):
		return mistake{
			Field: jsonField, Line: twice.Line, Column: twice.Column,
			Text: text.T(ctx, "twin.problem.duplicate", "Line", twice.Line, "Column", twice.Column, "Name", shortened(twice.Name)),
		}
	case !errors.As(err, &syntax):
		return mistake{Field: jsonField, Text: text.T(ctx, "twin.problem.object")}
	}
	m := mistake{Field: jsonField, Line: syntax.Line, Column: syntax.Column}
	if character := characterAt(typed, m.Line, m.Column); character != "" {
		m.Text = text.T(ctx, "twin.problem.json", "Line", m.Line, "Column", m.Column, "Character", character)
	} else {
		m.Text = text.T(ctx, "twin.problem.json-end", "Line", m.Line, "Column", m.Column)
	}
	return m
}

// characterAt is the character at a place counted from 1, "" past the end of
// the text.
func characterAt(s string, line, column int) string {
	lines := strings.Split(s, "\n")
	if line > len(lines) {
		return ""
	}
	switch characters := []rune(lines[line-1]); {
	case column <= len(characters):
		return string(characters[column-1])
	case line < len(lines):
		return "↵"
	}
	return ""
}

// duplicateError means that an object names a member twice. JSON readers keep
// the last and drop the other without a word; a form must not.
type duplicateError struct {
	Line, Column int
	Name         string
}

func (e *duplicateError) Error() string {
	return fmt.Sprintf("line %d, column %d: %q is there twice", e.Line, e.Column, e.Name)
}

// uniqueMembers looks for a member named twice in valid JSON. The error is a
// *duplicateError.
func uniqueMembers(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return uniqueIn(d, data)
}

func uniqueIn(d *json.Decoder, data []byte) error {
	token, err := d.Token()
	open, ok := token.(json.Delim)
	if err != nil || !ok {
		return nil // the text was parsed before: nothing but its end
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, _ := d.Token()
			name, _ := key.(string)
			if seen[name] {
				return duplicateAt(data, int(d.InputOffset()), name)
			}
			seen[name] = true
		}
		if err := uniqueIn(d, data); err != nil {
			return err
		}
	}
	_, _ = d.Token() // the closing bracket
	return nil
}

// duplicateAt places the error at the quote that opens the name ending at end.
func duplicateAt(data []byte, end int, name string) error {
	start := bytes.LastIndexByte(data[:end-1], '"')
	for start > 0 && data[start-1] == '\\' {
		start = bytes.LastIndexByte(data[:start], '"')
	}
	before := string(data[:start])
	line := strings.Count(before, "\n") + 1
	column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1
	return &duplicateError{Line: line, Column: column, Name: name}
}

// indented writes a value for an editor.
func indented(v any) string { return encoded(v, "  ") }

// compact writes a value in one line.
func compact(v any) string { return encoded(v, "") }

// encoded writes JSON without the escapes for HTML: templ escapes what it
// shows, and people should read what they typed.
func encoded(v any, indent string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return "" // documents come from JSON, so they always go back
	}
	return strings.TrimSuffix(b.String(), "\n")
}
