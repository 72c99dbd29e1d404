package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
)

// Scan says which records to look at and what of them.
type Scan struct {
	After   int64      // begin behind this row
	Modules bool       // modules instead of devices
	Only    []string   // only these device ids; nil means all
	Keys    []int64    // only these rows; nil means all
	Paths   [][]string // members to read, by keys from the root of the twin
	// Visit is called in the order of rows until it returns false.
	Visit func(Found) bool
}

// Found is a record and the values of the paths as JSON texts, "" where the
// twin has none. connectionState and lastActivityTime are not in the file: they
// are always "".
type Found struct {
	Key                int64
	DeviceID, ModuleID string
	Values             []string // valid during the call only
	// Fresh is the record when its row lags behind: then Values are outdated.
	Fresh *Record
}

// View is what is stored as it was at one moment.
type View struct {
	store *Store
	tx    *sql.Tx
	fresh map[int64]*Record // whose rows lag behind
}

// View calls f with what is stored now: f sees every commit that returned
// before, and none that comes later.
func (s *Store) View(ctx context.Context, f func(*View) error) error {
	v, err := s.begin(ctx)
	for err == nil && v == nil {
		v, err = s.begin(ctx)
	}
	if err != nil {
		return s.fail("begin reading", err)
	}
	defer v.tx.Rollback() // it has written nothing
	return f(v)
}

// begin looks at rows as they are at one moment, and at the twins that are newer
// than those. It gives nil when rows were brought up to date in between: some
// twins would then be neither here nor there.
func (s *Store) begin(ctx context.Context) (*View, error) {
	tx, err := s.readers.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	v := &View{store: s, tx: tx}
	_, before := s.overdue.view()
	// SQLite fixes the moment with the first read.
	var found bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM journal)`).Scan(&found)
	var after uint64
	if v.fresh, after = s.overdue.view(); err == nil && after == before {
		return v, nil
	}
	return nil, errors.Join(err, tx.Rollback())
}

// Rows reads whole records by key, in the order of rows.
func (v *View) Rows(ctx context.Context, keys []int64) ([]*Row, error) {
	rows, err := v.store.rows(v.tx.QueryContext(ctx, selectRow+`WHERE i.id IN (SELECT value FROM json_each(?)) ORDER BY i.id`, quote(keys)))
	for _, row := range rows {
		if r := v.fresh[row.Key]; r != nil {
			row.setTwin(&r.Twin)
		}
	}
	return rows, err
}

// Scan looks at records in the order of rows.
func (v *View) Scan(ctx context.Context, scan Scan) error {
	columns := make([]column, len(scan.Paths))
	var read []string // what SQLite reads: a document once, however many paths lead into it
	from := make([]int, len(columns))
	for i, p := range scan.Paths {
		columns[i] = columnOf(p)
		if from[i] = slices.Index(read, columns[i].sql); from[i] < 0 {
			from[i] = len(read)
			read = append(read, columns[i].sql)
		}
	}
	text, args := scan.statement(read)
	rows, err := v.tx.QueryContext(ctx, text, args...)
	if err != nil {
		return v.store.fail("scan", err)
	}
	defer rows.Close()
	var found Found
	raw := make([]any, len(read))
	fields := []any{&found.Key, &found.DeviceID, &found.ModuleID}
	for i := range raw {
		fields = append(fields, &raw[i])
	}
	found.Values = make([]string, len(columns))
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return v.store.fail("scan", err)
		}
		for i, c := range columns {
			if found.Values[i], err = c.text(raw[from[i]]); err != nil {
				return v.store.fail("scan", fmt.Errorf("%s of %s: %w", scan.Paths[i], found.DeviceID, err))
			}
		}
		found.Fresh = v.fresh[found.Key]
		if !scan.Visit(found) {
			break
		}
	}
	return v.store.fail("scan", rows.Err())
}

func (scan *Scan) statement(read []string) (string, []any) {
	var b strings.Builder
	var args []any
	b.WriteString("SELECT i.id, i.device_id, i.module_id")
	twins := false
	for _, sql := range read {
		b.WriteString(", " + sql)
		twins = twins || strings.Contains(sql, "t.")
	}
	b.WriteString(" FROM ")
	// CROSS JOIN keeps the order: from the few ids or keys to their rows.
	if scan.Only != nil {
		b.WriteString("json_each(?) AS wanted CROSS JOIN ")
		args = append(args, quote(scan.Only))
	}
	if scan.Keys != nil {
		b.WriteString("json_each(?) AS numbered CROSS JOIN ")
		args = append(args, quote(scan.Keys))
	}
	b.WriteString("identities i")
	if twins {
		b.WriteString(" CROSS JOIN twins t ON t.id = i.id")
	}
	b.WriteString(" WHERE i.id > ? AND i.module_id ")
	b.WriteString(map[bool]string{true: "<> ''", false: "= ''"}[scan.Modules])
	args = append(args, scan.After)
	if scan.Only != nil {
		b.WriteString(" AND i.device_id = wanted.value")
	}
	if scan.Keys != nil {
		b.WriteString(" AND i.id = numbered.value")
	}
	b.WriteString(" ORDER BY i.id")
	return b.String(), args
}

// column is how a path is read: an SQL expression whose value is a JSON text or
// NULL, or a number that convert turns into one.
type column struct {
	sql     string
	convert func(int64) string
	path    iothub.Path // where to look in the text that sql yields
}

func (c column) text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return iothub.Lookup(v, c.path)
	case int64:
		if c.convert != nil {
			return c.convert(v), nil
		}
		return fmt.Sprint(v), nil
	}
	return "", nil
}

// columnOf finds the column of a path. What it yields is what the twin shows
// at that place when it is printed.
func columnOf(path []string) column {
	for _, key := range path {
		if strings.Contains(key, ".") {
			return column{sql: "NULL"} // no name in a twin contains a dot
		}
	}
	if c, ok := fixed[strings.Join(path, ".")]; ok {
		return c
	}
	switch {
	case path[0] == "tags":
		return column{sql: "t.tags", path: path[1:]}
	case path[0] == "x509Thumbprint":
		return column{sql: "i.authentication", path: path}
	case path[0] == "properties" && len(path) > 2 && (path[1] == "desired" || path[1] == "reported"):
		if path[2] == "$metadata" {
			return column{sql: "t." + path[1] + "_metadata", path: path[3:]}
		}
		return column{sql: "t." + path[1], path: path[2:]}
	}
	return column{sql: "NULL"}
}

// fixed holds the paths that are not found inside a document.
var fixed = map[string]column{
	"deviceId":                     {sql: "json_quote(i.device_id)"},
	"moduleId":                     {sql: text("i.module_id")},
	"etag":                         {sql: "t.etag", convert: func(n int64) string { return quote(iothub.TwinETag(uint64(n))) }},
	"deviceEtag":                   {sql: "i.etag", convert: func(n int64) string { return quote(iothub.DeviceETag(uint64(n))) }},
	"version":                      {sql: "t.etag + t.reported_version"},
	"status":                       {sql: "json_quote(i.status)"},
	"statusReason":                 {sql: text("i.status_reason")},
	"statusUpdateTime":             {sql: "iif(i.status_updated = '', '" + quote(iothub.Time{}) + "', json_quote(i.status_updated))"},
	"cloudToDeviceMessageCount":    {sql: "0"},
	"authenticationType":           {sql: "i.authentication", path: []string{"type"}},
	"modelId":                      {sql: "json_quote(t.model_id)"},
	"capabilities":                 {sql: "json_object('iotEdge', json(iif(i.iot_edge, 'true', 'false')))"},
	"capabilities.iotEdge":         {sql: "iif(i.iot_edge, 'true', 'false')"},
	"deviceScope":                  {sql: text("i.device_scope")},
	"parentScopes":                 {sql: "nullif(i.parent_scopes, '[]')"},
	"tags":                         {sql: "nullif(t.tags, '{}')"},
	"properties":                   {sql: "json_object('desired', " + section("desired") + ", 'reported', " + section("reported") + ")"},
	"properties.desired":           {sql: section("desired")},
	"properties.reported":          {sql: section("reported")},
	"properties.desired.$version":  {sql: "t.desired_version"},
	"properties.reported.$version": {sql: "t.reported_version"},
}

// text is a column that a twin leaves out when it is empty.
func text(column string) string { return "iif(" + column + " = '', NULL, json_quote(" + column + "))" }

func section(name string) string {
	return "json_set(t." + name + `, '$."$metadata"', json(t.` + name + `_metadata), '$."$version"', t.` + name + "_version)"
}

func quote(v any) string {
	b, _ := json.Marshal(v) // a text, a time or a list of such: never fails
	return string(b)
}
