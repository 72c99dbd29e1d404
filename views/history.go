package views

// HistoryProps is what changed on a device or module, newest first, or (Past)
// how it was at one of those moments.
type HistoryProps struct {
	Tabs []Tab
	Lead string
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
}

// PastProps is a device as it was just after a change.
type PastProps struct {
	When, Version        string
	Row                  ChangeRow
	Changes              []ChangeProps // all values of the change
	OlderHref, NewerHref string
	NowHref, UndoHref    string
	Unsure               []string // gaps since, in which more may have changed
	Sections             []PastSection
}

// PastSection is tags or desired properties at that time.
type PastSection struct {
	ID, Title, Technical string
	Values               []PastValue
}

// PastValue is a value then, and what it is now where that differs.
type PastValue struct {
	Path string
	Then ValueProps
	Now  *ValueProps
}
