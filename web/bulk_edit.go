package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// bulkEditing is one request of a person who says what to change of many twins.
type bulkEditing struct {
	echo.Context
	server *Server
	bulk   *bulk
	act    twinAct
}

func (s *Server) bulkEditing(c echo.Context) (*bulkEditing, error) {
	b, err := s.bulkOf(c)
	if err != nil {
		return nil, err
	}
	act, ok := twinActs[b.act]
	if !ok || act.back {
		return nil, errNoPage
	}
	return &bulkEditing{Context: c, server: s, bulk: b, act: act}, nil
}

func (h *Hub) bulkEditPath(id string) string { return h.bulkPath(id) + "/edit" }

// bulkEdit shows the form, with a row to begin with.
func (s *Server) bulkEdit(c echo.Context) error {
	e, err := s.bulkEditing(c)
	if err != nil {
		return err
	}
	if e.bulk.at() != phaseChosen {
		return goTo(c, e.bulk.hub.bulkPath(e.bulk.id))
	}
	f := newManyForm(e.act.section, c.QueryParam("as") == kindJSON)
	if !f.AsJSON {
		f.Rows = []formRow{{Kind: kindText}}
	}
	return e.showForm(http.StatusOK, f, nil, pathField(0))
}

// bulkEditSave takes every button of the form and of its review. As with one twin,
// the page's whole state is in the form: nothing typed is lost, and nothing is
// changed before the review says what.
func (s *Server) bulkEditSave(c echo.Context) error {
	e, err := s.bulkEditing(c)
	if err != nil {
		return err
	}
	v, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	f, err := parseManyForm(e.act.section, v)
	if err != nil {
		return badForm(err)
	}
	ctx, do := c.Request().Context(), v.Get("do")
	switch verb, _, _ := strings.Cut(do, ":"); verb {
	case "add", "add-removal", "remove", "json", "rows":
		mistakes, focus := f.act(ctx, do)
		return e.showForm(statusOf(mistakes), f, mistakes, focus)
	case "edit":
		return e.showForm(http.StatusOK, f, nil, "")
	}
	patch, mistakes := f.edited(ctx)
	if len(mistakes) == 0 && len(patch) == 0 {
		mistakes = []mistake{f.nothing(ctx)}
	}
	switch {
	case len(mistakes) > 0:
		return e.showForm(http.StatusUnprocessableEntity, f, mistakes, "")
	case do == "apply":
		return e.apply(f, patch, v)
	}
	return e.review(http.StatusOK, f, patch, "")
}

// nothing asks for what to change.
func (f *twinForm) nothing(ctx context.Context) mistake {
	m := mistake{Field: jsonField, Text: text.T(ctx, "bulk.edit.nothing")}
	if !f.AsJSON {
		if len(f.Rows) == 0 {
			f.Rows = []formRow{{Kind: kindText}}
		}
		m.Field = pathField(0)
	}
	return m
}

// apply begins the change, if the word that its reach demands was typed.
func (e *bulkEditing) apply(f twinForm, patch iothub.Document, v url.Values) error {
	ctx := e.Request().Context()
	if word := e.bulk.word(); word != "" && v.Get("confirm") != word {
		return e.review(http.StatusUnprocessableEntity, f, patch, text.T(ctx, "bulk.not-confirmed", "Word", word))
	}
	b := e.bulk
	if !b.change(patch) {
		// Another change was made of this choice; back in the form, this is one more.
		b = e.server.newBulk(b.hub, b.act, b.chosen())
		b.phase, b.patch = phaseChosen, patch
		if err := e.server.bulks.add(ctx, b); err != nil {
			return err
		}
	}
	e.server.bulks.start(b, phaseChosen)
	return goTo(e, b.hub.bulkPath(b.id))
}

// frame is the page around the form and its review.
func (e *bulkEditing) frame(title string) (views.PageProps, error) {
	ctx := e.Request().Context()
	page, err := e.server.frame(e, "devices")
	page.Title = text.T(ctx, "bulk."+e.bulk.act+"."+title, "Count", len(e.bulk.items))
	page.Back = views.Link{Label: text.T(ctx, "devices.title"), Href: e.bulk.hub.devicesPath()}
	return page, err
}

func (e *bulkEditing) showForm(status int, f twinForm, mistakes []mistake, focus string) error {
	page, err := e.frame("title")
	if err != nil {
		return err
	}
	ctx, h := e.Request().Context(), e.bulk.hub
	p := views.BulkEditProps{
		Edit: editProps(ctx, f, mistakes, focus), Lead: text.T(ctx, "bulk."+e.bulk.act+".text", "Count", len(e.bulk.items)),
		Which: text.T(ctx, "bulk.edit.which", "Count", len(e.bulk.items)),
	}
	e.bulk.mu.Lock()
	p.Items, p.More = e.bulk.preview(ctx)
	e.bulk.mu.Unlock()
	p.Edit.Section, p.Edit.Many = string(e.act.part), true
	p.Edit.Action, p.Edit.CancelHref = h.bulkEditPath(e.bulk.id), h.devicesPath()
	p.Edit.Names = namesIn(h.Fleet.Paths(), string(e.act.part)+".")
	return render(e, status, views.BulkEditPage(page, p))
}

// mostNames bounds the names that the form offers.
const mostNames = 200

// namesIn are the names that devices of the hub have in a section.
func namesIn(paths []fleet.PathInfo, section string) (names []string) {
	for _, p := range paths {
		if name, ok := strings.CutPrefix(p.Path, section); ok && len(names) < mostNames {
			names = append(names, name)
		}
	}
	return names
}

// at is the phase.
func (b *bulk) at() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.phase
}

// change says what to change of the devices chosen; it reports whether that is what
// the bulk change does, or did when it was said twice.
func (b *bulk) change(patch iothub.Document) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.phase == phaseChosen {
		b.patch = patch
	}
	return compact(b.patch) == compact(patch)
}

// chosen are the devices anew.
func (b *bulk) chosen() []bulkItem {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := make([]bulkItem, len(b.items))
	for n, i := range b.items {
		items[n] = bulkItem{id: i.id}
	}
	return items
}

// requestForEach is the request that every device gets, but for its id and etag.
func (e *bulkEditing) requestForEach(patch iothub.Document) string {
	return fmt.Sprintf("PATCH https://%s/twins/{deviceId}?api-version=%s\nIf-Match: {etag}\nContent-Type: application/json\n\n%s",
		e.bulk.hub.HostName, iothub.APIVersion, indented(e.act.patch(patch)))
}
