package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// review shows a change before it is sent.
func (e *editing) review(status int, f twinForm, doc iothub.Document, kept []leafChange) error {
	page, err := e.frame("twin.review.title." + e.section)
	if err != nil {
		return err
	}
	props := e.reviewProps(f, doc)
	props.Kept = changeProps(e.Request().Context(), "kept", kept)
	return render(e, status, views.TwinReviewPage(page, props))
}

// apply sends the smallest change from what the person saw to what they want,
// on condition that the hub still holds what they saw.
func (e *editing) apply(f twinForm, doc iothub.Document) error {
	change := iothub.Diff(f.Base, doc)
	if len(change) == 0 {
		return e.done(flash{Kind: "info", ID: "twin.saved.already"})
	}
	t, err := e.send(change, f.ETag)
	switch {
	case errors.Is(err, iothub.ErrPreconditionFailed):
		return e.meet(f, doc)
	case err != nil:
		return e.notSaved(f, err)
	}
	return e.saved(t, f, change, nil)
}

func (e *editing) send(change iothub.Document, etag iothub.ETag) (*iothub.Twin, error) {
	return e.hub.Client.UpdateModuleTwin(e.Request().Context(), e.of.device, e.of.module, e.patch(change), &hubclient.UpdateTwinOptions{IfMatch: etag})
}

// attempts is how often a change is put on top of others' without asking. A twin
// that changes faster than that is for the person to look at.
const attempts = 5

// meet is what happens when the hub no longer holds what the person saw: it is
// read again, changes on other paths are kept and mine put on top, and where
// both changed the same path the person decides.
func (e *editing) meet(f twinForm, doc iothub.Document) error {
	var kept []leafChange
	for range attempts {
		theirs, err := e.server.readTwin(e.Request().Context(), e.hub, e.of)
		if err != nil {
			return e.notSaved(f, err)
		}
		m := threeWay(f.Base, theirs.section(e.name()), doc)
		if len(m.Conflicts) > 0 {
			return e.ask(http.StatusConflict, f, theirs, m, nil, nil)
		}
		kept = append(kept, m.Others...)
		f, doc = e.on(f, theirs, m.Document), m.Document
		change := iothub.Diff(f.Base, doc)
		if len(change) == 0 {
			return e.done(flash{Kind: "info", ID: "twin.saved.already"})
		}
		t, err := e.send(change, f.ETag)
		if err == nil {
			return e.saved(t, f, change, kept)
		}
		if !errors.Is(err, iothub.ErrPreconditionFailed) {
			return e.notSaved(f, err)
		}
	}
	return e.review(http.StatusConflict, f, doc, kept)
}

// on is the form with the hub's present twin as its base and doc typed into it.
func (e *editing) on(f twinForm, theirs reading, doc iothub.Document) twinForm {
	next := e.begin(theirs, f.AsJSON)
	next.Undoes = f.Undoes
	next.show(doc)
	return next
}

// ask shows both sides of each conflict.
func (e *editing) ask(status int, f twinForm, theirs reading, m threeWayMerge, v url.Values, mistakes []mistake) error {
	page, err := e.frame("twin.conflict.title")
	if err != nil {
		return err
	}
	page.Heading = text.T(e.Request().Context(), "twin.edit.title."+e.section, "Device", e.of.name())
	props := e.conflictProps(f, theirs, m, v)
	for i, c := range props.Conflicts {
		field := "conflict-" + strconv.Itoa(i)
		props.Conflicts[i].Error = mistakeAt(mistakes, field)
		if props.Conflicts[i].Error != "" {
			props.Errors = append(props.Errors, views.FieldError{FieldID: field, Message: c.Path + ": " + mistakeAt(mistakes, field)})
		}
	}
	return render(e, status, views.TwinConflictPage(page, props))
}

// resolve takes the decisions and applies them to what the person saw of the
// hub; or goes back to the form with all of it.
func (e *editing) resolve(f twinForm, v url.Values, verb string) error {
	theirs := reading{Twin: new(iothub.Twin), at: e.server.now()}
	if err := theirs.UnmarshalJSON([]byte(v.Get("theirs"))); err != nil || theirs.ETag == "" {
		return badForm(errBadForm)
	}
	mine, mistakes := f.edited(e.Request().Context())
	if len(mistakes) > 0 {
		return e.showForm(http.StatusUnprocessableEntity, f, mistakes, nil, "")
	}
	m := threeWay(f.Base, theirs.section(e.name()), mine)
	if verb == "rejoin" {
		doc := m.settle(ownSides(m.Conflicts))
		return e.showForm(http.StatusOK, e.on(f, theirs, doc), nil, nil, "")
	}
	decisions, mistakes := e.decisions(m, v)
	if len(mistakes) > 0 {
		return e.ask(http.StatusUnprocessableEntity, f, theirs, m, v, mistakes)
	}
	doc := m.settle(decisions)
	next := e.on(f, theirs, doc)
	if doc, mistakes = next.edited(e.Request().Context()); len(mistakes) > 0 {
		return e.showForm(http.StatusUnprocessableEntity, next, mistakes, nil, "")
	}
	return e.apply(next, doc)
}

func ownSides(list []conflict) []side {
	var out []side
	for _, c := range list {
		out = append(out, c.Mine)
	}
	return out
}

// decisions reads what was chosen for each conflict.
func (e *editing) decisions(m threeWayMerge, v url.Values) (list []side, mistakes []mistake) {
	ctx := e.Request().Context()
	for i, c := range m.Conflicts {
		index := strconv.Itoa(i)
		wrong := func(message string) { mistakes = append(mistakes, mistake{Field: "conflict-" + index, Text: message}) }
		switch v.Get("choice-" + index) {
		case "mine":
			list = append(list, c.Mine)
		case "theirs":
			list = append(list, c.Theirs)
		case "other":
			value, message := formRow{Kind: v.Get("kind-" + index), Text: v.Get("other-" + index)}.value(ctx)
			if message != "" {
				wrong(message)
			}
			list = append(list, side{Value: value, Set: true})
		default:
			wrong(text.T(ctx, "twin.problem.choice"))
		}
	}
	return list, mistakes
}

// notSaved shows the form again, with everything typed, and says why nothing
// was saved.
func (e *editing) notSaved(f twinForm, err error) error {
	p := e.server.explain(e, err)
	props := errorProps(e, p, e.Response().Header().Get(echo.HeaderXRequestID))
	props.Actions = nil
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		ctx := e.Request().Context()
		props.What = text.T(ctx, "twin.failure.gone.what", "Device", e.of.name())
		props.Do = text.T(ctx, "twin.failure.gone.do")
	}
	e.server.log.Info("twin not saved", "device_id", e.of.device, "section", e.section, "status", p.status, "error", err)
	return e.showForm(p.status, f, nil, &props, "")
}

// saved notes the change, so that it can be taken back, and leads to the device.
func (e *editing) saved(t *iothub.Twin, f twinForm, change iothub.Document, kept []leafChange) error {
	undoes, _ := strconv.ParseInt(f.Undoes, 10, 64) // "" is none
	entry := store.Entry{
		Time: e.server.now(), Hub: e.hub.Slug, DeviceID: e.of.device, ModuleID: e.of.module, Section: store.Section(e.section),
		Patch: change, Old: iothub.Replaced(f.Base, change), Screen: "twin", ETag: t.ETag, TwinVersion: t.Version, Undoes: undoes,
	}
	if entry.Section == store.Desired {
		entry.Version = t.Properties.Desired.Version
	}
	ctx := e.Request().Context()
	said := flash{Kind: "ok", ID: "twin.saved." + e.section, Args: []string{"Device", e.of.name()}}
	if e.section == "desired" && t.ConnectionState != iothub.Connected {
		said.ID = "twin.saved.desired.offline"
	}
	if len(kept) > 0 {
		said.ID, said.Args = "twin.saved.kept", []string{"Count", strconv.Itoa(len(kept))}
	}
	ids, err := e.server.journals[e.hub].record(ctx, entry)
	if err != nil {
		// The change is made; only taking it back is lost.
		e.server.log.Error("change not in the journal", "device_id", e.of.device, "error", err)
		return e.done(said)
	}
	entry.ID = ids[0]
	said.Undo = undoPath(e.hub, entry)
	return e.done(said)
}

func (e *editing) done(said flash) error {
	if err := keepFlash(e, said); err != nil {
		return err
	}
	return goTo(e, e.hub.twinPath(e.of))
}

// undo is the review of a change's inverse: the values it replaced, on top of
// what the hub holds now.
func (e *editing) undo(id string) error {
	ctx := e.Request().Context()
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return errNoPage
	}
	entry, err := e.server.store.Entry(ctx, e.hub.Slug, n)
	if errors.Is(err, store.ErrNoEntry) || err == nil && ((subject{entry.DeviceID, entry.ModuleID}) != e.of || string(entry.Section) != e.section) {
		return e.done(flash{Kind: "warning", ID: "twin.undo.gone"})
	}
	if err != nil {
		return err
	}
	r, err := e.server.readTwin(ctx, e.hub, e.of)
	if err != nil {
		return err
	}
	outlived, err := e.server.outlived(ctx, e.hub, r, entry)
	if err != nil {
		return err
	}
	if outlived {
		return e.done(flash{Kind: "warning", ID: "twin.undo.former"})
	}
	doc := iothub.Merge(r.section(e.name()), entry.Old)
	f := e.on(twinForm{Undoes: id}, r, doc)
	return e.review(http.StatusOK, f, doc, nil)
}

// mend takes one click on the page of a device: one setting, with the value the
// person saw. On the local hub that is the review; elsewhere it is shown first.
func (e *editing) mend(v url.Values) error {
	was, err := iothub.ParseDocument([]byte(v.Get("was")))
	if err != nil || v.Get("etag") == "" {
		return badForm(errBadForm)
	}
	change, err := iothub.ParseDocument([]byte(v.Get("set")))
	if err == nil {
		err = iothub.CheckContent(e.name(), change)
	}
	if err != nil {
		return badForm(err)
	}
	etag := iothub.ETag(v.Get("etag"))
	sparse := newTwinForm(e.name(), was, etag, false)
	if e.hub.Local {
		t, err := e.send(change, etag)
		if err == nil {
			return e.saved(t, sparse, change, nil)
		}
		if !errors.Is(err, iothub.ErrPreconditionFailed) {
			return err
		}
	}
	r, err := e.server.readTwin(e.Request().Context(), e.hub, e.of)
	if err != nil {
		return err
	}
	// What the person saw of this setting, in the rest of the hub's document:
	// only a change of the same setting is a conflict.
	now := r.section(e.name())
	f := e.on(twinForm{}, r, iothub.Merge(now, change))
	f.Base = iothub.Merge(now, was)
	m := threeWay(f.Base, now, iothub.Merge(f.Base, change))
	switch {
	case len(m.Conflicts) > 0:
		f.show(iothub.Merge(f.Base, change))
		return e.ask(http.StatusConflict, f, r, m, nil, nil)
	case e.hub.Local:
		return e.apply(e.on(f, r, m.Document), m.Document)
	}
	return e.review(http.StatusOK, e.on(f, r, m.Document), m.Document, nil)
}
