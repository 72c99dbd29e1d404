package views

import (
	"strings"

	"github.com/a-h/templ"
)

// TwinProps is the page of one device: what is wanted beside what it says.
type TwinProps struct {
	DeviceID string
	Tabs     []Tab
	Lead     string
	// Notice stands above the table when the values shown are not the hub's
	// present ones ("from 14:02"); empty when they are.
	Notice  string
	Compare CompareProps
	Tags    TagsProps
	Sizes   []SizeProps
	Foot    TwinFootProps
}

// TwinHeadProps stands beside the device's name. Versions are the numbers of
// desired and reported.
type TwinHeadProps struct {
	Connection        ConnectionProps
	Desired, Reported string
	EditHref          string
}

// CompareProps are the settings, those that need a look first. Folded are equal
// ones; DeviceOnly are values that nobody wants anything of.
type CompareProps struct {
	Shown, Folded, DeviceOnly CompareList
	// Preview names the first of DeviceOnly, for the closed fold.
	Preview []ValuePair
	// EditHref leads to the form that adds the first setting.
	EditHref string
	// NeverReported is true when the device has never said anything.
	NeverReported bool
}

// CompareList is a list of settings, those deep in an object together.
type CompareList []CompareItem

// CompareItem is one setting, or the settings of a branch that folds. ID and Path
// are the branch's, empty for a setting by itself.
type CompareItem struct {
	ID, Path string
	Rows     []SettingProps
}

// Rows are all settings of the list.
func (l CompareList) Rows() (rows []SettingProps) {
	for _, item := range l {
		rows = append(rows, item.Rows...)
	}
	return rows
}

// IsBranch reports whether the item folds. One setting alone never does.
func (i CompareItem) IsBranch() bool { return len(i.Rows) > 1 }

// state is the branch's: that of its first setting, which needs attention most.
func (i CompareItem) state() string { return i.Rows[0].State }

// TraceProps is the way of a wanted value to the device and back.
type TraceProps struct {
	ID    string
	Steps []TraceStep
}

// TraceStep is one step: Time is the time of day of the first and how long after
// it the others were, empty where that is not known. Done tells what has happened
// from what has not yet.
type TraceStep struct {
	Text string
	Time AgeProps
	Done bool
}

// ValuePair is a name and its value in one line.
type ValuePair struct {
	Name  string
	Value ValueProps
}

// SettingProps is one line of the comparison.
type SettingProps struct {
	ID      string // of the row, the same as long as the path is
	Path    string
	State   string
	Wanted  ValueProps
	Device  ValueProps
	Age     AgeProps
	Travels bool // a change is on its way to the device
	// Note is a message id with one place, Age, which Ago takes; empty for none.
	Note string
	Ago  AgeProps
	// Answer is the device's own text with its code, as it said it.
	Answer, Code string
	// Own is true when the device chose the value itself at its start.
	Own   bool
	Mend  *MendProps
	Trace TraceProps
}

// MendProps is a change of one setting that takes one click. Fields are the
// hidden fields of its form: what the person sees now, and what it becomes.
type MendProps struct {
	ID, Action, Label string
	Fields            []Hidden
}

// ValueProps is one value, written so that its type shows: a text that reads as
// a number stands in quotes. Long ones open on request: Short is their start,
// Size says how long.
type ValueProps struct {
	Text        string
	Missing     bool
	Short, Size string
	ID          string // of a long one, which stays open through live changes
}

// TagsProps are the tags of a device.
type TagsProps struct {
	Tags     []ValuePair
	EditHref string
}

// TwinFootProps says how old the page is and takes its content elsewhere.
type TwinFootProps struct {
	Read           AgeProps
	Az, Curl, Link string
	RawHref        string
}

// TwinJSONProps is the whole document, section by section.
type TwinJSONProps struct {
	DeviceID string
	Notice   string // why the values may be old, empty when they are not
	Tabs     []Tab
	Sections []JSONSection
	Whole    string // as text
	RawHref  string
}

// JSONSection is one section of a twin: Name is what people call it, Technical
// what it is called in the document.
type JSONSection struct {
	ID, Name, Technical string
	Size                SizeProps
	Tree                JSONNode
	EditHref            string // empty for what only the device writes
}

// TwinEditProps is the form for one section of a twin.
type TwinEditProps struct {
	DeviceID string
	Section  string // "tags" or "desired"
	Action   string
	Hidden   []Hidden // what the person saw when they began
	AsJSON   bool
	Rows     []EditRow
	Editor   EditorProps
	Errors   []FieldError
	// Failure says why the last attempt was not carried out; nil for none.
	Failure    *ErrorProps
	Size       SizeProps
	Based      string // the version the form began with, as a sentence
	CancelHref string
	// Many is that it is about many twins: rows say what is set and what removed,
	// and Names are offered.
	Many  bool
	Names []string
}

// EditRow is one setting being edited.
type EditRow struct {
	PathID, ValueID, RestoreID string
	Path                       string
	Known                      bool // its name is fixed
	Kind                       string
	Text                       string
	Removed                    bool
	PathError, ValueError      string
	RemoveValue, RestoreValue  string // of the buttons
	Focus                      string // "path", "value", "restore" or ""
}

// TwinReviewProps is a change before it is sent.
type TwinReviewProps struct {
	DeviceID   string
	Section    string
	Action     string
	Hidden     []Hidden
	Count      int
	Changes    []ChangeProps
	Bytes      string
	Size       SizeProps
	Request    string
	Az, Curl   string
	CancelHref string
	Failure    *ErrorProps
	// Kept are changes by others that stay as they are.
	Kept []ChangeProps
}

// ChangeProps is one value before and after.
type ChangeProps struct {
	Path     string
	Old, New ValueProps
}

// TwinConflictProps is a change that met another one.
type TwinConflictProps struct {
	DeviceID         string
	Section          string
	Action           string
	Hidden           []Hidden
	Before, Now      string // versions
	Conflicts        []ConflictProps
	Kept             []ChangeProps
	Errors           []FieldError
	CancelHref       string
	KeptCount, Count int
}

// ConflictProps is one place that both changed. Index names its fields.
type ConflictProps struct {
	Index              string
	Path               string
	Base, Theirs, Mine ValueProps
	Changed            AgeProps // when the hub's value was written; Text may be empty
	Choice             string   // "mine", "theirs", "other" or ""
	OtherKind, Other   string
	Error              string
}

// Kinds of value a row of the form offers, with their message ids.
var editKinds = []struct{ value, label string }{
	{"text", "twin.kind.text"},
	{"number", "twin.kind.number"},
	{"boolean", "twin.kind.boolean"},
	{"json", "twin.kind.json"},
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// addLabel is the message of the button that adds a row.
func (p TwinEditProps) addLabel() string {
	switch {
	case p.Many:
		return "bulk.edit.add." + p.Section
	case p.Section == "tags":
		return "twin.add.tag"
	}
	return "twin.add"
}

// nameAttrs offer the names that there are.
func (p TwinEditProps) nameAttrs() templ.Attributes {
	if p.Many && len(p.Names) > 0 {
		return templ.Attributes{"list": "edit-names", "autocomplete": "off"}
	}
	return nil
}

// control is the kind of field for a value; what is no boolean yet cannot be
// shown as a choice of two.
func (r EditRow) control() string {
	if r.Kind == "boolean" && r.Text != "true" && r.Text != "false" {
		return "text"
	}
	return r.Kind
}

// lines is how many lines a field for JSON needs, within reason.
func lines(s string) int { return min(8, max(1, strings.Count(s, "\n")+1)) }

// editAttrs ties a field to its mistake.
func editAttrs(id, problem string) templ.Attributes {
	if problem == "" {
		return nil
	}
	return templ.Attributes{"aria-invalid": "true", "aria-describedby": describedBy(id, "", problem)}
}

// kindAttrs helps typing: a keyboard with digits, the two words of a boolean.
func kindAttrs(kind string) templ.Attributes {
	switch kind {
	case "number":
		return templ.Attributes{"inputmode": "decimal"}
	case "boolean":
		return templ.Attributes{"placeholder": "true / false"}
	}
	return nil
}
