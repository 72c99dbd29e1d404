package views

import (
	"maps"

	"github.com/a-h/templ"
)

// ConnectionProps is a device's connection: State is "online", "offline" or
// "unknown"; Text is the sentence shown ("offline since 13:40"), empty for the
// state's own word.
type ConnectionProps struct{ State, Text string }

// AgeProps is a moment: Text is what is shown ("12 min"), Exact the whole time
// for the title, Machine the same as RFC 3339.
type AgeProps struct{ Text, Exact, Machine string }

// ButtonProps is a button. Kind is "primary" (one a screen), "" or "danger", or
// "quiet" for one without a frame.
type ButtonProps struct {
	Label string
	Kind  string
	Icon  string
	// Type is "submit" when empty.
	Type        string
	Name, Value string
	// Why says why the button cannot be used now; it stays focusable then.
	// WhyID must be unique on the page when Why is set.
	Why, WhyID string
	// Key is the cap of the shortcut shown beside the label.
	Key   string
	Attrs templ.Attributes
}

// LinkProps is a link that looks like a button.
type LinkProps struct {
	Label, Href, Kind, Icon string
	Attrs                   templ.Attributes
}

// FieldProps is one labelled field of a form. ID is unique on the page; hint and
// error get ids made from it.
type FieldProps struct {
	ID, Name, Label, Value string
	Hint, Error            string
	// Type is an input's ("text" when empty); "textarea" and "select" choose
	// those elements.
	Type        string
	Placeholder string
	Optional    bool // says so beside the label
	// Mono sets the value in the monospace face, without spelling aid.
	Mono    bool
	Rows    int      // of a textarea
	Options []Option // of a select
	Attrs   templ.Attributes
}

// Option is one choice of a select.
type Option struct {
	Value, Label string
	Selected     bool
}

// ChoiceProps is a checkbox, a radio button or a switch (Type "checkbox",
// "radio", "switch") with its label.
type ChoiceProps struct {
	ID, Name, Value, Label, Hint, Type string
	Checked                            bool
	Attrs                              templ.Attributes
}

// FieldError is one mistake of a form: FieldID is the field it is at.
type FieldError struct{ FieldID, Message string }

// EmptyProps is a place with nothing in it yet: Title says so, Text what it
// would hold; the children are the ways to fill it.
type EmptyProps struct{ Icon, Title, Text string }

// TableProps is a table that turns into a list on a phone.
type TableProps struct {
	ID      string // of the body, for live rows
	Caption string // read aloud; not shown
	Columns []Column
}

// Column is one column's head.
type Column struct {
	Label  string
	Number bool // right-aligned
	Hidden bool // label only for screen readers (actions, checkboxes)
	// SortHref orders by this column; Sorted is "ascending", "descending" or "".
	SortHref, Sorted string
}

// PagerProps leads through pages: Text is "25 of 12,480", Note how old it is.
type PagerProps struct{ Text, Note, PrevHref, NextHref string }

// FlashProps is the answer to what the person did. Kind is "ok", "info",
// "warning" or "error"; Undo stands beside the text and may be nil.
type FlashProps struct {
	Kind, Text string
	Undo       templ.Component
}

// SecretProps is a key that is in no page until someone asks for it: a POST to
// RevealURL answers it as text/plain.
type SecretProps struct{ ID, Label, RevealURL, Hint string }

// ConfirmProps asks before something that reaches far. Word, if set, must be
// typed (as field "confirm").
type ConfirmProps struct {
	ID, Title, Text  string
	Action, Submit   string
	Danger           bool
	Word, WordPrompt string
	Hidden           []Hidden
}

// Hidden is a field the form carries along.
type Hidden struct{ Name, Value string }

// SizeProps is a document against its limit; Text is "0.2 / 8 KB", Percent 0 to
// 100 or more.
type SizeProps struct {
	Name, Text, Note string
	Percent          int
}

func (p SizeProps) level() string {
	switch {
	case p.Percent > 100:
		return "over"
	case p.Percent >= 80:
		return "high"
	}
	return "fine"
}

func (p SizeProps) width() int { return min(100, max(0, p.Percent)) }

// Tab is one view of a page, with an address of its own.
type Tab struct {
	Label, Href string
	Current     bool
	Key         string // presses it; may be empty
}

// EditorProps is a text in a language: Mode "json" or "query". Without script,
// it is a textarea. ErrorLine and ErrorColumn, from 1, place the marker of Error.
type EditorProps struct {
	ID, Name, Mode, Label, Value string
	Hint, Error                  string
	ErrorLine, ErrorColumn       int
	Rows                         int
	// Words are completed besides the language's own (paths seen in twins).
	Words string
}

// FeedProps is a list of what happens, newest last. ID is the list's, for live
// lines; Label names it.
type FeedProps struct{ ID, Label, Empty string }

// CodeProps is something to read or copy as it is: a request, a command.
type CodeProps struct{ ID, Label, Text string }

func (p ButtonProps) class() string { return buttonClass(p.Kind) }
func (p LinkProps) class() string   { return buttonClass(p.Kind) }

func buttonClass(kind string) string {
	switch kind {
	case "primary", "danger", "quiet":
		return "button button-" + kind
	}
	return "button"
}

func (p ButtonProps) kind() string {
	if p.Type == "" {
		return "submit"
	}
	return p.Type
}

func (p FieldProps) describedBy() string { return describedBy(p.ID, p.Hint, p.Error) }

func (p EditorProps) describedBy() string { return describedBy(p.ID, p.Hint, p.Error) }

// describedBy names the ids of what explains a field: its error first.
func describedBy(id, hint, problem string) string {
	switch {
	case problem != "" && hint != "":
		return id + "-error " + id + "-hint"
	case problem != "":
		return id + "-error"
	case hint != "":
		return id + "-hint"
	}
	return ""
}

func (p FieldProps) kind() string {
	if p.Type == "" {
		return "text"
	}
	return p.Type
}

func rows(n int) int {
	if n == 0 {
		return 6
	}
	return n
}

func (p ChoiceProps) kind() string {
	if p.Type == "radio" {
		return "radio"
	}
	return "checkbox"
}

func flashIcon(kind string) string {
	switch kind {
	case "ok":
		return "circle-check"
	case "warning", "error":
		return "triangle-alert"
	}
	return "info"
}

// attrs are what all kinds of field have in common.
func (p FieldProps) attrs() templ.Attributes {
	a := templ.Attributes{"id": p.ID, "name": p.Name}
	if p.Placeholder != "" {
		a["placeholder"] = p.Placeholder
	}
	if p.Mono {
		a["spellcheck"] = "false"
		a["autocomplete"] = "off"
		a["autocapitalize"] = "off"
	}
	if d := p.describedBy(); d != "" {
		a["aria-describedby"] = d
	}
	if p.Error != "" {
		a["aria-invalid"] = "true"
	}
	maps.Copy(a, p.Attrs)
	return a
}
