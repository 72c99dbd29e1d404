package localhub

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

func TestCacheTakesNoOutdatedOffer(t *testing.T) {
	c := newCache(1 << 20)
	old, fresh := &store.Record{Key: 1}, &store.Record{Key: 1, Twin: store.Twin{TwinETag: 2}}
	_, puts := c.get(dev("d")) // a reader goes to the store …
	c.put(dev("d"), fresh)     // … a write overtakes it …
	c.offer(dev("d"), old, puts)
	if got, _ := c.get(dev("d")); got != fresh {
		t.Error("a reader put back what was overwritten")
	}
	c.put(dev("d"), nil)
	c.offer(dev("d"), fresh, puts)
	got, puts := c.get(dev("d"))
	if got != nil {
		t.Error("a reader brought back what was deleted")
	}
	c.offer(dev("d"), old, puts)
	if got, _ := c.get(dev("d")); got != old {
		t.Error("a good offer was not taken")
	}
}

func TestCacheIsBoundedAndKeepsTheLatest(t *testing.T) {
	big := &store.Record{Twin: store.Twin{Tags: iothub.Document{"x": strings.Repeat("x", 4000)}}}
	c := newCache(10 * big.Memory())
	for i := range 25 {
		c.put(dev(fmt.Sprint(i)), big)
		c.get(dev("0")) // used all the time
	}
	if r := c.records; len(r.entries) != 10 || r.order.Len() != 10 || r.used != 10*big.Memory() {
		t.Errorf("%d entries, %d in order, %d bytes", len(r.entries), r.order.Len(), r.used)
	}
	for id, want := range map[string]bool{"0": true, "24": true, "16": true, "15": false, "1": false} {
		if got, _ := c.get(dev(id)); (got != nil) != want {
			t.Errorf("%s is kept: %v", id, got != nil)
		}
	}
}

// weakly points at a cached record without keeping it.
func (b *bench) weakly(id string) weak.Pointer[store.Record] {
	rec, _ := b.cache.get(dev(id))
	return weak.Make(rec)
}

// TestAWrittenTwinIsForgottenAsItWas writes a twin again and again: the record
// kept now must not hold those before.
func TestAWrittenTwinIsForgottenAsItWas(t *testing.T) {
	b := newBench(t)
	b.create("d")
	b.patch("d", `{"tags":{"n":0},"properties":{"desired":{"n":0}}}`)
	before := b.weakly("d")
	for i := range 5 {
		b.patch("d", fmt.Sprintf(`{"tags":{"n":%d},"properties":{"desired":{"n":%[1]d}}}`, i))
	}
	b.create("other") // so that no write of the twin is at hand
	deadline := time.Now().Add(30 * time.Second)
	for runtime.GC(); before.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the twin as it was is still in memory")
		}
	}
}
