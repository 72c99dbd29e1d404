package web

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// Rows of a bulk change's page; the CSV has all.
const (
	bulkPreview = 20
	bulkResults = 200
)

// selectProps is the bar below the list.
func selectProps(ctx context.Context, h *Hub, l listing, list fleet.Page) views.SelectProps {
	many := text.T(ctx, "devices.select.many")
	p := views.SelectProps{
		Action: l.href(h.path()+"/bulk", func(*listing) {}),
		One:    text.T(ctx, "devices.select.one"), Many: many,
		All: strings.ReplaceAll(many, "{n}", text.Number(ctx, list.Total)), Page: text.T(ctx, "devices.select.page", "Count", len(list.Devices)),
	}
	if list.Total > len(list.Devices) {
		p.AllLabel = text.T(ctx, "devices.select.all", "Count", list.Total)
	}
	return p
}

// bulkProps says what a bulk change would do, or how far it is.
func (s *Server) bulkProps(ctx context.Context, b *bulk) views.BulkProps {
	word := b.word()
	b.mu.Lock()
	defer b.mu.Unlock()
	n, path := b.counts(), b.hub.bulkPath(b.id)
	p := views.BulkProps{
		Title: text.T(ctx, "bulk."+b.act+".title", "Count", n.total), Phase: b.phase, Path: path, Danger: b.act == actDelete,
		Done: n.total - n.waiting, Total: n.total, ListHref: b.hub.devicesPath(), CSVHref: path + "?format=csv",
		Ask: views.BulkAsk{
			Text: text.T(ctx, "bulk."+b.act+".text", "Count", n.total), Submit: text.T(ctx, "bulk."+b.act+".submit", "Count", n.total), Word: word,
		},
	}
	if word != "" {
		p.Ask.Prompt = text.T(ctx, "form.type-to-confirm", "Word", word)
	}
	switch act, ok := twinActs[b.act]; {
	case ok && act.back:
		p.Ask.Note = text.T(ctx, "bulk.back.note")
	case ok:
		p.Sets = setProps(ctx, act, b.patch)
	}
	if b.phase == phaseAsked {
		p.Items, p.More = b.preview(ctx)
		return p
	}
	p.Lead = text.T(ctx, "bulk."+b.phase+"."+b.act, "Count", n.done+n.already, "Total", n.total)
	if n.failed > 0 {
		p.Failed = text.T(ctx, "bulk.failed", "Count", n.failed)
		p.Retry = text.T(ctx, "bulk.retry", "Count", n.failed)
	}
	if n.already > 0 {
		p.Already = text.T(ctx, "bulk.already."+b.act, "Count", n.already)
	}
	if n.left > 0 {
		p.Left = text.T(ctx, "bulk.left", "Count", n.left)
	}
	if b.act == actDesired && b.phase != phaseRunning && n.done > 0 {
		p.Applied = text.T(ctx, "bulk.applied")
	}
	if n.unsure > 0 && b.phase != phaseRunning {
		p.Unsure = text.T(ctx, "bulk.unsure", "Count", n.unsure)
	}
	if b.unfinished() && n.waiting > 0 {
		p.GoOn, p.Leave = text.T(ctx, "bulk.go-on", "Count", n.waiting), text.T(ctx, "bulk.leave")
	}
	if inverses[b.act] != "" && b.phase != phaseRunning && n.done+n.unsure > 0 {
		p.Undo = text.T(ctx, "bulk.undo")
	}
	if wait := time.Until(b.until); wait > 0 {
		p.Wait = text.T(ctx, "bulk.wait", "Span", text.Span(ctx, wait))
	}
	if b.err != nil {
		p.Problem = s.reason(ctx, b.hub, "", b.err)
	}
	p.Items, p.More = s.results(ctx, b)
	return p
}

// bulkNotes lead to what is under way on a hub, or was interrupted.
func (s *Server) bulkNotes(ctx context.Context, h *Hub) (notes []views.PageNote) {
	for _, b := range s.bulks.unfinished(h) {
		b.mu.Lock()
		n := b.counts()
		note := views.PageNote{
			Text: text.T(ctx, "bulk."+b.phase+"."+b.act, "Count", n.done+n.already, "Total", n.total), Warning: b.phase != phaseRunning,
			Link: views.Link{Label: text.T(ctx, "bulk.note."+b.phase), Href: h.bulkPath(b.id)},
		}
		b.mu.Unlock()
		notes = append(notes, note)
	}
	return notes
}

// preview are the first devices of what is asked; the lock is held.
func (b *bulk) preview(ctx context.Context) (items []views.BulkItem, more string) {
	for _, i := range b.items[:min(len(b.items), bulkPreview)] {
		item := views.BulkItem{ID: i.id, Href: b.hub.devicePath(i.id)}
		if b.act == actCreate {
			item.Href, item.Text = "", i.made.describe(ctx)
		}
		item.Changes, item.Rest = b.brief(ctx, i)
		items = append(items, item)
	}
	if left := len(b.items) - len(items); left > 0 {
		more = text.T(ctx, "bulk.more", "Count", left)
	}
	return items, more
}

// brief are the first values that an act changed in a twin, or would put back, and
// how many more there are.
func (b *bulk) brief(ctx context.Context, i bulkItem) (list []views.ChangeProps, rest string) {
	act, ok := twinActs[b.act]
	if !ok {
		return nil, ""
	}
	written := iothub.Merge(nil, named(b.patch, i.old))
	from, to := iothub.Merge(nil, i.old), written
	if act.back {
		from, to = to, from
	}
	return firstChanges(ctx, changes(from, to), fewChanges)
}

// firstChanges are the first of some changes, and how many more there are.
func firstChanges(ctx context.Context, all []leafChange, most int) (list []views.ChangeProps, rest string) {
	for _, c := range all[:min(most, len(all))] {
		list = append(list, views.ChangeProps{Path: c.Path.String(), Old: briefValue(c.Old), New: briefValue(c.New)})
	}
	if more := len(all) - len(list); more > 0 {
		rest = text.T(ctx, "changes.more", "Count", more)
	}
	return list, rest
}

// named is the part of a patch at the places that old names.
func named(patch, old map[string]any) map[string]any {
	out := map[string]any{}
	for k, o := range old {
		written, isObject := patch[k].(map[string]any)
		former, wasObject := o.(map[string]any)
		if isObject && wasObject {
			out[k] = named(written, former)
		} else {
			out[k] = patch[k]
		}
	}
	return out
}

// describe says what a new device gets. Keys are only mentioned.
func (d newDevice) describe(ctx context.Context) string {
	var parts []string
	if d.status != "" {
		parts = append(parts, text.T(ctx, "devices.status."+d.status))
	}
	if d.keys.Primary != "" {
		parts = append(parts, text.T(ctx, "import.keys-given"))
	}
	if len(d.tags) > 0 {
		parts = append(parts, "tags "+compact(d.tags))
	}
	if len(d.desired) > 0 {
		parts = append(parts, "desired "+compact(d.desired))
	}
	return strings.Join(parts, " · ")
}

// results lists the devices that failed, then those that were done; the lock is
// held.
func (s *Server) results(ctx context.Context, b *bulk) (items []views.BulkItem, more string) {
	left := 0
	for _, state := range []string{itemFailed, itemUnsure, itemLeft, itemDone, itemAlready} {
		for _, i := range b.items {
			switch {
			case i.state != state, state == itemUnsure && b.phase == phaseRunning:
				continue
			case len(items) == bulkResults:
				left++
				continue
			}
			item := views.BulkItem{ID: i.id, Href: b.hub.devicePath(i.id), State: state, Word: text.T(ctx, "bulk.item."+state)}
			if i.line > 0 {
				item.Line = strconv.Itoa(i.line)
			}
			if i.err != nil {
				item.Text = s.reason(ctx, b.hub, i.id, i.err)
			}
			if state == itemDone {
				item.Changes, item.Rest = b.brief(ctx, i)
			}
			items = append(items, item)
		}
	}
	if left > 0 {
		more = text.T(ctx, "bulk.more", "Count", left)
	}
	return items, more
}

// reason says in words why a device was left as it is.
func (s *Server) reason(ctx context.Context, h *Hub, id string, err error) string {
	if left, ok := errors.AsType[*leftAloneError](err); ok {
		return text.T(ctx, "bulk.left-alone", "Paths", strings.Join(left.paths, ", "))
	}
	p := s.explainFor(ctx, h, id, err)
	words := text.T(ctx, "error."+p.code+".what", p.args...)
	if p.detail != "" {
		words += " " + p.detail
	}
	if p.sent {
		words += " " + text.T(ctx, "error.safe.maybe")
	}
	return words
}
