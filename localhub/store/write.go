package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Batch is what one commit writes, in this order. A record to insert gets its
// Key by the commit.
type Batch struct {
	Delete     []int64
	Insert     []*Record
	Identities []*Record // existing records whose identity changed
	Twins      []*Record // existing records whose twin is written whole
	Edits      []Edited  // writes of other existing twins, in their order
	Activity   []Activity
	// Subscriptions replace what was kept for a device or module.
	Subscriptions []Subscriptions
	Jobs          JobWrites
}

// Subscriptions are the topic filters kept for a device or module; nil keeps
// none, which differs from an empty list.
type Subscriptions struct {
	DeviceID, ModuleID string
	Filters            []string
}

// Activity is when a device was last heard of and when its connection state
// last changed; zero times mean never.
type Activity struct {
	DeviceID, ModuleID              string
	LastActivity, ConnectionUpdated time.Time
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool { return len(b.Edits) == 0 && b.onlyEdits() }

// onlyEdits reports whether there is nothing to write but edits.
func (b *Batch) onlyEdits() bool {
	return len(b.Delete)+len(b.Insert)+len(b.Identities)+len(b.Twins)+len(b.Activity)+len(b.Subscriptions) == 0 && b.Jobs.Empty()
}

// Commit writes a batch in one transaction. When it returns nil, everything is
// on the disk; otherwise nothing was written. The error is a *DataError when
// the file or the disk is at fault.
func (s *Store) Commit(b *Batch) error { return s.commit(b, 0) }

// commit also brings the rows of a number of twins up to date.
func (s *Store) commit(b *Batch, fold int) error {
	folded, rest := s.overdue.oldest(fold)
	var row int64 // of the journal
	var err error
	if len(folded) == 0 && b.onlyEdits() {
		row, err = s.journal(b) // one statement is a transaction of its own
	} else {
		// No context: a commit is not given up halfway.
		err = s.transaction(context.Background(), func() (err error) {
			if err = s.fold(folded, rest); err != nil {
				return err
			}
			if err = s.write(b); err != nil {
				return err
			}
			row, err = s.journal(b)
			return err
		})
	}
	if err != nil {
		for _, r := range b.Insert {
			r.Key = 0
		}
		return s.fail("commit", err)
	}
	s.overdue.settle(b, folded, row)
	return nil
}

func (s *Store) write(b *Batch) error {
	for _, key := range b.Delete {
		if _, err := s.stmts.delete.Exec(key); err != nil {
			return fmt.Errorf("delete row %d: %w", key, err)
		}
	}
	for _, r := range b.Insert {
		if err := s.insert(r); err != nil {
			return fmt.Errorf("insert %s: %w", r.DeviceID, err)
		}
	}
	for _, r := range b.Identities {
		if err := s.stmts.execIdentity(s.stmts.updateIdentity, r); err != nil {
			return fmt.Errorf("update identity %s: %w", r.DeviceID, err)
		}
	}
	for _, r := range b.Twins {
		if err := s.stmts.execTwin(s.stmts.updateTwin, r); err != nil {
			return fmt.Errorf("update twin %s: %w", r.DeviceID, err)
		}
	}
	for _, a := range b.Activity {
		if _, err := s.stmts.activity.Exec(a.DeviceID, a.ModuleID, formatTime(a.LastActivity), formatTime(a.ConnectionUpdated)); err != nil {
			return fmt.Errorf("activity of %s: %w", a.DeviceID, err)
		}
	}
	for _, kept := range b.Subscriptions {
		if err := s.stmts.keep(kept); err != nil {
			return fmt.Errorf("subscriptions of %s: %w", kept.DeviceID, err)
		}
	}
	return s.writeJobs(&b.Jobs)
}

func (s *Store) insert(r *Record) error {
	if err := s.stmts.insertIdentity.QueryRow(r.DeviceID, r.ModuleID).Scan(&r.Key); err != nil {
		return err
	}
	if err := s.stmts.execIdentity(s.stmts.updateIdentity, r); err != nil {
		return err
	}
	return s.stmts.execTwin(s.stmts.insertTwin, r)
}

// statements are prepared once, on the connection that writes.
type statements struct {
	record, modules, delete, insertIdentity, updateIdentity, insertTwin, updateTwin *sql.Stmt
	activity, subscribe, forget, journal, trim, chooseDevice, jobDevice             *sql.Stmt
	begin, end, undo                                                                *sql.Stmt
}

// prepareFirst prepares what migrations need.
func (st *statements) prepareFirst(ctx context.Context, c *sql.Conn) error {
	return prepare(ctx, c, []statement{
		{&st.begin, `BEGIN IMMEDIATE`},
		{&st.end, `COMMIT`},
		{&st.undo, `ROLLBACK`},
	})
}

func (st *statements) prepare(ctx context.Context, c *sql.Conn) error {
	return prepare(ctx, c, []statement{
		{&st.record, selectNamed},
		{&st.modules, selectRow + `WHERE i.device_id = ? AND i.module_id <> '' ORDER BY i.id`},
		{&st.delete, `DELETE FROM identities WHERE id = ?`},
		// The other columns follow at once by updateIdentity.
		{&st.insertIdentity, `INSERT INTO identities (device_id, module_id, generation, etag, status, authentication)
			VALUES (?, ?, '', 0, 'enabled', '{}') RETURNING id`},
		{&st.updateIdentity, `UPDATE identities SET generation = ?2, etag = ?3, status = ?4, status_reason = ?5,
			status_updated = ?6, authentication = ?7, iot_edge = ?8, device_scope = ?9, parent_scopes = ?10, managed_by = ?11 WHERE id = ?1`},
		{&st.insertTwin, `INSERT INTO twins (id, etag, model_id, tags, desired, desired_metadata, desired_version,
			reported, reported_metadata, reported_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&st.updateTwin, `UPDATE twins SET etag = ?2, model_id = ?3, tags = ?4, desired = ?5, desired_metadata = ?6,
			desired_version = ?7, reported = ?8, reported_metadata = ?9, reported_version = ?10 WHERE id = ?1`},
		// A device that was deleted meanwhile is no error.
		{&st.activity, `INSERT INTO activity (id, last_activity, connection_updated)
			SELECT id, ?3, ?4 FROM identities WHERE device_id = ?1 AND module_id = ?2
			ON CONFLICT DO UPDATE SET last_activity = excluded.last_activity, connection_updated = excluded.connection_updated`},
		{&st.subscribe, `INSERT INTO subscriptions (id, filters) SELECT id, ?3 FROM identities WHERE device_id = ?1 AND module_id = ?2
			ON CONFLICT DO UPDATE SET filters = excluded.filters`},
		{&st.forget, `DELETE FROM subscriptions WHERE id = (SELECT id FROM identities WHERE device_id = ?1 AND module_id = ?2)`},
		{&st.journal, `INSERT INTO journal (at, edits) VALUES (?, ?)`},
		{&st.trim, `DELETE FROM journal WHERE id < ?`},
		{&st.chooseDevice, `INSERT INTO job_devices (job, device_id, module_id, status, created, updated)
			VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT DO NOTHING`},
		{&st.jobDevice, `UPDATE job_devices SET status = ?2, updated = ?3, outcome = ?4, error = ?5 WHERE id = ?1`},
	})
}

type statement struct {
	into **sql.Stmt
	text string
}

func prepare(ctx context.Context, c *sql.Conn, all []statement) error {
	for _, p := range all {
		stmt, err := c.PrepareContext(ctx, p.text)
		if err != nil {
			return err
		}
		*p.into = stmt
	}
	return nil
}

func (st *statements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{
		st.record, st.modules, st.delete, st.insertIdentity, st.updateIdentity, st.insertTwin, st.updateTwin,
		st.activity, st.subscribe, st.forget, st.journal, st.trim, st.chooseDevice, st.jobDevice,
		st.begin, st.end, st.undo,
	} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}

func (st *statements) execIdentity(stmt *sql.Stmt, r *Record) error {
	authentication, err := json.Marshal(r.Authentication)
	if err != nil {
		return err
	}
	scopes, err := json.Marshal(append([]string{}, r.ParentScopes...))
	if err != nil {
		return err
	}
	return one(stmt.Exec(r.Key, r.Generation, int64(r.IdentityETag), r.Status, r.StatusReason, formatTime(r.StatusUpdated),
		string(authentication), r.IoTEdge, r.DeviceScope, string(scopes), r.ManagedBy))
}

// keep replaces what is kept for an identity. One that was deleted meanwhile is
// no error.
func (st *statements) keep(s Subscriptions) error {
	if s.Filters == nil {
		_, err := st.forget.Exec(s.DeviceID, s.ModuleID)
		return err
	}
	filters, err := json.Marshal(s.Filters)
	if err == nil {
		_, err = st.subscribe.Exec(s.DeviceID, s.ModuleID, string(filters))
	}
	return err
}

func (st *statements) execTwin(stmt *sql.Stmt, r *Record) error {
	return one(stmt.Exec(r.Key, int64(r.TwinETag), r.ModelID, string(textOf(r.Tags)),
		string(textOf(r.Desired.Value)), string(textOf(&r.Desired.Metadata)), r.Desired.Version,
		string(textOf(r.Reported.Value)), string(textOf(&r.Reported.Metadata)), r.Reported.Version))
}

// one makes sure that a write met its row: a write that went nowhere must not
// be answered as done.
func one(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows written instead of one", n)
	}
	return err
}
