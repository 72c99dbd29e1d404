package web

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"sync/atomic"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/views"
	"twinboard/views/text"
)

// listTick is how often an open list looks at the time: it counts down to the
// next attempt while a hub cannot be reached. Every orderTicks-th time it looks
// whether it is still in order. Rows themselves change at once.
const (
	listTick   = time.Second
	orderTicks = 3
)

// rowsToken names the rows of a page shortly, by a number for each: its event
// stream thus knows what it shows, without the server remembering it. Two ids
// of the same number cost a frame that the page ignores.
func rowsToken(devices []fleet.Device) string {
	b := make([]byte, 0, 4*len(devices))
	for _, n := range rowNumbers(devices) {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func rowNumbers(devices []fleet.Device) []uint32 {
	numbers := make([]uint32, len(devices))
	for i, d := range devices {
		numbers[i] = rowNumber(d.ID)
	}
	return numbers
}

func rowNumber(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return h.Sum32()
}

// parseRows reads a token; what is no token names no rows.
func parseRows(token string) []uint32 {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return nil
	}
	var rows []uint32
	for ; len(b) >= 4; b = b[4:] {
		rows = append(rows, binary.BigEndian.Uint32(b))
	}
	return rows
}

// devicesSource is the picture's feed, reduced to the rows a page shows. row is
// nil where only the place in the feed matters.
func devicesSource(h *Hub, row func(fleet.Update) (string, painter)) source {
	return watch(h.Fleet.Changes(), func(item feed.Item[fleet.Update]) (string, painter) {
		if row == nil {
			return "", nil
		}
		return row(item.Value)
	})
}

// devicesLive is the event stream of a page of the list.
func (s *Server) devicesLive(c echo.Context) error {
	l := &liveList{Server: s, h: hubOf(c), listing: parseListing(c.QueryParams()), shape: cmp.Or(c.QueryParam("shape"), "list"), sent: sentParts{}}
	l.show(parseRows(c.QueryParam("rows")))
	return s.serveLive(c, "devices", live{
		sources: []source{devicesSource(l.h, l.row)},
		all:     l.all,
		every:   listTick,
		tick:    l.tick,
	})
}

// liveList is one open page of the list.
type liveList struct {
	*Server
	listing
	h     *Hub
	rows  atomic.Pointer[[]uint32] // what the page shows, in its order; row asks from elsewhere
	shape string                   // DevicesProps.Shape
	sent  sentParts
	ticks int
	ages  map[string]string
	read  time.Time // when rows were last read by id
}

func (l *liveList) show(rows []uint32) { l.rows.Store(&rows) }

func (l *liveList) shown() []uint32 { return *l.rows.Load() }

// rereadEvery is how often the rows of an open list are read by id, where no
// change feed keeps them; rereadWait is how long that may hold up the page.
const (
	rereadEvery = 30 * time.Second
	rereadWait  = 10 * time.Second
)

// readAgain reads the rows shown by id, which is always current. What the read
// brings to light reaches the page as a change.
func (l *liveList) readAgain(ctx context.Context) {
	if l.h.Fleet.Status().Live || l.now().Sub(l.read) < rereadEvery {
		return
	}
	l.read = l.now()
	var ids []string
	for _, d := range l.h.Fleet.List(l.query(devicesPerPage)).Devices {
		if slices.Contains(l.shown(), rowNumber(d.ID)) {
			ids = append(ids, d.ID)
		}
	}
	ctx, cancel := context.WithTimeout(hubclient.Untraced(ctx), rereadWait)
	defer cancel()
	if _, err := l.h.Fleet.Refresh(ctx, ids...); err != nil {
		l.log.Debug("rows not read again", "error", err)
	}
}

// row paints the row of a device that changed, if the page shows it.
func (l *liveList) row(u fleet.Update) (string, painter) {
	if u.Reset {
		return "all", l.all
	}
	if !slices.Contains(l.shown(), rowNumber(u.DeviceID)) {
		return "", nil
	}
	return "row-" + u.DeviceID, func(ctx context.Context) ([]templ.Component, error) {
		return []templ.Component{l.paintRow(ctx, u.DeviceID)}, nil
	}
}

func (l *liveList) paintRow(ctx context.Context, id string) templ.Component {
	d, known := l.h.Fleet.Get(id)
	if !known {
		return views.DeviceRow(views.DeviceRowProps{ID: id, Href: l.h.devicePath(id), Gone: true})
	}
	return views.DeviceRow(l.deviceRow(ctx, l.h, l.listing, d))
}

// tick counts down while the hub is away, and now and then paints all the rest
// that no single change decides.
func (l *liveList) tick(ctx context.Context) ([]templ.Component, error) {
	if l.ticks++; l.shape == "unread" || l.ticks%orderTicks == 0 {
		return l.paint(ctx)
	}
	return l.sent.changed(ctx, []part{l.note(ctx)})
}

func (l *liveList) note(ctx context.Context) part {
	const id = "devices-notice"
	return part{id, views.HubNote(id, l.devicesNotice(ctx, l.h, l.listing, l.h.Fleet.Status()))}
}

// paint paints the answer, the filter's counts, the foot, the offer to bring the
// order up to date, and ages that moved on. A page that shows no list yet is
// painted whole.
func (l *liveList) paint(ctx context.Context) ([]templ.Component, error) {
	l.readAgain(ctx)
	list, known := l.listDevices(l.h, l.listing, shownKinds(l.listing))
	p := l.devicesProps(ctx, l.h, l.listing, list, known)
	if p.Shape != l.shape && l.shape != "list" {
		return l.paintBody(ctx, p, list)
	}
	if l.shape == "unread" {
		return l.sent.changed(ctx, []part{{"hub-unread", views.HubNothing(p.Unread)}})
	}
	frame, err := l.sent.changed(ctx, []part{
		l.note(ctx),
		{"devices-lead", views.Lead("devices-lead", p.Lead)},
		{"devices-facets", views.DevicesFacets(p.Filter)},
		{"devices-foot", views.DevicesFoot(p.Foot)},
		{"devices-order", views.DevicesOrder(l.order(ctx, list.Devices))},
	})
	ages := map[string]string{}
	for i, d := range list.Devices {
		row := p.Table.Rows[i]
		ages[d.ID] = row.Since.Text
		if l.ages[d.ID] != row.Since.Text && slices.Contains(l.shown(), rowNumber(d.ID)) {
			frame = append(frame, views.DeviceRow(row))
		}
	}
	l.ages = ages
	return frame, err
}

// paintBody paints a page that showed no list anew: nobody has looked at rows
// that could move.
func (l *liveList) paintBody(ctx context.Context, p views.DevicesProps, list fleet.Page) ([]templ.Component, error) {
	l.show(rowNumbers(list.Devices))
	l.shape = p.Shape
	clear(l.sent)
	note, err := l.sent.changed(ctx, []part{{"devices-notice", views.HubNote("devices-notice", p.Notice)}})
	return append(note, views.DevicesBody(p)), err
}

// all paints everything the page shows, as far as the list still holds it.
func (l *liveList) all(ctx context.Context) ([]templ.Component, error) {
	l.ages = nil
	clear(l.sent)
	return l.paint(ctx)
}

// order says how far the page's rows are from those the list has now.
func (l *liveList) order(ctx context.Context, devices []fleet.Device) views.OrderProps {
	n := moved(l.shown(), rowNumbers(devices))
	if n == 0 {
		return views.OrderProps{}
	}
	return views.OrderProps{
		Text: text.T(ctx, "devices.order", "Count", n),
		Href: l.here(l.h.devicesPath()),
	}
}

// moved counts the rows that have to move, come or go to turn one list into the
// other: the longer length less the longest common subsequence.
func moved(a, b []uint32) int {
	common := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := common[j+1]
			if x == y {
				common[j+1] = diagonal + 1
			} else {
				common[j+1] = max(common[j+1], common[j])
			}
			diagonal = above
		}
	}
	return max(len(a), len(b)) - common[len(b)]
}
