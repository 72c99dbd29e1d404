package query

import "strings"

// function is one the hub's twin queries know. Only IS_DEFINED is documented;
// STARTSWITH and ARRAY_CONTAINS are what Microsoft's tools send. ENDSWITH and
// the IS_ family are documented for message routes: a choice to have them.
type function struct {
	args int // 1 or 2
	eval func(x, y Value) Value
}

var functions = map[string]function{
	"IS_DEFINED":     {1, func(x, _ Value) Value { return boolean(x.typ != Undefined) }},
	"IS_NULL":        {1, func(x, _ Value) Value { return boolean(x.typ == Null) }},
	"IS_STRING":      {1, func(x, _ Value) Value { return boolean(x.typ == Text) }},
	"IS_NUMBER":      {1, func(x, _ Value) Value { return boolean(x.number()) }},
	"IS_BOOL":        {1, func(x, _ Value) Value { return boolean(x.typ == Bool) }},
	"IS_ARRAY":       {1, func(x, _ Value) Value { return boolean(x.typ == Array) }},
	"IS_OBJECT":      {1, func(x, _ Value) Value { return boolean(x.typ == Object) }},
	"IS_PRIMITIVE":   {1, func(x, _ Value) Value { return boolean(x.primitive()) }},
	"STARTSWITH":     {2, onTexts(strings.HasPrefix)},
	"ENDSWITH":       {2, onTexts(strings.HasSuffix)},
	"ARRAY_CONTAINS": {2, arrayContains},
}

// onTexts makes a function of two texts; of anything else it is undefined.
func onTexts(test func(s, part string) bool) func(x, y Value) Value {
	return func(x, y Value) Value {
		if x.typ != Text || y.typ != Text {
			return Value{}
		}
		return boolean(test(x.text, y.text))
	}
}

// arrayContains tells whether an element equals a primitive; it is undefined
// when x is no array or y no primitive.
func arrayContains(x, y Value) Value {
	if x.typ != Array || !y.primitive() {
		return Value{}
	}
	contains := false
	x.items(func(item Value) bool {
		contains = equal(item, y).True()
		return !contains
	})
	return boolean(contains)
}

// refused are functions that people expect and the hub refuses.
var refused = map[string]Code{
	"STARTS_WITH": codeStartsWith, "ENDS_WITH": codeEndsWith, "CONTAINS": codeContains,
}

// replacements are what to write for a refused function, where its arguments
// stay the same.
var replacements = map[string]string{"STARTS_WITH": "STARTSWITH", "ENDS_WITH": "ENDSWITH"}

// routeFunctions exist in the queries of message routes only.
var routeFunctions = map[string]bool{
	"AS_NUMBER": true, "ABS": true, "EXP": true, "POWER": true, "SQUARE": true, "CEILING": true, "FLOOR": true,
	"SIGN": true, "SQRT": true, "CONCAT": true, "LENGTH": true, "LOWER": true, "UPPER": true, "SUBSTRING": true,
	"INDEX_OF": true,
}
