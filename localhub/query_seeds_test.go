package localhub

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

var update = flag.Bool("update", false, "write what the tests find into testdata")

// The golden files of package query, which this package's tests hold the whole
// hub to: the same twins, the same queries, the same rows.
const (
	seedsFile = "query/testdata/seeds.json"
	twinsFile = "query/testdata/twins.json"
)

// seed is what a twin of the golden files is made of: what the service and the
// device say of it, in their own spelling.
type seed struct {
	ID, Module              string
	Tags, Desired, Reported json.RawMessage
	Status, StatusReason    string
	DeviceScope             string
	ParentScopes            []string
	Edge                    bool
	ModelID                 string
	At                      time.Time // when the device reports; the hub's clock moves there
	Connected               bool      // whether it stays
}

func (s seed) path(collection string) string {
	p := "/" + collection + "/" + url.PathEscape(s.ID)
	if s.Module != "" {
		p += "/modules/" + s.Module
	}
	return p
}

// seeded is a hub that holds the twins of the golden files, made over HTTPS and
// MQTT alone. Its clock stands in 2016, so that times are the same in each run.
func seeded(t *testing.T) *wire {
	t.Helper()
	text, err := os.ReadFile(seedsFile)
	if err != nil {
		t.Fatal(err)
	}
	var seeds []seed
	if err := json.Unmarshal(text, &seeds); err != nil {
		t.Fatal(err)
	}
	clock := &stopped{at: time.Date(2016, 8, 1, 9, 30, 0, 0, time.UTC)}
	w := startWireAt(t, clock.now)
	for _, s := range seeds {
		w.identity(s)
		w.describe(s)
		if !s.At.IsZero() {
			clock.move(s.At.Sub(clock.now()))
		}
		if s.Reported != nil {
			w.reports(s)
		}
	}
	for _, s := range seeds {
		if s.Status != "" {
			w.mustCall(http.MethodPut, s.path("devices"), encoded(t, map[string]any{"deviceId": s.ID, "status": s.Status, "statusReason": s.StatusReason}), "If-Match", "*")
		}
	}
	return w
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := iothub.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w *wire) identity(s seed) {
	w.Helper()
	body := map[string]any{"deviceId": s.ID, "deviceScope": s.DeviceScope, "parentScopes": s.ParentScopes, "capabilities": map[string]bool{"iotEdge": s.Edge}}
	if s.Module != "" {
		body = map[string]any{"deviceId": s.ID, "moduleId": s.Module}
	}
	w.mustCall(http.MethodPut, s.path("devices"), encoded(w.T, body))
}

// describe writes tags and desired properties as the seed spells them.
func (w *wire) describe(s seed) {
	w.Helper()
	var members [][]byte
	if s.Tags != nil {
		members = append(members, append([]byte(`"tags":`), s.Tags...))
	}
	if s.Desired != nil {
		members = append(members, append(append([]byte(`"properties":{"desired":`), s.Desired...), '}'))
	}
	if members != nil {
		w.mustCall(http.MethodPatch, s.path("twins"), "{"+string(bytes.Join(members, []byte(",")))+"}")
	}
}

// reports connects the device, has it report, and leaves it connected or waits
// until the hub knows that it is gone.
func (w *wire) reports(s seed) {
	w.Helper()
	var c connect
	if s.Module != "" {
		c = w.moduleConnect(s.ID, s.Module)
	} else {
		c = w.deviceConnect(s.ID)
	}
	if s.ModelID != "" {
		c.user += "&model-id=" + url.QueryEscape(s.ModelID)
	}
	d, _ := w.online(c)
	d.send(publish(0, 0, "$iothub/twin/PATCH/properties/reported/?$rid=1", s.Reported))
	d.message("$iothub/twin/res/204/?$rid=1&$version=2")
	if s.Connected {
		return
	}
	d.send([]byte{0xe0, 0x00})
	d.ended()
	w.eventually(s.ID+" is disconnected", func() bool {
		var twin iothub.Twin
		w.mustCall(http.MethodGet, s.path("twins"), "").decode(w.T, &twin)
		return twin.ConnectionState == iothub.Disconnected
	})
}

// client reaches the hub as the dashboard does.
func (w *wire) client() *hubclient.Client {
	w.Helper()
	cs, err := w.hub.ConnectionString("iothubowner")
	if err != nil {
		w.Fatal(err)
	}
	c, err := hubclient.New(cs, &hubclient.Options{HTTPClient: w.http, Now: w.hub.now})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	return c
}

// randomETag is what differs from run to run in a twin.
var randomETag = regexp.MustCompile(`"deviceEtag":"[^"]*"`)

// TestGoldenTwins holds that the twins the golden rows are about are those a hub
// shows for their seeds, number by number, and that reading one by one, all by a
// query, and page by page give the same.
func TestGoldenTwins(t *testing.T) {
	w := seeded(t)
	var rows []string
	for _, source := range []string{"devices", "devices.modules"} {
		_, found := ask(t, w.client(), "SELECT * FROM "+source, 10)
		for _, row := range found {
			var twin iothub.Twin
			if err := json.Unmarshal([]byte(row), &twin); err != nil {
				t.Fatal(err)
			}
			if got := w.mustCall(http.MethodGet, seed{ID: twin.DeviceID, Module: twin.ModuleID}.path("twins"), "").Body; got != row {
				t.Errorf("read alone:\n%s\nby a query:\n%s", got, row)
			}
			rows = append(rows, randomETag.ReplaceAllString(row, `"deviceEtag":"MTIzNDU2Nzg5"`))
		}
	}
	got := "[\n" + strings.Join(rows, ",\n") + "\n]\n"
	if *update {
		if err := os.WriteFile(twinsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(twinsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("twins (-want +got)\n%s", diff)
	}
}
