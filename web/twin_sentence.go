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
		"Span", text.Span(ctx, now.Sub(d.Since)))}
	for _, state := range iothub.States {
		if n := d.Counts[state]; n > 0 && state != d.State && state != iothub.DeviceOnly {
			list = append(list, text.T(ctx, "twin.more."+string(state), "Count", n))
		}
	}
	return strings.Join(list, " ")
}

// shortState is the state in a word or two, for the title of the tab.
func shortState(ctx context.Context, d iothub.Drift) string {
	if d.Wanted == 0 {
		return text.T(ctx, "twin.short.nothing")
	}
	return text.T(ctx, "twin.short."+string(d.State), "Count", d.Counts[d.State])
}
