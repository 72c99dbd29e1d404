package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/views"
)

// queryTable is rows whose members may differ: its columns are all members, in
// the order in which they first appear.
type queryTable struct {
	names []string
	rows  []map[string]any
}

// tableOf reads rows of chosen members. The order of the members is the hub's,
// which a decoded object would lose.
func tableOf(rows []json.RawMessage) (queryTable, error) {
	var t queryTable
	for _, raw := range rows {
		row, names, err := readRow(raw)
		if err != nil {
			return t, err
		}
		t.rows = append(t.rows, row)
		for _, name := range names {
			if !slices.Contains(t.names, name) {
				t.names = append(t.names, name)
			}
		}
	}
	return t, nil
}

func readRow(raw json.RawMessage) (row map[string]any, names []string, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, nil, errors.Join(errors.New("a row of a query is not an object"), err)
	}
	row = map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("row of a query: %w", err)
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, nil, fmt.Errorf("row of a query: %w", err)
		}
		names = append(names, fmt.Sprint(name))
		row[fmt.Sprint(name)] = value
	}
	return row, names, nil
}

// columns are right-aligned where every value is a number.
func (t queryTable) columns() []views.Column {
	list := make([]views.Column, len(t.names))
	for i, name := range t.names {
		list[i] = views.Column{Label: name, Number: t.all(name, "number")}
	}
	return list
}

func (t queryTable) all(name, kind string) bool {
	some := false
	for _, row := range t.rows {
		value, there := row[name]
		if there && kindOf(value) != kind {
			return false
		}
		some = some || there
	}
	return some
}

func (t queryTable) cells(h *Hub) [][]views.QueryCell {
	out := make([][]views.QueryCell, len(t.rows))
	for i, row := range t.rows {
		for _, name := range t.names {
			out[i] = append(out[i], cellOf(h, name, row))
		}
	}
	return out
}

// longestCell is how much of a value a cell shows; the JSON shows all.
const longestCell = 200

func cellOf(h *Hub, name string, row map[string]any) views.QueryCell {
	value, there := row[name]
	if !there {
		return views.QueryCell{Kind: "missing"}
	}
	cell := views.QueryCell{Text: plain(value), Kind: kindOf(value)}
	if id, ok := value.(string); ok && name == "deviceId" && id != "" {
		cell.Href = h.devicePath(id)
		return cell
	}
	if chars := []rune(cell.Text); len(chars) > longestCell {
		cell.Text = string(chars[:longestCell]) + "…"
	}
	return cell
}

func kindOf(value any) string {
	switch value.(type) {
	case json.Number:
		return "number"
	case string:
		return "text"
	case bool:
		return "bool"
	case nil:
		return "null"
	}
	return "object"
}

// queryCSV is the page shown, as a file. Twins come with a column for each path
// that one of them has; what is not there is empty.
func queryCSV(c echo.Context, got answer) error {
	names, rows, err := flatRows(got)
	if err != nil {
		return err
	}
	return writeCSV(c, "query.csv", names, func(yield func([]string) bool) {
		for _, row := range rows {
			line := make([]string, len(names))
			for i, name := range names {
				if v, there := row[name]; there {
					line[i] = plain(v)
				}
			}
			if !yield(line) {
				return
			}
		}
	})
}

// flatRows are the rows with one name for each column.
func flatRows(got answer) (names []string, rows []map[string]any, err error) {
	if got.Type != iothub.ItemTwin {
		t, err := tableOf(got.Rows)
		return t.names, t.rows, err
	}
	paths := map[string]bool{}
	for _, raw := range got.Rows {
		var t iothub.Twin
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, nil, fmt.Errorf("row of a query: %w", err)
		}
		row := flatTwin(&t)
		rows = append(rows, row)
		for path := range row {
			paths[path] = true
		}
	}
	return orderedPaths(paths), rows, nil
}

// flatFields are the columns that every twin has, in their order.
var flatFields = []string{"deviceId", "status", "connectionState", "lastActivityTime", "version"}

func flatTwin(t *iothub.Twin) map[string]any {
	row := map[string]any{
		"deviceId": t.DeviceID, "status": t.Status, "connectionState": t.ConnectionState,
		"lastActivityTime": t.LastActivityTime.UTC().Format(time.RFC3339), "version": json.Number(strconv.FormatInt(t.Version, 10)),
	}
	if t.ModuleID != "" {
		row["moduleId"] = t.ModuleID
	}
	sections := map[string]iothub.Document{"tags": t.Tags, "properties.desired": t.Properties.Desired.Value, "properties.reported": t.Properties.Reported.Value}
	for name, d := range sections {
		for _, leaf := range iothub.Flatten(d) {
			row[name+"."+leaf.Path.String()] = leaf.Value
		}
	}
	return row
}

func orderedPaths(paths map[string]bool) []string {
	var rest []string
	for path := range paths {
		if !slices.Contains(flatFields, path) {
			rest = append(rest, path)
		}
	}
	slices.Sort(rest)
	return append(slices.Clone(flatFields), rest...)
}
