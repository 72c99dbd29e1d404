package store

import (
	"context"
	"fmt"
)

// Policy is a shared access policy.
type Policy struct{ Name, Primary, Secondary, Rights string }

// Policies returns the shared access policies by name.
func (s *Store) Policies(ctx context.Context) ([]Policy, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT name, primary_key, secondary_key, rights FROM policies ORDER BY name`)
	if err != nil {
		return nil, s.fail("read policies", err)
	}
	defer rows.Close()
	var out []Policy
	for rows.Next() {
		var p Policy
		if err := rows.Scan(&p.Name, &p.Primary, &p.Secondary, &p.Rights); err != nil {
			return nil, s.fail("read policies", err)
		}
		out = append(out, p)
	}
	return out, s.fail("read policies", rows.Err())
}

// AddPolicies stores those of the policies that choose returns, given those
// there are. Nobody else, in this process or another, writes in between. An
// error of choose is returned as it is.
func (s *Store) AddPolicies(ctx context.Context, choose func(present []Policy) ([]Policy, error)) error {
	var refusal error
	err := s.transaction(ctx, func() error {
		present, err := s.Policies(ctx)
		if err != nil {
			return err
		}
		var added []Policy
		if added, refusal = choose(present); refusal != nil {
			return refusal
		}
		for _, p := range added {
			if _, err := s.writer.ExecContext(ctx, `INSERT INTO policies (name, primary_key, secondary_key, rights)
				VALUES (?, ?, ?, ?)`, p.Name, p.Primary, p.Secondary, p.Rights); err != nil {
				return fmt.Errorf("policy %s: %w", p.Name, err)
			}
		}
		return nil
	})
	if refusal != nil {
		return refusal
	}
	return s.fail("store policies", err)
}
