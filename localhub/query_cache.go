package localhub

import (
	"sync"

	"twinboard/localhub/query"
)

const (
	// parsedBytes bounds the queries kept, by estimate.
	parsedBytes = 8 << 20
	// parsedFactor is how many times the length of its text a query takes in
	// memory; those of many short operands come near it.
	parsedFactor = 128
)

// parsed keeps the queries used last as they were understood: programs ask the
// same few texts again and again, and reading one takes longer than answering
// it.
type parsed struct {
	mu      sync.Mutex
	queries *recent[string, *query.Query]
}

func newParsed() *parsed { return &parsed{queries: newRecent[string, *query.Query](parsedBytes)} }

// parse is query.Parse. The query is shared: it never changes.
func (p *parsed) parse(text string) (*query.Query, error) {
	p.mu.Lock()
	q, ok := p.queries.get(text)
	p.mu.Unlock()
	if ok {
		return q, nil
	}
	q, err := query.Parse(text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queries.put(text, q, parsedFactor*len(text))
	return q, nil
}
