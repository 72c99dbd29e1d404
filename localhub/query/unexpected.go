package query

import "strings"

// foreign are words of SQL, known so that their absence can be explained.
var foreign = map[string]Code{
	"ORDER": codeNoOrderBy, "LIMIT": codeNoLimit, "OFFSET": codeNoLimit, "FETCH": codeNoLimit,
	"JOIN": codeNoJoin, "INNER": codeNoJoin, "LEFT": codeNoJoin, "RIGHT": codeNoJoin, "OUTER": codeNoJoin, "CROSS": codeNoJoin,
	"LIKE": codeNoLike, "BETWEEN": codeNoBetween, "IS": codeNoIs, "HAVING": codeNoHaving,
	"UNION": codeNoUnion, "INTERSECT": codeNoUnion, "EXCEPT": codeNoUnion,
}

// unexpected explains a token behind a whole operand, where an operator or
// the end of the expression would have to be.
func (p *parser) unexpected(t Token) *Error {
	before := p.tokens[p.next-1]
	after := p.tokens[min(p.next+1, len(p.tokens)-1)]
	switch {
	case t.keyword("NOT") && after.keyword("IN"):
		return newError(p.text, t.span().to(after.span()), codeNotIn).replace("NIN")
	case t.keyword("NOT") && after.Kind == Name && foreign[strings.ToUpper(after.Text)] != "":
		return p.foreignWord(after)
	case t.Kind == Name:
		return p.unexpectedName(t, before, "AND", "NIN", "GROUP")
	case t.keyword("SELECT", "FROM", "WHERE", "GROUP"):
		return p.fail(t, codeClauseOrder, "word", t.Value)
	case t.symbol(")"):
		return p.fail(t, codeExtraParen).replace("")
	case t.Kind == String && before.Kind == String && t.Offset == before.span().end:
		return newError(p.text, before.span().to(t.span()), codeDoubledQuote).
			replace(quoted(before.Value + before.Text[:1] + t.Value))
	case t.symbol("("), t.symbol("["), t.Kind == Escaped, t.Kind == String, t.Kind == Number,
		t.keyword("NOT", "TRUE", "FALSE", "NULL", "UNDEFINED"):
		return p.fail(t, codeExpectedOperator, "found", found(t))
	}
	return p.fail(t, codeUnexpected, "found", found(t))
}

// unexpectedName explains a name where one of the words would fit.
func (p *parser) unexpectedName(t, before Token, words ...string) *Error {
	if foreign[strings.ToUpper(t.Text)] != "" {
		return p.foreignWord(t)
	}
	if near := closest(t.Text, words...); near != "" {
		return p.misspelt(t, near)
	}
	name := strings.ToUpper(before.Text)
	if _, known := functions[name]; known && before.Kind == Name {
		return p.fail(before, codeCallParens, "name", name)
	}
	return p.fail(t, codeExpectedOperator, "found", found(t))
}

// unexpectedClause explains a token behind the collection.
func (p *parser) unexpectedClause(t Token, source Source) *Error {
	switch {
	case t.Kind == Name && foreign[strings.ToUpper(t.Text)] != "":
		return p.foreignWord(t)
	case t.Kind == Name:
		if near := closest(t.Text, "WHERE", "GROUP"); near != "" {
			return p.misspelt(t, near)
		}
		return p.fail(t, codeSourceAlias, "source", string(source))
	case t.keyword("AS"):
		return p.fail(t, codeSourceAlias, "source", string(source))
	case t.symbol(","):
		return p.fail(t, codeOneSource)
	case t.keyword("SELECT", "FROM"):
		return p.fail(t, codeClauseOrder, "word", t.Value)
	}
	return p.fail(t, codeExpectedClause, "found", found(t))
}

// expectedValue explains a token where an operand has to begin.
func (p *parser) expectedValue(t Token) *Error {
	if t.Kind == Keyword && p.namesProperty() && !t.keyword("AND", "OR") {
		return p.reserved(t)
	}
	return p.fail(t, codeExpectedValue, "found", found(t))
}

func (p *parser) foreignWord(t Token) *Error {
	word := strings.ToUpper(t.Text)
	return p.fail(t, foreign[word], "word", word)
}

func (p *parser) misspelt(t Token, instead string) *Error {
	return p.fail(t, codeMisspelt, "found", t.Text, "instead", instead).replace(instead)
}

// found is what messages say of a token; the end of the query is "".
func found(t Token) string { return shorten(t.Text) }
