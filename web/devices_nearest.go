package web

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"twinboard/hubclient/fleet"
	"twinboard/views"
	"twinboard/views/text"
)

// nearest are links to the devices whose ids look most like one that does not
// exist, at most three.
func nearest(ctx context.Context, h *Hub, id string) []views.Link {
	var links []views.Link
	for _, found := range nearestIDs(h, id) {
		links = append(links, views.Link{Label: text.T(ctx, "error.open-device", "Device", found), Href: h.devicePath(found)})
	}
	return links
}

// nearestIDs searches the picture for ever shorter beginnings of the id, and
// orders what it finds by how many letters differ.
func nearestIDs(h *Hub, id string) []string {
	var ids []string
	for size := len(id); size >= 2 && len(ids) == 0; size = size * 2 / 3 {
		list := h.Fleet.List(fleet.Query{Text: id[:size], Limit: 200})
		for _, d := range list.Devices {
			if d.ID != id && strings.Contains(strings.ToLower(d.ID), strings.ToLower(id[:size])) {
				ids = append(ids, d.ID)
			}
		}
	}
	far := map[string]int{}
	for _, other := range ids {
		far[other] = distance(strings.ToLower(id), strings.ToLower(other))
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(far[a]-far[b], strings.Compare(a, b)) })
	return ids[:min(3, len(ids))]
}

// distance counts the letters to change, add or remove to turn a into b
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
