package views

// HubNotice says that a hub cannot be read at the moment: what happened, of when
// the page is, and when it is tried again. Its zero value says nothing.
type HubNotice struct {
	Title, Text string
	// TryAction tries at once and leads to Back.
	TryAction, Back string
}

// HubUnread stands in the place of what a hub would say, when it has said
// nothing yet and reading has failed: what happened, why, and what to do.
type HubUnread struct {
	HubNotice
	Why, Do string
	// Detail is what the hub said, as it said it; may be empty.
	Detail string
}
