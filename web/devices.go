package web

import (
	"context"
	"net/http"
	"net/url"
	"time"

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
	if wantsJSON(c) {
		list, _ := s.listDevices(h, l, 0)
		return showJSON(c, http.StatusOK, devicesData(h, l, list))
	}
	list, known := s.listDevices(h, l, shownKinds(l))
	p := s.devicesProps(c.Request().Context(), h, l, list, known)
	page.Title = text.T(c.Request().Context(), "devices.title")
	page.Notes = s.bulkNotes(c.Request().Context(), h)
	page.LiveURL += "&rows=" + url.QueryEscape(rowsToken(list.Devices)) + "&shape=" + p.Shape
	csv := ""
	if list.Total > 0 {
		csv = withFormat(h.devicesPath(), l, "csv")
	}
	if p.Shape != "none" {
		page.Actions = views.DevicesActions(h.path()+"/add-device", h.path()+"/import", csv)
	}
	return render(c, http.StatusOK, views.DevicesPage(page, p))
}

// listDevices is a page of the listing with its facets, and the paths there are;
// kinds is fleet.Query.Kinds.
func (s *Server) listDevices(h *Hub, l listing, kinds int) (fleet.Page, []fleet.PathInfo) {
	known := h.Fleet.Paths()
	q := l.query(devicesPerPage)
	q.Kinds = kinds
	q.Facets = facetPaths(l, known)
	return h.Fleet.List(q), known
}

func withFormat(path string, l listing, format string) string {
	q := l.values()
	q.Del("from")
	q.Set("format", format)
	return path + "?" + q.Encode()
}

// devicesProps maps a page of the picture to what is shown of it.
func (s *Server) devicesProps(ctx context.Context, h *Hub, l listing, list fleet.Page, known []fleet.PathInfo) views.DevicesProps {
	status := h.Fleet.Status()
	p := views.DevicesProps{
		Path:       h.devicesPath(),
		Lead:       devicesLead(ctx, list, status),
		Notice:     s.devicesNotice(ctx, h, l, status),
		Filter:     devicesFilter(ctx, h.devicesPath(), l, list),
		Columns:    columnChooser(ctx, h.devicesPath(), l, known),
		Foot:       s.devicesFoot(ctx, h, l, list),
		Shape:      "list",
		Host:       h.HostName,
		Select:     selectProps(ctx, h, l, list),
		NoHits:     describeFilter(ctx, l),
		ImportHref: h.path() + "/import",
		Add:        views.DeviceAddProps{Action: h.path() + "/add-device", Prefix: "add-dialog-"},
	}
	switch {
	case list.Known == 0 && status.Complete && status.Total == 0:
		p.Shape = "none"
	case nothingRead(status):
		p.Shape, p.Unread, p.Notice = "unread", s.hubUnread(ctx, h, status, l.here(h.devicesPath())), views.HubNotice{}
	case list.Known == 0 && !status.Complete:
		p.Shape = "reading"
	}
	if h.Sim != nil {
		p.SimulatorHref = h.path() + "/simulator"
	}
	p.Table.Columns = devicesColumns(ctx, h.devicesPath(), l)
	for _, d := range list.Devices {
		p.Table.Rows = append(p.Table.Rows, s.deviceRow(ctx, h, l, d))
	}
	// A list that is complete and live knows every device; then the offer would
	// only stand in the way of hits.
	sure := status.Complete && status.Live && list.Total > 0
	if _, known := h.Fleet.Get(l.text); !known && !sure && iothub.CheckDeviceID(l.text) == nil {
		p.OpenID, p.OpenHref = l.text, h.devicePath(l.text)
	}
	return p
}

// devicesLead is the answer the page opens with, about the whole hub.
func devicesLead(ctx context.Context, list fleet.Page, status fleet.Status) string {
	return fleetLead(ctx, list.AllStates, list.Known, status)
}

// devicesNotice says why the list may be behind.
func (s *Server) devicesNotice(ctx context.Context, h *Hub, l listing, status fleet.Status) views.HubNotice {
	known := ""
	switch {
	case status.Known == 0:
	case status.AsOf.IsZero() || !status.Complete:
		known = text.T(ctx, "devices.notice.part", "Count", status.Known)
	default:
		known = text.T(ctx, "devices.notice.as-of", "When", text.When(ctx, status.AsOf, s.now()))
	}
	return s.hubNotice(ctx, h, status, known, l.here(h.devicesPath()))
}

// devicesFoot says which part of how many is shown, how complete that is, and
// how old.
func (s *Server) devicesFoot(ctx context.Context, h *Hub, l listing, list fleet.Page) views.PagerProps {
	p := views.PagerProps{
		Text: text.T(ctx, "devices.count", "Count", list.Total,
			"First", min(list.Offset+1, list.Total), "Last", list.Offset+len(list.Devices)),
		Note: s.freshness(ctx, h.Fleet.Status(), list.Devices),
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

// freshness says how old the list is. Where no change feed keeps it, the rows
// shown are read again by id, and may be newer than the list they are in.
func (s *Server) freshness(ctx context.Context, status fleet.Status, rows []fleet.Device) string {
	switch {
	case status.Filling && !status.Complete:
		return text.T(ctx, "devices.fresh.filling", "Count", status.Known, "Total", status.Total)
	case status.Live && status.Complete:
		return text.T(ctx, "devices.fresh.live")
	case status.AsOf.IsZero():
		return text.T(ctx, "devices.fresh.part", "Count", status.Known, "Total", status.Total)
	}
	if read := oldestRead(rows); read.After(status.AsOf) {
		return text.T(ctx, "devices.fresh.rows", "When", text.When(ctx, status.AsOf, s.now()), "Rows", text.When(ctx, read, s.now()))
	}
	return text.T(ctx, "devices.fresh.as-of", "When", text.When(ctx, status.AsOf, s.now()))
}

func oldestRead(rows []fleet.Device) (oldest time.Time) {
	for _, d := range rows {
		if oldest.IsZero() || d.ReadAt.Before(oldest) {
			oldest = d.ReadAt
		}
	}
	return oldest
}

// deviceRow maps one device of the picture to its row.
func (s *Server) deviceRow(ctx context.Context, h *Hub, l listing, d fleet.Device) views.DeviceRowProps {
	row := views.DeviceRowProps{
		ID: d.ID, Href: h.devicePath(d.ID), Disabled: !d.Enabled,
		Connection: views.ConnectionProps{State: "offline"},
	}
	if d.Connected {
		row.Connection.State = "online"
	}
	for _, path := range l.cols {
		value, has := d.Value(path)
		row.Values = append(row.Values, views.RowValue{Label: path, Text: value, None: !has})
	}
	if d.Wanted > 0 {
		row.State = string(d.State)
		row.Differing = d.Differing > 0
		row.Differs = text.T(ctx, "devices.differs", "Differing", d.Differing, "Wanted", d.Wanted)
		if !d.Since.IsZero() {
			row.Since = ageProps(ctx, d.Since, s.now())
		}
	}
	return row
}
