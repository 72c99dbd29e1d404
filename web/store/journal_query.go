package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// JournalQuery says which entries of a hub's journal to read; the zero value of
// each field but Hub asks for all.
type JournalQuery struct {
	Hub string
	// DeviceID and ModuleID are one device, or one module of it.
	DeviceID, ModuleID string
	Part               string // of a device's id; case does not matter
	Section            Section
	Source             Source
	Others             bool   // leaves out FromDashboard
	Who                string // the policy that wrote
	After              int64  // an id: what was written down since; 0 is no bound
	Before             Place  // what is older
}

// indexed reports whether an index of the table has exactly what is asked for, in
// order. Anything else is searched for in memory (journalSearch).
func (q JournalQuery) indexed() bool {
	byOne := q.Section == "" || q.Source == ""
	return q.DeviceID != "" || byOne && q.Part == "" && q.Who == "" && !q.Others
}

// where is the condition for what an index has, and its arguments.
func (q JournalQuery) where() (string, []any) {
	conditions, args := []string{"hub = ?"}, []any{q.Hub}
	add := func(asked bool, condition string, values ...any) {
		if asked {
			conditions = append(conditions, condition)
			args = append(args, values...)
		}
	}
	add(q.DeviceID != "", "device_id = ? AND module_id = ?", q.DeviceID, q.ModuleID)
	add(q.Section != "", "section = ?", string(q.Section))
	add(q.Source == FromDashboard, "own = 1") // as the index has it
	add(q.Source != "", "source = ?", string(q.Source))
	add(q.DeviceID != "" && q.Part != "", "instr(lower(device_id), lower(?)) > 0", q.Part)
	add(q.Others, "own = 0 AND section <> 'state'")
	add(q.Who != "", "who = ?", q.Who)
	add(q.After != 0, "id > ?", q.After)
	add(q.Before != Place{}, "(at, id) < (?, ?)", q.Before.at, q.Before.id)
	return strings.Join(conditions, " AND "), args
}

// Journal returns the latest entries that a query asks for, newest first, at
// most limit.
func (s *Store) Journal(ctx context.Context, q JournalQuery, limit int) (list []Entry, err error) {
	where, args := q.where()
	if !q.indexed() {
		if where, args, err = s.found(ctx, q, limit); err != nil {
			return nil, fmt.Errorf("journal of %s: %w", q.Hub, err)
		}
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+entryColumns+` FROM journal WHERE `+where+` ORDER BY at DESC, id DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("journal of %s: %w", q.Hub, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, fmt.Errorf("journal of %s: %w", q.Hub, err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// JournalDeletions returns the latest deletion of each of some devices and of
// their modules, of those that were deleted.
func (s *Store) JournalDeletions(ctx context.Context, hub string, devices []string) (list []Entry, err error) {
	ids, err := json.Marshal(devices)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx,
		`SELECT id, max(at), device_id, module_id FROM journal
		 WHERE hub = ? AND device_id IN (SELECT value FROM json_each(?)) AND section = 'state' AND state = ''
		 GROUP BY device_id, module_id`, hub, string(ids))
	if err != nil {
		return nil, fmt.Errorf("deletions in the journal of %s: %w", hub, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, at := Entry{Hub: hub, Section: State}, int64(0)
		if err := rows.Scan(&e.ID, &at, &e.DeviceID, &e.ModuleID); err != nil {
			return nil, fmt.Errorf("deletions in the journal of %s: %w", hub, err)
		}
		e.Time = fromMicros(at)
		list = append(list, e)
	}
	return list, rows.Err()
}

// found is where for what was searched for in memory.
func (s *Store) found(ctx context.Context, q JournalQuery, limit int) (string, []any, error) {
	ids, err := s.search.find(ctx, s.db, q, limit)
	if err != nil {
		return "", nil, err
	}
	list, err := json.Marshal(ids)
	return "id IN (SELECT value FROM json_each(?))", []any{string(list)}, err
}

// NewestEntry is the id of what was written down last, of any hub; 0 for none.
// It need not be the latest in time: a state is written down when it has held.
func (s *Store) NewestEntry(ctx context.Context) (id int64, err error) {
	if err := s.db.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM journal`).Scan(&id); err != nil {
		return 0, fmt.Errorf("newest entry of the journal: %w", err)
	}
	return id, nil
}

// JournalModules are the modules of a device that the journal knows, "" for the
// device itself.
func (s *Store) JournalModules(ctx context.Context, hub, device string) (list []string, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT module_id FROM journal WHERE hub = ? AND device_id = ? ORDER BY module_id`, hub, device)
	if err != nil {
		return nil, fmt.Errorf("journal of %s: %w", device, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var module string
		if err := rows.Scan(&module); err != nil {
			return nil, fmt.Errorf("journal of %s: %w", device, err)
		}
		list = append(list, module)
	}
	return list, rows.Err()
}

// JournalCount counts the entries that a query asks for, up to most.
func (s *Store) JournalCount(ctx context.Context, q JournalQuery, most int) (n int, err error) {
	if q.DeviceID == "" { // no index has what was written down since
		ids, err := s.search.find(ctx, s.db, q, most)
		if err != nil {
			return 0, fmt.Errorf("journal of %s: %w", q.Hub, err)
		}
		return len(ids), nil
	}
	where, args := q.where()
	err = s.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM journal WHERE `+where+` LIMIT ?)`, append(args, most)...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("journal of %s: %w", q.Hub, err)
	}
	return n, nil
}

// JournalLimits bound the journal of a hub. Changes made here are counted apart
// from what others did, so that a busy fleet does not push out what can be
// undone.
type JournalLimits struct {
	Own, Others int
	Since       time.Time // what is older goes
}

// Prune removes what is beyond the limits.
func (s *Store) Prune(ctx context.Context, hub string, l JournalLimits) error {
	err := inTx(ctx, s.db, func(tx *sql.Tx) error {
		for own, most := range map[int]int{1: l.Own, 0: l.Others} {
			_, err := tx.ExecContext(ctx,
				`DELETE FROM journal WHERE id IN
				 (SELECT id FROM journal WHERE hub = ? AND own = ? ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?)`, hub, own, most)
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM journal WHERE hub = ? AND at < ?`, hub, micros(l.Since))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM watched WHERE hub = ? AND until < ?`, hub, micros(l.Since))
		return err
	})
	if err != nil {
		return fmt.Errorf("prune journal of %s: %w", hub, err)
	}
	if err := s.search.prune(ctx, s.db, hub); err != nil {
		return fmt.Errorf("prune journal of %s: %w", hub, err)
	}
	return nil
}

// Span is a time during which the changes of a hub were watched.
type Span struct{ Since, Until time.Time }

// Watch notes that a hub's changes were watched up to a moment: since the last
// one noted, unless that is longer ago than gap.
func (s *Store) Watch(ctx context.Context, hub string, at time.Time, gap time.Duration) error {
	r, err := s.db.ExecContext(ctx,
		`UPDATE watched SET until = max(until, ?1) WHERE id = (SELECT max(id) FROM watched WHERE hub = ?2) AND until >= ?3`,
		micros(at), hub, micros(at.Add(-gap)))
	if err != nil {
		return fmt.Errorf("watch %s: %w", hub, err)
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	if _, err := s.db.ExecContext(ctx, `INSERT INTO watched (hub, since, until) VALUES (?1, ?2, ?2)`, hub, micros(at)); err != nil {
		return fmt.Errorf("watch %s: %w", hub, err)
	}
	return nil
}

// Watched returns when a hub's changes were watched, oldest first.
func (s *Store) Watched(ctx context.Context, hub string) (list []Span, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT since, until FROM watched WHERE hub = ? ORDER BY id`, hub)
	if err != nil {
		return nil, fmt.Errorf("watched of %s: %w", hub, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var since, until int64
		if err := rows.Scan(&since, &until); err != nil {
			return nil, fmt.Errorf("watched of %s: %w", hub, err)
		}
		list = append(list, Span{Since: fromMicros(since), Until: fromMicros(until)})
	}
	return list, rows.Err()
}
