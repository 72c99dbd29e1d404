package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// reading is a twin and when it was read from the hub.
type reading struct {
	*iothub.Twin
	at    time.Time
	stale bool // from the picture, because the hub can not be reached
}

// section is the values of tags or desired, never nil.
func (r reading) section(name iothub.SectionName) iothub.Document {
	d := r.Properties.Desired.Value
	if name == iothub.SectionTags {
		d = r.Tags
	}
	if d == nil {
		return iothub.Document{}
	}
	return d
}

// readTwin reads a twin by its id, which is always current, unlike any list.
func (s *Server) readTwin(ctx context.Context, h *Hub, id string) (reading, error) {
	t, err := h.Client.GetTwin(ctx, id)
	if err != nil {
		return reading{}, err
	}
	return reading{Twin: t, at: s.now()}, nil
}

// twinOrMemory is readTwin for pages that only show: while the hub can not be
// reached they show what was last known, and say so.
func (s *Server) twinOrMemory(ctx context.Context, h *Hub, id string) (reading, error) {
	r, err := s.readTwin(ctx, h, id)
	if _, ok := errors.AsType[*hubclient.ConnectionError](err); !ok {
		return r, err
	}
	known, ok := h.Fleet.Get(id)
	if !ok {
		return r, err
	}
	return reading{Twin: known.Twin(), at: known.ReadAt, stale: true}, nil
}

// twinPage shows what is wanted of a device beside what it says.
func (s *Server) twinPage(c echo.Context) error {
	id, err := deviceID(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	painter := s.newTwinPainter(h, id, "")
	page, err := s.frame(c, "devices", painter.source())
	if err != nil {
		return err
	}
	r, err := s.twinOrMemory(ctx, h, id)
	if err != nil {
		return err
	}
	drift := s.drift(r)
	s.twinFrame(c, &page, r, drift)
	page.LiveURL += "&layout=" + newLayout(drift).String()
	page.Actions = views.TwinHead(twinHead(ctx, h, r, s.now()))
	return s.show(c, http.StatusOK, views.TwinPage(page, s.twinProps(c, r, drift)), r.Twin)
}

// twinJSONPage shows the whole document.
func (s *Server) twinJSONPage(c echo.Context) error {
	id, err := deviceID(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	page, err := s.frame(c, "devices")
	if err != nil {
		return err
	}
	r, err := s.twinOrMemory(ctx, h, id)
	if err != nil {
		return err
	}
	s.twinFrame(c, &page, r, s.drift(r))
	head := twinHead(ctx, h, r, s.now())
	head.EditHref = ""
	page.Actions = views.TwinHead(head)
	return s.show(c, http.StatusOK, views.TwinJSONPage(page, twinJSONProps(ctx, h, r)), r.Twin)
}

// drift compares the twin as of now; one that is stale, as of when it was read,
// because nothing is known of it since.
func (s *Server) drift(r reading) iothub.Drift {
	now := s.now()
	if r.stale {
		now = r.at
	}
	return iothub.Compare(r.Twin, iothub.DriftOptions{Now: now})
}

// twinFrame fills in what all views of a device say around their content.
func (s *Server) twinFrame(c echo.Context, page *views.PageProps, r reading, d iothub.Drift) {
	ctx, h := c.Request().Context(), hubOf(c)
	page.Title = text.T(ctx, "twin.title", "Device", r.DeviceID, "State", shortState(ctx, d))
	page.Heading, page.HeadingIsID = r.DeviceID, true
	page.Back = views.Link{Label: text.T(ctx, "nav.devices"), Href: h.devicesPath()}
}

// deviceTabs are the views of a device; current is "", "json" or "identity".
func deviceTabs(ctx context.Context, h *Hub, id, current string) []views.Tab {
	path := h.devicePath(id)
	return []views.Tab{
		{Label: text.T(ctx, "twin.tab.compare"), Href: path, Current: current == ""},
		{Label: text.T(ctx, "twin.tab.json"), Href: path + "?view=json", Current: current == "json"},
		{Label: text.T(ctx, "twin.tab.identity"), Href: path + "?view=identity", Current: current == "identity"},
	}
}

// twinLive is the event stream of the page of twinPage.
func (s *Server) twinLive(c echo.Context) error {
	id, err := deviceID(c)
	if err != nil {
		return err
	}
	p := s.newTwinPainter(hubOf(c), id, c.QueryParam("layout"))
	return s.serveLive(c, "devices", live{sources: []source{p.source()}, all: p.paint, every: agesEvery, tick: p.paint})
}

// agesEvery is how often an open page counts its ages on. Below a minute they
// are in seconds.
const agesEvery = 10 * time.Second

// source is the picture's feed, reduced to one device and to the picture as a
// whole: connection and states by time come through it too.
func (p *twinPainter) source() source {
	return watch(p.hub.Fleet.Changes(), func(i feed.Item[fleet.Update]) (string, painter) {
		if i.Value.DeviceID != p.id && !i.Value.Reset {
			return "", nil
		}
		return "twin", p.paint
	})
}
