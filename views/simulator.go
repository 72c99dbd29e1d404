package views

import (
	"context"

	"github.com/a-h/templ"

	"twinboard/views/text"
)

// SimulatorProps is the simulator, on its own page or docked beside another.
type SimulatorProps struct {
	Path string // "/h/local/simulator"
	Back string // the page to return to after a form
	// Docked is beside another page: compact, and This is the device of that page.
	Docked   bool
	This     *SimThisProps
	Summary  SimSummaryProps
	Start    SimStartProps
	Progress SimProgressProps
	List     SimListProps
	Feed     FeedProps
	Lines    []SimLineProps
}

// SimSummaryProps is the sentence over all devices. Running is how many there
// are to stop; StopWord, if set, must be typed to stop them.
type SimSummaryProps struct {
	Path, Back string
	Docked     bool
	Lead       string
	Running    int
	StopWord   string
}

// SimStartProps are the forms that start devices, with their mistakes.
type SimStartProps struct {
	Path, Back           string
	Count, CountError    string
	Prefix, PrefixError  string
	ID, IDError          string
	Answers              []ChoiceProps
	Open                 bool // shown at once: nothing runs yet, or something is wrong
	Presets              []SimPreset
	CreateHref, CreateID string // an unknown device could be registered there
}

// SimPreset is a number of devices to start by one click.
type SimPreset struct {
	Count       int
	Prefix      string
	Title, Text string
}

// SimProgressProps is how far a start has come; Text is empty when none runs.
// Failures are devices that could not be started at all.
type SimProgressProps struct {
	Text     string
	Failures []SimFailure
	More     string // "and 12 more"
}

// SimFailure is a device that was not started, and why.
type SimFailure struct{ ID, Text string }

// SimListProps are the devices shown; More says how many are not.
type SimListProps struct {
	Path, Back         string
	Rows               []SimRowProps
	More               string
	AllHref            string // from the docked panel to all of them
	FirstHref, NextRef string
}

// SimRowProps is one simulated device. State is "online", "connecting",
// "backoff" or "stopped".
type SimRowProps struct {
	Path, Back   string
	ID, Href     string
	State        string
	Since        AgeProps
	Reason       string // why it is in back-off, and when it tries again
	Networks     []SimChoice
	Answers      []SimChoice
	Patch        string // the latest desired patch; "" before the first
	PatchVersion string
	PatchTime    AgeProps
	Mistake      string // why what was just asked could not be done
}

// SimChoice is one of the ways a device can be: a network it is on, or how it
// answers. Hint says more than the label.
type SimChoice struct {
	Value, Label, Icon, Hint string
	Chosen                   bool
}

// SimThisProps is the device of the page beside the docked panel: its row, or
// the offer to simulate it.
type SimThisProps struct {
	Path, Back string
	ID         string
	Row        *SimRowProps
	// Elsewhere says that something else is connected as this device; Cloud that
	// starting it asks first.
	Elsewhere, Cloud bool
}

// SimLineProps is one line of the feed: a message with its places.
type SimLineProps struct {
	Feed, ID     string
	Time         AgeProps
	Device, Href string
	Kind         string
	Arrow        string // "←" to the device, "→" from it, "" for what it does
	Message      string // id of the message
	Payload      string
	Version      int64
	Detail       string
}

// SimConfirmProps asks before devices are run on a hub in the cloud.
type SimConfirmProps struct {
	Confirm ConfirmProps
	IDs     []string
	More    string
}

func (p SimRowProps) dom() string { return "sim-row-" + p.ID }

func (p SimRowProps) sign() string {
	switch p.State {
	case "online":
		return "online"
	case "connecting":
		return "waiting"
	case "backoff":
		return "waiting-offline"
	}
	return "offline"
}

// fragment replaces the section alone, where nothing is asked first.
func (p SimThisProps) fragment() templ.Attributes {
	if p.Cloud {
		return nil
	}
	return templ.Attributes{"hx-post": p.Path + "/device", "hx-target": "#sim-this", "hx-swap": "outerHTML"}
}

func (p SimRowProps) stopped() bool { return p.State == "stopped" }

// SimStopAll asks before all devices are stopped.
func SimStopAll(ctx context.Context, p SimSummaryProps) ConfirmProps {
	c := ConfirmProps{
		ID: "sim-stop-all", Title: text.T(ctx, "simulator.stop-all.title"), Text: text.T(ctx, "simulator.stop-all.text", "Count", p.Running),
		Action: p.Path + "/stop-all", Submit: text.T(ctx, "simulator.stop-all", "Count", p.Running),
		Hidden: []Hidden{{Name: "back", Value: p.Back}},
	}
	if p.StopWord != "" {
		c.Word, c.WordPrompt = p.StopWord, text.T(ctx, "form.type-to-confirm", "Word", p.StopWord)
	}
	return c
}
