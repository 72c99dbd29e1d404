package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"twinboard/static"
	"twinboard/views"
)

// How to add a page.
//
//  1. Its routes: lines in routes below. Ids in paths are read with deviceID,
//     which decodes them once; paths are built with Hub.devicePath, never by hand.
//  2. Its handler, in a file named after the page:
//
//     func (s *Server) queryPage(c echo.Context) error {
//     page, err := s.frame(c, "query", sources...)   // before reading anything
//     …read, map to props…
//     page.Title = text.T(c.Request().Context(), "query.title")
//     return s.show(c, http.StatusOK, views.QueryPage(page, props), data)
//     }
//
//     show answers as JSON when asked to. Errors are returned: answerError alone
//     turns them into pages; a handler with something of its own to say returns a
//     *problem. A changed form ends in goTo, with keepFlash for its message; a
//     refused one is rendered again with 422 and its messages.
//  3. If it is live: sources with watch(feed, …), and a handler below /live
//     that calls serveLive with the same sources in the same order. Its address
//     carries the page's query, so it knows what is shown. A feed of lines is
//     marked: source.pieces.
//  4. If it can be docked beside pages: a line in panels, with its part of the
//     stream: sources, and all that is painted anew after a gap.

// routes is the whole table, and the way of a request to its handler.
func (s *Server) routes(e *echo.Echo) {
	e.Use(compress(), requestID, setHeaders, s.readTaste, recoverPanics, s.checkHost, checkOrigin, limitBody, s.findHub)

	e.GET(static.Prefix+"*", echo.WrapHandler(static.Handler()))
	e.GET("/", s.start)
	e.GET(welcomePath, s.welcomePage)
	e.GET("/simulator", s.toHub("/simulator"))
	e.GET("/learn", s.toHub("/learn"))
	e.POST(views.SettingsPath, s.settingsSave)
	e.POST("/dock", s.dockSave)

	h := e.Group("/h/:hub")
	h.GET("", s.overviewPage)
	h.POST("/try-now", s.overviewTry)
	h.POST("/close-tutorial", s.overviewCloseTutorial)
	h.GET("/changes", s.changesPage)
	h.GET("/devices", s.devicesPage)
	h.GET("/add-device", s.deviceAddPage)
	h.POST("/add-device", s.deviceAdd)
	h.GET("/import", s.importPage)
	h.POST("/import", s.importCheck)
	h.POST("/bulk", s.bulkNew)
	h.GET("/bulk/:bulk", s.bulkPage)
	h.GET("/bulk/:bulk/edit", s.bulkEdit)
	h.POST("/bulk/:bulk/edit", s.bulkEditSave)
	h.POST("/bulk/:bulk/start", s.bulkStart)
	h.POST("/bulk/:bulk/stop", s.bulkStop)
	h.POST("/bulk/:bulk/retry", s.bulkRetry)
	h.POST("/bulk/:bulk/leave", s.bulkLeave)
	h.POST("/bulk/:bulk/undo", s.bulkUndo)
	h.GET("/devices/:id", s.devicePage)
	h.GET("/devices/:id/delete", s.deviceDeletePage)
	h.POST("/devices/:id/delete", s.deviceDelete)
	h.GET("/devices/:id/disable", s.deviceDisablePage)
	h.POST("/devices/:id/status", s.deviceStatusSave)
	h.POST("/devices/:id/secret", s.deviceSecret)
	h.GET("/devices/:id/keys/:act", s.deviceKeysPage)
	h.POST("/devices/:id/keys/:act", s.deviceKeysSave)
	h.GET("/devices/:id/edit/:section", s.twinEdit)
	h.POST("/devices/:id/edit/:section", s.twinEditSave)
	h.GET("/messages/:message", s.messageBody)
	h.POST("/devices/:id/methods", s.methodCall)
	h.POST("/devices/:id/modules", s.moduleAdd)
	h.GET("/devices/:id/modules/:module", s.devicePage)
	h.GET("/devices/:id/modules/:module/delete", s.deviceDeletePage)
	h.POST("/devices/:id/modules/:module/delete", s.deviceDelete)
	h.POST("/devices/:id/modules/:module/secret", s.deviceSecret)
	h.GET("/devices/:id/modules/:module/keys/:act", s.deviceKeysPage)
	h.POST("/devices/:id/modules/:module/keys/:act", s.deviceKeysSave)
	h.POST("/devices/:id/modules/:module/methods", s.methodCall)
	h.GET("/devices/:id/modules/:module/edit/:section", s.twinEdit)
	h.POST("/devices/:id/modules/:module/edit/:section", s.twinEditSave)
	h.GET("/query", s.queryPage)
	h.GET("/simulator", s.simulatorPage)
	h.POST("/simulator/start", s.simulatorStart)
	h.POST("/simulator/device", s.simulatorDevice)
	h.POST("/simulator/connectivity", s.simulatorNetwork)
	h.POST("/simulator/answers", s.simulatorAnswers)
	h.POST("/simulator/stop", s.simulatorStop)
	h.POST("/simulator/remove", s.simulatorRemove)
	h.GET("/simulator/stop-all", s.simulatorStopAllPage)
	h.POST("/simulator/stop-all", s.simulatorStopAll)
	h.GET("/learn", s.learnStart)
	h.POST("/learn/go", s.learnGo)
	h.POST("/learn/reset", s.learnReset)
	h.POST("/learn/secret", s.learnSecret)
	h.GET("/learn/:step", s.learnPage)
	h.POST("/learn/:step/:act", s.learnAct)

	l := e.Group("/live/h/:hub")
	l.GET("", s.overviewLive)
	l.GET("/changes", s.changesLive)
	l.GET("/devices", s.devicesLive)
	l.GET("/bulk/:bulk", s.bulkLive)
	l.GET("/query", s.queryLive)
	l.GET("/simulator", s.simulatorLive)
	l.GET("/learn/:step", s.learnLive)
	l.GET("/devices/:id", s.deviceLive)
	l.GET("/devices/:id/modules/:module", s.deviceLive)
	l.GET("/devices/:id/*", s.besideLive)
	l.GET("/*", s.besideLive)
}

// devicePage shows one view of a device or module; each has an address of its own.
func (s *Server) devicePage(c echo.Context) error {
	switch c.QueryParam("view") {
	case "":
		return s.twinPage(c)
	case "messages":
		return s.messagesPage(c)
	case "methods":
		return s.methodsPage(c)
	case "modules":
		if c.Param("module") == "" {
			return s.modulesPage(c)
		}
	case "history":
		return s.historyPage(c)
	case "json":
		return s.twinJSONPage(c)
	case "identity":
		return s.identityPage(c)
	}
	return errNoPage
}

// deviceLive is the event stream of a device's page, whichever view it shows.
func (s *Server) deviceLive(c echo.Context) error {
	switch c.QueryParam("view") {
	case "":
		return s.twinLive(c)
	case "messages":
		return s.messagesLive(c)
	case "methods":
		return s.methodsLive(c)
	case "modules":
		return s.modulesLive(c)
	case "history":
		return s.historyLive(c)
	case "identity":
		return s.identityLive(c)
	}
	return s.besideLive(c)
}

// besideLive is the event stream of a page that does not change by itself:
// what is docked beside it does.
func (s *Server) besideLive(c echo.Context) error {
	if _, beside := s.docked(c, ""); !beside {
		return errNoPage
	}
	return s.serveLive(c, "", live{})
}

// panels are the components that can be docked beside a page.
func (s *Server) panels() map[string]panel {
	return map[string]panel{
		"simulator": {label: "simulator.title", live: s.simulatorLiveBeside, body: s.simulatorDock},
		"learn":     {label: "learn.name", live: s.learnLiveBeside, body: s.learnDock},
	}
}

// toHub leads to a page of the address's hub, or else of the first one.
func (s *Server) toHub(page string) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := hubOf(c)
		if h == nil {
			h = s.hubs[0]
		}
		to := h.path() + page
		if q := c.Request().URL.RawQuery; q != "" {
			to += "?" + q
		}
		return c.Redirect(http.StatusFound, to)
	}
}
