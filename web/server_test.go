package web

import (
	"log/slog"
	"path/filepath"
	"testing"

	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// newServer makes a dashboard of one hub that nothing answers for; log may be
// nil.
func newServer(t testing.TB, log *slog.Logger) *Server {
	t.Helper()
	client, err := hubclient.New(iothub.ServiceConnectionString{
		HostName: "localhost:1", SharedAccessKeyName: "iothubowner", SharedAccessKey: "c2VjcmV0",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s, err := New(Options{
		Hubs:  []Hub{{Slug: "local", Name: "local", Local: true, HostName: "localhost:1", Client: client, Fleet: fleet.New(client, fleet.Options{})}},
		Store: openStore(t), Log: log, Version: "v1", Hosts: []string{"board.example:8080"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	return openStoreAt(t, filepath.Join(t.TempDir(), "dashboard.db"))
}

func openStoreAt(t testing.TB, path string) *store.Store {
	t.Helper()
	kept, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return kept
}
