package store

import (
	"fmt"

	"twinboard/hubclient/iothub"
)

// textOf is a part of a twin as text: a document, or metadata.
func textOf(part any) []byte { return appendPart(nil, part) }

func appendPart(out []byte, part any) []byte {
	if d, ok := part.(iothub.Document); ok && d == nil {
		part = iothub.Document{}
	}
	out, err := iothub.AppendJSON(out, part)
	if err != nil {
		// A Document holds nothing that JSON cannot; if it does, it is our mistake.
		panic(fmt.Sprintf("store: %v", err))
	}
	return out
}
