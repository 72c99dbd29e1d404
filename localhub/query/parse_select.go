package query

import (
	"strconv"
	"strings"
)

func (p *parser) selectClause(q *Query) *Error {
	t := p.peek()
	switch {
	case p.take("SELECT"):
	case t.Kind == End:
		return p.fail(t, codeEmpty)
	default:
		return p.notSelect(t)
	}
	if err := p.top(q); err != nil {
		return err
	}
	if err := p.selectWord(); err != nil {
		return err
	}
	if p.takeSymbol("*") {
		if t := p.peek(); t.symbol(",") || t.keyword("AS") {
			return p.fail(p.tokens[p.next-1], codeStarAlone)
		}
		return nil
	}
	for {
		item, err := p.item(len(q.Items) > 0)
		if err != nil {
			return err
		}
		q.Items = append(q.Items, item)
		if !p.takeSymbol(",") {
			return nil
		}
	}
}

func (p *parser) notSelect(t Token) *Error {
	if t.Kind == Name {
		switch word := strings.ToUpper(t.Text); word {
		case "UPDATE", "DELETE", "INSERT", "MERGE", "DROP", "CREATE", "ALTER", "TRUNCATE":
			return p.fail(t, codeReadOnly, "word", word)
		}
		if closest(t.Text, "SELECT") != "" {
			return p.misspelt(t, "SELECT")
		}
	}
	return p.fail(t, codeExpectedSelect, "found", found(t))
}

func (p *parser) top(q *Query) *Error {
	if !p.take("TOP") {
		return nil
	}
	t := p.peek()
	n, err := strconv.ParseInt(t.Text, 0, 32)
	if strings.HasPrefix(t.Text, "0") && len(t.Text) > 1 && isDigit(rune(t.Text[1])) {
		n, err = strconv.ParseInt(t.Text, 10, 32) // leading zeros do not mean octal here
	}
	if t.Kind != Number || err != nil || n < 1 {
		return p.fail(t, codeTopNumber, "found", found(t))
	}
	p.next++
	q.Top = int(n)
	return nil
}

// selectWord refuses the words other languages have after SELECT, unless the
// word is a property: SELECT value FROM devices.
func (p *parser) selectWord() *Error {
	t, after := p.peek(), p.tokens[min(p.next+1, len(p.tokens)-1)]
	if after.symbol(",") || after.symbol(".") || after.keyword("FROM", "AS") || after.Kind == End {
		return nil
	}
	switch {
	case t.word("DISTINCT"):
		return p.fail(t, codeNoDistinct)
	case t.word("VALUE"):
		return p.fail(t, codeNoValue)
	}
	return nil
}

// item reads one element of the select list; later tells whether one came
// before.
func (p *parser) item(later bool) (Item, *Error) {
	t := p.peek()
	var item Item
	var err *Error
	switch {
	case t.Kind == Name && p.tokens[p.next+1].symbol("("):
		item, err = p.aggregate()
	case t.Kind == Name || t.Kind == Escaped:
		item.Path, err = p.path()
	case later && t.symbol("*"):
		err = p.fail(t, codeStarAlone)
	case t.Kind == Number || t.Kind == String || t.symbol("(") || t.symbol("-"):
		err = p.fail(t, codeSelectExpression)
	case t.Kind == Keyword && p.namesProperty():
		err = p.reserved(t)
	default:
		err = p.fail(t, codeExpectedItem, "found", found(t))
	}
	if err != nil {
		return Item{}, err
	}
	if p.take("AS") {
		item.Alias, err = p.alias()
	}
	item.at = t.span().to(p.tokens[p.next-1].span())
	return item, err
}

func (p *parser) alias() (string, *Error) {
	t := p.peek()
	switch {
	case t.Kind == Name || t.Kind == Escaped && t.Value != "":
		p.next++
		return t.Value, nil
	case t.Kind == Keyword && (!t.keyword("FROM") || p.tokens[p.next+1].Kind != Name):
		return "", p.reserved(t)
	case t.Kind == String && t.Value != "" && !strings.Contains(t.Value, "]]"):
		return "", p.fail(t, codeQuotedName, "name", t.Value).replace(segment(t.Value))
	}
	return "", p.fail(t, codeExpectedAlias, "found", found(t))
}

func (p *parser) aggregate() (Item, *Error) {
	name := p.peek()
	p.next += 2
	kind, ok := aggregates[strings.ToUpper(name.Text)]
	if !ok {
		return Item{}, p.selectFunction(name)
	}
	first := p.peek()
	if kind == Count {
		if !p.takeSymbol(")") {
			return Item{}, p.countArgument(name)
		}
		return Item{Aggregate: kind}, nil
	}
	if first.Kind != Name && first.Kind != Escaped || p.tokens[p.next+1].symbol("(") {
		if first.Kind == Keyword && p.namesProperty() {
			return Item{}, p.reserved(first)
		}
		return Item{}, p.fail(first, codeAggregatePath, "name", string(kind), "found", found(first))
	}
	path, err := p.path()
	if err != nil {
		return Item{}, err
	}
	if t := p.peek(); !p.takeSymbol(")") {
		return Item{}, p.fail(t, codeAggregatePath, "name", string(kind), "found", found(t))
	}
	return Item{Aggregate: kind, Path: path}, nil
}

func (p *parser) selectFunction(name Token) *Error {
	upper := strings.ToUpper(name.Text)
	if _, known := functions[upper]; !known {
		if near := closest(name.Text, "COUNT", "AVG", "SUM", "MIN", "MAX"); near != "" {
			return p.fail(name, codeMisspeltFunction, "name", upper, "instead", near).replace(near)
		}
	}
	return p.fail(name, codeSelectFunction, "name", upper)
}

// countArgument refuses COUNT(*), COUNT(1) and the like, and offers COUNT().
func (p *parser) countArgument(name Token) *Error {
	e := p.fail(p.peek(), codeCountArgument)
	if e.Code != codeCountArgument {
		return e
	}
	for _, t := range p.tokens[p.next:] {
		if t.symbol("(") || t.Kind == Keyword {
			break
		}
		if t.symbol(")") {
			return e.repair(name.Offset, t.span().end, "COUNT()")
		}
	}
	return e
}

func (p *parser) fromClause(q *Query) *Error {
	if t := p.peek(); !p.take("FROM") {
		return p.notFrom(t, q.Star())
	}
	first := p.peek()
	if first.Kind != Name {
		return p.fail(first, codeExpectedSource, "found", found(first))
	}
	p.next++
	name, last := first.Text, first
	for p.peek().symbol(".") && p.tokens[p.next+1].Kind == Name {
		last = p.tokens[p.next+1]
		name += "." + last.Text
		p.next += 2
	}
	if t := p.peek(); t.symbol(".") {
		return p.fail(p.tokens[p.next+1], codeExpectedName, "found", found(p.tokens[p.next+1]))
	}
	where := first.span().to(last.span())
	q.Source = Source(strings.ToLower(name))
	switch q.Source {
	case Devices, Modules, Jobs:
		return nil
	}
	if near := closest(name, string(Devices), string(Modules), string(Jobs)); near != "" {
		return newError(p.text, where, codeMisspeltSource, "found", shorten(name), "instead", near).
			replace(near)
	}
	return newError(p.text, where, codeUnknownSource, "found", shorten(name))
}

func (p *parser) notFrom(t Token, star bool) *Error {
	switch {
	case t.Kind == End:
		end := len(strings.TrimRight(p.text[:t.Offset], " \t\r\n"))
		return p.fail(t, codeMissingFrom).repair(end, end, " FROM devices")
	case t.Kind == Symbol:
		switch t.Value {
		case "(", ")", ".":
		case "[":
			return p.fail(t, codeNoIndex)
		default:
			return p.fail(t, codeSelectExpression)
		}
	case t.Kind == Name && closest(t.Text, "FROM") != "":
		return p.misspelt(t, "FROM")
	}
	if star {
		return p.fail(t, codeStarFrom, "found", found(t))
	}
	return p.fail(t, codeExpectedFrom, "found", found(t))
}
