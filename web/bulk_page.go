package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

func (h *Hub) bulkPath(id string) string { return h.path() + "/bulk/" + id }

// bulkOf is the bulk change of the address.
func (s *Server) bulkOf(c echo.Context) (*bulk, error) {
	if b := s.bulks.find(hubOf(c), c.Param("bulk")); b != nil {
		return b, nil
	}
	return nil, &problem{status: http.StatusNotFound, code: "no-bulk"}
}

// bulkNew takes a selection of the list and asks about it on a page of its own.
// Nothing is changed yet.
func (s *Server) bulkNew(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h := hubOf(c)
	act := oneOf(form.Get("act"), actEnable, actDisable, actDelete, actTags, actDesired)
	if act == "" {
		return badForm(fmt.Errorf("no act %q", form.Get("act")))
	}
	var chosen []fleet.Identity
	if form.Get("all") != "" {
		chosen = h.Fleet.Matching(parseListing(c.QueryParams()).query(0))
	} else {
		for _, id := range form["id"] {
			if d, ok := h.Fleet.Get(id); ok {
				chosen = append(chosen, d.Identity())
			}
		}
	}
	if len(chosen) == 0 {
		if err := keepFlash(c, flash{Kind: "info", ID: "bulk.nothing"}); err != nil {
			return err
		}
		return goTo(c, parseListing(c.QueryParams()).href(h.devicesPath(), func(*listing) {}))
	}
	return s.askBulk(c, act, itemsOf(chosen))
}

// askBulk leads to the page of a new bulk change.
func (s *Server) askBulk(c echo.Context, act string, items []bulkItem) error {
	return s.offerBulk(c, s.newBulk(hubOf(c), act, items))
}

func (s *Server) offerBulk(c echo.Context, b *bulk) error {
	to := b.hub.bulkPath(b.id)
	if act, ok := twinActs[b.act]; ok && !act.back {
		b.phase, to = phaseChosen, b.hub.bulkEditPath(b.id)
	}
	if err := s.bulks.add(c.Request().Context(), b); err != nil {
		return err
	}
	return goTo(c, to)
}

// bulkPage asks, or says how far it is.
func (s *Server) bulkPage(c echo.Context) error { return s.showBulk(c, http.StatusOK, "") }

func (s *Server) showBulk(c echo.Context, status int, mistake string) error {
	b, err := s.bulkOf(c)
	if err != nil {
		return err
	}
	switch {
	case c.QueryParam("format") == "csv":
		return bulkCSV(c, b)
	case b.at() == phaseChosen && !wantsJSON(c):
		return goTo(c, b.hub.bulkEditPath(b.id))
	}
	page, err := s.frame(c, "devices", b.source(nil))
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	p := s.bulkProps(ctx, b)
	p.Ask.Error = mistake
	page.Title = p.Title
	page.Back = views.Link{Label: text.T(ctx, "devices.title"), Href: b.hub.devicesPath()}
	return s.show(c, status, views.BulkPage(page, p), b.data())
}

// source is the feed of a bulk change; state paints it.
func (b *bulk) source(state painter) source {
	return watch(b.changed, func(feed.Item[struct{}]) (string, painter) { return "bulk", state })
}

// bulkLive is the event stream of bulkPage.
func (s *Server) bulkLive(c echo.Context) error {
	b, err := s.bulkOf(c)
	if err != nil {
		return err
	}
	state := func(ctx context.Context) ([]templ.Component, error) {
		return []templ.Component{views.BulkState(s.bulkProps(ctx, b))}, nil
	}
	return s.serveLive(c, "devices", live{sources: []source{b.source(state)}, all: state})
}

// bulkStart runs what was asked, if the word that its reach demands was typed.
func (s *Server) bulkStart(c echo.Context) error {
	b, err := s.bulkOf(c)
	if err != nil {
		return err
	}
	if word := b.word(); word != "" && c.FormValue("confirm") != word {
		return s.showBulk(c, http.StatusUnprocessableEntity, text.T(c.Request().Context(), "bulk.not-confirmed", "Word", word))
	}
	s.bulks.start(b, phaseAsked)
	if b.undoes != nil {
		if err := b.undoes.leave(c.Request().Context()); err != nil {
			return err
		}
	}
	return goTo(c, b.hub.bulkPath(b.id))
}

// bulkStop ends a bulk change after the request under way.
func (s *Server) bulkStop(c echo.Context) error {
	b, err := s.bulkOf(c)
	if err != nil {
		return err
	}
	b.halt(nil)
	return goTo(c, b.hub.bulkPath(b.id))
}

// bulkRetry goes on with what waits, and with what failed when retry is "failed".
func (s *Server) bulkRetry(c echo.Context) error {
	b, err := s.bulkOf(c)
	if err != nil {
		return err
	}
	if c.FormValue("retry") == "failed" {
		if err := b.again(c.Request().Context()); err != nil {
			return err
		}
	}
	s.bulks.start(b, phaseStopped, phaseInterrupted)
	return goTo(c, b.hub.bulkPath(b.id))
}

// bulkLeave gives up what waits.
func (s *Server) bulkLeave(c echo.Context) error {
	b, err := s.bulkOf(c)
	if err != nil {
		return err
	}
	if err := b.leave(c.Request().Context()); err != nil {
		return err
	}
	return goTo(c, b.hub.bulkPath(b.id))
}

// inverses are the acts that take an act back.
var inverses = map[string]string{
	actEnable: actDisable, actDisable: actEnable, actCreate: actDelete, actTags: actTagsBack, actDesired: actDesiredBack,
}

// bulkUndo asks about taking back what was done, on a page of its own.
func (s *Server) bulkUndo(c echo.Context) error {
	b, err := s.bulkOf(c)
	if err != nil {
		return err
	}
	act := inverses[b.act]
	if act == "" {
		return badForm(fmt.Errorf("%s cannot be taken back", b.act))
	}
	done, err := b.allDone(c.Request().Context())
	if err != nil {
		return err
	}
	if len(done) == 0 {
		return goTo(c, b.hub.bulkPath(b.id))
	}
	var items []bulkItem
	for _, i := range done {
		item := bulkItem{id: i.id, old: i.old, reason: i.reasonWas, entry: i.entry}
		if d, known := b.hub.Fleet.Get(i.id); known && act == actDelete {
			item.etag = d.Identity().ETag // a status is set back whatever else has changed since
		}
		items = append(items, item)
	}
	undo := s.newBulk(b.hub, act, items)
	undo.undoes, undo.patch = b, b.patch
	return s.offerBulk(c, undo)
}

// freely is how many devices are changed without typing how many they are.
const freely = 50

// word is what a person must type: the number of devices, or the name of the
// only one, for what reaches far.
func (b *bulk) word() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.items) <= freely && b.act != actDisable && b.act != actDelete:
		return ""
	case len(b.items) == 1:
		return b.items[0].id
	}
	return strconv.Itoa(len(b.items))
}

// bulkData is a bulk change as JSON.
type bulkData struct {
	Act     string          `json:"act"`
	Phase   string          `json:"phase"`
	Total   int             `json:"total"`
	Waiting int             `json:"waiting"`
	Unsure  int             `json:"unsure"` // of those waiting: sent, but the answer was never seen
	Done    int             `json:"done"`
	Already int             `json:"already"` // were as wanted
	Failed  int             `json:"failed"`
	Left    int             `json:"left,omitempty"`  // changed by others since what is taken back
	Patch   iothub.Document `json:"patch,omitempty"` // of tags or desired; what is taken back, of an undo
	Devices []bulkItemData  `json:"devices"`
}

type bulkItemData struct {
	DeviceID string `json:"deviceId"`
	Line     int    `json:"line,omitempty"`
	State    string `json:"state"`
	Error    string `json:"error,omitempty"`
}

func (b *bulk) data() bulkData {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.counts()
	data := bulkData{Act: b.act, Phase: b.phase, Total: n.total, Waiting: n.waiting, Unsure: n.unsure, Done: n.done, Already: n.already, Failed: n.failed, Left: n.left, Patch: b.patch, Devices: []bulkItemData{}}
	for _, i := range b.items {
		item := bulkItemData{DeviceID: i.id, Line: i.line, State: i.state}
		if i.err != nil {
			item.Error = i.err.Error()
		}
		data.Devices = append(data.Devices, item)
	}
	return data
}

// bulkCSV is the result for each device.
func bulkCSV(c echo.Context, b *bulk) error {
	return writeCSV(c, "result.csv", []string{"deviceId", "line", "result", "error"}, func(yield func([]string) bool) {
		for _, i := range b.data().Devices {
			if !yield([]string{csvID(i.DeviceID), strconv.Itoa(i.Line), i.State, i.Error}) {
				return
			}
		}
	})
}
