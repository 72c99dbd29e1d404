package localhub

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

func (s *restServer) moduleList(c echo.Context, by caller) error {
	list, err := s.hub.registry.modules(c.Request().Context(), pathID(c))
	if err != nil {
		return err
	}
	for i := range list {
		asRead(&list[i].ConnectionStateUpdatedTime, &list[i].LastActivityTime)
	}
	return answer(c, http.StatusOK, list)
}

func (s *restServer) moduleGet(c echo.Context, by caller) error {
	m, err := s.hub.registry.module(c.Request().Context(), pathKey(c))
	if err != nil {
		return err
	}
	asRead(&m.ConnectionStateUpdatedTime, &m.LastActivityTime)
	return answerModule(c, m)
}

// modulePut creates without If-Match and updates with it; the service answers
// 200 to both.
func (s *restServer) modulePut(c echo.Context, by caller) error {
	m, err := readModule(c)
	if err != nil {
		return err
	}
	ctx, who := c.Request().Context(), actor{Policy: by.policy}
	if match := ifMatch(c); match == "" {
		m, err = s.hub.registry.createModule(ctx, who, m)
	} else {
		m, err = s.hub.registry.updateModule(ctx, who, m, match)
	}
	if err != nil {
		return err
	}
	return answerModule(c, m)
}

func (s *restServer) moduleDelete(c echo.Context, by caller) error {
	if err := s.hub.registry.deleteModule(c.Request().Context(), actor{Policy: by.policy}, pathKey(c), ifMatch(c)); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func answerModule(c echo.Context, m iothub.Module) error {
	c.Response().Header().Set("ETag", m.ETag.Header())
	return answer(c, http.StatusOK, m)
}

// readModule reads what a service may write of a module.
func readModule(c echo.Context) (iothub.Module, error) {
	text, err := body(c)
	if err != nil {
		return iothub.Module{}, err
	}
	var b struct {
		DeviceID       *string               `json:"deviceId"`
		ModuleID       *string               `json:"moduleId"`
		ManagedBy      string                `json:"managedBy"`
		Authentication iothub.Authentication `json:"authentication"`
	}
	if err := readJSON(text, &b); err != nil {
		return iothub.Module{}, err
	}
	key := pathKey(c)
	if err := cmp.Or(checkNamed("device", key.DeviceID, b.DeviceID), checkNamed("module", key.ModuleID, b.ModuleID)); err != nil {
		return iothub.Module{}, err
	}
	return iothub.Module{DeviceID: key.DeviceID, ModuleID: key.ModuleID, ManagedBy: b.ManagedBy, Authentication: b.Authentication}, nil
}
