package localhub

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// fill stores n twins of about 1 KB as the registry would, many in one
// transaction.
func (b *bench) fill(n int) {
	b.Helper()
	const chunk = 5000
	for from := 0; from < n; from += chunk {
		var batch store.Batch
		for i := from; i < min(from+chunk, n); i++ {
			batch.Insert = append(batch.Insert, b.sample(i))
		}
		b.check(b.store.Commit(&batch))
	}
}

func (b *bench) sample(i int) *store.Record {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	r := &store.Record{Identity: store.Identity{
		DeviceID: fmt.Sprintf("device-%06d", i), Generation: "1", IdentityETag: uint64(i) + 1,
		Status: iothub.StatusEnabled, Authentication: iothub.Authentication{Type: "sas"},
	}}
	r.TwinETag = 2
	r.Tags = parsePatch(b, fmt.Sprintf(`{"tags":{"location":{"region":"US","plant":"plant-%d"},"serial":"%08d"}}`, i%1000, i)).Tags
	r.Desired = iothub.NewSection(at).Patch(parsePatch(b, fmt.Sprintf(
		`{"properties":{"desired":{"power_level":%d,"telemetry":{"interval":30,"fields":["t","h"]}}}}`, i%10)).Desired, at, true)
	r.Reported = iothub.NewSection(at).Patch(iothub.Document{
		"connectivity": []string{"cellular", "wifi", "ethernet"}[i%3],
		"firmware":     map[string]any{"version": fmt.Sprintf("1.%d.0", i%7), "state": "current"},
	}, at, false)
	return r
}

// BenchmarkDurableUpdate changes twins in turn: a thousand, which are all in
// memory, or so many that most are read first.
func BenchmarkDurableUpdate(b *testing.B) {
	for _, c := range []struct{ writers, twins int }{{1, 1000}, {16, 1000}, {16, benchmarkTwins}} {
		b.Run(fmt.Sprint(c.writers, "writers/", c.twins, "twins"), func(b *testing.B) {
			h := newBench(b)
			h.fill(c.twins)
			patch := parsePatch(b, `{"properties":{"desired":{"power_level":7}}}`)
			before := h.columns.begun
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range c.writers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if _, err := h.updateTwin(context.Background(), owner, dev(fmt.Sprintf("device-%06d", i*7919%int64(c.twins))), patch, ""); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
			b.ReportMetric(float64(b.N)/float64(h.columns.begun-before), "updates/commit")
		})
	}
}

func BenchmarkReadTwin(b *testing.B) {
	h := newBench(b)
	h.fill(1000)
	for b.Loop() {
		if _, err := h.twin(context.Background(), dev("device-000500")); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkQueries are those of the budgets, by name, over sample twins.
var benchmarkQueries = []struct{ name, text string }{
	{"equality", "SELECT * FROM devices WHERE tags.serial = '00009999'"},
	{"predicates", "SELECT * FROM devices WHERE tags.location.plant = 'plant-999' AND properties.reported.connectivity = 'cellular'"},
	{"group", "SELECT properties.reported.connectivity, COUNT() AS n FROM devices GROUP BY properties.reported.connectivity"},
	{"negation-none", "SELECT * FROM devices WHERE NOT tags.location.region = 'US'"},
	{"negation-most", "SELECT * FROM devices WHERE NOT tags.location.plant = 'plant-3'"},
}

// BenchmarkQuery asks for first pages when the columns are there.
func BenchmarkQuery(b *testing.B) {
	others := []struct{ name, text string }{
		{"hundred", "SELECT * FROM devices WHERE tags.location.plant = 'plant-999'"},
		{"projection", "SELECT deviceId, tags.location.plant FROM devices WHERE tags.location.plant = 'plant-999'"},
		{"byid", "SELECT * FROM devices WHERE deviceId IN ['device-000001', 'device-009999']"},
		{"page", "SELECT * FROM devices"},
	}
	h := newBench(b)
	h.fill(benchmarkTwins)
	for _, q := range append(benchmarkQueries, others...) {
		b.Run(q.name, func(b *testing.B) {
			h.ask(q.text)
			for b.Loop() {
				h.ask(q.text)
			}
		})
	}
}

const benchmarkTwins = 100_000

func (b *bench) ask(text string) {
	b.Helper()
	_, err := b.query(context.Background(), text, "", iothub.MaxPageSize)
	b.check(err)
}

// BenchmarkFirstUse asks for paths that no query has used.
func BenchmarkFirstUse(b *testing.B) {
	h := newBench(b)
	h.fill(benchmarkTwins)
	for _, q := range benchmarkQueries {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				h.columns = newColumns(h.registry)
				h.ask(q.text)
			}
		})
	}
}
