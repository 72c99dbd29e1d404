package localhub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"twinboard/hubclient/iothub"
)

// methodCall is a direct method to be called (IoT Hub developer guide: direct
// methods).
type methodCall struct {
	name    string
	payload []byte // JSON
	// connect is how long to wait for a device that is not there, response how
	// long for its answer. That response begins when the call has gone out is a
	// choice; Node's SDK, too, waits for the sum of both.
	connect, response time.Duration
}

type methodAnswer struct {
	status  int
	payload []byte // JSON
}

func (a methodAnswer) result() iothub.MethodResult {
	return iothub.MethodResult{Status: a.status, Payload: a.payload}
}

// calls are the direct methods that are under way.
type calls struct {
	mu      sync.Mutex
	open    map[openCall]chan methodAnswer
	waiting map[twinKey]map[chan struct{}]struct{}
}

// openCall is who must answer what: $rid alone would let one device answer for
// another.
type openCall struct {
	key twinKey
	rid string
}

func (c *calls) expect(key twinKey, rid string) (answer <-chan methodAnswer, forget func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[openCall]chan methodAnswer{}
	}
	ch := make(chan methodAnswer, 1)
	c.open[openCall{key, rid}] = ch
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, openCall{key, rid})
	}
}

// answered hands over what a device answered. Nobody may wait for it any more: a
// device that is late has done nothing wrong.
func (c *calls) answered(key twinKey, rid string, a methodAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.open[openCall{key, rid}]; ch != nil {
		delete(c.open, openCall{key, rid})
		ch <- a
	}
}

// anybody is whose arrival those wait for who wait for all.
var anybody twinKey

// arrival tells when a device connects or subscribes, is deleted or disabled.
func (c *calls) arrival(key twinKey) (arrived <-chan struct{}, forget func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[twinKey]map[chan struct{}]struct{}{}
	}
	if c.waiting[key] == nil {
		c.waiting[key] = map[chan struct{}]struct{}{}
	}
	ch := make(chan struct{}, 1)
	c.waiting[key][ch] = struct{}{}
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.waiting[key], ch); len(c.waiting[key]) == 0 {
			delete(c.waiting, key)
		}
	}
}

func (c *calls) awaken(key twinKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range []twinKey{key, anybody} {
		for ch := range c.waiting[of] {
			wake(ch)
		}
	}
}

// wake leaves a word in a channel that holds one; whoever has one knows already.
func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// invoke calls a direct method and waits for its answer. A device that has not
// subscribed to methods counts as offline. A connection that ends meanwhile does
// not end the call: the device may come back and answer.
func (r *registry) invoke(ctx context.Context, by actor, key twinKey, call methodCall) (methodAnswer, error) {
	if _, err := r.record(ctx, key); err != nil {
		return methodAnswer{}, err
	}
	rid := newRequestID() // random: no answer to a hub that ran before can be taken for one to this
	answer, forget := r.calls.expect(key, rid)
	defer forget()
	a, err := methodAnswer{}, r.deliver(ctx, key, rid, call)
	if err == nil {
		a, err = await(ctx, key, answer, call.response)
	}
	r.announceMethod(by, key, call, a, err)
	return a, err
}

// deliver hands the call to the device's connection, and waits for one if it
// may, and as long as one can come.
func (r *registry) deliver(ctx context.Context, key twinKey, rid string, call methodCall) error {
	arrived, forget := r.calls.arrival(key)
	defer forget()
	late := time.NewTimer(call.connect)
	defer late.Stop()
	for {
		if s := r.seen(key).session; s != nil && s.sendMethod(call.name, rid, call.payload) {
			return nil
		}
		if call.connect == 0 {
			return notOnline(key)
		}
		if err := r.mayCome(ctx, key); err != nil {
			return err
		}
		select {
		case <-arrived:
		case <-late.C:
			return notOnline(key)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// mayCome refuses to wait for who cannot connect. That the service says of a
// disabled device what it says of one that is not there is a choice.
func (r *registry) mayCome(ctx context.Context, key twinKey) error {
	if _, err := r.record(ctx, key); err != nil {
		return err
	}
	device, err := r.record(ctx, twinKey{DeviceID: key.DeviceID})
	if err == nil && device.Status == iothub.StatusDisabled {
		err = iothub.ErrDeviceNotOnline.With("device %s is disabled", key.DeviceID)
	}
	return err
}

func notOnline(key twinKey) error {
	return iothub.ErrDeviceNotOnline.With("%s is not connected, or has not subscribed to methods", key)
}

func await(ctx context.Context, key twinKey, answer <-chan methodAnswer, patience time.Duration) (methodAnswer, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case a := <-answer:
		return a.checked(key)
	case <-late.C:
		return methodAnswer{}, iothub.ErrGatewayTimeout.With("%s did not answer within %s", key, patience)
	case <-ctx.Done():
		return methodAnswer{}, context.Cause(ctx)
	}
}

// checked makes an empty answer null; one that is no JSON is the device's fault.
// The service's name for that is not documented; Node's SDK calls status 502 so.
func (a methodAnswer) checked(key twinKey) (methodAnswer, error) {
	if len(a.payload) == 0 {
		a.payload = []byte("null")
	}
	switch {
	case len(a.payload) > iothub.MaxMethodBytes:
		return methodAnswer{}, iothub.ErrBadDeviceResponse.With("%s answered %d bytes; %d are allowed", key, len(a.payload), iothub.MaxMethodBytes)
	case !json.Valid(a.payload):
		return methodAnswer{}, iothub.ErrBadDeviceResponse.With("%s answered what is not JSON", key)
	}
	return a, nil
}

func (r *registry) announceMethod(by actor, key twinKey, call methodCall, a methodAnswer, err error) {
	m := &iothub.MethodCall{
		Name: call.name, Payload: cut(call.payload), Status: a.status, Answer: cut(a.payload),
		Cut: max(len(call.payload), len(a.payload)) > maxAnnounced,
	}
	if err != nil {
		m.Error = refusalOf(err).Code
	}
	r.changes.Publish(iothub.Change{
		Time: r.now(), DeviceID: key.DeviceID, ModuleID: key.ModuleID, Kind: iothub.ChangeMethod, Policy: by.Policy, Job: by.Job, Method: m,
	})
}

// String names a device or module in a sentence.
func (k twinKey) String() string {
	if k.ModuleID != "" {
		return "module " + k.ModuleID + " of device " + k.DeviceID
	}
	return "device " + k.DeviceID
}

// becameOfCall reports whether a refusal says what became of a direct method on
// its way; the service gives those a body of their own.
func becameOfCall(e *iothub.Error) bool {
	return errors.Is(e, iothub.ErrDeviceNotOnline) || errors.Is(e, iothub.ErrGatewayTimeout) || errors.Is(e, iothub.ErrBadDeviceResponse)
}

// newMethodCall checks what a service asks for; nil times mean the defaults.
func newMethodCall(name string, payload []byte, response, connect *int) (methodCall, error) {
	if err := checkMethodName(name); err != nil {
		return methodCall{}, err
	}
	wait, answer := seconds(connect, 0), seconds(response, iothub.DefaultMethodResponse)
	switch {
	case answer < iothub.MinMethodResponse || answer > iothub.MaxMethodResponse:
		return methodCall{}, iothub.ErrArgumentInvalid.With("responseTimeoutInSeconds is %.0f; it must be %.0f to %.0f",
			answer.Seconds(), iothub.MinMethodResponse.Seconds(), iothub.MaxMethodResponse.Seconds())
	case wait < 0 || wait > iothub.MaxMethodConnect:
		return methodCall{}, iothub.ErrArgumentInvalid.With("connectTimeoutInSeconds is %.0f; it must be 0 to %.0f",
			wait.Seconds(), iothub.MaxMethodConnect.Seconds())
	case wait > answer:
		return methodCall{}, iothub.ErrArgumentInvalid.With("connectTimeoutInSeconds is %.0f, more than responseTimeoutInSeconds, %.0f",
			wait.Seconds(), answer.Seconds())
	case len(payload) > iothub.MaxMethodBytes: // its name for that is a choice
		return methodCall{}, iothub.ErrMessageTooLarge.With("the payload has %d bytes; %d are allowed", len(payload), iothub.MaxMethodBytes)
	}
	return methodCall{
		name: name, payload: []byte(cmp.Or(string(payload), "null")), // SDKs of devices read JSON in any case
		connect: wait, response: answer,
	}, nil
}

// seconds is a time of a request, within what a Duration holds.
func seconds(n *int, missing time.Duration) time.Duration {
	if n == nil {
		return missing
	}
	const most = 1 << 20
	return time.Duration(min(max(*n, -most), most)) * time.Second
}

func checkMethodName(name string) error {
	err := iothub.CheckMethodName(name)
	switch {
	case err == nil:
		return nil
	case name == "":
		return iothub.ErrArgumentNull.With("the body needs a member methodName")
	}
	return iothub.ErrArgumentInvalid.With("%v", err)
}
