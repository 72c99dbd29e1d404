package query

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// Row gives the values of one twin.
type Row interface {
	// Value returns what the path leads to, undefined if it leads nowhere.
	Value(*Path) Value
}

// Document is a twin decoded with json.Number for its numbers.
type Document map[string]any

// Value follows the keys of the path. Arrays have no members.
func (d Document) Value(p *Path) Value {
	object := map[string]any(d)
	last := len(p.keys) - 1
	for _, key := range p.keys[:last] {
		switch inner := object[key].(type) {
		case map[string]any:
			object = inner
		default:
			v := Of(inner)
			if v.typ != Object {
				return Value{}
			}
			object = v.tree.(map[string]any)
		}
	}
	leaf, ok := object[p.keys[last]]
	if !ok {
		return Value{}
	}
	return Of(leaf)
}

// Values are the values of one twin in the order of Query.Paths, or of
// Query.AllPaths, for callers that hold them in columns.
type Values []Value

// Value returns the value in the path's slot.
func (v Values) Value(p *Path) Value { return v[p.slot] }

// Logic has three values: a condition over what is missing is neither true
// nor false, and NOT leaves it so. What is no boolean counts as missing.
type truth int8

const (
	no      truth = -1
	unknown truth = 0
	yes     truth = 1
)

func (v Value) truth() truth {
	switch {
	case v.typ != Bool:
		return unknown
	case v.bits == 1:
		return yes
	}
	return no
}

func (t truth) value() Value {
	if t == unknown {
		return Value{}
	}
	return boolean(t == yes)
}

func eval(e Expr, r Row) Value {
	switch e := e.(type) {
	case *Const:
		return e.Value
	case *Path:
		return r.Value(e)
	case *Binary:
		return evalBinary(e, r)
	case *Not:
		return (-eval(e.X, r).truth()).value()
	case *Negate:
		return negate(eval(e.X, r))
	case *In:
		return in(eval(e.X, r), e.List.Value, e.Nin)
	case *Call:
		x, y := eval(e.Args[0], r), Value{}
		if len(e.Args) > 1 {
			y = eval(e.Args[1], r)
		}
		return functions[e.Name].eval(x, y)
	}
	return Value{}
}

func evalBinary(e *Binary, r Row) Value {
	switch e.Op {
	case And:
		x := eval(e.X, r).truth()
		if x == no {
			return boolean(false)
		}
		return min(x, eval(e.Y, r).truth()).value()
	case Or:
		x := eval(e.X, r).truth()
		if x == yes {
			return boolean(true)
		}
		return max(x, eval(e.Y, r).truth()).value()
	}
	x, y := eval(e.X, r), eval(e.Y, r)
	switch e.Op {
	case Equal:
		return equal(x, y)
	case NotEqual:
		return (-equal(x, y).truth()).value()
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		return order(e.Op, x, y)
	}
	return calculate(e.Op, x, y)
}

// equal compares primitives. Choice: different types are unequal; anything
// with an object or array is undefined, so that neither = nor != matches.
func equal(x, y Value) Value {
	switch {
	case !x.primitive() || !y.primitive():
		return Value{}
	case x.number() && y.number():
		return boolean(compareNumbers(x, y) == 0)
	case x.typ != y.typ:
		return boolean(false)
	case x.typ == Text:
		return boolean(x.text == y.text)
	}
	return boolean(x.bits == y.bits)
}

// order compares two numbers, two texts by code point, or two booleans with
// false first. Choice: all else has no order.
func order(op Operator, x, y Value) Value {
	var c int
	switch {
	case x.number() && y.number():
		c = compareNumbers(x, y)
	case x.typ == Text && y.typ == Text:
		c = strings.Compare(x.text, y.text)
	case x.typ == Bool && y.typ == Bool:
		c = cmp.Compare(x.bits, y.bits)
	default:
		return Value{}
	}
	switch op {
	case Less:
		return boolean(c < 0)
	case LessOrEqual:
		return boolean(c <= 0)
	case Greater:
		return boolean(c > 0)
	}
	return boolean(c >= 0)
}

func compareNumbers(x, y Value) int {
	if x.typ == Integer && y.typ == Integer {
		return cmp.Compare(x.int(), y.int())
	}
	return cmp.Compare(x.float(), y.float())
}

// in looks for a primitive among constants. A missing value is neither in nor
// out, an object or array likewise.
func in(x, list Value, nin bool) Value {
	found := arrayContains(list, x)
	if nin {
		return (-found.truth()).value()
	}
	return found
}

// calculate does arithmetic on numbers, exactly on whole ones as long as they
// fit. Anything else, a division by zero and a result without a number are
// undefined.
func calculate(op Operator, x, y Value) Value {
	if !x.number() || !y.number() {
		return Value{}
	}
	if x.typ == Integer && y.typ == Integer {
		if v, ok := calculateWhole(op, x.int(), y.int()); ok {
			return v
		}
	}
	a, b := x.float(), y.float()
	var f float64
	switch op {
	case Add:
		f = a + b
	case Subtract:
		f = a - b
	case Multiply:
		f = a * b
	case Divide:
		f = a / b
	case Remainder:
		f = math.Mod(a, b)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return number64(f)
}

// calculateWhole is not ok when the result is no whole number or too large.
func calculateWhole(op Operator, a, b int64) (v Value, ok bool) {
	var c int64
	switch op {
	case Add:
		c = a + b
		ok = (c > a) == (b > 0)
	case Subtract:
		c = a - b
		ok = (c < a) == (b > 0)
	case Multiply:
		c = a * b
		ok = a == 0 || c/a == b && (a != -1 || b != math.MinInt64)
	case Divide:
		if ok = b != 0 && b != -1 && a%b == 0; ok {
			c = a / b
		}
	case Remainder:
		if ok = b != 0 && b != -1; ok {
			c = a % b
		}
	}
	return integer(c), ok
}

func negate(v Value) Value {
	switch {
	case v.typ == Integer && v.int() != math.MinInt64:
		return integer(-v.int())
	case v.number():
		return number64(-v.float())
	}
	return Value{}
}

// constantNumber reads a decimal or hexadecimal constant; ok is false when it
// is too large.
func constantNumber(s string) (v Value, ok bool) {
	if len(s) < 2 || s[1] != 'x' && s[1] != 'X' {
		return parseNumber(s)
	}
	n, err := strconv.ParseUint(s[2:], 16, 64)
	if n > math.MaxInt64 {
		return number64(float64(n)), err == nil
	}
	return integer(int64(n)), err == nil
}
