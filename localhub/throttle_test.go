package localhub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// stopped is a clock that moves only when told to.
type stopped struct {
	mu sync.Mutex
	at time.Time
}

func (c *stopped) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *stopped) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestThrottlesFillWithTime(t *testing.T) {
	clock := &stopped{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	h, err := newThrottle("S1", clock.now)
	if err != nil {
		t.Fatal(err)
	}
	passing := func(group iothub.Throttled) (n int) {
		for h.take(group, 1) == nil {
			n++
		}
		return n
	}
	for _, c := range []struct {
		group                          iothub.Throttled
		burst, afterSecond, afterHours int
	}{
		{iothub.ThrottleQueries, 50, 0, 50},
		{iothub.ThrottleRegistry, 250, 1, 250},
		{iothub.ThrottleTwinUpdates, 500, 50, 500},
		{iothub.ThrottleTwinReads, 1000, 100, 1000},
		{iothub.ThrottleMethods, 400, 40, 400},
		{iothub.ThrottleJobs, 250, 1, 250},
		{iothub.ThrottleJobDevices, 100, 10, 100},
	} {
		got := fmt.Sprint(passing(c.group))
		clock.move(time.Second)
		got += fmt.Sprint(" ", passing(c.group))
		clock.move(5 * time.Hour)
		got += fmt.Sprint(" ", passing(c.group))
		if want := fmt.Sprint(c.burst, " ", c.afterSecond, " ", c.afterHours); got != want {
			t.Errorf("%s: %s pass, want %s", c.group, got, want)
		}
	}
	passing(iothub.ThrottleQueries)
	passing(iothub.ThrottleRegistry)
	if err := h.take(iothub.ThrottleQueries, 1); err == nil || !strings.Contains(err.Error(), "20 in 1m0s") {
		t.Errorf("%v", err)
	}
	clock.move(time.Minute)
	if err := h.take(iothub.ThrottleRegistry, 101); err == nil {
		t.Error("101 of 100 passed")
	}
	if err := h.take(iothub.ThrottleRegistry, 100); err != nil {
		t.Error(err)
	}
	if _, err := newThrottle("B1", clock.now); err == nil {
		t.Error("B1 was taken, which has no twins")
	}
	passing(iothub.ThrottleJobDevices)
	clock.move(time.Second)
	if got := h.takeJobDevices(4) + h.takeJobDevices(64) + h.takeJobDevices(1); got != 10 {
		t.Errorf("%d pass of what is taken in parts", got)
	}
	if none, err := newThrottle("", clock.now); err != nil || none.take(iothub.ThrottleQueries, 1e6) != nil {
		t.Error("throttled without a tier")
	}
}

// throttled starts a hub with next to nothing left of one throttle.
func throttled(t *testing.T, group iothub.Throttled, left int) *wire {
	t.Helper()
	clock := &stopped{at: time.Now()}
	return startWireWith(t, clock.now, func(h *Hub) {
		var err error
		if h.throttle, err = newThrottle("S1", clock.now); err != nil {
			t.Fatal(err)
		}
		h.throttle.longest = 0 // nobody waits
		h.throttle.buckets[group].left = float64(left)
	})
}

// TestServiceCallsWaitForTheirTurn asks more at once than is left: some pass at
// once, some later, and the rest is refused.
func TestServiceCallsWaitForTheirTurn(t *testing.T) {
	w := startWireWith(t, time.Now, func(h *Hub) {
		var err error
		if h.throttle, err = newThrottle("S1", h.now); err != nil {
			t.Fatal(err)
		}
		h.throttle.longest = 200 * time.Millisecond // ten updates at 50 a second
		h.throttle.buckets[iothub.ThrottleTwinUpdates].left = 5
	})
	w.device("d1")
	const calls = 40
	var mu sync.Mutex
	var wg sync.WaitGroup
	var longest time.Duration
	answers := map[int]int{}
	begin := time.Now()
	for range calls {
		wg.Go(func() {
			r := w.call("PATCH", "/twins/d1", `{"tags":{"a":1}}`)
			mu.Lock()
			defer mu.Unlock()
			answers[r.Status]++
			if r.Status == http.StatusOK {
				longest = max(longest, time.Since(begin))
			}
		})
	}
	wg.Wait()
	// What flows in while the calls arrive passes, too.
	if passed, most := answers[http.StatusOK], 5+10+int(time.Since(begin)/(20*time.Millisecond))+1; passed < 15 || passed > most || passed+answers[http.StatusTooManyRequests] != calls {
		t.Errorf("%v; at most %d may pass", answers, most)
	}
	if longest < 190*time.Millisecond {
		t.Errorf("the last one passed after %v", longest)
	}
}

func TestWaitingForATurn(t *testing.T) {
	clock := &stopped{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	h, err := newThrottle("S1", clock.now)
	if err != nil {
		t.Fatal(err)
	}
	h.buckets[iothub.ThrottleTwinReads].left = 0
	for i := range 200 { // two seconds' worth
		wait, err := h.reserve(iothub.ThrottleTwinReads, 1, h.longest)
		if want := time.Duration(i+1) * 10 * time.Millisecond; err != nil || wait != want {
			t.Fatalf("number %d waits %v, want %v; %v", i, wait, want, err)
		}
	}
	if wait, err := h.reserve(iothub.ThrottleTwinReads, 1, h.longest); err == nil {
		t.Errorf("one more waits %v", wait)
	}
	if h.take(iothub.ThrottleTwinReads, 1) == nil {
		t.Error("whoever cannot wait passes")
	}
	clock.move(time.Second)
	if wait, err := h.reserve(iothub.ThrottleTwinReads, 1, h.longest); err != nil || wait != 1010*time.Millisecond {
		t.Errorf("a second later one waits %v, %v", wait, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.pass(ctx, iothub.ThrottleTwinReads, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestServiceCallsAreThrottled(t *testing.T) {
	for _, c := range []struct {
		group              iothub.Throttled
		method, path, body string
		cost               int
	}{
		{iothub.ThrottleRegistry, "GET", "/devices/d1", "", 1},
		{iothub.ThrottleRegistry, "GET", "/statistics/devices", "", 1},
		{iothub.ThrottleRegistry, "PUT", "/devices/d1/modules/m", "{}", 1},
		{iothub.ThrottleRegistry, "POST", "/devices", `[{"id":"a"},{"id":"b"},{"id":"c"}]`, 3},
		{iothub.ThrottleTwinReads, "GET", "/twins/d1", "", 1},
		{iothub.ThrottleTwinUpdates, "PATCH", "/twins/d1", "{}", 1},
		{iothub.ThrottleTwinUpdates, "PUT", "/twins/d1", "{}", 1},
		{iothub.ThrottleQueries, "POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, 1},
		{iothub.ThrottleJobs, "GET", "/jobs/v2/j", "", 1},
		{iothub.ThrottleJobs, "GET", "/jobs/v2/query", "", 1},
		{iothub.ThrottleJobs, "PUT", "/jobs/v2/j", "{}", 1},
		{iothub.ThrottleJobs, "POST", "/jobs/v2/j/cancel", "", 1},
		{iothub.ThrottleMethods, "POST", "/twins/d1/methods", `{"methodName":"m"}`, 1},
		{iothub.ThrottleMethods, "POST", "/twins/d1/methods", `{"methodName":"m","payload":"` + strings.Repeat("x", 8000) + `"}`, 2},
	} {
		t.Run(fmt.Sprint(c.method, c.path, c.cost), func(t *testing.T) {
			w := throttled(t, c.group, c.cost)
			w.device("d1")
			if r := w.call(c.method, c.path, c.body); r.Status == http.StatusTooManyRequests {
				t.Fatalf("the first was refused: %s", r.Body)
			}
			r := w.call(c.method, c.path, c.body)
			if r.Status != http.StatusTooManyRequests || r.Header.Get(headerErrorCode) != "ThrottlingException" || r.Header.Get("Retry-After") != "" {
				t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
			}
		})
	}
}

func TestDevicesAreThrottled(t *testing.T) {
	t.Run("connections", func(t *testing.T) {
		w := throttled(t, iothub.ThrottleConnections, 1)
		w.device("d1")
		w.online(w.deviceConnect("d1"))
		d := w.dial()
		d.send(w.deviceConnect("d1").bytes())
		d.ended()
	})
	t.Run("telemetry", func(t *testing.T) {
		w := throttled(t, iothub.ThrottleTelemetry, 1)
		w.device("d1")
		d, _ := w.online(w.deviceConnect("d1"))
		d.send(publish(0, 0, "devices/d1/messages/events/", nil))
		d.silent()
		d.send(publish(0, 0, "devices/d1/messages/events/", nil))
		d.ended()
	})
	t.Run("twin reads and updates", func(t *testing.T) {
		w := throttled(t, iothub.ThrottleTwinReads, 0)
		w.hub.throttle.buckets[iothub.ThrottleTwinUpdates].left = 1
		w.device("d1")
		d, _ := w.online(w.deviceConnect("d1"))
		d.send(publish(0, 0, iothub.TwinGetTopic("1"), nil))
		if body := d.message(iothub.TwinResponseTopic(429, "1", 0)); !strings.Contains(body, "429001") {
			t.Error(body)
		}
		d.send(publish(0, 0, iothub.ReportedTopic("2"), []byte(`{"a":1}`)))
		d.message(iothub.TwinResponseTopic(204, "2", 2))
		d.send(publish(0, 0, iothub.ReportedTopic("3"), []byte(`{"a":2}`)))
		d.message(iothub.TwinResponseTopic(429, "3", 0))
	})
}

// waiting starts a hub with nothing left of a throttle, and nothing to come; what
// is sent waits so long at most.
func waiting(t *testing.T, group iothub.Throttled, longest time.Duration) *wire {
	t.Helper()
	w := throttled(t, group, 0)
	w.hub.throttle.longest = longest
	return w
}

// TestDevicesWaitForTheirTurn has a device send more at once than is left: what
// need not wait too long passes in its order, each when it is its turn.
func TestDevicesWaitForTheirTurn(t *testing.T) {
	const passing = 5
	for _, c := range []struct {
		group   iothub.Throttled
		each    time.Duration // how long one must wait for the next
		packet  func(n int) []byte
		passed  func(d *thing, n int)
		refused func(d *thing, n int)
	}{
		{
			iothub.ThrottleTwinUpdates, 20 * time.Millisecond,
			func(n int) []byte { return publish(0, 0, iothub.ReportedTopic(fmt.Sprint(n)), []byte(`{"a":1}`)) },
			func(d *thing, n int) { d.message(iothub.TwinResponseTopic(204, fmt.Sprint(n), int64(n+1))) },
			func(d *thing, n int) { d.message(iothub.TwinResponseTopic(429, fmt.Sprint(n), 0)) },
		},
		{
			iothub.ThrottleTwinReads, 10 * time.Millisecond,
			func(n int) []byte { return publish(0, 0, iothub.TwinGetTopic(fmt.Sprint(n)), nil) },
			func(d *thing, n int) { d.message(iothub.TwinResponseTopic(200, fmt.Sprint(n), 0)) },
			func(d *thing, n int) { d.message(iothub.TwinResponseTopic(429, fmt.Sprint(n), 0)) },
		},
		{
			iothub.ThrottleTelemetry, 10 * time.Millisecond,
			func(n int) []byte { return publish(1, uint16(n), "devices/d1/messages/events/", nil) },
			func(d *thing, n int) { d.next(packets.Puback) },
			func(d *thing, n int) { d.ended() },
		},
	} {
		t.Run(string(c.group), func(t *testing.T) {
			w := waiting(t, c.group, passing*c.each)
			w.device("d1")
			d, _ := w.online(w.deviceConnect("d1"))
			begin, least := time.Now(), time.Duration(0)
			for n := 1; n <= passing; n++ {
				d.send(c.packet(n))
			}
			for n := 1; n <= passing; n++ {
				c.passed(d, n)
				least += time.Duration(n) * c.each
			}
			if took := time.Since(begin); took < least {
				t.Errorf("they passed after %v, want at least %v", took, least)
			}
			d.send(c.packet(passing + 1))
			c.refused(d, passing+1)
		})
	}
}

// TestAWaitingDeviceHoldsUpNobody has a device wait much longer than the test lasts:
// others are answered, and when it is cut, it is gone and what it sent with it.
func TestAWaitingDeviceHoldsUpNobody(t *testing.T) {
	w := waiting(t, iothub.ThrottleTwinUpdates, time.Hour)
	w.hub.throttle.buckets[iothub.ThrottleTwinUpdates].left = -50 * 60 // a minute's worth
	w.device("d1")
	w.device("d2")
	d, _ := w.online(w.deviceConnect("d1"))
	other, _ := w.online(w.deviceConnect("d2"))
	bucket := w.hub.throttle.buckets[iothub.ThrottleTwinUpdates]
	d.send(publish(0, 0, iothub.ReportedTopic("1"), []byte(`{"a":1}`)))
	w.eventually("the device waits", func() bool {
		w.hub.throttle.mu.Lock()
		defer w.hub.throttle.mu.Unlock()
		return bucket.left == -50*60-1
	})
	other.send(publish(0, 0, iothub.TwinGetTopic("2"), nil))
	other.message(iothub.TwinResponseTopic(200, "2", 0))
	w.mustCall("PUT", "/devices/d1", `{"deviceId":"d1","status":"disabled"}`, "If-Match", "*")
	d.ended()
	w.eventually("its connection is forgotten", func() bool {
		w.hub.mqtt.mu.Lock()
		defer w.hub.mqtt.mu.Unlock()
		return len(w.hub.mqtt.conns) == 1
	})
	if r := w.mustCall("GET", "/twins/d1", ""); strings.Contains(r.Body, `"a":1`) {
		t.Errorf("it has reported: %s", r.Body)
	}
}
