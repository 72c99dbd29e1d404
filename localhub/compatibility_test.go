package localhub

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// compatibilityRow is a row of a table of docs/compatibility.md.
type compatibilityRow struct {
	name, state, ground string
	tests               []string
}

// compatibilityRows reads the tables that have a state.
func compatibilityRows(t *testing.T) (rows []compatibilityRow) {
	t.Helper()
	page, err := os.ReadFile("../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 5 || cells[1] == "State" || strings.HasPrefix(cells[1], "---") {
			continue
		}
		rows = append(rows, compatibilityRow{cells[0], cells[1], cells[3], quoted(cells[4])})
	}
	if len(rows) < 50 {
		t.Fatalf("only %d rows were found", len(rows))
	}
	return rows
}

// quoted returns what stands between backquotes.
func quoted(s string) (out []string) {
	for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(s, -1) {
		out = append(out, match[1])
	}
	return out
}

// testsOfTheProject are the names of all tests, of every package.
func testsOfTheProject(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, dir := range []string{".", "query", "store", "conformance", "../hubclient", "../hubclient/iothub", "../devicesim", "../cmd/twinboard"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
				tests[match[1]] = true
			}
		}
	}
	return tests
}

// TestCompatibilityPage holds docs/compatibility.md and the hub together: the
// operations both ways, and the tests that its rows name.
func TestCompatibilityPage(t *testing.T) {
	rows, tests := compatibilityRows(t), testsOfTheProject(t)
	states := map[string]string{}
	for _, row := range rows {
		if operation := quoted(row.name); len(operation) == 1 && strings.Contains(operation[0], " /") {
			states[operation[0]] = row.state
		}
		if !slices.Contains([]string{"supported", "differs", "not ours", "ours"}, row.state) {
			t.Errorf("%s: unknown state %q", row.name, row.state)
		}
		for ground := range strings.SplitSeq(row.ground, ", ") {
			if !slices.Contains([]string{"measured", "documented", "SDK", "choice"}, ground) {
				t.Errorf("%s: unknown ground %q", row.name, ground)
			}
		}
		if len(row.tests) == 0 {
			t.Errorf("%s names no test", row.name)
		}
		for _, name := range row.tests {
			if !tests[name] {
				t.Errorf("%s: there is no %s", row.name, name)
			}
		}
	}
	refused := map[string]bool{}
	for _, a := range absences() {
		refused[a.method+" "+a.path] = true
	}
	w := startWire(t)
	for _, r := range w.hub.rest.echo.Routes() {
		operation := r.Method + " " + r.Path
		if r.Method == echo.RouteNotFound {
			continue
		}
		state, told := states[operation]
		switch {
		case !told:
			t.Errorf("the page lacks %s", operation)
		case refused[operation] != (state == "not ours"):
			t.Errorf("the page calls %s %q", operation, state)
		}
		delete(states, operation)
	}
	for operation := range states {
		t.Errorf("the hub has no route %s", operation)
	}
}
