package store

import (
	"context"
	"errors"
	"fmt"
)

// Latest returns the latest changes of all devices of a hub, newest first, at
// most limit.
func (s *Store) Latest(ctx context.Context, hub string, limit int) (list []Entry, err error) {
	rows, err := s.db.QueryContext(ctx,
		`SELECT `+entryColumns+` FROM journal WHERE hub = ? ORDER BY id DESC LIMIT ?`, hub, limit)
	if err != nil {
		return nil, fmt.Errorf("journal of hub %s: %w", hub, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, fmt.Errorf("journal of hub %s: %w", hub, err)
		}
		list = append(list, e)
	}
	return list, rows.Err()
}
