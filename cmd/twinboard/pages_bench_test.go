package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// BenchmarkPages measures each page as a browser's first request gets it: the
// whole program, through HTTP, compressed. The lists hold all devices. A page
// of a twin is meant to take 10 ms at most, the others 30 ms.
func BenchmarkPages(b *testing.B) {
	for _, n := range []int{100, many} {
		b.Run(fmt.Sprintf("twins=%d", n), func(b *testing.B) { pages(b, n) })
	}
}

func pages(b *testing.B, n int) {
	data := filepath.Join(b.TempDir(), "data")
	fillHub(b, data, n)
	p := serve(b, "--data", data)
	p.lists(b, n)
	changeTags(b, p, 60)
	for _, page := range []struct{ name, path string }{
		{"overview", ""},
		{"list", "/devices"},
		{"list=search", "/devices?q=oslo"},
		{"list=filters,sort", "/devices?tag.site=oslo&tag.site=lima&reported.firmware=1.3.0&sort=-reported.firmware"},
		{"list=sort-by-unique", "/devices?sort=tags.serial"},
		{"list=sort-by-state", "/devices?sort=state"},
		{"list=backwards", "/devices?sort=-id"},
		{"twin", "/devices/device-000042"},
		{"changes", "/changes"},
	} {
		b.Run(page.name, func(b *testing.B) { timePage(b, p, "/h/local"+page.path) })
	}
}

// timePage measures a page that was opened before: columns are made then.
func timePage(b *testing.B, p *program, path string) {
	p.page(b, path)
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		begin := time.Now()
		p.page(b, path)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}

// changeTags fills a page of the journal.
func changeTags(b *testing.B, p *program, count int) {
	client, err := localClient(p.Data)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for i := range count {
		patch := iothub.TwinPatch{Tags: iothub.Document{"owner": fmt.Sprint("team-", i%3)}}
		if _, err := client.UpdateTwin(b.Context(), fmt.Sprintf("device-%06d", i), patch, nil); err != nil {
			b.Fatal(err)
		}
	}
	p.until(b, "/h/local/changes", "the journal's first page is full", func(body []byte) bool {
		var journal struct {
			Next string `json:"next"`
		}
		if err := json.Unmarshal(body, &journal); err != nil {
			b.Fatal(err)
		}
		return journal.Next != ""
	})
}
