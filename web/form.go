package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// Kinds of value a form row offers. A JSON row holds any value; arrays, empty
// objects and texts that an input field would alter are shown as one.
const (
	kindText    = "text"
	kindNumber  = "number"
	kindBoolean = "boolean"
	kindJSON    = "json"
)

// formRow is one setting as typed.
type formRow struct {
	Path    string
	Known   bool // was there when editing began: its name is fixed
	Kind    string
	Text    string
	Removed bool
}

// mistake is what keeps a form from being sent: Field is the id of the control
// it belongs to, Text is for the person.
// Line and Column, from 1, place it within a JSON text; 0 elsewhere.
type mistake struct {
	Field, Text  string
	Line, Column int
}

// twinForm is one section of a twin being edited: what the person saw when they
// began, and what they typed since, either as rows or as JSON. It travels whole
// through every request, so that the server never has to look again at what the
// hub holds now.
type twinForm struct {
	Section iothub.SectionName
	Base    iothub.Document
	ETag    iothub.ETag
	AsJSON  bool
	Rows    []formRow
	JSON    string
	Version string // of the section, to be shown
	Undoes  string // the journal entry this takes back, "" for none
	// Many is that it is about many twins, none of which is the base: only what is
	// named changes, and a row may say that something goes.
	Many bool
}

// newTwinForm begins to edit a document.
func newTwinForm(section iothub.SectionName, base iothub.Document, etag iothub.ETag, asJSON bool) twinForm {
	f := twinForm{Section: section, Base: base, ETag: etag, AsJSON: asJSON}
	f.show(base)
	return f
}

// show puts a document into the fields.
func (f *twinForm) show(doc iothub.Document) {
	if f.AsJSON {
		f.Rows, f.JSON = nil, indented(doc)
		return
	}
	f.Rows, f.JSON = rowsOf(f.Base, doc), ""
}

// errBadForm means that the hidden fields were altered or lost on the way.
var errBadForm = errors.New("the form does not carry what it began with")

// parseTwinForm reads the fields back.
func parseTwinForm(section iothub.SectionName, v url.Values) (twinForm, error) {
	base, err := iothub.ParseDocument([]byte(v.Get("base")))
	if err != nil || v.Get("etag") == "" {
		return twinForm{}, errBadForm
	}
	f := twinForm{
		Section: section, Base: base, ETag: iothub.ETag(v.Get("etag")),
		Version: v.Get("version"), Undoes: v.Get("undoes"),
	}
	f.AsJSON = v.Get("as") == kindJSON
	return f, f.parseTyped(v)
}

// newManyForm begins to change many twins.
func newManyForm(section iothub.SectionName, asJSON bool) twinForm {
	f := twinForm{Section: section, Base: iothub.Document{}, AsJSON: asJSON, Many: true}
	f.show(nil)
	return f
}

// parseManyForm reads the fields of a change of many twins back.
func parseManyForm(section iothub.SectionName, v url.Values) (twinForm, error) {
	f := newManyForm(section, v.Get("as") == kindJSON)
	return f, f.parseTyped(v)
}

// parseTyped reads what was typed.
func (f *twinForm) parseTyped(v url.Values) (err error) {
	f.JSON = strings.ReplaceAll(v.Get("json"), "\r\n", "\n")
	f.Rows, err = parseFormRows(v)
	return err
}

// hidden are the fields that carry the form through a page that does not show
// it.
func (f *twinForm) hidden() []views.Hidden {
	list := f.seen()
	if f.AsJSON {
		return append(list, views.Hidden{Name: "json", Value: f.JSON})
	}
	for _, r := range f.Rows {
		list = append(list,
			views.Hidden{Name: "path", Value: r.Path}, views.Hidden{Name: "known", Value: flag(r.Known)},
			views.Hidden{Name: "kind", Value: r.Kind}, views.Hidden{Name: "value", Value: r.Text},
			views.Hidden{Name: "removed", Value: flag(r.Removed)})
	}
	return list
}

// seen are the hidden fields of what the person saw when they began.
func (f *twinForm) seen() []views.Hidden {
	as := "rows"
	if f.AsJSON {
		as = kindJSON
	}
	if f.Many {
		return []views.Hidden{{Name: "as", Value: as}}
	}
	return []views.Hidden{
		{Name: "base", Value: compact(f.Base)},
		{Name: "etag", Value: string(f.ETag)},
		{Name: "version", Value: f.Version},
		{Name: "undoes", Value: f.Undoes},
		{Name: "as", Value: as},
	}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

func parseFormRows(v url.Values) ([]formRow, error) {
	paths, known, kinds, texts, removed := v["path"], v["known"], v["kind"], v["value"], v["removed"]
	n := len(paths)
	if len(known) != n || len(kinds) != n || len(texts) != n || len(removed) != n {
		return nil, errBadForm
	}
	rows := make([]formRow, n)
	for i := range rows {
		rows[i] = formRow{
			Path: paths[i], Known: known[i] == "1", Kind: kinds[i],
			Text: strings.ReplaceAll(texts[i], "\r\n", "\n"), Removed: removed[i] == "1",
		}
	}
	return rows, nil
}

// rowsOf lists the leaves of base, as they are in doc now, then what doc has
// beyond them.
func rowsOf(base, doc iothub.Document) []formRow {
	var rows []formRow
	listed := map[string]bool{}
	for _, leaf := range iothub.Flatten(base) {
		r := rowOf(leaf.Path, leaf.Value)
		r.Known = true
		now, there := doc.Get(leaf.Path)
		if m, isObject := now.(map[string]any); !there || isObject && len(m) > 0 {
			r.Removed = true
		} else {
			r.Kind, r.Text = rowKind(now)
			listed[r.Path] = true
		}
		rows = append(rows, r)
	}
	for _, leaf := range iothub.Flatten(doc) {
		if !listed[leaf.Path.String()] {
			rows = append(rows, rowOf(leaf.Path, leaf.Value))
		}
	}
	return rows
}

// rowOf shows a value; null, which only a change of many has, is a removal.
func rowOf(path iothub.Path, value any) formRow {
	r := formRow{Path: path.String(), Kind: kindText, Removed: value == nil}
	if r.Removed {
		return r
	}
	r.Kind, r.Text = rowKind(value)
	return r
}

// rowKind chooses how to show a value. An input field drops line breaks and a
// form turns \n into \r\n, so texts with control characters are shown as JSON,
// where each has its own escape.
func rowKind(value any) (kind, typed string) {
	switch value := value.(type) {
	case string:
		if !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return kindText, value
		}
	case json.Number:
		return kindNumber, value.String()
	case bool:
		return kindBoolean, strconv.FormatBool(value)
	}
	return kindJSON, compact(value)
}

// edited is the whole section as typed, or what is wrong with it.
func (f *twinForm) edited(ctx context.Context) (iothub.Document, []mistake) {
	doc, mistakes := f.typed(ctx)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	if mistakes := f.contentMistakes(ctx, iothub.Diff(f.Base, doc)); len(mistakes) > 0 {
		return nil, mistakes
	}
	if err := iothub.CheckSize(f.Section, f.Base, iothub.Merge(nil, doc)); err != nil {
		return nil, []mistake{f.limitMistake(ctx, err, doc)}
	}
	return doc, nil
}

func (f *twinForm) typed(ctx context.Context) (iothub.Document, []mistake) {
	if !f.AsJSON {
		return documentOfRows(ctx, f.Rows, f.Many)
	}
	doc, mistakes := documentOfJSON(ctx, f.JSON)
	if !f.Many && doc != nil {
		doc = iothub.Merge(nil, doc) // in a twin a null is no value but a removal, at the hub and so here
	}
	return doc, mistakes
}

// jsonField is the id of the JSON editor.
const jsonField = "twin-json"

func documentOfJSON(ctx context.Context, typed string) (iothub.Document, []mistake) {
	if strings.TrimSpace(typed) == "" {
		typed = "{}"
	}
	doc, err := iothub.ParseDocument([]byte(typed))
	if err == nil {
		err = uniqueMembers([]byte(typed))
	}
	if err != nil {
		return nil, []mistake{jsonMistake(ctx, typed, err)}
	}
	return doc, nil
}

// documentOfRows is what the rows hold; with removals, null is what goes.
func documentOfRows(ctx context.Context, rows []formRow, removals bool) (iothub.Document, []mistake) {
	doc := iothub.Document{}
	var mistakes []mistake
	for i, r := range rows {
		if r.Removed && !removals || r.blank() {
			continue
		}
		path, message := r.path(ctx, doc)
		if message != "" {
			mistakes = append(mistakes, mistake{Field: pathField(i), Text: message})
			continue
		}
		if r.Removed {
			doc.Set(path, nil)
			continue
		}
		value, message := r.value(ctx)
		if message != "" {
			mistakes = append(mistakes, mistake{Field: valueField(i), Text: message})
			continue
		}
		doc.Set(path, value)
	}
	return doc, mistakes
}

func pathField(i int) string  { return "row-" + strconv.Itoa(i) + "-path" }
func valueField(i int) string { return "row-" + strconv.Itoa(i) + "-value" }

// blank is a row that was added and left empty.
func (r formRow) blank() bool { return !r.Known && strings.TrimSpace(r.Path) == "" && r.Text == "" }

// path reads the name of a row; the message says why it cannot be used beside
// the rows already in doc.
func (r formRow) path(ctx context.Context, doc iothub.Document) (iothub.Path, string) {
	if r.Known {
		return iothub.ParsePath(r.Path), ""
	}
	path := iothub.ParsePath(strings.TrimSpace(r.Path))
	for i, key := range path {
		if key == "" {
			return nil, text.T(ctx, "twin.problem.name")
		}
		if e := iothub.CheckKey(key); e != nil {
			return nil, limitText(ctx, e, nil)
		}
		there, taken := doc.Get(path[:i+1])
		if _, isObject := there.(map[string]any); taken && (!isObject || i == len(path)-1) {
			return nil, text.T(ctx, "twin.problem.taken", "Path", path[:i+1].String())
		}
	}
	return path, ""
}

// value reads what was typed by its kind.
func (r formRow) value(ctx context.Context) (any, string) {
	typed := strings.TrimSpace(r.Text)
	switch r.Kind {
	case kindNumber:
		v, err := iothub.ParseValue([]byte(typed))
		if n, ok := v.(json.Number); ok && err == nil {
			return n, ""
		}
		return nil, text.T(ctx, "twin.problem.number", "Text", shortened(r.Text))
	case kindBoolean:
		if b, err := strconv.ParseBool(typed); err == nil && strconv.FormatBool(b) == typed {
			return b, ""
		}
		return nil, text.T(ctx, "twin.problem.boolean")
	case kindJSON:
		return jsonValue(ctx, typed)
	}
	return r.Text, ""
}

func jsonValue(ctx context.Context, typed string) (any, string) {
	v, err := iothub.ParseValue([]byte(typed))
	if err == nil {
		err = uniqueMembers([]byte(typed))
	}
	switch {
	case err != nil:
		return nil, jsonMistake(ctx, typed, err).Text
	case v == nil:
		return nil, text.T(ctx, "twin.problem.null")
	}
	if m, ok := v.(map[string]any); ok {
		return map[string]any(iothub.Merge(nil, m)), ""
	}
	return v, ""
}

// act carries out the buttons that only rearrange the form: add a row, remove
// or restore one, switch between rows and JSON. It reports what is wrong when a
// switch is not possible yet, and the id of the control to go on with.
func (f *twinForm) act(ctx context.Context, do string) (mistakes []mistake, focus string) {
	verb, argument, _ := strings.Cut(do, ":")
	i, err := strconv.Atoi(argument)
	inRows := err == nil && i >= 0 && i < len(f.Rows)
	switch {
	case verb == "add":
		f.Rows = append(f.Rows, formRow{Kind: kindText})
		return nil, pathField(len(f.Rows) - 1)
	case verb == "add-removal" && f.Many:
		f.Rows = append(f.Rows, formRow{Kind: kindText, Removed: true})
		return nil, pathField(len(f.Rows) - 1)
	case verb == "remove" && inRows && f.Rows[i].Known:
		f.Rows[i].Removed = true
		return nil, restoreField(i)
	case verb == "remove" && inRows:
		f.Rows = slices.Delete(f.Rows, i, i+1)
		return nil, "add-row"
	case verb == "restore" && inRows:
		f.Rows[i].Removed = false
		return nil, valueField(i)
	case verb == "json", verb == "rows":
		doc, mistakes := f.typed(ctx)
		if len(mistakes) > 0 {
			return mistakes, ""
		}
		f.AsJSON = verb == "json"
		f.show(doc)
	}
	return nil, ""
}

func restoreField(i int) string { return "row-" + strconv.Itoa(i) + "-restore" }
