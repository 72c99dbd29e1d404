package web

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// frame is the page around a form, its review and its conflicts.
func (e *editing) frame(title string) (views.PageProps, error) {
	ctx := e.Request().Context()
	page, err := e.server.frame(e, "devices")
	page.Title = text.T(ctx, title, "Device", e.of.name())
	page.Back = views.Link{Label: e.of.name(), Href: e.hub.twinPath(e.of)}
	return page, err
}

// editProps is the form as the view shows it.
func editProps(ctx context.Context, f twinForm, mistakes []mistake, focus string) views.TwinEditProps {
	p := views.TwinEditProps{AsJSON: f.AsJSON, Hidden: f.seen(), Size: f.size(ctx)}
	if f.Version != "" {
		p.Based = text.T(ctx, "twin.edit.based", "Version", f.Version)
	}
	for _, m := range mistakes {
		p.Errors = append(p.Errors, views.FieldError{FieldID: m.Field, Message: m.Text})
	}
	if f.AsJSON {
		p.Editor = editorProps(ctx, f, mistakes)
		return p
	}
	for i, r := range f.Rows {
		row := views.EditRow{
			PathID: pathField(i), ValueID: valueField(i), RestoreID: restoreField(i),
			Path: r.Path, Known: r.Known, Kind: r.Kind, Text: r.Text, Removed: r.Removed,
			PathError: mistakeAt(mistakes, pathField(i)), ValueError: mistakeAt(mistakes, valueField(i)),
			RemoveValue: "remove:" + strconv.Itoa(i), RestoreValue: "restore:" + strconv.Itoa(i),
		}
		switch focus {
		case row.PathID:
			row.Focus = "path"
		case row.ValueID:
			row.Focus = "value"
		case row.RestoreID:
			row.Focus = "restore"
		}
		p.Rows = append(p.Rows, row)
	}
	return p
}

func editorProps(ctx context.Context, f twinForm, mistakes []mistake) views.EditorProps {
	section := "desired"
	if f.Section == iothub.SectionTags {
		section = "tags"
	}
	p := views.EditorProps{
		ID: jsonField, Name: "json", Mode: "json", Value: f.JSON, Rows: 18,
		Label: text.T(ctx, "twin.edit.json."+section), Hint: text.T(ctx, "twin.edit.json.hint"),
	}
	if f.Many {
		p.Hint = text.T(ctx, "bulk.edit.json.hint")
	}
	for _, m := range mistakes {
		if m.Field == jsonField {
			p.Error, p.ErrorLine, p.ErrorColumn = m.Text, m.Line, m.Column
		}
	}
	return p
}

func mistakeAt(mistakes []mistake, field string) string {
	for _, m := range mistakes {
		if m.Field == field {
			return m.Text
		}
	}
	return ""
}

// size is how full the section would be; while something is wrong with what is
// typed, how full it was.
func (f *twinForm) size(ctx context.Context) views.SizeProps {
	doc, mistakes := f.typed(ctx)
	if len(mistakes) > 0 {
		doc = f.Base
	}
	return sizeOf(ctx, f.Section, doc)
}

// reviewProps is a change before it is sent: nothing is left out.
func (e *editing) reviewProps(f twinForm, doc iothub.Document) views.TwinReviewProps {
	ctx := e.Request().Context()
	p := views.TwinReviewProps{
		DeviceID: e.of.name(), Section: e.section, Action: e.hub.editPath(e.of, e.section), CancelHref: e.hub.twinPath(e.of),
		Hidden: f.hidden(), Size: sizeOf(ctx, f.Section, doc), Changes: changeProps(ctx, "change", changes(f.Base, doc)),
	}
	p.Count = len(p.Changes)
	patch := e.patch(iothub.Diff(f.Base, doc))
	p.Bytes = text.Size(ctx, int64(len(compact(patch))))
	p.Request = requestText(e.hub, e.of, f.ETag, patch)
	p.Az, p.Curl = azUpdate(e.of, f.ETag, patch), curlUpdate(e.hub, e.of, f.ETag, patch)
	return p
}

// changeProps are changes, one a line; the ids of long values begin with name.
func changeProps(ctx context.Context, name string, list []leafChange) []views.ChangeProps {
	var out []views.ChangeProps
	for i, c := range list {
		id := name + "-" + strconv.Itoa(i)
		out = append(out, views.ChangeProps{
			Path: c.Path.String(), Old: valueProps(ctx, c.Old, id+"-old"), New: valueProps(ctx, c.New, id+"-new"),
		})
	}
	return out
}

// conflictProps asks about each place that both changed.
func (e *editing) conflictProps(f twinForm, theirs reading, m threeWayMerge, v url.Values) views.TwinConflictProps {
	ctx := e.Request().Context()
	p := views.TwinConflictProps{
		DeviceID: e.of.name(), Section: e.section, Action: e.hub.editPath(e.of, e.section), CancelHref: e.hub.twinPath(e.of),
		Before: f.Version, Now: e.version(theirs), Kept: changeProps(ctx, "kept", m.Others),
		Hidden: append(f.hidden(),
			views.Hidden{Name: "theirs", Value: encodedTwin(theirs)},
		),
	}
	for i, c := range m.Conflicts {
		p.Conflicts = append(p.Conflicts, e.conflictField(ctx, i, c, theirs, v))
	}
	return p
}

func (e *editing) conflictField(ctx context.Context, i int, c conflict, theirs reading, v url.Values) views.ConflictProps {
	index := strconv.Itoa(i)
	p := views.ConflictProps{
		Index: index, Path: c.Path.String(), Choice: v.Get("choice-" + index),
		OtherKind: v.Get("kind-" + index), Other: v.Get("other-" + index),
		Base:   valueProps(ctx, c.Base, "conflict-"+index+"-base"),
		Theirs: valueProps(ctx, c.Theirs, "conflict-"+index+"-theirs"),
		Mine:   valueProps(ctx, c.Mine, "conflict-"+index+"-mine"),
	}
	if p.OtherKind == "" {
		p.OtherKind, _ = rowKind(c.Mine.Value)
	}
	if e.section == "desired" && c.Theirs.Set {
		at := theirs.Properties.Desired.Metadata.At(c.Path).LastUpdated.Time
		p.Changed = agoProps(ctx, at, e.server.now())
	}
	return p
}

// encodedTwin carries the hub's side of a conflict through the page, so that
// the person decides about what they saw.
func encodedTwin(r reading) string {
	b, err := json.Marshal(r.Twin)
	if err != nil {
		return "" // a twin came from JSON, so it goes back
	}
	return string(b)
}

// requestText is the request that will be sent, as it will be sent but for its
// credentials.
func requestText(h *Hub, k subject, etag iothub.ETag, patch iothub.TwinPatch) string {
	return "PATCH " + twinURL(h, k) + "\nIf-Match: " + etag.Header() + "\nContent-Type: application/json\n\n" + indented(patch)
}

func twinURL(h *Hub, k subject) string {
	path := "/twins/" + url.PathEscape(k.device)
	if k.module != "" {
		path += "/modules/" + url.PathEscape(k.module)
	}
	return "https://" + h.HostName + path + "?api-version=" + iothub.APIVersion
}

// The commands below carry placeholders for secrets: what is copied from a page
// is often pasted where others read it.

// next goes on with a command in another line.
const next = " \\\n  "

func azShow(k subject) string {
	return azTwin("show", k)
}

func azTwin(verb string, k subject) string {
	kind, module := "device", ""
	if k.module != "" {
		kind, module = "module", " --module-id "+shellQuote(k.module)
	}
	return "az iot hub " + kind + "-twin " + verb + ` --login "$HUB_CONNECTION" --device-id ` + shellQuote(k.device) + module
}

func curlShow(h *Hub, k subject) string { return curl(h) + " " + shellQuote(twinURL(h, k)) }

func azUpdate(k subject, etag iothub.ETag, patch iothub.TwinPatch) string {
	command := azTwin("update", k)
	if patch.Tags != nil {
		command += next + "--tags " + shellQuote(compact(patch.Tags))
	}
	if patch.Desired != nil {
		command += next + "--desired " + shellQuote(compact(patch.Desired))
	}
	return command + next + "--etag " + shellQuote(string(etag))
}

func curlUpdate(h *Hub, k subject, etag iothub.ETag, patch iothub.TwinPatch) string {
	return curl(h) + " --request PATCH" + next + "--header " + shellQuote("If-Match: "+etag.Header()) +
		" --header 'Content-Type: application/json'" + next + "--data " + shellQuote(compact(patch)) + next + shellQuote(twinURL(h, k))
}

func curl(h *Hub) string {
	command := "curl"
	if h.CAFile != "" {
		command += ` --cacert "$(twinboard ca)"`
	}
	return command + ` --header "Authorization: $TOKEN"`
}
