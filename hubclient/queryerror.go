package hubclient

import (
	"encoding/json"
	"fmt"

	"twinboard/hubclient/iothub"
)

// QueryError is a refused query with the place of the mistake, which the local
// hub adds to its answer as the member position. It unwraps to the refusal.
type QueryError struct {
	Refusal *iothub.Error     `json:"-"`
	Code    string            `json:"code"`    // stable, for translations
	Args    map[string]string `json:"args"`    // what the text's placeholders stand for
	Message string            `json:"message"` // one sentence: what is wrong
	Hint    string            `json:"hint"`    // what to do; may be empty
	Offset  int               `json:"offset"`  // bytes from the beginning of the query
	Line    int               `json:"line"`    // from 1
	Column  int               `json:"column"`  // from 1, in characters
	Length  int               `json:"length"`  // in characters
	Repair  *QueryRepair      `json:"repair"`  // nil when nothing can be offered
}

// QueryRepair is a change of the query that removes a mistake: Text in place of
// the bytes from Start to End.
type QueryRepair struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Text  string `json:"text"`
}

func (e *QueryError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

func (e *QueryError) Unwrap() error { return e.Refusal }

// withPosition makes a *QueryError of a refusal that says where. Azure's hubs
// never do.
func withPosition(refused *iothub.Error, body []byte) error {
	var answer struct {
		Position *QueryError `json:"position"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Position == nil || answer.Position.Line == 0 {
		return refused
	}
	e := answer.Position
	e.Refusal = refused
	if e.Message == "" {
		e.Message = refused.Message
	}
	return e
}
