package web

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

const (
	mostFacets  = 5  // by path
	facetShown  = 8  // values before the fold
	facetKinds  = 25 // a path with more values than this is offered only when asked for
	mostOffered = 60 // paths in the chooser of columns
)

// facetPaths are the paths whose values the list counts: those it filters by or
// shows, and the tags that most devices have.
func facetPaths(l listing, known []fleet.PathInfo) []string {
	var paths []string
	for _, f := range l.filters {
		paths = append(paths, f.Path)
	}
	paths = append(paths, l.cols...)
	slices.SortStableFunc(known, func(a, b fleet.PathInfo) int { return cmp.Compare(b.Count, a.Count) })
	for _, p := range known {
		if strings.HasPrefix(p.Path, "tags.") {
			paths = append(paths, p.Path)
		}
	}
	var once []string
	for _, path := range paths {
		if !slices.Contains(once, path) && len(once) < mostFacets {
			once = append(once, path)
		}
	}
	return once
}

// shownKinds spares the list values that valueFacets would not show. A column's
// are shown however many there are.
func shownKinds(l listing) int {
	if len(l.cols) > 0 {
		return 0
	}
	return facetKinds
}

// builtInFacets are state, connection and status.
func builtInFacets(ctx context.Context, path string, l listing, list fleet.Page) []views.Facet {
	count := func(n int) string {
		if list.Known == 0 {
			return "" // not known is not none
		}
		return text.Number(ctx, n)
	}
	states := views.Facet{ID: "facet-state", Label: text.T(ctx, "devices.column.state")}
	look := 0
	for _, state := range needsLook {
		look += list.States[state]
	}
	states.Items = append(states.Items, views.FacetItem{
		Label: text.T(ctx, "devices.state.look"), Count: count(look), Chosen: slices.Equal(l.states, needsLook),
		Href: l.href(path, func(x *listing) {
			if x.states = needsLook; slices.Equal(l.states, needsLook) {
				x.states = nil
			}
		}),
	})
	for _, state := range iothub.States {
		chosen := slices.Contains(l.states, state)
		if state == iothub.DeviceOnly || list.States[state] == 0 && !chosen { // DeviceOnly is never a whole device's
			continue
		}
		states.Items = append(states.Items, views.FacetItem{
			State: string(state), Label: text.T(ctx, "state."+string(state)), Count: count(list.States[state]), Chosen: chosen,
			Href: l.href(path, func(l *listing) { l.states = toggled(l.states, state) }),
		})
	}
	connection := views.Facet{ID: "facet-connection", Label: text.T(ctx, "devices.connection")}
	for _, conn := range []string{"online", "offline"} {
		connection.Items = append(connection.Items, views.FacetItem{
			State: conn, Label: text.T(ctx, "connection."+conn), Count: count(list.Connections[connections[conn]]), Chosen: l.conn == conn,
			Href: l.href(path, func(l *listing) { l.conn = oneUnless(conn, l.conn) }),
		})
	}
	status := views.Facet{ID: "facet-status", Label: text.T(ctx, "devices.status")}
	for _, s := range []string{iothub.StatusEnabled, iothub.StatusDisabled} {
		status.Items = append(status.Items, views.FacetItem{
			Label: text.T(ctx, "devices.status."+s), Count: count(list.Statuses[s]), Chosen: l.status == s,
			Href: l.href(path, func(l *listing) { l.status = oneUnless(s, l.status) }),
		})
	}
	return []views.Facet{states, connection, status}
}

// oneUnless chooses a value, or none when it is chosen already.
func oneUnless(value, chosen string) string {
	if value == chosen {
		return ""
	}
	return value
}

// valueFacets are the paths with their values. One with very many, such as a
// serial number, helps nobody to choose.
func valueFacets(ctx context.Context, path string, l listing, list fleet.Page) []views.Facet {
	var facets []views.Facet
	for _, f := range list.Facets {
		asked := l.asked(f.Path)
		if len(f.Values) == 0 && len(asked) == 0 || f.Distinct > facetKinds && len(asked) == 0 && !slices.Contains(l.cols, f.Path) {
			continue
		}
		out := views.Facet{ID: "facet-" + f.Path, Label: f.Path, Mono: true}
		for _, v := range f.Values {
			if v.Text != "" {
				out.Items = append(out.Items, facetItem(ctx, path, l, f.Path, v.Text, v.Count))
			}
		}
		out.More = out.Items[min(facetShown, len(out.Items)):]
		out.Items = out.Items[:len(out.Items)-len(out.More)]
		out.MoreLabel = text.T(ctx, "devices.facet.more", "Count", len(out.More))
		if left := f.Distinct - len(f.Values); left > 0 {
			out.Rest = text.T(ctx, "devices.facet.rest", "Count", left)
		}
		if none := withoutValue(f); none > 0 || slices.Contains(asked, "") {
			out.Items = append(out.Items, facetItem(ctx, path, l, f.Path, "", none))
		}
		facets = append(facets, out)
	}
	return facets
}

// withoutValue counts what the filter "" finds: nothing, or an empty text.
func withoutValue(f fleet.Facet) int {
	n := f.None
	for _, v := range f.Values {
		if v.Text == "" {
			n += v.Count
		}
	}
	return n
}

func facetItem(ctx context.Context, path string, l listing, at, value string, n int) views.FacetItem {
	return views.FacetItem{
		Label: valueLabels(ctx, []string{value})[0], Count: text.Number(ctx, n), Value: value != "",
		Chosen: slices.Contains(l.asked(at), value),
		Href:   l.href(path, func(l *listing) { l.toggle(at, value) }),
	}
}

// valueLabels name values of a filter; "" stands for no value.
func valueLabels(ctx context.Context, values []string) []string {
	labels := make([]string, len(values))
	for i, v := range values {
		labels[i] = cmp.Or(shortened(v), text.T(ctx, "devices.facet.none"))
	}
	return labels
}

// columnChooser offers the paths that exist, the most frequent ones first.
func columnChooser(ctx context.Context, path string, l listing, known []fleet.PathInfo) views.ColumnChooser {
	slices.SortStableFunc(known, func(a, b fleet.PathInfo) int { return cmp.Compare(b.Count, a.Count) })
	c := views.ColumnChooser{Action: path, Hidden: hiddenFields(l, "col"), Most: text.T(ctx, "devices.columns.most", "Count", mostChosen)}
	for _, p := range known[:min(len(known), mostOffered)] {
		c.Paths = append(c.Paths, views.ColumnChoice{
			Path: p.Path, Param: joinPaths([]string{p.Path}), Example: shortened(p.Example), Chosen: slices.Contains(l.cols, p.Path),
			Count: text.T(ctx, "devices.columns.count", "Count", p.Count),
		})
	}
	for _, chosen := range l.cols {
		if !slices.ContainsFunc(c.Paths, func(p views.ColumnChoice) bool { return p.Path == chosen }) {
			c.Paths = append(c.Paths, views.ColumnChoice{Path: chosen, Param: joinPaths([]string{chosen}), Chosen: true})
		}
	}
	return c
}
