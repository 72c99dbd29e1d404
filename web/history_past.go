package web

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// asOf rolls the twin's tags and desired properties back to just after the entry
// at index i, within the life it is of; -1 is now.
func (got history) asOf(i int) sectionValues {
	then := sectionValues{
		store.Tags: got.now.section(iothub.SectionTags), store.Desired: got.now.section(iothub.SectionDesired),
	}
	from, to := got.life(i)
	if got.former(i) {
		then = lastKnown(got.entries[from:to])
	}
	for _, e := range got.entries[from:max(from, i)] {
		if e.Section != store.State {
			then[e.Section] = iothub.Merge(then[e.Section], e.Old)
		}
	}
	return then
}

// pastProps is the device as it was just after the entry at index i.
func (s *Server) pastProps(ctx context.Context, h *Hub, got history, i int) *views.PastProps {
	e := got.entries[i]
	row := s.changeRow(ctx, h, e)
	p := &views.PastProps{
		When: momentText(ctx, e.Time), Row: row, Changes: changeProps(ctx, "change", entryChanges(e)),
		Version: versionText(ctx, e), UndoHref: row.UndoHref, NowHref: h.viewPath(got.of, "history"), Unsure: gapTexts(ctx, got.watched, e.Time, s.now()),
	}
	if got.former(i) {
		p.Former = text.T(ctx, "history.former")
	}
	if got.gone || got.former(i) {
		p.UndoHref = ""
	}
	if i > 0 {
		p.NewerHref = h.historyPath(got.entries[i-1])
	}
	if i+1 < len(got.entries) {
		p.OlderHref = h.historyPath(got.entries[i+1])
	}
	then, now := got.asOf(i), got.asOf(-1)
	for _, section := range sections {
		p.Sections = append(p.Sections, pastSection(ctx, section, then[section], now[section], !got.gone && !got.former(i)))
	}
	return p
}

// sections are the parts of a twin that have a past, in the order they are shown.
var sections = []store.Section{store.Desired, store.Tags}

// pastSection is every value of a section as it was, beside what it is now where
// that differs, if there is a now.
func pastSection(ctx context.Context, section store.Section, then, now iothub.Document, hasNow bool) views.PastSection {
	p := views.PastSection{
		ID: "past-" + string(section), Title: text.T(ctx, "history.then."+string(section)), Technical: string(section),
		Then: text.T(ctx, "history.then"), Now: text.T(ctx, "history.today"),
	}
	if !hasNow {
		now, p.Now = then, ""
	}
	values := map[string]leafChange{}
	for _, leaf := range iothub.Flatten(then) {
		values[leaf.Path.String()] = leafChange{Old: side{leaf.Value, true}}
	}
	changed := map[string]bool{}
	for _, c := range changes(then, now) {
		path := c.Path.String()
		values[path], changed[path] = c, true
	}
	for i, path := range slices.Sorted(maps.Keys(values)) {
		id := p.ID + "-" + strconv.Itoa(i)
		value := views.PastValue{Path: path, Then: valueProps(ctx, values[path].Old, id)}
		if changed[path] {
			value.Now = new(valueProps(ctx, values[path].New, id+"-now"))
		}
		p.Values = append(p.Values, value)
	}
	return p
}

// historyChooser lets one choose two versions to compare; nil where there are not
// two.
func historyChooser(ctx context.Context, h *Hub, got history) *views.HistoryChooser {
	c := &views.HistoryChooser{Path: h.twinPath(got.of)}
	from, to := got.chosen()
	versions := 0
	if !got.gone {
		c.To = append(c.To, views.Option{Value: "now", Label: text.T(ctx, "history.today"), Selected: to < 0})
		versions++
	}
	for i, e := range got.entries {
		near := i < changesPerPage || abs(i-from) <= nearby || abs(i-to) <= nearby
		if e.Section == store.State || !near {
			continue
		}
		option := views.Option{Value: strconv.FormatInt(e.ID, 10), Label: versionLabel(ctx, e)}
		if got.former(i) {
			option.Label += " · " + text.T(ctx, "history.former.short")
		}
		option.Selected = i == from
		c.From = append(c.From, option)
		option.Selected = i == to
		c.To = append(c.To, option)
		versions++
	}
	if versions < 2 || len(c.From) == 0 {
		return nil
	}
	return c
}

// nearby is how many versions around a chosen one can be chosen too, beside the
// latest.
const nearby = 10

func abs(n int) int { return max(n, -n) }

// chosen are the indices of what is compared, or of what would be; -1 for now.
func (got history) chosen() (from, to int) {
	if got.asked.compare {
		to = -1
		if !got.asked.to.isNow() {
			to = got.asked.to.find(got.entries)
		}
		return got.asked.from.find(got.entries), to
	}
	newest := got.version(0)
	if from = got.version(newest + 1); from < 0 {
		from = newest
	}
	if got.asked.past() {
		from = got.asked.at.find(got.entries)
	}
	if got.gone {
		return from, newest
	}
	return from, -1
}

// version is the index of the next change that is not one of state, -1 for none.
func (got history) version(from int) int {
	for i := max(from, 0); i < len(got.entries); i++ {
		if got.entries[i].Section != store.State {
			return i
		}
	}
	return -1
}

// versionLabel names a version by its time and what changed.
func versionLabel(ctx context.Context, e store.Entry) string {
	label := momentText(ctx, e.Time)
	if v := versionText(ctx, e); v != "" {
		label += " · " + v
	}
	if list := entryChanges(e); len(list) > 0 {
		label += " · " + shortened(list[0].Path.String())
	}
	return label
}

// versionName is the shortest name of a version.
func versionName(ctx context.Context, e store.Entry) string {
	return cmp.Or(versionText(ctx, e), momentText(ctx, e.Time))
}

// differenceProps is what differs between two moments, the older first; nil when
// nothing is known of one of them.
func (s *Server) differenceProps(ctx context.Context, h *Hub, got history) *views.DifferenceProps {
	from, to, ok := got.compared()
	if !ok {
		return nil
	}
	label := func(i int, name func(context.Context, store.Entry) string) string {
		if i < 0 {
			return text.T(ctx, "history.today")
		}
		return name(ctx, got.entries[i])
	}
	p := &views.DifferenceProps{From: label(from, versionLabel), To: label(to, versionLabel), NowHref: h.viewPath(got.of, "history"), FromHref: h.historyPath(got.entries[from])}
	if to >= 0 {
		p.ToHref = h.historyPath(got.entries[to])
	}
	p.Unsure = gapTexts(ctx, got.watched, got.entries[from].Time, s.now())
	if end, _ := got.life(from); end > max(to, 0) || to < 0 && got.former(from) {
		p.Boundary = text.T(ctx, "history.boundary.between")
	}
	differing, same := 0, 0
	before, after := got.asOf(from), got.asOf(to)
	for _, section := range sections {
		c := views.PastSection{ID: "compare-" + string(section), Title: text.T(ctx, "history.compared."+string(section)), Technical: string(section), Then: label(from, versionName), Now: label(to, versionName)}
		list := changes(before[section], after[section])
		for i, change := range list {
			id := c.ID + "-" + strconv.Itoa(i)
			value := views.PastValue{Path: change.Path.String(), Then: valueProps(ctx, change.Old, id)}
			value.Now = new(valueProps(ctx, change.New, id+"-now"))
			c.Values = append(c.Values, value)
			if change.Old.Set {
				same--
			}
		}
		differing += len(list)
		same += len(iothub.Flatten(before[section]))
		p.Sections = append(p.Sections, c)
	}
	p.Lead = text.T(ctx, "history.differ", "Count", differing)
	if differing == 0 {
		p.Lead = text.T(ctx, "history.alike")
	}
	p.Same = text.T(ctx, "history.same.count", "Count", same)
	return p
}

// compared are the indices of what is compared, the older one first; -1 is now.
func (got history) compared() (from, to int, ok bool) {
	from, to = got.chosen()
	if from < 0 || to < 0 && (got.gone || !got.asked.to.isNow()) {
		return 0, 0, false
	}
	return max(from, to), min(from, to), true
}

// historyData is the history as JSON.
type historyData struct {
	DeviceID string        `json:"deviceId"`
	ModuleID string        `json:"moduleId,omitempty"`
	Watched  []watchedData `json:"watched"`
	Changes  []changeData  `json:"changes"`
	Next     string        `json:"next"` // the address of older changes, "" after the last
	// Deleted says that it is no longer registered.
	Deleted bool `json:"deleted,omitempty"`
	// At is the twin as it was, when the address asks for one; From and To, when it
	// asks for two.
	At   *pastData `json:"at,omitempty"`
	From *pastData `json:"from,omitempty"`
	To   *pastData `json:"to,omitempty"`
}

// watchedData is a time during which changes were watched.
type watchedData struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// pastData is a twin as it was just after a change, or as it is now when there is
// no Change.
type pastData struct {
	Change  int64           `json:"change,omitempty"`
	Time    time.Time       `json:"time"`
	Tags    iothub.Document `json:"tags"`
	Desired iothub.Document `json:"desired"`
}

func (got history) data(h *Hub) historyData {
	d := historyData{
		DeviceID: got.of.device, ModuleID: got.of.module, Watched: []watchedData{},
		Changes: changeDataOf(got.page()), Next: asJSON(got.nextHref(h)), Deleted: got.gone,
	}
	for _, span := range got.watched {
		d.Watched = append(d.Watched, watchedData(span))
	}
	if got.asked.past() {
		if i := got.asked.at.find(got.entries); i >= 0 {
			d.At = got.pastData(i)
		}
	}
	if got.asked.compare {
		if from, to, ok := got.compared(); ok {
			d.From, d.To = got.pastData(from), got.pastData(to)
		}
	}
	return d
}

// pastData is the twin as it was just after the entry at index i, or as it is now
// for -1.
func (got history) pastData(i int) *pastData {
	then := got.asOf(i)
	d := &pastData{Time: got.now.at, Tags: then[store.Tags], Desired: then[store.Desired]}
	if i >= 0 {
		d.Change, d.Time = got.entries[i].ID, got.entries[i].Time
	}
	return d
}
