package main

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	hubstore "twinboard/localhub/store"
)

// fixture is a device as it stands in a hub's file before the hub starts: the
// way to twins that no device of ours would leave behind.
type fixture struct {
	id                      string
	tags, desired, reported string // JSON
}

// prepare makes a data folder whose hub has the devices. Wanted an hour ago, they
// answered half an hour ago.
func prepare(t testing.TB, devices ...fixture) (folder string) {
	t.Helper()
	folder = t.TempDir()
	s, err := hubstore.Open(t.Context(), filepath.Join(folder, "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := time.Now().Add(-time.Hour).UTC()
	answered := wanted.Add(30 * time.Minute)
	var batch hubstore.Batch
	for i, d := range devices {
		key := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%016d", i))
		r := &hubstore.Record{Identity: hubstore.Identity{
			DeviceID: d.id, Generation: "1", IdentityETag: uint64(i) + 1, Status: iothub.StatusEnabled,
			Authentication: iothub.Authentication{Type: "sas", SymmetricKey: iothub.SymmetricKey{Primary: key, Secondary: key}},
		}}
		r.TwinETag = 1
		r.Tags = parse(t, d.tags)
		r.Desired = iothub.NewSection(wanted).Patch(parse(t, d.desired), wanted, true)
		r.Reported = iothub.NewSection(wanted).Patch(parse(t, d.reported), answered, false)
		batch.Insert = append(batch.Insert, r)
	}
	if err := s.Commit(&batch); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}

func parse(t testing.TB, document string) iothub.Document {
	t.Helper()
	d, err := iothub.ParseDocument([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return d
}

// manyStates is a device with a setting in every state that an offline device
// can be in.
var manyStates = fixture{
	id:   "states",
	tags: `{"location":{"region":"US","plant":"Redmond43"}}`,
	desired: `{"same":1,"text":"5","limit":30,"mode":"eco","quiet":true,
		"interval":{"seconds":2},"firmware":{"version":"1.4"}}`,
	reported: `{"same":1,"text":5,"limit":60,"mode":"eco",
		"interval":{"seconds":{"value":10,"ac":400,"av":2,"ad":"below 5 s"}},
		"firmware":{"version":{"value":"1.3","ac":202,"av":2}},
		"uptime":11240,"radio":{"rssi":-61}}`,
}
