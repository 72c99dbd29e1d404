package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// devicesPerPage is how many rows a page of the list has.
const devicesPerPage = 25

// needsLook are the states that do not heal by themselves.
var needsLook = []iothub.State{iothub.Rejected, iothub.Differs, iothub.TypeDiffers, iothub.Silent}

// sorts are the orders of the list by their name in the address.
var sorts = map[string]string{
	"id": fleet.SortID, "state": fleet.SortState, "since": fleet.SortSince, "connection": fleet.SortConnection,
}

// connections are the filters by connection by their name in the address.
var connections = map[string]string{"online": iothub.Connected, "offline": iothub.Disconnected}

// listing is what the address of the list says: ?q= text, state= one or more,
// conn=, sort= (with - for descending), from= the place of a page. Unknown
// values are as good as none.
type listing struct {
	text   string
	states []iothub.State
	conn   string // "online", "offline" or ""
	sort   string // a key of sorts
	desc   bool
	from   string
}

func parseListing(q url.Values) listing {
	l := listing{text: strings.TrimSpace(q.Get("q")), from: q.Get("from")}
	for state := range strings.SplitSeq(q.Get("state"), ",") {
		if slices.Contains(iothub.States, iothub.State(state)) && state != string(iothub.DeviceOnly) {
			l.states = append(l.states, iothub.State(state))
		}
	}
	if _, ok := connections[q.Get("conn")]; ok {
		l.conn = q.Get("conn")
	}
	l.sort, l.desc = strings.CutPrefix(q.Get("sort"), "-")
	if _, ok := sorts[l.sort]; !ok {
		l.sort, l.desc = "id", false
	}
	return l
}

// values are the parameters of the address that shows the listing.
func (l listing) values() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("q", l.text)
	set("conn", l.conn)
	set("from", l.from)
	names := make([]string, len(l.states))
	for i, s := range l.states {
		names[i] = string(s)
	}
	set("state", strings.Join(names, ","))
	switch {
	case l.desc:
		set("sort", "-"+l.sort)
	case l.sort != "id":
		set("sort", l.sort)
	}
	return q
}

// href is the address of the listing, changed by with.
func (l listing) href(path string, with func(*listing)) string {
	l.states = slices.Clone(l.states)
	l.from = "" // another choice begins at its first page
	with(&l)
	if q := l.values().Encode(); q != "" {
		return path + "?" + q
	}
	return path
}

// filtered reports whether the listing leaves anything out.
func (l listing) filtered() bool { return l.text != "" || len(l.states) > 0 || l.conn != "" }

func (l listing) query(limit int) fleet.Query {
	return fleet.Query{
		Text: l.text, States: l.states, Connection: connections[l.conn],
		Sort: sorts[l.sort], Desc: l.desc, After: l.from, Limit: limit,
	}
}

// devicesPage lists the devices of a hub.
func (s *Server) devicesPage(c echo.Context) error {
	h, l := hubOf(c), parseListing(c.QueryParams())
	if c.QueryParam("format") == "csv" {
		return s.devicesCSV(c, h, l)
	}
	page, err := s.frame(c, "devices", devicesSource(h, nil))
	if err != nil {
		return err
	}
	list := h.Fleet.List(l.query(devicesPerPage))
	if wantsJSON(c) {
		return showJSON(c, http.StatusOK, devicesData(h, l, list))
	}
	p := s.devicesProps(c.Request().Context(), h, l, list)
	page.Title = text.T(c.Request().Context(), "devices.title")
	page.LiveURL += "&rows=" + url.QueryEscape(rowsToken(list.Devices))
	csv := ""
	if list.Total > 0 {
		csv = withFormat(h.devicesPath(), l, "csv")
	}
	if !p.None {
		page.Actions = views.DevicesActions(h.path()+"/add-device", csv)
	}
	return render(c, http.StatusOK, views.DevicesPage(page, p))
}

func withFormat(path string, l listing, format string) string {
	q := l.values()
	q.Del("from")
	q.Set("format", format)
	return path + "?" + q.Encode()
}

// devicesProps maps a page of the picture to what is shown of it.
func (s *Server) devicesProps(ctx context.Context, h *Hub, l listing, list fleet.Page) views.DevicesProps {
	status := h.Fleet.Status()
	p := views.DevicesProps{
		Path:   h.devicesPath(),
		Lead:   devicesLead(ctx, h, l, list),
		Notice: s.devicesNotice(ctx, h, status),
		Filter: devicesFilter(ctx, h.devicesPath(), l, list),
		Foot:   s.devicesFoot(ctx, h, l, list),
		None:   list.Known == 0 && status.Complete && status.Total == 0,
		NoHits: describeFilter(ctx, l),
		Add:    views.DeviceAddProps{Action: h.path() + "/add-device", Prefix: "add-dialog-"},
	}
	if h.Sim != nil {
		p.SimulatorHref = h.path() + "/simulator"
	}
	p.Table.Columns = devicesColumns(ctx, h.devicesPath(), l)
	for _, d := range list.Devices {
		p.Table.Rows = append(p.Table.Rows, s.deviceRow(ctx, h, d))
	}
	// A list that is complete and live knows every device; then the offer would
	// only stand in the way of hits.
	sure := status.Complete && status.Live && list.Total > 0
	if _, known := h.Fleet.Get(l.text); !known && !sure && iothub.CheckDeviceID(l.text) == nil {
		p.OpenID, p.OpenHref = l.text, h.devicePath(l.text)
	}
	return p
}

// devicesLead is the answer the page opens with, about the whole hub. all is
// the listing's page, which has the hub's counts unless it is filtered.
func devicesLead(ctx context.Context, h *Hub, l listing, all fleet.Page) string {
	if l.filtered() {
		all = h.Fleet.List(fleet.Query{Limit: 1})
	}
	look := 0
	for _, state := range needsLook {
		look += all.States[state]
	}
	waiting := all.States[iothub.Waiting] + all.States[iothub.WaitingOffline] + all.States[iothub.Applying]
	switch {
	case all.Known == 0:
		return text.T(ctx, "devices.lead.reading")
	case look > 0:
		return text.T(ctx, "devices.lead.look", "Count", look, "Total", all.Known)
	case waiting > 0:
		return text.T(ctx, "devices.lead.waiting", "Count", waiting)
	}
	return text.T(ctx, "devices.lead.ok", "Count", all.Known)
}

// devicesNotice says why the list may be behind.
func (s *Server) devicesNotice(ctx context.Context, h *Hub, status fleet.Status) views.DevicesNotice {
	if status.Err == nil {
		return views.DevicesNotice{}
	}
	p := s.explainFor(ctx, h, "", status.Err)
	n := views.DevicesNotice{Title: text.T(ctx, "error."+p.code+".title", p.args...) + "."}
	switch {
	case status.Known == 0:
		n.Text = text.T(ctx, "error."+p.code+".do", p.args...)
	case status.AsOf.IsZero():
		n.Text = text.T(ctx, "devices.notice.part", "Count", status.Known)
	default:
		n.Text = text.T(ctx, "devices.notice.as-of", "When", text.When(ctx, status.AsOf, s.now()))
	}
	return n
}

// devicesFoot says which part of how many is shown, how complete that is, and
// how old.
func (s *Server) devicesFoot(ctx context.Context, h *Hub, l listing, list fleet.Page) views.PagerProps {
	p := views.PagerProps{
		Text: text.T(ctx, "devices.count", "Count", list.Total,
			"First", min(list.Offset+1, list.Total), "Last", list.Offset+len(list.Devices)),
		Note: s.freshness(ctx, h.Fleet.Status()),
	}
	turn := func(from string) string {
		return l.href(h.devicesPath(), func(l *listing) { l.from = from })
	}
	if list.Prev != "" {
		p.PrevHref = turn(list.Prev)
	}
	if list.Next != "" {
		p.NextHref = turn(list.Next)
	}
	return p
}

func (s *Server) freshness(ctx context.Context, status fleet.Status) string {
	switch {
	case status.Filling && !status.Complete:
		return text.T(ctx, "devices.fresh.filling", "Count", status.Known, "Total", status.Total)
	case status.Live && status.Complete:
		return text.T(ctx, "devices.fresh.live")
	case !status.AsOf.IsZero():
		return text.T(ctx, "devices.fresh.as-of", "When", text.When(ctx, status.AsOf, s.now()))
	}
	return text.T(ctx, "devices.fresh.part", "Count", status.Known, "Total", status.Total)
}

// deviceRow maps one device of the picture to its row.
func (s *Server) deviceRow(ctx context.Context, h *Hub, d fleet.Device) views.DeviceRowProps {
	row := views.DeviceRowProps{
		ID: d.ID, Href: h.devicePath(d.ID), Disabled: !d.Enabled,
		Connection: views.ConnectionProps{State: "offline"},
	}
	if d.Connected {
		row.Connection.State = "online"
	}
	if d.Wanted > 0 {
		row.State = string(d.State)
		row.Differs = text.T(ctx, "devices.differs", "Differing", d.Differing, "Wanted", d.Wanted)
		if !d.Since.IsZero() {
			row.Since = ageProps(ctx, d.Since, s.now())
		}
	}
	return row
}
