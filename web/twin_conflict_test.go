package web

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

func document(t *testing.T, s string) iothub.Document {
	t.Helper()
	d, err := iothub.ParseDocument([]byte(s))
	if err != nil {
		t.Fatalf("document %s: %v", s, err)
	}
	return d
}

func TestThreeWay(t *testing.T) {
	tests := []struct {
		name               string
		base, theirs, mine string
		want               string
		others, conflicts  []string
	}{
		{"nothing changed", `{"a":1}`, `{"a":1}`, `{"a":1}`, `{"a":1}`, nil, nil},
		{"only mine", `{"a":1}`, `{"a":1}`, `{"a":2}`, `{"a":2}`, nil, nil},
		{"only theirs", `{"a":1}`, `{"a":2}`, `{"a":1}`, `{"a":2}`, []string{"a"}, nil},
		{"different paths", `{"a":1,"b":1}`, `{"a":2,"b":1}`, `{"a":1,"b":2}`, `{"a":2,"b":2}`, []string{"a"}, nil},
		{"different paths in one object", `{"o":{"a":1,"b":1}}`, `{"o":{"a":2,"b":1}}`, `{"o":{"a":1,"b":2}}`, `{"o":{"a":2,"b":2}}`, []string{"o.a"}, nil},
		{"the same change", `{"a":1}`, `{"a":2}`, `{"a":2}`, `{"a":2}`, nil, nil},
		{"the same path", `{"a":1}`, `{"a":2}`, `{"a":3}`, `{"a":2}`, nil, []string{"a"}},
		{"written differently counts as different", `{"a":1}`, `{"a":2}`, `{"a":2.0}`, `{"a":2}`, nil, []string{"a"}},
		{"removed here, changed there", `{"a":1}`, `{"a":2}`, `{}`, `{"a":2}`, nil, []string{"a"}},
		{"changed here, removed there", `{"a":1}`, `{}`, `{"a":3}`, `{}`, nil, []string{"a"}},
		{"branch removed here, changed inside there", `{"o":{"a":1,"b":1}}`, `{"o":{"a":2,"b":1}}`, `{}`, `{"o":{"a":2,"b":1}}`, nil, []string{"o"}},
		{"both add an object", `{}`, `{"o":{"a":1}}`, `{"o":{"b":1}}`, `{"o":{"a":1,"b":1}}`, []string{"o.a"}, nil},
		{"both add one member", `{}`, `{"o":{"a":1}}`, `{"o":{"a":2}}`, `{"o":{"a":1}}`, nil, []string{"o.a"}},
		{"value against object", `{"a":1}`, `{"a":{"b":1}}`, `{"a":2}`, `{"a":{"b":1}}`, nil, []string{"a"}},
		{"arrays are one value", `{"a":[1]}`, `{"a":[1,2]}`, `{"a":[0,1]}`, `{"a":[1,2]}`, nil, []string{"a"}},
		{"branch removed there, kept by me", `{"o":{"a":1},"b":1}`, `{"b":1}`, `{"o":{"a":1},"b":2}`, `{"b":2}`, []string{"o.a"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := threeWay(document(t, tt.base), document(t, tt.theirs), document(t, tt.mine))
			if diff := cmp.Diff(document(t, tt.want), m.Document); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
			var others, conflicts []string
			for _, c := range m.Others {
				others = append(others, c.Path.String())
			}
			for _, c := range m.Conflicts {
				conflicts = append(conflicts, c.Path.String())
			}
			if !slices.Equal(others, tt.others) {
				t.Errorf("others = %v, want %v", others, tt.others)
			}
			if !slices.Equal(conflicts, tt.conflicts) {
				t.Errorf("conflicts = %v, want %v", conflicts, tt.conflicts)
			}
		})
	}
}

func TestSettle(t *testing.T) {
	m := threeWay(document(t, `{"a":1,"o":{"x":1},"keep":1}`),
		document(t, `{"a":2,"o":{"x":2},"keep":1,"new":1}`),
		document(t, `{"a":3,"o":{},"keep":1}`))
	if len(m.Conflicts) != 2 {
		t.Fatalf("%d conflicts, want 2: %v", len(m.Conflicts), m.Conflicts)
	}
	tests := []struct {
		name      string
		decisions []side
		want      string
	}{
		{"mine", []side{m.Conflicts[0].Mine, m.Conflicts[1].Mine}, `{"a":3,"o":{},"keep":1,"new":1}`},
		{"theirs", []side{m.Conflicts[0].Theirs, m.Conflicts[1].Theirs}, `{"a":2,"o":{"x":2},"keep":1,"new":1}`},
		{"another", []side{{Value: "x", Set: true}, {}}, `{"a":"x","o":{},"keep":1,"new":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(document(t, tt.want), m.settle(tt.decisions)); diff != "" {
				t.Errorf("settled (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChanges(t *testing.T) {
	tests := []struct {
		name, from, to string
		want           []string
	}{
		{"equal", `{"a":1}`, `{"a":1}`, nil},
		{"set, changed, removed", `{"a":1,"b":1}`, `{"b":2,"c":3}`, []string{"a: 1 →", "b: 1 → 2", "c: → 3"}},
		{"a branch comes leaf by leaf", `{}`, `{"o":{"a":1,"b":{"c":2}}}`, []string{"o.a: → 1", "o.b.c: → 2"}},
		{"a branch goes leaf by leaf", `{"o":{"a":1,"b":{"c":2}}}`, `{}`, []string{"o.a: 1 →", "o.b.c: 2 →"}},
		{"an empty object comes", `{}`, `{"o":{}}`, []string{"o: → {}"}},
		{"an object is emptied", `{"o":{"a":1}}`, `{"o":{}}`, []string{"o.a: 1 →"}},
		{"a value becomes an object", `{"o":1}`, `{"o":{"a":1}}`, []string{`o: 1 → {"a":1}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range changes(document(t, tt.from), document(t, tt.to)) {
				line := c.Path.String() + ":"
				if c.Old.Set {
					line += " " + compact(c.Old.Value)
				}
				line += " →"
				if c.New.Set {
					line += " " + compact(c.New.Value)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// anyObject draws documents whose keys often meet.
func anyObject(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), anyValue(depth), 0, 3)
}

func anyValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Map(rapid.IntRange(0, 2), func(i int) any { return json.Number(strconv.Itoa(i)) }),
		rapid.Map(rapid.SampledFrom([]string{"", "x"}), func(s string) any { return s }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just[any]([]any{}),
	}
	if depth > 0 {
		object := rapid.Map(anyObject(depth-1), func(m map[string]any) any { return m })
		leaves = append(leaves, object, object)
	}
	return rapid.OneOf(leaves...)
}

// holds reports whether d has the new side of a change. An empty object counts
// as there when the other party has put something into it.
func holds(d iothub.Document, c leafChange) bool {
	v, ok := d.Get(c.Path)
	if m, isObject := c.New.object(); isObject && len(m) == 0 {
		_, there := v.(map[string]any)
		return there
	}
	return ok == c.New.Set && (!ok || reflect.DeepEqual(v, c.New.Value))
}

func within(conflicts []conflict, p iothub.Path) bool {
	return slices.ContainsFunc(conflicts, func(c conflict) bool {
		return len(c.Path) <= len(p) && slices.Equal(c.Path, p[:len(c.Path)])
	})
}

func TestThreeWayLosesNoChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) iothub.Document { return anyObject(2).Draw(t, name) }
		base, theirs, mine := draw("base"), draw("theirs"), draw("mine")
		before := iothub.Clone(theirs)
		m := threeWay(base, theirs, mine)
		for _, c := range changes(base, mine) {
			if !holds(m.Document, c) && !within(m.Conflicts, c.Path) {
				t.Errorf("my change at %s is lost without a question", c.Path)
			}
		}
		for _, c := range changes(base, theirs) {
			if !holds(m.Document, c) {
				t.Errorf("their change at %s is lost", c.Path)
			}
		}
		keepMine := m.settle(pick(m.Conflicts, func(c conflict) side { return c.Mine }))
		for _, c := range changes(base, mine) {
			if !holds(keepMine, c) {
				t.Errorf("my change at %s is lost although I kept it", c.Path)
			}
		}
		for _, c := range changes(base, theirs) {
			if !holds(keepMine, c) && !within(m.Conflicts, c.Path) {
				t.Errorf("their change at %s is lost although I did not touch it", c.Path)
			}
		}
		theirSide := m.settle(pick(m.Conflicts, func(c conflict) side { return c.Theirs }))
		if !reflect.DeepEqual(theirSide, m.Document) {
			t.Errorf("taking the hub's everywhere is not the merged document")
		}
		if sent := iothub.Merge(theirs, iothub.Diff(theirs, keepMine)); !reflect.DeepEqual(sent, keepMine) {
			t.Errorf("the patch does not reach what was decided")
		}
		if !reflect.DeepEqual(before, theirs) {
			t.Errorf("an argument was changed")
		}
	})
}

func pick(conflicts []conflict, which func(conflict) side) []side {
	var out []side
	for _, c := range conflicts {
		out = append(out, which(c))
	}
	return out
}

func TestThreeWayIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) iothub.Document { return anyObject(2).Draw(t, name) }
		base, theirs, mine := draw("base"), draw("theirs"), draw("mine")
		one, other := threeWay(base, theirs, mine), threeWay(base, mine, theirs)
		if len(one.Conflicts) != len(other.Conflicts) {
			t.Fatalf("%d conflicts one way, %d the other", len(one.Conflicts), len(other.Conflicts))
		}
		for i, c := range one.Conflicts {
			o := other.Conflicts[i]
			if !slices.Equal(c.Path, o.Path) || !c.Mine.same(o.Theirs) || !c.Theirs.same(o.Mine) {
				t.Errorf("conflict %s is %v one way and %v the other", c.Path, c, o)
			}
		}
		if alone := threeWay(base, base, mine); !reflect.DeepEqual(alone.Document, mine) || len(alone.Conflicts)+len(alone.Others) > 0 {
			t.Errorf("with nobody else the merge is not what I typed")
		}
		if idle := threeWay(base, theirs, base); !reflect.DeepEqual(idle.Document, theirs) || len(idle.Conflicts) > 0 {
			t.Errorf("without a change of mine the merge is not the hub's")
		}
	})
}
