package devicesim_test

import (
	"testing"
	"time"

	"twinboard/devicesim"
	"twinboard/hubclient/iothub"
)

// reported waits for the report of a device that holds exactly want.
func (f *follower) reported(want string) {
	f.t.Helper()
	e := f.until("the report "+want, func(e devicesim.Event) bool {
		return e.Kind == devicesim.KindReported && compact(f.t, e.Payload) == want
	})
	if e.Version == 0 {
		f.t.Errorf("the report has no version: %+v", e)
	}
}

func TestAnswersPlainly(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("d1")
	spec.Answers = devicesim.AnswersPlainly
	h.desire("d1", `{"power_level":1,"fan":{"speed":3}}`)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, spec)
	events.reported(`{"fan":{"speed":3},"power_level":1}`)

	h.desire("d1", `{"power_level":null,"fan":{"speed":4}}`)
	events.reported(`{"fan":{"speed":4},"power_level":null}`)
	twin := h.twin("d1")
	if got := compact(t, twin.Properties.Reported.Value); got != `{"connectivity":"cellular","fan":{"speed":4}}` {
		t.Errorf("reported is %s", got)
	}
	if d := iothub.Compare(twin, iothub.DriftOptions{Now: time.Now()}); d.State != iothub.InSync || d.Wanted != 1 {
		t.Errorf("the device is %s with %d wanted settings, want in sync with 1", d.State, d.Wanted)
	}
}

// A device that comes back after a cut answers what came meanwhile, and only that.
func TestAnswersAfterReconnecting(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("d1")
	spec.Answers = devicesim.AnswersPlainly
	h.desire("d1", `{"a":1}`)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, spec)
	events.reported(`{"a":1}`)

	if err := f.Stop(t.Context(), "d1"); err != nil {
		t.Fatal(err)
	}
	h.desire("d1", `{"a":2}`)
	start(t, f, spec)
	events.reported(`{"a":2}`)
}

// What a device was about to answer when it lost its connection, it answers once
// it is back.
func TestAnswersOwedThroughALoss(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("d1")
	answering := spec
	answering.Answers, answering.AnswerDelay = devicesim.AnswersPlainly, 100*time.Millisecond
	f, rival := h.fleet(devicesim.Options{}), h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, answering)
	h.desire("d1", `{"a":1}`)
	events.next(devicesim.KindPatch)
	start(t, rival, spec) // ends the connection of the other
	events.next(devicesim.KindDisconnected)
	if err := rival.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.reported(`{"a":1}`)
}

func TestAnswersPnP(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("d1")
	spec.Answers, spec.AnswerDelay = devicesim.AnswersPnP, 50*time.Millisecond
	h.desire("d1", `{"interval":30,"thermostat":{"__t":"c","target":21,"mode":{"eco":true}}}`)
	f := h.fleet(devicesim.Options{})
	events := follow(t, f)
	start(t, f, spec)
	for _, code := range []string{"202", "200"} {
		events.reported(`{"interval":{"ac":` + code + `,"av":2,"value":30},` +
			`"thermostat":{"__t":"c","mode":{"ac":` + code + `,"av":2,"value":{"eco":true}},"target":{"ac":` + code + `,"av":2,"value":21}}}`)
	}

	// An object is acknowledged whole, whatever part of it changed.
	h.desire("d1", `{"interval":null,"thermostat":{"mode":{"night":false}}}`)
	events.reported(`{"interval":null,"thermostat":{"__t":"c","mode":{"ac":202,"av":3,"value":{"eco":true,"night":false}}}}`)
	events.reported(`{"interval":null,"thermostat":{"__t":"c","mode":{"ac":200,"av":3,"value":{"eco":true,"night":false}}}}`)
	if d := iothub.Compare(h.twin("d1"), iothub.DriftOptions{Now: time.Now()}); d.State != iothub.InSync || d.Wanted != 3 {
		t.Errorf("the device is %s with %d wanted settings, want in sync with 3", d.State, d.Wanted)
	}
}

func TestSetAnswers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	spec := h.register("d1")
	h.desire("d1", `{"a":1}`)
	f := h.fleet(devicesim.Options{})
	wantError(t, f.SetAnswers(t.Context(), "d1", devicesim.AnswersPlainly, 0), devicesim.ErrUnknown)
	events := follow(t, f)
	start(t, f, spec)
	wantError(t, f.SetAnswers(t.Context(), "d1", "loudly", 0), devicesim.ErrAnswers)
	if err := f.SetAnswers(t.Context(), "d1", devicesim.AnswersPlainly, 0); err != nil {
		t.Fatal(err)
	}
	events.reported(`{"a":1}`)
	if got := device(t, f, "d1").Answers; got != devicesim.AnswersPlainly {
		t.Errorf("answers are %q", got)
	}

	// Told to be silent, it is: the next report is of another kind.
	if err := f.SetAnswers(t.Context(), "d1", devicesim.AnswersNothing, 0); err != nil {
		t.Fatal(err)
	}
	h.desire("d1", `{"a":2}`)
	events.next(devicesim.KindPatch)
	if err := f.SetConnectivity(t.Context(), "d1", "wifi"); err != nil {
		t.Fatal(err)
	}
	if e := events.next(devicesim.KindReported); compact(t, e.Payload) != `{"connectivity":"wifi"}` {
		t.Errorf("reported %s, want the connectivity alone", compact(t, e.Payload))
	}
}
