package web

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// The changes of a device's keys, as addresses and messages name them.
const (
	newPrimary   = "primary"
	newSecondary = "secondary"
	swapKeys     = "swap"
)

var keyActs = []string{newPrimary, newSecondary, swapKeys}

// keyBytes is the length of a new key: that of those which hubs make.
const keyBytes = 32

// keyConfirm asks before a change of keys and says what stops working. Where
// nothing does, a press is enough.
func keyConfirm(ctx context.Context, h *Hub, d iothub.Device, act string) views.ConfirmProps {
	p := views.ConfirmProps{
		ID: "key-" + act, Action: h.devicePath(d.DeviceID) + "/keys/" + act,
		Title: text.T(ctx, "identity.key."+act+".title", "Device", d.DeviceID), Text: text.T(ctx, "identity.key."+act+".text"),
		Submit: text.T(ctx, "identity.key."+act), Hidden: []views.Hidden{{Name: "etag", Value: string(d.ETag)}},
	}
	if act != swapKeys {
		p.Danger, p.Word, p.WordPrompt = true, d.DeviceID, text.T(ctx, "form.type-to-confirm", "Word", d.DeviceID)
	}
	return p
}

// keyActions are the changes of keys that a device's page offers.
func keyActions(ctx context.Context, h *Hub, d iothub.Device) []views.KeyAction {
	actions := make([]views.KeyAction, len(keyActs))
	for i, act := range keyActs {
		confirm := keyConfirm(ctx, h, d, act)
		actions[i] = views.KeyAction{Confirm: confirm, Href: confirm.Action}
	}
	return actions
}

// keyAct is the change of the address.
func keyAct(c echo.Context) (string, error) {
	if act := oneOf(c.Param("act"), keyActs...); act != "" {
		return act, nil
	}
	return "", errNoPage
}

// deviceKeysPage asks on a page of its own, for whoever has no script.
func (s *Server) deviceKeysPage(c echo.Context) error {
	act, err := keyAct(c)
	if err != nil {
		return err
	}
	id, err := deviceID(c)
	if err != nil {
		return err
	}
	d, err := hubOf(c).Client.GetDevice(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return s.showConfirm(c, http.StatusOK, subject{device: id}, keyConfirm(c.Request().Context(), hubOf(c), d, act), "")
}

// deviceKeysSave makes a new key or swaps both, if the device is still the one
// the person saw.
func (s *Server) deviceKeysSave(c echo.Context) error {
	act, err := keyAct(c)
	if err != nil {
		return err
	}
	id, err := deviceID(c)
	if err != nil {
		return err
	}
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h, ctx, etag := hubOf(c), c.Request().Context(), iothub.ETag(form.Get("etag"))
	if etag == "" {
		return badForm(errors.New("no etag"))
	}
	d, err := h.Client.GetDevice(ctx, id)
	if err != nil {
		return err
	}
	if act != swapKeys && form.Get("confirm") != id {
		d.ETag = etag
		return s.showConfirm(c, http.StatusUnprocessableEntity, subject{device: id}, keyConfirm(ctx, h, d, act), text.T(ctx, "identity.not-confirmed", "Device", id))
	}
	d.Authentication.SymmetricKey = changedKeys(d.Authentication.SymmetricKey, act)
	if _, err := h.Client.UpdateDevice(ctx, d, &hubclient.UpdateDeviceOptions{IfMatch: etag}); err != nil {
		return s.identityChanged(c, subject{device: id}, err)
	}
	if err := keepFlash(c, flash{Kind: "ok", ID: "identity.key." + act + ".done", Args: []string{"Device", id}}); err != nil {
		return err
	}
	return goTo(c, h.devicePath(id)+"?view=identity")
}

func changedKeys(keys iothub.SymmetricKey, act string) iothub.SymmetricKey {
	switch act {
	case newPrimary:
		keys.Primary = newKey()
	case newSecondary:
		keys.Secondary = newKey()
	case swapKeys:
		keys.Primary, keys.Secondary = keys.Secondary, keys.Primary
	}
	return keys
}

func newKey() string {
	b := make([]byte, keyBytes)
	rand.Read(b) // never fails
	return base64.StdEncoding.EncodeToString(b)
}

// secretSeconds is how long a page without script shows a secret.
const secretSeconds = "30"

// showSecret answers with a secret on a page of its own, which leaves by itself:
// for whoever has no script. It can be shown for longer by asking again.
func (s *Server) showSecret(c echo.Context, k subject, what, value string) error {
	page, err := s.frame(c, "devices")
	if err != nil {
		return err
	}
	ctx, back := c.Request().Context(), hubOf(c).viewPath(k, "identity")
	c.Response().Header().Set("Refresh", secretSeconds+"; url="+back)
	page.Title, page.Path = text.T(ctx, "identity."+what), back
	page.Back = views.Link{Label: k.name(), Href: back}
	return render(c, http.StatusOK, views.SecretPage(page, views.SecretPageProps{
		Label: page.Title, Value: value, Again: hubOf(c).twinPath(k) + "/secret?what=" + what, Hide: back,
	}))
}
