package store

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"
)

// Twins are written far more often than their rows are read, so a commit puts
// what was sent to them into the journal, all of it in one row, and their own rows
// follow some at a time. Until then the twins are kept in memory, and readers get
// them instead of what is in the rows. A hub that was killed finds them in the
// journal when it starts.

// overdueBytes bounds, by estimate, the twins whose rows lag behind: a commit
// that adds more writes the oldest.
const overdueBytes = 32 << 20

// overdue holds the twins whose rows lag behind.
type overdue struct {
	mu     sync.Mutex
	twins  map[int64]*Record // by row, as they were committed last
	viewed bool              // a reader has the map too: copy before a change
	folds  uint64            // how often rows were brought up to date

	// For the one who commits.
	order  *list.List // of *late, the oldest in front
	places map[int64]*list.Element
	memory int // of all
}

// late is the place of a twin in the order.
type late struct {
	id     int64
	since  int64 // the first row of the journal that its row lacks
	memory int
}

func newOverdue() *overdue {
	return &overdue{twins: map[int64]*Record{}, order: list.New(), places: map[int64]*list.Element{}}
}

// view returns the twins, which stay as they are, and a number that moves when
// rows are brought up to date.
func (o *overdue) view() (twins map[int64]*Record, folds uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.viewed = true
	return o.twins, o.folds
}

// change lets f change what is overdue.
func (o *overdue) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.viewed {
		o.twins, o.viewed = maps.Clone(o.twins), false
	}
	f()
}

func (o *overdue) add(r *Record, row int64) {
	if o.twins[r.Key] == nil {
		l := &late{id: r.Key, since: row, memory: r.Memory()}
		o.places[r.Key] = o.order.PushBack(l)
		o.memory += l.memory
	}
	o.twins[r.Key] = r
}

func (o *overdue) remove(id int64) {
	if e := o.places[id]; e != nil {
		o.memory -= o.order.Remove(e).(*late).memory
		delete(o.places, id)
		delete(o.twins, id)
	}
}

// oldest returns n twins if there are that many, or more so that the rest fits
// into overdueBytes, and the first row of the journal that the rest needs.
func (o *overdue) oldest(n int) (out []*Record, rest int64) {
	left := o.memory
	e := o.order.Front()
	for ; e != nil && (len(out) < n || left > overdueBytes); e = e.Next() {
		l := e.Value.(*late)
		left -= l.memory
		out = append(out, o.twins[l.id])
	}
	if e == nil {
		return out, math.MaxInt64
	}
	return out, e.Value.(*late).since
}

// Fold brings the rows of n twins up to date, those that lag behind longest, and
// reports whether there are more. It is for the one who commits. That it fails
// loses nothing.
func (s *Store) Fold(n int) (more bool, err error) {
	if s.overdue.order.Len() == 0 {
		return false, nil
	}
	err = s.commit(&Batch{}, n)
	return s.overdue.order.Len() > 0, err
}

// foldAll leaves a file whose rows are all up to date. When that fails, the
// journal has them.
func (s *Store) foldAll() {
	for more, err := true, error(nil); more && err == nil; {
		more, err = s.Fold(closingFold)
	}
}

// closingFold is how many rows are brought up to date in one transaction when
// nobody waits.
const closingFold = 1000

// fold writes rows, and deletes what the journal has before the row that the
// rest needs.
func (s *Store) fold(twins []*Record, rest int64) error {
	if len(twins) == 0 {
		return nil
	}
	for _, r := range twins {
		if err := s.stmts.execTwin(s.stmts.updateTwin, r); err != nil {
			return fmt.Errorf("bring twin %s up to date: %w", r.DeviceID, err)
		}
	}
	if _, err := s.stmts.trim.ExecContext(context.Background(), rest); err != nil {
		return fmt.Errorf("trim the journal: %w", err)
	}
	return nil
}

// journal writes the edits of a batch and returns their row.
func (s *Store) journal(b *Batch) (row int64, err error) {
	if len(b.Edits) == 0 {
		return 0, nil
	}
	at := b.Edits[0].At
	result, err := s.stmts.journal.ExecContext(context.Background(), formatTime(at), string(appendEdits(nil, at, b.Edits)))
	if err == nil {
		row, err = result.LastInsertId()
	}
	if err != nil {
		return 0, fmt.Errorf("journal: %w", err)
	}
	return row, nil
}

// settle notes what a commit has written: rows are up to date, or overdue.
func (o *overdue) settle(b *Batch, folded []*Record, row int64) {
	current := len(folded) + len(b.Twins) + len(b.Delete)
	if current+len(b.Edits)+len(b.Identities) == 0 {
		return
	}
	o.change(func() {
		if current > 0 {
			o.folds++
		}
		for _, r := range folded {
			o.remove(r.Key)
		}
		for _, r := range b.Twins {
			o.remove(r.Key)
		}
		for _, id := range b.Delete {
			o.remove(id)
		}
		for i := range b.Edits {
			o.add(b.Edits[i].Record, row)
		}
		for _, r := range b.Identities {
			if o.twins[r.Key] != nil {
				o.twins[r.Key] = r
			}
		}
	})
}

// readJournal takes up the twins that are in a journal only.
func (s *Store) readJournal(ctx context.Context) error {
	rows, err := s.writer.QueryContext(ctx, `SELECT id, at, edits FROM journal ORDER BY id`)
	if err != nil {
		return s.fail("read the journal", err)
	}
	defer rows.Close()
	for rows.Next() {
		var row int64
		var at time.Time
		var text string
		err := rows.Scan(&row, timeInto{&at}, &text)
		if err == nil {
			err = s.replay(row, at, text)
		}
		if err != nil {
			return s.fail("read the journal", fmt.Errorf("row %d: %w", row, err))
		}
	}
	return s.fail("read the journal", rows.Err())
}

func (s *Store) replay(row int64, at time.Time, text string) error {
	edits, err := parseEdits(text, at)
	if err != nil {
		return &DataError{Kind: Corrupt, Path: s.path, Err: err}
	}
	for _, e := range edits {
		old, err := s.overdueOrStored(e.id)
		if errors.Is(err, ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		switch version := old.Version(); {
		case e.version <= version: // in the row already
			continue
		case e.version > version+1:
			return &DataError{Kind: Corrupt, Path: s.path, Err: fmt.Errorf("the twin of %s is at version %d, its next edit makes %d", old.DeviceID, version, e.version)}
		}
		next := *old
		next.Twin = e.Apply(old.Twin, e.at)
		s.overdue.change(func() { s.overdue.add(&next, row) })
	}
	return nil
}

func (s *Store) overdueOrStored(id int64) (*Record, error) {
	if r := s.overdue.twins[id]; r != nil {
		return r, nil
	}
	rows, err := s.rows(s.writer.QueryContext(context.Background(), selectRow+`WHERE i.id = ?`, id))
	if err != nil {
		return nil, err
	}
	return record(rows, nil)
}
