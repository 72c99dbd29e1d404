package views

import "github.com/a-h/templ"

// DevicesProps is the list of a hub's devices.
type DevicesProps struct {
	Lead   string
	Notice HubNotice
	// Path is the list without any filter; Filter what is chosen.
	Path   string
	Filter DevicesFilter
	Table  DevicesTable
	Foot   PagerProps
	// Columns and Select are what one can do with the table.
	Columns ColumnChooser
	Select  SelectProps
	// Shape is "none" for a hub without devices, "reading" while none is known
	// yet, "unread" when reading failed before one was, else "list".
	Shape  string
	Host   string    // which is read
	Unread HubUnread // why it cannot be, of the shape "unread"
	// SimulatorHref leads to the simulator, from a hub without devices.
	SimulatorHref string
	// NoHits says what the filter asked for, when nothing matches.
	NoHits string
	// OpenID is an exact id that the list does not know; OpenHref its page.
	OpenID, OpenHref string
	// ImportHref leads to the form for many devices.
	ImportHref string
	Add        DeviceAddProps
}

// DevicesFilter is what of the list is shown. Hidden are the fields that the
// search form carries along.
type DevicesFilter struct {
	Text      string
	Hidden    []Hidden
	Facets    []Facet
	Chips     []ChipProps
	ClearHref string
}

// Facet is one property of devices with the values to choose from. Its label is
// a path when Mono. More are folded away; Rest says how many are not listed.
type Facet struct {
	ID, Label string
	Mono      bool
	Items     []FacetItem
	More      []FacetItem
	MoreLabel string
	Rest      string
}

// FacetItem is one value: a link that chooses it or lets it go. State is the
// sign before it, if any; Value sets the label as a value.
type FacetItem struct {
	State, Label, Count, Href string
	Value, Chosen             bool
}

// ColumnChooser offers paths to show as columns.
type ColumnChooser struct {
	Action string
	Hidden []Hidden
	Paths  []ColumnChoice
	Most   string // how many are possible
}

// ColumnChoice is one path with a value that a device has there. Param is its
// value in the address.
type ColumnChoice struct {
	Path, Param, Example, Count string
	Chosen                      bool
}

// SelectProps is the bar for what is selected in the list. One, Many and All say
// how much that is, with {n} for the number; Action takes the choice.
type SelectProps struct {
	Action         string
	One, Many, All string
	AllLabel       string // "" when the page shows everything
	Page           string // label of the choice of all rows
}

// ChoiceLink is one of several addresses of a page.
type ChoiceLink struct {
	Label, Count, Href string
	Chosen             bool
}

// ChipProps is a part of the filter that one can take away.
type ChipProps struct{ Label, RemoveHref, RemoveLabel string }

// DevicesTable is the rows of one page of the list.
type DevicesTable struct {
	Columns []Column
	Rows    []DeviceRowProps
}

// DeviceRowProps is one device in the list.
type DeviceRowProps struct {
	ID, Href string
	// State is empty when nothing is wanted of the device.
	State      string
	Differs    string // "1 of 9"
	Differing  bool
	Connection ConnectionProps
	Values     []RowValue // of the columns chosen
	Since      AgeProps   // when the state began; Text "" for no state
	Disabled   bool
	Gone       bool // deleted while the page was open
}

// RowValue is a value of a device in a column of one's choice.
type RowValue struct {
	Label, Text string
	None        bool // the device has nothing there
}

// dom is the element's id on the page.
func (p DeviceRowProps) dom() string { return "device-" + p.ID }

// OrderProps is the offer to bring the list up to date: Text says how much it
// has changed, empty when it has not.
type OrderProps struct{ Text, Href string }

// DeviceAddProps is the form for a new device.
type DeviceAddProps struct {
	Action     string
	ID         string // as typed
	Error      string
	CancelHref string // on a page of its own
	// Prefix keeps the ids of the form apart when it stands on a page twice.
	Prefix string
}

// IdentityProps is who a device is and how it signs in.
type IdentityProps struct {
	DeviceID string
	Tabs     []Tab
	Next     []Link // ways on for a device that has just been added
	Status   IdentityStatus
	Keys     []SecretProps
	// SecondKeys are folded away: the same again with the secondary key.
	SecondKeys []SecretProps
	// KeyActions change the keys; KeysWhy says what for.
	KeyActions []KeyAction
	KeysWhy    string
	// NoKeys says in a sentence why there are no keys to show; empty when there
	// are.
	NoKeys  string
	Connect []Fact
	Danger  DangerProps
}

// KeyAction is a change of a device's keys; Href asks on a page of its own.
type KeyAction struct {
	Confirm ConfirmProps
	Href    string
}

// SecretPageProps is a secret on a page of its own, for whoever has no script.
// Again shows it for longer, Hide leads away.
type SecretPageProps struct{ Label, Value, Again, Hide string }

// IdentityStatus is what changes while one looks.
type IdentityStatus struct {
	Enabled    bool
	Reason     string
	Connection ConnectionProps
	Facts      []Fact
	Gone       bool
	Module     bool // a module, which has no status of its own
}

// Fact is a name and its value; Mono sets the value as a value, Copy offers it.
type Fact struct {
	Label, Value string
	Age          AgeProps // instead of Value, when its Text is set
	Mono, Copy   bool
}

// DangerProps are the changes of an identity that reach far.
type DangerProps struct {
	Enable, Disable, Delete ConfirmProps
	DeleteHref              string
	DisableHref             string
	Enabled                 bool
	Module                  bool // a module, which can only be deleted
}

// ConfirmPageProps is a question on a page of its own. Error says what was
// wrong with the last answer.
type ConfirmPageProps struct {
	Confirm    ConfirmProps
	Error      string
	CancelHref string
}

func deviceAddAttrs(p DeviceAddProps) templ.Attributes {
	a := templ.Attributes{"maxlength": "256", "autofocus": true}
	if p.Error != "" {
		a["data-focus"] = true
	}
	return a
}

func dangerTitle(module bool) string {
	if module {
		return "modules.danger"
	}
	return "identity.danger"
}
