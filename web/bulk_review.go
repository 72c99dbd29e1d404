package web

import (
	"context"
	"slices"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// Bounds of the review of a change of many twins. Devices beyond the first are
// looked at when it is their turn.
const (
	mostForecast = 10_000
	mostAlike    = 4  // groups of devices that change alike
	mostChanges  = 12 // of a device
)

// bulkForecast is what a change of many twins would do, by the picture of the hub.
type bulkForecast struct {
	changing, already, gone int
	unseen                  int // not looked at
	tooMuch                 []brokenLimit
	alike                   []alikeDevices
	others                  int // that change from something else
}

// brokenLimit is a device whose twin cannot take the change.
type brokenLimit struct {
	id  string
	why error
	doc iothub.Document // as it would be
}

// alikeDevices are devices of which the same would change; id is the first.
type alikeDevices struct {
	id       string
	count    int
	replaced string // as JSON
	changes  []leafChange
}

// forecast looks at the devices as the run will, without reading them anew.
func (b *bulk) forecast(patch iothub.Document) (f bulkForecast) {
	act, items := twinActs[b.act], b.chosen()
	for n, i := range items {
		if n == mostForecast {
			f.unseen = len(items) - n
			break
		}
		d, known := b.hub.Fleet.Get(i.id)
		if !known {
			f.gone++
			continue
		}
		now := act.of(d.Twin())
		needed := iothub.Needed(now, patch)
		after := iothub.Merge(now, needed)
		switch err := iothub.CheckSize(act.section, now, after); {
		case len(needed) == 0:
			f.already++
		case err != nil:
			f.tooMuch = append(f.tooMuch, brokenLimit{i.id, err, after})
		default:
			f.changing++
			f.group(i.id, compact(iothub.Replaced(now, needed)), now, after)
		}
	}
	return f
}

// group puts a device to those in which the same is replaced.
func (f *bulkForecast) group(id, replaced string, now, after iothub.Document) {
	for n := range f.alike {
		if f.alike[n].replaced == replaced {
			f.alike[n].count++
			return
		}
	}
	if len(f.alike) == mostAlike {
		f.others++
		return
	}
	f.alike = append(f.alike, alikeDevices{id, 1, replaced, changes(now, after)})
}

// review says in words what will change, before anything does.
func (e *bulkEditing) review(status int, f twinForm, patch iothub.Document, mistake string) error {
	page, err := e.frame("review")
	if err != nil {
		return err
	}
	ctx, b := e.Request().Context(), e.bulk
	expected := b.forecast(patch)
	p := views.BulkReviewProps{
		Action: b.hub.bulkEditPath(b.id), CancelHref: b.hub.devicesPath(), Hidden: f.hidden(),
		Sets: setProps(ctx, e.act, patch), Request: e.requestForEach(patch),
		Fresh: text.T(ctx, "bulk.review.fresh", "Count", len(b.items)),
		Ask: views.BulkAsk{
			Submit: text.T(ctx, "bulk."+b.act+".submit", "Count", len(b.items)), Word: b.word(), Error: mistake,
		},
	}
	if p.Ask.Word != "" {
		p.Ask.Prompt = text.T(ctx, "form.type-to-confirm", "Word", p.Ask.Word)
	}
	p.Lead, p.Notes = expected.sentences(ctx, len(b.items))
	p.Nothing = expected.changing+expected.unseen == 0 && b.hub.Fleet.Peek().Live
	e.details(ctx, &p, expected)
	return render(e, status, views.BulkReviewPage(page, p))
}

// details are the devices that cannot take the change, and some that will.
func (e *bulkEditing) details(ctx context.Context, p *views.BulkReviewProps, f bulkForecast) {
	h := e.bulk.hub
	for _, broken := range f.tooMuch[:min(len(f.tooMuch), bulkPreview)] {
		item := views.BulkItem{ID: broken.id, Href: h.devicePath(broken.id), Text: broken.why.Error()}
		if limit, ok := broken.why.(*iothub.LimitError); ok { //nolint:errorlint // CheckSize wraps nothing
			item.Text = limitText(ctx, limit, broken.doc)
		}
		p.TooMuch = append(p.TooMuch, item)
	}
	if left := len(f.tooMuch) - len(p.TooMuch); left > 0 {
		p.TooMuchMore = text.T(ctx, "bulk.more", "Count", left)
	}
	for _, like := range f.alike {
		group := views.BulkSample{ID: like.id, Href: h.devicePath(like.id)}
		group.Changes, group.Rest = firstChanges(ctx, like.changes, mostChanges)
		if like.count > 1 {
			group.More = text.T(ctx, "bulk.review.alike", "Count", like.count-1)
		}
		p.Sample = append(p.Sample, group)
	}
	if f.others > 0 {
		p.Others = text.T(ctx, "bulk.review.others", "Count", f.others)
	}
}

// sentences say how many devices will change, and how many will not and why.
func (f bulkForecast) sentences(ctx context.Context, total int) (lead string, notes []string) {
	say := func(id string, n int) {
		if n > 0 {
			notes = append(notes, text.T(ctx, id, "Count", n))
		}
	}
	switch f.changing {
	case 0:
		lead = text.T(ctx, "bulk.review.none")
	case total:
		lead = text.T(ctx, "bulk.review.all", "Count", total)
	default:
		lead = text.T(ctx, "bulk.review.changing", "Count", f.changing, "Total", total)
	}
	say("bulk.review.already", f.already)
	say("bulk.review.too-much", len(f.tooMuch))
	say("bulk.review.gone", f.gone)
	say("bulk.review.unseen", f.unseen)
	return lead, notes
}

// setProps are the names that a patch sets and those that it removes.
func setProps(ctx context.Context, act twinAct, patch iothub.Document) (list []views.BulkSet) {
	leaves := iothub.Flatten(patch)
	slices.SortStableFunc(leaves, func(a, b iothub.Leaf) int { // what is set comes first
		switch {
		case a.Value != nil && b.Value == nil:
			return -1
		case a.Value == nil && b.Value != nil:
			return 1
		}
		return 0
	})
	for _, leaf := range leaves {
		set := views.BulkSet{ID: "bulk.sets." + string(act.part), Path: leaf.Path.String()}
		if leaf.Value == nil {
			set.ID = "bulk.removes." + string(act.part)
		} else {
			set.Value = valueProps(ctx, side{leaf.Value, true}, "")
		}
		list = append(list, set)
	}
	return list
}
