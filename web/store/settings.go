package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Setting returns a setting of a hub; ok is false when nobody has set it.
func (s *Store) Setting(ctx context.Context, hub, name string) (value string, ok bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT value FROM setting WHERE hub = ? AND name = ?`, hub, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("setting %s: %w", name, err)
	}
	return value, true, nil
}

// SetSetting keeps a setting of a hub.
func (s *Store) SetSetting(ctx context.Context, hub, name, value string) error {
	_, err := s.db.ExecContext(ctx,
		`INSERT INTO setting (hub, name, value) VALUES (?, ?, ?)
		 ON CONFLICT (hub, name) DO UPDATE SET value = excluded.value`, hub, name, value)
	if err != nil {
		return fmt.Errorf("setting %s: %w", name, err)
	}
	return nil
}
