package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"twinboard/hubclient/iothub"
)

// Section is the part of a twin a journal entry is about.
type Section string

// The parts of a twin that people write.
const (
	Tags    Section = "tags"
	Desired Section = "desired"
)

// ErrNoEntry means that the journal holds no such entry.
var ErrNoEntry = errors.New("no such journal entry")

// Entry is one change made through the dashboard, with what an undo needs.
type Entry struct {
	ID       int64
	Time     time.Time
	Hub      string
	DeviceID string
	ModuleID string // "" for the device itself
	Section  Section
	Patch    iothub.Document // what was sent, removals as null
	Old      iothub.Document // the values it replaced, null for what was new
	Who      string
	Screen   string      // the page it was made on
	ETag     iothub.ETag // of the twin after the change
	Undoes   int64       // the entry this one takes back, or 0
}

// Record adds changes to the journal, all or none, and returns their ids in
// order. ID of the argument is ignored.
func (s *Store) Record(ctx context.Context, entries ...Entry) (ids []int64, err error) {
	err = inTx(ctx, s.db, func(tx *sql.Tx) error {
		for _, e := range entries {
			id, err := insertEntry(ctx, tx, e)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return ids, nil
}

func insertEntry(ctx context.Context, tx *sql.Tx, e Entry) (int64, error) {
	patch, err := json.Marshal(e.Patch)
	if err != nil {
		return 0, err
	}
	old, err := json.Marshal(e.Old)
	if err != nil {
		return 0, err
	}
	r, err := tx.ExecContext(ctx,
		`INSERT INTO journal (at, hub, device_id, module_id, section, patch, old, who, screen, etag, undoes)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		micros(e.Time), e.Hub, e.DeviceID, e.ModuleID, string(e.Section), string(patch), string(old),
		e.Who, e.Screen, string(e.ETag), e.Undoes)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

const entryColumns = `id, at, hub, device_id, module_id, section, patch, old, who, screen, etag, undoes`

// Entry returns one change of a hub; the error is ErrNoEntry when there is none.
func (s *Store) Entry(ctx context.Context, hub string, id int64) (Entry, error) {
	e, err := scanEntry(s.db.QueryRowContext(ctx,
		`SELECT `+entryColumns+` FROM journal WHERE hub = ? AND id = ?`, hub, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Entry{}, ErrNoEntry
	}
	if err != nil {
		return Entry{}, fmt.Errorf("journal entry %d: %w", id, err)
	}
	return e, nil
}

// Journal returns the latest changes of a device or module, newest first, at
// most limit, older than the entry before (0: from the newest on).
func (s *Store) Journal(ctx context.Context, hub, deviceID, moduleID string, before int64, limit int) (list []Entry, err error) {
	rows, err := s.db.QueryContext(ctx,
		`SELECT `+entryColumns+` FROM journal
		 WHERE hub = ? AND device_id = ? AND module_id = ? AND (? = 0 OR id < ?)
		 ORDER BY id DESC LIMIT ?`, hub, deviceID, moduleID, before, before, limit)
	if err != nil {
		return nil, fmt.Errorf("journal of %s: %w", deviceID, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, fmt.Errorf("journal of %s: %w", deviceID, err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

func scanEntry(row interface{ Scan(...any) error }) (Entry, error) {
	var (
		e          Entry
		at         int64
		patch, old string
	)
	err := row.Scan(&e.ID, &at, &e.Hub, &e.DeviceID, &e.ModuleID, &e.Section, &patch, &old,
		&e.Who, &e.Screen, &e.ETag, &e.Undoes)
	if err != nil {
		return Entry{}, err
	}
	e.Time = fromMicros(at)
	if e.Patch, err = document(patch); err != nil {
		return Entry{}, err
	}
	e.Old, err = document(old)
	return e, err
}

// document reads a stored document; numbers stay as they were written.
func document(s string) (iothub.Document, error) {
	if s == "null" {
		return nil, nil
	}
	return iothub.ParseDocument([]byte(s))
}
