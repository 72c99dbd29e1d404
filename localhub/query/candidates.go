package query

import "slices"

// DeviceIDs returns the only devices whose twins can match, each once, when
// the condition names them: deviceId = 'a', deviceId IN ['a', 'b'], also
// joined with other conditions. Otherwise ok is false and every twin must be
// looked at.
func (q *Query) DeviceIDs() (ids []string, ok bool) { return named("deviceId", q.Where) }

// JobIDs returns the only jobs whose rows can match, as DeviceIDs does devices.
func (q *Query) JobIDs() (ids []string, ok bool) { return named("jobId", q.Where) }

// named returns the only texts that a field can be where the condition is true.
func named(field string, e Expr) ([]string, bool) {
	switch e := e.(type) {
	case *In:
		if !e.Nin && isField(field, e.X) {
			return texts(e.List.Value), true
		}
	case *Binary:
		switch e.Op {
		case Equal:
			return equalIDs(field, e)
		case And:
			return both(field, e)
		case Or:
			x, okX := named(field, e.X)
			y, okY := named(field, e.Y)
			if okX && okY {
				return distinct(append(x, y...)), true
			}
		}
	}
	return nil, false
}

func equalIDs(field string, e *Binary) ([]string, bool) {
	for _, side := range [2][2]Expr{{e.X, e.Y}, {e.Y, e.X}} {
		if c, ok := side[1].(*Const); ok && isField(field, side[0]) {
			return texts(Value{typ: Array, tree: []Value{c.Value}}), true
		}
	}
	return nil, false
}

// both keeps what the two sides of an AND allow.
func both(field string, e *Binary) ([]string, bool) {
	x, okX := named(field, e.X)
	y, okY := named(field, e.Y)
	switch {
	case okX && okY:
		return slices.DeleteFunc(x, func(id string) bool { return !slices.Contains(y, id) }), true
	case okX:
		return x, true
	}
	return y, okY
}

func isField(field string, e Expr) bool {
	p, ok := e.(*Path)
	return ok && len(p.keys) == 1 && p.keys[0] == field
}

// texts returns the texts among constants: an id equals nothing else.
func texts(list Value) []string {
	ids := []string{}
	list.items(func(v Value) bool {
		if v.typ == Text {
			ids = append(ids, v.text)
		}
		return true
	})
	return distinct(ids)
}

// distinct drops repetitions and keeps the order.
func distinct(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(ids, func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}
