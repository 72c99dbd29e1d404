package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"twinboard/devicesim"
)

// profile is how simulated devices behave. What is drawn depends on the seed and
// the number of the device alone: same seed, same devices, however they are
// divided.
type profile struct {
	name string // of --profile
	seed uint64
}

// The profiles that are no connectivity: devices on any network, and such that
// move to another one now and then.
const (
	profileMixed     = "mixed"
	profileSwitching = "switching"
)

func (p profile) draw(number int) *rand.Rand {
	return rand.New(rand.NewPCG(p.seed, uint64(number))) //nolint:gosec // nothing here is secret
}

// behave fills in how a device connects and answers: most report what is wanted
// of them, some acknowledge it after a while, as plug and play does, and a few
// only listen.
func (p profile) behave(number int, s *devicesim.Spec) {
	r := p.draw(number)
	s.Connectivity = devicesim.Connectivities[r.IntN(len(devicesim.Connectivities))]
	if slices.Contains(devicesim.Connectivities, p.name) {
		s.Connectivity = p.name
	}
	switch n := r.IntN(10); {
	case n < 6:
		s.Answers = devicesim.AnswersPlainly
	case n < 9:
		s.Answers, s.AnswerDelay = devicesim.AnswersPnP, time.Second+time.Duration(r.IntN(4000))*time.Millisecond
	default:
		s.Answers = devicesim.AnswersNothing
	}
}

// stay is about how long a device of the switching profile is on one network.
const stay = 30 * time.Second

// move lets devices change their network until ctx ends, each when its turn
// comes.
func (p profile) move(ctx context.Context, log *slog.Logger, sim *devicesim.Fleet, devices []numbered) {
	if p.name != profileSwitching || len(devices) == 0 {
		return
	}
	turns := make([]*rand.Rand, len(devices))
	for i, d := range devices {
		turns[i] = p.draw(-d.number)
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-second.C:
		case <-ctx.Done():
			return
		}
		for i, d := range devices {
			if turns[i].IntN(int(stay/time.Second)) > 0 {
				continue
			}
			next := devicesim.Connectivities[turns[i].IntN(len(devicesim.Connectivities))]
			if err := sim.SetConnectivity(ctx, d.id, next); err != nil && ctx.Err() == nil {
				log.DebugContext(ctx, "simulated device keeps its network", slog.String("device_id", d.id), slog.Any("error", err))
			}
		}
	}
}
