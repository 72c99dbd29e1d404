package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// queryResult is a page of an answer for people.
func (s *Server) queryResult(c echo.Context, h *Hub, a asking, got answer) (*views.QueryResult, error) {
	ctx := c.Request().Context()
	r := &views.QueryResult{
		Lead: answerLead(ctx, a, got), Empty: len(got.Rows) == 0, Pages: answerPages(ctx, h, a, got),
		When: text.T(ctx, "query.when", "Time", text.Clock(ctx, got.at.Local()), "Span", tookText(ctx, got.took)),
		Az:   azQuery(a), Curl: curlQuery(h, a), Link: c.Scheme() + "://" + c.Request().Host + a.first().href(h),
	}
	if !h.Local {
		r.Note = text.T(ctx, "query.index")
	}
	for _, as := range []string{"table", "json"} {
		b := a
		b.as = as
		r.Views = append(r.Views, views.ChoiceLink{Label: text.T(ctx, "query.as."+as), Href: b.href(h), Chosen: a.as == as})
	}
	for _, format := range []string{"csv", "json"} {
		v := a.values()
		v.Del("as")
		v.Set("format", format)
		r.Exports = append(r.Exports, views.Link{Label: text.T(ctx, "query.export", "Format", strings.ToUpper(format)), Href: h.queryPath() + "?" + v.Encode()})
	}
	return r, s.fillAnswer(ctx, h, a, got, r)
}

// fillAnswer adds the rows, in the form asked for.
func (s *Server) fillAnswer(ctx context.Context, h *Hub, a asking, got answer, r *views.QueryResult) error {
	switch {
	case r.Empty:
	case a.as == "json":
		var b bytes.Buffer
		if err := json.Indent(&b, joinRows(got.Rows), "", "  "); err != nil {
			return fmt.Errorf("rows of a query: %w", err)
		}
		r.JSON = b.String()
	case got.Type == iothub.ItemTwin:
		for _, raw := range got.Rows {
			var t iothub.Twin
			if err := json.Unmarshal(raw, &t); err != nil {
				return fmt.Errorf("row of a query: %w", err)
			}
			r.Twins = append(r.Twins, queryTwin(ctx, h, reading{Twin: &t, at: got.at}, s.now()))
		}
	default:
		table, err := tableOf(got.Rows)
		if err != nil {
			return err
		}
		r.Columns, r.Rows = table.columns(), table.cells(h)
	}
	return nil
}

func joinRows(rows []json.RawMessage) []byte {
	parts := make([][]byte, len(rows))
	for i, r := range rows {
		parts[i] = r
	}
	return append(append([]byte("["), bytes.Join(parts, []byte(","))...), ']')
}

// tookText is how long a hub took: to the millisecond below a second.
func tookText(ctx context.Context, d time.Duration) string {
	if d < time.Second {
		return text.T(ctx, "query.took.ms", "N", max(1, int(d.Milliseconds())))
	}
	return text.T(ctx, "query.took.s", "N", text.Decimal(ctx, d.Seconds(), 1))
}

// ofModules reports whether the twins are those of modules.
func (got answer) ofModules() bool {
	var first struct{ ModuleID string }
	return len(got.Rows) > 0 && json.Unmarshal(got.Rows[0], &first) == nil && first.ModuleID != ""
}

// answerLead says how many there are. A hub tells only whether more follow, so
// the number is not known before the last page.
func answerLead(ctx context.Context, a asking, got answer) string {
	kind, n := "rows", a.from+len(got.Rows)
	switch {
	case got.Type == iothub.ItemTwin && got.ofModules():
		kind = "modules"
	case got.Type == iothub.ItemTwin:
		kind = "devices"
	}
	if got.Continuation != "" {
		return text.T(ctx, "query.lead."+kind+".more", "Count", n)
	}
	return text.T(ctx, "query.lead."+kind, "Count", n)
}

func answerPages(ctx context.Context, h *Hub, a asking, got answer) views.QueryPages {
	var p views.QueryPages
	if a.after == "" && got.Continuation == "" && a.size == querySizes[0] {
		return p // one page, and the sentence above says how many
	}
	if n := len(got.Rows); n > 0 {
		id := "query.range"
		if got.Continuation != "" {
			id = "query.range.more"
		}
		p.Text = text.T(ctx, id, "From", a.from+1, "To", a.from+n)
	}
	if a.after != "" {
		p.FirstHref = a.first().href(h)
	}
	if got.Continuation != "" {
		next := a
		next.after, next.from = got.Continuation, a.from+len(got.Rows)
		p.NextHref = next.href(h)
	}
	for _, size := range querySizes {
		b := a.first()
		b.size = size
		p.Sizes = append(p.Sizes, views.ChoiceLink{Label: text.T(ctx, "query.per-page", "N", size), Href: b.href(h), Chosen: a.size == size})
	}
	return p
}

// fewValues is how many tags and reported values a row of twins shows.
const fewValues = 3

func queryTwin(ctx context.Context, h *Hub, r reading, now time.Time) views.QueryTwin {
	d := iothub.Compare(r.Twin, iothub.DriftOptions{Now: r.at})
	t := views.QueryTwin{ID: r.DeviceID, Href: h.twinPath(r.subject()), Connection: connectionProps(ctx, r, now)}
	if r.ModuleID != "" {
		t.ID += " / " + r.ModuleID
	}
	if d.Wanted > 0 {
		t.State = string(d.State)
	}
	if d.Differing() > 0 {
		t.Differs = text.T(ctx, "query.differs", "Differing", d.Differing(), "Wanted", d.Wanted)
	}
	t.Tags, t.MoreTags = firstValues(ctx, r.Tags, nil)
	says, codes := acknowledged(r.Properties.Reported.Value)
	t.Says, t.MoreSays = firstValues(ctx, says, codes)
	return t
}

// firstValues are the first leaves of a document, with the codes of what they
// acknowledge, and how many more there are.
func firstValues(ctx context.Context, d iothub.Document, codes ackCodes) (list []views.ValuePair, more string) {
	leaves := iothub.Flatten(d)
	for _, leaf := range leaves[:min(fewValues, len(leaves))] {
		value := shortened(plain(leaf.Value))
		if code := codes.of(leaf.Path); code != 0 {
			value += " (" + strconv.Itoa(code) + ")"
		}
		list = append(list, views.ValuePair{Name: leaf.Path.String(), Value: views.ValueProps{Text: value}})
	}
	if n := len(leaves) - len(list); n > 0 {
		more = text.T(ctx, "query.more", "Count", n)
	}
	return list, more
}

// plain writes a value for a table: text as it is, anything else as JSON.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return compact(v)
}

// queryData is a page of an answer as JSON: the rows as the hub sent them.
func queryData(h *Hub, a asking, got answer) any {
	next := ""
	if got.Continuation != "" {
		b := a
		b.after, b.from = got.Continuation, a.from+len(got.Rows)
		v := b.values()
		v.Set("format", "json")
		next = h.queryPath() + "?" + v.Encode()
	}
	rows := got.Rows
	if rows == nil {
		rows = []json.RawMessage{}
	}
	return struct {
		Query        string            `json:"query"`
		Type         string            `json:"type"`
		From         int               `json:"from"`
		Rows         []json.RawMessage `json:"rows"`
		Continuation string            `json:"continuation,omitempty"`
		Next         string            `json:"next,omitempty"`
	}{a.text, got.Type, a.from, rows, got.Continuation, next}
}

func azQuery(a asking) string {
	return `az iot hub query --login "$HUB_CONNECTION" --query-command ` + shellQuote(a.text)
}

func curlQuery(h *Hub, a asking) string {
	address := "https://" + h.HostName + "/devices/query?api-version=" + iothub.APIVersion
	return fmt.Sprintf("%s --header 'Content-Type: application/json' --header 'x-ms-max-item-count: %d' --data %s %s",
		curl(h), a.size, shellQuote(compact(map[string]string{"query": a.text})), shellQuote(address))
}
