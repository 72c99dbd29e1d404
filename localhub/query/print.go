package query

import (
	"fmt"
	"strings"
)

// String returns the query in one line with the language's usual spelling.
// Parsing it gives the same tree.
func (q *Query) String() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	if q.Top > 0 {
		fmt.Fprintf(&b, "TOP %d ", q.Top)
	}
	if q.Star() {
		b.WriteByte('*')
	}
	for i, item := range q.Items {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(item.String())
	}
	b.WriteString(" FROM " + string(q.Source))
	if q.Where != nil {
		b.WriteString(" WHERE " + Format(q.Where))
	}
	for i, path := range q.GroupBy {
		if i == 0 {
			b.WriteString(" GROUP BY ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(path.String())
	}
	return b.String()
}

// String returns the element as the select list spells it.
func (i Item) String() string {
	s := ""
	switch {
	case i.Aggregate == Count:
		s = "COUNT()"
	case i.Aggregate != "":
		s = string(i.Aggregate) + "(" + i.Path.String() + ")"
	default:
		s = i.Path.String()
	}
	if i.Alias != "" {
		s += " AS " + segment(i.Alias)
	}
	return s
}

// String returns the path as a query spells it, names in double brackets
// where they need them.
func (e *Path) String() string {
	parts := make([]string, len(e.Segments))
	for i, s := range e.Segments {
		parts[i] = segment(s)
	}
	return strings.Join(parts, ".")
}

// Format returns an expression with only the parentheses it needs.
func Format(e Expr) string {
	var b strings.Builder
	format(&b, e, 0)
	return b.String()
}

// How tightly expressions bind, loosest first.
const (
	bindOr = iota + 1
	bindAnd
	bindNot
	bindComparison
	bindSum
	bindProduct
	bindMinus
	bindPrimary
)

func binding(e Expr) int {
	switch e := e.(type) {
	case *Binary:
		return bindings[e.Op]
	case *In:
		return bindComparison
	case *Not:
		return bindNot
	case *Negate:
		return bindMinus
	case *Const:
		if e.Value.number() && e.Value.float() < 0 {
			return bindMinus
		}
	}
	return bindPrimary
}

var bindings = map[Operator]int{
	Or: bindOr, And: bindAnd,
	Equal: bindComparison, NotEqual: bindComparison, Less: bindComparison,
	LessOrEqual: bindComparison, Greater: bindComparison, GreaterOrEqual: bindComparison,
	Add: bindSum, Subtract: bindSum,
	Multiply: bindProduct, Divide: bindProduct, Remainder: bindProduct,
}

// format writes e, in parentheses when it binds looser than least.
func format(b *strings.Builder, e Expr, least int) {
	own := binding(e)
	if own < least {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	switch e := e.(type) {
	case *Binary:
		left := own
		if own == bindComparison { // comparisons do not chain
			left++
		}
		format(b, e.X, left)
		b.WriteString(" " + string(e.Op) + " ")
		format(b, e.Y, own+1)
	case *Not:
		b.WriteString("NOT ")
		format(b, e.X, bindNot)
	case *Negate:
		b.WriteByte('-')
		format(b, e.X, bindPrimary)
	case *In:
		format(b, e.X, bindSum)
		b.WriteString(map[bool]string{false: " IN ", true: " NIN "}[e.Nin] + e.List.Value.String())
	case *Call:
		b.WriteString(e.Name + "(")
		for i, arg := range e.Args {
			if i > 0 {
				b.WriteString(", ")
			}
			format(b, arg, 0)
		}
		b.WriteByte(')')
	case *Path:
		b.WriteString(e.String())
	case *Const:
		b.WriteString(e.Value.String())
	}
}

// String returns the value as a query spells it; objects, which queries
// cannot hold, in Go's way.
func (v Value) String() string {
	switch v.typ {
	case Undefined:
		return "undefined"
	case Null:
		return "null"
	case Bool:
		return fmt.Sprint(v.bits == 1)
	case Integer, Float:
		return v.spelling()
	case Text:
		return quoted(v.text)
	case Array:
		var parts []string
		v.items(func(item Value) bool {
			parts = append(parts, item.String())
			return true
		})
		list := strings.Join(parts, ", ")
		if strings.HasPrefix(list, "[") {
			list = " " + list // [[ could begin a name
		}
		return "[" + list + "]"
	}
	return fmt.Sprint(v.tree)
}

// segment spells a property name, in double brackets unless it is a plain one.
func segment(name string) string {
	if isName(name) {
		return name
	}
	return "[[" + name + "]]"
}

// quoted spells a text as a constant.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range s {
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
