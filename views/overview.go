package views

// OverviewProps answers whether everything of a hub is as wanted.
type OverviewProps struct {
	Lead, More string
	Notice     HubNotice
	// Shape is "none" for a hub without devices, "reading" while none is known
	// yet, "unread" when reading failed before one was, else "full".
	Shape     string
	Host      string    // which is read
	Unread    HubUnread // why it cannot be, of the shape "unread"
	Filling   string    // how far the first reading is, empty when it is through
	Bar       StateBarProps
	Look      LookProps
	Changes   LatestProps
	Tutorial  *DoorProps
	Simulator *DoorProps
	// Ways out of an empty hub.
	AddHref, StartAction, ConnectHref string
}

// StateBarProps is the devices by state; each part is a filter of the list.
type StateBarProps struct {
	Parts   []StatePart
	Offline ChoiceLink
}

// StatePart is one state: X and Width are its place in the bar, in percent.
type StatePart struct {
	State, Count, Href string
	X, Width           string
}

// LookProps are the devices that need a look first. None is the sentence for
// when there are none.
type LookProps struct {
	Rows       []LookRow
	None       string
	All, AllID string // "See all 12"
	AllHref    string
}

// LookRow is one device, its first setting that matters, and how that stands in
// words; Answer is what the device said about it.
type LookRow struct {
	Device, Href, State string
	Setting             string
	Words               string
	Answer              string
	Age                 AgeProps
}

// LatestProps are the latest changes of the hub.
type LatestProps struct {
	Rows    []ChangeRow
	AllHref string
}

// DoorProps is a card that leads on. Close hides it for good; "" cannot be
// closed.
type DoorProps struct {
	Title, Text, State string
	Go                 Link
	CloseAction, Icon  string
	Done, Total        int // of a progress; Total 0 shows none
}

// WelcomeProps are the three doors of the first visit.
type WelcomeProps struct {
	Look, Learn Link
	Hubs        []Link // other hubs, when there are several
	Commands    []CodeProps
}
