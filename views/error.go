package views

// ErrorProps says what happened, what is safe and what to do, in that order,
// in whole sentences of the page's language.
type ErrorProps struct {
	What string
	Safe string // may be empty
	Do   string // may be empty
	// Detail is what the hub or a parser said, as it said it; may be empty.
	Detail string
	// Actions are the ways on; the first is the recommended one.
	Actions []Link
	// Reference finds the request in the log; may be empty.
	Reference string
}
