package store

import (
	"fmt"

	"twinboard/hubclient/iothub"
)

// appender is a part of a twin that prints itself.
type appender interface {
	AppendJSON(out []byte) ([]byte, error)
}

// textOf is a part of a twin as text.
func textOf(part appender) []byte { return appendPart(nil, part) }

func appendPart(out []byte, part appender) []byte {
	if d, ok := part.(iothub.Document); ok && d == nil {
		part = iothub.Document{}
	}
	out, err := part.AppendJSON(out)
	if err != nil {
		// A Document holds nothing that JSON cannot; if it does, it is our mistake.
		panic(fmt.Sprintf("store: %v", err))
	}
	return out
}
