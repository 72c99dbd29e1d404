package iothub_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

func TestNeeded(t *testing.T) {
	for name, test := range map[string]struct{ base, patch, want string }{
		"set and change":                {`{"a":1}`, `{"a":2,"b":3}`, `{"a":2,"b":3}`},
		"has it already":                {`{"a":1,"o":{"x":true}}`, `{"a":1,"o":{"x":true}}`, `{}`},
		"other text of the number":      {`{"a":1}`, `{"a":1.0}`, `{"a":1.0}`},
		"removal":                       {`{"a":1}`, `{"a":null}`, `{"a":null}`},
		"removal of nothing":            {`{}`, `{"a":null}`, `{}`},
		"removal within nothing":        {`{}`, `{"o":{"x":null}}`, `{}`},
		"removal within a value":        {`{"o":1}`, `{"o":{"x":null}}`, `{}`},
		"within an object":              {`{"o":{"x":1,"y":2}}`, `{"o":{"x":3,"y":2,"z":null}}`, `{"o":{"x":3}}`},
		"an object in place of a value": {`{"o":1}`, `{"o":{"x":1,"y":null}}`, `{"o":{"x":1}}`},
		"an empty object":               {`{}`, `{"o":{}}`, `{"o":{}}`},
		"an empty object into one":      {`{"o":{"x":1}}`, `{"o":{}}`, `{}`},
		"a list":                        {`{"l":[1]}`, `{"l":[1,2]}`, `{"l":[1,2]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(doc(t, test.want), iothub.Needed(doc(t, test.base), doc(t, test.patch))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRestore(t *testing.T) {
	for name, test := range map[string]struct {
		base, patch string
		later       string // a patch by others
		back        string
		left        []iothub.Path
		same        int
	}{
		"all of it":                       {`{"a":1,"b":2}`, `{"a":3,"b":null,"c":4}`, `{}`, `{"a":1,"b":2,"c":null}`, nil, 0},
		"what others changed stays":       {`{"a":1,"b":2}`, `{"a":3,"b":4}`, `{"b":5}`, `{"a":1}`, []iothub.Path{{"b"}}, 0},
		"what others put back":            {`{"a":1,"b":2}`, `{"a":3,"b":4}`, `{"b":2}`, `{"a":1}`, nil, 1},
		"what was removed and set":        {`{"a":1}`, `{"a":null}`, `{"a":7}`, `{}`, []iothub.Path{{"a"}}, 0},
		"what was set and removed":        {`{"a":1}`, `{"a":2}`, `{"a":null}`, `{}`, []iothub.Path{{"a"}}, 0},
		"what it did not change":          {`{"a":1}`, `{"a":1,"b":2}`, `{"a":5}`, `{"b":null}`, nil, 0},
		"a new object":                    {`{}`, `{"o":{"x":1,"y":2}}`, `{}`, `{"o":null}`, nil, 0},
		"a new object of two":             {`{}`, `{"o":{"x":1,"y":2}}`, `{"o":{"z":3}}`, `{"o":{"x":null,"y":null}}`, nil, 0},
		"a new object changed":            {`{}`, `{"o":{"x":1,"y":2}}`, `{"o":{"x":3}}`, `{"o":{"y":null}}`, []iothub.Path{{"o", "x"}}, 0},
		"within an object":                {`{"o":{"x":1,"z":9}}`, `{"o":{"x":2,"y":2}}`, `{"o":{"z":8}}`, `{"o":{"x":1,"y":null}}`, nil, 0},
		"the object is gone":              {`{"o":{"x":1}}`, `{"o":{"x":2}}`, `{"o":null}`, `{}`, []iothub.Path{{"o"}}, 0},
		"an object in place of a value":   {`{"o":1}`, `{"o":{"x":2}}`, `{}`, `{"o":1}`, nil, 0},
		"a value in place of an object":   {`{"o":{"x":1}}`, `{"o":2}`, `{}`, `{"o":{"x":1}}`, nil, 0},
		"a removed object":                {`{"o":{"x":1}}`, `{"o":null}`, `{}`, `{"o":{"x":1}}`, nil, 0},
		"a number of the same worth":      {`{"a":1.0}`, `{"a":1}`, `{}`, `{"a":1.0}`, nil, 0},
		"the former number, otherwise":    {`{"a":1.0}`, `{"a":2}`, `{"a":1}`, `{}`, nil, 1},
		"an object made beside a removal": {`{}`, `{"o":{"x":1,"y":{"z":null}}}`, `{}`, `{"o":null}`, nil, 0},
		"the number in another text":      {`{"a":1}`, `{"a":2}`, `{"a":2.0}`, `{"a":1}`, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			base, patch := doc(t, test.base), doc(t, test.patch)
			did := iothub.Needed(base, patch)
			old := iothub.Replaced(base, did)
			now := iothub.Merge(iothub.Merge(base, did), doc(t, test.later))
			want := iothub.Restoration{Patch: doc(t, test.back), Left: test.left, Same: test.same}
			if diff := cmp.Diff(want, iothub.Restore(now, patch, old)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRestoreOfAnything takes back what a patch did: where nobody else wrote, the
// document is what it was.
func TestRestoreOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := jsonObject(2).Draw(t, "base")
		patch := iothub.Diff(jsonObject(2).Draw(t, "from"), jsonObject(2).Draw(t, "to"))
		did := iothub.Needed(base, patch)
		if again := iothub.Needed(iothub.Merge(base, did), patch); len(again) > 0 {
			t.Fatalf("%v is still needed after %v", again, did)
		}
		now := iothub.Merge(base, did)
		back := iothub.Restore(now, patch, iothub.Replaced(base, did))
		if len(back.Left) > 0 {
			t.Fatalf("left alone: %v", back.Left)
		}
		if diff := cmp.Diff(base, iothub.Merge(now, back.Patch)); diff != "" {
			t.Errorf("-before +restored:\n%s", diff)
		}
	})
}
