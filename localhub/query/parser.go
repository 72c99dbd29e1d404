package query

import (
	"strconv"
	"unicode/utf8"
)

// The grammar, as documented for IoT Hub plus the forms that Microsoft's own
// tools and samples use. Keywords and names of functions and collections are
// read in any case. White space and comments may stand between tokens.
//
//	query      = "SELECT" [ "TOP" integer ] select "FROM" source
//	             [ "WHERE" or ] [ "GROUP" "BY" path { "," path } ] ;
//	select     = "*" | item { "," item } ;
//	item       = ( path | aggregate ) [ "AS" segment ] ;
//	aggregate  = "COUNT" "(" ")" | ( "AVG" | "SUM" | "MIN" | "MAX" ) "(" path ")" ;
//	source     = "devices" | "devices" "." "modules" | "devices" "." "jobs" ;
//	or         = and { "OR" and } ;
//	and        = not { "AND" not } ;
//	not        = "NOT" not | comparison ;
//	comparison = sum [ ( "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) sum
//	                 | ( "IN" | "NIN" ) array ] ;
//	sum        = product { ( "+" | "-" ) product } ;
//	product    = minus { ( "*" | "/" | "%" ) minus } ;
//	minus      = [ "-" ] primary ;
//	primary    = constant | call | path | "(" or ")" ;
//	call       = name "(" [ or { "," or } ] ")" ;
//	path       = segment { "." segment } ;
//	segment    = name | "[[" text without "]]" "]]" ;
//	array      = "[" [ element { "," element } ] "]" ;
//	element    = [ "-" ] number | constant ;
//	constant   = "undefined" | "null" | "true" | "false" | number | string | array ;
//
// Tokens are described in lexer.go. "[[" begins a name where a segment may
// stand; after IN and NIN and within an array it is an array in an array.

// limits bound what one query may cost. The length is IoT Hub's; depth and
// operands are choices far beyond what anyone writes by hand.
type limits struct{ chars, depth, operands int }

var hubLimits = limits{chars: 8192, depth: 100, operands: 2048}

type parser struct {
	text     string
	tokens   []Token // without comments
	comments []Token
	fault    *Error // what the Invalid token stands for
	next     int
	limits   limits
	depth    int
	operands int
}

// Parse reads a query and checks that it means something. The error is an
// *Error with the first mistake of grammar, or else of meaning.
func Parse(text string) (*Query, error) {
	q, err := parse(text, hubLimits)
	if err != nil {
		return nil, err
	}
	return q, nil
}

func parse(text string, bounds limits) (*Query, *Error) {
	if err := checkText(text, bounds.chars); err != nil {
		return nil, err
	}
	p := parser{text: text, limits: bounds}
	tokens, fault := lex(text)
	p.fault = fault
	for _, t := range tokens {
		if t.Kind == Comment {
			p.comments = append(p.comments, t)
		} else {
			p.tokens = append(p.tokens, t)
		}
	}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	if err := check(q, &p); err != nil {
		return nil, err
	}
	return q, nil
}

func checkText(text string, limit int) *Error {
	n := 0
	for i, c := range text {
		if c == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return newError(text, span{i, i + 1}, codeNotUTF8)
			}
		}
		if n++; n == limit+1 {
			all := utf8.RuneCountInString(text)
			return newError(text, span{i, len(text)}, codeTooLong, "length", strconv.Itoa(all), "limit", strconv.Itoa(limit))
		}
	}
	return nil
}

func (p *parser) query() (*Query, *Error) {
	q := &Query{}
	steps := []func(*Query) *Error{p.selectClause, p.fromClause, p.whereClause, p.groupClause}
	for _, step := range steps {
		if err := step(q); err != nil {
			return nil, err
		}
	}
	if t := p.peek(); t.Kind != End {
		return nil, p.unexpected(t)
	}
	return q, nil
}

func (p *parser) whereClause(q *Query) *Error {
	if !p.take("WHERE") {
		if t := p.peek(); t.Kind != End && !t.keyword("GROUP") {
			return p.unexpectedClause(t, q.Source)
		}
		return nil
	}
	where, err := p.or()
	q.Where = where
	return err
}

func (p *parser) groupClause(q *Query) *Error {
	if !p.take("GROUP") {
		return nil
	}
	if t := p.peek(); !p.take("BY") {
		return p.fail(t, codeExpectedBy, "found", found(t))
	}
	for {
		path, err := p.path()
		if err != nil {
			return err
		}
		q.GroupBy = append(q.GroupBy, path)
		if !p.takeSymbol(",") {
			return nil
		}
	}
}

func (p *parser) or() (Expr, *Error) {
	x, err := p.and()
	for err == nil && p.take("OR") {
		var y Expr
		y, err = p.and()
		x = &Binary{Or, x, y}
	}
	return x, err
}

func (p *parser) and() (Expr, *Error) {
	x, err := p.not()
	for err == nil && p.take("AND") {
		var y Expr
		y, err = p.not()
		x = &Binary{And, x, y}
	}
	return x, err
}

func (p *parser) not() (Expr, *Error) {
	t := p.peek()
	if !p.take("NOT") {
		return p.comparison()
	}
	if err := p.enter(t); err != nil {
		return nil, err
	}
	defer p.leave()
	x, err := p.not()
	if err != nil {
		return nil, err
	}
	return &Not{x, t.span().to(x.span())}, nil
}

func (p *parser) comparison() (Expr, *Error) {
	x, err := p.sum()
	if err != nil {
		return nil, err
	}
	t := p.peek()
	switch {
	case t.keyword("IN", "NIN"):
		p.next++
		var list *Const
		list, err = p.inList(t)
		x = &In{X: x, List: list, Nin: t.Value == "NIN"}
	case t.comparison():
		p.next++
		var y Expr
		y, err = p.sum()
		x = &Binary{Operator(t.Value), x, y}
	default:
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.comparison() || t.keyword("IN", "NIN") {
		return nil, p.fail(t, codeChained)
	}
	return x, nil
}

func (p *parser) sum() (Expr, *Error)     { return p.chain(p.product, "+", "-") }
func (p *parser) product() (Expr, *Error) { return p.chain(p.minus, "*", "/", "%") }

// chain reads operands joined by operators of one strength, left to right.
func (p *parser) chain(operand func() (Expr, *Error), operators ...string) (Expr, *Error) {
	x, err := operand()
	for err == nil {
		op := ""
		for _, o := range operators {
			if p.takeSymbol(o) {
				op = o
				break
			}
		}
		if op == "" {
			break
		}
		var y Expr
		y, err = operand()
		x = &Binary{Operator(op), x, y}
	}
	return x, err
}

// minus reads -5 as the number it is, so that the tree does not depend on
// how a negative constant is spelt.
func (p *parser) minus() (Expr, *Error) {
	t := p.peek()
	if !p.takeSymbol("-") {
		return p.primary()
	}
	x, err := p.primary()
	if err != nil {
		return nil, err
	}
	at := t.span().to(x.span())
	if c, ok := x.(*Const); ok && c.Value.number() {
		return &Const{negate(c.Value), at}, nil
	}
	return &Negate{x, at}, nil
}

func (p *parser) primary() (Expr, *Error) {
	t := p.peek()
	if p.operands++; p.operands > p.limits.operands {
		return nil, p.fail(t, codeTooManyOperands, "limit", strconv.Itoa(p.limits.operands))
	}
	switch {
	case t.Kind == Name && p.tokens[p.next+1].symbol("("):
		return p.call()
	case t.Kind == Name || t.Kind == Escaped:
		return p.operandPath()
	case t.symbol("("):
		return p.parenthesis()
	}
	c, err := p.constant()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, p.expectedValue(t)
	}
	return c, nil
}

// operandPath returns the path as an expression, without turning a nil *Path
// into an Expr that is not nil.
func (p *parser) operandPath() (Expr, *Error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	return path, nil
}

func (p *parser) parenthesis() (Expr, *Error) {
	open := p.peek()
	p.next++
	if err := p.enter(open); err != nil {
		return nil, err
	}
	defer p.leave()
	if t := p.peek(); t.keyword("SELECT") {
		return nil, p.fail(t, codeSubquery)
	}
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.takeSymbol(")") {
		return x, nil
	}
	if t := p.peek(); t.Kind != End {
		return nil, p.unexpected(t)
	}
	return nil, p.fail(open, codeUnclosedParen)
}

// enter counts one more level of nesting.
func (p *parser) enter(t Token) *Error {
	if p.depth++; p.depth > p.limits.depth {
		return p.fail(t, codeTooDeep, "limit", strconv.Itoa(p.limits.depth))
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) peek() Token { return p.tokens[p.next] }

func (p *parser) take(keyword string) bool {
	if p.peek().keyword(keyword) {
		p.next++
		return true
	}
	return false
}

func (p *parser) takeSymbol(s string) bool {
	if p.peek().symbol(s) {
		p.next++
		return true
	}
	return false
}

// fail reports a mistake at a token. Where the text already is no token, that
// is the mistake.
func (p *parser) fail(t Token, code Code, args ...string) *Error {
	if t.Kind == Invalid {
		return p.fault
	}
	return newError(p.text, t.span(), code, args...)
}
