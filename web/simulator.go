package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/devicesim"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// mostStarts is how many devices one form starts.
const mostStarts = 1000

// stopPatience is how long a page waits for devices to stop or to report.
const stopPatience = 20 * time.Second

func (h *Hub) simulatorPath() string { return h.path() + "/simulator" }

// simulatorPage shows the simulated devices of a hub and what they do.
func (s *Server) simulatorPage(c echo.Context) error {
	return s.showSimulator(c, http.StatusOK, views.SimStartProps{})
}

// showSimulator renders the page with what was typed into its forms.
func (s *Server) showSimulator(c echo.Context, status int, typed views.SimStartProps) error {
	h, ctx := hubOf(c), c.Request().Context()
	if h.Sim == nil {
		return errNoPage
	}
	p := s.newSimPainter(c, "simulator")
	page, err := s.frame(c, "simulator", p.sources()...)
	if err != nil {
		return err
	}
	if c.Request().Method != http.MethodGet {
		page.LiveURL, page.Path = "", h.simulatorPath() // a refused form; the page itself is live again
	}
	props := p.props(ctx, typed)
	page.Title = text.T(ctx, "simulator.title.state", "State", strings.TrimSuffix(props.Summary.Lead, "."))
	page.Heading = text.T(ctx, "simulator.title")
	page.Actions = views.SimulatorActions(h.devicesPath())
	return s.show(c, status, views.SimulatorPage(page, props), simulatorData(h, p.starts.state()))
}

// simulatorLive is the event stream of simulatorPage.
func (s *Server) simulatorLive(c echo.Context) error {
	if hubOf(c).Sim == nil {
		return errNoPage
	}
	p := s.newSimPainter(c, "simulator")
	return s.serveLive(c, "simulator", live{sources: p.sources(), all: p.paintAll})
}

// simulatorDock is the simulator beside another page, the device of that page
// first.
func (s *Server) simulatorDock(c echo.Context) (templ.Component, error) {
	if hubOf(c).Sim == nil {
		return views.SimulatorNone(), nil
	}
	return views.SimulatorPanel(s.newSimPainter(c, "").props(c.Request().Context(), views.SimStartProps{})), nil
}

// simulatorLiveBeside is what the docked simulator adds to a page's stream.
func (s *Server) simulatorLiveBeside(c echo.Context) live {
	if hubOf(c).Sim == nil {
		return live{}
	}
	p := s.newSimPainter(c, "")
	return live{sources: p.sources(), all: p.paintAll}
}

// simForm is a form of the simulator: the hub, its fields, and where to go on.
type simForm struct {
	hub *Hub
	url.Values
	back string
}

func readSimForm(c echo.Context) (simForm, error) {
	values, err := c.FormParams()
	if err != nil {
		return simForm{}, badForm(err)
	}
	h := hubOf(c)
	if h.Sim == nil {
		return simForm{}, errNoPage
	}
	f := simForm{hub: h, Values: values, back: h.simulatorPath()}
	if back := values.Get("back"); back != "" {
		f.back = localPath(back)
	}
	return f, nil
}

// simulatorStart starts a number of devices, and makes those that are missing.
func (s *Server) simulatorStart(c echo.Context) error {
	f, err := readSimForm(c)
	if err != nil {
		return err
	}
	typed, n := checkStart(c.Request().Context(), f)
	if n == 0 {
		return s.showSimulator(c, http.StatusUnprocessableEntity, typed)
	}
	ids := freshIDs(f.hub, f.Get("prefix"), n)
	if !f.hub.Local && f.Get("confirm") == "" {
		return s.simulatorConfirm(c, f, "start", ids)
	}
	s.starts[f.hub].begin(ids, true, devicesim.Answers(f.Get("answers")), "simulator-start")
	return goTo(c, f.back)
}

// checkStart is the form with its mistakes, and the number of devices; 0 for a
// form with mistakes.
func checkStart(ctx context.Context, f simForm) (typed views.SimStartProps, n int) {
	typed = views.SimStartProps{Count: f.Get("count"), Prefix: f.Get("prefix"), Open: true}
	typed.Answers = answerChoices(ctx, devicesim.Answers(cmp.Or(f.Get("answers"), string(defaultAnswers))))
	n, err := strconv.Atoi(strings.TrimSpace(typed.Count))
	if err != nil || n < 1 || n > mostStarts {
		typed.CountError = text.T(ctx, "simulator.count.wrong", "Max", mostStarts)
	}
	var wrong *iothub.DeviceIDError
	switch err := iothub.CheckDeviceID(typed.Prefix + "-0001"); {
	case typed.Prefix == "":
		typed.PrefixError = text.T(ctx, "simulator.prefix.empty")
	case errors.As(err, &wrong):
		typed.PrefixError = idMessage(ctx, wrong)
	}
	if typed.CountError != "" || typed.PrefixError != "" {
		return typed, 0
	}
	return typed, n
}

// simulatorConfirm asks before devices run on a hub in the cloud, where they
// count against its tier.
func (s *Server) simulatorConfirm(c echo.Context, f simForm, act string, ids []string) error {
	ctx := c.Request().Context()
	page, err := s.frame(c, "simulator")
	if err != nil {
		return err
	}
	page.LiveURL, page.Path = "", f.hub.simulatorPath()
	page.Title = text.T(ctx, "simulator.title")
	page.Back = views.Link{Label: text.T(ctx, "simulator.title"), Href: f.hub.simulatorPath()}
	p := views.SimConfirmProps{Confirm: views.ConfirmProps{
		ID: "sim-confirm", Title: text.T(ctx, "simulator.cloud", "Count", len(ids), "Hub", f.hub.Name), Text: text.T(ctx, "simulator.cloud.text", "Host", f.hub.HostName),
		Action: f.hub.simulatorPath() + "/" + act, Submit: text.T(ctx, "simulator.cloud.submit", "Count", len(ids), "Hub", f.hub.Name),
		Hidden: []views.Hidden{{Name: "confirm", Value: "yes"}, {Name: "back", Value: f.back}},
	}}
	for _, name := range []string{"count", "prefix", "answers", "id"} {
		if f.Has(name) {
			p.Confirm.Hidden = append(p.Confirm.Hidden, views.Hidden{Name: name, Value: f.Get(name)})
		}
	}
	const few = 20
	p.IDs = ids[:min(few, len(ids))]
	if more := len(ids) - len(p.IDs); more > 0 {
		p.More = text.T(ctx, "simulator.more", "Count", more)
	}
	return render(c, http.StatusOK, views.SimConfirmPage(page, p))
}

// simulatorDevice starts one device that the hub knows.
func (s *Server) simulatorDevice(c echo.Context) error {
	f, err := readSimForm(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	id := f.Get("id")
	if id == "" {
		return s.showSimulator(c, http.StatusUnprocessableEntity, views.SimStartProps{Open: true, IDError: text.T(ctx, "simulator.one.empty")})
	}
	_, err = f.hub.Client.GetDevice(ctx, id)
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		return s.showSimulator(c, http.StatusUnprocessableEntity, views.SimStartProps{
			Open: true, ID: id, IDError: text.T(ctx, "simulator.one.unknown", "Hub", f.hub.Name),
			CreateID: id, CreateHref: f.hub.path() + "/add-device",
		})
	}
	if err != nil {
		return err
	}
	if !f.hub.Local && f.Get("confirm") == "" {
		return s.simulatorConfirm(c, f, "device", []string{id})
	}
	s.starts[f.hub].begin([]string{id}, false, "", "simulator-start")
	return s.simAnswer(c, f, "")
}

// simulatorStop stops one device.
func (s *Server) simulatorStop(c echo.Context) error {
	return s.simAct(c, func(ctx context.Context, f simForm) error { return f.hub.Sim.Stop(ctx, f.Get("id")) })
}

// simulatorRemove takes a stopped device off the list. Its identity stays.
func (s *Server) simulatorRemove(c echo.Context) error {
	return s.simAct(c, func(ctx context.Context, f simForm) error { return f.hub.Sim.Remove(ctx, f.Get("id")) })
}

// simulatorNetwork moves a device to another network, which it reports.
func (s *Server) simulatorNetwork(c echo.Context) error {
	return s.simAct(c, func(ctx context.Context, f simForm) error {
		return f.hub.Sim.SetConnectivity(ctx, f.Get("id"), f.Get("connectivity"))
	})
}

// simulatorAnswers changes how a device answers what is wanted of it.
func (s *Server) simulatorAnswers(c echo.Context) error {
	return s.simAct(c, func(ctx context.Context, f simForm) error {
		answers := devicesim.Answers(f.Get("answers"))
		return f.hub.Sim.SetAnswers(ctx, f.Get("id"), answers, answerDelay(answers))
	})
}

// simAct does something to one device and answers with its row, or goes back.
func (s *Server) simAct(c echo.Context, act func(context.Context, simForm) error) error {
	f, err := readSimForm(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), stopPatience)
	defer cancel()
	err = act(ctx, f)
	var refused *iothub.Error
	switch {
	case err == nil, errors.Is(err, devicesim.ErrUnknown):
		return s.simAnswer(c, f, "")
	case errors.As(err, &refused):
		return s.simAnswer(c, f, text.T(c.Request().Context(), "simulator.refused", "Detail", refused.Message))
	case errors.Is(err, devicesim.ErrNotRunning):
		return s.simAnswer(c, f, text.T(c.Request().Context(), "simulator.not-running"))
	case errors.Is(err, devicesim.ErrConnectivity), errors.Is(err, devicesim.ErrAnswers):
		return &problem{status: http.StatusBadRequest, code: "bad-form", cause: err}
	}
	return fmt.Errorf("simulated device: %w", err)
}

// simAnswer answers a form of one device: the script gets the device anew,
// everyone else goes back, with what went wrong.
func (s *Server) simAnswer(c echo.Context, f simForm, mistake string) error {
	if !isFragment(c) {
		if mistake != "" {
			if err := keepFlash(c, flash{Kind: "warning", ID: "simulator.mistake", Args: []string{"Device", f.Get("id"), "Mistake", mistake}}); err != nil {
				return err
			}
		}
		return goTo(c, f.back)
	}
	ctx := c.Request().Context()
	p := &simPainter{server: s, hub: f.hub, starts: s.starts[f.hub], back: f.back, this: f.Get("id")}
	if f.Get("as") == "this" {
		return render(c, http.StatusOK, views.SimThis(*p.thisProps(ctx)))
	}
	d, ok := f.hub.Sim.Device(f.Get("id"))
	if !ok {
		return c.HTML(http.StatusOK, "") // removed: nothing takes the row's place
	}
	row := p.row(ctx, d)
	row.Mistake = mistake
	return render(c, http.StatusOK, views.SimRow(row))
}

// simulatorStopAllPage asks whether to stop all devices.
func (s *Server) simulatorStopAllPage(c echo.Context) error {
	h, ctx := hubOf(c), c.Request().Context()
	if h.Sim == nil {
		return errNoPage
	}
	p := s.newSimPainter(c, "simulator")
	page, err := s.frame(c, "simulator")
	if err != nil {
		return err
	}
	page.Title = text.T(ctx, "simulator.stop-all.title")
	page.Back = views.Link{Label: text.T(ctx, "simulator.title"), Href: h.simulatorPath()}
	sum := p.summary(ctx)
	if sum.Running == 0 {
		return c.Redirect(http.StatusSeeOther, h.simulatorPath())
	}
	sum.Back = h.simulatorPath()
	return render(c, http.StatusOK, views.SimConfirmPage(page, views.SimConfirmProps{Confirm: views.SimStopAll(ctx, sum)}))
}

// simulatorStopAll stops all devices.
func (s *Server) simulatorStopAll(c echo.Context) error {
	f, err := readSimForm(c)
	if err != nil {
		return err
	}
	sum := s.newSimPainter(c, "simulator").summary(c.Request().Context())
	if sum.StopWord != "" && strings.TrimSpace(f.Get("confirm")) != sum.StopWord {
		return c.Redirect(http.StatusSeeOther, f.hub.simulatorPath()+"/stop-all")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), stopPatience)
	defer cancel()
	if err := f.hub.Sim.StopAll(ctx); err != nil {
		return fmt.Errorf("stop all simulated devices: %w", err)
	}
	return goTo(c, f.back)
}
