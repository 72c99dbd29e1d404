//go:build linux

package localhub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

const (
	// stormDevices is how many devices storm a hub unless the variable says so.
	stormDevices  = 400
	stormVariable = "TWINBOARD_TEST_CONNECTIONS"
	// deviceMemory bounds what a connected device may cost the hub, in bytes.
	deviceMemory = 100_000 * raceFactor
)

// storm is many devices of one hub, which runs in a process of its own.
type storm struct {
	*besieger
	child   *child
	devices []*thing
	tokens  []string // keys of the devices
}

// TestReconnectStorm has devices come all at once, go all at once and come back
// at once, twice, while somebody else uses the hub.
func TestReconnectStorm(t *testing.T) {
	count := stormDevices
	if text := os.Getenv(stormVariable); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", stormVariable, err)
		}
	}
	s := startStorm(t, count)
	idle := s.memory()
	for range 3 {
		stop, slowest := s.watch()
		start := time.Now()
		again := s.connectAll()
		took := time.Since(start)
		stop()
		t.Logf("%d devices in %v, %.0f/s; %d tried again; slowest round of the witness %v; %d KB a device", count, took.Round(time.Millisecond),
			float64(count)/took.Seconds(), again, slowest.Round(time.Millisecond), (s.memory()-idle)/count>>10)
		if again > int64(count)/20 {
			t.Errorf("%d of %d tried again", again, count)
		}
		if *slowest > 10*time.Second {
			t.Errorf("the witness waited %v", slowest)
		}
		if n := s.connected(); n != count {
			t.Errorf("%d of %d devices are connected", n, count)
		}
		if grown := s.memory() - idle; grown > count*deviceMemory+64<<20 {
			t.Errorf("%d MB for %d devices", grown>>20, count)
		}
		for _, d := range s.devices {
			d.conn.Close()
		}
	}
	s.child.kill()
	s.child.killed()
}

func startStorm(t *testing.T, count int) *storm {
	t.Helper()
	data := t.TempDir()
	s := &storm{devices: make([]*thing, count), tokens: make([]string, count)}
	s.besieger = &besieger{siege: &siege{T: t, data: data, devices: map[string]*besieged{"witness": {}}, identities: map[string]bool{}}}
	s.makeDevices(count)
	s.check() // makes the witness
	s.child = startChildFor(t, "serve", data, time.Minute+time.Duration(count)*50*time.Millisecond)
	if !s.child.ready() {
		t.Fatal("the hub does not start")
	}
	var err error
	if s.at, err = ReadEndpoints(data); err != nil {
		t.Fatal(err)
	}
	s.tls = s.trust()
	s.dial()
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

func (s *storm) makeDevices(count int) {
	s.Helper()
	h, err := New(Options{Data: s.data})
	if err != nil {
		s.Fatal(err)
	}
	defer closeHub(s.T, h)
	numbers := make(chan int)
	var makers sync.WaitGroup
	for range 64 {
		makers.Go(func() {
			for i := range numbers {
				d, err := h.registry.createDevice(context.Background(), owner, iothub.Device{DeviceID: fmt.Sprint("s", i)})
				if err != nil {
					s.Error(err)
				}
				s.tokens[i] = d.Authentication.SymmetricKey.Primary
			}
		})
	}
	for i := range count {
		numbers <- i
	}
	close(numbers)
	makers.Wait()
}

// connectAll connects all devices at the same time. Like any device, one whose
// connection breaks tries again: the system's queue of connections is short.
func (s *storm) connectAll() (again int64) {
	s.Helper()
	var all sync.WaitGroup
	var retries atomic.Int64
	for i := range s.devices {
		all.Go(func() {
			for {
				d, err := s.connectDevice(fmt.Sprint("s", i), &besieged{key: s.tokens[i]})
				if s.devices[i] = d; err == nil {
					return
				}
				if retries.Add(1) > int64(len(s.devices)) {
					s.Errorf("too many devices are not let in, one for %v", err)
					return
				}
			}
		})
	}
	if all.Wait(); s.Failed() {
		s.FailNow()
	}
	return retries.Load()
}

// connected counts the devices once those that left are gone.
func (s *storm) connected() int {
	s.Helper()
	var count iothub.ServiceStatistics
	status, answer := s.ask(http.MethodGet, "/statistics/service", "", "")
	if err := json.Unmarshal(answer, &count); err != nil || status != http.StatusOK {
		s.Fatalf("%d %s, %v", status, answer, err)
	}
	return count.Connected
}

// watch measures how long a service's change takes to be answered, over and
// over; slowest is right after stop.
func (s *storm) watch() (stop func(), slowest *time.Duration) {
	slowest = new(time.Duration)
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		pause := time.NewTicker(10 * time.Millisecond)
		defer pause.Stop()
		for {
			start := time.Now()
			s.call(http.MethodPatch, "/twins/witness", `{"tags":{"a":1}}`, "")
			*slowest = max(*slowest, time.Since(start))
			select {
			case <-end:
				return
			case <-pause.C:
			}
		}
	}()
	return func() { close(end); <-done }, slowest
}

// memory is what the hub's process holds in memory, in bytes.
func (s *storm) memory() int {
	s.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.child.cmd.Process.Pid))
	if err != nil {
		s.Fatal(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	var kilobytes int
	if _, err := fmt.Fscan(bytes.NewReader(after), &kilobytes); err != nil {
		s.Fatal(err)
	}
	return kilobytes << 10
}
