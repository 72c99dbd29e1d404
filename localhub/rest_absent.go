package localhub

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

// absent is an operation of IoT Hub that this hub does not offer.
type absent struct {
	method, path string
	right        permission
	what         string // in a sentence: "this hub does not offer …"
}

// What stands behind several operations that are absent.
const (
	configurations  = "automatic configurations and IoT Edge deployments"
	importsExports  = "import and export jobs; bulk requests (POST /devices) write up to 100 identities at a time"
	digitalTwins    = "digital twins; the device's twin (GET /twins/{id}) and direct methods (POST /twins/{id}/methods) hold the same"
	cloudToDevice   = "cloud-to-device messages and their feedback; desired properties and direct methods reach a device"
	devicesOverHTTP = "devices over HTTPS; they connect over MQTT"
	fileUpload      = "file upload"
)

// absences lists the operations of the service API, and those of devices over
// HTTPS, that are refused. The rights are those of the documentation; which one
// configurations take is not said there, and writing the registry is our choice.
func absences() []absent {
	const feedback = "/messages/serviceBound/feedback"
	const files = "/messages/serviceBound/filenotifications"
	return []absent{
		{http.MethodGet, "/configurations", registryRead, configurations},
		{http.MethodPost, "/configurations/testQueries", registryRead, configurations},
		{http.MethodGet, "/configurations/:id", registryRead, configurations},
		{http.MethodPut, "/configurations/:id", registryWrite, configurations},
		{http.MethodDelete, "/configurations/:id", registryWrite, configurations},
		{http.MethodPost, "/devices/:id/applyConfigurationContent", registryWrite, configurations},
		{http.MethodPost, "/jobs/create", registryWrite, importsExports},
		{http.MethodGet, "/jobs", registryWrite, importsExports},
		{http.MethodGet, "/jobs/:id", registryWrite, importsExports},
		{http.MethodDelete, "/jobs/:id", registryWrite, importsExports},
		{http.MethodGet, "/digitaltwins/:id", serviceConnect, digitalTwins},
		{http.MethodPatch, "/digitaltwins/:id", serviceConnect, digitalTwins},
		{http.MethodPost, "/digitaltwins/:id/commands/:name", serviceConnect, digitalTwins},
		{http.MethodPost, "/digitaltwins/:id/components/:component/commands/:name", serviceConnect, digitalTwins},
		{http.MethodGet, feedback, serviceConnect, cloudToDevice},
		{http.MethodDelete, feedback + "/:lock", serviceConnect, cloudToDevice},
		{http.MethodPost, feedback + "/:lock/abandon", serviceConnect, cloudToDevice},
		{http.MethodGet, files, serviceConnect, fileUpload},
		{http.MethodDelete, files + "/:lock", serviceConnect, fileUpload},
		{http.MethodPost, files + "/:lock/abandon", serviceConnect, fileUpload},
		{http.MethodPost, "/devices/:id/files", deviceConnect, fileUpload},
		{http.MethodPost, "/devices/:id/files/notifications", deviceConnect, fileUpload},
		{http.MethodPost, "/devices/:id/messages/events", deviceConnect, devicesOverHTTP},
		{http.MethodGet, "/devices/:id/messages/deviceBound", deviceConnect, devicesOverHTTP},
		{http.MethodDelete, "/devices/:id/messages/deviceBound/:lock", deviceConnect, devicesOverHTTP},
		{http.MethodPost, "/devices/:id/messages/deviceBound/:lock/abandon", deviceConnect, devicesOverHTTP},
	}
}

// refuse answers an absent operation as the service answers one that the tier
// of a hub does not have. Who may not call it learns no more than elsewhere.
func (s *restServer) refuse(a absent) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, err := s.authorize(c, a.right); err != nil {
			return err
		}
		return iothub.ErrNotAvailableInTier.With("this hub does not offer %s", a.what)
	}
}
