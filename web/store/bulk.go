package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"twinboard/hubclient/iothub"
)

// Bulk is one act on many devices. What its act and phase, and the state of an
// item, mean is the page's business.
type Bulk struct {
	ID, Hub    string
	Act, Phase string
	At         time.Time       // when it began
	Patch      iothub.Document // of a section of each twin; nil for acts on something else
	Items      []BulkItem
}

// BulkItem is one device of an act.
type BulkItem struct {
	DeviceID string
	ETag     iothub.ETag // of the identity that the person saw, "" for any
	Line     int         // of the text it comes from, 0 for none
	Made     json.RawMessage
	State    string
	Error    json.RawMessage // why it failed
	Old      iothub.Document // the values that the patch replaced; nil for none
	// Reason is the reason that a status gets, and ReasonWas the one it had.
	Reason, ReasonWas string
	Entry             int64 // of the journal: of the change, or of the one to take back; 0 for none
}

// BulkResult is what became of the device at a place of an act.
type BulkResult struct {
	Place     int
	State     string
	Error     json.RawMessage
	Old       iothub.Document
	ReasonWas string
	Entry     int64
}

// StartBulk keeps an act that begins.
func (s *Store) StartBulk(ctx context.Context, b Bulk) error {
	err := inTx(ctx, s.db, func(tx *sql.Tx) (err error) {
		patch, err := json.Marshal(b.Patch)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO bulk (id, hub, act, phase, at, patch) VALUES (?, ?, ?, ?, ?, ?)`,
			b.ID, b.Hub, b.Act, b.Phase, micros(b.At), string(patch))
		if err != nil {
			return err
		}
		insert, err := tx.PrepareContext(ctx,
			`INSERT INTO bulk_item (bulk, place, device_id, etag, line, made, state, error, old, reason, reason_was, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, insert.Close()) }()
		for place, i := range b.Items {
			old, err := json.Marshal(i.Old)
			if err != nil {
				return err
			}
			_, err = insert.ExecContext(ctx, b.ID, place, i.DeviceID, string(i.ETag), i.Line, jsonText(i.Made), i.State, jsonText(i.Error), string(old),
				i.Reason, i.ReasonWas, i.Entry)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("start bulk %s: %w", b.ID, err)
	}
	return nil
}

func jsonText(raw json.RawMessage) string { return cmp.Or(string(raw), "null") }

// SetBulk keeps the phase of an act and what became of some of its devices, all
// or nothing.
func (s *Store) SetBulk(ctx context.Context, id, phase string, results ...BulkResult) error {
	err := inTx(ctx, s.db, func(tx *sql.Tx) (err error) {
		if _, err := tx.ExecContext(ctx, `UPDATE bulk SET phase = ? WHERE id = ?`, phase, id); err != nil {
			return err
		}
		update, err := tx.PrepareContext(ctx, `UPDATE bulk_item SET state = ?, error = ?, old = ?, reason_was = ?, entry = ? WHERE bulk = ? AND place = ?`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, update.Close()) }()
		for _, r := range results {
			old, err := json.Marshal(r.Old)
			if err != nil {
				return err
			}
			if _, err := update.ExecContext(ctx, r.State, jsonText(r.Error), string(old), r.ReasonWas, r.Entry, id, r.Place); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bulk %s: %w", id, err)
	}
	return nil
}

// DropBulk forgets an act.
func (s *Store) DropBulk(ctx context.Context, id string) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM bulk WHERE id = ?`, id); err != nil {
		return fmt.Errorf("drop bulk %s: %w", id, err)
	}
	return nil
}

// Bulks returns the acts on a hub's devices, oldest first.
func (s *Store) Bulks(ctx context.Context, hub string) (list []Bulk, err error) {
	patches, err := s.bulkPatches(ctx, hub)
	if err != nil {
		return nil, fmt.Errorf("bulks of %s: %w", hub, err)
	}
	rows, err := s.db.QueryContext(ctx,
		`SELECT id, act, phase, at, device_id, etag, line, made, state, error, old, reason, reason_was, entry
		 FROM bulk JOIN bulk_item ON bulk = id WHERE hub = ? ORDER BY at, id, place`, hub)
	if err != nil {
		return nil, fmt.Errorf("bulks of %s: %w", hub, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		b, i, err := scanBulk(rows)
		if err != nil {
			return nil, fmt.Errorf("bulks of %s: %w", hub, err)
		}
		if n := len(list); n == 0 || list[n-1].ID != b.ID {
			b.Hub, b.Patch = hub, patches[b.ID]
			list = append(list, b)
		}
		last := &list[len(list)-1]
		last.Items = append(last.Items, i)
	}
	return list, rows.Err()
}

// bulkPatches are the patches of the acts that have one: each is read once, not
// with every device.
func (s *Store) bulkPatches(ctx context.Context, hub string) (patches map[string]iothub.Document, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, patch FROM bulk WHERE hub = ? AND patch <> 'null'`, hub)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	patches = map[string]iothub.Document{}
	for rows.Next() {
		var id, patch string
		if err := rows.Scan(&id, &patch); err != nil {
			return nil, err
		}
		if patches[id], err = document(patch); err != nil {
			return nil, err
		}
	}
	return patches, rows.Err()
}

func scanBulk(rows *sql.Rows) (b Bulk, i BulkItem, err error) {
	var (
		at                int64
		made, failed, old string
	)
	err = rows.Scan(&b.ID, &b.Act, &b.Phase, &at, &i.DeviceID, &i.ETag, &i.Line, &made, &i.State, &failed, &old, &i.Reason, &i.ReasonWas, &i.Entry)
	if err != nil {
		return b, i, err
	}
	b.At = fromMicros(at)
	if made != "null" {
		i.Made = json.RawMessage(made)
	}
	if failed != "null" {
		i.Error = json.RawMessage(failed)
	}
	i.Old, err = document(old)
	return b, i, err
}
