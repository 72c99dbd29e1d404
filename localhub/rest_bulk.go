package localhub

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

// bulkBody is one element of a bulk request. Its twin is read apart, with its
// numbers as they are. encoding/json ignores the case of names: SDKs write eTag
// and etag.
type bulkBody struct {
	ID             string                `json:"id"`
	ModuleID       string                `json:"moduleId"`
	ETag           string                `json:"eTag"`
	ImportMode     string                `json:"importMode"`
	TwinETag       string                `json:"twinETag"`
	Status         string                `json:"status"`
	StatusReason   string                `json:"statusReason"`
	Authentication iothub.Authentication `json:"authentication"`
	Capabilities   iothub.Capabilities   `json:"capabilities"`
	DeviceScope    string                `json:"deviceScope"`
	ParentScopes   []string              `json:"parentScopes"`
}

// deviceBulk answers 200 when everything was done and 400 when something was
// not; both carry the same object. What could be done is done in either case.
func (s *restServer) deviceBulk(c echo.Context, by caller) error {
	text, err := body(c)
	if err != nil {
		return err
	}
	items, err := readBulk(text)
	if err != nil {
		return err
	}
	if err := s.hub.throttle.pass(c.Request().Context(), iothub.ThrottleRegistry, len(items)); err != nil {
		return err
	}
	result, err := s.hub.registry.bulk(c.Request().Context(), actor{Policy: by.policy}, items)
	if err != nil {
		return err
	}
	if !result.Successful {
		c.Response().Header().Set(headerErrorCode, iothub.ErrBulkFailure.Code)
		return answer(c, iothub.ErrBulkFailure.Status, result)
	}
	return answer(c, http.StatusOK, result)
}

// readBulk reads the bare array. That an empty one is refused is a choice.
func readBulk(text []byte) ([]*bulkItem, error) {
	v, err := iothub.ParseValue(text)
	if err != nil {
		return nil, err
	}
	if list, ok := v.([]any); !ok || len(list) == 0 || len(list) > iothub.MaxBulk {
		return nil, iothub.ErrArgumentInvalid.With("the body must be an array of 1 to %d identities", iothub.MaxBulk)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, iothub.ErrDeserialization.With("the body does not fit: %v", err)
	}
	items := make([]*bulkItem, len(raw))
	for n, one := range raw {
		if items[n], err = readBulkItem(one); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func readBulkItem(text []byte) (*bulkItem, error) {
	var b bulkBody
	if err := readJSON(text, &b); err != nil {
		return nil, err
	}
	i := &bulkItem{moduleID: b.ModuleID, etag: iothub.ParseIfMatch(b.ETag), twinETag: iothub.ParseIfMatch(b.TwinETag), device: iothub.Device{
		DeviceID: b.ID, Status: b.Status, StatusReason: b.StatusReason, Authentication: b.Authentication,
		Capabilities: b.Capabilities, DeviceScope: b.DeviceScope, ParentScopes: b.ParentScopes,
	}}
	i.mode, i.refusal = importMode(b.ImportMode)
	if i.refusal == nil {
		i.twin, i.refusal = iothub.ParseTwinPatch(text)
	}
	if b.ID == "" {
		i.refusal = iothub.ErrArgumentNull.With("the member id is missing")
	}
	return i, nil
}

// importMode reads a mode in any case. That createOrUpdate stands for none is a
// choice.
func importMode(s string) (iothub.ImportMode, error) {
	s = cmp.Or(s, string(iothub.ImportCreateOrUpdate))
	i := slices.IndexFunc(iothub.ImportModes, func(m iothub.ImportMode) bool { return strings.EqualFold(string(m), s) })
	if i < 0 {
		return iothub.ImportMode(s), iothub.ErrArgumentInvalid.With("importMode %q is not known", s)
	}
	return iothub.ImportModes[i], nil
}
