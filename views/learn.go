package views

import "strconv"

// LearnProps is one step of the tutorial, on its own page or docked beside
// another.
type LearnProps struct {
	// Path is the tutorial's address on its hub, "/h/local/learn"; Back is the
	// page to return to after a form of the panel.
	Path, Back string
	Docked     bool
	Number     int // of the step, from 1
	Progress   []LearnDot
	Place      string // "3 of 7"
	Title      string
	Text       []string
	// Values are what the step is about, name and value as they are typed.
	Values []LearnValue
	// Device asks for the device's id; nil where it is known.
	Device *FieldProps
	Secret *SecretProps
	// Go leads to the real page; its zero value shows nothing.
	Go     Link
	Status LearnStatus
	// Show is the label of what does the step, Check of what looks whether it is
	// done; "" shows no button.
	Show, Check string
	Tools       []LearnTool
	Wire        WireProps
	Causes      []string
	Links       []Link // where next
	Last        bool
}

// LearnDot is a step in the row of steps. State is "done", "current" or "open".
type LearnDot struct {
	Number       int
	State, Label string
}

// LearnValue is one name with its value.
type LearnValue struct{ Name, Value string }

// LearnStatus says whether the step's state is there. Text is the whole
// sentence.
type LearnStatus struct {
	Done bool
	Text string
}

// LearnTool is the step with another tool than this page.
type LearnTool struct {
	ID, Name string
	Code     []CodeProps
}

// WireProps is what really crossed the wire, oldest first.
type WireProps struct {
	ID, Summary, Empty string
	Open               bool // unfolded until somebody folds it
	Entries            []WireLine
}

// WireLine is one request with its answer, or one packet.
type WireLine struct {
	ID      string
	Time    AgeProps
	Kind    string // "HTTP" or "MQTT"
	Arrow   string // "→" from us, "←" to us
	Summary string // "PATCH /twins/d1 → 200"
	Detail  string // headers and bodies, secrets masked
}

func (p LearnProps) action(act string) string {
	return p.Path + "/" + strconv.Itoa(p.Number) + "/" + act
}
