package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// stateBar is the devices by state, those that need a look last, so that they
// stand together at the end of the bar.
func stateBar(ctx context.Context, h *Hub, sum fleet.Summary) views.StateBarProps {
	offline := sum.Connections[iothub.Disconnected]
	p := views.StateBarProps{Offline: views.ChoiceLink{
		Label: text.T(ctx, "connection.offline"), Count: text.Number(ctx, offline), Href: h.devicesPath() + "?conn=offline",
	}}
	x := 0.0
	widths := partWidths(sum)
	for _, state := range slices.Backward(iothub.States) {
		n := sum.States[state]
		if n == 0 {
			continue
		}
		p.Parts = append(p.Parts, views.StatePart{
			State: string(state), Count: text.Number(ctx, n), Href: h.devicesPath() + "?state=" + string(state),
			X: fmt.Sprintf("%.2f%%", x), Width: fmt.Sprintf("%.2f%%", widths[state]),
		})
		x += widths[state]
	}
	return p
}

// partWidths shares the bar out, in percent. The smallest part can still be seen
// and hit, at the cost of the others.
func partWidths(sum fleet.Summary) map[iothub.State]float64 {
	const least = 1.5
	widths, total := map[iothub.State]float64{}, 0.0
	for state, n := range sum.States {
		widths[state] = max(least, 100*float64(n)/float64(max(sum.Known, 1)))
		total += widths[state]
	}
	for state := range widths {
		widths[state] *= 100 / total
	}
	return widths
}

// look are the devices that need a look first.
func (o *overview) look(ctx context.Context, sum fleet.Summary) views.LookProps {
	p := views.LookProps{
		None: text.T(ctx, "overview.look.none"), All: text.T(ctx, "overview.look.all", "Count", sum.Look),
		AllHref: listing{states: needsLook, sort: "state"}.href(o.h.devicesPath(), func(*listing) {}),
	}
	for _, d := range sum.Attention {
		p.Rows = append(p.Rows, o.lookRow(ctx, d))
	}
	return p
}

// lookRow is a device with the setting that decides its state.
func (o *overview) lookRow(ctx context.Context, d fleet.Device) views.LookRow {
	row := views.LookRow{
		Device: d.ID, Href: o.h.devicePath(d.ID), State: string(d.State), Age: ageProps(ctx, d.Since, o.now()),
	}
	drift := iothub.Compare(d.Twin(), iothub.DriftOptions{Now: o.now()})
	for _, set := range drift.Settings {
		if set.State != d.State {
			continue
		}
		row.Setting = set.Path.String()
		id := "overview.look." + string(set.State)
		switch {
		case set.State != iothub.Rejected:
		case set.Ack != nil && set.Ack.Text != "":
			row.Answer = shortened(set.Ack.Text)
		default:
			id += ".code"
		}
		code := 0
		if set.Ack != nil {
			code = set.Ack.Code
		}
		row.Words = text.T(ctx, id, "Wanted", shortened(shownValue(set.Desired)), "Says", shortened(shownValue(set.Reported)), "Code", code)
		break
	}
	return row
}

func (o *overview) latestProps(ctx context.Context, latest []store.Entry) views.LatestProps {
	p := views.LatestProps{AllHref: o.h.changesPath()}
	var rows []views.ChangeRow
	for _, e := range latest {
		row := o.changeRow(ctx, o.h, e)
		row.UndoHref = ""
		if o.now().Sub(e.Time) < 24*time.Hour {
			row.Time.Text = text.ClockShort(ctx, e.Time.Local())
		} else {
			row.Time.Text = text.Date(ctx, e.Time.Local())
		}
		rows = append(rows, row)
	}
	p.Rows = groupAlike(ctx, rows, overviewChanges)
	return p
}

// sources are the picture and the journal.
func (o *overview) sources() []source {
	picture := watch(o.h.Fleet.Changes(), func(item feed.Item[fleet.Update]) (string, painter) { return "picture", o.paintPicture })
	return []source{picture, o.journalSource(o.h, func([]store.Entry) (string, painter) { return "latest", o.paintLatest })}
}

// overviewTick is how often an open overview looks at the time: it counts down
// to the next attempt while a hub cannot be reached.
const overviewTick = time.Second

// overviewLive is the event stream of the overview.
func (s *Server) overviewLive(c echo.Context) error {
	o := &overview{Server: s, h: hubOf(c), sent: sentParts{}, shape: c.QueryParam("shape")}
	return s.serveLive(c, "overview", live{sources: o.sources(), all: o.paintAll, every: overviewTick, tick: o.tick})
}

// paintPicture paints what comes from the picture of the hub.
func (o *overview) paintPicture(ctx context.Context) ([]templ.Component, error) {
	sum, status := o.h.Fleet.Summary(overviewLook), o.h.Fleet.Status()
	p := o.props(ctx, sum, status, nil)
	if p.Shape != o.shape {
		return o.paintBody(ctx, p)
	}
	if p.Shape == "unread" {
		return o.sent.changed(ctx, []part{{"hub-unread", views.HubNothing(p.Unread)}})
	}
	return o.sent.changed(ctx, []part{
		{"overview-lead", views.Lead("overview-lead", p.Lead)},
		{"overview-more", views.OverviewMore(p)},
		{"overview-notice", views.HubNote("overview-notice", p.Notice)},
		{"overview-bar", views.StateBar(p.Bar)},
		{"overview-look", views.OverviewLook(p.Look)},
	})
}

// paintBody paints the whole body, for a page that looks different from now on:
// the first device is there, or the last one gone.
func (o *overview) paintBody(ctx context.Context, p views.OverviewProps) ([]templ.Component, error) {
	latest, err := o.latest(ctx, o.h)
	if err != nil {
		return nil, err
	}
	p.Changes = o.latestProps(ctx, latest)
	o.shape = p.Shape
	clear(o.sent)
	return []templ.Component{views.HubNote("overview-notice", p.Notice), views.OverviewBody(p)}, nil
}

func (o *overview) paintLatest(ctx context.Context) ([]templ.Component, error) {
	latest, err := o.latest(ctx, o.h)
	if err != nil {
		return nil, err
	}
	return o.sent.changed(ctx, []part{{"overview-changes", views.OverviewLatest(o.latestProps(ctx, latest))}})
}

func (o *overview) paintAll(ctx context.Context) ([]templ.Component, error) {
	picture, err := o.paintPicture(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := o.paintLatest(ctx)
	return append(picture, latest...), err
}

// tick paints the countdown each second and ages less often.
func (o *overview) tick(ctx context.Context) ([]templ.Component, error) {
	if o.ticks++; o.shape == "unread" || o.ticks%int(agesEvery/overviewTick) == 0 {
		return o.paintPicture(ctx)
	}
	notice := views.HubNote("overview-notice", o.notice(ctx, o.h.Fleet.Status()))
	return o.sent.changed(ctx, []part{{"overview-notice", notice}})
}
