package devicesim_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"twinboard/devicesim"
)

// BenchmarkFleet starts and stops 500 devices: TLS, CONNECT, subscriptions,
// twin read and report of each, with the local hub in the same process.
func BenchmarkFleet(b *testing.B) {
	const count = 500
	h := newHub(b)
	f := h.fleet(devicesim.Options{})
	specs := make([]devicesim.Spec, count)
	for i := range specs {
		specs[i] = h.register(fmt.Sprintf("dev%03d", i))
	}
	idle := memory()
	var busy uint64
	for b.Loop() {
		var wg sync.WaitGroup
		for _, s := range specs {
			wg.Go(func() {
				if err := f.Start(b.Context(), s); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		busy = memory()
		b.StartTimer()
		if err := f.StopAll(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "devices/s")
	b.ReportMetric(float64(busy-min(idle, busy))/count/1024, "KB/device") // hub and device together
}

// memory is what the heap and the stacks take after a collection.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
