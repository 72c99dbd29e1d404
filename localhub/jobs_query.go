package localhub

import (
	"context"
	"encoding/json"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
	"twinboard/localhub/store"
)

// queryJobs answers one page of a query over devices.jobs, whose rows are the
// parts that devices and modules have in jobs, in the order in which they were
// chosen. A job has rows once it has begun, which is a choice.
func (r *registry) queryJobs(ctx context.Context, q *query.Query, text string, at place, limit int) (page, error) {
	p := page{Type: q.ItemType(), Rows: []json.RawMessage{}}
	more := false
	scan := store.JobScan{After: at.after}
	if ids, ok := q.DeviceIDs(); ok {
		scan.Devices = ids
	}
	if ids, ok := q.JobIDs(); ok {
		scan.Jobs = ids
	}
	var failed error
	scan.Visit = func(key int64, d iothub.DeviceJob) bool {
		var row json.RawMessage
		var passes bool
		if row, passes, failed = matchJob(q, d); failed != nil || !passes {
			return failed == nil
		}
		if more = len(p.Rows) == limit; more {
			return false
		}
		p.Rows = append(p.Rows, row)
		at.after = key
		at.given++
		return true
	}
	err := r.store.View(ctx, func(v *store.View) error { return v.ScanJobs(ctx, scan) })
	if err == nil {
		err = failed
	}
	if more && (q.Top == 0 || int(at.given) < q.Top) {
		p.Continuation = at.token(text)
	}
	return p, err
}

// matchJob tells whether a row passes, looking at it as it is shown.
func matchJob(q *query.Query, d iothub.DeviceJob) (row json.RawMessage, passes bool, err error) {
	if row, err = iothub.EncodeJSON(d); err != nil {
		return nil, false, err
	}
	doc, err := iothub.ParseDocument(row)
	return row, err == nil && q.Match(query.Document(doc)), err
}

func (p *page) add(v any) error {
	b, err := iothub.EncodeJSON(v)
	p.Rows = append(p.Rows, b)
	return err
}
