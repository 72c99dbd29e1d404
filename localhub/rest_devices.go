package localhub

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

// deviceList answers at most top identities; a top that is no number from 1 to
// 1000 means 1000, as the service reads it.
func (s *restServer) deviceList(c echo.Context, by caller) error {
	top, err := strconv.Atoi(c.QueryParam("top"))
	if err != nil {
		top = maxListed
	}
	list, err := s.hub.registry.devices(c.Request().Context(), top)
	if err != nil {
		return err
	}
	for i := range list {
		asRead(&list[i].ConnectionStateUpdatedTime, &list[i].StatusUpdatedTime, &list[i].LastActivityTime)
	}
	return answer(c, http.StatusOK, list)
}

func (s *restServer) deviceGet(c echo.Context, by caller) error {
	d, err := s.hub.registry.device(c.Request().Context(), pathID(c))
	if err != nil {
		return err
	}
	asRead(&d.ConnectionStateUpdatedTime, &d.StatusUpdatedTime, &d.LastActivityTime)
	return answerDevice(c, d)
}

// devicePut creates without If-Match and updates with it, as the service does.
func (s *restServer) devicePut(c echo.Context, by caller) error {
	d, err := readDevice(c)
	if err != nil {
		return err
	}
	ctx, who := c.Request().Context(), actor{Policy: by.policy}
	if match := ifMatch(c); match == "" {
		d, err = s.hub.registry.createDevice(ctx, who, d)
	} else {
		d, err = s.hub.registry.updateDevice(ctx, who, d, match)
	}
	if err != nil {
		return err
	}
	return answerDevice(c, d)
}

// deviceDelete needs If-Match, as the service does.
func (s *restServer) deviceDelete(c echo.Context, by caller) error {
	if err := s.hub.registry.deleteDevice(c.Request().Context(), actor{Policy: by.policy}, pathID(c), ifMatch(c)); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *restServer) statisticsDevices(c echo.Context, by caller) error {
	counts, err := s.hub.registry.statistics(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, counts)
}

func (s *restServer) statisticsService(c echo.Context, by caller) error {
	return answer(c, http.StatusOK, iothub.ServiceStatistics{Connected: s.hub.registry.connected()})
}

func answerDevice(c echo.Context, d iothub.Device) error {
	c.Response().Header().Set("ETag", d.ETag.Header())
	return answer(c, http.StatusOK, d)
}

// asRead makes times that were never set print as the service prints them when
// an identity is read: with seven digits, 0001-01-01T00:00:00.0000000Z. In answers
// to writes they have none. (Measured on the real service.)
func asRead(times ...*iothub.Time) {
	for _, t := range times {
		if t.IsZero() {
			t.Time = t.Add(1) // less than what is printed
		}
	}
}

func ifMatch(c echo.Context) iothub.ETag {
	return iothub.ParseIfMatch(c.Request().Header.Get("If-Match"))
}

// deviceBody is what a service may write of an identity. SDKs send the whole
// object back as they read it; every other member is ignored.
type deviceBody struct {
	DeviceID       *string               `json:"deviceId"`
	Status         string                `json:"status"`
	StatusReason   string                `json:"statusReason"`
	Authentication iothub.Authentication `json:"authentication"`
	Capabilities   iothub.Capabilities   `json:"capabilities"`
	DeviceScope    string                `json:"deviceScope"`
	ParentScopes   []string              `json:"parentScopes"`
}

func readDevice(c echo.Context) (iothub.Device, error) {
	text, err := body(c)
	if err != nil {
		return iothub.Device{}, err
	}
	var b deviceBody
	if err := readJSON(text, &b); err != nil {
		return iothub.Device{}, err
	}
	id := pathID(c)
	if err := checkNamed("device", id, b.DeviceID); err != nil {
		return iothub.Device{}, err
	}
	return iothub.Device{
		DeviceID: id, Status: b.Status, StatusReason: b.StatusReason, Authentication: b.Authentication,
		Capabilities: b.Capabilities, DeviceScope: b.DeviceScope, ParentScopes: b.ParentScopes,
	}, nil
}

// checkNamed refuses a body that names another device or module than the path, if
// it names one; that it must be the same is a choice.
func checkNamed(what, path string, body *string) error {
	if body != nil && *body != path {
		return iothub.ErrArgumentInvalid.With("the path names %s %q, the body %q", what, path, *body)
	}
	return nil
}

// readJSON reads one JSON object into a struct. A text that is not JSON is told
// apart from one that does not fit.
func readJSON(text []byte, into any) error {
	if bytes.HasPrefix(text, []byte("{")) && utf8.Valid(text) && json.Unmarshal(text, into) == nil {
		return nil // as nearly always; what follows finds out what is wrong
	}
	v, err := iothub.ParseValue(text)
	if err != nil {
		return err
	}
	if _, ok := v.(map[string]any); !ok {
		return iothub.ErrNotObject
	}
	err = json.NewDecoder(bytes.NewReader(text)).Decode(into)
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return iothub.ErrDeserialization.With("%s does not fit: %s", mismatch.Field, mismatch.Value)
	}
	if err != nil {
		return iothub.ErrDeserialization.With("the body does not fit: %v", err)
	}
	return nil
}
