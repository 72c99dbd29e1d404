package store

import (
	"context"
	_ "embed"
	"fmt"
	"os"
)

//go:embed schema.sql
var schema string

//go:embed schema_2.sql
var schema2 string

//go:embed schema_3.sql
var schema3 string

//go:embed schema_4.sql
var schema4 string

//go:embed schema_5.sql
var schema5 string

// migrations lead from each version of the file to the next; PRAGMA
// user_version counts those a file has had. Published ones never change.
var migrations = []string{schema, schema2, schema3, schema4, schema5}

// applicationID marks the file as ours, "Twin" in ASCII.
const applicationID = 0x5477696e

// inspect refuses a file that is not ours or too new, through a connection that
// cannot write: opening for writing may already change the file. It returns the
// file's version.
func (s *Store) inspect(ctx context.Context) (version int, err error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0, FileError(s.path, err)
	}
	if info.Size() == 0 {
		return 0, nil
	}
	db, err := openPool(s.path, "mode=ro", nil, 1)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var id, tables int
	err = db.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version),
		(SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)`).Scan(&version, &id, &tables)
	switch {
	case err != nil:
		return 0, s.fail("inspect", err)
	case id != applicationID && tables > 0:
		return 0, &DataError{Kind: Foreign, Path: s.path}
	case version > len(migrations):
		return 0, &DataError{Kind: Newer, Path: s.path, Err: fmt.Errorf("its version is %d, this program knows %d", version, len(migrations))}
	}
	return version, nil
}

func (s *Store) migrate(ctx context.Context) error {
	var version int
	if err := s.writer.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return s.fail("read the version", err)
	}
	for ; version < len(migrations); version++ {
		step := fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", migrations[version], applicationID, version+1)
		err := s.transaction(ctx, func() error {
			_, err := s.writer.ExecContext(ctx, step)
			return err
		})
		if err != nil {
			return s.fail(fmt.Sprintf("migrate to version %d", version+1), err)
		}
	}
	return nil
}

// transaction runs f between BEGIN and COMMIT on the writing connection. When
// it returns nil, everything f wrote is on the disk; otherwise nothing is.
func (s *Store) transaction(ctx context.Context, f func() error) error {
	if _, err := s.stmts.begin.ExecContext(ctx); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := f()
	if err == nil {
		if _, err = s.stmts.end.ExecContext(ctx); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// SQLite itself rolls back after some errors, such as a full disk; then
	// this one reports that no transaction is open, which is what we want.
	_, _ = s.stmts.undo.ExecContext(ctx)
	return err
}
