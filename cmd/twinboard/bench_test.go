package main

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"twinboard/devicesim"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
)

// BenchmarkSaveToPatch measures from the service call that changes a desired
// property to the device that has applied the patch: HTTPS with SAS, durable
// commit, MQTT over TLS. Others are connected and idle.
func BenchmarkSaveToPatch(b *testing.B) {
	for _, others := range []int{0, 1000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) { saveToPatch(b, others) })
	}
}

func saveToPatch(b *testing.B, others int) {
	hub, err := localhub.New(localhub.Options{Data: b.TempDir(), HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { hub.Close(b.Context()) })
	if err := hub.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	cs, err := hub.ConnectionString("iothubowner")
	if err != nil {
		b.Fatal(err)
	}
	client, err := hubclient.New(cs, &hubclient.Options{RootCAs: hub.RootCAs()})
	if err != nil {
		b.Fatal(err)
	}
	sim := devicesim.New(devicesim.Options{MQTTAddr: hub.MQTTAddr(), RootCAs: hub.RootCAs()})
	b.Cleanup(func() { sim.Close(b.Context()) })
	startMany(b, target{client, sim, hub.DeviceHostName()}, others+1)
	_, events, _ := sim.Events().Subscribe(sim.Events().Last())
	defer events.Close()

	took := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		begin := time.Now()
		patch := iothub.TwinPatch{Desired: iothub.Document{"n": number(fmt.Sprint(i))}}
		if _, err := client.UpdateTwin(b.Context(), "bench-0", patch, nil); err != nil {
			b.Fatal(err)
		}
		for item := range events.C() {
			if item.Value.DeviceID == "bench-0" && item.Value.Kind == devicesim.KindPatch {
				break
			}
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}

func startMany(b *testing.B, t target, count int) {
	b.Helper()
	devices := make([]numbered, count)
	for i := range devices {
		devices[i] = numbered{i, fmt.Sprintf("bench-%d", i)}
	}
	if n := startDevices(b.Context(), slog.New(slog.DiscardHandler), t, profile{name: "wifi"}, devices); n != count {
		b.Errorf("%d of %d devices started", n, count)
	}
}
