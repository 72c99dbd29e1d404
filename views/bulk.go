package views

// BulkProps is one act on many devices: the question first, then how far it is.
type BulkProps struct {
	Title string
	Phase string // "asked", "running", "stopped", "interrupted" or "done"
	Path  string
	// Danger says that what is done cannot be undone.
	Danger bool
	Ask    BulkAsk

	Lead, Failed, Unsure, Already, Left, Applied, Wait, Problem string    // sentences; "" for none
	Sets                                                        []BulkSet // what a change of twins sets and removes
	Done, Total                                                 int
	GoOn, Leave, Undo, Retry                                    string // labels of the buttons; "" for none
	Items                                                       []BulkItem
	More                                                        string // how many are not listed
	ListHref, CSVHref                                           string
}

// BulkAsk is the question before an act. Word must be typed when it is not "".
type BulkAsk struct{ Text, Note, Submit, Word, Prompt, Error string }

// BulkItem is one device of an act. State is "failed", "unsure", "left", "done",
// "already" or "", and Word says it; Line is where the device stands in the text it
// came from. Changes are the first values that were changed; Rest says how many more.
type BulkItem struct {
	ID, Href, Line, State, Word, Text string
	Changes                           []ChangeProps
	Rest                              string
}

// BulkSet is one name that a change of many twins sets or removes. ID is its
// sentence, with the places Path and Value.
type BulkSet struct {
	ID, Path string
	Value    ValueProps
}

// BulkEditProps is the form for what to change of many twins. Which says how many
// devices these are; Items are the first.
type BulkEditProps struct {
	Lead, Which string
	Items       []BulkItem
	More        string
	Edit        TwinEditProps
}

// BulkReviewProps is a change of many twins before it is made.
type BulkReviewProps struct {
	Action, CancelHref string
	Hidden             []Hidden
	Lead               string
	Notes              []string // sentences about the devices that do not change
	Sets               []BulkSet
	TooMuch            []BulkItem // those that cannot take it
	TooMuchMore        string
	Sample             []BulkSample
	Others             string // how many change from other values
	Fresh              string // what is done with each of the devices
	Nothing            bool   // no device needs it
	Ask                BulkAsk
	Request            string
}

// BulkSample is a device with what changes of it; More says how many change alike.
type BulkSample struct {
	ID, Href, More string
	Changes        []ChangeProps
	Rest           string // how many more changes there are
}

// ImportProps is the form for many devices. What was typed comes back with the
// problems found in it; OnlyGood offers to add the rest.
type ImportProps struct {
	Action, CancelHref          string
	Pattern, Tags, Desired, CSV string
	FileHint                    string
	Problems                    []LineProblem
	OnlyGood                    string
}

// LineProblem says what is wrong with a line and how to mend it.
type LineProblem struct{ Line, ID, Text string }
