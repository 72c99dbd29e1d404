package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// ErrNotFound means that there is no such identity.
var ErrNotFound = errors.New("no such identity")

const (
	identityColumns = `i.id, i.device_id, i.module_id, i.generation, i.etag, i.status, i.status_reason,
		i.status_updated, i.authentication, i.iot_edge, i.device_scope, i.parent_scopes, i.managed_by`
	twinColumns = `t.etag, t.model_id, t.tags, t.desired, t.desired_metadata, t.desired_version,
		t.reported, t.reported_metadata, t.reported_version`
	selectRow = `SELECT ` + identityColumns + `, ` + twinColumns + ` FROM identities i JOIN twins t USING (id) `
)

// selectNamed finds a device or module.
const selectNamed = selectRow + `WHERE i.device_id = ? AND i.module_id = ?`

// Record reads a device or module; ErrNotFound when there is none.
func (s *Store) Record(ctx context.Context, deviceID, moduleID string) (r *Record, err error) {
	err = s.View(ctx, func(v *View) error {
		rows, err := s.rows(v.tx.QueryContext(ctx, selectNamed, deviceID, moduleID))
		if err == nil {
			r, err = record(rows, v.fresh)
		}
		return err
	})
	return r, err
}

// RecordForWrite reads like Record on the connection that commits: slow
// readers cannot hold it up. Like Commit it is for one goroutine at a time.
func (s *Store) RecordForWrite(deviceID, moduleID string) (*Record, error) {
	rows, err := s.rows(s.stmts.record.QueryContext(context.Background(), deviceID, moduleID))
	if err != nil {
		return nil, err
	}
	return record(rows, s.overdue.twins)
}

// ModulesForWrite reads all modules of a device as RecordForWrite would.
func (s *Store) ModulesForWrite(deviceID string) ([]*Record, error) {
	rows, err := s.rows(s.stmts.modules.QueryContext(context.Background(), deviceID))
	if err != nil {
		return nil, err
	}
	return records(rows, s.overdue.twins)
}

// record decodes the one row that was looked for.
func record(rows []*Row, fresh map[int64]*Record) (*Record, error) {
	found, err := records(rows, fresh)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	return found[0], nil
}

// records decodes rows, but for those twins that are fresh.
func records(rows []*Row, fresh map[int64]*Record) (out []*Record, err error) {
	out = make([]*Record, len(rows))
	for i, row := range rows {
		if r := fresh[row.Key]; r != nil {
			out[i] = &Record{Key: row.Key, Identity: row.Identity, Twin: r.Twin}
		} else if out[i], err = row.Record(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Identities returns the first devices in the order in which they were made.
func (s *Store) Identities(ctx context.Context, limit int) ([]*Row, error) {
	return s.identities(ctx, `WHERE module_id = '' ORDER BY id LIMIT ?`, limit)
}

// Modules returns the modules of a device in the order in which they were made.
func (s *Store) Modules(ctx context.Context, deviceID string) ([]*Row, error) {
	return s.identities(ctx, `WHERE device_id = ? AND module_id <> '' ORDER BY id`, deviceID)
}

func (s *Store) identities(ctx context.Context, where string, arg any) ([]*Row, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT `+identityColumns+` FROM identities i `+where, arg)
	if err != nil {
		return nil, s.fail("list identities", err)
	}
	defer rows.Close()
	var out []*Row
	for rows.Next() {
		r := &Row{}
		if err := scanRow(rows, r, identityFields(r)); err != nil {
			return nil, s.fail("list identities", err)
		}
		out = append(out, r)
	}
	return out, s.fail("list identities", rows.Err())
}

// Count counts the devices, and those of them that are enabled.
func (s *Store) Count(ctx context.Context) (total, enabled int, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE status = 'enabled')
		FROM identities WHERE module_id = ''`).Scan(&total, &enabled)
	return total, enabled, s.fail("count identities", err)
}

// ActivityOf calls f for each device or module that was ever heard of.
func (s *Store) ActivityOf(ctx context.Context, f func(Activity)) error {
	rows, err := s.readers.QueryContext(ctx, `SELECT i.device_id, i.module_id, a.last_activity, a.connection_updated
		FROM activity a JOIN identities i USING (id)`)
	if err != nil {
		return s.fail("read activity", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a Activity
		if err := rows.Scan(&a.DeviceID, &a.ModuleID, timeInto{&a.LastActivity}, timeInto{&a.ConnectionUpdated}); err != nil {
			return s.fail("read activity", err)
		}
		f(a)
	}
	return s.fail("read activity", rows.Err())
}

// SubscriptionsOf returns the filters kept for a device or module; kept is false
// when there are none to keep, not even an empty list.
func (s *Store) SubscriptionsOf(ctx context.Context, deviceID, moduleID string) (filters []string, kept bool, err error) {
	err = s.readers.QueryRowContext(ctx, `SELECT s.filters FROM subscriptions s JOIN identities i USING (id)
		WHERE i.device_id = ? AND i.module_id = ?`, deviceID, moduleID).Scan(jsonInto{&filters})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return filters, err == nil, s.fail("read subscriptions", err)
}

// rows reads what a query for selectRow has found.
func (s *Store) rows(rows *sql.Rows, err error) ([]*Row, error) {
	if err != nil {
		return nil, s.fail("read twins", err)
	}
	defer rows.Close()
	var out []*Row
	for rows.Next() {
		r := &Row{}
		if err := scanRow(rows, r, append(identityFields(r), twinFields(r)...)); err != nil {
			return nil, s.fail("read twins", err)
		}
		out = append(out, r)
	}
	return out, s.fail("read twins", rows.Err())
}

func identityFields(r *Row) []any {
	return []any{
		&r.Key, &r.DeviceID, &r.ModuleID, &r.Generation, &r.IdentityETag, &r.Status, &r.StatusReason,
		timeInto{&r.StatusUpdated},
		jsonInto{&r.Authentication},
		&r.IoTEdge, &r.DeviceScope,
		jsonInto{&r.ParentScopes},
		&r.ManagedBy,
	}
}

func twinFields(r *Row) []any {
	return []any{
		&r.TwinETag, &r.ModelID, &r.Tags, &r.Desired.Value, &r.Desired.Metadata, &r.Desired.Version,
		&r.Reported.Value, &r.Reported.Metadata, &r.Reported.Version,
	}
}

func scanRow(rows *sql.Rows, r *Row, fields []any) error {
	if err := rows.Scan(fields...); err != nil {
		return err
	}
	if len(r.ParentScopes) == 0 {
		r.ParentScopes = nil
	}
	return nil
}

// timeInto and jsonInto read a column of text into what it stands for.
type (
	timeInto struct {
		to interface{ UnmarshalText([]byte) error }
	}
	jsonInto struct{ to any }
)

// Scan implements sql.Scanner.
func (t timeInto) Scan(v any) error {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	return t.to.UnmarshalText([]byte(s))
}

// Scan implements sql.Scanner.
func (j jsonInto) Scan(v any) error {
	s, _ := v.(string)
	return json.Unmarshal([]byte(s), j.to)
}
