package query

import (
	"encoding/json"
	"fmt"
	"testing"
)

// fleet returns n twins like those of a fleet of simulated devices.
func fleet(n int) []Document {
	kinds := []string{"cellular", "wifi", "ethernet"}
	twins := make([]Document, n)
	for i := range twins {
		twins[i] = Document{
			"deviceId": fmt.Sprintf("device-%05d", i), "status": "enabled", "connectionState": "Connected", "version": json.Number("4"),
			"tags": map[string]any{"location": map[string]any{"region": "US", "plant": fmt.Sprintf("Redmond%d", i%50)}},
			"properties": map[string]any{
				"desired":  map[string]any{"power_level": json.Number("1"), "$version": json.Number("2")},
				"reported": map[string]any{"connectivity": kinds[i%3], "battery": json.Number(fmt.Sprint(i % 101)), "$version": json.Number("3")},
			},
		}
	}
	return twins
}

var benchmarks = []struct{ name, where string }{
	{"equality", "tags.location.plant = 'Redmond43'"},
	{"two predicates", "tags.location.plant = 'Redmond43' AND properties.reported.connectivity = 'cellular'"},
	{"negation", "NOT properties.reported.connectivity IN ['wifi', 'ethernet']"},
	{"numbers", "properties.reported.battery * 2 >= 180 OR properties.reported.battery < 5"},
	{"function", "STARTSWITH(deviceId, 'device-0000')"},
}

func BenchmarkParse(b *testing.B) {
	for _, bench := range benchmarks {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				mustParse(b, "SELECT * FROM devices WHERE "+bench.where)
			}
		})
	}
}

// BenchmarkMatch evaluates WHERE over 10,000 decoded twins an iteration.
func BenchmarkMatch(b *testing.B) {
	twins := fleet(10_000)
	for _, bench := range benchmarks {
		q := mustParse(b, "SELECT * FROM devices WHERE "+bench.where)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n = 0
				for _, twin := range twins {
					if q.Match(twin) {
						n++
					}
				}
			}
			if n == 0 || n == len(twins) {
				b.Fatalf("%d of %d twins match", n, len(twins))
			}
		})
	}
}

// BenchmarkMatchColumns does the same over values extracted beforehand.
func BenchmarkMatchColumns(b *testing.B) {
	twins := fleet(10_000)
	for _, bench := range benchmarks {
		q := mustParse(b, "SELECT * FROM devices WHERE "+bench.where)
		rows := make([]Row, len(twins)) // made once: an interface of a slice allocates
		for i, twin := range twins {
			rows[i] = columns(b, q, twin)
		}
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, row := range rows {
					q.Match(row)
				}
			}
		})
	}
}

func BenchmarkGroup(b *testing.B) {
	twins := fleet(10_000)
	q := mustParse(b, "SELECT properties.reported.connectivity AS c, COUNT() AS n, AVG(properties.reported.battery) AS battery FROM devices GROUP BY properties.reported.connectivity")
	b.ReportAllocs()
	for b.Loop() {
		groups := q.NewGroups()
		for _, twin := range twins {
			groups.Add(twin)
		}
		if len(groups.Records()) != 3 {
			b.Fatal(groups.Records())
		}
	}
}
