package devicesim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// A device moves between four states:
//
//	          Start                  twin read, reported
//	Stopped ────────▶ Connecting ─────────────────────────▶ Online
//	   ▲               │   ▲   ▲                            │    │
//	   │        failed │   │   └── token about to expire ───┘    │
//	   │               ▼   │ waited                              │
//	   └─── Stop ──── Backoff ◀── connection lost, twin refused ─┘
//
// Stop leads to Stopped from everywhere. One goroutine, run, moves it and owns
// everything below "owned by run"; others read status and send commands.
type device struct {
	fleet    *Fleet
	spec     Spec
	id       string
	at       endpoint
	trace    *tracer
	journal  *journal
	status   atomic.Pointer[Status] // replaced by run, never changed
	commands chan command
	cancel   context.CancelCauseFunc
	started  chan error    // gets the outcome of the first attempt
	done     chan struct{} // closed when run has ended

	// owned by run
	twin    twin
	owed    answer
	attempt int // failed attempts in a row
	first   bool
}

// command changes a running device.
type command struct {
	change func(*device)
	// report tells the hub of it while the device is online; nil if there is
	// nothing to tell at once.
	report func(*device, context.Context, *connection) error
	action string
	answer chan error // buffered, so that run never waits
}

// stopped is the cause of the end of a device's context.
type stopped struct{ action string }

func (stopped) Error() string { return "the device was stopped" }

func newDevice(f *Fleet, s Spec, action string, cancel context.CancelCauseFunc) *device {
	d := &device{
		fleet:    f,
		spec:     s,
		id:       ID(s.ConnectionString),
		at:       f.options.endpoint(s.ConnectionString),
		journal:  &journal{},
		commands: make(chan command),
		cancel:   cancel,
		started:  make(chan error, 1),
		done:     make(chan struct{}),
		owed:     answer{delay: s.AnswerDelay},
		first:    true,
	}
	d.trace = &tracer{feed: f.options.Trace, now: f.options.Now, deviceID: d.id}
	d.trace.during(action)
	d.status.Store(&Status{DeviceID: d.id, State: Connecting, Since: f.options.Now(), Connectivity: s.Connectivity, Answers: s.Answers})
	return d
}

// run is the device's goroutine. before, if any, is the end of an older run of
// the same device, which must be over first.
func (d *device) run(ctx context.Context, before <-chan struct{}) {
	defer close(d.done)
	if before != nil {
		<-before
	}
	for ctx.Err() == nil {
		err := d.connection(ctx)
		if ctx.Err() != nil || errors.Is(err, errRenew) {
			continue
		}
		d.backOff(ctx, err)
	}
	d.settle(fmt.Errorf("start %s: stopped meanwhile: %w", d.id, ErrNotRunning))
	d.enter(Stopped)
	d.emit(Event{Kind: KindStopped})
	d.trace.during("")
}

// settle ends what Start waits for, once.
func (d *device) settle(err error) {
	if d.first {
		d.first = false
		d.started <- err
		d.trace.during("")
	}
}

// steady is how long a connection must last before its loss counts as the first
// failure again; two clients with one id, who drop each other, thus slow down.
const steady = 30 * time.Second

// connection lives through one connection, from dialling to its end, and says
// why it ended.
func (d *device) connection(ctx context.Context) error {
	d.enter(Connecting)
	d.emit(Event{Kind: KindConnecting, Text: d.at.address})
	c, err := d.connect(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.emit(failure(KindError, err))
		}
		return err
	}
	began := time.Now()
	d.emit(Event{Kind: KindConnected})
	err = d.serve(ctx, c)
	if time.Since(began) > steady {
		d.attempt = 0
	}
	if cause, ok := errors.AsType[stopped](context.Cause(ctx)); ok {
		d.trace.during(cause.action)
		err = cause
	}
	c.close()
	d.emit(failure(KindDisconnected, err))
	return err
}

// serve makes the device ready and keeps it so until the connection ends, with
// the reason.
func (d *device) serve(ctx context.Context, c *connection) error {
	if err := d.subscribe(ctx, c); err != nil {
		return err
	}
	d.twin.stale = true
	if err := d.refresh(ctx, c); err != nil {
		return err
	}
	err := d.report(ctx, c)
	if err != nil && !refusedByHub(err) {
		return err
	}
	d.enter(Online)
	d.settle(err)
	renew := time.NewTimer(time.Until(c.renewAt))
	defer renew.Stop()
	for {
		if err := d.refresh(ctx, c); err != nil {
			return err
		}
		if err := d.begin(ctx, c); err != nil {
			return err
		}
		select {
		case m := <-c.inbox:
			d.receive(m)
		case cmd := <-d.commands:
			if err := d.obey(ctx, c, cmd); err != nil {
				return err
			}
		case <-d.owed.due():
			if err := d.finish(ctx, c); err != nil {
				return err
			}
		case err := <-c.lost:
			return d.problem(Closed, err)
		case <-renew.C:
			return errRenew
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errRenew ends a connection whose token is about to expire. IoT Hub knows no
// other way to a fresh token.
var errRenew = errors.New("the token is about to expire")

// obey carries out a command. The error is nil as long as the connection
// stands.
func (d *device) obey(ctx context.Context, c *connection, cmd command) error {
	d.trace.during(cmd.action)
	defer d.trace.during("")
	cmd.change(d)
	var err error
	if cmd.report != nil {
		err = cmd.report(d, ctx, c)
	}
	cmd.answer <- err
	if refusedByHub(err) {
		return nil
	}
	return err
}

// backOff waits after a failure. A change is noted meanwhile and reported with
// the next connection.
func (d *device) backOff(ctx context.Context, err error) {
	wait := delay(d.attempt, rand.Float64())
	d.attempt++
	retry := failure(KindRetry, err)
	retry.Wait = wait
	d.update(func(s *Status) {
		s.Problem, s.Attempt, s.RetryAt = retry.Problem, d.attempt, d.fleet.options.Now().Add(wait)
	})
	d.enter(Backoff)
	d.fleet.log.Warn("simulated device has no connection", "device_id", d.id, "error", err, "retry_in", wait)
	d.emit(retry)
	d.settle(err)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case cmd := <-d.commands:
			cmd.change(d)
			cmd.answer <- nil
		case <-ctx.Done():
			return
		}
	}
}

// The first wait after a failure is about shortest; each further one doubles,
// up to longest.
const (
	shortest = 500 * time.Millisecond
	longest  = time.Minute
)

// delay is how long to wait after attempt failures before; jitter, 0 to 1,
// takes away up to half, so that a fleet does not return as one.
func delay(attempt int, jitter float64) time.Duration {
	full := longest
	if attempt < 7 {
		full = min(longest, shortest<<attempt)
	}
	return full - time.Duration(jitter*float64(full)/2)
}

func (d *device) stop(action string) { d.cancel(stopped{action}) }

func (d *device) wait(ctx context.Context) error {
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s to stop: %w", d.id, ctx.Err())
	}
}

func (d *device) setConnectivity(ctx context.Context, connectivity string) error {
	return d.command(ctx, "set connectivity of", command{
		change: func(d *device) {
			d.update(func(s *Status) { s.Connectivity = connectivity })
			d.emit(Event{Kind: KindConnectivityChanged, Text: connectivity})
		},
		report: (*device).report,
	})
}

// setAnswers changes how the device answers; one that begins to answer, or
// answers in another way, answers all that is wanted of it.
func (d *device) setAnswers(ctx context.Context, answers Answers, delay time.Duration) error {
	return d.command(ctx, "set answers of", command{change: func(d *device) {
		d.owed.delay = delay
		if d.status.Load().Answers == answers {
			return
		}
		d.update(func(s *Status) { s.Answers = answers })
		d.owed.forget()
		d.owe(d.twin.desired)
	}})
}

// command hands a command to run and waits for what becomes of it.
func (d *device) command(ctx context.Context, what string, cmd command) error {
	cmd.action, cmd.answer = iothub.ActionFrom(ctx), make(chan error, 1)
	select {
	case d.commands <- cmd:
	case <-d.done:
		return fmt.Errorf("%s %s: %w", what, d.id, ErrNotRunning)
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", what, d.id, ctx.Err())
	}
	select {
	case err := <-cmd.answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s %s: %w", what, d.id, ctx.Err())
	}
}

// enter changes the state; Since keeps its time while the state stays.
func (d *device) enter(state State) {
	d.update(func(s *Status) {
		if s.State != state {
			s.State, s.Since = state, d.fleet.options.Now()
		}
		if state == Online || state == Stopped {
			s.Problem, s.Attempt, s.RetryAt = nil, 0, time.Time{}
		}
	})
}

func (d *device) update(change func(*Status)) {
	s := *d.status.Load()
	change(&s)
	d.status.Store(&s)
}

func (d *device) emit(e Event) {
	e.Time, e.DeviceID = d.fleet.options.Now(), d.id
	id := d.fleet.events.Publish(e)
	d.journal.add(feed.Item[Event]{ID: id, Value: e})
	d.fleet.log.Debug("simulated device", "device_id", d.id, "event", string(e.Kind), "version", e.Version, "detail", e.Text)
}

// failure is an event that tells of an error.
func failure(kind Kind, err error) Event {
	e := Event{Kind: kind, Text: err.Error()}
	errors.As(err, &e.Problem)
	return e
}

func (d *device) problem(kind Problem, err error) *ConnectError {
	return &ConnectError{Kind: kind, DeviceID: d.id, Address: d.at.address, Err: err}
}
