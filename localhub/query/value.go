package query

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Type says what a Value is.
type Type uint8

// The types of values. Integers and other numbers compare with each other;
// they are told apart because integers stay exact.
const (
	Undefined Type = iota // the path leads nowhere
	Null
	Bool
	Integer
	Float
	Text
	Array
	Object
)

// Value is what a path or an expression yields for one twin. The zero Value
// is undefined.
type Value struct {
	typ  Type
	bits uint64 // Bool, Integer, Float
	text string // Text; of a number read from a document its own spelling
	tree any    // Array: []any or []Value; Object: map[string]any
}

// boolean returns true or false.
func boolean(b bool) Value {
	if b {
		return Value{typ: Bool, bits: 1}
	}
	return Value{typ: Bool}
}

// str returns a text.
func str(s string) Value { return Value{typ: Text, text: s} }

// integer returns a whole number.
func integer(i int64) Value { return Value{typ: Integer, bits: uint64(i)} }

// exact is the bound below which a float64 holds every whole number.
const exact = 1 << 53

// number64 returns a number. A whole one becomes an Integer where float64 is
// exact, so that 1.0 and 1 are one value.
func number64(f float64) Value {
	if f == math.Trunc(f) && math.Abs(f) <= exact {
		return integer(int64(f))
	}
	return Value{typ: Float, bits: math.Float64bits(f)}
}

// parseNumber reads a decimal number; ok is false when it exceeds float64.
func parseNumber(s string) (v Value, ok bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return integer(i), true
	}
	f, err := strconv.ParseFloat(s, 64)
	return number64(f), err == nil
}

// Of returns the value of a decoded piece of a document: nil, bool, string,
// json.Number, any Go integer or float, []any, map[string]any, and types made
// of these. Anything else is undefined.
func Of(v any) Value {
	switch v := v.(type) {
	case nil:
		return Value{typ: Null}
	case Value:
		return v
	case bool:
		return boolean(v)
	case string:
		return str(v)
	case json.Number:
		n, _ := parseNumber(string(v)) // beyond float64 it is infinite: larger than all others
		n.text = string(v)
		return n
	case []any:
		return Value{typ: Array, tree: v}
	case map[string]any:
		return Value{typ: Object, tree: v}
	}
	return reflected(reflect.ValueOf(v))
}

func reflected(v reflect.Value) Value {
	tree := reflect.TypeFor[map[string]any]()
	switch {
	case v.Kind() == reflect.Bool:
		return boolean(v.Bool())
	case v.Kind() == reflect.String:
		return str(v.String())
	case v.CanInt():
		return integer(v.Int())
	case v.CanUint():
		return number64(float64(v.Uint()))
	case v.CanFloat():
		return number64(v.Float())
	case v.Kind() == reflect.Map && v.CanConvert(tree):
		return Value{typ: Object, tree: v.Convert(tree).Interface()}
	}
	return Value{}
}

// FromJSON returns the value of a JSON text, such as SQLite's -> operator
// extracts from a document.
func FromJSON(text string) (Value, error) {
	// A text without escapes, the most frequent case, needs no decoder.
	if n := len(text) - 1; n > 0 && text[0] == '"' && text[n] == '"' && strings.IndexByte(text, '\\') < 0 {
		return str(text[1:n]), nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return Value{}, fmt.Errorf("read JSON value: %w", err)
	}
	return Of(v), nil
}

// Type returns what the value is.
func (v Value) Type() Type { return v.typ }

// True tells whether the value is exactly the boolean true, which is what a
// row needs to pass WHERE.
func (v Value) True() bool { return v.typ == Bool && v.bits == 1 }

// Any returns the value as a document holds it, numbers as json.Number in
// their own spelling; nil stands for null and for undefined.
func (v Value) Any() any {
	switch v.typ {
	case Bool:
		return v.bits == 1
	case Integer, Float:
		return json.Number(v.spelling())
	case Text:
		return v.text
	case Array:
		if constants, ok := v.tree.([]Value); ok {
			list := make([]any, len(constants))
			for i, c := range constants {
				list[i] = c.Any()
			}
			return list
		}
		return v.tree
	case Object:
		return v.tree
	}
	return nil
}

func (v Value) spelling() string {
	switch {
	case v.text != "":
		return v.text
	case v.typ == Integer:
		return strconv.FormatInt(int64(v.bits), 10)
	}
	return strconv.FormatFloat(v.float(), 'g', -1, 64)
}

func (v Value) int() int64 { return int64(v.bits) }

func (v Value) float() float64 {
	if v.typ == Integer {
		return float64(v.int())
	}
	return math.Float64frombits(v.bits)
}

func (v Value) number() bool    { return v.typ == Integer || v.typ == Float }
func (v Value) primitive() bool { return v.typ >= Null && v.typ <= Text }

// items calls f for each element of an array until it returns false.
func (v Value) items(f func(Value) bool) {
	switch list := v.tree.(type) {
	case []Value:
		for _, item := range list {
			if !f(item) {
				return
			}
		}
	case []any:
		for _, item := range list {
			if !f(Of(item)) {
				return
			}
		}
	}
}

// Equal tells whether two values are the same through and through. It is not
// the language's =, for which undefined and arrays equal nothing.
func (v Value) Equal(w Value) bool {
	switch {
	case v.number() && w.number():
		return compareNumbers(v, w) == 0
	case v.typ != w.typ:
		return false
	case v.typ == Array || v.typ == Object:
		return reflect.DeepEqual(v.Any(), w.Any())
	}
	return v.bits == w.bits && v.text == w.text
}
