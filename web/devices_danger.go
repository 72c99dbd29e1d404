package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// dangerProps are the changes of an identity that reach far. Each carries the
// etag of the identity the person saw.
func dangerProps(ctx context.Context, h *Hub, d identity) views.DangerProps {
	k := d.subject()
	path := h.twinPath(k)
	if k.module != "" {
		return views.DangerProps{Delete: deleteConfirm(ctx, h, k, d.ETag), DeleteHref: path + "/delete", Module: true}
	}
	status := func(to string) views.ConfirmProps {
		return views.ConfirmProps{
			ID: "status-" + to, Action: path + "/status",
			Title: text.T(ctx, "identity.disable.title", "Device", d.DeviceID), Text: text.T(ctx, "identity.disable.text"),
			Submit: text.T(ctx, "identity.to."+to), Word: d.DeviceID, WordPrompt: text.T(ctx, "form.type-to-confirm", "Word", d.DeviceID),
			Hidden: []views.Hidden{{Name: "etag", Value: string(d.ETag)}, {Name: "status", Value: to}},
		}
	}
	return views.DangerProps{
		Enable: status(iothub.StatusEnabled), Disable: status(iothub.StatusDisabled), Delete: deleteConfirm(ctx, h, k, d.ETag),
		DeleteHref: path + "/delete", DisableHref: path + "/disable", Enabled: d.Status != iothub.StatusDisabled,
	}
}

func deleteConfirm(ctx context.Context, h *Hub, k subject, etag iothub.ETag) views.ConfirmProps {
	name := k.name()
	return views.ConfirmProps{
		ID: "delete", Action: h.twinPath(k) + "/delete", Danger: true,
		Title: text.T(ctx, k.message("delete.title"), "Device", name), Text: text.T(ctx, k.message("delete.text")),
		Submit: text.T(ctx, k.message("delete")), Word: name, WordPrompt: text.T(ctx, "form.type-to-confirm", "Word", name),
		Hidden: []views.Hidden{{Name: "etag", Value: string(etag)}},
	}
}

// deviceDeletePage and deviceDisablePage ask on pages of their own, for whoever
// has no script.
func (s *Server) deviceDeletePage(c echo.Context) error {
	return s.askFor(c, func(p views.DangerProps) views.ConfirmProps { return p.Delete })
}

func (s *Server) deviceDisablePage(c echo.Context) error {
	return s.askFor(c, func(p views.DangerProps) views.ConfirmProps { return p.Disable })
}

func (s *Server) askFor(c echo.Context, which func(views.DangerProps) views.ConfirmProps) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	d, err := hubOf(c).readIdentity(c.Request().Context(), k)
	if err != nil {
		return err
	}
	return s.showConfirm(c, http.StatusOK, k, which(dangerProps(c.Request().Context(), hubOf(c), d)), "")
}

func (s *Server) showConfirm(c echo.Context, status int, k subject, p views.ConfirmProps, problem string) error {
	page, err := s.frame(c, "devices")
	if err != nil {
		return err
	}
	back := hubOf(c).viewPath(k, "identity")
	page.Title = p.Title
	page.Back = views.Link{Label: k.name(), Href: back}
	return render(c, status, views.ConfirmPage(page, views.ConfirmPageProps{Confirm: p, Error: problem, CancelHref: back}))
}

// deviceDelete removes a device or module for good, if its name was typed and it
// is still the one the person saw.
func (s *Server) deviceDelete(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h, ctx, etag := hubOf(c), c.Request().Context(), iothub.ETag(form.Get("etag"))
	if form.Get("confirm") != k.name() {
		return s.showConfirm(c, http.StatusUnprocessableEntity, k, deleteConfirm(ctx, h, k, etag), text.T(ctx, "identity.not-confirmed", "Device", k.name()))
	}
	if etag == "" {
		return badForm(errors.New("no etag"))
	}
	if k.module != "" {
		return s.moduleDelete(c, k, etag)
	}
	if err := h.Client.DeleteDevice(ctx, k.device, &hubclient.DeleteDeviceOptions{IfMatch: etag}); err != nil {
		return s.identityChanged(c, k, err)
	}
	s.forgetSimulated(ctx, h, k.device)
	if err := keepFlash(c, flash{Kind: "ok", ID: "devices.deleted", Args: []string{"Device", k.device}}); err != nil {
		return err
	}
	return goTo(c, h.devicesPath())
}

func (s *Server) moduleDelete(c echo.Context, k subject, etag iothub.ETag) error {
	h := hubOf(c)
	err := h.Client.DeleteModule(c.Request().Context(), k.device, k.module, &hubclient.DeleteModuleOptions{IfMatch: etag})
	if err != nil {
		return s.identityChanged(c, k, err)
	}
	if err := keepFlash(c, flash{Kind: "ok", ID: "modules.deleted", Args: []string{"Module", k.module}}); err != nil {
		return err
	}
	return goTo(c, h.viewPath(subject{device: k.device}, "modules"))
}

// forgetSimulated ends the simulated device of an identity that is gone, which
// would try to connect for ever.
func (s *Server) forgetSimulated(ctx context.Context, h *Hub, id string) {
	if h.Sim == nil {
		return
	}
	if _, runs := h.Sim.Device(id); !runs {
		return
	}
	if err := h.Sim.Remove(ctx, id); err != nil {
		s.log.Warn("simulated device not removed", "device_id", id, "error", err)
	}
}

// deviceStatusSave enables or disables a device. Disabling cuts its connection,
// so its name must be typed.
func (s *Server) deviceStatusSave(c echo.Context) error {
	id, err := deviceID(c)
	if err != nil {
		return err
	}
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h, ctx, etag := hubOf(c), c.Request().Context(), iothub.ETag(form.Get("etag"))
	status := oneOf(form.Get("status"), iothub.StatusEnabled, iothub.StatusDisabled)
	if status == "" || etag == "" {
		return badForm(errors.New("no status or etag"))
	}
	d, err := h.Client.GetDevice(ctx, id)
	if err != nil {
		return err
	}
	if status == iothub.StatusDisabled && form.Get("confirm") != id {
		d.ETag = etag
		return s.showConfirm(c, http.StatusUnprocessableEntity, subject{device: id}, dangerProps(ctx, h, identity{Device: d}).Disable, text.T(ctx, "identity.not-confirmed", "Device", id))
	}
	d.Status, d.StatusReason = status, ""
	if _, err := h.Client.UpdateDevice(ctx, d, &hubclient.UpdateDeviceOptions{IfMatch: etag}); err != nil {
		return s.identityChanged(c, subject{device: id}, err)
	}
	if err := keepFlash(c, flash{Kind: "ok", ID: "devices.now." + status, Args: []string{"Device", id}}); err != nil {
		return err
	}
	return goTo(c, h.devicePath(id)+"?view=identity")
}

// identityChanged sends whoever acted on an old page to the present one.
func (s *Server) identityChanged(c echo.Context, k subject, err error) error {
	if !errors.Is(err, iothub.ErrPreconditionFailed) {
		return err
	}
	ctx := c.Request().Context()
	return &problem{
		status: http.StatusPreconditionFailed, code: "changed-meanwhile", cause: err,
		actions: []views.Link{{Label: text.T(ctx, "error.open-device", "Device", k.name()), Href: hubOf(c).viewPath(k, "identity")}},
	}
}
