package query

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// lexer cuts the text into tokens. It stops at the first mistake, which the
// parser reports when it gets there: a mistake of grammar further left comes
// first.
type lexer struct {
	text     string
	at       int // offset of the next character
	brackets int // open [ of array constants
	tokens   []Token
	fault    *Error
}

// lex returns the tokens, the last of kind End, and the mistake that the
// token of kind Invalid before it stands for.
func lex(text string) ([]Token, *Error) {
	l := lexer{text: text}
	for l.fault == nil {
		l.skipSpace()
		if l.at == len(text) {
			break
		}
		l.token()
	}
	// The end is where the last token ends, so that a marker never points
	// into empty lines behind it.
	end := 0
	if n := len(l.tokens); n > 0 {
		end = l.tokens[n-1].span().end
	}
	l.tokens = append(l.tokens, Token{Kind: End, Offset: end})
	return l.tokens, l.fault
}

func (l *lexer) token() {
	c, _ := utf8.DecodeRuneInString(l.text[l.at:])
	switch {
	case isNameStart(c):
		l.name()
	case isDigit(c):
		l.number()
	case c == '\'' || c == '"':
		l.quoted()
	case l.sees("[[") && !l.inArray():
		l.escaped()
	case l.sees("/*"):
		l.comment()
	default:
		l.symbol()
	}
}

// A name is ( letter | "_" | "$" ) { letter | digit | "_" | "$" }. Choice: a
// hyphen belongs to it when one of these follows, so power-level is a name
// while a - 1 and a -1 subtract.
func isNameStart(c rune) bool { return c == '_' || c == '$' || unicode.IsLetter(c) }

func isNamePart(c rune) bool { return isNameStart(c) || unicode.IsDigit(c) || unicode.IsMark(c) }

func isDigit(c rune) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// nameEnd returns the offset behind the name characters that begin at from.
func nameEnd(text string, from int) int {
	end := from
	for i, c := range text[from:] {
		next := from + i + utf8.RuneLen(c)
		if c == '-' && i > 0 {
			follower, _ := utf8.DecodeRuneInString(text[next:])
			if isNamePart(follower) {
				continue
			}
		}
		if !isNamePart(c) {
			break
		}
		end = next
	}
	return end
}

func isName(s string) bool {
	c, _ := utf8.DecodeRuneInString(s)
	return isNameStart(c) && nameEnd(s, 0) == len(s) && !keywords[strings.ToUpper(s)]
}

func (l *lexer) name() {
	end := nameEnd(l.text, l.at)
	word := l.text[l.at:end]
	if upper := strings.ToUpper(word); keywords[upper] {
		l.add(Keyword, end, upper)
		return
	}
	l.add(Name, end, word)
}

func (l *lexer) number() {
	if l.previous().symbol(".") {
		end := nameEnd(l.text, l.at)
		name := l.text[l.at:end]
		l.fail(end, codeNameDigit, "name", name).replace("[[" + name + "]]")
		return
	}
	end := l.at
	digits := func() (some bool) {
		from := end
		for end < len(l.text) && isDigit(rune(l.text[end])) {
			end++
		}
		return end > from
	}
	ok := true
	if l.sees("0x") || l.sees("0X") {
		for end += 2; end < len(l.text) && isHex(l.text[end]); end++ {
		}
		ok = end > l.at+2
	} else {
		digits()
		if strings.HasPrefix(l.text[end:], ".") {
			end++
			ok = digits()
		}
		if rest := l.text[end:]; ok && (strings.HasPrefix(rest, "e") || strings.HasPrefix(rest, "E")) {
			end++
			if end < len(l.text) && (l.text[end] == '+' || l.text[end] == '-') {
				end++
			}
			ok = digits()
		}
	}
	if tail := nameEnd(l.text, end); !ok || tail > end {
		l.fail(tail, codeBadNumber, "found", l.text[l.at:tail])
		return
	}
	l.add(Number, end, l.text[l.at:end])
}

func (l *lexer) quoted() {
	quote := l.text[l.at]
	var b strings.Builder
	for i := l.at + 1; i < len(l.text); {
		switch c := l.text[i]; c {
		case quote:
			l.add(String, i+1, b.String())
			return
		case '\\':
			decoded, size := unescape(l.text[i:])
			if size == 0 {
				end := escapeEnd(l.text, i)
				l.at = i
				l.fail(end, codeBadEscape, "found", l.text[i:end])
				return
			}
			b.WriteString(decoded)
			i += size
		default:
			b.WriteByte(c)
			i++
		}
	}
	l.fail(l.at+1, codeUnclosedString)
}

// unescape decodes the escape at the beginning of s and returns its size in
// bytes, 0 when there is no such escape. The language has \' \" \\ and \uXXXX;
// two of the last make one character beyond U+FFFF, as in JSON.
func unescape(s string) (string, int) {
	if len(s) >= 2 && strings.IndexByte(`'"\`, s[1]) >= 0 {
		return s[1:2], 2
	}
	first, ok := hexEscape(s)
	if !ok {
		return "", 0
	}
	if !utf16.IsSurrogate(first) {
		return string(first), 6
	}
	second, _ := hexEscape(s[6:])
	if both := utf16.DecodeRune(first, second); both != utf8.RuneError {
		return string(both), 12
	}
	return "", 0
}

func hexEscape(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}

// escapeEnd returns where the mistaken escape at offset i ends for the marker.
func escapeEnd(text string, i int) int {
	if strings.HasPrefix(text[i:], `\u`) {
		end := i + 2
		for end < len(text) && end < i+6 && isHex(text[end]) {
			end++
		}
		return end
	}
	next, size := utf8.DecodeRuneInString(text[i+1:])
	if next == '\n' || next == '\r' { // the backslash alone: a message is one line
		size = 0
	}
	return i + 1 + size
}

// inArray tells whether [[ opens an array in an array here rather than a name:
// within an array constant and where one must begin, behind IN and NIN.
func (l *lexer) inArray() bool {
	return l.brackets > 0 || l.previous().keyword("IN", "NIN")
}

func (l *lexer) escaped() {
	inner := l.text[l.at+2:]
	if line := strings.IndexByte(inner, '\n'); line >= 0 {
		inner = inner[:line]
	}
	size := strings.Index(inner, "]]")
	if size < 0 {
		l.fail(l.at+2, codeUnclosedName)
		return
	}
	l.add(Escaped, l.at+2+size+2, inner[:size])
}

func (l *lexer) comment() {
	size := strings.Index(l.text[l.at+2:], "*/")
	if size < 0 {
		l.fail(l.at+2, codeUnclosedComment)
		return
	}
	l.add(Comment, l.at+2+size+2, "")
}

// symbols in the order they are tried, longest first, with the spelling the
// parser knows them by.
var symbols = []struct{ text, value string }{
	{"<>", "!="},
	{"!=", "!="},
	{"<=", "<="},
	{">=", ">="},
	{"=", "="},
	{"<", "<"},
	{">", ">"},
	{"+", "+"},
	{"-", "-"},
	{"*", "*"},
	{"/", "/"},
	{"%", "%"},
	{"(", "("},
	{")", ")"},
	{"[", "["},
	{"]", "]"},
	{",", ","},
	{".", "."},
}

// foreignSymbols are signs of other languages and what to write instead.
var foreignSymbols = []struct{ text, instead string }{
	{"==", "="}, {"&&", "AND"}, {"||", "OR"},
}

func (l *lexer) symbol() {
	for _, f := range foreignSymbols {
		if l.sees(f.text) {
			end := l.at + len(f.text)
			l.fail(end, codeForeignSymbol, "found", f.text, "instead", f.instead).replace(f.instead)
			return
		}
	}
	if l.sees("--") {
		// Choice: refused even where it could be two signs, since behind a
		// whole condition it would silently change what is asked.
		l.fail(l.at+2, codeLineComment)
		return
	}
	for _, s := range symbols {
		if !l.sees(s.text) {
			continue
		}
		switch s.text {
		case "[":
			l.brackets++
		case "]":
			l.brackets = max(0, l.brackets-1)
		}
		l.add(Symbol, l.at+len(s.text), s.value)
		return
	}
	l.stranger()
}

// stranger reports a character no query may hold outside strings.
func (l *lexer) stranger() {
	c, size := utf8.DecodeRuneInString(l.text[l.at:])
	end := l.at + size
	switch {
	case c == '!':
		l.fail(end, codeForeignSymbol, "found", "!", "instead", "NOT").replace("NOT ")
	case c == ';':
		l.fail(end, codeSemicolon).replace("")
	case strings.ContainsRune("‘’“”`´", c):
		begin := l.at
		e := l.fail(end, codeCurlyQuote, "found", string(c))
		if size := strings.IndexAny(l.text[end:], "‘’“”`´"); size >= 0 {
			_, quote := utf8.DecodeRuneInString(l.text[end+size:])
			inner := l.text[end : end+size]
			spelt := quoted(inner)
			if c == '`' && !strings.Contains(inner, "]]") { // SQL quotes names so
				spelt = segment(inner)
			}
			e.repair(begin, end+size+quote, spelt)
		}
	default:
		l.fail(end, codeStranger, "found", string(c))
	}
}

func (l *lexer) skipSpace() {
	for i, c := range l.text[l.at:] {
		if !unicode.IsSpace(c) {
			l.at += i
			return
		}
	}
	l.at = len(l.text)
}

func (l *lexer) sees(s string) bool { return strings.HasPrefix(l.text[l.at:], s) }

// previous returns the token before this place, comments left aside.
func (l *lexer) previous() Token {
	for _, v := range slices.Backward(l.tokens) {
		if v.Kind != Comment {
			return v
		}
	}
	return Token{}
}

func (l *lexer) add(k Kind, end int, value string) {
	l.tokens = append(l.tokens, Token{Kind: k, Offset: l.at, Text: l.text[l.at:end], Value: value})
	l.at = end
}

func (l *lexer) fail(end int, code Code, args ...string) *Error {
	l.fault = newError(l.text, span{l.at, end}, code, args...)
	l.add(Invalid, end, "")
	return l.fault
}
