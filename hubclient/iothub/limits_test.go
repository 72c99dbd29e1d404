package iothub_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

// nested returns a document with n objects below the root and a scalar in the
// last.
func nested(n int) iothub.Document {
	v := map[string]any{"x": json.Number("1")}
	for range n {
		v = map[string]any{"x": v}
	}
	return v
}

func TestCheckContentAtBelowAndAboveEachBound(t *testing.T) {
	for _, tt := range []struct {
		name string
		doc  iothub.Document
		kind iothub.LimitKind
		path string
	}{
		{"ten objects deep", nested(10), "", ""},
		{"eleven objects deep", nested(11), iothub.LimitDepth, "x.x.x.x.x.x.x.x.x.x.x"},
		{"key of 1,024 bytes", iothub.Document{strings.Repeat("k", 1024): true}, "", ""},
		{"key of 1,025 bytes", iothub.Document{strings.Repeat("k", 1025): true}, iothub.LimitKeyLength, strings.Repeat("k", 1025)},
		{"key of 512 two-byte characters", iothub.Document{strings.Repeat("é", 512): true}, "", ""},
		{"key of 513 two-byte characters", iothub.Document{strings.Repeat("é", 513): true}, iothub.LimitKeyLength, strings.Repeat("é", 513)},
		{"empty key", iothub.Document{"": true}, "", ""},
		{"key with a dot", iothub.Document{"a.b": true}, iothub.LimitKeyCharacter, "a.b"},
		{"key with a dollar", iothub.Document{"$a": true}, iothub.LimitKeyCharacter, "$a"},
		{"key with a hash", iothub.Document{"a#": true}, iothub.LimitKeyCharacter, "a#"},
		{"key with a space", iothub.Document{"a b": true}, iothub.LimitKeyCharacter, "a b"},
		{"key with a C0 control", iothub.Document{"a\n": true}, iothub.LimitKeyCharacter, "a\n"},
		{"key with a C1 control", iothub.Document{"a\u0085": true}, iothub.LimitKeyCharacter, "a\u0085"},
		{"forbidden key inside an array", doc(t, `{"a":[{"b.c":1}]}`), iothub.LimitKeyCharacter, "a.b.c"},
		{"text of 4,096 bytes", iothub.Document{"a": strings.Repeat("x", 4096)}, "", ""},
		{"text of 4,097 bytes", iothub.Document{"a": strings.Repeat("x", 4097)}, iothub.LimitStringLength, "a"},
		{"largest integer", doc(t, `{"a":4503599627370495}`), "", ""},
		{"above the largest integer", doc(t, `{"a":4503599627370496}`), iothub.LimitInteger, "a"},
		{"smallest integer", doc(t, `{"a":-4503599627370496}`), "", ""},
		{"below the smallest integer", doc(t, `{"a":-4503599627370497}`), iothub.LimitInteger, "a"},
		{"large float", doc(t, `{"a":1e300}`), "", ""},
		{"number of 128 characters", doc(t, `{"a":0.`+strings.Repeat("1", 126)+`}`), "", ""},
		{"number of 129 characters", doc(t, `{"a":0.`+strings.Repeat("1", 127)+`}`), iothub.LimitNumberLength, "a"},
		{"integer of 129 digits in an array", doc(t, `{"a":[`+strings.Repeat("1", 129)+`]}`), iothub.LimitNumberLength, "a"},
		{"null means removal", doc(t, `{"a":{"b":null}}`), "", ""},
		{"null in an array", doc(t, `{"a":[1,null]}`), iothub.LimitNullInArray, "a"},
		{"null in an object in an array", doc(t, `{"a":[{"b":null}]}`), iothub.LimitNullInArray, "a.b"},
		{"arrays count as a level", doc(t, `{"a":[[[[[[[[[[1]]]]]]]]]]}`), "", ""},
		{"eleven arrays deep", doc(t, `{"a":[[[[[[[[[[[1]]]]]]]]]]]}`), iothub.LimitDepth, "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := iothub.CheckContent(iothub.SectionDesired, tt.doc)
			var limit *iothub.LimitError
			switch {
			case tt.kind == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.kind != "" && !errors.As(err, &limit):
				t.Errorf("accepted, want %s", tt.kind)
			case limit != nil && (limit.Kind != tt.kind || limit.Path.String() != tt.path || limit.Section != iothub.SectionDesired):
				t.Errorf("%s at %q in %s, want %s at %q", limit.Kind, limit.Path, limit.Section, tt.kind, tt.path)
			}
		})
	}
}

func TestSizeCountsAsTheLimitsDo(t *testing.T) {
	for in, want := range map[string]int{
		`{}`: 0, `{"a":1}`: 9, `{"ab":true}`: 6, `{"a":"héllo"}`: 7, `{"a":{"b":"c"}}`: 3, `{"a":[1,2]}`: 17, `{"a":[{},"",[[]]]}`: 4, `{"a":"x\ny"}`: 3, `{"a":null}`: 1,
	} {
		if got := iothub.Size(doc(t, in)); got != want {
			t.Errorf("Size(%s) = %d, want %d", in, got, want)
		}
	}
}

func TestCheckSize(t *testing.T) {
	full := func(n int) iothub.Document { // n bytes: 2 for the keys, the rest text
		half := (n - 2) / 2
		return iothub.Document{"a": strings.Repeat("x", half), "b": strings.Repeat("y", n-2-half)}
	}
	if err := iothub.CheckSize(iothub.SectionTags, nil, full(8192)); err != nil {
		t.Errorf("8,192 bytes of tags: %v", err)
	}
	var limit *iothub.LimitError
	if err := iothub.CheckSize(iothub.SectionTags, nil, full(8193)); !errors.As(err, &limit) || limit.Got != 8193 || limit.Max != 8192 || limit.Path.String() != "b" {
		t.Errorf("8,193 bytes of tags: %v", err)
	}
	if err := iothub.CheckSize(iothub.SectionTags, full(9000), full(8999)); err != nil {
		t.Errorf("shrinking an oversized section: %v", err)
	}
	if err := iothub.CheckSize(iothub.SectionReported, nil, full(32768)); err != nil {
		t.Errorf("32,768 bytes reported: %v", err)
	}
	if err := iothub.CheckSize(iothub.SectionReported, nil, full(32769)); err == nil {
		t.Error("32,769 bytes reported are accepted")
	}
}

func TestCheckDeviceID(t *testing.T) {
	for _, id := range []string{"d", "pump.json", "100%", "a?b", "O'Neil", "-:.+%_#*?!(),=@;$'", strings.Repeat("x", 128)} {
		if err := iothub.CheckDeviceID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for id, want := range map[string]string{
		"":                       "a device id must not be empty",
		"a b":                    `a device id must not contain " "; allowed are ASCII letters, digits and -:.+%_#*?!(),=@;$'`,
		"a/b":                    `a device id must not contain "/"; allowed are ASCII letters, digits and -:.+%_#*?!(),=@;$'`,
		"é":                      `a device id must not contain "é"; allowed are ASCII letters, digits and -:.+%_#*?!(),=@;$'`,
		strings.Repeat("x", 129): "a device id has at most 128 characters",
	} {
		if err := iothub.CheckDeviceID(id); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", id, err, want)
		}
		want = strings.Replace(want, "device", "module", 1)
		if err := iothub.CheckModuleID(id); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", id, err, want)
		}
	}
}
