package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// devices is how many BenchmarkDevices connects: go test ./cmd/twinboard -run '^$'
// -bench Devices -benchtime 1x -devices 10000.
var devices = flag.Int("devices", 1000, "simulated devices of BenchmarkDevices")

// BenchmarkDevices starts a hub in one process and simulated devices in another,
// and waits until the hub counts them all as connected. A device starts when one
// before it has subscribed, read its twin and reported, so all but the last few
// have done that, too. The devices are registered before. Memory is what both
// processes hold at the end, without what the hub held before; it is told where
// the system has /proc.
func BenchmarkDevices(b *testing.B) {
	program := filepath.Join(b.TempDir(), "twinboard")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for b.Loop() {
		connectAll(b, program)
	}
}

func connectAll(b *testing.B, program string) {
	b.Helper()
	b.StopTimer()
	data := b.TempDir()
	hub, ready := startBinary(b, program, "hub", "--data", data, "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0", "--log-level", "warn")
	defer stopBinary(b, hub)
	if err := json.NewDecoder(ready).Decode(&readyLine{}); err != nil {
		b.Fatal(err)
	}
	client, err := localClient(data)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	registerMany(b, client)
	idle := resident(hub)

	b.StartTimer()
	begin := time.Now()
	sim, _ := startBinary(b, program, "simulate", "--data", data, "--count", strconv.Itoa(*devices), "--log-level", "warn")
	defer stopBinary(b, sim)
	waitConnected(b, client)
	took := time.Since(begin)
	b.StopTimer()

	b.ReportMetric(float64(*devices)/took.Seconds(), "devices/s")
	if idle > 0 {
		b.ReportMetric(float64(resident(hub)-idle+resident(sim))/float64(*devices), "KB/device")
	}
	b.StartTimer()
}

func registerMany(b *testing.B, client *hubclient.Client) {
	b.Helper()
	for from := 1; from <= *devices; from += iothub.MaxBulk {
		var items []hubclient.BulkItem
		for k := from; k < from+iothub.MaxBulk && k <= *devices; k++ {
			items = append(items, hubclient.BulkItem{Mode: iothub.ImportCreate, Device: iothub.Device{DeviceID: fmt.Sprint("sim-", k)}})
		}
		result, err := client.Bulk(b.Context(), items)
		if err != nil || !result.Successful {
			b.Fatal(result, err)
		}
	}
}

func waitConnected(b *testing.B, client *hubclient.Client) {
	b.Helper()
	deadline := time.Now().Add(patience + time.Duration(*devices)*20*time.Millisecond)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		s, err := client.ServiceStatistics(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if s.Connected == *devices {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d devices are connected", s.Connected, *devices)
		}
	}
}

// startBinary runs the program in a process of its own.
func startBinary(b *testing.B, program string, args ...string) (*exec.Cmd, *os.File) {
	b.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), program, args...)
	c.Stdout, c.Stderr = writer, os.Stderr
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	writer.Close()
	b.Cleanup(func() { reader.Close() })
	return c, reader
}

func stopBinary(b *testing.B, c *exec.Cmd) {
	b.Helper()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		b.Error(err)
	}
	if err := c.Wait(); err != nil {
		b.Errorf("%s: %v", c, err)
	}
}

var residentSet = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident is what a process holds in memory, in KB; 0 where the system does not
// tell.
func resident(c *exec.Cmd) int { return residentKB(strconv.Itoa(c.Process.Pid)) }

// residentKB is the same of a process by its name in /proc.
func residentKB(process string) int {
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		return 0
	}
	found := residentSet.FindSubmatch(status)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1])) // digits
	return n
}
