package web

import (
	"net/http"
	"testing"
)

// TestHubsAreOneClickApart has two hubs: each page names its own and leads to
// the same place of the other.
func TestHubsAreOneClickApart(t *testing.T) {
	b := newBoard(t)
	b.device("pump-1", `{}`, `{}`)
	b.simulate()
	one := b.get("/h/local/devices").wantStatus(http.StatusOK)
	if got := one.href(".hub-chip"); got != "/h/local" {
		t.Errorf("the chip of the only hub leads to %q", got)
	}
	first := b.server.hubs[0]
	b.server.hubs = append(b.server.hubs, &Hub{Slug: "plant", Name: "Plant 5", HostName: first.HostName, Client: first.Client, Fleet: first.Fleet})
	for path, want := range map[string]string{
		"/h/local":                    "/h/plant",
		"/h/local/devices":            "/h/plant/devices",
		"/h/local/devices/pump-1":     "/h/plant/devices",
		"/h/local/query":              "/h/plant/query",
		"/h/local/changes":            "/h/plant/changes",
		"/h/local/simulator":          "/h/plant/simulator",
		"/h/local/learn/1":            "/h/plant",
		"/h/local/devices/nobody":     "/h/plant", // an error page has no place
		"/welcome":                    "/h/plant",
		"/h/local/nothing/of/the/way": "/h/plant",
	} {
		p := b.get(path)
		if got := p.href(".hub-switch .menu-item[data-environment=cloud]"); got != want {
			t.Errorf("%s leads to %s on the other hub, not to %s", path, got, want)
		}
		if n := len(p.all(".hub-switch .menu-item[aria-current][data-environment=local]")); n != 1 {
			t.Errorf("%s marks its hub %d times", path, n)
		}
	}
	there := b.get("/h/plant/query").wantStatus(http.StatusOK)
	there.wantPart(".hub-switch summary", "Plant 5")
	if got := there.href(".hub-switch .menu-item[data-environment=local]"); got != "/h/local/query" {
		t.Errorf("the way back is %s", got)
	}
}
