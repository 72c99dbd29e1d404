// Package store keeps a hub's identities, twins, jobs and policies in one SQLite
// file that a person can open with sqlite3. A commit that returned is on the
// disk: the file is in WAL mode with synchronous=FULL, and every connection
// proves both before it is used.
//
// The package moves records in and out; what a twin's write means is the
// registry's business. It knows nothing of the network.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"runtime"
	"sync"

	"modernc.org/sqlite"
)

// Store is an open file. Reads may run on many goroutines at once, also while
// Commit runs; Commit must not be called by two goroutines at a time.
type Store struct {
	path    string
	readers *sql.DB

	overdue *overdue

	// The one connection that writes, and what it has prepared. All nil when
	// the store was opened for reading.
	writers *sql.DB
	writer  *sql.Conn
	stmts   statements

	closing  sync.Once
	closeErr error
}

// Open opens the file for the one hub that works on it, making or migrating it
// if need be. A file of a newer version or of another program is refused and not
// touched. The error is a *DataError when the file is at fault.
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := OpenBeside(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := s.readJournal(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// OpenBeside opens like Open, also while a hub works on the file, for everything
// but twins: those may lag behind, and must not be written.
func OpenBeside(ctx context.Context, path string) (*Store, error) {
	s := &Store{path: path, overdue: newOverdue()}
	if err := s.makeFile(); err != nil {
		return nil, err
	}
	if _, err := s.inspect(ctx); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// OpenReadOnly opens an existing file for reading, also while a hub works on
// it; only a file of an older version is brought up to date first. Twins may
// lag behind, as with OpenBeside. The error is a *DataError of kind Missing when
// there is none.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	s := &Store{path: path, overdue: newOverdue()}
	info, err := os.Stat(path)
	if err != nil {
		return nil, FileError(path, err)
	}
	if info.Size() == 0 {
		return nil, &DataError{Kind: Missing, Path: path}
	}
	version, err := s.inspect(ctx)
	if err == nil && version < len(migrations) {
		err = s.migrateOnce(ctx)
	}
	if err != nil {
		return nil, err
	}
	s.readers, err = openPool(path, "mode=ro", readerPragmas[1:], 1)
	return s, err
}

// migrateOnce brings an older file up to date for a reader, whose questions it
// could not answer otherwise.
func (s *Store) migrateOnce(ctx context.Context) error {
	w, err := OpenBeside(ctx, s.path)
	if err != nil {
		return err
	}
	return w.Close()
}

// makeFile makes an empty file that only its owner can read, before SQLite
// would make one that everybody can; the WAL inherits its rights.
func (s *Store) makeFile() error {
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return FileError(s.path, err)
	}
	return f.Close()
}

func (s *Store) open(ctx context.Context) error {
	var err error
	if s.writers, err = openPool(s.path, "", writerPragmas, 1); err != nil {
		return err
	}
	if s.writer, err = s.writers.Conn(ctx); err != nil {
		return s.fail("open", err)
	}
	if err := s.stmts.prepareFirst(ctx, s.writer); err != nil {
		return s.fail("prepare", err)
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.stmts.prepare(ctx, s.writer); err != nil {
		return s.fail("prepare", err)
	}
	if s.readers, err = openPool(s.path, "", readerPragmas, max(4, runtime.GOMAXPROCS(0))); err != nil {
		return err
	}
	return s.fail("open for reading", s.readers.PingContext(ctx))
}

// Close closes the file; it may be called twice.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closeErr = s.fail("close", s.close()) })
	return s.closeErr
}

func (s *Store) close() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		s.foldAll()
		errs = append(errs, s.stmts.close(), s.writer.Close())
	}
	// Last: closing the last connection moves the WAL into the file.
	if s.writers != nil {
		errs = append(errs, s.writers.Close())
	}
	return errors.Join(errs...)
}

// pragma is a setting and what SQLite says when asked for it, "" when that does
// not matter.
type pragma struct{ name, set, want string }

var (
	walMode = pragma{"journal_mode", "WAL", "wal"}
	// Sync the WAL at each commit: an answer that a client has seen survives a
	// power cut. The default of WAL mode does not promise that.
	fullSync    = pragma{"synchronous", "FULL", "2"}
	foreignKeys = pragma{"foreign_keys", "1", "1"}
	// Another program, such as sqlite3, may hold a lock for a moment.
	patience = pragma{"busy_timeout", "5000", "5000"}
	noWrites = pragma{"query_only", "1", "1"}
	// Readers look into the file where it lies in memory instead of copying each
	// page, which makes reading all twins nearly twice as fast. SQLite copies
	// where the system cannot map.
	mapped = pragma{"mmap_size", "1073741824", ""}

	writerPragmas = []pragma{patience, walMode, fullSync, foreignKeys}
	readerPragmas = []pragma{walMode, patience, fullSync, foreignKeys, noWrites, mapped}
)

func openPool(path, mode string, pragmas []pragma, size int) (*sql.DB, error) {
	values := url.Values{"_dqs": {"0"}} // "x" is never a text: a misspelt column is an error
	for _, p := range pragmas {
		values.Add("_pragma", p.name+"("+p.set+")")
	}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: values.Encode()}
	if mode != "" {
		dsn.RawQuery += "&" + mode
	}
	base, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := sql.OpenDB(checked{base, pragmas})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// checked reads the pragmas back on each new connection: SQLite ignores a
// pragma it does not know, and keeps another journal mode without an error.
type checked struct {
	driver.Connector
	pragmas []pragma
}

// Connect implements driver.Connector.
func (c checked) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range c.pragmas {
		if p.want == "" {
			continue
		}
		got, err := readPragma(ctx, conn, p.name)
		if err == nil && got != p.want {
			err = fmt.Errorf("pragma %s is %s, it must be %s", p.name, got, p.want)
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, nil
}

func readPragma(ctx context.Context, conn driver.Conn, name string) (string, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return "", fmt.Errorf("pragma %s: %w", name, err)
	}
	defer func() { _ = rows.Close() }()
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("pragma %s: %w", name, err)
	}
	return fmt.Sprint(value[0]), nil
}
