package views

// ChangesProps is what changed on a hub, newest first.
type ChangesProps struct {
	Lead   string
	Note   string // where it comes from, and what is not in it
	Filter ChangesFilter
	Days   []ChangeDay
	Foot   PagerProps
	// NoHits says what the filter asked for, when nothing matches.
	NoHits string
	// DevicesHref leads on from a journal with nothing in it.
	DevicesHref string
}

// ChangesFilter is what of the journal is shown.
type ChangesFilter struct {
	Path, Device string
	Hidden       []Hidden // what the search form carries along
	Kinds, Who   []ChoiceLink
	Chips        []ChipProps
	ClearHref    string
}

// ChangeDay is the changes of one day.
type ChangeDay struct {
	ID, Title string
	Changes   []ChangeRow
}

// ChangeRow is one change of a device, or one that several got alike.
type ChangeRow struct {
	ID           string // of the element
	Time         AgeProps
	Device, Href string
	Devices      string // "3 devices" instead of Device, for several
	Gone         bool   // the device is no longer registered
	Former       bool   // it was an earlier one with the same id
	// Kind is "tags", "desired" or "state".
	Kind       string
	Was, State string // of a state
	Values     []ChangeProps
	More       string // how many values are not shown
	// By says in words who it was; Who is a name in it, as "iothubowner".
	By      string
	Who     string
	WhoHref string
	// HistoryHref shows the device at that time, UndoHref reviews the inverse.
	HistoryHref, UndoHref string
	HistoryKey            string // presses HistoryHref; "" for none
	Version               string // of the wanted settings; shown on the page of one device
	Deleted               bool   // the device or module was deleted
	// Boundary says, above the line, that it and all below are of another device
	// with the same id; "" for no boundary.
	Boundary string
	// Gaps say, above the line, when between it and the next newer one nobody
	// watched.
	Gaps []string
}

// ChangesNewProps is the offer to show what has come since; Text is empty for
// nothing.
type ChangesNewProps struct{ Text, Href string }

func changeIcon(kind string) string {
	if kind == "tags" {
		return "tag"
	}
	return "sliders-horizontal"
}
