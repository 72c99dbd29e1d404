// Package query is IoT Hub's query language for twins and jobs: it reads a query,
// explains what is wrong with it, and answers it for one twin, or one row of
// devices.jobs, at a time.
//
// It knows neither storage nor paging: its caller brings the twins, as decoded
// documents or as the values of just the paths a query needs. Where the
// published descriptions leave room or contradict each other, a comment says
// that what stands there is a choice. IoT Hub documentation: IoT Hub query
// language for device and module twins, jobs, and message routing.
package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"twinboard/hubclient/iothub"
)

// Star tells whether the query asks for whole twins.
func (q *Query) Star() bool { return q.Items == nil }

// Grouped tells whether rows stand for groups of twins rather than for twins;
// Groups makes them.
func (q *Query) Grouped() bool {
	for _, item := range q.Items {
		if item.Aggregate != "" {
			return true
		}
	}
	return len(q.GroupBy) > 0
}

// ItemType is the value of the header x-ms-item-type: Twin for whole twins,
// DeviceJob for rows of devices.jobs, Raw for rows of chosen members.
func (q *Query) ItemType() string {
	switch {
	case q.Source == Jobs:
		return iothub.ItemDeviceJob
	case q.Star():
		return iothub.ItemTwin
	}
	return iothub.ItemRaw
}

// Paths returns the different paths WHERE reads. Values in this order are
// enough for Match.
func (q *Query) Paths() []*Path { return q.paths[:q.wherePaths:q.wherePaths] }

// AllPaths returns Paths and behind them those that only SELECT and GROUP BY
// read. Values in this order are enough for Match, Project and Groups.
func (q *Query) AllPaths() []*Path { return slices.Clip(q.paths) }

// Match tells whether a twin passes WHERE: whether the condition is exactly
// true for it.
func (q *Query) Match(r Row) bool {
	return q.Where == nil || eval(q.Where, r).True()
}

// Record is one row of a projection or aggregation, in the order of SELECT,
// each name once.
type Record []Field

// Field is one member of a row, its value as a decoded document holds it.
type Field struct {
	Name  string
	Value any
}

// Project returns the row of a twin; what the twin does not have is left out.
// It is nil for SELECT *, whose row is the twin itself.
func (q *Query) Project(r Row) Record {
	if q.Star() {
		return nil
	}
	row := Record{}
	for _, item := range q.Items {
		if item.Aggregate == "" {
			row = row.with(nameOf(item), r.Value(item.Path))
		}
	}
	return row
}

// with sets a member; undefined leaves the record as it is.
func (r Record) with(name string, v Value) Record {
	if v.typ == Undefined {
		return r
	}
	for i := range r {
		if r[i].Name == name {
			r[i].Value = v.Any()
			return r
		}
	}
	return append(r, Field{name, v.Any()})
}

// MarshalJSON writes the row as an object in its own order.
func (r Record) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, f := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(f.Name); err != nil {
			return nil, fmt.Errorf("encode member name: %w", err)
		}
		b.Truncate(b.Len() - 1) // the newline Encode adds
		b.WriteByte(':')
		if err := e.Encode(f.Value); err != nil {
			return nil, fmt.Errorf("encode member %s: %w", f.Name, err)
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
