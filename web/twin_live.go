package web

import (
	"bytes"
	"context"
	"fmt"

	"github.com/a-h/templ"

	"twinboard/views"
	"twinboard/views/text"
)

// twinPainter paints an open twin page: of the parts with ids, those that look
// different from when they were last sent.
type twinPainter struct {
	server *Server
	hub    *Hub
	of     subject
	// page is the layout as the page's address told it, until the first painting.
	page   string
	begun  bool
	layout layout
	sent   sentParts
}

func (s *Server) newTwinPainter(h *Hub, of subject, layout string) *twinPainter {
	return &twinPainter{server: s, hub: h, of: of, page: layout, sent: sentParts{}}
}

// part is a piece of the page with an id.
type part struct {
	id   string
	body templ.Component
}

// paint is the painter of the page's stream.
func (p *twinPainter) paint(ctx context.Context) ([]templ.Component, error) {
	r, ok, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	if !ok {
		return p.sent.changed(ctx, []part{{"twin-lead", views.Lead("twin-lead", text.T(ctx, "twin.gone"))}})
	}
	return p.sent.changed(ctx, p.parts(ctx, r))
}

// read takes the twin from the picture where the change feed keeps it, and reads
// it by its id elsewhere. ok is false when the device is gone.
func (p *twinPainter) read(ctx context.Context) (r reading, ok bool, err error) {
	status := p.hub.Fleet.Status()
	known, ok := p.hub.Fleet.Get(p.of.device)
	switch {
	case p.of.module != "": // the picture holds devices only
	case status.Live:
		if !ok {
			return reading{}, false, nil
		}
		return reading{Twin: known.Twin(), at: p.server.now()}, true, nil
	case status.Err != nil && ok:
		return reading{Twin: known.Twin(), at: known.ReadAt, stale: true}, true, nil
	}
	r, err = p.server.twinOrMemory(ctx, p.hub, p.of)
	if isGone(err) {
		return reading{}, false, nil
	}
	return r, err == nil, err
}

func (p *twinPainter) parts(ctx context.Context, r reading) []part {
	now := p.server.now()
	d := p.server.drift(r)
	head := twinHead(ctx, p.hub, r, now)
	list := []part{
		{"twin-connection", views.TwinConnection(head.Connection)},
		{"twin-version", views.TwinVersion(head)},
		{"twin-lead", views.Lead("twin-lead", twinLead(ctx, r, d, now))},
		{"twin-notice", views.TwinNotice(staleNotice(ctx, r))},
		{"twin-tags", views.TwinTags(tagsProps(ctx, p.hub, r))},
		{"twin-sizes", views.TwinSizes(sizeProps(ctx, r.Twin))},
		{"twin-read", views.TwinRead(agoProps(ctx, r.at, now))},
	}
	if !p.begun {
		p.begun, p.layout = true, parseLayout(p.page, d)
	}
	next, moved := p.layout.after(d)
	props := compareProps(ctx, p.hub, r, d, next, now)
	p.layout = next
	if moved {
		p.forgetRows()
		return append(list, part{"twin-compare", views.TwinCompare(props)})
	}
	for _, item := range append(props.Shown, props.Folded...) {
		if item.IsBranch() {
			list = append(list, part{item.ID + "-state", views.BranchState(item)})
		}
		for _, row := range item.Rows {
			list = append(list, part{row.ID, views.SettingRow(row)})
		}
	}
	for _, row := range props.DeviceOnly.Rows() {
		list = append(list, part{row.ID, views.DeviceOnlyRow(row)})
	}
	return append(list, part{"twin-preview", views.TwinPreview(props.Preview)})
}

// forgetRows makes the next painting send every row again: the page's are those
// of the whole table now.
func (p *twinPainter) forgetRows() {
	for _, id := range p.layout.rows {
		delete(p.sent, id)
	}
	delete(p.sent, "twin-preview")
}

// sentParts is the HTML that an event stream sent last, by the id of the part.
type sentParts map[string]string

// changed keeps the parts that look different from what was sent last.
func (sent sentParts) changed(ctx context.Context, parts []part) ([]templ.Component, error) {
	var list []templ.Component
	for _, part := range parts {
		var b bytes.Buffer
		if err := part.body.Render(ctx, &b); err != nil {
			return nil, fmt.Errorf("paint %s: %w", part.id, err)
		}
		if html := b.String(); sent[part.id] != html {
			sent[part.id] = html
			list = append(list, templ.Raw(html))
		}
	}
	return list, nil
}
