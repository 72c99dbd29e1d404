package web

import (
	"context"
	"errors"
	"net/url"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

// subject is what has a twin, an identity and pages of its own: a device, or
// one of its modules when module is not "".
type subject struct{ device, module string }

// name is what its pages are headed with.
func (k subject) name() string {
	if k.module != "" {
		return k.module
	}
	return k.device
}

// message is the id of a text that a device and a module have each their own of.
func (k subject) message(id string) string {
	if k.module != "" {
		return "modules." + id
	}
	return "identity." + id
}

// subjectOf is the device or module of the address, each part decoded once.
func subjectOf(c echo.Context) (subject, error) {
	device, err := deviceID(c)
	if err != nil {
		return subject{}, err
	}
	module, err := url.PathUnescape(c.Param("module"))
	if err != nil {
		return subject{}, errNoPage
	}
	return subject{device, undotted(module)}, nil
}

// twinPath is the page of a device or module.
func (h *Hub) twinPath(k subject) string {
	path := h.devicePath(k.device)
	if k.module != "" {
		path += "/modules/" + url.PathEscape(dotted(k.module))
	}
	return path
}

// viewPath is one view of a device or module.
func (h *Hub) viewPath(k subject, view string) string { return h.twinPath(k) + "?view=" + view }

// editPath is the form for "tags" or "desired".
func (h *Hub) editPath(k subject, section string) string {
	return h.twinPath(k) + "/edit/" + url.PathEscape(section)
}

// subject is what the twin belongs to.
func (r reading) subject() subject { return subject{r.DeviceID, r.ModuleID} }

// identity is who a device or module is. A module has no status of its own.
type identity struct {
	iothub.Device
	module string
	data   any // as the hub shows it, without its keys
}

// readIdentity reads an identity with its keys.
func (h *Hub) readIdentity(ctx context.Context, k subject) (identity, error) {
	if k.module == "" {
		d, err := h.Client.GetDevice(ctx, k.device)
		shown := d
		shown.Authentication.SymmetricKey = iothub.SymmetricKey{}
		return identity{Device: d, data: shown}, err
	}
	m, err := h.Client.GetModule(ctx, k.device, k.module)
	shown := m
	shown.Authentication.SymmetricKey = iothub.SymmetricKey{}
	return identity{module: m.ModuleID, data: shown, Device: iothub.Device{
		DeviceID: m.DeviceID, GenerationID: m.GenerationID, ETag: m.ETag, ConnectionState: m.ConnectionState,
		ConnectionStateUpdatedTime: m.ConnectionStateUpdatedTime, LastActivityTime: m.LastActivityTime,
		Authentication: m.Authentication,
	}}, err
}

// isGone reports whether a device or module is no longer registered. The service
// says so of a module's twin as of a device's.
func isGone(err error) bool {
	return errors.Is(err, iothub.ErrDeviceNotFound) || errors.Is(err, iothub.ErrModuleNotFound)
}

func (d identity) subject() subject { return subject{d.DeviceID, d.module} }
