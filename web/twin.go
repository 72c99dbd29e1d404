package web

import (
	"context"
	"errors"
	"math"
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
	stale bool // from the picture, because the hub cannot be reached
	slow  bool // or, of a stale one, because it has not answered yet
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
func (s *Server) readTwin(ctx context.Context, h *Hub, k subject) (reading, error) {
	t, err := h.Client.GetModuleTwin(ctx, k.device, k.module)
	if err != nil {
		return reading{}, err
	}
	return reading{Twin: t, at: s.now()}, nil
}

// memoryAfter is how long a page waits for a hub that is slow to answer, when
// something is known to show meanwhile.
const memoryAfter = 2 * time.Second

// twinOrMemory is readTwin for pages that only show: while the hub cannot be
// reached, or takes its time, they show what was last known, and say so.
func (s *Server) twinOrMemory(ctx context.Context, h *Hub, k subject) (reading, error) {
	return s.twinWithin(ctx, h, k, memoryAfter)
}

// shownTwin is the twin that a request shows. A program rather waits for the
// hub than take old values for new ones.
func (s *Server) shownTwin(c echo.Context, k subject) (reading, error) {
	wait := memoryAfter
	if wantsJSON(c) {
		wait = math.MaxInt64
	}
	return s.twinWithin(c.Request().Context(), hubOf(c), k, wait)
}

func (s *Server) twinWithin(ctx context.Context, h *Hub, k subject, wait time.Duration) (reading, error) {
	known, ok := h.Fleet.Get(k.device)
	if !ok || k.module != "" {
		return s.readTwin(ctx, h, k)
	}
	soon, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	r, err := s.readTwin(soon, h, k)
	away, lost := errors.AsType[*hubclient.ConnectionError](err)
	if !lost {
		return r, err
	}
	slow := away.Kind == hubclient.Timeout
	if slow && h.Fleet.Peek().Live {
		return reading{Twin: known.Twin(), at: s.now()}, nil // it tells what changes: this is current
	}
	return reading{Twin: known.Twin(), at: known.ReadAt, stale: true, slow: slow}, nil
}

// twinPage shows what is wanted of a device beside what it says.
func (s *Server) twinPage(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	painter := s.newTwinPainter(h, k, "")
	page, err := s.frame(c, "devices", painter.sources()...)
	if err != nil {
		return err
	}
	r, err := s.shownTwin(c, k)
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
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	page, err := s.frame(c, "devices")
	if err != nil {
		return err
	}
	r, err := s.shownTwin(c, k)
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

// twinFrame fills in what the views of a twin say around their content.
func (s *Server) twinFrame(c echo.Context, page *views.PageProps, r reading, d iothub.Drift) {
	s.subjectFrame(c, page, r.subject(), shortState(c.Request().Context(), d))
}

// subjectFrame is what all views of a device or module say around their content;
// state is a word or two for the title of the tab.
func (s *Server) subjectFrame(c echo.Context, page *views.PageProps, k subject, state string) {
	ctx, h := c.Request().Context(), hubOf(c)
	page.Title = text.T(ctx, "twin.title", "Device", k.name(), "State", state)
	page.Heading, page.HeadingIsID = k.name(), true
	page.Back = views.Link{Label: text.T(ctx, "nav.devices"), Href: h.devicesPath()}
	if k.module != "" {
		page.Back = views.Link{Label: text.T(ctx, "modules.back", "Device", k.device), Href: h.viewPath(subject{device: k.device}, "modules")}
	}
}

// twinTabs are the views of a device or module; current is a view's name in the
// address, "" for the comparison.
func twinTabs(ctx context.Context, h *Hub, k subject, current string) []views.Tab {
	tabs := []views.Tab{{Label: text.T(ctx, "twin.tab.compare"), Href: h.twinPath(k), Current: current == ""}}
	for _, view := range []string{"history", "messages", "methods", "modules", "json", "identity"} {
		if view == "modules" && k.module != "" {
			continue
		}
		tab := views.Tab{Label: text.T(ctx, "twin.tab."+view), Href: h.viewPath(k, view), Current: current == view}
		if view == "history" {
			tab.Key = "h"
		}
		tabs = append(tabs, tab)
	}
	return tabs
}

// twinLive is the event stream of the page of twinPage.
func (s *Server) twinLive(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	p := s.newTwinPainter(hubOf(c), k, c.QueryParam("layout"))
	return s.serveLive(c, "devices", live{sources: p.sources(), all: p.paint, every: agesEvery, tick: p.paint})
}

// agesEvery is how often an open page counts its ages on. Below a minute they
// are in seconds.
const agesEvery = 10 * time.Second

// sources are what moves the page: the picture's feed, reduced to one device and
// to the picture as a whole, through which connection and states by time come
// too; and what the picture does not hold, deliveries and modules.
func (p *twinPainter) sources() []source {
	return []source{
		watch(p.hub.Fleet.Changes(), func(i feed.Item[fleet.Update]) (string, painter) {
			if i.Value.DeviceID != p.of.device && !i.Value.Reset {
				return "", nil
			}
			return "twin", p.paint
		}),
		watch(p.hub.Fleet.Activity(), func(i feed.Item[fleet.Activity]) (string, painter) {
			c := i.Value.Change
			if p.of != subjectOfChange(c) || p.of.module == "" && c.Kind != iothub.ChangeDelivered {
				return "", nil
			}
			return "twin", p.paint
		}),
	}
}

func subjectOfChange(c iothub.Change) subject { return subject{c.DeviceID, c.ModuleID} }
