package localhub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// witness is somebody who uses a hub as it should be used while others abuse it:
// over and over it has a service call change a device's twin, waits until the
// device has the patch, and has it report. It also measures how long the writer
// takes for nothing.
type witness struct {
	*wire
	device *thing
	stop   chan struct{}
	done   sync.WaitGroup

	rounds                   int
	slowest, writer, elapsed time.Duration
	base, peak               uint64 // live bytes of heap, at the beginning and at most
}

// liveHeap is what the last garbage collection found to be in use: unlike the
// whole heap it does not count what earlier tests left to be collected. A heap
// that grows is collected whenever it doubles, so growth cannot hide.
func liveHeap() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

func (w *wire) witness() *witness {
	w.Helper()
	w.device("witness")
	n := &witness{wire: w, device: w.listening("witness"), stop: make(chan struct{})}
	n.round() // connections are made, caches filled
	n.slowest, n.writer = 0, 0
	runtime.GC()
	n.base = liveHeap()
	n.done.Go(n.run)
	return n
}

func (n *witness) run() {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	start := time.Now()
	for {
		select {
		case <-n.stop:
			n.elapsed = time.Since(start)
			return
		case <-pause.C:
			n.round()
		}
	}
}

func (n *witness) round() {
	start := time.Now()
	rid := fmt.Sprint(n.rounds)
	r := n.call(http.MethodPatch, "/twins/witness", `{"properties":{"desired":{"n":`+rid+`}}}`)
	if r.Status != http.StatusOK {
		n.Errorf("the witness is answered %d %s", r.Status, r.Body)
	}
	version := int64(n.rounds + 2)
	n.device.message(iothub.DesiredTopic(version))
	n.device.send(publish(0, 0, iothub.ReportedTopic(rid), []byte(`{"n":`+rid+`}`)))
	n.device.message(iothub.TwinResponseTopic(http.StatusNoContent, rid, version))
	n.slowest = max(n.slowest, time.Since(start))
	start = time.Now()
	if err := n.hub.registry.do(context.Background(), func(*batch) error { return nil }); err != nil {
		n.Error(err)
	}
	n.writer = max(n.writer, time.Since(start))
	n.peak = max(n.peak, liveHeap())
	n.rounds++
}

// unharmed ends the witness and holds what it saw: no round slower than slowest,
// no more than heap bytes of live heap on top of those at the beginning.
func (n *witness) unharmed(slowest time.Duration, heap uint64) {
	n.Helper()
	close(n.stop)
	n.done.Wait()
	grown := n.peak - min(n.base, n.peak)
	n.Logf("witness: %d rounds in %v, slowest %v, writer %v, heap %d MB and at most %d more", n.rounds,
		n.elapsed.Round(time.Millisecond), n.slowest.Round(time.Millisecond), n.writer.Round(time.Millisecond), n.base>>20, grown>>20)
	if n.rounds < 2 { // the first one is not measured
		n.Errorf("only %d rounds: the witness saw nothing", n.rounds)
	}
	if n.slowest > slowest || n.writer > slowest {
		n.Errorf("slowest round %v, writer %v; at most %v is unharmed", n.slowest, n.writer, slowest)
	}
	if grown > heap {
		n.Errorf("%d MB more of live heap; at most %d are bounded", grown>>20, heap>>20)
	}
}

// TestSilentClients fills both ports with clients that say nothing, or nothing
// after TLS, or nothing over WebSocket: they are bounded in number and let go.
func TestSilentClients(t *testing.T) {
	const size, patience, clients = 20, 200 * time.Millisecond, 100
	w := startWireWith(t, time.Now, func(h *Hub) {
		for _, l := range []*lobby{h.mqtt.lobby, h.rest.lobby} {
			l.size, l.silence, l.patience = size, patience, 2*patience
		}
		h.mqtt.timeout, h.rest.http.ReadHeaderTimeout = time.Second, time.Second
	})
	n := w.witness()
	var ended sync.WaitGroup
	for range size / 2 { // first, while there is room
		conn, err := w.webSocket("/$iothub/websocket", subProtocol)
		if err != nil {
			t.Fatal(err)
		}
		d := newThing(t, conn)
		ended.Go(func() { _, _ = d.read() })
	}
	for i := range clients {
		for _, address := range []string{w.hub.MQTTAddr(), w.hub.HTTPSAddr()} {
			ended.Go(func() { w.silentClient(address, i%2 == 0) })
		}
	}
	ended.Wait() // the last ones by the protocols' time-outs
	for _, l := range []*lobby{w.hub.mqtt.lobby, w.hub.rest.lobby} {
		w.eventually("an empty lobby", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.guests.Len() > l.size {
				t.Errorf("%d guests", l.guests.Len())
			}
			return l.guests.Len() == 0
		})
	}
	n.unharmed(5*time.Second, 256<<20)
}

// silentClient connects and waits for the hub to end it.
func (w *wire) silentClient(address string, withTLS bool) {
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return // ended before it began
	}
	defer raw.Close()
	conn := raw
	if withTLS {
		conn = tls.Client(raw, clientTLS(w.hub))
	}
	// With TLS, reading shakes hands first.
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err = conn.Read(make([]byte, 1))
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		w.Errorf("a silent client of %s was never ended", address)
	}
}

// TestSlowRequests sends requests a byte at a time, in the headers and in the
// body: they end with their time.
func TestSlowRequests(t *testing.T) {
	w := startWireWith(t, time.Now, func(h *Hub) {
		h.rest.http.ReadHeaderTimeout, h.rest.http.ReadTimeout = time.Second, 2*time.Second
	})
	n := w.witness()
	head := "PATCH /twins/witness?api-version=2021-04-12 HTTP/1.1\r\nHost: localhost\r\n"
	whole := head + "Authorization: " + w.token("iothubowner") + "\r\nContent-Length: 100000\r\n\r\n{"
	const clients = 60
	var slow sync.WaitGroup
	var begun atomic.Int32
	for i := range clients {
		slow.Go(func() {
			sent := 0
			if i%2 == 0 {
				sent = w.trickle(head, "X-Long: ")
			} else {
				sent = w.trickle(whole, `"a":1,`)
			}
			if sent > 1 {
				begun.Add(1)
			}
		})
	}
	if slow.Wait(); begun.Load() < clients/2 {
		t.Errorf("only %d of %d clients were slow", begun.Load(), clients)
	}
	n.unharmed(5*time.Second, 256<<20)
}

// trickle sends the beginning of a request, then more of it slowly, until the
// hub ends it. It returns how many bytes it came to send.
func (w *wire) trickle(begin, more string) (sent int) {
	conn, err := tls.Dial("tcp", w.hub.HTTPSAddr(), clientTLS(w.hub))
	if err != nil {
		return 0 // its time was up before
	}
	defer conn.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, conn)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	_, err = conn.Write([]byte(begin))
	for ; err == nil; sent++ {
		select {
		case <-over:
			return sent
		case <-late:
			w.Error("a slow request is never ended")
			return sent
		case <-tick.C:
			_, err = conn.Write([]byte{more[sent%len(more)]})
		}
	}
	<-over
	return sent
}

// TestSleepingDevices has devices that never read while their twins change: the
// hub holds a bounded queue for each and ends it, the writer does not notice.
func TestSleepingDevices(t *testing.T) {
	const sleepers, patches = 12, 220
	w := startWire(t)
	asleep := make([]*thing, sleepers)
	for i := range asleep {
		w.device(fmt.Sprint("asleep", i))
		asleep[i] = w.listening(fmt.Sprint("asleep", i))
		if err := tcpBelow(asleep[i].conn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
	}
	n := w.witness()
	big := iothub.Document{}
	for i := range 7 {
		big[fmt.Sprint("k", i)] = strings.Repeat("x", iothub.MaxStringBytes)
	}
	var writers sync.WaitGroup
	for i := range sleepers {
		writers.Go(func() {
			for range patches {
				w.desired(fmt.Sprint("asleep", i), big)
			}
		})
	}
	writers.Wait()
	w.eventually("the end of all sleepers", func() bool { return w.hub.registry.connected() == 1 })
	n.unharmed(5*time.Second, 3*sleepers*maxQueuedBytes)
}

// TestTooMuch sends what is too large or too deep, everywhere something can be
// sent: it is refused, and costs little.
func TestTooMuch(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	n := w.witness()
	const levels = 10_000
	deepObject := strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
	deepArray := strings.Repeat("[", levels) + strings.Repeat("]", levels)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"a deep patch":       {http.MethodPatch, "/twins/d1", `{"tags":` + deepObject + `}`, 400},
		"a deep array":       {http.MethodPatch, "/twins/d1", `{"properties":{"desired":{"a":` + deepArray + `}}}`, 400},
		"a deep replacement": {http.MethodPut, "/twins/d1", `{"tags":` + deepObject + `}`, 400},
		"a deep identity":    {http.MethodPut, "/devices/d2", `{"tags":` + deepArray + `}`, 400},
		"a deep bulk":        {http.MethodPost, "/devices", deepArray, 400},
		"a deep query":       {http.MethodPost, "/devices/query", `{"query":"SELECT * FROM devices WHERE ` + strings.Repeat("(", levels) + `"}`, 400},
		"a deep payload":     {http.MethodPost, "/twins/d1/methods", `{"methodName":"m","payload":` + deepObject + `}`, 400},
		"a large patch":      {http.MethodPatch, "/twins/d1", `{"tags":{"a":"` + strings.Repeat("x", maxBody) + `"}}`, 413},
		"a large bulk":       {http.MethodPost, "/devices", strings.Repeat(" ", maxBulkBody+1), 413},
		"a large query":      {http.MethodPost, "/devices/query", `{"query":"` + strings.Repeat("x", maxBody) + `"}`, 413},
		"many small objects": {http.MethodPatch, "/twins/d1", `{"tags":{"a":[` + strings.Repeat("{},", 600_000) + `{}]}}`, 400},
		"many empty texts":   {http.MethodPatch, "/twins/d1", `{"properties":{"desired":{"a":[` + strings.Repeat(`"",`, 600_000) + `""]}}}`, 400},
		"what nobody reads":  {http.MethodPatch, "/twins/d1", deepObject, 200},
	} {
		t.Run(name, func(t *testing.T) {
			if r := w.in(t).call(c.method, c.path, c.body); r.Status != c.status {
				t.Errorf("%d %.200s instead of %d", r.Status, r.Body, c.status)
			}
		})
	}
	d, _ := w.online(w.deviceConnect("d1"))
	for i, body := range []string{deepObject, `{"a":` + deepArray + `}`, `{"a":"` + strings.Repeat("x", iothub.MaxTelemetryBytes) + `"}`} {
		rid := fmt.Sprint(i)
		d.send(publish(1, 1, iothub.ReportedTopic(rid), []byte(body)))
		d.next(packets.Puback)
		var e iothub.DeviceErrorBody
		if err := json.Unmarshal([]byte(d.message("$iothub/twin/res/400/?$rid="+rid)), &e); err != nil || e.Message == "" {
			t.Errorf("%d: %+v, %v", i, e, err)
		}
	}
	one := &wire{T: t, hub: w.hub, http: &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(w.hub), DisableKeepAlives: true}}}
	r := one.send(http.MethodGet, "/twins/d1", "", "Authorization", "SharedAccessSignature "+strings.Repeat("x", 2*maxHeader))
	if r.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%d for headers of %d bytes", r.Status, 2*maxHeader)
	}
	n.unharmed(5*time.Second, 512<<20)
}

// TestManyLargeBodies sends many bodies at once that are small to send and large
// to hold: a few at a time are taken apart.
func TestManyLargeBodies(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	n := w.witness()
	body := `{"tags":{"a":[` + strings.Repeat("{},", 600_000) + `{}]}}`
	var senders sync.WaitGroup
	for range 12 {
		senders.Go(func() {
			if r := w.call(http.MethodPatch, "/twins/d1", body); r.Status != http.StatusBadRequest {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
	senders.Wait()
	n.unharmed(5*time.Second, 512<<20)
}

// TestFloodingDevices has devices report as fast as they can, each a full twin:
// others wait behind a few reports of each, not behind all of them.
func TestFloodingDevices(t *testing.T) {
	const floods, reports = 8, 200
	w := startWire(t)
	full := `{"a":["` + strings.Repeat(strings.Repeat("x", 4000)+`","`, 7) + `"]}`
	devices := make([]*thing, floods)
	for i := range devices {
		w.device(fmt.Sprint("flood", i))
		devices[i], _ = w.online(w.deviceConnect(fmt.Sprint("flood", i)))
	}
	n := w.witness()
	var all sync.WaitGroup
	for _, d := range devices {
		all.Go(func() {
			for i := range reports {
				d.send(publish(0, 0, iothub.ReportedTopic(fmt.Sprint(i)), []byte(full)))
			}
		})
		all.Go(func() {
			for i := range reports {
				d.message(iothub.TwinResponseTopic(http.StatusNoContent, fmt.Sprint(i), int64(i+2)))
			}
		})
	}
	all.Wait()
	n.unharmed(10*time.Second, 256<<20)
}
