package web

import (
	"cmp"
	"context"
	"maps"
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

// nearestIDs searches the picture for parts of the id, and orders what it finds
// by how many letters differ. One mistake leaves one half as it was, two leave
// a third.
func nearestIDs(h *Hub, id string) []string {
	far := map[string]int{}
	for parts := 1; parts <= 3 && len(far) == 0; parts++ {
		for _, part := range cut(id, parts) {
			for _, d := range h.Fleet.List(fleet.Query{Text: part, Limit: 200}).Devices {
				if contains(d.ID, part) {
					far[d.ID] = distance(strings.ToLower(id), strings.ToLower(d.ID))
				}
			}
		}
	}
	delete(far, id)
	ids := slices.SortedFunc(maps.Keys(far), func(a, b string) int {
		return cmp.Or(far[a]-far[b], strings.Compare(a, b))
	})
	return ids[:min(3, len(ids))]
}

// cut divides a text into parts of about the same length; parts of one letter,
// which occur anywhere, are left out.
func cut(s string, parts int) []string {
	var out []string
	for i := range parts {
		if part := s[i*len(s)/parts : (i+1)*len(s)/parts]; len(part) > 1 {
			out = append(out, part)
		}
	}
	return out
}

func contains(id, part string) bool {
	return strings.Contains(strings.ToLower(id), strings.ToLower(part))
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
