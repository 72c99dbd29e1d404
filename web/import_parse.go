package web

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

// lineProblem says what is wrong with a line of a text, and how to mend it.
type lineProblem struct {
	line int
	id   string
	text string
}

// importer reads devices from CSV, a line each. What is wrong with a line does
// not keep the others from being read.
type importer struct {
	ctx      context.Context //nolint:containedctx // lives for one call
	taken    func(id string) bool
	columns  []string
	seen     map[string]int // id → line
	items    []bulkItem
	problems []lineProblem
}

// ownedByHub are columns of an export that nobody can set.
var ownedByHub = []string{"state", "since", "wanted", "differing", "connectionState", "lastActivityTime"}

// readCSV reads devices. The first line names the columns, unless the text is
// nothing but names. taken reports whether the hub has a device already.
func readCSV(ctx context.Context, source string, taken func(id string) bool) ([]bulkItem, []lineProblem) {
	m := &importer{ctx: ctx, taken: taken, seen: map[string]int{}}
	source = strings.TrimPrefix(source, "\ufeff")
	r := csv.NewReader(strings.NewReader(source))
	r.FieldsPerRecord, r.Comma = -1, separator(source)
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			m.broken(err)
			break
		}
		line, _ := r.FieldPos(0)
		if m.columns == nil && !m.header(line, record) {
			return nil, m.problems
		} else if line > 0 {
			m.record(line, record)
		}
	}
	if len(m.items) == 0 && len(m.problems) == 0 {
		m.wrong(1, "", "import.empty")
	}
	return m.items, m.problems
}

// separator is the sign between columns: spreadsheets of many languages write
// semicolons.
func separator(source string) rune {
	first, _, _ := strings.Cut(source, "\n")
	for _, sign := range []rune{',', ';', '\t'} {
		if strings.ContainsRune(first, sign) {
			return sign
		}
	}
	return ','
}

// broken notes where a text stops being CSV.
func (m *importer) broken(err error) {
	if at, ok := errors.AsType[*csv.ParseError](err); ok {
		m.wrong(at.Line, "", "import.broken", "Column", at.Column)
		return
	}
	m.wrong(1, "", "import.broken", "Column", 1)
}

func (m *importer) wrong(line int, id, message string, kv ...any) {
	m.problems = append(m.problems, lineProblem{line, id, text.T(m.ctx, message, kv...)})
}

// header reads the names of the columns. A first line of one cell that is no
// such name is the first device's.
func (m *importer) header(line int, record []string) bool {
	if len(record) == 1 && !isIDColumn(record[0]) {
		m.columns = []string{"deviceId"}
		return true
	}
	for _, cell := range record {
		name := strings.TrimSpace(cell)
		if isIDColumn(name) {
			name = "deviceId"
		}
		if !knownColumn(name) {
			m.wrong(line, "", "import.column", "Column", shortened(name))
		}
		if slices.Contains(m.columns, name) {
			m.wrong(line, "", "import.column-twice", "Column", shortened(name))
		}
		m.columns = append(m.columns, name)
	}
	if !slices.Contains(m.columns, "deviceId") {
		m.wrong(line, "", "import.no-id-column")
	}
	m.seen[""] = line // the header's line is no device's
	return len(m.problems) == 0
}

func isIDColumn(name string) bool {
	return slices.Contains([]string{"deviceid", "id", "device"}, strings.ToLower(strings.TrimSpace(name)))
}

func knownColumn(name string) bool {
	switch name {
	case "deviceId", "status", "primaryKey", "secondaryKey":
		return true
	}
	return fleet.IsPath(name) || slices.Contains(ownedByHub, name)
}

// record reads one device.
func (m *importer) record(line int, record []string) {
	if m.seen[""] == line {
		return
	}
	before := len(m.problems)
	item := bulkItem{line: line}
	if i := slices.Index(m.columns, "deviceId"); i < len(record) {
		item.id = uncsvID(strings.TrimSpace(record[i]))
	}
	m.checkID(&item)
	if len(record) > len(m.columns) {
		m.wrong(line, item.id, "import.too-many", "Got", len(record), "Columns", len(m.columns))
	}
	for n, cell := range record[:min(len(record), len(m.columns))] {
		if cell != "" {
			m.cell(&item, m.columns[n], cell)
		}
	}
	m.checkDevice(item)
	if len(m.problems) == before {
		m.items = append(m.items, item)
	}
}

func (m *importer) checkID(item *bulkItem) {
	var wrong *iothub.DeviceIDError
	if err := iothub.CheckDeviceID(item.id); errors.As(err, &wrong) {
		m.problems = append(m.problems, lineProblem{item.line, item.id, idMessage(m.ctx, wrong)})
		return
	}
	if first, twice := m.seen[item.id]; twice {
		m.wrong(item.line, item.id, "import.twice", "First", first)
		return
	}
	m.seen[item.id] = item.line
	if m.taken(item.id) {
		m.wrong(item.line, item.id, "devices.add.taken", "Device", item.id)
	}
}

// cell takes one value of a device.
func (m *importer) cell(item *bulkItem, column, cell string) {
	switch {
	case column == "status":
		if item.made.status = oneOf(strings.ToLower(strings.TrimSpace(cell)), iothub.StatusEnabled, iothub.StatusDisabled); item.made.status == "" {
			m.wrong(item.line, item.id, "import.status", "Value", shortened(cell))
		}
	case column == "primaryKey":
		item.made.keys.Primary = strings.TrimSpace(cell)
	case column == "secondaryKey":
		item.made.keys.Secondary = strings.TrimSpace(cell)
	case strings.HasPrefix(column, "tags."):
		m.set(item, &item.made.tags, column, cell)
	case strings.HasPrefix(column, "desired."):
		m.set(item, &item.made.desired, column, cell)
	}
}

func (m *importer) set(item *bulkItem, d *iothub.Document, column, cell string) {
	_, rest, _ := strings.Cut(column, ".")
	path := iothub.ParsePath(rest)
	if *d == nil {
		*d = iothub.Document{}
	}
	for n := range path {
		at, has := d.Get(path[:n+1])
		_, isObject := at.(map[string]any)
		if has && (n == len(path)-1 || !isObject) {
			m.wrong(item.line, item.id, "import.overlap", "Column", column)
			return
		}
	}
	d.Set(path, parseCell(cell))
}

// checkDevice checks keys and what a hub would refuse of tags and settings.
func (m *importer) checkDevice(item bulkItem) {
	keys := item.made.keys
	if (keys.Primary == "") != (keys.Secondary == "") {
		m.wrong(item.line, item.id, "import.one-key")
	}
	for _, key := range []string{keys.Primary, keys.Secondary} {
		if _, err := base64.StdEncoding.DecodeString(key); err != nil {
			m.wrong(item.line, item.id, "import.key")
			break
		}
	}
	m.checkSection(item, iothub.SectionTags, item.made.tags)
	m.checkSection(item, iothub.SectionDesired, item.made.desired)
}

func (m *importer) checkSection(item bulkItem, section iothub.SectionName, d iothub.Document) {
	err := iothub.CheckContent(section, d)
	if err == nil {
		err = iothub.CheckSize(section, nil, d)
	}
	if limit, ok := errors.AsType[*iothub.LimitError](err); ok {
		m.problems = append(m.problems, lineProblem{item.line, item.id, limitText(m.ctx, limit, nil)})
	}
}
