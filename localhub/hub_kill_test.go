package localhub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

const (
	// killRounds is how often the hub is killed unless the variable says so.
	killRounds   = 50
	killVariable = "TWINBOARD_TEST_KILL_ROUNDS"

	// Sixteen writers share the hub.
	twinWriters     = 6 // patch tags and desired of a twin over REST
	reportWriters   = 6 // report over MQTT
	identityWriters = 4 // make devices and delete them again
)

// siege is a data folder whose hub is killed again and again, and what the hub
// had answered by then.
type siege struct {
	*testing.T
	data    string
	token   string // of a policy with all rights
	devices map[string]*besieged

	mu      sync.Mutex
	answers int
	// identities are the devices whose making, true, or deletion was answered
	// last; one whose fate was not answered is not in it.
	identities map[string]bool
}

// besieged is a device with a writer of its own: as it was read before the
// round, and what was answered in it.
type besieged struct {
	key                    string
	etag                   iothub.ETag
	version, reported      int64
	answered, acknowledged int64 // versions of the twin, of reported
}

// TestKillLosesNothingAnswered kills a hub that sixteen writers keep busy, in
// the middle of it or while it starts, and looks whether what it had answered is
// there, and nothing is half there.
func TestKillLosesNothingAnswered(t *testing.T) {
	rounds := killRounds
	if text := os.Getenv(killVariable); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", killVariable, err)
		}
	}
	s := &siege{T: t, data: t.TempDir(), devices: map[string]*besieged{}, identities: map[string]bool{}}
	for i := range twinWriters {
		s.devices[fmt.Sprint("twin", i)] = &besieged{}
	}
	for i := range reportWriters {
		s.devices[fmt.Sprint("report", i)] = &besieged{}
	}
	started := time.Now()
	s.check()
	for round := range rounds {
		s.round(round)
		if s.check(); t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d rounds, %d answers, %v", rounds, s.answers, time.Since(started).Round(time.Second))
	if s.answers < 10*rounds {
		t.Errorf("too few answers to prove anything: %d", s.answers)
	}
}

// round runs a hub in a process of its own until it is killed: every fifth time
// at a moment of its start, else after the first answers.
func (s *siege) round(number int) {
	s.Helper()
	c := startChild(s.T, "serve", s.data)
	early := number%5 == 4
	if early {
		c.killWithin(200 * time.Millisecond)
	}
	if c.ready() {
		end, err := ReadEndpoints(s.data)
		if err != nil {
			s.Fatal(err)
		}
		before := s.answers
		s.write(end, func() {
			if !early {
				c.killWithin(150 * time.Millisecond)
			}
		})
		if s.answers == before && !early {
			s.Error("nothing was answered")
		}
	}
	c.killed()
}

// write lets all writers write until the hub is gone; first is called with the
// first answer.
func (s *siege) write(at Endpoints, first func()) {
	var once sync.Once
	w := &besieger{siege: s, at: at, tls: s.trust(), answered: func() { once.Do(first) }}
	w.dial()
	defer w.http.CloseIdleConnections()
	var writers sync.WaitGroup
	for id, d := range s.devices {
		if id[0] == 't' {
			writers.Go(func() { w.patchTwin(id, d) })
		} else {
			writers.Go(func() { w.report(id, d) })
		}
	}
	for i := range identityWriters {
		writers.Go(func() { w.makeAndDelete(i) })
	}
	writers.Wait()
}

// check opens the folder and compares, and reads what the next round starts
// from.
func (s *siege) check() {
	s.Helper()
	h, err := New(Options{Data: s.data})
	if err != nil {
		s.Fatal(err)
	}
	defer closeHub(s.T, h)
	policy := h.policies["iothubowner"]
	if s.token, err = iothub.Sign("localhost", policy.Primary, "iothubowner", time.Now().Add(24*time.Hour)); err != nil {
		s.Fatal(err)
	}
	for id, d := range s.devices {
		s.checkDevice(h.registry, id, d)
	}
	for id, there := range s.identities {
		_, err := h.registry.device(s.Context(), id)
		if missing := errors.Is(err, iothub.ErrDeviceNotFound); missing == there || !missing && err != nil {
			s.Errorf("%s should be there: %v; got %v", id, there, err)
		}
	}
	clear(s.identities) // there would be tens of thousands; the devices with writers stay
}

// checkDevice holds that nothing answered is missing, and that what was written
// together is there together: each write carries the version it makes.
func (s *siege) checkDevice(r *registry, id string, d *besieged) {
	s.Helper()
	ctx := context.Background()
	identity, err := r.device(ctx, id)
	if errors.Is(err, iothub.ErrDeviceNotFound) && d.answered == 0 {
		created, err := r.createDevice(ctx, owner, iothub.Device{DeviceID: id})
		if err != nil {
			s.Fatal(err)
		}
		identity = created
	} else if err != nil {
		s.Errorf("%s: %v", id, err)
		return
	}
	twin, err := r.twin(ctx, dev(id))
	if err != nil {
		s.Errorf("%s: %v", id, err)
		return
	}
	if twin.Version < d.answered || twin.Properties.Reported.Version < d.acknowledged {
		s.Errorf("%s is at version %d, reported %d; answered were %d and %d", id,
			twin.Version, twin.Properties.Reported.Version, d.answered, d.acknowledged)
	}
	desired, reported := twin.Properties.Desired, twin.Properties.Reported
	carries(s.T, id, twin.Tags, desired.Version)
	carries(s.T, id, desired.Value, desired.Version)
	carries(s.T, id, reported.Value, reported.Version)
	*d = besieged{
		key: identity.Authentication.SymmetricKey.Primary, etag: twin.ETag, version: desired.Version, reported: reported.Version,
		answered: twin.Version, acknowledged: reported.Version,
	}
}

func carries(t *testing.T, id string, d iothub.Document, version int64) {
	t.Helper()
	if n := d["n"]; version > 1 && n != fmt.Sprint(version) {
		t.Errorf("%s at version %d carries %v", id, version, n)
	}
}
