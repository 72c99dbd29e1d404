package localhub

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"twinboard/localhub/query"
)

func TestParsedQueriesAreKept(t *testing.T) {
	p := newParsed()
	const text = "SELECT * FROM devices WHERE tags.a = 1"
	first, err := p.parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.parse(text); err != nil || again != first {
		t.Errorf("the same text is read again: %v", err)
	}
	if other, err := p.parse(text + "1"); err != nil || other == first {
		t.Errorf("another text is taken for it: %v", err)
	}
	var bad *query.Error
	for range 2 {
		if _, err := p.parse("SELECT"); !errors.As(err, &bad) {
			t.Errorf("a mistake is %v", err)
		}
	}
	for i := range 2 * parsedBytes / (parsedFactor * len(text)) {
		if _, err := p.parse(fmt.Sprintf("%s + %d", text, i)); err != nil {
			t.Fatal(err)
		}
	}
	if q := p.queries; q.used > parsedBytes || len(q.entries) > parsedBytes/(parsedFactor*len(text)) {
		t.Errorf("%d queries are kept, %d bytes by estimate", len(q.entries), q.used)
	}
	if again, err := p.parse(text); err != nil || again == first {
		t.Errorf("the query used longest ago is kept: %v", err)
	}
}

// TestParsedQueriesInMemory compares the estimate with the heap, for queries that
// are as large as they can be for their length.
func TestParsedQueriesInMemory(t *testing.T) {
	for _, term := range []string{"1=1 OR ", "a=a OR ", "NOT a AND ", "a+a+a+a+a+a=1 OR ", "a IN[1,2,3,4] OR ", "-a=1 OR ", "a.b.c.d.e=1 OR "} {
		t.Run(term, func(t *testing.T) {
			const count = 50
			text := "SELECT * FROM devices WHERE " + strings.Repeat(term, 3000/len(term)) + "1=1"
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			p := newParsed()
			for i := range count {
				if _, err := p.parse(fmt.Sprintf("%s OR a%d = 1", text, i)); err != nil {
					t.Fatal(err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			took, estimate := int(after.HeapAlloc)-int(before.HeapAlloc), p.queries.used
			t.Logf("%d KB, by estimate %d KB", took>>10, estimate>>10)
			if took > estimate {
				t.Errorf("%d queries take %d bytes, by estimate %d", len(p.queries.entries), took, estimate)
			}
			runtime.KeepAlive(p)
		})
	}
}
