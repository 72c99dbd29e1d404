package views

// MethodsProps are the direct methods of a device: the form for the next call
// and the latest calls, newest first.
type MethodsProps struct {
	Tabs   []Tab
	Notice MethodsNoticeProps
	Form   MethodFormProps
	Calls  []MethodCallProps
}

// MethodsNoticeProps says before a call what will become of it.
type MethodsNoticeProps struct {
	Text    string
	Warning bool
}

// MethodFormProps is the form for a call. Names are methods called before.
type MethodFormProps struct {
	Action                  string
	Name, Response, Connect FieldProps
	Payload                 EditorProps
	Names                   []string
	Errors                  []FieldError
}

// MethodCallProps is one call. State is "running", "answered", "refused" (the
// device said no), "timeout", "offline" or "failed"; Text says it in a sentence.
type MethodCallProps struct {
	ID, Name        string
	Time            AgeProps
	State, Text     string
	Payload, Answer string
	AgainHref       string
}

// sign is the shape that goes with what became of a call.
func (p MethodCallProps) sign() string {
	switch p.State {
	case "running":
		return "waiting"
	case "answered":
		return "in-sync"
	case "refused":
		return "rejected"
	case "offline":
		return "waiting-offline"
	}
	return "differs"
}
