package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gauge is something that must not grow while the program runs. What it reads is
// noisy, so its trend may rise by a share of its median, and by least in any case.
// Memory that a burst has needed goes back to the system slowly, hence the larger
// share of what is resident.
type gauge struct {
	name, unit   string
	share, least float64
	read         func(folder string) (float64, error)
}

// gauges are read in this order: live heap first, as what reading makes is garbage.
// Those of /proc read 0 on systems without it.
var gauges = []gauge{
	{"live heap", "MB", 0.05, 2, func(string) (float64, error) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6, nil
	}},
	{"resident", "MB", 0.15, 8, func(string) (float64, error) { return float64(residentKB("self")) / 1000, nil }},
	{"goroutines", "", 0.05, 20, func(string) (float64, error) { return float64(runtime.NumGoroutine()), nil }},
	{"open files", "", 0.05, 10, func(string) (float64, error) {
		list, err := os.ReadDir("/proc/self/fd")
		if os.IsNotExist(err) {
			return 0, nil
		}
		return float64(len(list)), err
	}},
	{"data folder", "MB", 0.05, 8, folderMB},
}

// folderMB counts the files of a folder. One that is gone again counts nothing.
func folderMB(folder string) (float64, error) {
	var bytes int64
	err := filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return float64(bytes) / 1e6, err
}

// samples are the readings of all gauges, at times that lie equally apart.
type samples [][]float64

func (s *samples) take(t testing.TB, folder string) {
	t.Helper()
	values := make([]float64, len(gauges))
	for i, g := range gauges {
		v, err := g.read(folder)
		if err != nil {
			t.Fatalf("%s: %v", g.name, err)
		}
		values[i] = v
	}
	*s = append(*s, values)
}

func (s samples) of(gauge int) []float64 {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = s[i][gauge]
	}
	return values
}

func (s samples) String() string {
	var b strings.Builder
	for _, g := range gauges {
		fmt.Fprintf(&b, "%16s", strings.TrimSpace(g.name+" "+g.unit))
	}
	for _, row := range s {
		b.WriteString("\n")
		for _, v := range row {
			fmt.Fprintf(&b, "%16.1f", v)
		}
	}
	return b.String()
}

// check fails with every gauge whose trend rises beyond its bound. The trend is
// that of calm moments: requests that wait because the machine is busy with other
// things are no growth.
func (s samples) check(t testing.TB) {
	t.Helper()
	for i, g := range gauges {
		middle, rise := trend(calm(s.of(i)))
		bound := max(g.least, g.share*middle)
		t.Logf("%-12s median %.1f %s, trend %+.2f over the whole time, bound %.1f", g.name, middle, g.unit, rise, bound)
		if rise > bound {
			t.Errorf("%s grows: by %.1f %s, more than %.1f", g.name, rise, g.unit, bound)
		}
	}
}

// calm takes the least of every few values, so that about ten remain.
func calm(values []float64) []float64 {
	const remain = 10
	var least []float64
	for few := range slices.Chunk(values, max(1, len(values)/remain)) {
		least = append(least, slices.Min(few))
	}
	return least
}

func TestCalm(t *testing.T) {
	var values []float64
	for i := range 30 {
		values = append(values, []float64{5, 90, 7}[i%3]+float64(i/3))
	}
	if got := calm(values); !slices.Equal(got, []float64{5, 6, 7, 8, 9, 10, 11, 12, 13, 14}) {
		t.Errorf("the least of every three: %v", got)
	}
	if got := calm([]float64{3, 1, 2}); !slices.Equal(got, []float64{3, 1, 2}) {
		t.Errorf("of few values: %v", got)
	}
}

// trend is the median of equally spaced values, and how much a line through them
// rises from the first to the last. Its slope is the median of the slopes between
// any two values (Theil–Sen), so that a large page being read does not count.
func trend(values []float64) (middle, rise float64) {
	var slopes []float64
	for i, v := range values {
		for j, w := range values[:i] {
			slopes = append(slopes, (v-w)/float64(i-j))
		}
	}
	return median(values), median(slopes) * float64(len(values)-1)
}

// median is 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func TestTrend(t *testing.T) {
	for name, tt := range map[string]struct {
		values       []float64
		middle, rise float64
	}{
		"none":        {nil, 0, 0},
		"one":         {[]float64{7}, 7, 0},
		"flat":        {[]float64{5, 5, 5, 5}, 5, 0},
		"rising":      {[]float64{1, 2, 3, 4, 5}, 3, 4},
		"falling":     {[]float64{4, 2, 0}, 2, -4},
		"one spike":   {[]float64{5, 5, 90, 5, 5, 5}, 5, 0},
		"up and down": {[]float64{1, 9, 1, 9, 1}, 1, 0},
	} {
		if middle, rise := trend(tt.values); middle != tt.middle || rise != tt.rise {
			t.Errorf("%s: median %v, rise %v; want %v, %v", name, middle, rise, tt.middle, tt.rise)
		}
	}
}

// processorTime is what this process has used of the processors; 0 where the
// system does not tell.
func processorTime() time.Duration {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	// After the name in brackets come the state and numbers, in hundredths of a
	// second: the 12th is user time, the 13th system time (proc(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
