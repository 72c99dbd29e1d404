package localhub

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
	"twinboard/localhub/store"
)

// errEndOfPage ends a scan; it never leaves this file.
var errEndOfPage = errors.New("end of page")

// query answers one page. It sees every write that was answered before it
// began. Continuation is "" for the first page; it stays valid while twins
// change and across restarts: rows come in the order of registration, and a
// page begins behind the last row of the one before. A page size outside 1 to
// 100 is cut to 100. What is no query is ArgumentInvalid with the *query.Error in
// its chain.
func (r *registry) query(ctx context.Context, text, continuation string, pageSize int) (page, error) {
	q, err := r.parsed.parse(text)
	if err != nil {
		return page{}, queryRefusal(err)
	}
	place, err := parsePlace(text, continuation)
	if err != nil {
		return page{}, err
	}
	if pageSize < 1 || pageSize > iothub.MaxPageSize {
		pageSize = iothub.MaxPageSize
	}
	if q.Top > 0 {
		if place.given >= uint64(q.Top) {
			return page{}, errDamagedToken // nothing was left to continue
		}
		pageSize = min(pageSize, q.Top-int(place.given))
	}
	if q.Source == query.Jobs {
		return r.queryJobs(ctx, q, text, place, pageSize)
	}
	s := &search{r: r, q: q, place: place, limit: pageSize, page: page{Type: q.ItemType(), Rows: []json.RawMessage{}}}
	if err := s.run(ctx); err != nil {
		return page{}, err
	}
	if s.more && (q.Top == 0 || int(s.place.given) < q.Top) {
		s.page.Continuation = s.place.token(text)
	}
	return s.page, nil
}

func queryRefusal(err error) error {
	if q, ok := errors.AsType[*query.Error](err); ok {
		return &explained{iothub.ErrArgumentInvalid.With("%s", q.Error()), q}
	}
	return err
}

// search is one query at work.
type search struct {
	r     *registry
	q     *query.Query
	place place
	limit int
	watch *watch
	view  *store.View // in which the rows were found; nil: in columns

	groups *query.Groups
	keys   []int64 // of the rows found
	more   bool
	page   page
}

// run looks for rows in columns where it can, and then reads those of the page.
func (s *search) run(ctx context.Context) error {
	s.watch = s.r.columns.watch()
	defer s.r.columns.unwatch(s.watch)
	if s.suitsColumns() {
		if err := s.inColumns(ctx); !errors.Is(err, errNoColumns) {
			return err
		}
	}
	return s.r.store.View(ctx, func(v *store.View) error {
		s.view = v
		return s.inStore(ctx, v)
	})
}

// suitsColumns tells whether all twins must be looked at: not when the condition
// names their ids, and not when every twin will do.
func (s *search) suitsColumns() bool {
	if _, ok := s.q.DeviceIDs(); ok {
		return false
	}
	return s.q.Where != nil || s.q.Grouped()
}

func (s *search) modules() bool { return s.q.Source == query.Modules }

func (s *search) inColumns(ctx context.Context) error {
	paths := s.q.Paths()
	if s.q.Grouped() {
		paths = s.q.AllPaths()
	}
	if err := s.r.columns.read(ctx, s.modules(), paths, s.look); err != nil {
		return err
	}
	switch {
	case s.q.Grouped():
		return s.addGroups()
	case s.q.Star():
		return s.twins(ctx)
	case len(s.keys) == 0:
		return nil
	}
	return s.r.store.View(ctx, func(v *store.View) error {
		return s.scan(ctx, v, store.Scan{Keys: s.keys}, s.addProjection)
	})
}

// look finds the rows of the page, or counts all into groups.
func (s *search) look(t *table, columns []*query.Column) error {
	f := s.q.Filter(columns, len(t.keys))
	if s.q.Grouped() {
		s.groups = s.q.NewGroups()
		add := s.groups.Over(columns)
		t.each(f, 0, func(row int) bool {
			add(row)
			return true
		})
		return nil
	}
	t.each(f, s.place.after, func(row int) bool {
		if s.more = len(s.keys) == s.limit; s.more {
			return false
		}
		s.place.after = t.keys[row]
		s.keys = append(s.keys, t.keys[row])
		return true
	})
	return nil
}

func (s *search) inStore(ctx context.Context, v *store.View) error {
	scan := store.Scan{After: s.place.after}
	if ids, ok := s.q.DeviceIDs(); ok {
		scan.Only = ids
	}
	if s.q.Grouped() {
		scan.After = 0
		s.groups = s.q.NewGroups()
		err := s.scan(ctx, v, scan, func(_ int64, row query.Row) error {
			s.groups.Add(row)
			return nil
		})
		if err != nil {
			return err
		}
		return s.addGroups()
	}
	err := s.scan(ctx, v, scan, func(key int64, row query.Row) error {
		if s.more = len(s.keys) == s.limit; s.more {
			return errEndOfPage
		}
		s.place.after = key
		s.keys = append(s.keys, key)
		if s.q.Star() {
			return nil
		}
		return s.addProjection(key, row)
	})
	if err != nil || !s.q.Star() {
		return err
	}
	return s.twins(ctx)
}

// addGroups adds a page of groups. They have no place in the store, so the token
// counts them.
func (s *search) addGroups() error {
	records := s.groups.Records()
	from := min(int(s.place.given), len(records))
	to := min(from+s.limit, len(records))
	for _, record := range records[from:to] {
		if err := s.addRecord(record); err != nil {
			return err
		}
	}
	s.more = to < len(records)
	return nil
}

func (s *search) addProjection(_ int64, row query.Row) error { return s.addRecord(s.q.Project(row)) }

func (s *search) addRecord(record query.Record) error {
	b, err := iothub.EncodeJSON(record)
	s.add(b)
	return err
}

func (s *search) add(row json.RawMessage) {
	s.page.Rows = append(s.page.Rows, row)
	s.place.given++
}

// scan calls visit for each twin of the store that passes WHERE.
func (s *search) scan(ctx context.Context, v *store.View, scan store.Scan, visit func(int64, query.Row) error) error {
	paths := s.q.AllPaths()
	values := make(query.Values, len(paths))
	scan.Modules = s.modules()
	for _, p := range paths {
		scan.Paths = append(scan.Paths, p.Keys())
	}
	var failed error
	scan.Visit = func(f store.Found) bool {
		for i, text := range f.Values {
			if values[i], failed = s.value(f, scan.Paths[i], text); failed != nil {
				return false
			}
		}
		if !s.q.Match(values) {
			return true
		}
		failed = visit(f.Key, values)
		return failed == nil
	}
	err := v.Scan(ctx, scan)
	if failed != nil && !errors.Is(failed, errEndOfPage) {
		return failed
	}
	return err
}

// value reads a value of the store, or one that only the registry knows.
func (s *search) value(f store.Found, path []string, text string) (query.Value, error) {
	switch {
	case ofPresence(path):
		return s.r.presenceValue(twinKey{f.DeviceID, f.ModuleID}, path), nil
	case f.Fresh != nil:
		return (&member{r: s.r, rec: f.Fresh}).value(path), nil
	case text == "":
		return query.Value{}, nil
	}
	return query.FromJSON(text)
}

// ofPresence tells whether a path is not in the store.
func ofPresence(path []string) bool {
	return len(path) == 1 && (path[0] == "connectionState" || path[0] == "lastActivityTime")
}

func (r *registry) presenceValue(key twinKey, path []string) query.Value {
	seen := r.seen(key)
	if path[0] == "connectionState" {
		return query.Of(seen.state())
	}
	b, _ := iothub.Time{Time: seen.lastActivity}.MarshalJSON() // never fails
	return query.Of(string(b[1 : len(b)-1]))
}

// place is how far a query has come: the last row looked at, and how many rows
// were given.
type place struct {
	after int64
	given uint64
}

// token makes a place opaque and binds it to the text of its query.
func (p place) token(text string) string {
	b := fingerprint(text)
	b = binary.AppendUvarint(b, uint64(p.after))
	b = binary.AppendUvarint(b, p.given)
	return base64.RawURLEncoding.EncodeToString(b)
}

func fingerprint(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:8]
}

var errDamagedToken = iothub.ErrArgumentInvalid.With("the continuation token is damaged")

func parsePlace(text, token string) (place, error) {
	if token == "" {
		return place{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 10 {
		return place{}, iothub.ErrArgumentInvalid.With("the continuation token is not one of this hub")
	}
	if string(b[:8]) != string(fingerprint(text)) {
		return place{}, iothub.ErrArgumentInvalid.With("the continuation token belongs to another query")
	}
	after, n := binary.Uvarint(b[8:])
	given, m := binary.Uvarint(b[8+max(n, 0):])
	if n <= 0 || m <= 0 || 8+n+m != len(b) || after > 1<<62 || given > 1<<31 {
		return place{}, errDamagedToken
	}
	return place{int64(after), given}, nil
}
