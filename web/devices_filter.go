package web

import (
	"context"
	"slices"
	"strings"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// devicesFilter is the filter with the addresses of every other choice.
func devicesFilter(ctx context.Context, path string, l listing, list fleet.Page) views.DevicesFilter {
	f := views.DevicesFilter{
		Text: l.text, StateLabel: stateLabel(ctx, l),
		AllStates: l.href(path, func(l *listing) { l.states = nil }),
		ClearHref: l.href(path, func(l *listing) { l.text, l.states, l.conn = "", nil, "" }),
	}
	look := 0
	for _, state := range needsLook {
		look += list.States[state]
	}
	f.NeedsLook = views.ChoiceLink{
		Label: text.T(ctx, "devices.state.look"), Count: text.Number(ctx, look),
		Href:   l.href(path, func(l *listing) { l.states = needsLook }),
		Chosen: slices.Equal(l.states, needsLook),
	}
	for _, state := range iothub.States {
		if state == iothub.DeviceOnly { // never a whole device's
			continue
		}
		f.States = append(f.States, views.StateChoice{
			State: string(state), Count: text.Number(ctx, list.States[state]), Chosen: slices.Contains(l.states, state),
			Href: l.href(path, func(l *listing) { l.states = toggled(l.states, state) }),
		})
	}
	f.Connections = connectionChoices(ctx, path, l, list)
	f.Hidden = hiddenFields(l)
	f.Chips = filterChips(ctx, path, l)
	return f
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

func stateLabel(ctx context.Context, l listing) string {
	switch {
	case len(l.states) == 0:
		return text.T(ctx, "devices.state.any")
	case slices.Equal(l.states, needsLook):
		return text.T(ctx, "devices.state.look")
	case len(l.states) == 1:
		return text.T(ctx, "state."+string(l.states[0]))
	}
	return text.T(ctx, "devices.state.several", "Count", len(l.states))
}

func connectionChoices(ctx context.Context, path string, l listing, list fleet.Page) []views.ChoiceLink {
	choose := func(conn string) string {
		return l.href(path, func(l *listing) { l.conn = conn })
	}
	choices := []views.ChoiceLink{{Label: text.T(ctx, "devices.connection.all"), Href: choose(""), Chosen: l.conn == ""}}
	for _, conn := range []string{"online", "offline"} {
		choices = append(choices, views.ChoiceLink{
			Label: text.T(ctx, "connection."+conn), Href: choose(conn),
			Chosen: l.conn == conn, Count: text.Number(ctx, list.Connections[connections[conn]]),
		})
	}
	return choices
}

// hiddenFields are what the search form keeps of the rest of the listing.
func hiddenFields(l listing) []views.Hidden {
	var fields []views.Hidden
	q := l.values()
	for _, name := range []string{"state", "conn", "sort"} {
		if value := q.Get(name); value != "" {
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
		add(text.T(ctx, "devices.chip.text", "Text", l.text), func(l *listing) { l.text = "" })
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
	return []views.Column{
		column("id", "id", false), column("state", "state", false), column("differs", "", true),
		column("connection", "connection", false), column("since", "since", true),
	}
}
