package main

import (
	"errors"
	"slices"
	"testing"

	"twinboard/hubclient/iothub"
)

const (
	plantQuery    = "SELECT * FROM devices WHERE tags.location.plant = 'Redmond43'"
	cellularQuery = plantQuery + " AND properties.reported.connectivity = 'cellular'"
)

// TestE2ETutorial clicks the whole tutorial in each language and asks the hub
// after each step whether it is true.
func TestE2ETutorial(t *testing.T) {
	t.Parallel()
	for lang, title := range map[string]string{"en": "Get started with device twins", "es": "Introducción a los dispositivos gemelos"} {
		t.Run(lang, func(t *testing.T) {
			p := serve(t)
			b := startBrowser(t).tab(t, p.Dashboard)
			b.open("/learn")
			if lang == "es" {
				b.follow(testid("language"))
			}
			if got := b.text("h1"); got != title {
				t.Errorf("heading %q, want %q", got, title)
			}
			walkTutorial(t, b, p)
		})
	}
}

func walkTutorial(t *testing.T, b *tab, p *program) {
	service, owner := p.client(t, "serviceAndRegistryRead"), p.client(t, "iothubowner")
	done := func(step, button string) {
		t.Helper()
		b.see(`[data-testid=learn][data-step="` + step + `"] [data-done=false]`)
		b.follow(testid(button))
		b.see(`[data-testid=learn][data-step="` + step + `"] [data-done=true]`)
	}
	twin := func() *iothub.Twin {
		t.Helper()
		tw, err := service.GetTwin(t.Context(), "myDeviceId")
		if err != nil {
			t.Fatal(err)
		}
		return tw
	}
	holds := func(query string, want bool) {
		t.Helper()
		if got := found(t, service, query); slices.Contains(got, "myDeviceId") != want {
			t.Errorf("%s finds %v; myDeviceId in it: want %v", query, got, want)
		}
	}

	done("1", "learn-check")
	if _, err := service.Statistics(t.Context()); err != nil {
		t.Errorf("the policy serviceAndRegistryRead: %v", err)
	}
	if _, err := owner.GetDevice(t.Context(), "myDeviceId"); !errors.Is(err, iothub.ErrDeviceNotFound) {
		t.Fatalf("before step 2 the device is there already: %v", err)
	}
	b.follow(testid("learn-next"))
	done("2", "learn-show")
	if _, err := owner.GetDevice(t.Context(), "myDeviceId"); err != nil {
		t.Errorf("step 2: %v", err)
	}
	b.follow(testid("learn-next"))
	done("3", "learn-show")
	tw := twin()
	if region, _ := tw.Tags.Get(iothub.ParsePath("location.region")); region != "US" {
		t.Errorf("step 3: tags %v", tw.Tags)
	}
	if tw.Properties.Desired.Version != 2 || len(tw.Properties.Desired.Value) != 1 {
		t.Errorf("step 3: desired %v version %d", tw.Properties.Desired.Value, tw.Properties.Desired.Version)
	}
	b.follow(testid("learn-next"))
	done("4", "learn-check")
	holds(plantQuery, true)
	holds(cellularQuery, false)
	b.follow(testid("learn-next"))
	done("5", "learn-show")
	tw = twin()
	if tw.ConnectionState != iothub.Connected || tw.Properties.Reported.Value["connectivity"] != "cellular" {
		t.Errorf("step 5: %s, reported %v", tw.ConnectionState, tw.Properties.Reported.Value)
	}
	b.follow(testid("learn-next"))
	done("6", "learn-show")
	holds(cellularQuery, true)
	if got := twin().Properties.Desired.Version; got != 3 {
		t.Errorf("step 6: desired version %d, want 3: the update was not sent again", got)
	}
	b.follow(testid("learn-next"))
	done("7", "learn-check")

	// Progress survives a reload; a reset forgets it and leaves the device.
	b.open("/learn")
	b.see(`[data-testid=learn][data-step="7"]`)
	b.click("#learn-reset > summary")
	b.follow(testid("learn-reset"))
	b.see(`[data-testid=learn][data-step="1"] [data-done=false]`)
	twin()
}
