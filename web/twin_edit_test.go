package web

import (
	"net/http"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

const (
	editTags    = pump + "/edit/tags"
	editDesired = pump + "/edit/desired"
)

func TestEditTagsAsRows(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"site":"oslo","line":3,"old":true,"lines":"a\nb"}`, `{}`)
	f := b.get(editTags).wantStatus(http.StatusOK).form("#twin-edit")
	f.row("site", "madrid")
	f.row("line", "4.0")
	p := f.press("remove:" + string(jsonNumber(int64(f.rowOf("old"))))).wantStatus(http.StatusOK)
	p.wantPart("[data-testid=edit-row]:has(button[value^=restore])", "old true will be removed Keep")
	p = p.form("#twin-edit").press("add").wantStatus(http.StatusOK)
	if n := len(p.all("input[name=path][autofocus]")); n != 1 {
		t.Errorf("%d names have the focus after adding a row", n)
	}
	f = p.form("#twin-edit")
	f.last("owner.name", kindText, "Ana «ñ» 'x'")

	p = f.press("review").wantStatus(http.StatusOK)
	p.want("h1", "Review tags of pump-07")
	p.want("[data-testid=review] > .lead", "4 changes")
	var lines []string
	for i := range p.all("[data-testid=change]") {
		lines = append(lines, p.text("[data-testid=change]:nth-child("+string(jsonNumber(int64(i+1)))+")"))
	}
	want := "line 3 → 4.0|old true → removed|owner.name new → Ana «ñ» 'x'|site oslo → madrid"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("the review says %q, want %q", got, want)
	}
	etag := b.twin("pump-07").ETag
	p.wantPart("#twin-request", "PATCH https://localhost")
	p.wantPart("#twin-request", "/twins/pump-07?api-version=2021-04-12 If-Match: "+etag.Header())
	p.wantPart("#twin-request", `"old": null`)
	p.wantPart("#twin-request-az", `--tags '{"line":4.0,"old":null,"owner":{"name":"Ana «ñ» '\''x'\''"},"site":"madrid"}' \ --etag AAAAAAAAAAI=`)
	p.wantPart("#twin-request-curl", `--cacert "$(twinboard ca)" --header "Authorization: $TOKEN" --request PATCH`)

	p = p.form("#twin-review").press("apply").wantStatus(http.StatusOK)
	if p.path != pump {
		t.Errorf("after saving at %s, want %s", p.path, pump)
	}
	p.wantPart(".flash", "Applied. The tags of pump-07 are saved on the hub.")
	p.wantPart("[data-testid=tags] dl", "site madrid")
	wantDocument(t, "tags", b.twin("pump-07").Tags, `{"line":4.0,"lines":"a\nb","owner":{"name":"Ana «ñ» 'x'"},"site":"madrid"}`)

	p = b.get(linkTo(t, p, ".flash a"))
	p.want("[data-testid=review] > .lead", "4 changes")
	p.form("#twin-review").press("apply").wantStatus(http.StatusOK)
	wantDocument(t, "tags after undo", b.twin("pump-07").Tags, `{"line":3,"lines":"a\nb","old":true,"site":"oslo"}`)
}

func linkTo(t *testing.T, p *page, selector string) string {
	t.Helper()
	found := p.all(selector)
	if len(found) != 1 {
		t.Fatalf("%d of %s in %s", len(found), selector, p.text("main"))
	}
	return attr(found[0], "href")
}

func TestEditDesiredAsJSON(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"interval":60,"debug":true}`)
	p := b.get(editDesired).wantStatus(http.StatusOK).form("#twin-edit").press("json").wantStatus(http.StatusOK)
	f := p.form("#twin-edit")
	if got := f.Get("json"); got != "{\n  \"debug\": true,\n  \"interval\": 60\n}" {
		t.Errorf("the editor holds %q", got)
	}
	f.Set("json", `{"interval": 30, "list": [1, 2]}`)
	p = f.press("review").wantStatus(http.StatusOK)
	p.want("[data-testid=review] > .lead", "3 changes")
	// Back and forth keeps the text as it was typed.
	f = p.form("#twin-review").press("edit").form("#twin-edit")
	if got := f.Get("json"); got != `{"interval": 30, "list": [1, 2]}` {
		t.Errorf("back at the editor, which holds %q", got)
	}
	p = f.press("review").form("#twin-review").press("apply").wantStatus(http.StatusOK)
	p.wantPart(".flash", "Applied. pump-07 is offline and gets it when it connects.")
	wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"interval":30,"list":[1,2]}`)
}

func TestEditMistakes(t *testing.T) {
	tests := []struct {
		name, typed, en, es string
	}{
		{"bad JSON", "{\n  \"a\": 1,\n}", "Line 3, column 1: “}” is not expected here.", "Línea 3, columna 1: no se esperaba «}»."},
		{"forbidden name", `{"a$b": 1}`, "A name must not contain “$”.", "Un nombre no puede contener «$»."},
		{
			"too large", `{"calibration":[` + strings.Repeat(`"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",`, 340) + `""]}`,
			"The document would be 33.2 KB. The limit is 32 KB. “calibration” alone is 33.2 KB.",
			"El documento tendría 33,2 KB. El límite es de 32 KB. Solo «calibration» ocupa 33,2 KB.",
		},
	}
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for lang, want := range map[string]string{"en": tt.en, "es": tt.es} {
				f := b.get(editDesired + "?as=json&lang=" + lang).form("#twin-edit")
				f.action += "?lang=" + lang
				f.Set("json", tt.typed)
				presses := []string{"review", "apply"}
				if tt.name == "bad JSON" {
					presses = append(presses, "rows")
				}
				for _, do := range presses {
					p := f.press(do).wantStatus(http.StatusUnprocessableEntity)
					p.wantPart("[data-testid=errors]", want)
					p.want("#twin-json-error", want)
					if href := linkTo(t, p, "[data-testid=errors] a"); href != "#twin-json" {
						t.Errorf("the summary leads to %q", href)
					}
					if got := strings.ReplaceAll(p.form("#twin-edit").Get("json"), "\r\n", "\n"); got != tt.typed {
						t.Errorf("%s lost what was typed: %q", do, got)
					}
					if strings.HasPrefix(want, "Line 3") {
						if n := len(p.all("[data-error-line='3'][data-error-column='1']")); n != 1 {
							t.Error("the place is not marked in the editor")
						}
					}
				}
			}
		})
	}
	wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{}`)
}

func TestEditRowMistakes(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"interval":60}`)
	f := b.get(editDesired).form("#twin-edit").press("add").form("#twin-edit")
	f.row("interval", "fast")
	f.last("a b", kindText, "kept")
	p := f.press("review").wantStatus(http.StatusUnprocessableEntity)
	p.want("[data-testid=errors]", "2 things need to be changed. “fast” is not a number. Write decimals with a point: 2.5 A name must not contain a space.")
	p.want("#row-0-value-error", "“fast” is not a number. Write decimals with a point: 2.5")
	p.want("#row-1-path-error", "A name must not contain a space.")
	for _, id := range []string{"row-0-value", "row-1-path"} {
		if n := len(p.all("#" + id + "[aria-invalid=true][aria-describedby='" + id + "-error']")); n != 1 {
			t.Errorf("%s is not tied to its mistake", id)
		}
	}
	f = p.form("#twin-edit")
	if f.Values["value"][0] != "fast" || f.Values["path"][1] != "a b" || f.Values["value"][1] != "kept" {
		t.Errorf("typed values are lost: %v", f.Values)
	}
}

func TestEditNothing(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"a":1}`, `{}`)
	version := b.twin("pump-07").Version
	p := b.get(editTags).form("#twin-edit").press("review").wantStatus(http.StatusOK)
	p.wantPart("[data-testid=review]", "Nothing was changed.")
	if len(p.all("[data-testid=apply]")) > 0 {
		t.Error("an empty change can be applied")
	}
	p.form("#twin-review").press("apply").wantPart(".flash", "The hub already has these values. Nothing was sent.")
	if got := b.twin("pump-07").Version; got != version {
		t.Errorf("the twin moved to version %d", got)
	}
}

func TestMendOneSetting(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"limits":{"min":"5","max":80},"mode":"eco"}`)
	report, _ := b.connect("pump-07")
	report(`{"limits":{"min":5,"max":80},"mode":"eco"}`)
	b.ahead.Store(2 * 60e9)
	mend := func() sheet {
		p := b.get(pump)
		return p.form(p.settingRow("limits.min") + " form")
	}
	t.Run("one click", func(t *testing.T) {
		mend().press("set").wantStatus(http.StatusOK).wantPart(".flash", "Applied.")
		wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"limits":{"max":80,"min":5},"mode":"eco"}`)
	})
	again := func(t *testing.T, between iothub.TwinPatch) *page {
		b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"limits":{"min":"5"}}`)})
		f := mend()
		b.write("pump-07", between)
		return f.press("set")
	}
	t.Run("others changed something else", func(t *testing.T) {
		again(t, iothub.TwinPatch{Desired: document(t, `{"mode":"auto"}`)}).wantStatus(http.StatusOK)
		wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"limits":{"max":80,"min":5},"mode":"auto"}`)
	})
	t.Run("others changed the same", func(t *testing.T) {
		p := again(t, iothub.TwinPatch{Desired: document(t, `{"limits":{"min":7}}`)}).wantStatus(http.StatusConflict)
		p.wantPart("[data-testid=conflict-field]", `limits.min When you started "5" On the hub now 7`)
		wantDocument(t, "desired", b.twin("pump-07").Properties.Desired.Value, `{"limits":{"max":80,"min":7},"mode":"auto"}`)
	})
}

func TestMendOnACloudHubIsReviewed(t *testing.T) {
	b := newBoardOf(t, false)
	b.device("pump-07", `{}`, `{"a":"5"}`)
	report, _ := b.connect("pump-07")
	report(`{"a":5}`)
	b.ahead.Store(2 * 60e9)
	p := b.get(pump)
	p = p.form(p.settingRow("a") + " form").press("set").wantStatus(http.StatusOK)
	p.want("[data-testid=change]", `a "5" → 5`)
	wantDocument(t, "desired before", b.twin("pump-07").Properties.Desired.Value, `{"a":"5"}`)
	p.form("#twin-review").press("apply").wantStatus(http.StatusOK)
	wantDocument(t, "desired after", b.twin("pump-07").Properties.Desired.Value, `{"a":5}`)
}

func TestUndoOfWhatIsForgotten(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	b.get(editTags+"?undo=99").wantStatus(http.StatusOK).wantPart(".flash", "This change can no longer be undone")
	b.get(editTags + "?undo=x").wantStatus(http.StatusNotFound)
}

func TestNotSavedKeepsTheText(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{"interval":60}`)
	typed := func() sheet {
		f := b.get(editDesired).form("#twin-edit")
		f.row("interval", "30")
		return f
	}
	kept := func(t *testing.T, p *page) {
		t.Helper()
		f := p.form("#twin-edit")
		if f.Values["value"][f.rowOf("interval")] != "30" {
			t.Errorf("what was typed is lost: %v", f.Values)
		}
	}
	t.Run("the device is gone", func(t *testing.T) {
		f := typed()
		if err := b.client.DeleteDevice(t.Context(), "pump-07", nil); err != nil {
			t.Fatal(err)
		}
		p := f.press("apply").wantStatus(http.StatusNotFound)
		p.wantPart("[data-testid=failure]", "Not sent: there is no device pump-07 on this hub any more.")
		kept(t, p)
		b.device("pump-07", `{}`, `{"interval":60}`)
	})
	t.Run("the hub is away", func(t *testing.T) {
		f := typed()
		b.stopHub()
		p := f.press("apply").wantStatus(http.StatusBadGateway)
		if p.text("[data-testid=failure]") == "" {
			t.Error("nothing says why")
		}
		kept(t, p)
		f.action += "?lang=es"
		if es := f.press("apply").text("[data-testid=failure]"); es == "" || es == p.text("[data-testid=failure]") {
			t.Errorf("in Spanish it says %q", es)
		}
	})
}

func TestBrokenFormIsRefused(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{"a":1}`, `{}`)
	for _, field := range []string{"base", "etag", "value"} {
		f := b.get(editTags).form("#twin-edit")
		f.Del(field)
		f.press("apply").wantStatus(http.StatusBadRequest)
	}
	b.get(pump)
	wantDocument(t, "tags", b.twin("pump-07").Tags, `{"a":1}`)
}
