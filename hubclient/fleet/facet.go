package fleet

import (
	"cmp"
	"slices"
	"strings"
)

// mostFacetValues bounds the values that a facet lists.
const mostFacetValues = 50

// Facet is a path with its values among the devices that match everything else
// a query asks for.
type Facet struct {
	Path string
	// Values are the most frequent ones, at most 50, and those the query's
	// filter asks for.
	Values   []FacetValue
	Distinct int // how many values there are
	None     int // devices without a value
}

// FacetValue is a value, as text, and how many devices have it.
type FacetValue struct {
	Text  string
	Count int
}

// facet counts a column's values by cell.
type facet struct {
	column *column
	filter int // the filter by the same path, which does not count; -1 none
	asked  []string
	counts []int
}

func newFacet(c *column, path string, filters []Filter) facet {
	f := facet{column: c, counts: make([]int, len(c.values))}
	f.filter = slices.IndexFunc(filters, func(f Filter) bool { return f.Path == path })
	if f.filter >= 0 {
		f.asked = filters[f.filter].Values
	}
	return f
}

// result lists what was counted.
func (f facet) result() Facet {
	out := Facet{Path: f.column.path, None: f.counts[0]}
	mixed := f.column.texts > 0 && f.column.texts < len(f.column.byKey)
	var last *FacetValue // the rarest of those that would be listed so far
	for cell, v := range f.column.values {
		n := f.counts[cell]
		if cell == 0 || n == 0 && !slices.Contains(f.asked, v.text) {
			continue
		}
		var other uint32
		if mixed {
			other = f.column.byKey[valueKey{v.text, !v.quoted}]
		}
		if other > 0 && v.quoted {
			continue // the number 5 and the text "5" are one value, as they are for a filter
		}
		if other > 0 {
			n += f.counts[other]
		}
		out.Distinct++
		found := FacetValue{v.text, n}
		if last != nil && byCount(found, *last) > 0 && !slices.Contains(f.asked, v.text) {
			continue
		}
		out.Values = append(out.Values, found)
		if len(out.Values) >= 10*mostFacetValues {
			out.Values = f.most(out.Values)
			rarest := out.Values[mostFacetValues-1]
			last = &rarest
		}
	}
	out.Values = f.most(out.Values)
	return out
}

// most sorts values and leaves out the rare ones nobody asked for.
func (f facet) most(values []FacetValue) []FacetValue {
	slices.SortFunc(values, byCount)
	for i := len(values) - 1; i >= mostFacetValues; i-- {
		if !slices.Contains(f.asked, values[i].Text) {
			values = slices.Delete(values, i, i+1)
		}
	}
	return values
}

// byCount orders values, the most frequent first.
func byCount(a, b FacetValue) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Text, b.Text))
}
