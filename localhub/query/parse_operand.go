package query

import (
	"strings"
)

// path reads a property name with its dots.
func (p *parser) path() (*Path, *Error) {
	first := p.peek()
	if first.Kind == Keyword && p.namesProperty() {
		return nil, p.reserved(first)
	}
	if first.Kind != Name && first.Kind != Escaped {
		return nil, p.fail(first, codeExpectedPath, "found", found(first))
	}
	p.next++
	path := &Path{Segments: []string{first.Value}, spans: []span{first.span()}, at: first.span()}
	for p.takeSymbol(".") {
		t := p.peek()
		if t.Kind != Name && t.Kind != Escaped {
			return nil, p.notSegment(t)
		}
		p.next++
		path.Segments = append(path.Segments, t.Value)
		path.spans = append(path.spans, t.span())
		path.at = path.at.to(t.span())
	}
	switch t := p.peek(); {
	case t.symbol("["):
		return nil, p.fail(t, codeNoIndex)
	case t.Kind == Escaped && t.Offset == path.at.end:
		return nil, p.fail(t, codeMissingDot, "name", shorten(t.Value)).repair(t.Offset, t.Offset, ".")
	}
	return path, nil
}

// notSegment says what is wrong with a token behind a dot.
func (p *parser) notSegment(t Token) *Error {
	dot := p.tokens[p.next-1].span()
	switch {
	case t.Kind == Keyword && t.Offset == dot.end:
		return p.reserved(t)
	case t.Kind == String && !strings.Contains(t.Value, "]]"):
		return p.fail(t, codeQuotedName, "name", shorten(t.Value)).replace("[[" + t.Value + "]]")
	case t.symbol("["):
		e := p.fail(t, codeSingleBrackets)
		name, end := p.tokens[p.next+1], p.tokens[min(p.next+2, len(p.tokens)-1)]
		if (name.Kind == Name || name.Kind == Keyword) && end.symbol("]") {
			e.repair(t.Offset, end.span().end, "[["+name.Text+"]]")
		}
		return e
	}
	return p.fail(t, codeExpectedName, "found", found(t))
}

// namesProperty tells whether the keyword at hand is used as a property, by
// what follows it.
func (p *parser) namesProperty() bool {
	after := p.tokens[p.next+1]
	return after.symbol(".") || after.symbol(",") || after.symbol(")") || after.comparison() ||
		after.Kind == End && !p.peek().keyword("FROM", "AND", "OR") || after.keyword("IN", "NIN", "AS") || after.keyword("FROM") && !p.peek().keyword("AS", "BY", "TOP")
}

func (p *parser) reserved(t Token) *Error {
	return p.fail(t, codeReserved, "word", t.Text).replace("[[" + t.Text + "]]")
}

func (p *parser) call() (Expr, *Error) {
	name := p.peek()
	p.next += 2
	call := &Call{Name: strings.ToUpper(name.Text), name: name.span()}
	switch {
	case aggregates[call.Name] != "": // what it holds may be no expression, as in COUNT(*)
		return nil, p.fail(name, codeAggregateWhere, "name", call.Name)
	case call.Name == "EXISTS":
		return nil, p.fail(name, codeNoExists)
	}
	if err := p.enter(name); err != nil {
		return nil, err
	}
	defer p.leave()
	if !p.peek().symbol(")") {
		if err := p.arguments(call); err != nil {
			return nil, err
		}
	}
	t := p.peek()
	if !p.takeSymbol(")") {
		return nil, p.fail(t, codeUnclosedCall, "name", call.Name, "found", found(t))
	}
	call.at = name.span().to(t.span())
	return call, nil
}

func (p *parser) arguments(call *Call) *Error {
	for {
		arg, err := p.or()
		if err != nil {
			return err
		}
		call.Args = append(call.Args, arg)
		if !p.takeSymbol(",") {
			return nil
		}
	}
}

// constant reads a constant if one stands here, else it returns nil.
func (p *parser) constant() (*Const, *Error) {
	t := p.peek()
	var v Value
	switch {
	case t.Kind == String:
		v = str(t.Value)
	case t.Kind == Number:
		n, ok := constantNumber(t.Text)
		if !ok {
			return nil, p.fail(t, codeHugeNumber, "found", shorten(t.Text))
		}
		v = n
	case t.symbol("["):
		return p.array()
	case t.keyword("TRUE", "FALSE") && !p.namesPath():
		v = boolean(t.Value == "TRUE")
	case t.keyword("NULL") && !p.namesPath():
		v = Value{typ: Null}
	case t.keyword("UNDEFINED") && !p.namesPath():
	default:
		return nil, nil
	}
	p.next++
	return &Const{v, t.span()}, nil
}

// namesPath tells whether a dot follows: null.x is meant as a property.
func (p *parser) namesPath() bool { return p.tokens[p.next+1].symbol(".") }

func (p *parser) array() (*Const, *Error) {
	open := p.peek()
	p.next++
	if err := p.enter(open); err != nil {
		return nil, err
	}
	defer p.leave()
	list := []Value{}
	for first := true; !p.peek().symbol("]"); first = false {
		if !first && !p.takeSymbol(",") {
			return nil, p.notInArray(open, codeArrayComma)
		}
		item, err := p.element(open)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	at := open.span().to(p.peek().span())
	p.next++
	return &Const{Value{typ: Array, tree: list}, at}, nil
}

func (p *parser) element(open Token) (Value, *Error) {
	minus := p.takeSymbol("-")
	if minus && p.peek().Kind != Number {
		return Value{}, p.notInArray(open, codeArrayConstants)
	}
	c, err := p.constant()
	switch {
	case err != nil:
		return Value{}, err
	case c == nil:
		return Value{}, p.notInArray(open, codeArrayConstants)
	case minus:
		return negate(c.Value), nil
	}
	return c.Value, nil
}

// notInArray says what is wrong with the token at hand in an array.
func (p *parser) notInArray(open Token, code Code) *Error {
	t := p.peek()
	switch {
	case t.Kind == End:
		return p.fail(open, codeUnclosedArray)
	case code == codeArrayConstants && t.Kind == Name:
		return p.fail(t, codeArrayUnquoted, "found", shorten(t.Text), "name", shorten(t.Text)).replace(quoted(t.Text))
	}
	return p.fail(t, code, "found", found(t))
}

// inList reads the array behind IN or NIN.
func (p *parser) inList(in Token) (*Const, *Error) {
	t := p.peek()
	if t.symbol("[") {
		return p.array()
	}
	if t.symbol("(") {
		return nil, p.inParentheses(in)
	}
	return nil, p.fail(t, codeInArray, "word", in.Value, "found", found(t))
}

// inParentheses refuses IN ('a', 'b') and offers brackets if that is all it
// takes.
func (p *parser) inParentheses(in Token) *Error {
	open := p.peek()
	e := p.fail(open, codeInParens, "word", in.Value)
	for i := p.next + 1; i < len(p.tokens); i++ {
		switch t := p.tokens[i]; {
		case t.symbol(")"):
			inner := strings.TrimSpace(p.text[open.span().end:t.Offset])
			return e.repair(open.Offset, t.span().end, "["+inner+"]")
		case t.Kind == Number || t.Kind == String || t.symbol(",") || t.symbol("-"):
		default:
			return e
		}
	}
	return e
}
