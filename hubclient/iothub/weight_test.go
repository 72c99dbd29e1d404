package iothub_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

// TestWeightOfChanges compares the estimate of what changes take with the heap
// they do take, for the shapes that take most for what they hold.
func TestWeightOfChanges(t *testing.T) {
	many := func(format string, n int) string { // members or elements, with commas between
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	document := func(text string) func(testing.TB) iothub.Change {
		return func(t testing.TB) iothub.Change {
			d, err := iothub.ParseDocument([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return iothub.Change{Kind: iothub.ChangeReported, Patch: d, Old: iothub.Replaced(d, d)}
		}
	}
	bag := func(text string) func(testing.TB) iothub.Change {
		return func(testing.TB) iothub.Change {
			return iothub.Change{Kind: iothub.ChangeTelemetry, Telemetry: &iothub.Telemetry{Properties: iothub.ParseProperties(text)}}
		}
	}
	for name, make := range map[string]func(testing.TB) iothub.Change{
		"one value":           document(`{"a":1}`),
		"numbers":             document("{" + many(`"%x":1`, 2000) + "}"),
		"long numbers":        document("{" + many(`"%x":1.00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000`, 1000) + "}"),
		"true":                document("{" + many(`"%x":true`, 2000) + "}"),
		"texts":               document("{" + many(`"%x":"abcdefgh"`, 2000) + "}"),
		"empty texts":         document("{" + many(`"%x":""`, 4000) + "}"),
		"nulls":               document("{" + many(`"%x":null`, 4000) + "}"),
		"empty objects":       document("{" + many(`"%x":{}`, 4000) + "}"),
		"objects":             document("{" + many(`"%x":{"":{"":{"":1}}}`, 1000) + "}"),
		"empty arrays":        document("{" + many(`"%x":[]`, 4000) + "}"),
		"array of arrays":     document(`{"a":[` + many(`[%.0d]`, 8000) + "]}"),
		"array of objects":    document(`{"a":[` + many(`{"":%d}`, 4000) + "]}"),
		"array of no objects": document(`{"a":[` + strings.Repeat("{},", 7999) + "{}]}"),
		"array of texts":      document(`{"a":[` + strings.Repeat(`"",`, 7999) + `""]}`),
		"a long text":         document(`{"a":"` + strings.Repeat("x", 4000) + `"}`),
		"properties":          bag(strings.ReplaceAll(many("%x=", 9000), ",", "&")),
		"few properties":      bag("a=b&c=d"),
		"controls":            document(`{"a":"` + strings.Repeat("\\u0001", 4000) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			const count = 20
			var before, after runtime.MemStats
			kept := [count]iothub.Change{}
			weight := 0
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range kept {
				kept[i] = make(t)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			for _, c := range kept {
				weight += c.Weight()
			}
			took := int(after.HeapAlloc) - int(before.HeapAlloc)
			t.Logf("%d bytes each, %d by estimate", took/count, weight/count)
			if took > weight {
				t.Errorf("a change takes %d bytes, by estimate %d", took/count, weight/count)
			}
			runtime.KeepAlive(kept)
		})
	}
}
