package localhub

import (
	"context"
	"net/http"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// The bounds of a connection's queue. A device that falls this far behind reads
// its twin anew when it returns; dropping single messages would leave it wrong.
const (
	maxQueued      = 1024
	maxQueuedBytes = 4 << 20
)

// maxAsked is how many twin requests of one device may be under way: those of
// other devices need not wait behind any number of them.
const maxAsked = 64

// deviceSession is one accepted connection. Answers and patches pass through
// one queue in order; a goroutine that exists only while the queue holds
// something writes them. Whoever fills the queue never waits.
type deviceSession struct {
	server     *mqttServer
	conn       *deviceConn
	client     *mqtt.Client
	key        twinKey
	apiVersion string
	allowed    []string // filters it may subscribe to
	subs       *subscriptions
	clean      bool // CleanSession: subscriptions end with the connection
	stored     bool // subscriptions were kept when it connected
	resumed    bool // and are in force
	expiry     *time.Timer
	asked      chan struct{}   // holds one for each request that is not answered yet
	alive      context.Context //nolint:containedctx // ends with the connection
	endAlive   context.CancelCauseFunc

	// Of the reading goroutine alone.
	topic iothub.Topic // of the PUBLISH in hand
	will  *will        // nil when there is none, or DISCONNECT has come

	mu      sync.Mutex
	queue   []outgoing
	bytes   int
	opened  bool // CONNACK has gone out
	writing bool
	ended   bool
	writer  sync.WaitGroup
}

// outgoing is a PUBLISH to the device, at QoS 0: the connection is reliable, and
// after it nothing is repeated anyway.
type outgoing struct {
	topic   string
	payload []byte
	desired int64 // $version of the desired properties in it, 0 for none
}

func newSession(s *mqttServer, c *deviceConn, cl *mqtt.Client, user iothub.UserName) *deviceSession {
	key := twinKey{user.DeviceID, user.ModuleID}
	alive, end := context.WithCancelCause(context.Background())
	return &deviceSession{
		server: s, conn: c, client: cl, apiVersion: user.APIVersion, allowed: allowedFilters(key),
		subs: &subscriptions{}, key: key, asked: make(chan struct{}, maxAsked), alive: alive, endAlive: end,
	}
}

// open lets the queue flow.
func (s *deviceSession) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	s.flow()
}

// push queues a message. A queue that is full ends the connection.
func (s *deviceSession) push(m outgoing) {
	s.mu.Lock()
	full := len(s.queue) >= maxQueued || s.bytes+len(m.payload) > maxQueuedBytes
	if !s.ended && !full {
		s.queue = append(s.queue, m)
		s.bytes += len(m.payload)
		s.flow()
	}
	s.mu.Unlock()
	if full {
		s.end("it reads too slowly")
	}
}

// flow starts the writer when there is something to write; mu is held.
func (s *deviceSession) flow() {
	if s.opened && !s.writing && !s.ended && len(s.queue) > 0 {
		s.writing = true
		s.writer.Go(s.write)
	}
}

func (s *deviceSession) write() {
	for {
		m, ok := s.next()
		if !ok {
			return
		}
		err := s.client.WritePacket(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish},
			TopicName:   m.topic, Payload: m.payload,
		})
		if err != nil {
			s.end("writing to it failed: " + err.Error())
		} else if m.desired > 0 {
			s.server.hub.registry.delivered(s.key, m.desired)
		}
	}
}

// next takes the oldest message, or notes that the writer stops.
func (s *deviceSession) next() (outgoing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.queue) == 0 {
		s.queue, s.bytes, s.writing = nil, 0, false
		return outgoing{}, false
	}
	m := s.queue[0]
	s.queue[0] = outgoing{}
	s.queue = s.queue[1:]
	s.bytes -= len(m.payload)
	return m, true
}

// sendDesired implements session.
func (s *deviceSession) sendDesired(version int64, body []byte) {
	if s.subs.has(iothub.FilterDesired) {
		s.push(outgoing{topic: iothub.DesiredTopic(version), payload: body, desired: version})
	}
}

// sendMethod implements session.
func (s *deviceSession) sendMethod(name, rid string, payload []byte) bool {
	if !s.subs.has(iothub.FilterMethods) {
		return false
	}
	s.push(outgoing{topic: iothub.MethodTopic(name, rid), payload: payload})
	return true
}

// answerTwin implements session. The answer goes out whether or not the device
// has subscribed to answers: Python's SDK asks first and subscribes afterwards.
func (s *deviceSession) answerTwin(rid string, desired int64, body []byte, err error) {
	<-s.asked
	if err != nil {
		s.answerError(rid, err)
		return
	}
	s.push(outgoing{topic: iothub.TwinResponseTopic(http.StatusOK, rid, 0), payload: body, desired: desired})
}

// answerReported implements session. A patch sent without $rid gets no answer.
func (s *deviceSession) answerReported(rid string, version int64, err error) {
	<-s.asked
	switch {
	case err != nil:
		s.answerError(rid, err)
	case rid != "":
		s.push(outgoing{topic: iothub.TwinResponseTopic(http.StatusNoContent, rid, version)})
	}
}

// takeTurn lets a device ask the registry for one thing more; when it has asked for
// enough, what it sends next waits in its connection. The answer makes room.
func (s *deviceSession) takeTurn() {
	select {
	case s.asked <- struct{}{}:
	case <-s.server.hub.registry.done: // nobody answers any more
	}
}

// awaitTurn waits until the hub's throttle lets a device do one thing more, or
// refuses that. What the device sends next waits in its connection; no other
// device's does.
func (s *deviceSession) awaitTurn(group iothub.Throttled) error {
	return s.server.hub.throttle.pass(s.alive, group, 1)
}

// errConnectionOver refuses what a device sent whose connection has ended since.
var errConnectionOver = iothub.ErrThrottling.With("the connection ended before it was its turn")

// answerError always has a body: without one Node's SDK takes a refusal for
// success. What was sent without $rid is refused in silence.
func (s *deviceSession) answerError(rid string, err error) {
	e, tracking := refusalOf(err), newRequestID()
	log := s.server.hub.log.With("device_id", s.key.DeviceID, "tracking_id", tracking)
	if e.Status >= http.StatusInternalServerError {
		log.Error("device request failed", "error", err)
	} else {
		log.Info("device request refused", "code", e.Code, "reason", e.Message)
	}
	if rid != "" {
		s.push(outgoing{topic: iothub.TwinResponseTopic(e.Status, rid, 0), payload: e.DeviceBody(tracking, s.server.hub.now())})
	}
}

// end implements session: it drops the connection and does not wait for it.
func (s *deviceSession) end(reason string) {
	if s.close() {
		s.server.hub.log.Info("device connection ended by the hub", "device_id", s.key.DeviceID,
			"remote", s.conn.RemoteAddr().String(), "reason", reason)
		_ = s.conn.raw.Close()
	}
}

// close notes that the connection has ended, and reports whether that is new.
func (s *deviceSession) close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	s.endAlive(errConnectionOver)
	return true
}

// leave is called once the connection is gone, by the goroutine that read it.
func (s *deviceSession) leave(err error) {
	if s.close() {
		s.server.hub.log.Debug("device connection ended", "device_id", s.key.DeviceID, "error", err)
	}
	s.expiry.Stop()
	s.writer.Wait()
	if s.will != nil {
		s.server.hub.registry.telemetry(s.key, s.will.bag, s.will.payload)
	}
	s.server.hub.registry.disconnect(s.key, s)
}
