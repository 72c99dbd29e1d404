package fleet

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// bigFleet is a fleet of the size that the list is made for, with twins as a
// tutorial and its settings leave them.
func bigFleet(b testing.TB, n int) *Fleet {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	regions, plants := []string{"US", "EU", "APAC"}, []string{"Redmond43", "Redmond44", "Dublin1", "Singapore2"}
	return fleetOf(b, at, n, func(i int) *iothub.Twin {
		written := at.Add(-time.Duration(i) * time.Second)
		twin := twinAt(fmt.Sprintf("device-%06d", i), written, i%3 != 0)
		twin.Tags = iothub.Document{
			"location": map[string]any{"region": regions[i%3], "plant": plants[i%4]},
			"owner":    "facilities", "serial": fmt.Sprintf("SN%08X", i*2654435761),
		}
		wanted := iothub.Document{
			"power_level": json.Number(fmt.Sprint(i % 5)), "firmware": "2.4.1",
			"telemetry": map[string]any{"interval": json.Number("30"), "enabled": true},
		}
		reported := iothub.Clone(wanted)
		if i%7 == 0 {
			reported["power_level"] = json.Number("9")
		}
		reported["connectivity"] = []string{"cellular", "wifi", "ethernet"}[i%3]
		twin.Properties.Desired = twin.Properties.Desired.Patch(wanted, written, true)
		twin.Properties.Reported = twin.Properties.Reported.Patch(reported, written.Add(time.Second), false)
		return twin
	})
}

func BenchmarkList(b *testing.B) {
	f := bigFleet(b, 100_000)
	deep := Query{Sort: SortSince}
	for range 20 {
		deep.After = f.List(deep).Next
	}
	for name, q := range map[string]Query{
		"by id":                 {},
		"by id, the last first": {Desc: true},
		"by state":              {Sort: SortState},
		"since, page 20":        deep,
		"search":                {Text: "redmond43", Sort: SortState},
		"search for one":        {Text: "sn0012ab"},
		"filter, facets, sort by path": {
			Text: "redmond", Filters: []Filter{{"tags.location.region", []string{"US", "EU"}}},
			Facets: []string{"tags.location.region", "tags.location.plant", "tags.owner", "reported.connectivity"}, Sort: "tags.serial", Desc: true,
		},
		"all, facets, one of them unique": {Facets: []string{"tags.location.region", "tags.location.plant", "tags.serial"}},
		"filter":                          {States: []iothub.State{iothub.Differs}, Connection: iothub.Connected, Sort: SortSince, Desc: true},
	} {
		f.List(q) // makes the columns
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f.List(q)
			}
		})
	}
}

// BenchmarkColumn measures what the first use of a path costs.
func BenchmarkColumn(b *testing.B) {
	f := bigFleet(b, 100_000)
	for b.Loop() {
		clear(f.picture.columns)
		f.List(Query{Sort: "tags.serial"})
	}
}

// BenchmarkMemory measures what the picture of one twin costs on the heap.
func BenchmarkMemory(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		f := bigFleet(b, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/twin")
		b.ReportMetric(float64(len(f.picture.list[0].raw)), "B/json")
	}
}

// BenchmarkApply measures what one change of a twin costs.
func BenchmarkApply(b *testing.B) {
	f := bigFleet(b, 100)
	e := f.picture.list[0]
	version, section := e.version, int64(2)
	for b.Loop() {
		version, section = version+1, section+1
		f.apply(iothub.Change{
			DeviceID: e.id, Kind: iothub.ChangeReported, Operation: iothub.OperationUpdate, Version: version, SectionVersion: section,
			Patch: iothub.Document{"connectivity": "wifi"}, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		})
	}
	if got := f.picture.get(e.id).version; got != version {
		b.Fatalf("version %d, want %d", got, version)
	}
}
