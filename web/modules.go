package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// modulesPage lists the modules of a device; each leads to a twin page of its
// own.
func (s *Server) modulesPage(c echo.Context) error {
	return s.showModules(c, http.StatusOK, "", "")
}

// showModules is the page with what was typed into its form, and what is wrong
// with it.
func (s *Server) showModules(c echo.Context, status int, typed, problem string) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	page, err := s.frame(c, "devices", s.modulesSource(h, k))
	if err != nil {
		return err
	}
	list, err := readModules(ctx, h, k)
	if err != nil {
		return err
	}
	s.subjectFrame(c, &page, k, text.T(ctx, "modules.count", "Count", len(list)))
	props := views.ModulesProps{
		Tabs: twinTabs(ctx, h, k, "modules"), Lead: modulesLead(ctx, list), List: s.modulesList(ctx, h, list),
		Add: views.ModuleAddProps{Action: h.twinPath(k) + "/modules", ID: typed, Error: problem, Max: iothub.MaxModules},
	}
	return s.show(c, status, views.ModulesPage(page, props), list)
}

// readModules reads the modules of a device, by name and without their keys.
func readModules(ctx context.Context, h *Hub, k subject) ([]iothub.Module, error) {
	list, err := h.Client.ListModules(ctx, k.device)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Authentication.SymmetricKey = iothub.SymmetricKey{}
	}
	slices.SortFunc(list, func(a, b iothub.Module) int { return strings.Compare(a.ModuleID, b.ModuleID) })
	return list, nil
}

func modulesLead(ctx context.Context, list []iothub.Module) string {
	if len(list) == 0 {
		return text.T(ctx, "modules.lead.none")
	}
	return text.T(ctx, "modules.lead", "Count", len(list))
}

func (s *Server) modulesList(ctx context.Context, h *Hub, list []iothub.Module) []views.ModuleRow {
	var rows []views.ModuleRow
	for _, m := range list {
		k := subject{m.DeviceID, m.ModuleID}
		row := views.ModuleRow{
			ID: rowID(iothub.Path{m.ModuleID}), Name: m.ModuleID, Href: h.twinPath(k), DeleteHref: h.twinPath(k) + "/delete",
			Connection: views.ConnectionProps{State: "offline"}, ManagedBy: m.ManagedBy,
		}
		if m.ConnectionState == iothub.Connected {
			row.Connection.State = "online"
		}
		if row.Activity = ageProps(ctx, m.LastActivityTime.Time, s.now()); row.Activity.Text != "" {
			row.Activity.Text = text.When(ctx, m.LastActivityTime.Local(), s.now())
		}
		rows = append(rows, row)
	}
	return rows
}

// modulesSource tells when a module of the device comes, goes, connects or
// leaves.
func (s *Server) modulesSource(h *Hub, k subject) source {
	return watch(h.Fleet.Activity(), func(item feed.Item[fleet.Activity]) (string, painter) {
		change := item.Value.Change
		about := change.Kind == iothub.ChangeIdentity || change.Kind == iothub.ChangeConnection
		if change.DeviceID != k.device || change.ModuleID == "" || !about {
			return "", nil
		}
		return "modules", s.paintModules(h, k)
	})
}

func (s *Server) paintModules(h *Hub, k subject) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		list, err := readModules(ctx, h, k)
		if err != nil {
			return nil, nil // the page keeps what it shows until the hub answers again
		}
		return []templ.Component{
			views.Lead("modules-lead", modulesLead(ctx, list)), views.ModulesList(s.modulesList(ctx, h, list)),
		}, nil
	}
}

// modulesLive is the event stream of modulesPage.
func (s *Server) modulesLive(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h := hubOf(c)
	return s.serveLive(c, "devices", live{sources: []source{s.modulesSource(h, k)}, all: s.paintModules(h, k)})
}

// moduleAdd registers a module; the hub makes its keys.
func (s *Server) moduleAdd(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h, ctx, id := hubOf(c), c.Request().Context(), strings.TrimSpace(form.Get("id"))
	if wrong, ok := errors.AsType[*iothub.DeviceIDError](iothub.CheckModuleID(id)); ok {
		return s.showModules(c, http.StatusUnprocessableEntity, id, idMessage(ctx, wrong))
	}
	_, err = h.Client.CreateModule(ctx, iothub.Module{DeviceID: k.device, ModuleID: id})
	switch {
	case errors.Is(err, iothub.ErrModuleAlreadyExists):
		return s.showModules(c, http.StatusUnprocessableEntity, id, text.T(ctx, "modules.taken", "Module", id))
	case errors.Is(err, iothub.ErrTooManyModules):
		return s.showModules(c, http.StatusUnprocessableEntity, id, text.T(ctx, "modules.full", "Count", iothub.MaxModules))
	case err != nil:
		return err
	}
	if err := keepFlash(c, flash{Kind: "ok", ID: "modules.added", Args: []string{"Module", id}}); err != nil {
		return err
	}
	return goTo(c, h.viewPath(subject{k.device, id}, "identity")+"&added=1")
}
