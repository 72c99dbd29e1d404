package web

import (
	"encoding/json"
	"strings"

	"twinboard/hubclient/iothub"
)

// formulas are the characters by which spreadsheets take a cell for a formula.
const formulas = "=+-@\t\r"

// csvCell keeps a text from becoming a formula: an apostrophe before it makes it
// a text. Numbers stay numbers.
func csvCell(s string) string {
	if s != "" && strings.ContainsRune(formulas, rune(s[0])) && !isNumber(s) {
		return "'" + s
	}
	return s
}

func isNumber(s string) bool {
	v, err := iothub.ParseValue([]byte(s))
	_, number := v.(json.Number)
	return err == nil && number
}

// csvID writes a device's name so that uncsvID reads the same. A name may begin
// with an apostrophe itself.
func csvID(id string) string {
	if len(id) > 0 && strings.ContainsRune(formulas, rune(id[0])) || guarded(id) {
		return "'" + id
	}
	return id
}

// uncsvID reads a device's name from a cell.
func uncsvID(cell string) string {
	if guarded(cell) {
		return cell[1:]
	}
	return cell
}

func guarded(s string) bool {
	return len(s) > 1 && s[0] == '\'' && strings.ContainsRune(formulas+"'", rune(s[1]))
}

// csvValue writes a value of a twin so that parseCell reads the same: a text as
// it is, unless that would read as something else or as a formula; then, like
// everything else, as JSON.
func csvValue(v any) string {
	s, isText := v.(string)
	if !isText {
		return compact(v)
	}
	if back, isSame := parseCell(s).(string); s == "" || !isSame || back != s || strings.ContainsRune(formulas, rune(s[0])) {
		return compact(s)
	}
	return s
}

// parseCell reads a value of a twin from a cell: JSON where it is a number, true,
// false, a list, an object or a text in quotes, else a text as it is.
func parseCell(cell string) any {
	if cell == "" || !strings.ContainsRune(`-0123456789tf[{"`, rune(cell[0])) {
		return cell
	}
	v, err := iothub.ParseValue([]byte(cell))
	if err != nil {
		return cell
	}
	return v
}
