package store

import (
	"fmt"
	"runtime"
	"testing"

	"twinboard/hubclient/iothub"
)

// TestMemoryOfRecords compares the estimate of what records take with the heap
// they do take.
func TestMemoryOfRecords(t *testing.T) {
	nested := func(n int) iothub.Document {
		d := iothub.Document{}
		for i := range n {
			d[fmt.Sprint(i)] = map[string]any{"a": map[string]any{"b": true}}
		}
		return d
	}
	flat := func(n int) iothub.Document {
		d := iothub.Document{}
		for i := range n {
			d[fmt.Sprint(i)] = true
		}
		return d
	}
	for name, doc := range map[string]iothub.Document{
		"nothing": {}, "one value": flat(1), "eight values": flat(8), "nine values": flat(9), "many values": flat(1000), "many objects": nested(500),
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, newFile(t))
			r := plain("d")
			r.Tags, r.Desired, r.Reported = doc, r.Desired.Patch(doc, noon, true), r.Reported.Patch(doc, noon, false)
			commit(t, s, &Batch{Insert: []*Record{r}})
			var before, after runtime.MemStats
			kept := make([]*Record, 10_000_000/r.Memory())
			runtime.GC()
			runtime.GC() // what is reused between reads goes with the second
			runtime.ReadMemStats(&before)
			for i := range kept {
				kept[i], _ = s.Record(t.Context(), "d", "") // looked at below
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			took, estimate := (int(after.HeapAlloc)-int(before.HeapAlloc))/len(kept), kept[0].Memory()
			t.Logf("%d bytes each, %d by estimate", took, estimate)
			if took > estimate || took*10 < estimate {
				t.Errorf("a record takes %d bytes, by estimate %d", took, estimate)
			}
			runtime.KeepAlive(kept)
		})
	}
}
