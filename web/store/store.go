// Package store is what the dashboard itself remembers, in one SQLite file:
// settings of a hub, how far a learner is in the tutorial, the journal of changes,
// and acts on many devices with what became of each. It keeps no copy of a hub's devices and
// never a secret, and nobody outside it sees SQL.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

//go:embed schema.sql
var schema string

// ErrNewer means that the file was written by a newer program. It is left as it
// is.
var ErrNewer = errors.New("the dashboard's file was written by a newer version of Twinboard")

// Store is the open file. All methods may be called at the same time.
type Store struct {
	db     *sql.DB
	search journalSearch
}

// Open opens the file, makes it if it is missing (readable by its owner only),
// and brings it to the present schema. The error is ErrNewer for a file that
// this program does not know.
func Open(ctx context.Context, path string) (*Store, error) {
	if err := private(path); err != nil {
		return nil, fmt.Errorf("dashboard store: %w", err)
	}
	db := sql.OpenDB(connector{dsn: dsn(path)})
	db.SetMaxOpenConns(4)
	if err := migrate(ctx, db, steps(schema)); err != nil {
		return nil, errors.Join(fmt.Errorf("dashboard store %s: %w", path, err), db.Close())
	}
	return &Store{db: db}, nil
}

// Close closes the file; it may be called twice.
func (s *Store) Close() error { return s.db.Close() }

// private makes sure that the file and its folder are the owner's alone: SQLite
// gives its side files the mode of the file.
func private(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// pragmas are set on each connection and read back, because SQLite takes a
// misspelt or impossible one silently. FULL: an answered change is on disk.
var pragmas = []struct{ name, value, reads string }{
	{"busy_timeout", "10000", "10000"},
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"},
	{"foreign_keys", "ON", "1"},
}

func dsn(path string) string {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range pragmas {
		q.Add("_pragma", p.name+"("+p.value+")")
	}
	// Opaque: a relative path would else begin with what SQLite takes for a host.
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// connector opens connections and refuses one whose pragmas did not take.
type connector struct{ dsn string }

func (c connector) Driver() driver.Driver { return &sqlite.Driver{} }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	for _, p := range pragmas {
		got, err := readPragma(ctx, conn, p.name)
		if err == nil && got != p.reads {
			err = fmt.Errorf("is %s, want %s", got, p.reads)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("pragma %s: %w", p.name, err), conn.Close())
		}
	}
	return conn, nil
}

func readPragma(ctx context.Context, conn driver.Conn, name string) (value string, err error) {
	q, ok := conn.(driver.QueryerContext)
	if !ok {
		return "", errors.New("the driver cannot query a connection")
	}
	rows, err := q.QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return fmt.Sprint(row[0]), nil
}

// steps cuts the schema at its "-- step" lines.
func steps(schema string) []string {
	return strings.Split(schema, "\n-- step ")[1:]
}

// migrate runs the steps that the file has not seen, each in a transaction.
func migrate(ctx context.Context, db *sql.DB, steps []string) error {
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("read the version: %w", err)
	}
	if have > len(steps) {
		return ErrNewer
	}
	for i := have; i < len(steps); i++ {
		if err := migrateStep(ctx, db, i+1, steps[i]); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func migrateStep(ctx context.Context, db *sql.DB, version int, step string) error {
	return inTx(ctx, db, func(tx *sql.Tx) error {
		_, statements, _ := strings.Cut(step, "\n") // the first line is the rest of "-- step n"
		if _, err := tx.ExecContext(ctx, statements); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
		return err
	})
}

func inTx(ctx context.Context, db *sql.DB, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func micros(t time.Time) int64     { return t.UnixMicro() }
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
