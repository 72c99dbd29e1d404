package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

const simPath = "/h/local/simulator"

// simulate gives the board's hub a simulator.
func (b *board) simulate() *devicesim.Fleet {
	b.t.Helper()
	sim := devicesim.New(devicesim.Options{MQTTAddr: b.hub.MQTTAddr(), RootCAs: b.hub.RootCAs(), Now: b.now})
	b.server.hubs[0].Sim = sim
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := sim.Close(ctx); err != nil {
			b.t.Error("close simulator:", err)
		}
	})
	return sim
}

// simulated waits until that many devices are in a state.
func (b *board) simulated(sim *devicesim.Fleet, state devicesim.State, n int) {
	b.t.Helper()
	eventually(b.t, func() bool { return counts(sim.Devices())[state] == n }, fmt.Sprintf("%d devices are %s", n, state))
}

// rows are the ids of the simulated devices on a page.
func (p *page) simRows() []string {
	var ids []string
	for _, n := range p.all("[data-testid=sim-row]") {
		ids = append(ids, strings.TrimPrefix(attr(n, "id"), "sim-row-"))
	}
	return ids
}

func TestSimulatorEmpty(t *testing.T) {
	b := newBoard(t)
	b.simulate()
	p := b.get(simPath).wantStatus(http.StatusOK)
	p.want("[data-testid=sim-lead]", "No simulated devices.")
	p.want("title", "Simulator · No simulated devices — Twinboard")
	if got := len(p.all(".sim-preset")); got != 3 {
		t.Errorf("%d ways to begin, want 3", got)
	}
	b.get(simPath+"?lang=es").want("[data-testid=sim-lead]", "Ningún dispositivo simulado.")
}

// The whole way: start three, see them, switch one's network, send it a patch,
// stop it.
func TestSimulatorRunsDevices(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.get(simPath).form("form[data-testid=sim-start]").press("")
	b.simulated(sim, devicesim.Online, 3)
	p := b.get(simPath).wantStatus(http.StatusOK)
	p.want("[data-testid=sim-lead]", "3 simulated devices are online.")
	if got := p.simRows(); !slices.Equal(got, []string{"sim-001", "sim-002", "sim-003"}) {
		t.Fatalf("rows %v", got)
	}
	p.wantPart("#sim-row-sim-002 [data-testid=sim-state]", "online since")
	if got := reported(b, "sim-002"); got != "cellular" {
		t.Errorf("the device reported %v", got)
	}

	live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	row := b.fragment(simPath+"/connectivity", map[string]string{"id": "sim-002", "connectivity": "wifi", "back": simPath})
	row.wantStatus(http.StatusOK).want(".sim-connectivity [aria-pressed=true]", "Wi-Fi")
	if got := reported(b, "sim-002"); got != "wifi" {
		t.Errorf("the device reported %v, want wifi", got)
	}
	live.waitFor("sim-002", "connectivity wifi", "(version 3)")

	b.write("sim-002", iothub.TwinPatch{Desired: document(t, `{"power_level":1}`)})
	line := live.waitLine("data-kind=\"patch\"")
	for _, part := range []string{`data-append="sim-feed"`, "←", "power_level 1", "(version 2)", "sim-002"} {
		if !strings.Contains(line, part) {
			t.Errorf("the line of the patch lacks %q:\n%s", part, line)
		}
	}
	b.get(simPath).wantPart("#sim-row-sim-002 [data-testid=sim-patch]", "power_level 1 (version 2)")

	stopped := b.fragment(simPath+"/stop", map[string]string{"id": "sim-002", "back": simPath})
	stopped.wantStatus(http.StatusOK).wantPart("[data-testid=sim-state]", "stopped")
	b.simulated(sim, devicesim.Stopped, 1)
	after := b.get(simPath)
	after.want("[data-testid=sim-lead]", "2 simulated devices are online.")
	if feed := after.text("#sim-feed"); !strings.HasSuffix(feed, "sim-002 stopped") || strings.Contains(feed, "lost its connection") {
		t.Errorf("the feed of a device that was stopped: %s", feed)
	}
	gone := b.fragment(simPath+"/remove", map[string]string{"id": "sim-002", "back": simPath})
	if strings.TrimSpace(gone.text("body")) != "" {
		t.Errorf("a removed device leaves %q", gone.body)
	}
	if _, err := b.client.GetDevice(t.Context(), "sim-002"); err != nil {
		t.Errorf("taking a device off the list removed its identity: %v", err)
	}
}

func reported(b *board, id string) any { return b.twin(id).Properties.Reported.Value["connectivity"] }

// A device answers as it was started, and as it is switched to while it runs.
func TestSimulatorAnswers(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	state := func(want iothub.State) func() bool {
		return func() bool { d, ok := b.fleet.Get("sim-001"); return ok && d.Wanted == 1 && d.State == want }
	}
	b.post(simPath+"/start", map[string]string{"count": "1", "prefix": "sim", "answers": "nothing"})
	b.simulated(sim, devicesim.Online, 1)
	b.write("sim-001", iothub.TwinPatch{Desired: document(t, `{"power_level":1}`)})
	eventually(t, state(iothub.Waiting), "the device waits to be heard")

	row := b.fragment(simPath+"/answers", map[string]string{"id": "sim-001", "answers": "plain", "back": simPath})
	row.wantStatus(http.StatusOK).want(".sim-answers [aria-pressed=true]", "Answers")
	eventually(t, state(iothub.InSync), "the device answers")

	b.fragment(simPath+"/answers", map[string]string{"id": "sim-001", "answers": "pnp", "back": simPath}).wantStatus(http.StatusOK)
	eventually(t, state(iothub.Applying), "the device works on it")
	eventually(t, state(iothub.InSync), "the device acknowledges")
	b.fragment(simPath+"/answers", map[string]string{"id": "sim-001", "answers": "loudly", "back": simPath}).wantStatus(http.StatusBadRequest)

	// Started again, it answers as before.
	b.post(simPath+"/stop", map[string]string{"id": "sim-001"})
	b.simulated(sim, devicesim.Stopped, 1)
	b.post(simPath+"/device", map[string]string{"id": "sim-001"})
	b.simulated(sim, devicesim.Online, 1)
	b.get(simPath).want(".sim-answers [aria-pressed=true]", "Acknowledges")
}

// fragment posts a form as the page's script does.
func (b *board) fragment(path string, fields map[string]string) *page {
	b.t.Helper()
	v := make([]string, 0, len(fields))
	for name, value := range fields {
		v = append(v, name+"="+strings.ReplaceAll(value, "/", "%2F"))
	}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(strings.Join(v, "&")))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("HX-Request", "true")
	resp, err := b.person.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	return readPage(b.t, b.person, b.url, resp)
}

// waitLine reads frames until one contains a text, and returns it.
func (tab *tab) waitLine(part string) string {
	tab.t.Helper()
	for {
		if f := tab.next(); strings.Contains(f.data, part) {
			return f.data
		}
	}
}

// waitAll reads frames until each part has been in one.
func (tab *tab) waitAll(parts ...string) {
	tab.t.Helper()
	for len(parts) > 0 {
		f := tab.next()
		parts = slices.DeleteFunc(parts, func(part string) bool { return strings.Contains(f.data, part) })
	}
}

// A tab that comes back gets exactly the lines it missed.
func TestSimulatorReplaysLines(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.post(simPath+"/start", map[string]string{"count": "1", "prefix": "sim", "answers": "nothing"})
	b.simulated(sim, devicesim.Online, 1)
	p := b.get(simPath)
	first := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	b.write("sim-001", iothub.TwinPatch{Desired: document(t, `{"a":1}`)})
	var last string
	for last == "" {
		if f := first.next(); strings.Contains(f.data, `data-kind="patch"`) {
			last = f.id
		}
	}
	first.cancel()
	b.write("sim-001", iothub.TwinPatch{Desired: document(t, `{"a":2}`)})
	b.write("sim-001", iothub.TwinPatch{Desired: document(t, `{"a":3}`)})
	eventually(t, func() bool { d, _ := sim.Device("sim-001"); return d.Patches == 3 }, "the device has three patches")
	again := openTab(t, b.url+"/live"+simPath, http.Header{"Last-Event-ID": {last}})
	line := again.waitLine(`data-kind="patch"`)
	if strings.Contains(line, "a 1") || strings.Index(line, "a 2") > strings.Index(line, "a 3") || !strings.Contains(line, "a 2") {
		t.Errorf("replayed:\n%s", line)
	}
}

func TestSimulatorStartRefused(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	tests := []struct {
		name, path string
		fields     map[string]string
		field, en  string
	}{
		{"no number", "/start", map[string]string{"count": "many", "prefix": "x"}, "#sim-count-error", "Choose a whole number from 1 to 1,000."},
		{"too many", "/start", map[string]string{"count": "1001", "prefix": "x"}, "#sim-count-error", "Choose a whole number from 1 to 1,000."},
		{"no name", "/start", map[string]string{"count": "2", "prefix": ""}, "#sim-prefix-error", "Give the devices a name."},
		{"a forbidden name", "/start", map[string]string{"count": "2", "prefix": "a b"}, "#sim-prefix-error", "The character U+0020 is not possible"},
		{"an unknown device", "/device", map[string]string{"id": "nobody"}, "#sim-id-error", "There is no device of this name on hub local."},
		{"no device", "/device", map[string]string{"id": ""}, "#sim-id-error", "Name the device."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := b.post(simPath+tt.path, tt.fields).wantStatus(http.StatusUnprocessableEntity)
			p.wantPart(tt.field, tt.en)
			form := "form[data-testid=sim-start]"
			if tt.path == "/device" {
				form = "form[data-testid=sim-start-one]"
			}
			for name, value := range tt.fields {
				if got := p.form(form).Get(name); got != value {
					t.Errorf("%s is %q after the refusal, typed was %q", name, got, value)
				}
			}
		})
	}
	if n := len(sim.Devices()); n > 0 {
		t.Errorf("%d devices were started", n)
	}
}

func TestSimulatorRunsAnExistingDevice(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	for _, id := range []string{"100%", "O'Neil", "a?b"} {
		b.device(id, `{}`, `{"power_level":1}`)
		b.post(simPath+"/device", map[string]string{"id": id}).wantStatus(http.StatusOK)
	}
	b.simulated(sim, devicesim.Online, 3)
	p := b.get(simPath)
	if got := p.simRows(); !slices.Equal(got, []string{"100%", "O'Neil", "a?b"}) {
		t.Errorf("rows %v", got)
	}
	for _, id := range p.simRows() {
		b.get(b.server.hubs[0].devicePath(id) + "?dock=simulator").wantStatus(http.StatusOK)
	}
	p.wantPart("#sim-feed", "reads its twin: power_level 1 (version 2)")
}

func TestSimulatorStopsAll(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.post(simPath+"/start", map[string]string{"count": "51", "prefix": "x"})
	b.simulated(sim, devicesim.Online, 51)
	ask := b.get(b.get(simPath).href("[data-testid=stop-all]")).wantStatus(http.StatusOK)
	ask.wantPart("main", "Stop all 51 devices")
	form := ask.form("main form")
	form.press("")
	if n := counts(sim.Devices())[devicesim.Online]; n != 51 {
		t.Fatalf("without the number typed %d devices are left online", n)
	}
	form.Set("confirm", "51")
	form.press("").want("[data-testid=sim-lead]", "51 simulated devices are stopped.")
	b.simulated(sim, devicesim.Stopped, 51)
	p := b.get(simPath)
	if got := len(p.simRows()); got != 50 {
		t.Errorf("%d rows on the first page, want 50", got)
	}
	next := p.all("[data-testid=sim-devices] .cluster a")
	if len(next) != 1 {
		t.Fatal("no way to the other devices")
	}
	if got := b.get(attr(next[0], "href")).simRows(); !slices.Equal(got, []string{"x-051"}) {
		t.Errorf("the next page lists %v", got)
	}
}

// Names that are in use are passed over: a simulated device would push the real
// one out.
func TestSimulatorAvoidsNamesInUse(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.device("sim-001", `{}`, `{}`)
	b.connect("sim-001")
	eventually(t, func() bool { d, ok := b.fleet.Get("sim-001"); return ok && d.Connected }, "the picture shows the device online")
	b.post(simPath+"/start", map[string]string{"count": "2", "prefix": "sim"})
	b.simulated(sim, devicesim.Online, 2)
	if got := b.get(simPath).simRows(); !slices.Equal(got, []string{"sim-002", "sim-003"}) {
		t.Errorf("rows %v", got)
	}
}

func TestSimulatorShowsWhatFails(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	device, err := b.client.CreateDevice(t.Context(), iothub.Device{DeviceID: "off"})
	if err != nil {
		t.Fatal(err)
	}
	device.Status = iothub.StatusDisabled
	if _, err := b.client.UpdateDevice(t.Context(), device, nil); err != nil {
		t.Fatal(err)
	}
	b.post(simPath+"/device", map[string]string{"id": "off"})
	b.simulated(sim, devicesim.Backoff, 1)
	for lang, want := range map[string][2]string{
		"en": {"refuses the device: it is disabled or unknown", "Next try at"},
		"es": {"rechaza el dispositivo: está desactivado", "Próximo intento a las"},
	} {
		p := b.get(simPath + "?lang=" + lang)
		p.wantPart("#sim-row-off [data-testid=sim-reason]", want[0])
		p.wantPart("#sim-row-off [data-testid=sim-reason]", want[1])
	}
	b.get(simPath+"?lang=en").want("[data-testid=sim-lead]", "0 of 1 simulated device is online. 1 keeps trying.")

	b.stopHub()
	b.post(simPath+"/start", map[string]string{"count": "2", "prefix": "late"})
	eventually(t, func() bool { return len(b.server.starts[b.server.hubs[0]].state().failed) == 2 }, "two devices have failed")
	b.get(simPath+"?lang=en").wantPart("[data-testid=sim-progress]", "late-001 Its identity could not be read or registered")
}

func TestSimulatorBesideATwin(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.device("pump-1", `{}`, `{"power_level":1}`)
	p := b.get("/h/local/devices/pump-1?dock=simulator").wantStatus(http.StatusOK)
	p.wantPart("#side [data-testid=sim-this]", "pump-1 is not simulated.")
	live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	f := p.form("#sim-this form")
	if got := f.Get("back"); got != "/h/local/devices/pump-1?dock=simulator" {
		t.Errorf("the form leads back to %s", got)
	}
	f.press("").wantStatus(http.StatusOK)
	b.simulated(sim, devicesim.Online, 1)
	live.waitAll(`id="sim-this"`, "sim-row-pump-1", `data-kind="reported"`)
	p = b.get("/h/local/devices/pump-1?dock=simulator")
	if got := p.simRows(); !slices.Equal(got, []string{"pump-1"}) {
		t.Errorf("rows %v: the device of the page must be there once", got)
	}
	b.post(simPath+"/start", map[string]string{"count": "1", "prefix": "other"})
	b.simulated(sim, devicesim.Online, 2)
	p = b.get("/h/local/devices/pump-1?dock=simulator")
	p.want("#sim-feed a", "")
	if strings.Contains(p.text("#sim-feed"), "other-001") {
		t.Error("the feed beside a twin shows other devices")
	}
	b.get("/h/local/devices?dock=simulator").wantPart("#sim-feed", "other-001")
	b.get("/h/local/query?dock=simulator").wantStatus(http.StatusOK).wantPart("#side", "2 simulated devices are online.")
	if got := len(b.get(simPath + "?dock=simulator").all("[data-testid=simulator]")); got != 1 {
		t.Errorf("the simulator is on its own page %d times", got)
	}
}

// Every page has an event stream when something is docked beside it.
func TestDockedPagesAreLive(t *testing.T) {
	b := newBoard(t)
	b.simulate()
	b.device("pump-1", `{}`, `{}`)
	for _, path := range []string{
		"/h/local/devices", "/h/local/devices/pump-1", "/h/local/devices/pump-1?view=json", "/h/local/devices/pump-1?view=identity",
		"/h/local/devices/pump-1/edit/tags", "/h/local/query", "/h/local/query?q=SELECT+*+FROM+devices", "/h/local/add-device",
	} {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		p := b.get(path + sep + "dock=simulator")
		url := attr(p.all("body")[0], "data-live")
		if tab := openTab(t, b.url+url, nil); tab.status != http.StatusOK {
			t.Errorf("%s: stream %s answers %d", path, url, tab.status)
		}
	}
}

// TestDockedPanelAfterAGap paints the panel anew with the page when changes were
// missed that cannot be replayed; a page that shows nothing live is not read again
// for it. Only lines of a feed are lost, and the page says so.
func TestDockedPanelAfterAGap(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.server.hubs[0].Trace = feed.New[iothub.WireEntry](10)
	b.device("pump-1", `{}`, `{}`)
	b.known(1)
	b.post(simPath+"/device", map[string]string{"id": "pump-1"})
	b.simulated(sim, devicesim.Online, 1)
	for path, want := range map[string][]string{
		"/h/local/devices/pump-1?dock=simulator":           {"event gap", `id="sim-this"`, `id="sim-row-pump-1"`, `id="sim-summary"`, `id="twin-version"`},
		"/h/local/devices?dock=simulator":                  {"event gap", `id="sim-row-pump-1"`, `id="sim-summary"`},
		"/h/local/devices/pump-1/edit/tags?dock=simulator": {"event gap", `id="sim-this"`},
		"/h/local/devices/pump-1?dock=learn":               {`id="twin-version"`, `id="learn-status"`},
		"/h/local/devices/pump-1/edit/tags?dock=learn":     {`id="learn-status"`},
	} {
		live := attr(b.get(path).all("body")[0], "data-live")
		address, err := url.Parse(b.url + live)
		if err != nil {
			t.Fatal(err)
		}
		q := address.Query()
		q.Set("after", "0000-1")
		address.RawQuery = q.Encode()
		tab := openTab(t, address.String(), nil)
		tab.current()
		got := ""
		for !strings.Contains(got, "id=") && !strings.Contains(got, "event reload") {
			f := tab.next()
			got += "event " + f.event + "\n" + f.data
		}
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: no %s in %s", path, part, got)
			}
		}
		if strings.Contains(got, "event gap") != (want[0] == "event gap") || strings.Contains(got, "event reload") {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestSimulatorOnACloudHubAsksFirst(t *testing.T) {
	b := newBoardOf(t, false)
	sim := b.simulate()
	ask := b.post(simPath+"/start", map[string]string{"count": "30", "prefix": "x"}).wantStatus(http.StatusOK)
	ask.wantPart("main", "Run 30 simulated devices on hub local?")
	ask.wantPart("main", "x-020 and 10 more")
	if n := len(sim.Devices()); n > 0 {
		t.Fatalf("%d devices run before anyone agreed", n)
	}
	ask.form("main form").press("").wantStatus(http.StatusOK)
	b.simulated(sim, devicesim.Online, 30)
	b.device("pump-1", `{}`, `{}`)
	one := b.fragment(simPath+"/device", map[string]string{"id": "pump-1", "as": "this"})
	one.wantPart("main", "Run 1 simulated device on hub local?")
}

func TestSimulatorAsData(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.post(simPath+"/start", map[string]string{"count": "1", "prefix": "sim"})
	b.simulated(sim, devicesim.Online, 1)
	p := b.get(simPath + "?format=json").wantStatus(http.StatusOK)
	var got struct {
		Devices []struct{ DeviceID, State, Connectivity string }
	}
	if err := json.Unmarshal([]byte(p.body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Devices) != 1 || got.Devices[0].DeviceID != "sim-001" || got.Devices[0].State != "online" || got.Devices[0].Connectivity != "cellular" {
		t.Errorf("data %+v", got)
	}
}

// What a device says is text, whatever it looks like.
func TestSimulatorLineIsText(t *testing.T) {
	b := newBoard(t)
	sim := b.simulate()
	b.post(simPath+"/start", map[string]string{"count": "1", "prefix": "sim"})
	b.simulated(sim, devicesim.Online, 1)
	b.write("sim-001", iothub.TwinPatch{Desired: iothub.Document{"note": "<img src=x onerror=alert(1)>", "n": "5"}})
	eventually(t, func() bool { d, _ := sim.Device("sim-001"); return d.Patches == 1 }, "the patch has arrived")
	p := b.get(simPath)
	if len(p.all("img")) > 0 {
		t.Error("a value became markup")
	}
	p.wantPart("#sim-feed", `n "5", note <img src=x`)
}

// Every state, kind and problem that the simulator names has words.
func TestSimulatorWords(t *testing.T) {
	problems := []devicesim.Problem{
		devicesim.Refused, devicesim.Unavailable, devicesim.Unreachable, devicesim.HostUnknown, devicesim.PortBlocked,
		devicesim.TLSUnknownAuthority, devicesim.TLSName, devicesim.TLSTime, devicesim.TLSFailed, devicesim.Timeout, devicesim.Closed, devicesim.TwinRefused,
	}
	for _, p := range problems {
		if id := "simulator.problem." + string(p); !text.Has(id) {
			t.Error(id, "is missing")
		}
	}
	for _, s := range []devicesim.State{devicesim.Stopped, devicesim.Connecting, devicesim.Online, devicesim.Backoff} {
		if id := "simulator.state." + string(s); !text.Has(id) {
			t.Error(id, "is missing")
		}
	}
	for kind := range told {
		if id := "simulator.line." + string(kind); !text.Has(id) {
			t.Error(id, "is missing")
		}
	}
	for _, n := range devicesim.Connectivities {
		if id := "simulator.network." + n; !text.Has(id) {
			t.Error(id, "is missing")
		}
	}
}
