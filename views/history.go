package views

// HistoryProps is what changed on a device or module, newest first, or (Past)
// how it was at one of those moments.
type HistoryProps struct {
	Tabs []Tab
	Lead string
	// Gone says that the device or module is no longer registered, "" while it is.
	Gone string
	// Watched says since when Twinboard has watched, which is as far as this
	// reaches.
	Watched string
	// Unknown says that nothing is known of the moment asked for.
	Unknown string
	Days    []ChangeDay
	Foot    PagerProps
	CSVHref string // of all changes
	NowHref string
	Past    *PastProps
	Compare *DifferenceProps
	Chooser *HistoryChooser
}

// HistoryChooser offers two versions to compare, by links to the same page: From
// and To are what can be chosen.
type HistoryChooser struct {
	Path     string
	From, To []Option
}

// DifferenceProps is what differs between two versions of a device.
type DifferenceProps struct {
	Lead     string // how much differs
	From, To string // their times
	// FromHref and ToHref show the device as it was; "" for now.
	FromHref, ToHref, NowHref string
	Same                      string // how many values do not differ
	Boundary                  string // says that the two are of different devices with one id
	Unsure                    []string
	Sections                  []PastSection // what differs
}

// PastProps is a device as it was just after a change.
type PastProps struct {
	When, Version        string
	Row                  ChangeRow
	Changes              []ChangeProps // all values of the change
	OlderHref, NewerHref string
	NowHref, UndoHref    string
	Former               string   // says that it is of an earlier device with this id
	Unsure               []string // gaps since, in which more may have changed
	Sections             []PastSection
}

// PastSection is tags or desired properties at that time. Then and Now head the
// columns; there is no second one without Now.
type PastSection struct {
	ID, Title, Technical string
	Then, Now            string
	Values               []PastValue
}

// PastValue is a value then, and what it is now where that differs.
type PastValue struct {
	Path string
	Then ValueProps
	Now  *ValueProps
}
