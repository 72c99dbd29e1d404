package devicesim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"twinboard/hubclient/iothub"
)

// twin is a device's copy of its desired section, and what it takes to keep it
// right over an unreliable connection (IoT Hub documentation, device twins,
// "Device reconnection flow"): subscribe, then read the twin; a patch with a
// $version up to the one read is old; a gap in the versions means that patches
// were lost, so the twin must be read again.
type twin struct {
	desired iothub.Document
	version int64     // desired.$version
	stale   bool      // the twin must be read
	held    []message // patches that came while it was stale, in order
	// answered is the version up to which the device answers or has answered: a
	// reconnection alone is no reason to repeat it.
	answered int64

	request uint64   // the latest $rid
	pending *pending // the request that waits for its answer, or nil
}

// maxHeld bounds twin.held. Dropping the oldest is safe: it leaves a gap.
const maxHeld = 64

// pending is a request to the hub.
type pending struct {
	rid    string
	done   chan struct{} // closed when the answer is there
	answer iothub.Topic
	body   []byte
}

// subscribe asks for twin answers and desired patches, one filter a packet as
// Microsoft's SDKs.
func (d *device) subscribe(ctx context.Context, c *connection) error {
	filters := []string{iothub.FilterTwinResponses, iothub.FilterDesired}
	tokens := make([]*mqtt.SubscribeToken, len(filters))
	for i, filter := range filters {
		tokens[i] = c.client.Subscribe(filter, atLeastOnce, nil).(*mqtt.SubscribeToken)
	}
	for i, token := range tokens {
		if err := d.await(ctx, c, token.Done(), "SUBACK"); err != nil {
			return err
		}
		if err := token.Error(); err != nil {
			return d.problem(Closed, fmt.Errorf("subscribe %s: %w", filters[i], err))
		}
		if granted := token.Result()[filters[i]]; granted > atLeastOnce {
			return d.problem(TwinRefused, fmt.Errorf("the hub refused the subscription of %s", filters[i]))
		}
	}
	d.emit(Event{Kind: KindSubscribed})
	return nil
}

// refresh reads the twin for as long as it is stale.
func (d *device) refresh(ctx context.Context, c *connection) error {
	for d.twin.stale {
		if err := d.read(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// read gets the twin and then applies the patches that came meanwhile.
func (d *device) read(ctx context.Context, c *connection) error {
	// Microsoft's SDKs send one blank where the payload could be empty.
	answer, body, err := d.ask(ctx, c, iothub.TwinGetTopic, []byte(" "))
	if err != nil {
		return err
	}
	if answer.Status != 200 {
		return d.problem(TwinRefused, iothub.ParseError(answer.Status, "", body))
	}
	var properties iothub.Properties
	if err := json.Unmarshal(body, &properties); err != nil {
		return d.problem(TwinRefused, fmt.Errorf("read the twin: %w", err))
	}
	t := &d.twin
	t.desired, t.version, t.stale = properties.Desired.Value, properties.Desired.Version, false
	d.update(func(s *Status) { s.Desired, s.DesiredVersion = t.desired, t.version })
	d.emit(Event{Kind: KindTwinRead, Version: t.version, Payload: t.desired})
	if t.version > t.answered {
		t.answered = t.version
		d.owe(t.desired)
	}
	held := t.held
	t.held = nil
	for _, m := range held {
		d.receive(m)
	}
	return nil
}

// report tells the hub the device's connectivity. The error is an *iothub.Error
// when the hub refused.
func (d *device) report(ctx context.Context, c *connection) error {
	version, err := d.send(ctx, c, iothub.Document{"connectivity": d.status.Load().Connectivity})
	if err == nil {
		d.update(func(s *Status) { s.ConnectivityVersion = version })
	}
	return err
}

// send reports properties and returns the new reported.$version. The error is an
// *iothub.Error when the hub refused.
func (d *device) send(ctx context.Context, c *connection, reported iothub.Document) (version int64, err error) {
	payload, err := iothub.EncodeJSON(reported)
	if err != nil {
		return 0, err
	}
	answer, body, err := d.ask(ctx, c, iothub.ReportedTopic, payload)
	if err != nil {
		return 0, err
	}
	if answer.Status < 200 || answer.Status > 299 {
		refusal := iothub.ParseError(answer.Status, "", body)
		d.emit(Event{Kind: KindReportRefused, Payload: reported, Text: refusal.Error()})
		return 0, fmt.Errorf("%s reports: %w", d.id, refusal)
	}
	d.emit(Event{Kind: KindReported, Version: answer.Version, Payload: reported})
	return answer.Version, nil
}

// ask sends a twin request and waits for its answer.
func (d *device) ask(ctx context.Context, c *connection, topic func(rid string) string, payload []byte) (iothub.Topic, []byte, error) {
	t := &d.twin
	t.request++
	p := &pending{rid: strconv.FormatUint(t.request, 10), done: make(chan struct{})}
	t.pending = p
	defer func() { t.pending = nil }()
	token := c.client.Publish(topic(p.rid), atLeastOnce, false, payload)
	if err := d.await(ctx, c, token.Done(), "PUBACK"); err != nil {
		return p.answer, nil, err
	}
	if err := token.Error(); err != nil {
		return p.answer, nil, d.problem(Closed, err)
	}
	err := d.await(ctx, c, p.done, "the answer to "+topic(p.rid))
	return p.answer, p.body, err
}

// await handles what the hub sends until done is closed: paho delivers nothing
// else, acknowledgements included, while a message waits to be taken.
func (d *device) await(ctx context.Context, c *connection, done <-chan struct{}, what string) error {
	timeout := time.NewTimer(d.fleet.options.Timeout)
	defer timeout.Stop()
	for {
		select {
		case <-done:
			return nil
		case m := <-c.inbox:
			d.receive(m)
		case err := <-c.lost:
			return d.problem(Closed, err)
		case <-timeout.C:
			return d.problem(Timeout, errors.New("waited in vain for "+what))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// receive takes a message of the hub: the answer somebody waits for, or a
// desired patch.
func (d *device) receive(m message) {
	topic, err := iothub.ParseReceived(m.topic)
	if err != nil {
		d.emit(Event{Kind: KindError, Text: err.Error()})
		return
	}
	if topic.Kind == iothub.TopicDesired {
		d.patch(topic, m)
		return
	}
	if p := d.twin.pending; p != nil && p.rid == topic.RequestID {
		p.answer, p.body = topic, m.payload
		d.twin.pending = nil
		close(p.done)
	}
}

func (d *device) patch(topic iothub.Topic, m message) {
	t := &d.twin
	if t.stale {
		if len(t.held) == maxHeld {
			t.held = t.held[1:]
		}
		t.held = append(t.held, m)
		return
	}
	patch, err := iothub.ParseDocument(m.payload)
	if err != nil || !topic.HasVersion {
		t.stale = true
		d.emit(Event{Kind: KindError, Text: fmt.Sprintf("%s: not a desired patch (%v), reading the twin", m.topic, err)})
		return
	}
	switch {
	case topic.Version <= t.version:
		return
	case topic.Version > t.version+1:
		t.stale = true
	}
	patch = maps.Clone(patch)
	delete(patch, "$version")
	t.desired, t.version = iothub.Merge(t.desired, patch), topic.Version
	at := d.fleet.options.Now()
	d.update(func(s *Status) {
		s.Desired, s.DesiredVersion = t.desired, t.version
		s.LastPatch = &Patch{Time: at, Version: topic.Version, Payload: patch}
		s.Patches++
	})
	d.emit(Event{Kind: KindPatch, Version: topic.Version, Payload: patch})
	if !t.stale {
		t.answered = t.version
		d.owe(patch)
	}
}
