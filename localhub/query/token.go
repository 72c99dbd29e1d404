package query

import "strings"

// Kind says what a token is; editors colour by it.
type Kind uint8

// The kinds of token.
const (
	End     Kind = iota // after the last token
	Invalid             // the place of the first mistake; nothing follows it
	Name                // an unescaped name: of a property, a function, a collection
	Escaped             // a name in double brackets, [[group]]
	Keyword             // a word of the language, in any case
	Number              // decimal or hexadecimal, without sign
	String              // in single or double quotes
	Symbol              // operators and punctuation
	Comment             // between /* and */
)

// Token is one word, number, string or sign of a query.
type Token struct {
	Kind   Kind
	Offset int    // bytes from the beginning of the query
	Text   string // as written
	Value  string // keyword in upper case, string without quotes and escapes, name without brackets, != for <>
}

// keywords are the words that cannot be names. Constants are among them: the
// published grammar lists undefined and null, every client also writes true
// and false.
var keywords = map[string]bool{
	"SELECT": true, "TOP": true, "FROM": true, "WHERE": true, "GROUP": true, "BY": true, "AS": true,
	"AND": true, "OR": true, "NOT": true, "IN": true, "NIN": true,
	"UNDEFINED": true, "NULL": true, "TRUE": true, "FALSE": true,
}

// Tokens splits a query for display. It ends before a text that is not a
// token, whose place then holds one Invalid token.
func Tokens(text string) []Token {
	tokens, _ := lex(text)
	return tokens[:len(tokens)-1]
}

func (t Token) span() span { return span{t.Offset, t.Offset + len(t.Text)} }

func (t Token) symbol(s string) bool { return t.Kind == Symbol && t.Value == s }

func (t Token) keyword(words ...string) bool {
	for _, w := range words {
		if t.Kind == Keyword && t.Value == w {
			return true
		}
	}
	return false
}

// word tells whether the token is this unreserved word, in any case.
func (t Token) word(w string) bool { return t.Kind == Name && strings.EqualFold(t.Text, w) }

func (t Token) comparison() bool {
	if t.Kind != Symbol {
		return false
	}
	switch t.Value {
	case "=", "!=", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// span is a stretch of the query text in bytes, end excluded.
type span struct{ start, end int }

func (s span) to(end span) span { return span{s.start, end.end} }
