package iothub

import "slices"

// Needed is the part of a patch that changes base: without what base has already
// and without removals of what it lacks, which would make empty objects on the
// way. Merging it gives what the patch asks for.
func Needed(base, patch Document) Document { return needed(base, patch) }

func needed(base, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range patch {
		old, had := base[k]
		oldMap, oldIsMap := old.(map[string]any)
		newMap, newIsMap := v.(map[string]any)
		switch {
		case newIsMap:
			d := needed(oldMap, newMap)
			if len(d) > 0 || len(newMap) == 0 && !oldIsMap {
				out[k] = d
			}
		case v == nil && had, v != nil && (!had || !identical(old, v)):
			out[k] = v
		}
	}
	return out
}

// Restoration takes a patch back.
type Restoration struct {
	// Patch puts the former values in the place of those that the patch wrote.
	Patch Document
	// Left are the places where something else stands by now.
	Left []Path
	// Same is how many places hold their former value already.
	Same int
}

// Restore says how to take a patch back from a document as it is now. old is what
// the patch replaced, as Replaced tells it of Needed: places that are not in it
// were not changed. Others' values stay, also in an object that the patch made.
func Restore(now, patch, old Document) Restoration {
	var r Restoration
	r.Patch = r.members(nil, now, patch, old)
	return r
}

func (r *Restoration) members(at Path, now, patch, old map[string]any) map[string]any {
	out := map[string]any{}
	for _, k := range sortedKeys(old) {
		path := append(slices.Clip(at), k)
		if back, changes := r.member(path, placeOf(now, k), patch[k], old[k]); changes {
			out[k] = back
		}
	}
	return out
}

// place is what a document has at a name: a value, or nothing.
type place struct {
	value any
	there bool
}

func placeOf(m map[string]any, k string) place {
	v, there := m[k]
	return place{v, there}
}

// holds reports whether a value of a patch stands there, by one measure of what
// is equal; null is nothing.
func (p place) holds(v any, equal func(a, b any) bool) bool {
	if m, ok := v.(map[string]any); ok {
		v = needed(nil, m) // without its removals
	}
	return p.there == (v != nil) && equal(p.value, v)
}

func (r *Restoration) member(at Path, now place, written, former any) (back any, changes bool) {
	nowMap, nowIsMap := now.value.(map[string]any)
	writtenMap, writtenIsMap := written.(map[string]any)
	formerMap, formerIsMap := former.(map[string]any)
	within := func(former map[string]any) (any, bool) {
		d := r.members(at, nowMap, writtenMap, former)
		return d, len(d) > 0
	}
	switch {
	case writtenIsMap && formerIsMap && nowIsMap:
		return within(formerMap)
	case now.holds(former, identical):
		r.Same++
	case now.holds(written, Equal): // which may be the former number in another text
		return former, true
	case now.holds(former, Equal):
		r.Same++
	case former == nil && writtenIsMap && nowIsMap: // others have added to what the patch made
		return within(nothing(writtenMap))
	default:
		r.Left = append(r.Left, at)
	}
	return nil, false
}

// nothing is null for each member that a patch sets.
func nothing(written map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range written {
		if v != nil {
			out[k] = nil
		}
	}
	return out
}
