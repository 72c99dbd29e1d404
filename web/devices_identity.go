package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"twinboard/feed"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// identityPage shows who a device is and how it signs in. No key is on it: the
// page's script asks deviceSecret for one.
func (s *Server) identityPage(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h, ctx := hubOf(c), c.Request().Context()
	page, err := s.frame(c, "devices", s.identitySource(h, k))
	if err != nil {
		return err
	}
	d, err := h.readIdentity(ctx, k)
	if err != nil {
		return err
	}
	s.subjectFrame(c, &page, k, "")
	page.Title = text.T(ctx, "identity.title", "Device", k.name())
	return s.show(c, http.StatusOK, views.IdentityPage(page, s.identityProps(c, h, d)), d.data)
}

func (s *Server) identityProps(c echo.Context, h *Hub, d identity) views.IdentityProps {
	ctx, path := c.Request().Context(), h.twinPath(d.subject())
	p := views.IdentityProps{
		DeviceID: d.subject().name(), Tabs: twinTabs(ctx, h, d.subject(), "identity"),
		Status: s.identityStatus(ctx, d), Connect: connectFacts(ctx, h, d), Danger: dangerProps(ctx, h, d),
	}
	if c.QueryParams().Has("added") {
		p.Next = []views.Link{{Label: text.T(ctx, "identity.next.twin"), Href: path}}
		if h.Sim != nil && d.module == "" {
			p.Next = append(p.Next, views.Link{Label: text.T(ctx, "identity.next.simulate"), Href: h.path() + "/simulator"})
		}
	}
	if d.Authentication.SymmetricKey.Primary == "" {
		p.NoKeys = text.T(ctx, d.subject().message("no-keys"))
		return p
	}
	p.KeyActions, p.KeysWhy = keyActions(ctx, h, d), text.T(ctx, d.subject().message("key.why"))
	for i, what := range secrets {
		secret := views.SecretProps{
			ID: what.name, Label: text.T(ctx, "identity."+what.name),
			Hint: text.T(ctx, d.subject().message(what.name+".hint")), RevealURL: path + "/secret?what=" + what.name,
		}
		if i < 2 {
			p.Keys = append(p.Keys, secret)
		} else {
			p.SecondKeys = append(p.SecondKeys, secret)
		}
	}
	return p
}

// identityStatus is what changes while one looks.
func (s *Server) identityStatus(ctx context.Context, d identity) views.IdentityStatus {
	p := views.IdentityStatus{
		Enabled: d.Status != iothub.StatusDisabled, Reason: d.StatusReason, Module: d.module != "",
		Connection: views.ConnectionProps{State: "offline"},
	}
	if d.ConnectionState == iothub.Connected {
		p.Connection.State = "online"
	}
	moment := func(id string, t iothub.Time) {
		fact := views.Fact{Label: text.T(ctx, id), Value: text.T(ctx, "identity.never")}
		if t.Year() > 1 {
			fact.Age = ageProps(ctx, t.Time, s.now())
			fact.Age.Text = text.When(ctx, t.Local(), s.now())
		}
		p.Facts = append(p.Facts, fact)
	}
	moment("identity.activity", d.LastActivityTime)
	moment("identity.connection-changed", d.ConnectionStateUpdatedTime)
	if d.module == "" {
		moment("identity.status-changed", d.StatusUpdatedTime)
	}
	return p
}

// connectFacts are what a device needs beside its key.
func connectFacts(ctx context.Context, h *Hub, d identity) []views.Fact {
	facts := []views.Fact{
		{Label: text.T(ctx, "identity.host"), Value: h.DeviceHostName, Mono: true, Copy: true},
		{Label: text.T(ctx, "identity.auth"), Value: text.T(ctx, "identity.auth."+authType(d.Device))},
	}
	if h.CAFile != "" {
		facts = append(facts, views.Fact{Label: text.T(ctx, "identity.ca"), Value: h.CAFile, Mono: true, Copy: true})
	}
	return append(facts, views.Fact{Label: text.T(ctx, "identity.generation"), Value: d.GenerationID, Mono: true})
}

// authType is how the device signs in, as one of the types with words.
func authType(d iothub.Device) string {
	known := oneOf(d.Authentication.Type, "sas", "selfSigned", "certificateAuthority", "none")
	if known == "" {
		return "sas" // the service leaves the type out for keys
	}
	return known
}

// identitySource is what moves the identity and connection of a device, which
// the picture holds, or of a module, which it does not.
func (s *Server) identitySource(h *Hub, k subject) source {
	if k.module != "" {
		return watch(h.Fleet.Activity(), func(item feed.Item[fleet.Activity]) (string, painter) {
			c := item.Value.Change
			if subjectOfChange(c) != k || c.Kind != iothub.ChangeIdentity && c.Kind != iothub.ChangeConnection {
				return "", nil
			}
			return "identity", s.paintIdentity(h, k)
		})
	}
	return watch(h.Fleet.Changes(), func(item feed.Item[fleet.Update]) (string, painter) {
		u := item.Value
		if !u.Reset && (u.DeviceID != k.device || !aboutIdentity(u)) {
			return "", nil
		}
		return "identity", s.paintIdentity(h, k)
	})
}

func aboutIdentity(u fleet.Update) bool {
	return u.Removed || u.Change.Kind == iothub.ChangeIdentity || u.Change.Kind == iothub.ChangeConnection || u.Change.Kind == ""
}

func (s *Server) paintIdentity(h *Hub, k subject) painter {
	return func(ctx context.Context) ([]templ.Component, error) {
		d, err := h.readIdentity(ctx, k)
		if isGone(err) {
			return []templ.Component{views.IdentityState(views.IdentityStatus{Gone: true})}, nil
		}
		if err != nil {
			return nil, nil // the page keeps what it shows; the list says that the hub is away
		}
		return []templ.Component{views.IdentityState(s.identityStatus(ctx, d))}, nil
	}
}

// identityLive is the event stream of identityPage.
func (s *Server) identityLive(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h := hubOf(c)
	return s.serveLive(c, "devices", live{sources: []source{s.identitySource(h, k)}, all: s.paintIdentity(h, k)})
}

// secrets are what deviceSecret tells, by name.
var secrets = []struct {
	name string
	of   func(h *Hub, d identity) string
}{
	{"primary-connection", func(h *Hub, d identity) string {
		return connectionString(h, d, d.Authentication.SymmetricKey.Primary)
	}},
	{"primary-key", func(_ *Hub, d identity) string { return d.Authentication.SymmetricKey.Primary }},
	{"secondary-connection", func(h *Hub, d identity) string {
		return connectionString(h, d, d.Authentication.SymmetricKey.Secondary)
	}},
	{"secondary-key", func(_ *Hub, d identity) string { return d.Authentication.SymmetricKey.Secondary }},
}

func connectionString(h *Hub, d identity, key string) string {
	return iothub.DeviceConnectionString{HostName: h.DeviceHostName, DeviceID: d.DeviceID, ModuleID: d.module, SharedAccessKey: key}.String()
}

// deviceSecret answers one secret of a device as plain text, to a browser without
// script on a page. It is a POST, so that no link, cache or history leads to it
// and no other site can ask.
func (s *Server) deviceSecret(c echo.Context) error {
	k, err := subjectOf(c)
	if err != nil {
		return err
	}
	h := hubOf(c)
	for _, what := range secrets {
		if what.name != c.QueryParam("what") {
			continue
		}
		d, err := h.readIdentity(c.Request().Context(), k)
		if err != nil {
			return err
		}
		if strings.Contains(c.Request().Header.Get(echo.HeaderAccept), echo.MIMETextHTML) {
			return s.showSecret(c, k, what.name, what.of(h, d))
		}
		return c.String(http.StatusOK, what.of(h, d))
	}
	return errNoPage
}
