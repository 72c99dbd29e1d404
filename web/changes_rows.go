package web

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
	"twinboard/web/store"
)

// fewChanges is how many values of a change a line shows.
const fewChanges = 3

// changeRow is one entry of the journal as a line.
func (s *Server) changeRow(ctx context.Context, h *Hub, e store.Entry) views.ChangeRow {
	id := strconv.FormatInt(e.ID, 10)
	row := views.ChangeRow{
		ID: "change-" + id, Time: clockProps(ctx, e.Time), Device: e.DeviceID, Href: h.twinPath(subjectOfEntry(e)),
		Kind: string(e.Section), Was: string(e.Was), State: string(e.State), HistoryHref: h.historyPath(e),
	}
	if e.ModuleID != "" {
		row.Device += " / " + e.ModuleID
	}
	list := entryChanges(e)
	for _, c := range list[:min(fewChanges, len(list))] {
		row.Values = append(row.Values, views.ChangeProps{Path: c.Path.String(), Old: briefValue(c.Old), New: briefValue(c.New)})
	}
	if more := len(list) - len(row.Values); more > 0 {
		row.More = text.T(ctx, "changes.more", "Count", more)
	}
	switch {
	case e.Section == store.State:
	case e.Undoes != 0:
		row.By = text.T(ctx, "changes.by.undo")
	case e.Source == store.FromDashboard:
		row.By = text.T(ctx, "changes.by.dashboard")
	case e.Source == store.FromRead || e.Who == "":
		row.By = text.T(ctx, "changes.by.unknown")
	default:
		row.Who, row.WhoHref = e.Who, h.changesPath()+"?"+url.Values{"who": {"policy:" + e.Who}}.Encode()
	}
	if e.Section != store.State {
		row.UndoHref = undoPath(h, e)
	}
	row.Deleted = e.Deletion()
	if h.isGone(e.DeviceID) {
		row.Gone, row.Href, row.UndoHref = true, h.viewPath(subjectOfEntry(e), "history"), ""
	}
	return row
}

// isGone reports whether the picture of a hub is complete and has no such device.
func (h *Hub) isGone(id string) bool {
	_, known := h.Fleet.Get(id)
	return !known && h.Fleet.Peek().Complete
}

// subjectOfEntry is the device or module that an entry is about.
func subjectOfEntry(e store.Entry) subject { return subject{e.DeviceID, e.ModuleID} }

// undoPath is the review of an entry's inverse.
func undoPath(h *Hub, e store.Entry) string {
	return h.editPath(subjectOfEntry(e), string(e.Section)) + "?undo=" + strconv.FormatInt(e.ID, 10)
}

// briefValue is a value short enough for a line; a page of its own shows it whole.
func briefValue(s side) views.ValueProps {
	if !s.Set {
		return views.ValueProps{Missing: true}
	}
	return views.ValueProps{Text: shortened(shownValue(s.Value))}
}

// groupAlike joins neighbours that changed the same on several devices, as a
// change of many does, and keeps at most that many lines.
func groupAlike(ctx context.Context, rows []views.ChangeRow, most int) []views.ChangeRow {
	var list []views.ChangeRow
	counts := []int{}
	for _, row := range rows {
		if n := len(list); n > 0 && alike(list[n-1], row) {
			counts[n-1]++
			continue
		}
		if len(list) == most {
			break
		}
		list, counts = append(list, row), append(counts, 1)
	}
	for i, n := range counts {
		if n > 1 {
			list[i].Devices, list[i].UndoHref, list[i].HistoryHref = text.T(ctx, "changes.devices", "Count", n), "", ""
		}
	}
	return list
}

func alike(a, b views.ChangeRow) bool {
	return a.Kind == b.Kind && a.Was == b.Was && a.State == b.State && a.By == b.By && a.Who == b.Who && a.More == b.More &&
		a.Device != b.Device && slices.Equal(a.Values, b.Values)
}

// byDay groups lines by the day of their time.
func byDay(ctx context.Context, entries []store.Entry, rows []views.ChangeRow, now time.Time) []views.ChangeDay {
	var days []views.ChangeDay
	for i, e := range entries {
		day := e.Time.Local()
		id := "day-" + day.Format(time.DateOnly)
		if n := len(days); n == 0 || days[n-1].ID != id {
			days = append(days, views.ChangeDay{ID: id, Title: dayTitle(ctx, day, now.Local())})
		}
		last := &days[len(days)-1]
		last.Changes = append(last.Changes, rows[i])
	}
	return days
}

func dayTitle(ctx context.Context, day, now time.Time) string {
	switch day.Format(time.DateOnly) {
	case now.Format(time.DateOnly):
		return text.T(ctx, "changes.today")
	case now.AddDate(0, 0, -1).Format(time.DateOnly):
		return text.T(ctx, "changes.yesterday")
	}
	return text.Date(ctx, day)
}

// changeData is an entry of the journal as JSON.
type changeData struct {
	ID       int64           `json:"id"`
	Time     time.Time       `json:"time"`
	DeviceID string          `json:"deviceId"`
	ModuleID string          `json:"moduleId,omitempty"`
	Kind     store.Section   `json:"kind"`
	Patch    iothub.Document `json:"patch,omitempty"`
	Old      iothub.Document `json:"old,omitempty"`
	Was      iothub.State    `json:"was,omitempty"`
	State    iothub.State    `json:"state,omitempty"`
	Source   store.Source    `json:"source"` // who told: dashboard, feed or read
	Policy   string          `json:"policy,omitempty"`
	Version  int64           `json:"version,omitempty"`
	ETag     iothub.ETag     `json:"etag,omitempty"`
	Undoes   int64           `json:"undoes,omitempty"`
	Deleted  bool            `json:"deleted,omitempty"` // the device or module was deleted
}

func changeDataOf(list []store.Entry) []changeData {
	data := []changeData{}
	for _, e := range list {
		data = append(data, changeData{
			ID: e.ID, Time: e.Time, DeviceID: e.DeviceID, ModuleID: e.ModuleID, Kind: e.Section, Patch: e.Patch, Old: e.Old,
			Was: e.Was, State: e.State, Source: e.Source, Policy: e.Who, Version: e.Version, ETag: e.ETag, Undoes: e.Undoes, Deleted: e.Deletion(),
		})
	}
	return data
}
