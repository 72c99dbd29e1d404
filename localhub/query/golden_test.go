package query

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the tests find into testdata")

// golden runs answer for each query of a file and compares. The file holds
// blocks of query and answer, apart by a line of dashes, each query and its
// answer by a line of equal signs.
func golden(t *testing.T, file string, least int, answer func(t *testing.T, query string) string) {
	t.Helper()
	const between, apart = "\n====\n", "\n----\n"
	stored, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(strings.TrimSuffix(string(stored), "\n"), apart)
	if len(blocks) < least {
		t.Errorf("%d queries in %s, want at least %d", len(blocks), file, least)
	}
	seen := map[string]bool{}
	for i, block := range blocks {
		query, want, _ := strings.Cut(block, between)
		if seen[query] {
			t.Errorf("query stands twice: %s", query)
		}
		seen[query] = true
		got := answer(t, query)
		blocks[i] = query + between + got
		if *update {
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n(-want +got)\n%s", query, diff)
		}
	}
	if !*update {
		return
	}
	if err := os.WriteFile(file, []byte(strings.Join(blocks, apart)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// describe prints a problem's code and, when there is one, the repaired query.
func describe(p Problem, query string) string {
	s := "[" + string(p.Code) + "]"
	if p.Repair != nil {
		s += "\nrepaired: " + p.Repair.Apply(query)
	}
	return s
}

// TestRefused compares the whole text of each refusal, and holds every offered
// repair to what it promises: the same mistake is gone from that place.
func TestRefused(t *testing.T) {
	golden(t, "testdata/refused.txt", 225, func(t *testing.T, query string) string {
		q, err := Parse(query)
		if err == nil {
			t.Errorf("accepted: %s\nas %s", query, q)
			return "accepted"
		}
		e := func() *Error {
			target := &Error{}
			_ = errors.As(err, &target)
			return target
		}()
		if e.Repair != nil {
			_, err := parse(e.Repair.Apply(query), hubLimits)
			if err != nil && err.Code == e.Code && err.Offset <= e.Offset {
				t.Errorf("repair of %s leaves the mistake: %s", query, e.Repair.Apply(query))
			}
		}
		return e.Error() + "\n" + describe(e.Problem, query)
	})
}

func TestWarnings(t *testing.T) {
	golden(t, "testdata/warned.txt", 15, func(t *testing.T, query string) string {
		q, err := Parse(query)
		if err != nil {
			t.Errorf("refused: %v", err)
			return "refused"
		}
		var all []string
		for _, w := range q.Warnings {
			if w.Repair != nil {
				repaired, err := Parse(w.Repair.Apply(query))
				if err != nil {
					t.Errorf("repair of %s: %v", query, err)
				} else if len(repaired.Warnings) >= len(q.Warnings) {
					t.Errorf("repair of %s leaves %d warnings", query, len(repaired.Warnings))
				}
			}
			shown := Error{Problem: w, text: query}
			all = append(all, shown.Error()+"\n"+describe(w, query))
		}
		if len(all) == 0 {
			return "none"
		}
		return strings.Join(all, "\n")
	})
}

// TestCodes holds that each code has a text, that a stored example shows it
// (some are too long to store) and that no placeholder stays unfilled.
func TestCodes(t *testing.T) {
	var shown strings.Builder
	for _, file := range []string{"testdata/refused.txt", "testdata/warned.txt"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(content)
	}
	elsewhere := map[Code]bool{codeTooLong: true, codeTooDeep: true, codeTooManyOperands: true, codeNotUTF8: true}
	for _, code := range Codes() {
		if English(code).Text == "" {
			t.Errorf("%s has no text", code)
		}
		if !elsewhere[code] && !strings.Contains(shown.String(), "["+string(code)+"]") {
			t.Errorf("no example of %s", code)
		}
	}
	if i := strings.IndexAny(shown.String(), "{}"); i >= 0 {
		t.Errorf("unfilled placeholder near %q", shown.String()[max(0, i-40):i+1])
	}
}
