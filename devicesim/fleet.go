package devicesim

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// Options say how the devices of a fleet reach their hub.
type Options struct {
	// MQTTAddr is dialled instead of the host of the connection strings, as
	// host:port, when not "".
	MQTTAddr string
	// RootCAs are trusted to vouch for the hub; nil means those of the system.
	RootCAs *x509.CertPool
	// Log gets what the devices do, never a secret; nil discards it.
	Log *slog.Logger
	// Now is the clock of events and tokens; default time.Now.
	Now func() time.Time
	// Trace gets every packet sent or received, passwords masked and
	// keep-alive pings left out; nil keeps no trace.
	Trace *feed.Feed[iothub.WireEntry]
	// TokenLifetime is how long a SAS token is good for; default one hour, as
	// in Microsoft's SDKs. A device connects afresh before that.
	TokenLifetime time.Duration
	// Timeout bounds dialling, the handshakes and the wait for each answer;
	// default 20 seconds.
	Timeout time.Duration
}

// dialling is how many devices of a fleet connect at the same time: enough to
// keep a hub busy, few enough not to look like an attack.
const dialling = 64

// Spec is a device to run.
type Spec struct {
	ConnectionString iothub.DeviceConnectionString
	Connectivity     string  // one of Connectivities; "" means the first
	Answers          Answers // one of AllAnswers; "" means the first
	// AnswerDelay is how long the device takes to apply what is wanted.
	AnswerDelay time.Duration
}

// Fleet starts and stops the simulated devices of one hub. Its methods may be
// called from any goroutine.
type Fleet struct {
	options  Options
	log      *slog.Logger
	events   *feed.Feed[Event]
	slots    chan struct{}          // one is held while a device connects
	sessions tls.ClientSessionCache // makes reconnecting thousands cheap

	mu      sync.Mutex
	closed  bool
	devices map[string]*device
}

// New makes a fleet without devices.
func New(o Options) *Fleet {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.TokenLifetime = cmp.Or(o.TokenLifetime, time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 20*time.Second)
	return &Fleet{
		options:  o,
		log:      o.Log,
		events:   feed.New[Event](kept),
		slots:    make(chan struct{}, dialling),
		sessions: tls.NewLRUClientSessionCache(0),
		devices:  map[string]*device{},
	}
}

// ID is how a fleet names the device of a connection string: its id, or
// device/module for a module. It is also the MQTT client id.
func ID(cs iothub.DeviceConnectionString) string {
	if cs.ModuleID != "" {
		return cs.DeviceID + "/" + cs.ModuleID
	}
	return cs.DeviceID
}

// Start runs a device and returns when it is connected, has read its twin and
// has reported its connectivity, or with the reason why the first attempt
// failed: a *ConnectError, or an *iothub.Error when the hub refused the report.
// After a failure the device stays in Backoff and keeps trying until Stop; ctx
// bounds only the wait. A stopped device starts anew, one in Backoff tries
// again at once with the new Spec, any other is ErrRunning.
func (f *Fleet) Start(ctx context.Context, s Spec) error {
	s.Connectivity = cmp.Or(s.Connectivity, Connectivities[0])
	s.Answers = cmp.Or(s.Answers, AllAnswers[0])
	if err := s.check(f.options.Now()); err != nil {
		return err
	}
	d, err := f.launch(s, iothub.ActionFrom(ctx))
	if err != nil {
		return fmt.Errorf("start %s: %w", ID(s.ConnectionString), err)
	}
	select {
	case err := <-d.started:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s to start: %w", d.id, ctx.Err())
	}
}

// check finds what no attempt could heal.
func (s Spec) check(now time.Time) error {
	if !slices.Contains(Connectivities, s.Connectivity) {
		return fmt.Errorf("%w, not %q", ErrConnectivity, s.Connectivity)
	}
	if !slices.Contains(AllAnswers, s.Answers) {
		return fmt.Errorf("%w, not %q", ErrAnswers, s.Answers)
	}
	if s.ConnectionString.DeviceID == "" || s.ConnectionString.HostName == "" {
		return errors.New("the connection string names no device or no host")
	}
	_, err := iothub.Sign(s.ConnectionString.Resource(), s.ConnectionString.SharedAccessKey, "", now)
	return err
}

func (f *Fleet) launch(s Spec, action string) (*device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	id := ID(s.ConnectionString)
	ctx, cancel := context.WithCancelCause(context.Background())
	d := newDevice(f, s, action, cancel)
	var before <-chan struct{}
	if old := f.devices[id]; old != nil {
		if state := old.status.Load().State; state == Connecting || state == Online {
			cancel(nil)
			return nil, ErrRunning
		}
		old.stop("")
		d.journal, before = old.journal, old.done
	}
	f.devices[id] = d
	go d.run(ctx, before)
	return d, nil
}

// Stop disconnects a device and returns when that is done. Stopping a stopped
// device does nothing; one that was never started is ErrUnknown.
func (f *Fleet) Stop(ctx context.Context, id string) error {
	d, err := f.find(id)
	if err != nil {
		return err
	}
	d.stop(iothub.ActionFrom(ctx))
	return d.wait(ctx)
}

// StopAll stops every device, all at the same time.
func (f *Fleet) StopAll(ctx context.Context) error {
	all := f.all()
	for _, d := range all {
		d.stop(iothub.ActionFrom(ctx))
	}
	for _, d := range all {
		if err := d.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Remove stops a device and forgets it.
func (f *Fleet) Remove(ctx context.Context, id string) error {
	d, err := f.find(id)
	if err != nil {
		return err
	}
	d.stop(iothub.ActionFrom(ctx))
	if err := d.wait(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.devices[id] == d {
		delete(f.devices, id)
	}
	return nil
}

// Close stops every device and starts no other. It may be called twice.
func (f *Fleet) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	return f.StopAll(ctx)
}

// SetConnectivity moves a running device to another network. An online device
// reports it and the call returns with the hub's answer, an *iothub.Error when
// refused; one in Backoff reports it as soon as it is back, and while one is
// Connecting the call waits for the outcome.
func (f *Fleet) SetConnectivity(ctx context.Context, id, connectivity string) error {
	if !slices.Contains(Connectivities, connectivity) {
		return fmt.Errorf("%w, not %q", ErrConnectivity, connectivity)
	}
	d, err := f.find(id)
	if err != nil {
		return err
	}
	return d.setConnectivity(ctx, connectivity)
}

// SetAnswers changes how, and after how long, a running device answers what is
// wanted of it, and has it answer all of it in the new way. A device in Backoff
// does so once it is back.
func (f *Fleet) SetAnswers(ctx context.Context, id string, answers Answers, delay time.Duration) error {
	if !slices.Contains(AllAnswers, answers) {
		return fmt.Errorf("%w, not %q", ErrAnswers, answers)
	}
	d, err := f.find(id)
	if err != nil {
		return err
	}
	return d.setAnswers(ctx, answers, delay)
}

// Devices are the devices that were started, running or not, by id.
func (f *Fleet) Devices() []Status {
	all := f.all()
	out := make([]Status, len(all))
	for i, d := range all {
		out[i] = *d.status.Load()
	}
	return out
}

// Device is one of Devices.
func (f *Fleet) Device(id string) (Status, bool) {
	d, err := f.find(id)
	if err != nil {
		return Status{}, false
	}
	return *d.status.Load(), true
}

// Events tells what the devices do.
func (f *Fleet) Events() *feed.Feed[Event] { return f.events }

// Recent are the latest events of one device, oldest first, with their ids in
// Events. They are kept however busy the other devices are.
func (f *Fleet) Recent(id string) []feed.Item[Event] {
	d, err := f.find(id)
	if err != nil {
		return nil
	}
	return d.journal.list()
}

func (f *Fleet) find(id string) (*device, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.devices[id]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, id)
}

func (f *Fleet) all() []*device {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Values(f.devices), func(a, b *device) int { return cmp.Compare(a.id, b.id) })
}
