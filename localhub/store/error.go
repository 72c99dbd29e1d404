package store

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Kind says what is wrong with a data folder.
type Kind string

// The kinds of DataError.
const (
	InUse      Kind = "in-use"     // another process works on the folder
	Unreadable Kind = "unreadable" // rights, or not a folder
	ReadOnly   Kind = "read-only"
	Full       Kind = "full"
	Corrupt    Kind = "corrupt"
	Newer      Kind = "newer"   // written by a newer version of the program
	Foreign    Kind = "foreign" // an SQLite file of another program
	Missing    Kind = "missing" // no hub has used the folder yet
	Busy       Kind = "busy"    // another program holds a lock on the file
	Failed     Kind = "failed"  // the disk refused to read or write
)

// DataError says what is wrong with the data folder or a file in it, in
// sentences for the person who can mend it.
type DataError struct {
	Kind Kind
	Path string
	Err  error // the cause, may be nil
}

func (e *DataError) Error() string {
	text := fmt.Sprintf(sentences[e.Kind], e.Path)
	if e.Err != nil {
		text += fmt.Sprintf(" (%v)", e.Err)
	}
	return text
}

func (e *DataError) Unwrap() error { return e.Err }

var sentences = map[Kind]string{
	InUse:      "The data folder %s is in use by another Twinboard. Stop that one, or choose another folder with --data.",
	Unreadable: "%s cannot be opened. Check that you may read and write it, or choose another folder with --data.",
	ReadOnly:   "%s cannot be written. Give yourself the right to write it, or choose another folder with --data.",
	Full:       "The disk that holds %s is full, so the change was not stored. Free some space and try again.",
	Corrupt:    "%s is damaged and was left as it is. Put back a copy, or move it away to start with an empty hub.",
	Newer:      "%s was written by a newer Twinboard and was left as it is. Use that version, or choose another folder with --data.",
	Foreign:    "%s is an SQLite file of another program and was left as it is. Choose another folder with --data.",
	Missing:    "%s does not exist: no hub has used this data folder yet. Start the hub once, or check --data.",
	Busy:       "Another program holds a lock on %s, so the change was not stored. Close that program and try again.",
	Failed:     "Reading or writing %s failed. Check the disk and its connection, then start again.",
}

// Reason is the kind in a few words that name no file.
func (k Kind) Reason() string {
	switch k {
	case Full:
		return "its disk is full"
	case ReadOnly, Unreadable:
		return "it may not write its data folder"
	case Corrupt:
		return "its data file is damaged"
	case Busy:
		return "another program has locked its data file"
	}
	return "its disk failed"
}

// kinds maps SQLite's primary result codes; the rest is Failed.
var kinds = map[int]Kind{
	sqlite3.SQLITE_FULL:     Full,
	sqlite3.SQLITE_CORRUPT:  Corrupt,
	sqlite3.SQLITE_NOTADB:   Corrupt,
	sqlite3.SQLITE_READONLY: ReadOnly,
	sqlite3.SQLITE_CANTOPEN: Unreadable,
	sqlite3.SQLITE_PERM:     Unreadable,
	sqlite3.SQLITE_BUSY:     Busy,
	sqlite3.SQLITE_LOCKED:   Busy,
	sqlite3.SQLITE_IOERR:    Failed,
}

// fail gives an error of SQLite its kind; errors that say nothing about the
// file pass through.
func (s *Store) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", doing, err)
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		if kind, ok := kinds[e.Code()&0xff]; ok {
			return &DataError{Kind: kind, Path: s.path, Err: err}
		}
	}
	return err
}

// FileError gives an error of the operating system its kind.
func FileError(path string, err error) error {
	kind := Failed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = Missing
	case errors.Is(err, syscall.ENOSPC):
		kind = Full
	case errors.Is(err, syscall.EROFS):
		kind = ReadOnly
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		kind = Unreadable
	}
	return &DataError{Kind: kind, Path: path, Err: err}
}
