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

// result lists what was counted; kinds is Query.Kinds.
func (f facet) result(kinds int) Facet {
	out := Facet{Path: f.column.path, None: f.counts[0]}
	if kinds > 0 && f.filter < 0 {
		if n := f.distinct(); n > kinds {
			out.Distinct = n
			return out
		}
	}
	var last *FacetValue // the rarest of those that would be listed so far
	mixed := f.column.mixed()
	for cell := 1; cell < len(f.counts); cell++ {
		v := &f.column.values[cell]
		n, own := f.count(cell, mixed)
		if !own || n == 0 && !slices.Contains(f.asked, v.text) {
			continue
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

// count is how many devices have the value of a cell, as text: the number 5 and
// the text "5" are one value, as they are for a filter. own is false for a text
// that is counted with its number, and for a cell that nobody has.
func (f facet) count(cell int, mixed bool) (n int, own bool) {
	n = f.counts[cell]
	if !mixed {
		return n, f.column.values[cell].count > 0
	}
	v := &f.column.values[cell]
	other := f.column.byKey[valueKey{v.text, !v.quoted}]
	switch {
	case v.count == 0 || other > 0 && v.quoted:
		return 0, false
	case other > 0:
		n += f.counts[other]
	}
	return n, true
}

// distinct counts the values that were found.
func (f facet) distinct() (kinds int) {
	mixed := f.column.mixed()
	for cell := 1; cell < len(f.counts); cell++ {
		if n, own := f.count(cell, mixed); own && n > 0 {
			kinds++
		}
	}
	return kinds
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
