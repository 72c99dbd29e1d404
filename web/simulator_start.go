package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// How many devices are brought up at a time. A cloud hub throttles the creation
// of identities and connections; the local one does not.
const (
	startingLocal = 32
	startingCloud = 4
)

// starts brings up simulated devices of one hub in the background: a thousand
// take longer than anyone waits for a page.
type starts struct {
	hub     *Hub
	changed *feed.Feed[struct{}] // tells open pages to look at progress again
	slots   chan struct{}
	base    context.Context //nolint:containedctx // ends with close
	end     context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	progress progress
}

// progress is how far the devices asked for are, since last none were under way.
type progress struct {
	total, done int
	failed      []startFailure
}

// startFailure is a device that does not run, because it has no identity to run
// as. A device that cannot connect is not among them: it keeps trying.
type startFailure struct {
	id  string
	err error
}

func newStarts(h *Hub) *starts {
	base, end := context.WithCancel(context.Background())
	slots := startingCloud
	if h.Local {
		slots = startingLocal
	}
	return &starts{hub: h, changed: feed.New[struct{}](mostStarts), slots: make(chan struct{}, slots), base: base, end: end}
}

// defaultAnswers is how devices started from the panel answer.
const defaultAnswers = devicesim.AnswersPlainly

// answerDelay is how long a device takes to apply something: no time, but for
// those that can say they are at work.
func answerDelay(a devicesim.Answers) time.Duration {
	if a == devicesim.AnswersPnP {
		return 3 * time.Second
	}
	return 0
}

// begin starts devices and returns at once. create makes the identities that are
// missing. answers "" is how each answered before, or defaultAnswers.
func (s *starts) begin(ids []string, create bool, answers devicesim.Answers, action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.progress.done == s.progress.total {
		s.progress = progress{}
	}
	s.progress.total += len(ids)
	ctx := iothub.WithAction(s.base, action)
	s.running.Go(func() {
		var each sync.WaitGroup
		defer each.Wait()
		for _, id := range ids {
			select {
			case s.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			each.Go(func() {
				defer func() { <-s.slots }()
				s.note(id, s.start(ctx, id, create, answers))
			})
		}
	})
	s.changed.Publish(struct{}{})
}

// note counts a device as done.
func (s *starts) note(id string, err error) {
	s.mu.Lock()
	s.progress.done++
	if err != nil && s.base.Err() == nil {
		s.progress.failed = append(s.progress.failed, startFailure{id, err})
	}
	s.mu.Unlock()
	s.changed.Publish(struct{}{})
}

// state is a copy of the progress.
func (s *starts) state() progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.progress
	p.failed = slices.Clone(p.failed)
	return p
}

// close ends what is under way and waits for it.
func (s *starts) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("starts of simulated devices: %w", ctx.Err())
	}
}

// start runs one device. That it cannot connect is the device's own news.
func (s *starts) start(ctx context.Context, id string, create bool, answers devicesim.Answers) error {
	d, err := s.identity(ctx, id, create)
	if err != nil {
		return err
	}
	key := d.Authentication.SymmetricKey.Primary
	if key == "" {
		return errNoKey
	}
	before, _ := s.hub.Sim.Device(id)
	answers = cmp.Or(answers, before.Answers, defaultAnswers)
	err = s.hub.Sim.Start(ctx, devicesim.Spec{
		ConnectionString: iothub.DeviceConnectionString{HostName: s.hub.DeviceHostName, DeviceID: id, SharedAccessKey: key},
		Connectivity:     before.Connectivity,
		Answers:          answers,
		AnswerDelay:      answerDelay(answers),
	})
	var connect *devicesim.ConnectError
	var refused *iothub.Error
	if errors.Is(err, devicesim.ErrRunning) || errors.As(err, &connect) || errors.As(err, &refused) {
		return nil
	}
	return err
}

// errNoKey means that a device signs in with a certificate, which the simulator
// does not have.
var errNoKey = errors.New("the device has no symmetric key")

// identity reads a device's identity, or makes it.
func (s *starts) identity(ctx context.Context, id string, create bool) (d iothub.Device, err error) {
	err = patiently(ctx, func() error {
		d, err = s.hub.Client.GetDevice(ctx, id)
		if create && errors.Is(err, iothub.ErrDeviceNotFound) {
			d, err = s.hub.Client.CreateDevice(ctx, iothub.Device{DeviceID: id})
		}
		return err
	})
	return d, err
}

// patiently repeats what a hub did not execute because it asks to slow down.
func patiently(ctx context.Context, do func() error) error {
	const most = 5
	for i := 0; ; i++ {
		err := do()
		var slow *hubclient.ThrottledError
		if !errors.As(err, &slow) || i == most {
			return err
		}
		select {
		case <-time.After(cmp.Or(slow.RetryAfter, 10*time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// freshIDs are the next n names of a prefix that nothing runs as: no simulated
// device, and as far as the picture shows no device elsewhere, which the
// simulated one would push out. Identities nobody uses are used again.
func freshIDs(h *Hub, prefix string, n int) []string {
	var ids []string
	for i := 1; len(ids) < n; i++ {
		id := fmt.Sprintf("%s-%03d", prefix, i)
		if sim, ok := h.Sim.Device(id); ok && sim.State != devicesim.Stopped {
			continue
		}
		if d, ok := h.Fleet.Get(id); ok && d.Connected {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}
