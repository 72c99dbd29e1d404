package views

// BulkProps is one act on many devices: the question first, then how far it is.
type BulkProps struct {
	Title string
	Phase string // "asked", "running", "stopped" or "done"
	Path  string
	// Danger says that what is done cannot be undone.
	Danger bool
	Ask    BulkAsk

	Lead, Failed, Unsure, Already, Wait, Problem string // sentences; "" for none
	Done, Total                                  int
	GoOn, Leave, Undo, Retry                     string // labels of the buttons; "" for none
	Items                                        []BulkItem
	More                                         string // how many are not listed
	ListHref, CSVHref                            string
}

// BulkAsk is the question before an act. Word must be typed when it is not "".
type BulkAsk struct{ Text, Submit, Word, Prompt, Error string }

// BulkItem is one device of an act. State is "failed", "unsure", "done", "already" or "",
// and Word says it; Line is where the device stands in the text it came from.
type BulkItem struct{ ID, Href, Line, State, Word, Text string }

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
