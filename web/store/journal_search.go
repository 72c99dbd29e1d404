package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// journalSearch finds entries of the journal by what lists filter by. It holds
// that of every entry in memory, 32 bytes each: SQLite needs ten times as long to
// find nothing, for it has no index for a part of a name. A hub's part is read
// when it is first asked for. The zero value is ready.
type journalSearch struct {
	mu   sync.RWMutex
	hubs map[string]*searched
}

// searched are the entries of one hub, in their order.
type searched struct {
	rows     []searchRow
	newest   int64    // id
	devices  interned // in lower case
	policies interned
}

type searchRow struct {
	Place
	device, policy  int32
	section, source uint8 // places in searchSections and searchSources
}

var (
	searchSections = []Section{Tags, Desired, State}
	searchSources  = []Source{FromDashboard, FromFeed, FromRead}
)

// interned numbers texts.
type interned struct {
	texts   []string
	numbers map[string]int32
}

func (n *interned) number(text string) int32 {
	if known, ok := n.numbers[text]; ok {
		return known
	}
	if n.numbers == nil {
		n.numbers = map[string]int32{}
	}
	number := int32(len(n.texts))
	n.numbers[text] = number
	n.texts = append(n.texts, text)
	return number
}

// Warm reads what a search in a hub's journal needs, so that the first one need
// not wait for it.
func (s *Store) Warm(ctx context.Context, hub string) error {
	return s.search.load(ctx, s.db, hub)
}

// load reads a hub's part, if it is not there. Whoever writes meanwhile waits with
// put, so that nothing falls between.
func (j *journalSearch) load(ctx context.Context, db *sql.DB, hub string) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.hubs[hub] != nil {
		return nil
	}
	rows, err := db.QueryContext(ctx, `SELECT id, at, device_id, section, source, who FROM journal WHERE hub = ? ORDER BY at, id`, hub)
	if err != nil {
		return fmt.Errorf("search in the journal: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	h := &searched{}
	for rows.Next() {
		var (
			e  Entry
			at int64
		)
		if err := rows.Scan(&e.ID, &at, &e.DeviceID, &e.Section, &e.Source, &e.Who); err != nil {
			return fmt.Errorf("search in the journal: %w", err)
		}
		e.Time = fromMicros(at)
		h.rows = append(h.rows, h.row(e))
		h.newest = max(h.newest, e.ID)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("search in the journal: %w", err)
	}
	if j.hubs == nil {
		j.hubs = map[string]*searched{}
	}
	j.hubs[hub] = h
	return nil
}

func (h *searched) row(e Entry) searchRow {
	return searchRow{
		Place: e.Place(), device: h.devices.number(strings.ToLower(e.DeviceID)), policy: h.policies.number(e.Who),
		section: uint8(slices.Index(searchSections, e.Section)), source: uint8(slices.Index(searchSources, e.Source)),
	}
}

// place is where a place is in the rows, or would be.
func (h *searched) place(p Place) int {
	i, _ := slices.BinarySearchFunc(h.rows, p, func(r searchRow, p Place) int { return r.Compare(p) })
	return i
}

// put adds an entry, or takes over what became of it.
func (h *searched) put(e Entry) {
	if e.ID <= h.newest {
		h.drop(e.ID)
	}
	h.newest = max(h.newest, e.ID)
	h.rows = slices.Insert(h.rows, h.place(e.Place()), h.row(e))
}

// drop takes out the entry with an id, if it is there: most likely it is a late one.
func (h *searched) drop(id int64) {
	for i, r := range slices.Backward(h.rows) {
		if r.id == id {
			h.rows = slices.Delete(h.rows, i, i+1)
			return
		}
	}
}

// put adds entries that were written, or takes over what became of them.
func (j *journalSearch) put(entries []Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		if h := j.hubs[e.Hub]; h != nil {
			h.put(e)
		}
	}
}

// prune forgets what is no longer in the journal: of each kind, made here or not,
// the oldest have gone.
func (j *journalSearch) prune(ctx context.Context, db *sql.DB, hub string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.hubs[hub]
	if h == nil {
		return nil
	}
	var oldest [2]Place // of others' and of one's own
	for own := range oldest {
		p := &oldest[own]
		err := db.QueryRowContext(ctx, `SELECT at, id FROM journal WHERE hub = ? AND own = ? ORDER BY at, id LIMIT 1`, hub, own).Scan(&p.at, &p.id)
		if errors.Is(err, sql.ErrNoRows) {
			p.at = math.MaxInt64 // all have gone
		} else if err != nil {
			return fmt.Errorf("search in the journal: %w", err)
		}
	}
	h.rows = slices.DeleteFunc(h.rows, func(r searchRow) bool {
		own := 0
		if searchSources[r.source] == FromDashboard {
			own = 1
		}
		return r.Compare(oldest[own]) < 0
	})
	if len(h.devices.texts) > 2*len(h.rows)+1000 {
		delete(j.hubs, hub) // most names are of devices long gone
	}
	return nil
}

// find returns the ids of the latest entries that a query asks for, newest first,
// at most limit.
func (j *journalSearch) find(ctx context.Context, db *sql.DB, q JournalQuery, limit int) ([]int64, error) {
	j.mu.RLock()
	h := j.hubs[q.Hub]
	if h == nil {
		j.mu.RUnlock()
		if err := j.load(ctx, db, q.Hub); err != nil {
			return nil, err
		}
		j.mu.RLock()
		if h = j.hubs[q.Hub]; h == nil {
			h = &searched{} // forgotten again at once
		}
	}
	defer j.mu.RUnlock()
	return h.find(q, limit), nil
}

// find looks at the entries from the newest on.
func (h *searched) find(q JournalQuery, limit int) []int64 {
	fits := h.fits(q)
	newest := len(h.rows)
	if q.Before != (Place{}) {
		newest = h.place(q.Before)
	}
	ids := []int64{}
	for i := newest - 1; i >= 0 && len(ids) < limit; i-- {
		if r := &h.rows[i]; r.id > q.After && fits(r) {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// fits is the condition of a query, but for the places. A name is looked at once.
func (h *searched) fits(q JournalQuery) func(*searchRow) bool {
	part, looked := strings.ToLower(q.Part), make([]int8, len(h.devices.texts))
	named := func(device int32) bool {
		if looked[device] == 0 {
			looked[device] = -1
			if strings.Contains(h.devices.texts[device], part) {
				looked[device] = 1
			}
		}
		return looked[device] > 0
	}
	policy, known := h.policies.numbers[q.Who]
	nobody := q.Who != "" && !known
	return func(r *searchRow) bool {
		switch {
		case nobody, q.Who != "" && r.policy != policy:
			return false
		case q.Section != "" && searchSections[r.section] != q.Section:
			return false
		case q.Source != "" && searchSources[r.source] != q.Source:
			return false
		case q.Others && (searchSources[r.source] == FromDashboard || searchSections[r.section] == State):
			return false
		}
		return part == "" || named(r.device)
	}
}
