package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/devicesim"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// How much of each list the overview shows; the other pages show all.
const (
	overviewLook    = 6
	overviewChanges = 6
)

// overviewPage answers whether everything of a hub is as wanted.
func (s *Server) overviewPage(c echo.Context) error {
	h, ctx := hubOf(c), c.Request().Context()
	o := &overview{Server: s, h: h}
	page, err := s.frame(c, "overview", o.sources()...)
	if err != nil {
		return err
	}
	if !wantsJSON(c) {
		setCookie(c, hubCookie, h.Slug)
	}
	sum, status := h.Fleet.Summary(overviewLook), h.Fleet.Status()
	latest, err := s.latest(ctx, h)
	if err != nil {
		return err
	}
	if wantsJSON(c) {
		return showJSON(c, http.StatusOK, overviewDataOf(h, sum, status, latest))
	}
	p := o.props(ctx, sum, status, latest)
	if p.Tutorial, err = s.tutorialDoor(ctx, h); err != nil {
		return err
	}
	p.Simulator = simulatorDoor(ctx, h)
	page.LiveURL += "&shape=" + p.Shape
	page.Heading = text.T(ctx, "overview.title")
	page.Title = text.T(ctx, "overview.page", "Hub", h.Name, "Answer", strings.TrimSuffix(p.Lead, "."))
	page.Notes = s.bulkNotes(ctx, h)
	return render(c, http.StatusOK, views.OverviewPage(page, p))
}

// latest are the newest entries of the journal, enough to fill the list when
// many are alike.
func (s *Server) latest(ctx context.Context, h *Hub) ([]store.Entry, error) {
	return s.store.Journal(ctx, store.JournalQuery{Hub: h.Slug}, 20*overviewChanges)
}

// overview is one open overview of a hub.
type overview struct {
	*Server
	h *Hub
	// Of its event stream: what was sent, what the page looks like, and how many
	// ticks have been.
	sent  sentParts
	shape string
	ticks int
}

func (o *overview) props(ctx context.Context, sum fleet.Summary, status fleet.Status, latest []store.Entry) views.OverviewProps {
	h := o.h
	p := views.OverviewProps{
		Lead: fleetLead(ctx, sum.States, sum.Known, status), More: overviewMore(ctx, sum, o.now()), Notice: o.notice(ctx, status),
		Shape: "full", Host: h.HostName,
		Bar: stateBar(ctx, h, sum), Look: o.look(ctx, sum), Changes: o.latestProps(ctx, latest),
		AddHref: h.path() + "/add-device", ConnectHref: welcomePath + "#connect",
	}
	switch {
	case sum.Known == 0 && status.Complete && status.Total == 0:
		p.Shape = "none"
	case nothingRead(status):
		p.Shape, p.Unread, p.Notice = "unread", o.hubUnread(ctx, h, status, h.path()), views.HubNotice{}
	case sum.Known == 0:
		p.Shape = "reading"
	case !status.Complete:
		p.Filling = text.T(ctx, "overview.filling", "Count", status.Known, "Total", status.Total)
	}
	if h.Sim != nil {
		p.StartAction = h.simulatorPath() + "/start"
	}
	return p
}

// fleetLead says in one sentence how the devices of a hub stand.
func fleetLead(ctx context.Context, states map[iothub.State]int, known int, status fleet.Status) string {
	look := 0
	for _, state := range needsLook {
		look += states[state]
	}
	waiting := states[iothub.Waiting] + states[iothub.WaitingOffline] + states[iothub.Applying]
	switch {
	case known == 0 && status.Err != nil:
		return text.T(ctx, "devices.lead.unread")
	case known == 0:
		return text.T(ctx, "devices.lead.reading")
	case look > 0:
		return text.T(ctx, "devices.lead.look", "Count", look, "Total", known)
	case waiting > 0:
		return text.T(ctx, "devices.lead.waiting", "Count", waiting)
	}
	return text.T(ctx, "devices.lead.ok", "Count", known)
}

// overviewMore goes on after the answer, in sentences.
func overviewMore(ctx context.Context, sum fleet.Summary, now time.Time) string {
	var list []string
	add := func(n int, id string) {
		if n > 0 {
			list = append(list, text.T(ctx, id, "Count", n))
		}
	}
	if sum.Look > 0 {
		list = append(list, text.T(ctx, "overview.more.oldest", "Span", text.Lasting(ctx, now.Sub(sum.Oldest))))
	}
	waiting := sum.States[iothub.Waiting] + sum.States[iothub.WaitingOffline] + sum.States[iothub.Applying]
	if sum.Look > 0 || waiting > 0 {
		add(sum.States[iothub.InSync], "overview.more.in-sync")
	}
	if sum.Look > 0 {
		add(waiting, "overview.more.waiting")
	}
	if sum.Unwanted < sum.Known {
		add(sum.Unwanted, "overview.more.unwanted")
	} else {
		add(sum.Unwanted, "overview.more.nothing-wanted")
	}
	return strings.Join(list, " ")
}

// notice says why the hub cannot be read, when it last was, and when it is tried
// again.
func (o *overview) notice(ctx context.Context, status fleet.Status) views.HubNotice {
	contact := ""
	if !status.AsOf.IsZero() && status.Known > 0 {
		at := status.AsOf.Local()
		when := text.ClockShort(ctx, at)
		if o.now().Sub(at) >= 24*time.Hour {
			when = text.Date(ctx, at)
		}
		contact = text.T(ctx, "hub.contact", "Time", when)
	}
	return o.hubNotice(ctx, o.h, status, contact, o.h.path())
}

// overviewTry tries a hub that could not be reached at once.
func (s *Server) overviewTry(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	hubOf(c).Fleet.TryNow()
	return goTo(c, localPath(form.Get("back")))
}

// doorSetting remembers that the tutorial's card was closed.
const doorSetting = "overview.tutorial"

// tutorialDoor is the card of the tutorial until it is finished or closed; nil
// where there is none.
func (s *Server) tutorialDoor(ctx context.Context, h *Hub) (*views.DoorProps, error) {
	if !h.Local {
		return nil, nil
	}
	closed, _, err := s.store.Setting(ctx, h.Slug, doorSetting)
	if err != nil {
		return nil, err
	}
	w, err := s.walkOf(ctx, h)
	if err != nil || closed != "" || len(w.done) >= lessonSteps {
		return nil, err
	}
	p := &views.DoorProps{
		Title: text.T(ctx, "nav.learn.long"), Text: text.T(ctx, "overview.door.learn"), Icon: "graduation-cap",
		State: text.T(ctx, "overview.door.learn.steps", "Count", lessonSteps),
		Go:    views.Link{Label: text.T(ctx, "overview.door.learn.start"), Href: w.path()}, CloseAction: h.path() + "/close-tutorial",
	}
	if w.begun {
		p.Done, p.Total = len(w.done), lessonSteps
		p.State = text.T(ctx, "overview.door.learn.done", "N", len(w.done), "Total", lessonSteps)
		p.Go.Label = text.T(ctx, "overview.door.learn.continue")
	}
	return p, nil
}

// overviewCloseTutorial hides the tutorial's card for good; help still leads to
// the tutorial.
func (s *Server) overviewCloseTutorial(c echo.Context) error {
	h := hubOf(c)
	if err := s.store.SetSetting(c.Request().Context(), h.Slug, doorSetting, "closed"); err != nil {
		return err
	}
	return goTo(c, h.path())
}

func simulatorDoor(ctx context.Context, h *Hub) *views.DoorProps {
	if h.Sim == nil {
		return nil
	}
	online := 0
	for _, d := range h.Sim.Devices() {
		if d.State == devicesim.Online {
			online++
		}
	}
	return &views.DoorProps{
		Title: text.T(ctx, "simulator.title"), Text: text.T(ctx, "overview.door.simulator"), Icon: "activity",
		State: text.T(ctx, "overview.door.simulator.online", "Count", online),
		Go:    views.Link{Label: text.T(ctx, "overview.door.simulator.go"), Href: h.simulatorPath()},
	}
}

// overviewData is the overview as JSON.
type overviewData struct {
	Hub         string               `json:"hub"`
	Known       int                  `json:"known"` // devices in the dashboard's picture
	OfHub       int                  `json:"ofHub"` // on the hub, as far as known
	Complete    bool                 `json:"complete"`
	Live        bool                 `json:"live"`
	AsOf        *time.Time           `json:"asOf,omitempty"`
	Error       string               `json:"error,omitempty"` // why the hub cannot be read: a code
	NeedsLook   int                  `json:"needsLook"`
	Oldest      *time.Time           `json:"oldest,omitempty"`
	Unwanted    int                  `json:"unwanted"`
	States      map[iothub.State]int `json:"states"`
	Connections map[string]int       `json:"connections"`
	Attention   []deviceData         `json:"attention"`
	Changes     []changeData         `json:"changes"`
}

func overviewDataOf(h *Hub, sum fleet.Summary, status fleet.Status, latest []store.Entry) overviewData {
	data := overviewData{
		Hub: h.Slug, Known: sum.Known, OfHub: max(status.Total, sum.Known), Complete: status.Complete, Live: status.Live, AsOf: known(status.AsOf),
		NeedsLook: sum.Look, Oldest: known(sum.Oldest), Unwanted: sum.Unwanted, States: sum.States, Connections: sum.Connections,
		Attention: []deviceData{}, Changes: changeDataOf(latest[:min(overviewChanges, len(latest))]),
	}
	if status.Err != nil {
		data.Error = "unreachable"
		if _, refused := errors.AsType[*iothub.Error](status.Err); refused {
			data.Error = "refused"
		}
	}
	for _, d := range sum.Attention {
		data.Attention = append(data.Attention, deviceDataOf(d))
	}
	return data
}
