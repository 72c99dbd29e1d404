package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/views/text"
	"twinboard/web/store"
)

func TestWelcome(t *testing.T) {
	b := newBoard(t)
	first := b.get("/").wantStatus(http.StatusOK)
	if first.path != "/welcome" {
		t.Fatalf("the first visit leads to %s", first.path)
	}
	first.wantPart("[data-testid=door-connect]", "twinboard --hub cloud=@hub.txt")
	if got := first.href("[data-testid=door-learn] .button"); got != "/h/local/learn" {
		t.Errorf("the tutorial's door leads to %s", got)
	}
	b.get(first.href("[data-testid=door-look] .button")).wantStatus(http.StatusOK).want("h1", "Overview")
	if again := b.get("/"); again.path != "/h/local" {
		t.Errorf("the second visit leads to %s", again.path)
	}
	if got := b.get("/h/local").href(".menu-panel a[href='/welcome']"); got != "/welcome" {
		t.Error("help does not lead back to the welcome page")
	}
}

func TestOverview(t *testing.T) {
	b := newBoard(t)
	fillSix(b)
	p := b.get("/h/local").wantStatus(http.StatusOK)
	p.want("#overview-lead", "1 of 6 devices needs a look.")
	p.wantPart("#overview-more", "3 are in sync. 2 are waiting for an answer. Nothing is wanted of one of them.")
	for state, want := range map[string]string{"rejected": "1", "in-sync": "3", "waiting-offline": "2"} {
		count := fmt.Sprintf(".state-count[data-state=%s]", state)
		p.want(count+" .state-number", want)
		list := b.get(p.href(count))
		if list.path != "/h/local/devices?state="+state || fmt.Sprint(len(list.ids())) != want {
			t.Errorf("%s leads to %s with %d devices", state, list.path, len(list.ids()))
		}
	}
	p.want(".state-offline .state-number", "4")
	p.wantPart("[data-testid=look-row]", "gate-01")
	p.wantPart("[data-testid=look-row]", "mode refused: too late")
	b.get(p.href("[data-testid=see-all]")).wantIDs("gate-01")
	if got := p.href(".hub-chip"); got != "/h/local" {
		t.Errorf("the hub chip leads to %s", got)
	}
	var places []string
	for _, a := range p.all(".rail a") {
		places = append(places, attr(a, "data-key"))
	}
	if d := cmp.Diff([]string{"g o", "g d", "g q", "g c", "g s"}, places); d != "" {
		t.Error(d)
	}
	_, body := b.body(http.MethodGet, "/h/local?format=json", nil)
	var data overviewData
	if err := json.Unmarshal([]byte(body), &data); err != nil || data.NeedsLook != 1 || data.States["in-sync"] != 3 || data.Unwanted != 1 ||
		len(data.Attention) != 1 || data.Attention[0].DeviceID != "gate-01" || !data.Live || data.Connections[iothub.Connected] != 2 {
		t.Errorf("%v: %s", err, body)
	}
}

func TestOverviewOfNothing(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	p := b.get("/h/local")
	p.wantPart("[data-testid=empty]", "No devices yet.")
	if got := p.href("[data-testid=empty] a[href*=connect]"); got != "/welcome#connect" {
		t.Error(got)
	}
	t.Run("the first device appears by itself", func(t *testing.T) {
		live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
		live.current()
		b.device("pump", `{}`, `{}`)
		if f := live.next(); !strings.Contains(f.data, `id="overview-body"`) || !strings.Contains(f.data, "overview-lead") {
			t.Errorf("%+v", f)
		}
	})
}

func TestOverviewIsLive(t *testing.T) {
	b := newBoard(t)
	b.device("pump", `{}`, `{"interval":30}`)
	b.known(1)
	p := b.get("/h/local")
	p.want("#overview-lead", "No device needs a look. One is waiting for an answer.")
	live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	live.next()
	report, _ := b.connect("pump")
	report(`{"interval":30}`)
	waitFor := func(part string) {
		t.Helper()
		for !strings.Contains(live.next().data, part) {
		}
	}
	waitFor("The device is as wanted.")
	b.write("pump", iothub.TwinPatch{Tags: document(t, `{"site":"oslo"}`)})
	waitFor("<bdi class=\"value change-path\">site</bdi>")
}

func TestOverviewWhileTheHubIsAway(t *testing.T) {
	b := newBoard(t)
	b.device("pump", `{}`, `{}`)
	b.known(1)
	p := b.get("/h/local")
	if has(p.all("#overview-notice")[0], "hidden") == false {
		t.Error("a notice without reason")
	}
	live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	live.next()
	b.stopHub()
	said := map[string]bool{}
	for countdown := false; !countdown || !said["away\n"]; { // both come by themselves
		f := live.next()
		if f.event == "hub" {
			said[f.data] = true
		}
		countdown = countdown || strings.Contains(f.data, "Trying again in")
	}
	if !said["on\n"] {
		t.Errorf("the stream said of its hub only %v", said)
	}
	away := b.get("/h/local").wantStatus(http.StatusOK)
	away.wantPart("#overview-lead", "The device is as wanted.")
	away.wantPart("#overview-notice", "The local hub does not run.")
	away.wantPart("#overview-notice", "Last contact "+time.Now().Format("15:"))
	away.form("#overview-notice form").press("").wantStatus(http.StatusOK)
}

func TestHowCurrentAHubIs(t *testing.T) {
	now := time.Now()
	whole := fleet.Status{Known: 3, Complete: true, AsOf: now}
	with := func(change func(*fleet.Status)) fleet.Status {
		s := whole
		change(&s)
		return s
	}
	for want, s := range map[string]fleet.Status{
		"on":      with(func(s *fleet.Status) { s.Live = true }),
		"reading": {Filling: true},
		"polled":  with(func(s *fleet.Status) { s.NoFeed, s.AsOf = true, now.Add(-time.Minute) }),
		"away":    with(func(s *fleet.Status) { s.Err = &hubclient.ConnectionError{Kind: hubclient.Unreachable} }),
		"busy":    with(func(s *fleet.Status) { s.Live, s.Err = true, &hubclient.ThrottledError{} }),
		"stale":   with(func(s *fleet.Status) { s.AsOf = now.Add(-time.Minute) }),
	} {
		if got := hubState(s, now); got != want {
			t.Errorf("%+v is %s, want %s", s, got, want)
		}
	}
	if got := hubState(with(func(s *fleet.Status) { s.Err = iothub.ErrUnauthorizedAccess }), now); got != "stale" {
		t.Errorf("a hub that refuses is %s", got)
	}
	if got := hubState(with(func(s *fleet.Status) { s.AsOf = now.Add(-time.Second) }), now); got != "on" {
		t.Errorf("a feed that comes back at once is %s", got)
	}
}

func TestOverviewNotices(t *testing.T) {
	s := newServer(t, nil)
	o := &overview{Server: s, h: s.hubs[0]}
	ctx := text.With(context.Background(), "en")
	now := s.now()
	throttled := fleet.Status{Known: 12, AsOf: now.Add(-48 * time.Hour), RetryAt: now.Add(11500 * time.Millisecond), Err: &hubclient.ThrottledError{RetryAfter: 12 * time.Second}}
	if n := o.notice(ctx, throttled); n.Title != "The hub asks to slow down." || !strings.HasSuffix(n.Text, "Trying again in 12 s.") || !strings.Contains(n.Text, text.Date(ctx, throttled.AsOf.Local())) {
		t.Errorf("%+v", n)
	}
	p := o.props(ctx, fleet.Summary{Known: 12_480, States: map[iothub.State]int{iothub.InSync: 12_480}}, fleet.Status{Known: 12_480, Total: 100_000, Filling: true}, nil)
	if p.Shape != "full" || p.Filling != "12,480 of about 100,000 devices read so far. The numbers still grow." {
		t.Errorf("%+v", p)
	}
	if p := o.props(ctx, fleet.Summary{}, fleet.Status{Err: iothub.ErrUnauthorizedAccess}, nil); p.Lead != "No device of this hub could be read yet." {
		t.Errorf("of a hub that refuses the overview says %q", p.Lead)
	}
	if p := o.props(ctx, fleet.Summary{}, fleet.Status{Filling: true}, nil); p.Shape != "reading" || p.Lead != "Reading the devices of this hub…" {
		t.Errorf("%+v", p)
	}
}

func TestOverviewTutorialDoor(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	b.get("/h/local").wantPart("[data-testid=door-tutorial]", "7 steps")
	if err := b.server.store.StartTutorial(t.Context(), "local", "d", time.Now()); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := b.server.store.SetTutorialStep(t.Context(), "local", fmt.Sprint(i+1), store.Step{State: "done", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	p := b.get("/h/local")
	p.wantPart("[data-testid=door-tutorial]", "2 of 7 done")
	if n := len(p.form("[data-testid=door-tutorial] form").press("").all("[data-testid=door-tutorial]")); n != 0 {
		t.Error("the closed card is there again")
	}
}

func TestStateBarShowsTheSmallest(t *testing.T) {
	widths := partWidths(fleet.Summary{Known: 100_000, States: map[iothub.State]int{iothub.InSync: 99_999, iothub.Rejected: 1}})
	if sum := widths[iothub.InSync] + widths[iothub.Rejected]; widths[iothub.Rejected] < 1 || sum < 99.99 || sum > 100.01 {
		t.Errorf("%v", widths)
	}
}
