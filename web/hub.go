package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
)

// Hub is one hub the dashboard manages, local or Azure's, with all that reaches
// it.
type Hub struct {
	Slug  string // its place in addresses, such as "local"
	Name  string // as people call it
	Local bool   // the hub this program runs itself
	// HostName is the service's, with its port unless 443.
	HostName string
	Client   *hubclient.Client
	Fleet    *fleet.Fleet
	// Sim runs simulated devices on the hub; nil where there are none.
	Sim *devicesim.Fleet
	// Trace holds the requests and packets of client and simulator.
	Trace *feed.Feed[iothub.WireEntry]
	// ServiceConnection returns the connection string of a policy. It is nil for
	// a hub whose keys the dashboard does not know.
	ServiceConnection func(policy string) (iothub.ServiceConnectionString, error)
	// DeviceHostName is what devices connect to, and CAFile the certificate they
	// must trust, "" for a hub with a public one.
	DeviceHostName, CAFile string
}

// path is where the hub's pages live: /h/{slug}.
func (h *Hub) path() string { return "/h/" + url.PathEscape(h.Slug) }

// devicesPath is the list of the hub's devices.
func (h *Hub) devicesPath() string { return h.path() + "/devices" }

// devicePath is a device's page. Ids hold characters that mean something in
// addresses; and "." and "..", which browsers resolve before they send, are
// written with a tilde before them, which no id contains.
func (h *Hub) devicePath(id string) string {
	return h.devicesPath() + "/" + url.PathEscape(dotted(id))
}

func dotted(id string) string {
	if id == "." || id == ".." {
		return "~" + id
	}
	return id
}

func undotted(part string) string { return strings.TrimPrefix(part, "~") }

func (h *Hub) chip() views.HubChip {
	return views.HubChip{Name: h.Name, Path: h.path(), Cloud: !h.Local}
}

// hubLinks are the hubs, each by its page of a place: where one is on this hub,
// one gets on the other. nil when there is only one hub.
func (s *Server) hubLinks(active string) []views.HubLink {
	if len(s.hubs) < 2 {
		return nil
	}
	list := make([]views.HubLink, len(s.hubs))
	for i, h := range s.hubs {
		list[i] = views.HubLink{HubChip: h.chip(), Href: h.path()}
		switch active {
		case "devices", "query", "changes", "simulator":
			list[i].Href += "/" + active
		}
	}
	return list
}

const hubKey = "hub"

// findHub puts the hub of the address, /h/{slug}/… or /live/h/{slug}/…, into the
// context, for hubOf; also where no page is, so that the error page has its
// navigation.
func (s *Server) findHub(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path := strings.TrimPrefix(c.Request().URL.EscapedPath(), "/live")
		rest, ok := strings.CutPrefix(path, "/h/")
		if !ok {
			return next(c)
		}
		first, _, _ := strings.Cut(rest, "/")
		slug, err := url.PathUnescape(first)
		if err != nil {
			return errNoPage
		}
		for _, h := range s.hubs {
			if h.Slug == slug {
				c.Set(hubKey, h)
				return next(c)
			}
		}
		return &problem{status: http.StatusNotFound, code: "no-hub", args: []any{"Hub", slug}}
	}
}

// hubOf is the hub of the address. It is nil on pages of no hub.
func hubOf(c echo.Context) *Hub {
	h, _ := c.Get(hubKey).(*Hub)
	return h
}

// deviceID is the device id of the address, decoded once.
func deviceID(c echo.Context) (string, error) {
	id, err := url.PathUnescape(c.Param("id"))
	if err != nil || id == "" {
		return "", errNoPage
	}
	return undotted(id), nil
}
