package iothub_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// TestLookupFindsWhatADocumentHas asks for every path of a document, spelled
// with white space and without, and for some that it has not.
func TestLookupFindsWhatADocumentHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := iothub.Document{"a": genTree(3).Draw(t, "a"), "b": genTree(2).Draw(t, "b")}
		compact, err := iothub.AppendJSON(nil, doc)
		if err != nil {
			t.Fatal(err)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, compact, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		for _, leaf := range iothub.Flatten(doc) {
			for n := range leaf.Path {
				path := slices.Clip(leaf.Path[:n+1])
				for _, at := range []iothub.Path{path, append(path, "a"), append(path, "c")} {
					wantValue(t, doc, string(compact), at)
					wantValue(t, doc, spaced.String(), at)
				}
			}
		}
	})
}

func wantValue(t *rapid.T, doc iothub.Document, text string, at iothub.Path) {
	got, err := iothub.Lookup(text, at)
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

// TestLookupOfATextCutShort looks into a document of which the end is missing.
func TestLookupOfATextCutShort(t *testing.T) {
	const text = `{"a" : [1,{"x":"\"}"}], "b\u0031":{"c":"d"},"e":true}`
	for _, path := range []iothub.Path{{"a"}, {"b1", "c"}, {"e"}, {"f"}} {
		if _, err := iothub.Lookup(text, path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for n := 1; n < len(text); n++ {
		if got, err := iothub.Lookup(text[:n], iothub.Path{"f"}); !errors.Is(err, iothub.ErrMalformed) {
			t.Errorf("%s: %q, %v", text[:n], got, err)
		}
	}
}

// FuzzLookup compares the search in the text with decoding.
func FuzzLookup(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, "a", "b")
	f.Add(`{ "x" : [1,{"a":2}], "a":{"\u0062" : "\"}", "c":null } }`, "a", "b")
	f.Add(`{"a":12}`, "a", "b")
	f.Fuzz(func(t *testing.T, text, one, two string) {
		v, err := iothub.ParseValue([]byte(text))
		doc, isObject := v.(map[string]any)
		if err != nil || !isObject || duplicated(text) {
			return // a hub has no such twin
		}
		got, err := iothub.Lookup([]byte(text), iothub.Path{one, two})
		want, has := iothub.Document(doc).Get(iothub.Path{one, two})
		if err != nil || has != (len(got) > 0) {
			t.Fatalf("%s: %s, want %v", text, got, want)
		}
		if !has {
			return
		}
		found, err := iothub.ParseValue(got)
		if err != nil || !cmp.Equal(found, want) {
			t.Fatalf("%s: %s (%v), want %v", text, got, err, want)
		}
	})
}

// duplicated reports whether an object of the text names a member twice: twins
// do not, and decoders keep the last.
func duplicated(text string) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var walk func() bool
	walk = func() bool {
		token, err := d.Token()
		open, isDelim := token.(json.Delim)
		if err != nil || !isDelim {
			return false
		}
		seen := map[string]bool{}
		for d.More() {
			if open == '{' {
				key, _ := d.Token()
				name, _ := key.(string)
				if seen[name] {
					return true
				}
				seen[name] = true
			}
			if walk() {
				return true
			}
		}
		_, _ = d.Token()
		return false
	}
	return walk()
}
