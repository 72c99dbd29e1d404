package web

import (
	"context"
	"maps"
	"slices"
	"strings"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// devicesFilter is the filter with the addresses of every other choice.
func devicesFilter(ctx context.Context, path string, l listing, list fleet.Page) views.DevicesFilter {
	return views.DevicesFilter{
		Text: l.text, Hidden: hiddenFields(l, "q"), Chips: filterChips(ctx, path, l),
		ClearHref: l.href(path, (*listing).unfiltered),
		Facets:    append(builtInFacets(ctx, path, l, list), valueFacets(ctx, path, l, list)...),
	}
}

// toggled adds or removes a state, keeping the order of attention.
func toggled(states []iothub.State, state iothub.State) []iothub.State {
	if i := slices.Index(states, state); i >= 0 {
		return slices.Delete(slices.Clone(states), i, i+1)
	}
	states = append(slices.Clone(states), state)
	slices.SortFunc(states, func(a, b iothub.State) int { return a.Rank() - b.Rank() })
	return states
}

// hiddenFields are what a form keeps of the listing beside its own fields.
func hiddenFields(l listing, own ...string) []views.Hidden {
	var fields []views.Hidden
	q := l.values()
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if name == "from" || slices.Contains(own, name) {
			continue
		}
		for _, value := range q[name] {
			fields = append(fields, views.Hidden{Name: name, Value: value})
		}
	}
	return fields
}

// filterChips are the parts of the filter, each with the address without it.
func filterChips(ctx context.Context, path string, l listing) []views.ChipProps {
	var chips []views.ChipProps
	add := func(label string, without func(*listing)) {
		chips = append(chips, views.ChipProps{
			Label: label, RemoveHref: l.href(path, without),
			RemoveLabel: text.T(ctx, "devices.chip.remove", "Filter", label),
		})
	}
	if l.text != "" {
		add(text.T(ctx, "devices.chip.text", "Text", shortened(l.text)), func(l *listing) { l.text = "" })
	}
	if slices.Equal(l.states, needsLook) {
		add(text.T(ctx, "devices.state.look"), func(l *listing) { l.states = nil })
	} else {
		for _, state := range l.states {
			add(text.T(ctx, "state."+string(state)), func(l *listing) { l.states = toggled(l.states, state) })
		}
	}
	if l.conn != "" {
		add(text.T(ctx, "connection."+l.conn), func(l *listing) { l.conn = "" })
	}
	if l.status != "" {
		add(text.T(ctx, "devices.status."+l.status), func(l *listing) { l.status = "" })
	}
	for _, f := range l.filters {
		add(f.Path+": "+strings.Join(valueLabels(ctx, f.Values), ", "), func(l *listing) { l.without(f.Path) })
	}
	return chips
}

// describeFilter says what the filter asks for, for a list without hits.
func describeFilter(ctx context.Context, l listing) string {
	var parts []string
	for _, chip := range filterChips(ctx, "", l) {
		parts = append(parts, chip.Label)
	}
	if len(parts) == 0 {
		return ""
	}
	return text.T(ctx, "devices.no-hits.text", "Filter", strings.Join(parts, " · "))
}

// devicesColumns are the heads of the table; those of an order turn it around.
func devicesColumns(ctx context.Context, path string, l listing) []views.Column {
	column := func(name, sort string, number bool) views.Column {
		c := views.Column{Label: text.T(ctx, "devices.column."+name), Number: number}
		if sort == "" {
			return c
		}
		again := l.sort == sort
		c.SortHref = l.href(path, func(l *listing) { l.sort, l.desc = sort, again && !l.desc })
		switch {
		case again && l.desc:
			c.Sorted = "descending"
		case again:
			c.Sorted = "ascending"
		}
		return c
	}
	columns := []views.Column{
		column("id", "id", false), column("state", "state", false), column("differs", "", true),
		column("connection", "connection", false),
	}
	for _, chosen := range l.cols {
		c := column("id", chosen, false)
		c.Label = chosen
		columns = append(columns, c)
	}
	return append(columns, column("since", "since", true))
}
