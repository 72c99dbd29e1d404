package query

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Problem is one thing to say about a query, with its place.
type Problem struct {
	Code    Code              // stable, for programs and translations
	Args    map[string]string // what the placeholders of the text stand for
	Message string            // one English sentence: what is wrong
	Hint    string            // one or two more: what to do; may be empty
	Offset  int               // bytes from the beginning of the query
	Line    int               // from 1
	Column  int               // from 1, in characters
	Length  int               // in characters, at least 1
	Repair  *Repair           // nil when nothing can be offered
}

// Warning is about a query that is accepted but hardly means what it says.
type Warning = Problem

// Error refuses a query. Its text shows the place.
type Error struct {
	Problem

	text string // the query
	at   span   // the place in it
}

// Repair is a change of the text that removes a problem.
type Repair struct {
	Start, End int    // the bytes it replaces, end excluded
	Text       string // what stands there afterwards
}

// Apply returns the query with the repair made. The text must be the one the
// repair was offered for.
func (r *Repair) Apply(text string) string {
	return text[:r.Start] + r.Text + text[r.End:]
}

// Error returns the message and the hint, the line and a marker beneath:
//
//	line 1, column 34: "group" is a reserved word here. Write it as [[group]].
//	SELECT * FROM devices WHERE tags.group = 'a'
//	                                 ^^^^^
func (e *Error) Error() string {
	line, marker := e.excerpt()
	return fmt.Sprintf("line %d, column %d: %s\n%s\n%s", e.Line, e.Column, e.Sentence(), line, marker)
}

// Sentence returns message and hint as one text.
func (p *Problem) Sentence() string {
	return strings.TrimSpace(p.Message + " " + p.Hint)
}

// excerptWidth is how many characters of a long line are shown; the place
// keeps half of them to its left.
const excerptWidth = 100

func (e *Error) excerpt() (line, marker string) {
	from := strings.LastIndexByte(e.text[:e.Offset], '\n') + 1
	to := len(e.text)
	if i := strings.IndexByte(e.text[e.Offset:], '\n'); i >= 0 {
		to = e.Offset + i
	}
	chars := []rune(strings.TrimRight(e.text[from:to], "\r"))
	before := min(e.Column-1, len(chars))
	head, tail := "", ""
	if cut := before - excerptWidth/2; len(chars) > excerptWidth && cut > 0 {
		chars, before, head = chars[cut:], before-cut, "…"
	}
	if len(chars) > excerptWidth {
		chars, tail = chars[:excerptWidth], "…"
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", utf8.RuneCountInString(head)))
	for _, c := range chars[:before] {
		if c != '\t' { // a tab is as wide in the marker as in the line
			c = ' '
		}
		b.WriteRune(c)
	}
	b.WriteString(strings.Repeat("^", max(1, min(e.Length, len(chars)-before))))
	return head + string(chars) + tail, b.String()
}

// replace offers another text for the marked place.
func (e *Error) replace(text string) *Error { return e.repair(e.at.start, e.at.end, text) }

func newError(text string, at span, code Code, args ...string) *Error {
	return &Error{Problem: newProblem(text, at, code, args...), text: text, at: at}
}

func newProblem(text string, at span, code Code, args ...string) Problem {
	m := messages[code]
	named := make(map[string]string, len(args)/2)
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		name, value := args[i], args[i+1]
		named[name] = value
		if name == "found" {
			value = display(value)
		}
		pairs = append(pairs, "{"+name+"}", value)
	}
	fill := strings.NewReplacer(pairs...)
	p := Problem{Code: code, Args: named, Message: fill.Replace(m.Text), Hint: fill.Replace(m.Hint), Offset: at.start}
	before := text[:at.start]
	p.Line = strings.Count(before, "\n") + 1
	p.Column = utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	p.Length = max(1, utf8.RuneCountInString(text[at.start:at.end]))
	return p
}

// repair attaches a change of the text that removes the problem.
func (e *Error) repair(start, end int, text string) *Error {
	e.Repair = &Repair{start, end, text}
	return e
}

func display(found string) string {
	if found == "" {
		return "the end of the query"
	}
	return `"` + found + `"`
}

// shorten keeps what a message quotes from the query readable.
func shorten(s string) string {
	const longest = 40
	chars := []rune(strings.Join(strings.Fields(s), " "))
	if len(chars) > longest {
		return string(chars[:longest-1]) + "…"
	}
	return string(chars)
}
