package iothub

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompatibilityPageErrors holds the error codes of docs/compatibility.md and
// those known here together.
func TestCompatibilityPageErrors(t *testing.T) {
	page, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| Code | Number | Status |\n|---|---|---|\n")
	if !found {
		t.Fatal("the page has no table of error codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	told := strings.Split(strings.TrimSpace(table), "\n")
	var want []string
	for _, e := range known {
		want = append(want, fmt.Sprintf("| `%s` | %d | %d |", e.Code, e.Number, e.Status))
	}
	slices.Sort(told)
	slices.Sort(want)
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("(-known +on the page):\n%s", d)
	}
}
