package localhub

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"twinboard/hubclient/iothub"
)

// TestPatchesArriveInOrder writes 1,000 desired patches from several callers;
// the device sees each version once, in order.
func TestPatchesArriveInOrder(t *testing.T) {
	const writers, each = 20, 50
	w := startWire(t)
	w.device("d1")
	d := w.listening("d1")
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() {
			for n := range each {
				_, err := w.hub.registry.updateTwin(t.Context(), actor{}, twinKey{DeviceID: "d1"},
					iothub.TwinPatch{Desired: iothub.Document{fmt.Sprint("w", i): json.Number(fmt.Sprint(n))}}, iothub.Any)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	state := iothub.Document{}
	for version := int64(2); version <= writers*each+1; version++ {
		patch, err := iothub.ParseDocument([]byte(d.message(iothub.DesiredTopic(version))))
		if err != nil {
			t.Fatal(err)
		}
		if patch["$version"] != json.Number(fmt.Sprint(version)) {
			t.Fatalf("version %d carries %v", version, patch["$version"])
		}
		delete(patch, "$version")
		state = iothub.Merge(state, patch)
	}
	wait.Wait()
	var twin iothub.Twin
	w.mustCall(http.MethodGet, "/twins/d1", "").decode(t, &twin)
	if !iothub.Equal(map[string]any(state), map[string]any(twin.Properties.Desired.Value)) {
		t.Errorf("the device has %v, the hub %v", state, twin.Properties.Desired.Value)
	}
}

// TestAnswersAndPatchesShareOneOrder reports and reads while patches come: what
// a device reads is never older than a patch it has seen before.
func TestAnswersAndPatchesShareOneOrder(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	d := w.listening("d1")
	const rounds = 100
	for i := range rounds {
		rid := fmt.Sprint(i)
		d.send(publish(0, 0, iothub.ReportedTopic(rid), []byte(`{"n":`+rid+`}`)))
		d.send(publish(0, 0, iothub.TwinGetTopic(rid), nil))
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range rounds {
			w.desired("d1", iothub.Document{"n": json.Number(fmt.Sprint(i))})
		}
	})
	seen, reported, answers := int64(1), int64(1), 0
	for answers < 2*rounds || seen < rounds+1 {
		pk, err := d.read()
		if err != nil {
			t.Fatal(err)
		}
		topic, err := iothub.ParseReceived(pk.TopicName)
		switch {
		case err != nil:
			t.Fatal(err)
		case topic.Kind == iothub.TopicDesired:
			if topic.Version != seen+1 {
				t.Fatalf("patch %d after %d", topic.Version, seen)
			}
			seen = topic.Version
			continue
		case topic.Status == http.StatusNoContent:
			if topic.Version != reported+1 {
				t.Fatalf("reported %d after %d", topic.Version, reported)
			}
			reported = topic.Version
		default:
			if v := versionIn(t, pk.Payload); v != seen {
				t.Fatalf("twin with desired %d after patch %d", v, seen)
			}
		}
		answers++
	}
	writing.Wait()
}

func versionIn(t *testing.T, twin []byte) int64 {
	t.Helper()
	var doc struct {
		Desired struct {
			Version int64 `json:"$version"`
		} `json:"desired"`
	}
	if err := json.Unmarshal(twin, &doc); err != nil {
		t.Fatalf("%s: %v", twin, err)
	}
	return doc.Desired.Version
}

// TestOverflow has a device that stops reading. Its connection ends; the writer
// and another device do not notice.
func TestOverflow(t *testing.T) {
	w := startWire(t)
	w.device("stuck")
	w.device("well")
	stuck, well := w.listening("stuck"), w.listening("well")
	if err := tcpBelow(stuck.conn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	big := iothub.Document{}
	for i := range 7 {
		big[fmt.Sprint("k", i)] = strings.Repeat("x", iothub.MaxStringBytes)
	}
	var slowest time.Duration
	connected := func() bool { return w.hub.registry.connected() == 2 }
	writes := 0
	for ; connected(); writes++ {
		if writes > 2000 {
			t.Fatal("the queue never overflows")
		}
		start := time.Now()
		w.desired("stuck", big)
		slowest = max(slowest, time.Since(start))
		well.message(iothub.DesiredTopic(w.desired("well", iothub.Document{"n": json.Number(fmt.Sprint(writes))})))
	}
	if slowest > writeTimeout/2 {
		t.Errorf("a write took %v", slowest)
	}
	if held := writes * 7 * iothub.MaxStringBytes; held > 4*maxQueuedBytes {
		t.Errorf("the hub held up to %d bytes for it", held)
	}
	t.Logf("ended after %d patches; slowest write %v", writes, slowest)
	var last error
	for last == nil {
		_, last = stuck.read()
	}
	again := w.listening("stuck")
	again.message(iothub.DesiredTopic(w.desired("stuck", iothub.Document{"n": true})))
	well.silent()
}

// TestQueueBounds fills a queue that nothing drains, by number and by size.
func TestQueueBounds(t *testing.T) {
	w := startWire(t)
	for name, size := range map[string]int{"number": 1, "size": maxQueuedBytes/64 + 1} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			s := newSession(w.hub.mqtt, &deviceConn{Conn: far, raw: far}, nil, iothub.UserName{})
			pushed := 0
			for !s.ended {
				s.push(outgoing{topic: "t", payload: make([]byte, size)})
				pushed++
			}
			if want := min(maxQueued, maxQueuedBytes/size) + 1; pushed != want {
				t.Errorf("ended at %d messages of %d bytes instead of %d", pushed, size, want)
			}
			if _, err := near.Read(make([]byte, 1)); err == nil {
				t.Error("the connection stays open")
			}
		})
	}
}

// TestNothingStaysBehind closes a hub that had devices of all fates.
func TestNothingStaysBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("hub", func(t *testing.T) {
		w := startWire(t)
		w.device("d1")
		w.listening("d1")
		d := w.listening("d1")
		w.desired("d1", iothub.Document{"a": true})
		d.message(iothub.DesiredTopic(2))
		c := w.deviceConnect("d1")
		c.password = ""
		w.dial().send(c.bytes())
		w.dial()
		w.changes("", w.token("service"))
	})
	goleak.VerifyNone(t, before)
}
