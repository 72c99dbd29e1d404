package views

// QueryProps is the page that asks a hub with IoT Hub's query language.
type QueryProps struct {
	Path   string // the page without a query
	Editor EditorProps
	Hidden []Hidden // choices that the form carries along
	// Used is "212 / 8,192 characters"; Limit is the number of characters a hub
	// accepts, UsedForm the same text with {n} in place of the number.
	Used, UsedForm string
	Limit          int
	Examples       []QueryExample
	// Mistake is what is wrong with the query; nil for nothing.
	Mistake *QueryMistake
	// Problem is why there is no answer although the query may be right.
	Problem *ErrorProps
	Result  *QueryResult // nil before the first run, and without an answer
}

// QueryExample is a query that fits the hub. Count is how many devices it
// finds, "" where that is not known.
type QueryExample struct{ ID, Title, Text, Href, Count string }

// QueryMistake is the place of a mistake: the line it is in and a marker under
// it. Repair is a link to the query without it; its zero value offers nothing.
type QueryMistake struct {
	Message, Hint string
	Line, Marker  string
	Repair        Link
	RepairText    string // what the repair writes, "" when it only takes away
}

// QueryResult is one page of an answer, as a table of twins, a table of rows or
// JSON.
type QueryResult struct {
	Lead string
	// When says when the hub answered and how long that took; Note what to keep
	// in mind about it.
	When, Note string
	Views      []ChoiceLink
	Twins      []QueryTwin
	Columns    []Column
	Rows       [][]QueryCell
	JSON       string // set instead of the tables
	Empty      bool   // no row on this page
	Pages      QueryPages
	Exports    []Link
	Az, Curl   string
	Link       string
}

// QueryTwin is a device in an answer that holds whole twins. Tags and Says are
// the first of its tags and reported values; the More texts say how many follow.
type QueryTwin struct {
	ID, Href           string
	State, Differs     string // "" when nothing is wanted, and when nothing differs
	Connection         ConnectionProps
	Tags, Says         []ValuePair
	MoreTags, MoreSays string
}

// QueryCell is a value of a row. Kind is "missing", "number", "text", "object"
// or another word for its type; Href leads to the device it names.
type QueryCell struct{ Text, Kind, Href string }

// QueryPages leads through the pages of an answer; its zero value is for an
// answer of one page. A hub leads forward only.
type QueryPages struct {
	Text                string
	FirstHref, NextHref string
	Sizes               []ChoiceLink
}
