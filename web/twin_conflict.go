package web

import (
	"maps"
	"reflect"
	"slices"

	"twinboard/hubclient/iothub"
)

// side is what one party has at a path: a value, or nothing.
type side struct {
	Value any
	Set   bool
}

func sideOf(m map[string]any, key string) side {
	v, ok := m[key]
	return side{Value: v, Set: ok}
}

// same compares as stored: 1 and 1.0 are different texts, and a hub keeps them
// apart.
func (s side) same(other side) bool {
	return s.Set == other.Set && reflect.DeepEqual(s.Value, other.Value)
}

func (s side) object() (map[string]any, bool) {
	m, ok := s.Value.(map[string]any)
	return m, ok
}

// leafChange is one place where two documents differ.
type leafChange struct {
	Path     iothub.Path
	Old, New side
}

// conflict is a place that both parties changed, each in its own way.
type conflict struct {
	Path               iothub.Path
	Base, Theirs, Mine side
}

// threeWayMerge is what a three-way comparison finds.
type threeWayMerge struct {
	// Document is what the hub has now with all of my changes that touch
	// nobody else's; where both changed, it holds the hub's.
	Document iothub.Document
	// Others are the changes by others that are kept because I did not touch
	// their paths.
	Others    []leafChange
	Conflicts []conflict
}

// threeWay merges what I changed with what others changed meanwhile: base is the
// document both began with, theirs what the hub has now, mine what I typed. A
// change on one side only is taken; the same change on both sides is one;
// different changes at one path are a conflict, which a person decides.
func threeWay(base, theirs, mine iothub.Document) threeWayMerge {
	var m threeWayMerge
	m.Document = m.members(nil, base, theirs, mine)
	return m
}

func (m *threeWayMerge) members(at iothub.Path, base, theirs, mine map[string]any) map[string]any {
	out := map[string]any{}
	for _, k := range unionKeys(base, theirs, mine) {
		path := append(slices.Clip(at), k)
		if s := m.member(path, sideOf(base, k), sideOf(theirs, k), sideOf(mine, k)); s.Set {
			out[k] = s.Value
		}
	}
	return out
}

func (m *threeWayMerge) member(at iothub.Path, base, theirs, mine side) side {
	switch {
	case theirs.same(mine):
		return theirs
	case base.same(theirs):
		return mine
	case base.same(mine):
		m.Others = append(m.Others, changesAt(at, base, theirs)...)
		return theirs
	}
	t, theirsIsObject := theirs.object()
	own, mineIsObject := mine.object()
	b, baseIsObject := base.object()
	// Two objects in the place of a value are two answers to one question; in
	// the place of nothing they are made together.
	if theirsIsObject && mineIsObject && (baseIsObject || !base.Set) {
		return side{Value: m.members(at, b, t, own), Set: true}
	}
	m.Conflicts = append(m.Conflicts, conflict{Path: at, Base: base, Theirs: theirs, Mine: mine})
	return theirs
}

// settle puts the decisions on top of the merged document, one for each
// conflict, in their order.
func (m threeWayMerge) settle(decisions []side) iothub.Document {
	out := iothub.Clone(m.Document)
	for i, c := range m.Conflicts {
		put(out, c.Path, decisions[i])
	}
	return out
}

// put sets or removes one path.
func put(d iothub.Document, at iothub.Path, s side) {
	if s.Set {
		d.Set(at, iothub.Clone(s.Value))
		return
	}
	m := map[string]any(d)
	for _, k := range at[:len(at)-1] {
		child, ok := m[k].(map[string]any)
		if !ok {
			return
		}
		m = child
	}
	delete(m, at[len(at)-1])
}

// changes lists where two documents differ, in the order of their paths. Objects
// are compared member by member, and an object that appears or vanishes is
// listed leaf by leaf, so that each line names a value.
func changes(from, to iothub.Document) []leafChange {
	return changesIn(nil, nil, from, to)
}

func changesIn(out []leafChange, at iothub.Path, from, to map[string]any) []leafChange {
	for _, k := range unionKeys(from, to) {
		out = append(out, changesAt(append(slices.Clip(at), k), sideOf(from, k), sideOf(to, k))...)
	}
	return out
}

func changesAt(at iothub.Path, from, to side) []leafChange {
	if from.same(to) {
		return nil
	}
	f, fromIsObject := from.object()
	t, toIsObject := to.object()
	bothOpen := (fromIsObject || !from.Set) && (toIsObject || !to.Set)
	if bothOpen && len(f)+len(t) > 0 {
		return changesIn(nil, at, f, t)
	}
	return []leafChange{{Path: at, Old: from, New: to}}
}

func unionKeys(documents ...map[string]any) []string {
	all := map[string]bool{}
	for _, m := range documents {
		for k := range m {
			all[k] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
