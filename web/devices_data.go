package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
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
		data.Devices = append(data.Devices, deviceDataOf(d))
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

// devicesCSV writes every device that matches, not only one page.
func (s *Server) devicesCSV(c echo.Context, h *Hub, l listing) error {
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	w.Header().Set(echo.HeaderContentDisposition, `attachment; filename="devices.csv"`)
	w.WriteHeader(http.StatusOK)
	out := csv.NewWriter(w)
	_ = out.Write([]string{"deviceId", "state", "since", "wanted", "differing", "connectionState", "status", "lastActivityTime"})
	q := l.query(csvPage)
	q.After = ""
	for {
		list := h.Fleet.List(q)
		for _, d := range list.Devices {
			_ = out.Write(csvRow(deviceDataOf(d))) // Error tells
		}
		if q.After = list.Next; q.After == "" {
			break
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("devices as CSV: %w", err)
	}
	return nil
}

func csvRow(d deviceData) []string {
	return []string{
		d.DeviceID, string(d.State), csvTime(d.Since), strconv.Itoa(d.Wanted), strconv.Itoa(d.Differing),
		d.ConnectionState, d.Status, csvTime(d.LastActivity),
	}
}

func csvTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}
