package web

import (
	"context"
	"strings"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

// leadSentence answers before the data: how the device stands, in whole
// sentences. The first says what matters most, of how many; the others follow.
func leadSentence(ctx context.Context, d iothub.Drift, now time.Time) string {
	if d.Wanted == 0 {
		return text.T(ctx, "twin.lead.nothing")
	}
	if d.Counts[iothub.InSync] == d.Wanted {
		return text.T(ctx, "twin.lead.all", "Count", d.Wanted)
	}
	id := "twin.lead."
	if d.Wanted == 1 {
		id = "twin.one."
	}
	list := []string{text.T(ctx, id+string(d.State), "Count", d.Counts[d.State], "Total", d.Wanted,
		"Span", text.Lasting(ctx, now.Sub(d.Since)))}
	look := others(d, iothub.Rejected, iothub.Differs, iothub.TypeDiffers, iothub.Silent)
	travel := others(d, iothub.Applying, iothub.Waiting, iothub.WaitingOffline)
	list = append(list, more(ctx, d, look, "twin.more.look")...)
	list = append(list, more(ctx, d, travel, "twin.more.travel")...)
	list = append(list, more(ctx, d, others(d, iothub.Expected), "")...)
	list = append(list, more(ctx, d, others(d, iothub.InSync), "")...)
	return strings.Join(list, " ")
}

// twinLead is leadSentence for a device or a module.
func twinLead(ctx context.Context, r reading, d iothub.Drift, now time.Time) string {
	if d.Wanted == 0 && r.ModuleID != "" {
		return text.T(ctx, "twin.lead.nothing.module")
	}
	return leadSentence(ctx, d, now)
}

// others are those of the states that occur, beside the device's own.
func others(d iothub.Drift, states ...iothub.State) (occur []iothub.State) {
	for _, state := range states {
		if d.Counts[state] > 0 && state != d.State {
			occur = append(occur, state)
		}
	}
	return occur
}

// more is the sentence about some states: its own for one, a common one for
// several, so that there are never more sentences than one takes in.
func more(ctx context.Context, d iothub.Drift, states []iothub.State, together string) []string {
	n := 0
	for _, state := range states {
		n += d.Counts[state]
	}
	switch len(states) {
	case 0:
		return nil
	case 1:
		together = "twin.more." + string(states[0])
	}
	return []string{text.T(ctx, together, "Count", n)}
}

// shortState is the state in a word or two, for the title of the tab.
func shortState(ctx context.Context, d iothub.Drift) string {
	if d.Wanted == 0 {
		return text.T(ctx, "twin.short.nothing")
	}
	return text.T(ctx, "twin.short."+string(d.State), "Count", d.Counts[d.State])
}
