package web

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// deviceAddPage asks for the name of a new device.
func (s *Server) deviceAddPage(c echo.Context) error {
	return s.showDeviceAdd(c, http.StatusOK, s.deviceAddForm(c, "", ""))
}

func (s *Server) deviceAddForm(c echo.Context, id, problem string) views.DeviceAddProps {
	h := hubOf(c)
	return views.DeviceAddProps{
		Action: h.path() + "/add-device", ID: id, Error: problem,
		CancelHref: h.devicesPath(), Prefix: "add-page-",
	}
}

func (s *Server) showDeviceAdd(c echo.Context, status int, form views.DeviceAddProps) error {
	page, err := s.frame(c, "devices")
	if err != nil {
		return err
	}
	page.Title = text.T(c.Request().Context(), "devices.add.title")
	page.Back = views.Link{Label: text.T(c.Request().Context(), "devices.title"), Href: hubOf(c).devicesPath()}
	return render(c, status, views.DeviceAddPage(page, form))
}

// deviceAdd registers a device. Without a name it makes one up; the hub makes
// the keys.
func (s *Server) deviceAdd(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	typed := strings.TrimSpace(form.Get("id"))
	id := typed
	if id == "" {
		id = "device-" + randomHex(3)
	}
	h, ctx := hubOf(c), c.Request().Context()
	if err := iothub.CheckDeviceID(id); err != nil {
		var wrong *iothub.DeviceIDError
		errors.As(err, &wrong)
		return s.refuseAdd(c, typed, idMessage(ctx, wrong))
	}
	_, err = h.Client.CreateDevice(ctx, iothub.Device{DeviceID: id, Status: iothub.StatusEnabled})
	if errors.Is(err, iothub.ErrDeviceAlreadyExists) {
		return s.refuseAdd(c, typed, text.T(ctx, "devices.add.taken", "Device", id))
	}
	if err != nil {
		p := s.explainFor(ctx, h, id, err)
		s.log.Info("device not added", "device_id", id, "code", p.code, "error", err)
		return s.refuseAdd(c, typed, strings.TrimSpace(text.T(ctx, "error."+p.code+".what", p.args...)+
			" "+text.T(ctx, safety(c, p))))
	}
	if err := keepFlash(c, flash{Kind: "ok", ID: "devices.added", Args: []string{"Device", id}}); err != nil {
		return err
	}
	return goTo(c, h.devicePath(id)+"?view=identity&added=1")
}

// refuseAdd shows the form again with what was typed and what is wrong with it.
func (s *Server) refuseAdd(c echo.Context, typed, problem string) error {
	form := s.deviceAddForm(c, typed, problem)
	if !isFragment(c) {
		return s.showDeviceAdd(c, http.StatusUnprocessableEntity, form)
	}
	if prefix := c.FormValue("prefix"); prefix == "add-dialog-" {
		form.Prefix, form.CancelHref = prefix, ""
	}
	return render(c, http.StatusUnprocessableEntity, views.DeviceAddForm(form))
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
