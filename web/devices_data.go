package web

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
)

// deviceData is a device of the list as JSON.
type deviceData struct {
	DeviceID        string       `json:"deviceId"`
	State           iothub.State `json:"state,omitempty"` // absent when nothing is wanted
	Since           *time.Time   `json:"since,omitempty"`
	Wanted          int          `json:"wanted"`
	Differing       int          `json:"differing"`
	ConnectionState string       `json:"connectionState"`
	Status          string       `json:"status"`
	LastActivity    *time.Time   `json:"lastActivityTime,omitempty"`
	Version         int64        `json:"version"`
	ReadAt          time.Time    `json:"readAt"`
	// Values are those of the columns asked for, by path, as text.
	Values map[string]string `json:"values,omitempty"`
}

// listData is a page of the list as JSON.
type listData struct {
	Hub      string       `json:"hub"`
	Devices  []deviceData `json:"devices"`
	Total    int          `json:"total"` // that match
	Known    int          `json:"known"` // in the dashboard's picture of the hub
	OfHub    int          `json:"ofHub"` // on the hub, as far as known
	Complete bool         `json:"complete"`
	Live     bool         `json:"live"`
	AsOf     *time.Time   `json:"asOf,omitempty"`
	Next     string       `json:"next,omitempty"` // address of the next page
	Previous string       `json:"previous,omitempty"`
	Facets   []facetData  `json:"facets,omitempty"`
}

// facetData are the values of a path, as text, with how many devices choosing
// each would bring.
type facetData struct {
	Path     string         `json:"path"`
	Values   map[string]int `json:"values"`
	Distinct int            `json:"distinct"` // values there are; at most 50 are listed
	None     int            `json:"none"`     // devices without a value
}

func deviceDataOf(d fleet.Device) deviceData {
	data := deviceData{
		DeviceID: d.ID, Wanted: d.Wanted, Differing: d.Differing, Version: d.Version,
		ConnectionState: iothub.Disconnected, Status: iothub.StatusDisabled, ReadAt: d.ReadAt.UTC(),
		LastActivity: known(d.LastActivity),
	}
	if d.Connected {
		data.ConnectionState = iothub.Connected
	}
	if d.Enabled {
		data.Status = iothub.StatusEnabled
	}
	if d.Wanted > 0 {
		data.State, data.Since = d.State, known(d.Since)
	}
	return data
}

func valuesOf(d fleet.Device, paths []string) map[string]string {
	values := map[string]string{}
	for _, path := range paths {
		if v, ok := d.Value(path); ok {
			values[path] = v
		}
	}
	return values
}

// known is nil for a time that is not known.
func known(t time.Time) *time.Time {
	if t.IsZero() || t.Year() <= 1 {
		return nil
	}
	t = t.UTC()
	return &t
}

func devicesData(h *Hub, l listing, list fleet.Page) listData {
	status := h.Fleet.Status()
	data := listData{
		Hub: h.Slug, Devices: []deviceData{}, Total: list.Total, Known: list.Known, OfHub: status.Total,
		Complete: status.Complete, Live: status.Live, AsOf: known(status.AsOf),
	}
	for _, d := range list.Devices {
		row := deviceDataOf(d)
		row.Values = valuesOf(d, l.cols)
		data.Devices = append(data.Devices, row)
	}
	for _, f := range list.Facets {
		facet := facetData{Path: f.Path, Values: map[string]int{}, Distinct: f.Distinct, None: f.None}
		for _, v := range f.Values {
			facet.Values[v.Text] = v.Count
		}
		data.Facets = append(data.Facets, facet)
	}
	turn := func(from string) string {
		if from == "" {
			return ""
		}
		q := l.values()
		q.Set("from", from)
		q.Set("format", "json")
		return h.devicesPath() + "?" + q.Encode()
	}
	data.Next, data.Previous = turn(list.Next), turn(list.Prev)
	return data
}

// csvPage is how many devices are read from the picture at a time.
const csvPage = 1000

// devicesCSV writes every device that matches, not only one page: with all its
// tags and wanted settings, so that it can be read in again, and the reported
// values that the list shows.
func (s *Server) devicesCSV(c echo.Context, h *Hub, l listing) error {
	found := map[string]bool{}
	for _, path := range l.cols {
		found[path] = true
	}
	for d := range matching(h, l) {
		for _, path := range d.Paths() {
			if !strings.HasPrefix(path, "reported.") {
				found[path] = true
			}
		}
	}
	paths := slices.Sorted(maps.Keys(found))
	return writeCSV(c, "devices.csv", slices.Concat(csvColumns, paths), func(yield func([]string) bool) {
		for d := range matching(h, l) {
			if !yield(slices.Concat(csvRow(deviceDataOf(d)), csvValues(d, paths))) {
				return
			}
		}
	})
}

// matching are the devices of a listing, page after page.
func matching(h *Hub, l listing) iter.Seq[fleet.Device] {
	return func(yield func(fleet.Device) bool) {
		q := l.query(csvPage)
		for q.After = ""; ; {
			list := h.Fleet.List(q)
			for _, d := range list.Devices {
				if !yield(d) {
					return
				}
			}
			if q.After = list.Next; q.After == "" {
				return
			}
		}
	}
}

var csvColumns = []string{"deviceId", "state", "since", "wanted", "differing", "connectionState", "status", "lastActivityTime"}

func csvRow(d deviceData) []string {
	return []string{
		csvID(d.DeviceID), string(d.State), csvTime(d.Since), strconv.Itoa(d.Wanted), strconv.Itoa(d.Differing),
		d.ConnectionState, d.Status, csvTime(d.LastActivity),
	}
}

// csvValues are the values of a device at paths; a cell is empty where it has
// none.
func csvValues(d fleet.Device, paths []string) []string {
	t := d.Twin()
	sections := map[string]iothub.Document{"tags": t.Tags, "desired": t.Properties.Desired.Value, "reported": t.Properties.Reported.Value}
	cells := make([]string, len(paths))
	for i, path := range paths {
		section, rest, _ := strings.Cut(path, ".")
		v, has := sections[section].Get(iothub.ParsePath(rest))
		if object, isObject := v.(map[string]any); has && (!isObject || len(object) == 0) {
			cells[i] = csvValue(v)
		}
	}
	return cells
}
