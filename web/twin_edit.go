package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/views"
)

// editing is one request of a person who edits a section of a twin.
type editing struct {
	echo.Context
	server  *Server
	hub     *Hub
	of      subject
	section string // "tags" or "desired", as in the address
}

func (s *Server) editing(c echo.Context) (*editing, error) {
	of, err := subjectOf(c)
	if err != nil {
		return nil, err
	}
	e := &editing{Context: c, server: s, hub: hubOf(c), of: of, section: c.Param("section")}
	if e.section != "tags" && e.section != "desired" {
		return nil, errNoPage
	}
	return e, nil
}

// name is the section's in the hub's rules.
func (e *editing) name() iothub.SectionName {
	if e.section == "tags" {
		return iothub.SectionTags
	}
	return iothub.SectionDesired
}

// patch is the change of the section as a hub takes it.
func (e *editing) patch(change iothub.Document) iothub.TwinPatch {
	if e.section == "tags" {
		return iothub.TwinPatch{Tags: change}
	}
	return iothub.TwinPatch{Desired: change}
}

// begin is the form for what the hub holds now.
func (e *editing) begin(r reading, asJSON bool) twinForm {
	f := newTwinForm(e.name(), r.section(e.name()), r.ETag, asJSON)
	f.Version = e.version(r)
	return f
}

// version is what people call the section's version: tags have none of their
// own.
func (e *editing) version(r reading) string {
	if e.section == "tags" {
		return strconv.FormatInt(r.Version, 10)
	}
	return strconv.FormatInt(r.Properties.Desired.Version, 10)
}

// twinEdit shows the form, or the review of an undo (?undo=).
func (s *Server) twinEdit(c echo.Context) error {
	e, err := s.editing(c)
	if err != nil {
		return err
	}
	if entry := c.QueryParam("undo"); entry != "" {
		return e.undo(entry)
	}
	r, err := s.readTwin(c.Request().Context(), e.hub, e.of)
	if err != nil {
		return err
	}
	f := e.begin(r, c.QueryParam("as") == kindJSON)
	if !f.AsJSON && len(f.Rows) == 0 {
		f.Rows = []formRow{{Kind: kindText}}
	}
	return e.showForm(http.StatusOK, f, nil, nil, "")
}

// twinEditSave takes every button of the form, its review and its conflicts.
// The page's whole state is in the form, so nothing typed is ever lost, and a
// write always carries the etag of what the person saw.
func (s *Server) twinEditSave(c echo.Context) error {
	e, err := s.editing(c)
	if err != nil {
		return err
	}
	v, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	do := v.Get("do")
	if do == "set" {
		return e.mend(v)
	}
	f, err := parseTwinForm(e.name(), v)
	if err != nil {
		return badForm(err)
	}
	switch verb, _, _ := strings.Cut(do, ":"); verb {
	case "add", "remove", "restore", "json", "rows":
		mistakes, focus := f.act(c.Request().Context(), do)
		return e.showForm(statusOf(mistakes), f, mistakes, nil, focus)
	case "edit":
		return e.showForm(http.StatusOK, f, nil, nil, "")
	case "resolve", "rejoin":
		return e.resolve(f, v, verb)
	}
	doc, mistakes := f.edited(c.Request().Context())
	switch {
	case len(mistakes) > 0:
		return e.showForm(http.StatusUnprocessableEntity, f, mistakes, nil, "")
	case do == "apply":
		return e.apply(f, doc)
	}
	return e.review(http.StatusOK, f, doc, nil)
}

func statusOf(mistakes []mistake) int {
	if len(mistakes) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// showForm renders the editor. failure says why a change was not carried out.
func (e *editing) showForm(status int, f twinForm, mistakes []mistake, failure *views.ErrorProps, focus string) error {
	page, err := e.frame("twin.edit.title." + e.section)
	if err != nil {
		return err
	}
	props := editProps(e.Request().Context(), f, mistakes, focus)
	props.DeviceID, props.Section, props.Failure = e.of.name(), e.section, failure
	props.Action, props.CancelHref = e.hub.editPath(e.of, e.section), e.hub.twinPath(e.of)
	return render(e, status, views.TwinEditPage(page, props))
}
