package localhub

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"

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
// 100 is cut to 100. A explained text is an ArgumentInvalid with the *query.Error
// in its chain.
func (r *registry) query(ctx context.Context, text, continuation string, pageSize int) (page, error) {
	q, err := query.Parse(text)
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
	s := &search{r: r, q: q, place: place, limit: pageSize, page: page{Type: q.ItemType(), Rows: []json.RawMessage{}}}
	if q.Top > 0 {
		s.limit = min(s.limit, q.Top-int(place.given))
	}
	if err := r.store.View(ctx, func(v *store.View) error { return s.run(ctx, v) }); err != nil {
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

	keys []int64 // rows of whole twins still to be read
	more bool
	page page
}

func (s *search) run(ctx context.Context, v *store.View) error {
	if s.q.Grouped() {
		return s.group(ctx, v)
	}
	err := s.scan(ctx, v, s.place.after, func(key int64, row query.Row) error {
		if len(s.page.Rows)+len(s.keys) == s.limit {
			s.more = true
			return errEndOfPage
		}
		s.place.after = key
		s.place.given++
		if s.q.Star() {
			s.keys = append(s.keys, key)
			return nil
		}
		return s.add(s.q.Project(row))
	})
	if err != nil || !s.q.Star() {
		return err
	}
	return s.readTwins(ctx, v)
}

// group works through all twins on each page; its rows have no place in the
// store, so the token counts them.
func (s *search) group(ctx context.Context, v *store.View) error {
	groups := s.q.NewGroups()
	err := s.scan(ctx, v, 0, func(_ int64, row query.Row) error {
		groups.Add(row)
		return nil
	})
	if err != nil {
		return err
	}
	records := groups.Records()
	from := min(int(s.place.given), len(records))
	to := min(from+s.limit, len(records))
	for _, record := range records[from:to] {
		if err := s.add(record); err != nil {
			return err
		}
	}
	s.place.given, s.more = uint64(to), to < len(records)
	return nil
}

func (s *search) add(record query.Record) error {
	b, err := iothub.EncodeJSON(record)
	s.page.Rows = append(s.page.Rows, b)
	return err
}

// scan calls visit for each twin that passes WHERE.
func (s *search) scan(ctx context.Context, v *store.View, after int64, visit func(int64, query.Row) error) error {
	paths := s.q.AllPaths()
	values := make(query.Values, len(paths))
	scan := store.Scan{After: after, Modules: s.q.Source == query.Modules}
	for _, p := range paths {
		scan.Paths = append(scan.Paths, p.Keys())
	}
	if ids, ok := s.q.DeviceIDs(); ok {
		scan.Only = ids
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
	if text == "" {
		return s.presenceValue(f, path), nil
	}
	// The most frequent case, without a decoder.
	if n := len(text) - 1; text[0] == '"' && strings.IndexByte(text, '\\') < 0 {
		return query.Of(text[1:n]), nil
	}
	return query.FromJSON(text)
}

func (s *search) presenceValue(f store.Found, path []string) query.Value {
	if len(path) != 1 || path[0] != "connectionState" && path[0] != "lastActivityTime" {
		return query.Value{}
	}
	seen := s.r.seen(twinKey{f.DeviceID, f.ModuleID})
	if path[0] == "connectionState" {
		return query.Of(seen.state())
	}
	b, _ := iothub.Time{Time: seen.lastActivity}.MarshalJSON() // never fails
	return query.Of(string(b[1 : len(b)-1]))
}

func (s *search) readTwins(ctx context.Context, v *store.View) error {
	rows, err := v.Rows(ctx, s.keys)
	if err != nil {
		return err
	}
	for _, row := range rows {
		b, err := iothub.EncodeJSON(s.r.rawTwin(row))
		if err != nil {
			return err
		}
		s.page.Rows = append(s.page.Rows, b)
	}
	return nil
}

// rawTwin is a twin whose documents are still text; it prints like
// iothub.Twin, whose fields of the same names it hides. Those behind the
// documents are there for the order.
type rawTwin struct {
	iothub.Twin
	Tags         json.RawMessage     `json:"tags,omitempty"`
	Properties   rawProperties       `json:"properties"`
	Capabilities iothub.Capabilities `json:"capabilities"`
	DeviceScope  string              `json:"deviceScope,omitempty"`
	ParentScopes []string            `json:"parentScopes,omitempty"`
}

type rawProperties struct {
	Desired  json.RawMessage `json:"desired"`
	Reported json.RawMessage `json:"reported"`
}

func (r *registry) rawTwin(row *store.Row) rawTwin {
	head := r.showHead(row.Identity, row.TwinETag, row.ModelID, row.Version())
	t := rawTwin{Twin: head, Capabilities: head.Capabilities, DeviceScope: head.DeviceScope, ParentScopes: head.ParentScopes}
	if string(row.Tags) != "{}" {
		t.Tags = row.Tags
	}
	t.Properties = rawProperties{row.Desired.JSON(), row.Reported.JSON()}
	return t
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
		return place{}, iothub.ErrArgumentInvalid.With("the continuation token is damaged")
	}
	return place{int64(after), given}, nil
}
