package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// lessonSteps is how many steps the tutorial has.
const lessonSteps = 7

// lessonDevice is the device that Microsoft's tutorial registers; people may
// choose another name.
const lessonDevice = "myDeviceId"

// walk is one person's way through the tutorial on one hub.
type walk struct {
	hub     *Hub
	device  string
	begun   bool
	started time.Time
	current int               // the step that a docked panel shows
	done    map[int]time.Time // since when each finished step is proven
}

// walkOf reads how far the tutorial is. The tutorial makes and deletes a device,
// so it is walked on the local hub only.
func (s *Server) walkOf(ctx context.Context, h *Hub) (walk, error) {
	w := walk{hub: h, device: lessonDevice, current: 1, done: map[int]time.Time{}}
	if !h.Local {
		return w, &problem{status: http.StatusConflict, code: "learn-local-only", args: []any{"Hub", h.Name}}
	}
	t, begun, err := s.store.Tutorial(ctx, h.Slug)
	if err != nil {
		return w, err
	}
	if begun {
		w.begun, w.device, w.started = true, t.DeviceID, t.Started
	}
	for name, step := range t.Steps {
		n, err := strconv.Atoi(name)
		switch {
		case err != nil:
		case step.State == "done":
			w.done[n] = step.At
		}
	}
	value, _, err := s.store.Setting(ctx, h.Slug, "tutorial.step")
	if err != nil {
		return w, err
	}
	if n, err := strconv.Atoi(value); err == nil && n >= 1 && n <= lessonSteps {
		w.current = n
	}
	return w, nil
}

// begin notes that the walk has begun, with its device.
func (s *Server) begin(ctx context.Context, w *walk) error {
	if w.begun {
		return nil
	}
	w.begun, w.started = true, s.now().UTC()
	return s.store.StartTutorial(ctx, w.hub.Slug, w.device, w.started)
}

func (w walk) path() string { return w.hub.path() + "/learn" }

func (w walk) stepPath(n int) string { return w.path() + "/" + strconv.Itoa(n) }

// stepOf is the step of the address.
func stepOf(c echo.Context) (int, error) {
	n, err := strconv.Atoi(c.Param("step"))
	if err != nil || n < 1 || n > lessonSteps {
		return 0, errNoPage
	}
	return n, nil
}

// learnStart leads to where the person left off.
func (s *Server) learnStart(c echo.Context) error {
	w, err := s.walkOf(c.Request().Context(), hubOf(c))
	if err != nil {
		return err
	}
	to := w.stepPath(w.current)
	if q := c.Request().URL.RawQuery; q != "" {
		to += "?" + q
	}
	return c.Redirect(http.StatusFound, to)
}

// learnPage shows one step.
func (s *Server) learnPage(c echo.Context) error {
	n, err := stepOf(c)
	if err != nil {
		return err
	}
	page, err := s.frame(c, "learn", s.learnSources(c, n)...)
	if err != nil {
		return err
	}
	w, err := s.walkOf(c.Request().Context(), hubOf(c))
	if err != nil {
		return err
	}
	props, err := s.learnProps(c.Request().Context(), w, n, w.stepPath(n))
	if err != nil {
		return err
	}
	props.Wire.Open = true
	ctx := c.Request().Context()
	page.Title = props.Title
	page.Heading = text.T(ctx, "learn.heading")
	return s.show(c, http.StatusOK, views.LearnPage(page, props), map[string]any{
		"step": n, "device": w.device, "done": props.Status.Done, "status": props.Status.Text,
	})
}

// learnLive is the event stream of a step's page.
func (s *Server) learnLive(c echo.Context) error {
	n, err := stepOf(c)
	if err != nil {
		return err
	}
	return s.serveLive(c, "learn", live{sources: s.learnSources(c, n)})
}

// learnDock is the tutorial beside another page: it shows the current step.
func (s *Server) learnDock(c echo.Context) (templ.Component, error) {
	ctx := c.Request().Context()
	if !hubOf(c).Local {
		return views.LearnElsewhere(), nil // the panel stays chosen for the local hub
	}
	w, err := s.walkOf(ctx, hubOf(c))
	if err != nil {
		return nil, err
	}
	back := c.Request().URL.RequestURI()
	if c.Request().Method != http.MethodGet {
		back = w.stepPath(w.current) // a refused form has no page to return to
	}
	props, err := s.learnProps(ctx, w, w.current, back)
	if err != nil {
		return nil, err
	}
	props.Docked = true
	return views.LearnPanel(props), nil
}

// learnLiveBeside is what the docked tutorial adds to a page's stream.
func (s *Server) learnLiveBeside(c echo.Context) live {
	h := hubOf(c)
	if !h.Local {
		return live{}
	}
	return live{sources: s.learnSources(c, 0), all: s.learnPainter(h, 0, pageOf(c))}
}

// learnSources are what moves a step: changes of its device, and what the
// simulated device does. n 0 means the current step.
func (s *Server) learnSources(c echo.Context, n int) []source {
	h := hubOf(c)
	if !h.Local {
		return nil
	}
	paint := s.learnPainter(h, n, pageOf(c))
	sources := []source{watch(h.Fleet.Changes(), func(item feed.Item[fleet.Update]) (string, painter) {
		if s.isLessonDevice(h, item.Value.DeviceID) {
			return "learn", paint
		}
		return "", nil
	})}
	if h.Sim == nil {
		return sources
	}
	return append(sources, watch(h.Sim.Events(), func(item feed.Item[devicesim.Event]) (string, painter) {
		if s.isLessonDevice(h, item.Value.DeviceID) {
			return "learn", paint
		}
		return "", nil
	}))
}

func (s *Server) isLessonDevice(h *Hub, id string) bool {
	w, err := s.walkOf(context.Background(), h)
	return err == nil && w.device == id
}

// learnPainter paints what of a step can change by itself; back is the page it
// stands on.
func (s *Server) learnPainter(h *Hub, n int, back string) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		w, err := s.walkOf(ctx, h)
		if err != nil {
			return nil, err
		}
		step := n
		if step == 0 {
			step = w.current
		}
		p, err := s.learnProps(ctx, w, step, back)
		if err != nil {
			return nil, err
		}
		return []templ.Component{views.LearnProgress(p), views.LearnState(p.Status), views.WirePanel(p.Wire), views.LearnMoves(p)}, nil
	}
}

// learnAct does what a button of the tutorial says.
func (s *Server) learnAct(c echo.Context) error {
	n, err := stepOf(c)
	if err != nil {
		return err
	}
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h := hubOf(c)
	ctx := iothub.WithAction(c.Request().Context(), lessonAction(n))
	w, err := s.walkOf(ctx, h)
	if err != nil {
		return err
	}
	if id := form.Get("device"); form.Has("device") && id != w.device {
		if err := iothub.CheckDeviceID(id); err != nil {
			return s.learnRefused(c, w, n, form, err)
		}
		w.device, w.begun = id, false
	}
	if err := s.begin(ctx, &w); err != nil {
		return err
	}
	switch c.Param("act") {
	case "show":
		err = s.doStep(ctx, w, n)
	case "check":
		err = s.tryStep(ctx, w, n)
	default:
		return errNoPage
	}
	// Without the device the step itself says what is missing.
	if err != nil && !errors.Is(err, iothub.ErrDeviceNotFound) {
		return err
	}
	if _, err := s.judge(ctx, w, n); err != nil {
		return err
	}
	return goTo(c, localPath(form.Get("back")))
}

// learnRefused shows the step again with what was typed and why it is refused.
func (s *Server) learnRefused(c echo.Context, w walk, n int, form url.Values, refused error) error {
	ctx := c.Request().Context()
	page, err := s.frame(c, "learn")
	if err != nil {
		return err
	}
	props, err := s.learnProps(ctx, w, n, localPath(form.Get("back")))
	if err != nil {
		return err
	}
	if props.Device != nil {
		props.Device.Value, props.Device.Error = form.Get("device"), refusedID(ctx, refused)
	}
	page.Title, page.Heading = props.Title, text.T(ctx, "learn.heading")
	return render(c, http.StatusUnprocessableEntity, views.LearnPage(page, props))
}

// learnGo chooses the step that the panel shows.
func (s *Server) learnGo(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	ctx := c.Request().Context()
	w, err := s.walkOf(ctx, hubOf(c))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(form.Get("step"))
	if err != nil || n < 1 || n > lessonSteps {
		return errNoPage
	}
	if err := s.begin(ctx, &w); err != nil {
		return err
	}
	if err := s.store.SetSetting(ctx, w.hub.Slug, "tutorial.step", strconv.Itoa(n)); err != nil {
		return err
	}
	return goTo(c, w.after(form.Get("back"), n))
}

// after is the page to show after moving to a step: the step's own page when
// the person is in the tutorial, else the page beside the panel.
func (w walk) after(back string, n int) string {
	back = localPath(back)
	if back == w.path() || strings.HasPrefix(back, w.path()+"/") || back == "/" {
		return w.stepPath(n)
	}
	return back
}

// learnReset begins anew: progress is forgotten, and the device deleted if the
// person says so.
func (s *Server) learnReset(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	ctx := c.Request().Context()
	w, err := s.walkOf(ctx, hubOf(c))
	if err != nil {
		return err
	}
	if form.Get("device") == "delete" {
		if err := deleteLessonDevice(ctx, w); err != nil {
			return err
		}
	}
	if err := s.store.ResetTutorial(ctx, w.hub.Slug); err != nil {
		return err
	}
	if err := s.store.SetSetting(ctx, w.hub.Slug, "tutorial.step", "1"); err != nil {
		return err
	}
	return goTo(c, w.after(form.Get("back"), 1))
}

func deleteLessonDevice(ctx context.Context, w walk) error {
	if w.hub.Sim != nil {
		if err := w.hub.Sim.Remove(ctx, w.device); err != nil && !errors.Is(err, devicesim.ErrUnknown) {
			return err
		}
	}
	d, err := w.hub.Client.GetDevice(ctx, w.device)
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.hub.Client.DeleteDevice(ctx, w.device, &hubclient.DeleteDeviceOptions{IfMatch: d.ETag})
}

// learnSecret answers the connection string of step 1.
func (s *Server) learnSecret(c echo.Context) error {
	w, err := s.walkOf(c.Request().Context(), hubOf(c))
	if err != nil {
		return err
	}
	cs, err := w.hub.ServiceConnection(lessonPolicy)
	if err != nil {
		return err
	}
	return c.String(http.StatusOK, cs.String())
}

// remember keeps that a step is proven, since a moment or (zero) just now.
func (s *Server) remember(ctx context.Context, w walk, n int, at time.Time) error {
	if !w.begun {
		return nil
	}
	if _, known := w.done[n]; known {
		return nil
	}
	if at.IsZero() {
		at = s.now().UTC()
	}
	w.done[n] = at
	return s.store.SetTutorialStep(ctx, w.hub.Slug, strconv.Itoa(n), store.Step{State: "done", At: w.done[n]})
}

func lessonAction(n int) string { return "learn-" + strconv.Itoa(n) }

// refusedID says what is wrong with a device id.
func refusedID(ctx context.Context, err error) string {
	var e *iothub.DeviceIDError
	if !errors.As(err, &e) {
		return err.Error()
	}
	return idMessage(ctx, e)
}
