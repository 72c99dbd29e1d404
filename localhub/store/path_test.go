package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"twinboard/hubclient/iothub"
)

// genTree draws JSON values whose names are easily taken for one another, or for
// something else.
func genTree(depth int) *rapid.Generator[any] {
	names := rapid.SampledFrom([]string{"a", "ab", "", `"`, `\`, `a"`, "{", "}", ",", ":", "é", "\u2028", "\n", "$version"})
	leaf := rapid.SampledFrom([]any{nil, true, json.Number("-1.50e3"), "", `x"y\`, "}", "[", "a"})
	if depth == 0 {
		return leaf
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return genTree(depth - 1) })
	object := rapid.Map(rapid.MapOfN(names, inner, 0, 4), func(m map[string]any) any { return m })
	list := rapid.Map(rapid.SliceOfN(inner, 0, 3), func(l []any) any { return l })
	return rapid.OneOf(object, object, list, leaf)
}

// TestValueAtFindsWhatADocumentHas asks for every path of a document, spelled
// with white space and without, and for some that it has not.
func TestValueAtFindsWhatADocumentHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := iothub.Document{"a": genTree(3).Draw(t, "a"), "b": genTree(2).Draw(t, "b")}
		compact := textOf(doc)
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, compact, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		for _, path := range places(nil, doc) {
			for _, at := range [][]string{path, append(slices.Clip(path), "a"), append(slices.Clip(path), "c")} {
				wantValue(t, doc, string(compact), at)
				wantValue(t, doc, spaced.String(), at)
			}
		}
	})
}

func wantValue(t *rapid.T, doc iothub.Document, text string, at []string) {
	got, err := valueAt(text, at)
	want, there := doc.Get(at)
	if err != nil || there != (got != "") {
		t.Fatalf("%q of %s: %q, %v", at, text, got, err)
	}
	if there {
		if v, err := iothub.ParseValue([]byte(got)); err != nil || !iothub.Equal(v, want) {
			t.Fatalf("%q of %s: %q, %v", at, text, got, err)
		}
	}
}

// TestValueAtOfATextCutShort looks into a document of which the end is missing.
func TestValueAtOfATextCutShort(t *testing.T) {
	const text = `{"a" : [1,{"x":"\"}"}], "b\u0031":{"c":"d"},"e":true}`
	for _, path := range [][]string{{"a"}, {"b1", "c"}, {"e"}, {"f"}} {
		if _, err := valueAt(text, path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for n := 1; n < len(text); n++ {
		if got, err := valueAt(text[:n], []string{"f"}); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %q, %v", text[:n], got, err)
		}
	}
}
