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

// The changes of the keys of a device or module, as addresses and messages name them.
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
func keyConfirm(ctx context.Context, h *Hub, k subject, etag iothub.ETag, act string) views.ConfirmProps {
	p := views.ConfirmProps{
		ID: "key-" + act, Action: h.twinPath(k) + "/keys/" + act,
		Title: text.T(ctx, "identity.key."+act+".title", "Device", k.name()), Text: text.T(ctx, k.message("key."+act+".text")),
		Submit: text.T(ctx, "identity.key."+act), Hidden: []views.Hidden{{Name: "etag", Value: string(etag)}},
	}
	if act != swapKeys {
		p.Danger, p.Word, p.WordPrompt = true, k.name(), text.T(ctx, "form.type-to-confirm", "Word", k.name())
	}
	return p
}

// keyActions are the changes of keys that the page of a device or module offers.
func keyActions(ctx context.Context, h *Hub, d identity) []views.KeyAction {
	actions := make([]views.KeyAction, len(keyActs))
	for i, act := range keyActs {
		confirm := keyConfirm(ctx, h, d.subject(), d.ETag, act)
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
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	d, err := h.readIdentity(ctx, k)
	if err != nil {
		return err
	}
	return s.showConfirm(c, http.StatusOK, k, keyConfirm(ctx, h, k, d.ETag, act), "")
}

// deviceKeysSave makes a new key or swaps both, if the device or module is still
// the one the person saw.
func (s *Server) deviceKeysSave(c echo.Context) error {
	act, err := keyAct(c)
	if err != nil {
		return err
	}
	k, err := subjectOf(c)
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
	if act != swapKeys && form.Get("confirm") != k.name() {
		return s.showConfirm(c, http.StatusUnprocessableEntity, k, keyConfirm(ctx, h, k, etag, act), text.T(ctx, "identity.not-confirmed", "Device", k.name()))
	}
	if err := h.changeKeys(ctx, k, act, etag); err != nil {
		return s.identityChanged(c, k, err)
	}
	if err := keepFlash(c, flash{Kind: "ok", ID: "identity.key." + act + ".done", Args: []string{"Device", k.name()}}); err != nil {
		return err
	}
	return goTo(c, h.viewPath(k, "identity"))
}

// changeKeys writes the identity with other keys, on condition of the etag.
func (h *Hub) changeKeys(ctx context.Context, k subject, act string, etag iothub.ETag) error {
	if k.module != "" {
		m, err := h.Client.GetModule(ctx, k.device, k.module)
		if err != nil {
			return err
		}
		m.Authentication.SymmetricKey = changedKeys(m.Authentication.SymmetricKey, act)
		_, err = h.Client.UpdateModule(ctx, m, &hubclient.UpdateModuleOptions{IfMatch: etag})
		return err
	}
	d, err := h.Client.GetDevice(ctx, k.device)
	if err != nil {
		return err
	}
	d.Authentication.SymmetricKey = changedKeys(d.Authentication.SymmetricKey, act)
	_, err = h.Client.UpdateDevice(ctx, d, &hubclient.UpdateDeviceOptions{IfMatch: etag})
	return err
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
