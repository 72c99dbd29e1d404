package query

// Query is a query that was understood: the tree and what follows from it.
// It does not change after Parse and may be used by many goroutines at once.
type Query struct {
	Top      int    // 0 when the query does not bound its rows
	Items    []Item // nil for SELECT *
	Source   Source
	Where    Expr // nil when every row passes
	GroupBy  []*Path
	Warnings []Warning // by place

	paths      []*Path // each once, those of WHERE first; Path.slot counts in it
	wherePaths int
}

// Source is the collection a query reads.
type Source string

// The collections of an IoT Hub.
const (
	Devices Source = "devices"
	Modules Source = "devices.modules"
	Jobs    Source = "devices.jobs"
)

// Item is one element of the select list: a property or an aggregate.
type Item struct {
	Aggregate Aggregate // "" for a property
	Path      *Path     // nil for COUNT
	Alias     string    // "" when the query gives none

	at span
}

// Aggregate is a function over all rows of a group.
type Aggregate string

// The aggregates of the language.
const (
	Count   Aggregate = "COUNT"
	Average Aggregate = "AVG"
	Sum     Aggregate = "SUM"
	Minimum Aggregate = "MIN"
	Maximum Aggregate = "MAX"
)

var aggregates = map[string]Aggregate{
	"COUNT": Count, "AVG": Average, "SUM": Sum, "MIN": Minimum, "MAX": Maximum,
}

// Expr is a node of a condition: *Binary, *Not, *Negate, *In, *Call, *Path or
// *Const. Parentheses are not kept; the tree says what they said.
type Expr interface{ span() span }

// Operator joins two expressions.
type Operator string

// The binary operators; <> is read as !=.
const (
	Or             Operator = "OR"
	And            Operator = "AND"
	Equal          Operator = "="
	NotEqual       Operator = "!="
	Less           Operator = "<"
	LessOrEqual    Operator = "<="
	Greater        Operator = ">"
	GreaterOrEqual Operator = ">="
	Add            Operator = "+"
	Subtract       Operator = "-"
	Multiply       Operator = "*"
	Divide         Operator = "/"
	Remainder      Operator = "%"
)

// Binary is an operation on two values.
type Binary struct {
	Op   Operator
	X, Y Expr
}

// Not is the logical complement.
type Not struct {
	X Expr

	at span
}

// Negate is the arithmetic complement; that of a number is a Const instead.
type Negate struct {
	X Expr

	at span
}

// In asks whether a value is one of an array constant, for NIN whether not.
type In struct {
	X    Expr
	List *Const
	Nin  bool
}

// Call is a function of one or two arguments.
type Call struct {
	Name string // in upper case
	Args []Expr

	name, at span
}

// Path leads to a value of the twin, by the names as the query spells them.
type Path struct {
	Segments []string

	keys  []string // what to follow in the document
	name  string   // of these keys
	slot  int
	spans []span // of the segments
	at    span
}

// Const is a number, text, boolean, null, undefined or array of these.
type Const struct {
	Value Value

	at span
}

func (e *Binary) span() span { return e.X.span().to(e.Y.span()) }
func (e *Not) span() span    { return e.at }
func (e *Negate) span() span { return e.at }
func (e *In) span() span     { return e.X.span().to(e.List.at) }
func (e *Call) span() span   { return e.at }
func (e *Path) span() span   { return e.at }
func (e *Const) span() span  { return e.at }

// Keys returns the member names to follow from the root of the twin, without
// collection prefix and with system fields as the document spells them. The
// caller must not change them.
func (e *Path) Keys() []string { return e.keys }

// Name tells paths apart: those with the same keys have the same.
func (e *Path) Name() string { return e.name }

// Slot returns the index of the path in AllPaths; equal paths share one.
func (e *Path) Slot() int { return e.slot }

// walk calls f for an expression and all below it, left to right.
func walk(e Expr, f func(Expr)) {
	if e == nil {
		return
	}
	f(e)
	switch e := e.(type) {
	case *Binary:
		walk(e.X, f)
		walk(e.Y, f)
	case *Not:
		walk(e.X, f)
	case *Negate:
		walk(e.X, f)
	case *In:
		walk(e.X, f)
		walk(e.List, f)
	case *Call:
		for _, arg := range e.Args {
			walk(arg, f)
		}
	}
}
