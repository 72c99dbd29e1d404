package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// many is how many devices the list is made for.
const many = 100_000

// fillHub writes a data folder with n devices as a hub would.
func fillHub(t testing.TB, data string, n int) {
	t.Helper()
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), filepath.Join(data, "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for from := 0; from < n; from += 5000 {
		var batch store.Batch
		for i := from; i < min(from+5000, n); i++ {
			batch.Insert = append(batch.Insert, manyth(i, at))
		}
		if err := s.Commit(&batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// manyth is one of the many devices: its tag serial is a number that runs the
// other way than its name, and each tenth one differs from what is wanted.
func manyth(i int, at time.Time) *store.Record {
	r := &store.Record{Identity: store.Identity{
		DeviceID: fmt.Sprintf("device-%06d", i), Generation: "1", IdentityETag: uint64(i) + 1,
		Status: iothub.StatusEnabled, Authentication: iothub.Authentication{Type: "sas"},
	}}
	r.TwinETag = 2
	r.Tags = iothub.Document{"site": []string{"oslo", "madrid", "lima", "ōsaka"}[i%4], "serial": number(fmt.Sprint(many - i))}
	r.Desired = iothub.NewSection(at).Patch(iothub.Document{"interval": number("30")}, at, true)
	interval := number("30")
	if i%10 == 0 {
		interval = "60"
	}
	r.Reported = iothub.NewSection(at).Patch(iothub.Document{"interval": interval, "firmware": fmt.Sprintf("1.%d.0", i%7)}, at, false)
	return r
}

// lists waits until the list is complete and holds n devices.
func (p *program) lists(t testing.TB, n int) {
	t.Helper()
	p.until(t, "/h/local/devices", fmt.Sprintf("the list holds %d devices", n), func(body []byte) bool {
		var list struct {
			Total    int  `json:"total"`
			Complete bool `json:"complete"`
		}
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatal(err)
		}
		return list.Complete && list.Total == n
	})
}

// until waits until a page as JSON says what is wanted.
func (p *program) until(t testing.TB, path, what string, says func(body []byte) bool) {
	t.Helper()
	deadline, tick := time.After(5*time.Minute), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	for {
		body := p.page(t, path+"?format=json")
		if says(body) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not reached: %s\n%s", what, body)
		}
	}
}

// page is the body of a page, which must be there.
func (p *program) page(t testing.TB, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Dashboard+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s, %v", path, resp.Status, err)
	}
	return body
}
