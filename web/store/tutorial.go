package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Tutorial is how far the learner of a hub is.
type Tutorial struct {
	DeviceID string // the device the learner chose
	// Started is when this walk began: only what happened since proves a step.
	Started time.Time
	Steps   map[string]Step
}

// Step is one step of the tutorial. What its name, state and detail mean is the
// page's business.
type Step struct {
	State  string
	At     time.Time
	Detail json.RawMessage // "" is kept as null
}

// Tutorial returns the learner's state on a hub; ok is false before the first
// step and after a reset.
func (s *Store) Tutorial(ctx context.Context, hub string) (t Tutorial, ok bool, err error) {
	var started int64
	err = s.db.QueryRowContext(ctx, `SELECT device_id, started FROM tutorial WHERE hub = ?`, hub).
		Scan(&t.DeviceID, &started)
	if errors.Is(err, sql.ErrNoRows) {
		return Tutorial{}, false, nil
	}
	if err != nil {
		return Tutorial{}, false, fmt.Errorf("tutorial: %w", err)
	}
	t.Started = fromMicros(started)
	t.Steps, err = s.tutorialSteps(ctx, hub)
	return t, err == nil, err
}

func (s *Store) tutorialSteps(ctx context.Context, hub string) (steps map[string]Step, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT step, state, at, detail FROM tutorial_step WHERE hub = ?`, hub)
	if err != nil {
		return nil, fmt.Errorf("tutorial steps: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	steps = map[string]Step{}
	for rows.Next() {
		var (
			name, detail string
			at           int64
			step         Step
		)
		if err := rows.Scan(&name, &step.State, &at, &detail); err != nil {
			return nil, fmt.Errorf("tutorial steps: %w", err)
		}
		step.At, step.Detail = fromMicros(at), json.RawMessage(detail)
		steps[name] = step
	}
	return steps, rows.Err()
}

// StartTutorial begins the walk with a device, forgetting any earlier walk.
func (s *Store) StartTutorial(ctx context.Context, hub, deviceID string, at time.Time) error {
	err := inTx(ctx, s.db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM tutorial WHERE hub = ?`, hub); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO tutorial (hub, device_id, started) VALUES (?, ?, ?)`,
			hub, deviceID, micros(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("start tutorial: %w", err)
	}
	return nil
}

// SetTutorialStep keeps the state of one step. The walk must have begun.
func (s *Store) SetTutorialStep(ctx context.Context, hub, name string, step Step) error {
	detail := string(step.Detail)
	if detail == "" {
		detail = "null"
	}
	_, err := s.db.ExecContext(ctx,
		`INSERT INTO tutorial_step (hub, step, state, at, detail) VALUES (?, ?, ?, ?, ?)
		 ON CONFLICT (hub, step) DO UPDATE SET state = excluded.state, at = excluded.at, detail = excluded.detail`,
		hub, name, step.State, micros(step.At), detail)
	if err != nil {
		return fmt.Errorf("tutorial step %s: %w", name, err)
	}
	return nil
}

// ResetTutorial forgets the walk and its steps. Devices are not touched.
func (s *Store) ResetTutorial(ctx context.Context, hub string) error {
	if _, err := s.db.ExecContext(ctx, `DELETE FROM tutorial WHERE hub = ?`, hub); err != nil {
		return fmt.Errorf("reset tutorial: %w", err)
	}
	return nil
}
