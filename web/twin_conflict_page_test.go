package web

import (
	"net/http"
	"testing"

	"twinboard/hubclient/iothub"
)

func TestTwoEditorsOnDifferentSettings(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"interval":60,"mode":"auto"}`)
	f := b.get(editDesired).form("#twin-edit")
	f.row("interval", "30")
	review := f.press("review").form("#twin-review")
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"mode":"eco","new":1}`)})
	p := review.press("apply").wantStatus(http.StatusOK)
	p.wantPart(".flash", "2 changes by others were kept.")
	wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"interval":30,"mode":"eco","new":1}`)
}

func TestTagsDoNotDisturbDesired(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"interval":60}`)
	f := b.get(editDesired).form("#twin-edit")
	f.row("interval", "30")
	b.write("pump-07", iothub.TwinPatch{Tags: document(t, `{"site":"oslo"}`)})
	f.press("apply").wantStatus(http.StatusOK).wantPart(".flash", "Applied.")
	wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"interval":30}`)
}

func TestTwoEditorsOfTheSame(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"interval":60,"mode":"auto","debug":true,"keep":1}`)
	start := func() sheet {
		f := b.get(editDesired).form("#twin-edit").press("remove:0").form("#twin-edit") // debug
		f.row("interval", "30")
		f.row("mode", "eco")
		return f
	}
	one, other := start(), b.getAs(newPerson(t), editDesired).form("#twin-edit")
	other.row("mode", "off")
	other.row("debug", "false")
	other.row("keep", "2")
	other.press("apply").wantStatus(http.StatusOK)

	p := one.press("review").form("#twin-review").press("apply").wantStatus(http.StatusConflict)
	p.wantPart("[data-testid=conflict-lead]", "pump-07 changed while you were editing. Nothing you typed is lost.")
	p.wantPart("[data-testid=conflict-lead]", "2 settings were changed by someone else too and need your choice. 1 change by others does not touch yours and is kept.")
	p.wantPart("#conflict-0", "debug When you started true On the hub now false changed just now Yours not there")
	p.wantPart("#conflict-1", "mode When you started auto On the hub now off changed just now Yours eco")
	p.wantPart("[data-testid=kept]", "keep 1 → 2")
	wantDocument(t, "desired meanwhile", b.twin("pump-07").Properties.Desired.Value, `{"debug":false,"interval":60,"keep":2,"mode":"off"}`)

	p = p.form("#twin-conflict").press("resolve").wantStatus(http.StatusUnprocessableEntity)
	p.wantPart("[data-testid=errors]", "2 things need to be changed.")
	if href := attr(p.all("[data-testid=errors] a")[0], "href"); href != "#conflict-0" {
		t.Errorf("the summary leads to %s", href)
	}
	f := p.form("#twin-conflict")
	f.Set("choice-0", "theirs")
	f.Set("choice-1", "other")
	f.Set("kind-1", kindNumber)
	f.Set("other-1", "x")
	p = f.press("resolve").wantStatus(http.StatusUnprocessableEntity)
	p.wantPart("#conflict-1-error", "“x” is not a number.")
	f = p.form("#twin-conflict")
	if f.Get("choice-0") != "theirs" || f.Get("other-1") != "x" {
		t.Errorf("the choices are lost: %v", f.Values)
	}
	f.Set("other-1", "7")
	p = f.press("resolve").wantStatus(http.StatusOK)
	if p.path != pump {
		t.Errorf("at %s after the choices", p.path)
	}
	wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"debug":false,"interval":30,"keep":2,"mode":7}`)
}

func TestConflictKeepsMineAndMeetsTheNextOne(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo"}`, `{}`)
	f := b.get(editTags + "?as=json").form("#twin-edit")
	f.Set("json", `{"site":"madrid"}`)
	b.write("pump-07", iothub.TwinPatch{Tags: document(t, `{"site":"lima"}`)})
	f = f.press("apply").wantStatus(http.StatusConflict).form("#twin-conflict")
	f.Set("choice-0", "mine")
	b.write("pump-07", iothub.TwinPatch{Tags: document(t, `{"site":"quito","other":1}`)})
	p := f.press("resolve").wantStatus(http.StatusConflict)
	p.wantPart("#conflict-0", "When you started lima On the hub now quito Yours madrid")
	f = p.form("#twin-conflict")
	f.Set("choice-0", "mine")
	f.press("resolve").wantStatus(http.StatusOK)
	wantDocument(t, "tags", b.twin("pump-07").Tags, `{"other":1,"site":"madrid"}`)
}

func TestConflictBackToEditing(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo","line":1}`, `{}`)
	f := b.get(editTags).form("#twin-edit")
	f.row("site", "madrid")
	b.write("pump-07", iothub.TwinPatch{Tags: document(t, `{"site":"lima","line":2}`)})
	p := f.press("apply").wantStatus(http.StatusConflict).form("#twin-conflict").press("rejoin").wantStatus(http.StatusOK)
	f = p.form("#twin-edit")
	if f.Values["value"][f.rowOf("site")] != "madrid" || f.Values["value"][f.rowOf("line")] != "2" {
		t.Errorf("the form holds %v", f.Values)
	}
	f.press("apply").wantStatus(http.StatusOK)
	wantDocument(t, "tags", b.twin("pump-07").Tags, `{"line":2,"site":"madrid"}`)
}

func TestBothMadeTheSameChange(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo"}`, `{}`)
	f := b.get(editTags).form("#twin-edit")
	f.row("site", "madrid")
	b.write("pump-07", iothub.TwinPatch{Tags: document(t, `{"site":"madrid"}`)})
	f.press("apply").wantStatus(http.StatusOK).wantPart(".flash", "The hub already has these values. Nothing was sent.")
}

func TestConflictInSpanish(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo"}`, `{}`)
	f := b.get(editTags + "?lang=es").form("#twin-edit")
	f.action += "?lang=es"
	f.row("site", "madrid")
	b.write("pump-07", iothub.TwinPatch{Tags: document(t, `{"site":"lima"}`)})
	p := f.press("apply").wantStatus(http.StatusConflict)
	p.wantPart("[data-testid=conflict-lead]", "pump-07 cambió durante la edición. No se ha perdido nada de lo escrito.")
	p.wantPart("#conflict-0", "site Al empezar oslo En el centro ahora lima Lo suyo madrid")
}
