package views

// MessagesProps are what a device sends and what happens to it.
type MessagesProps struct {
	Tabs   []Tab
	Notice string
	// Hidden is true on a hub that does not show messages.
	Hidden bool
	// Path, Kinds and Text are the filter's form; ClearHref shows everything.
	Path, Text, ClearHref string
	Kinds                 []Option
	Feed                  FeedProps
	Lines                 []MessageLineProps
	// Example sends a message as the device; Monitor reads messages elsewhere.
	Example, Monitor string
}

// MessageLineProps is one thing that happened. Preview is the start of a body in
// one line, Body the whole of it to open, empty where Preview is all.
type MessageLineProps struct {
	Feed, ID   string
	Time       AgeProps
	Kind       string
	Arrow      string // "→" from the device, "←" to it
	Title      string
	By         string // the policy of whoever did it, or ""
	Changes    []ChangeProps
	Note, Size string
	Preview    string
	Body       string
	Properties []ValuePair
	// WholeHref leads to the whole of a body that is cut here; "" for none.
	WholeHref string
}
