package web

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// twinProps is the whole compare view.
func (s *Server) twinProps(c echo.Context, r reading, d iothub.Drift) views.TwinProps {
	ctx, h, now := c.Request().Context(), hubOf(c), s.now()
	p := views.TwinProps{
		DeviceID: r.subject().name(), Tabs: twinTabs(ctx, h, r.subject(), ""), Lead: twinLead(ctx, r, d, now), Notice: staleNotice(ctx, r),
		Compare: compareProps(ctx, h, r, d, newLayout(d), now),
		Tags:    tagsProps(ctx, h, r), Sizes: sizeProps(ctx, r.Twin),
		Foot: views.TwinFootProps{
			Read: agoProps(ctx, r.at, now), Az: azShow(r.subject()), Curl: curlShow(h, r.subject()),
			Link: c.Scheme() + "://" + c.Request().Host + h.twinPath(r.subject()), RawHref: h.twinPath(r.subject()) + "?format=json",
		},
	}
	return p
}

// staleNotice says that the hub cannot be reached and of when the values are.
func staleNotice(ctx context.Context, r reading) string {
	if !r.stale {
		return ""
	}
	id := "twin.stale"
	if r.slow {
		id = "twin.stale.slow"
	}
	return text.T(ctx, id, "Time", text.Clock(ctx, r.at.Local()))
}

// twinHead is what stands beside the device's name.
func twinHead(ctx context.Context, h *Hub, r reading, now time.Time) views.TwinHeadProps {
	return views.TwinHeadProps{
		Connection: connectionProps(ctx, r, now), EditHref: h.editPath(r.subject(), "desired"),
		Desired: strconv.FormatInt(r.Properties.Desired.Version, 10), Reported: strconv.FormatInt(r.Properties.Reported.Version, 10),
	}
}

// connectionProps tells the connection apart from the state. The twin does not
// say since when; its last activity is the nearest we know of a device that is
// not there.
func connectionProps(ctx context.Context, r reading, now time.Time) views.ConnectionProps {
	switch {
	case r.stale:
		return views.ConnectionProps{State: "unknown"}
	case r.ConnectionState == iothub.Connected:
		return views.ConnectionProps{State: "online"}
	}
	p := views.ConnectionProps{State: "offline"}
	switch last := r.LastActivityTime.Time; {
	case last.Year() <= 1:
	case now.Sub(last) < 24*time.Hour:
		p.Text = text.T(ctx, "connection.offline.since", "Time", text.ClockShort(ctx, last.Local()))
	default:
		p.Text = text.T(ctx, "connection.offline.since", "Time", text.Date(ctx, last.Local()))
	}
	return p
}

// ageProps is how old something is.
func ageProps(ctx context.Context, at, now time.Time) views.AgeProps {
	if at.Year() <= 1 {
		return views.AgeProps{}
	}
	return views.AgeProps{Text: text.Age(ctx, now.Sub(at)), Exact: text.Exact(ctx, at.Local()), Machine: at.UTC().Format(time.RFC3339)}
}

// agoProps is ageProps for a sentence: "12 min ago".
func agoProps(ctx context.Context, at, now time.Time) views.AgeProps {
	a := ageProps(ctx, at, now)
	if a.Text != "" {
		a.Text = text.AgoShort(ctx, now.Sub(at))
	}
	return a
}

// compareProps sorts the settings into those shown, those folded and those
// that only the device has.
func compareProps(ctx context.Context, h *Hub, r reading, d iothub.Drift, l layout, now time.Time) views.CompareProps {
	p := views.CompareProps{
		EditHref:      h.editPath(r.subject(), "desired"),
		NeverReported: d.Wanted > 0 && len(r.Properties.Reported.Value) == 0,
	}
	trail := h.trail(r)
	for _, set := range d.Settings {
		row := settingProps(ctx, h, r, set, now)
		if set.HasDesired {
			row.Trace = traceProps(ctx, row.ID+"-trace", trail.trace(set))
		}
		switch {
		case !set.HasDesired:
			p.DeviceOnly = addRow(p.DeviceOnly, "device", branchOf(set.Path), row)
		case l.folded[row.ID]:
			p.Folded = addRow(p.Folded, "folded", branchOf(set.Path), row)
		default:
			p.Shown = addRow(p.Shown, "shown", branchOf(set.Path), row)
		}
	}
	const few = 3
	for _, row := range p.DeviceOnly.Rows() {
		if len(p.Preview) == few {
			break
		}
		p.Preview = append(p.Preview, views.ValuePair{Name: row.Path, Value: views.ValueProps{Text: shortened(row.Device.Text)}})
	}
	return p
}

// branchDepth is how deep a setting may lie and still stand as a line of its own;
// deeper ones share a branch that folds.
const branchDepth = 2

// branchOf is the branch a setting belongs to, nil for none.
func branchOf(p iothub.Path) iothub.Path {
	if len(p) <= branchDepth {
		return nil
	}
	return p[:branchDepth]
}

// addRow puts a row into the list, beside the others of its branch.
func addRow(list views.CompareList, name string, branch iothub.Path, row views.SettingProps) views.CompareList {
	if branch == nil {
		return append(list, views.CompareItem{Rows: []views.SettingProps{row}})
	}
	id := "branch-" + name + "-" + rowID(branch)
	for i := range list {
		if list[i].ID == id {
			list[i].Rows = append(list[i].Rows, row)
			return list
		}
	}
	return append(list, views.CompareItem{ID: id, Path: branch.String(), Rows: []views.SettingProps{row}})
}

// settingProps is one line of the comparison.
func settingProps(ctx context.Context, h *Hub, r reading, set iothub.Setting, now time.Time) views.SettingProps {
	id := rowID(set.Path)
	p := views.SettingProps{
		ID: id, Path: set.Path.String(), State: string(set.State), Age: ageProps(ctx, set.Since, now),
		Wanted:  valueProps(ctx, side{set.Desired, set.HasDesired}, id+"-wanted"),
		Device:  valueProps(ctx, side{set.Reported, set.HasReported}, id+"-device"),
		Travels: set.State == iothub.Waiting || set.State == iothub.Applying,
	}
	if set.Ack != nil && set.AckCurrent && (set.Ack.Text != "" || set.State == iothub.Rejected) {
		p.Answer, p.Code = set.Ack.Text, strconv.Itoa(set.Ack.Code)
	}
	if note := "twin.note." + string(set.State); text.Has(note) && p.Answer == "" {
		p.Note, p.Ago = note, agoProps(ctx, set.Since, now)
	}
	const ownStart = 203 // the device chose the value at its start (IoT Plug and Play conventions)
	p.Own = set.Ack != nil && set.Ack.Code == ownStart
	p.Mend = mendProps(ctx, h, r, set, id)
	return p
}

// mendProps offers to want what the device has, where the two are at odds.
func mendProps(ctx context.Context, h *Hub, r reading, set iothub.Setting, id string) *views.MendProps {
	if r.stale || !set.HasReported || set.State != iothub.Rejected && set.State != iothub.Differs && set.State != iothub.TypeDiffers {
		return nil
	}
	if iothub.Equal(set.Desired, set.Reported) {
		return nil
	}
	was, becomes := iothub.Document{}, iothub.Document{}
	was.Set(set.Path, set.Desired)
	becomes.Set(set.Path, set.Reported)
	value, label := shownValue(set.Reported), "twin.mend.use"
	switch set.State {
	case iothub.Rejected:
		label = "twin.mend.back"
	case iothub.TypeDiffers:
		label = "twin.mend.type." + typeOf(set.Reported)
	}
	if len([]rune(value)) > 24 {
		label = "twin.mend.long"
	}
	return &views.MendProps{
		ID: id + "-mend", Action: h.editPath(r.subject(), "desired"), Label: text.T(ctx, label, "Value", value),
		Fields: []views.Hidden{
			{Name: "etag", Value: string(r.ETag)}, {Name: "was", Value: compact(was)}, {Name: "set", Value: compact(becomes)},
		},
	}
}

// typeOf names the type of a value that has the same text in another one.
func typeOf(v any) string {
	switch v.(type) {
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	}
	return "text"
}

// rowID is the id of a setting's row: paths hold characters that ids and
// selectors must not.
func rowID(p iothub.Path) string {
	f := fnv.New64a()
	_, _ = f.Write([]byte(p.String())) // a hash takes everything
	return "s-" + strconv.FormatUint(f.Sum64(), 36)
}

// valueProps shows one side of a setting.
func valueProps(ctx context.Context, s side, id string) views.ValueProps {
	if !s.Set {
		return views.ValueProps{Missing: true}
	}
	p := views.ValueProps{Text: shownValue(s.Value)}
	const long, start = 120, 80
	if r := []rune(p.Text); len(r) > long {
		p.ID, p.Short, p.Size = id, string(r[:start]), text.T(ctx, "twin.value.size", "Count", len(r))
	}
	return p
}

// shownValue writes a value so that its type can be told: a text stands bare unless
// it could be taken for something else.
func shownValue(value any) string {
	s, ok := value.(string)
	if !ok {
		return compact(value)
	}
	_, err := iothub.ParseValue([]byte(s))
	if err == nil || s == "" || strings.TrimSpace(s) != s {
		return compact(s)
	}
	return s
}

func tagsProps(ctx context.Context, h *Hub, r reading) views.TagsProps {
	p := views.TagsProps{EditHref: h.editPath(r.subject(), "tags")}
	for _, leaf := range iothub.Flatten(r.Tags) {
		value := valueProps(ctx, side{leaf.Value, true}, "tag-"+rowID(leaf.Path))
		p.Tags = append(p.Tags, views.ValuePair{Name: leaf.Path.String(), Value: value})
	}
	return p
}

// sizeProps sets the three sections against their limits.
func sizeProps(ctx context.Context, t *iothub.Twin) []views.SizeProps {
	return []views.SizeProps{
		sizeOf(ctx, iothub.SectionTags, t.Tags),
		sizeOf(ctx, iothub.SectionDesired, t.Properties.Desired.Value),
		sizeOf(ctx, iothub.SectionReported, t.Properties.Reported.Value),
	}
}

var sectionLabels = map[iothub.SectionName]string{
	iothub.SectionTags: "twin.size.tags", iothub.SectionDesired: "twin.size.desired", iothub.SectionReported: "twin.size.reported",
}

// sizeOf is one section's meter. From half full on it names what takes most.
func sizeOf(ctx context.Context, name iothub.SectionName, d iothub.Document) views.SizeProps {
	size, limit := iothub.Size(d), name.MaxSize()
	p := views.SizeProps{
		Name: text.T(ctx, sectionLabels[name]), Text: text.Bytes(ctx, int64(size), int64(limit)), Percent: size * 100 / limit,
	}
	if branch, part := iothub.BiggestBranch(d); p.Percent >= 50 {
		p.Note = text.T(ctx, "twin.size.biggest", "Name", shortened(branch), "Size", text.Size(ctx, int64(part)))
	}
	return p
}

func twinJSONProps(ctx context.Context, h *Hub, r reading) views.TwinJSONProps {
	section := func(id string, name iothub.SectionName, d iothub.Document, edit string) views.JSONSection {
		if d == nil {
			d = iothub.Document{}
		}
		s := views.JSONSection{
			ID: id, Name: text.T(ctx, sectionLabels[name]), Technical: string(name),
			Size: sizeOf(ctx, name, d), Tree: views.JSONTreeOf(map[string]any(d)),
		}
		if edit != "" {
			s.EditHref = h.editPath(r.subject(), edit) + "?as=json"
		}
		s.Size.Name = text.T(ctx, "twin.json.size")
		return s
	}
	return views.TwinJSONProps{
		DeviceID: r.subject().name(), Notice: staleNotice(ctx, r), Tabs: twinTabs(ctx, h, r.subject(), "json"),
		Sections: []views.JSONSection{
			section("twin-json-tags", iothub.SectionTags, r.Tags, "tags"),
			section("twin-json-desired", iothub.SectionDesired, r.Properties.Desired.Value, "desired"),
			section("twin-json-reported", iothub.SectionReported, r.Properties.Reported.Value, ""),
		},
		Whole: wholeTwin(r.Twin), RawHref: h.twinPath(r.subject()) + "?format=json",
	}
}

// wholeTwin is the document as the service shows it.
func wholeTwin(t *iothub.Twin) string {
	b, err := json.Marshal(t)
	if err != nil {
		return ""
	}
	doc, err := iothub.ParseDocument(b)
	if err != nil {
		return ""
	}
	return indented(doc)
}
