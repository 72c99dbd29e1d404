package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"twinboard/hubclient/iothub"
)

// Section is the part of a twin a journal entry is about.
type Section string

// The parts of a twin that people write, and the state of the device as a whole.
const (
	Tags    Section = "tags"
	Desired Section = "desired"
	State   Section = "state"
)

// Source says who told about a change.
type Source string

// The sources of the journal.
const (
	FromDashboard Source = "dashboard" // it made the change itself
	FromFeed      Source = "feed"      // the hub's change feed
	FromRead      Source = "read"      // the twin was different when it was read again
)

// ErrNoEntry means that the journal holds no such entry.
var ErrNoEntry = errors.New("no such journal entry")

// Entry is one change of a device, with what an undo needs.
type Entry struct {
	ID       int64
	Time     time.Time
	Hub      string
	DeviceID string
	ModuleID string // "" for the device itself
	Section  Section
	Patch    iothub.Document // what was sent, removals as null; nil for a state
	Old      iothub.Document // the values it replaced, null for what was new
	// Was and State are the device's state before and after; set for State only.
	// Both are empty when it was deleted.
	Was, State iothub.State
	Source     Source
	Who        string      // the shared access policy that wrote, as far as the feed says
	Screen     string      // the page of the dashboard it was made on
	ETag       iothub.ETag // of the twin after the change
	Version    int64       // $version of desired after the change, 0 unknown
	// TwinVersion is the version of the whole twin after the change, 0 unknown:
	// each write has one of its own.
	TwinVersion int64
	Undoes      int64 // the entry this one takes back, or 0
}

// Deletion reports whether the entry says that the device was deleted: it has no
// state any more.
func (e Entry) Deletion() bool { return e.Section == State && e.State == "" }

// Place is where an entry stands in the order of a journal: by its time, and of
// one time by its id. A page of entries goes on after a place, whatever is
// written or forgotten meanwhile. The zero value is none.
type Place struct {
	at, id int64 // microseconds
}

// Place is where the entry stands.
func (e Entry) Place() Place { return Place{micros(e.Time), e.ID} }

// String is the place as ParsePlace reads it.
func (p Place) String() string { return fmt.Sprintf("%d-%d", p.at, p.id) }

// ParsePlace reads a place; anything else is none.
func ParsePlace(s string) (p Place) {
	at, id, _ := strings.Cut(s, "-")
	var errs [2]error
	p.at, errs[0] = strconv.ParseInt(at, 10, 64)
	p.id, errs[1] = strconv.ParseInt(id, 10, 64)
	if errors.Join(errs[:]...) != nil {
		return Place{}
	}
	return p
}

// Compare orders places by their time.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.id, q.id))
}

// sameWrite is within what time a second report of one write comes. A device
// that is deleted and made again counts its etags anew: nor is a write the same as
// one before its deletion.
const sameWrite = time.Minute

// Record adds changes that the dashboard made to the journal, all or none, and
// returns their ids in order. What the hub's feed has told of them already
// becomes theirs. ID and Source of the argument are ignored.
func (s *Store) Record(ctx context.Context, entries ...Entry) (ids []int64, err error) {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].Source = FromDashboard
	}
	kept, err := s.Observe(ctx, entries...)
	for _, e := range kept {
		ids = append(ids, e.ID)
	}
	return ids, err
}

// Observe adds what was told, all or none, and returns what is new by it: a
// write that is in the journal already is left out, unless its source knows more
// of it than the one before.
func (s *Store) Observe(ctx context.Context, entries ...Entry) (fresh []Entry, err error) {
	err = inTx(ctx, s.db, func(tx *sql.Tx) (err error) {
		w, err := prepareJournal(ctx, tx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close()) }()
		for _, e := range entries {
			id, known, err := w.sameWriteAs(ctx, e)
			if err != nil {
				return err
			}
			if known == FromDashboard && e.Source == FromDashboard {
				id, known = 0, "" // it knows its own writes apart
			}
			if !e.Source.knowsMoreThan(known) {
				continue
			}
			if e.ID, err = w.put(ctx, id, e); err != nil {
				return err
			}
			fresh = append(fresh, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	s.search.put(fresh)
	return fresh, nil
}

func (s Source) knowsMoreThan(o Source) bool {
	order := []Source{"", FromRead, FromFeed, FromDashboard}
	return slices.Index(order, s) > slices.Index(order, o)
}

// journalWriter is the statements of one transaction, prepared once: that is half
// of the work of a large batch.
type journalWriter struct{ find, insert *sql.Stmt }

func prepareJournal(ctx context.Context, tx *sql.Tx) (w journalWriter, err error) {
	w.find, err = tx.PrepareContext(ctx,
		`SELECT id, source FROM journal INDEXED BY journal_write
		 WHERE hub = ? AND device_id = ? AND etag = ? AND section <> 'state' AND section = ? AND module_id = ? AND at >= ?
		 AND NOT EXISTS (SELECT 1 FROM journal d WHERE d.hub = journal.hub AND d.device_id = journal.device_id AND d.module_id = journal.module_id
		  AND d.at > journal.at AND d.section = 'state' AND d.state = '')
		 ORDER BY id DESC LIMIT 1`)
	if err != nil {
		return w, err
	}
	w.insert, err = tx.PrepareContext(ctx,
		`INSERT INTO journal (id, at, hub, device_id, module_id, section, patch, old, was, state, source, who, screen, etag, version, twin_version, undoes)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		 ON CONFLICT (id) DO UPDATE SET at = excluded.at, patch = excluded.patch, old = excluded.old, source = excluded.source,
		 who = excluded.who, screen = excluded.screen, version = max(version, excluded.version),
		 twin_version = max(twin_version, excluded.twin_version), undoes = excluded.undoes`)
	if err != nil {
		return w, errors.Join(err, w.find.Close())
	}
	return w, nil
}

func (w journalWriter) close() error { return errors.Join(w.find.Close(), w.insert.Close()) }

// sameWriteAs finds the entry that tells of the same write; id is 0 for none.
func (w journalWriter) sameWriteAs(ctx context.Context, e Entry) (id int64, source Source, err error) {
	if e.Section == State || e.ETag == "" {
		return 0, "", nil
	}
	err = w.find.QueryRowContext(ctx, e.Hub, e.DeviceID, string(e.ETag), string(e.Section), e.ModuleID,
		micros(e.Time.Add(-sameWrite))).Scan(&id, &source)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", nil
	}
	return id, source, err
}

// put writes an entry, in the place of another with that id unless it is 0.
func (w journalWriter) put(ctx context.Context, id int64, e Entry) (int64, error) {
	patch, err := json.Marshal(e.Patch)
	if err != nil {
		return 0, err
	}
	old, err := json.Marshal(e.Old)
	if err != nil {
		return 0, err
	}
	var place any
	if id != 0 {
		place = id
	}
	r, err := w.insert.ExecContext(ctx,
		place, micros(e.Time), e.Hub, e.DeviceID, e.ModuleID, string(e.Section), string(patch), string(old), string(e.Was), string(e.State),
		string(e.Source), e.Who, e.Screen, string(e.ETag), e.Version, e.TwinVersion, e.Undoes)
	if err != nil || id != 0 {
		return id, err
	}
	return r.LastInsertId()
}

const entryColumns = `id, at, hub, device_id, module_id, section, patch, old, was, state, source, who, screen, etag, version, twin_version, undoes`

// Entry returns one change of a hub; the error is ErrNoEntry when there is none.
func (s *Store) Entry(ctx context.Context, hub string, id int64) (Entry, error) {
	e, err := scanEntry(s.db.QueryRowContext(ctx,
		`SELECT `+entryColumns+` FROM journal WHERE hub = ? AND id = ?`, hub, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Entry{}, ErrNoEntry
	}
	if err != nil {
		return Entry{}, fmt.Errorf("journal entry %d: %w", id, err)
	}
	return e, nil
}

func scanEntry(row interface{ Scan(...any) error }) (Entry, error) {
	var (
		e          Entry
		at         int64
		patch, old string
	)
	err := row.Scan(&e.ID, &at, &e.Hub, &e.DeviceID, &e.ModuleID, &e.Section, &patch, &old,
		&e.Was, &e.State, &e.Source, &e.Who, &e.Screen, &e.ETag, &e.Version, &e.TwinVersion, &e.Undoes)
	if err != nil {
		return Entry{}, err
	}
	e.Time = fromMicros(at)
	if e.Patch, err = document(patch); err != nil {
		return Entry{}, err
	}
	e.Old, err = document(old)
	return e, err
}

// document reads a stored document; numbers stay as they were written.
func document(s string) (iothub.Document, error) {
	if s == "null" {
		return nil, nil
	}
	return iothub.ParseDocument([]byte(s))
}
