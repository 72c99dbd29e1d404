package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/views/text"
)

// post sends a form and follows where it leads.
func (b *board) post(path string, fields map[string]string) *page {
	b.t.Helper()
	v := url.Values{}
	for name, value := range fields {
		v.Set(name, value)
	}
	resp, err := b.person.PostForm(b.url+path, v)
	if err != nil {
		b.t.Fatal(err)
	}
	return readPage(b.t, b.person, b.url, resp)
}

// body asks for a path with a header and returns the answer's text.
func (b *board) body(method, path string, header map[string]string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := b.person.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// known waits until the picture is complete, holds that many devices, and what
// was written of them.
func (b *board) known(n int) {
	b.t.Helper()
	eventually(b.t, func() bool {
		status := b.fleet.Status()
		return status.Complete && status.Live && status.Known == n && b.upToDate()
	}, fmt.Sprintf("the fleet knows %d devices", n))
}

func (b *board) upToDate() bool {
	ok := true
	b.written.Range(func(id, version any) bool {
		d, known := b.fleet.Get(id.(string))
		ok = !known || d.Version >= version.(int64)
		return ok
	})
	return ok
}

// ids are the devices of the list, in its order.
func (p *page) ids() []string {
	var ids []string
	for _, row := range p.all("[data-testid=device-row]") {
		ids = append(ids, strings.TrimPrefix(attr(row, "id"), "device-"))
	}
	return ids
}

func (p *page) wantIDs(want ...string) {
	p.t.Helper()
	if got := p.ids(); !slices.Equal(got, want) {
		p.t.Errorf("%s lists %v, want %v", p.path, got, want)
	}
}

// href is the address of the only link a selector finds.
func (p *page) href(selector string) string {
	p.t.Helper()
	found := p.all(selector)
	if len(found) != 1 {
		p.t.Fatalf("%s: %d of %s", p.path, len(found), selector)
	}
	return attr(found[0], "href")
}

// fillSix registers six devices: two equal, one refused, two waiting, one
// without anything wanted.
func fillSix(b *board) {
	b.device("pump-01", `{"site":"oslo"}`, `{"interval":30}`)
	b.device("pump-02", `{"site":"oslo"}`, `{"interval":30}`)
	b.device("gate-01", `{"site":"madrid"}`, `{"mode":"eco","limits":{"max":80}}`)
	b.device("gate-02", `{"site":"madrid"}`, `{"mode":"eco"}`)
	b.device("Valve-1", `{"site":"lima"}`, `{"open":true}`)
	b.device("quiet", `{}`, `{}`)
	report, _ := b.connect("pump-01")
	report(`{"interval":30}`)
	report, leave := b.connect("pump-02")
	report(`{"interval":30}`)
	leave()
	report, _ = b.connect("gate-01")
	report(`{"mode":{"value":"eco","ac":400,"av":99,"ad":"too late"},"limits":{"max":80}}`)
	b.known(6)
	eventually(b.t, func() bool {
		d, _ := b.fleet.Get("gate-01")
		p, _ := b.fleet.Get("pump-02")
		return d.State == iothub.Rejected && !p.Connected && p.State == iothub.InSync
	}, "the fleet has the reports")
}

func TestDevicesList(t *testing.T) {
	b := newBoard(t)
	fillSix(b)
	all := b.get("/h/local/devices").wantStatus(http.StatusOK)
	all.wantIDs("Valve-1", "gate-01", "gate-02", "pump-01", "pump-02", "quiet")
	all.want("#devices-lead", "1 of 6 devices needs a look.")
	all.want("[data-testid=pager-count]", "1–6 of 6 devices")
	all.want(".pager-note", "kept up to date live")
	row := func(id string) string { return fmt.Sprintf("[id=%q]", "device-"+id) }
	all.want(row("gate-01")+" .state", "Rejected")
	all.want(row("gate-01")+" [data-label=Differs]", "1 of 2")
	all.want(row("gate-01")+" .connection", "online")
	all.want(row("pump-02")+" .connection", "offline")
	all.want(row("quiet")+" [data-label=State]", "nothing wanted")

	for query, want := range map[string][]string{
		"?q=PUMP":                            {"pump-01", "pump-02"},
		"?q=madrid":                          {"gate-01", "gate-02"},
		"?state=rejected":                    {"gate-01"},
		"?state=waiting-offline,rejected":    {"Valve-1", "gate-01", "gate-02"},
		"?state=nonsense,device-only":        {"Valve-1", "gate-01", "gate-02", "pump-01", "pump-02", "quiet"},
		"?conn=online":                       {"gate-01", "pump-01"},
		"?conn=online&q=pump&state=in-sync":  {"pump-01"},
		"?sort=-id":                          {"quiet", "pump-02", "pump-01", "gate-02", "gate-01", "Valve-1"},
		"?sort=state&state=rejected,in-sync": {"gate-01", "pump-01", "pump-02", "quiet"},
		"?sort=evil&from=%00&q=%F0%9F":       nil,
		"?tag.site=oslo":                     {"pump-01", "pump-02"},
		"?tag.site=oslo&tag.site=lima":       {"Valve-1", "pump-01", "pump-02"},
		"?tag.site=":                         {"quiet"},
		"?desired.interval=30&conn=online":   {"pump-01"},
		"?reported.interval=30&sort=-id":     {"pump-02", "pump-01"},
		"?desired.limits.max=80":             {"gate-01"},
		"?sort=tags.site":                    {"Valve-1", "gate-01", "gate-02", "pump-01", "pump-02", "quiet"},
		"?sort=-tags.site&q=-01":             {"pump-01", "gate-01"},
		"?status=disabled":                   nil,
	} {
		p := b.get("/h/local/devices" + query).wantStatus(http.StatusOK)
		p.wantIDs(want...)
	}
}

func TestDevicesFilterIsInTheAddress(t *testing.T) {
	b := newBoard(t)
	fillSix(b)
	p := b.get("/h/local/devices?q=o&state=rejected&conn=online&sort=-state")
	p.wantIDs("gate-01")
	p.want("[data-testid=chip]", "“o” Rejected online")
	form := p.form("[data-testid=filter] form")
	want := url.Values{"q": {"o"}, "state": {"rejected"}, "conn": {"online"}, "sort": {"-state"}}
	if form.Encode() != want.Encode() {
		t.Errorf("the search form carries %s, want %s", form.Encode(), want.Encode())
	}
	chips := p.all("[data-testid=chip]")
	for i, without := range []string{
		"conn=online&sort=-state&state=rejected", "conn=online&q=o&sort=-state", "q=o&sort=-state&state=rejected",
	} {
		if got := attr(chips[i], "href"); got != "/h/local/devices?"+without {
			t.Errorf("chip %d leads to %s, want ?%s", i, got, without)
		}
	}
	if got := p.href("th[aria-sort=descending] a"); got != "/h/local/devices?conn=online&q=o&sort=state&state=rejected" {
		t.Errorf("the sorted column leads to %s", got)
	}
	more := b.get(b.get("/h/local/devices?state=rejected").href(".facet-item[data-state=waiting-offline]"))
	if got := len(more.all("#facet-state [aria-current]")); got != 2 {
		t.Errorf("%d states are chosen, want 2", got)
	}
	if less := more.href(".facet-item[data-state=rejected]"); !strings.Contains(less, "state=waiting-offline") {
		t.Errorf("a chosen state does not let go: %s", less)
	}
	none := b.get("/h/local/devices?q=nothing&conn=offline")
	none.wantIDs()
	none.wantPart("[data-testid=empty]", "No device matches.")
	none.wantPart("[data-testid=empty]", "“nothing” · offline")
	if b.get(attr(none.all("[data-testid=empty] a")[0], "href")).ids() == nil {
		t.Error("taking the text away brings nothing back")
	}
}

// TestDevicesFacets: each facet says what choosing another of its values would
// bring, and chooses it.
func TestDevicesFacets(t *testing.T) {
	b := newBoard(t)
	fillSix(b)
	p := b.get("/h/local/devices?tag.site=oslo&col=desired.mode,reported.interval&sort=-reported.interval")
	p.wantIDs("pump-01", "pump-02")
	facet := "[id='facet-tags.site'] "
	p.want(facet+"[aria-current]", "oslo 2")
	p.want(facet+"ul", "madrid 2 oslo 2 lima 1 no value 1")
	p.want("#facet-connection ul", "online 1 offline 1")
	p.want("th[aria-sort=descending]", "reported.interval")
	p.want("[id=device-pump-01] [data-label='reported.interval']", "30")
	p.want("[id=device-pump-01] [data-label='desired.mode']", "–")
	both := b.get(attr(p.all(facet + "a")[0], "href"))
	both.wantIDs("pump-01", "pump-02", "gate-01", "gate-02")
	both.want("[data-testid=chip]", "tags.site: madrid, oslo")
	b.get(attr(p.all(facet + "a")[1], "href")).want("[data-testid=pager-count]", "1–6 of 6 devices")
	if form := p.form("[data-testid=columns] form"); form.Get("tag.site") != "oslo" || form.Get("sort") != "-reported.interval" {
		t.Errorf("the choice of columns forgets the filter: %s", form.Encode())
	}
	p.wantPart("[data-testid=columns]", "tags.site")
	p.wantPart("[data-testid=columns]", "5 devices")
	var data listData
	_, body := b.body(http.MethodGet, "/h/local/devices?tag.site=madrid&col=desired.limits.max&format=json", nil)
	if err := json.Unmarshal([]byte(body), &data); err != nil {
		t.Fatal(err)
	}
	if data.Total != 2 || data.Devices[0].Values["desired.limits.max"] != "80" || data.Facets[0].Values["oslo"] != 2 {
		t.Errorf("%+v", data)
	}
}

// TestDevicesThrottled: while a hub that asks to slow down has told nothing yet,
// the list holds its place, says why, and keeps what was chosen.
func TestDevicesThrottled(t *testing.T) {
	b := &board{t: t, person: newPerson(t)}
	b.startHub()
	refuse := func(r *http.Request) *iothub.Error {
		if r.URL.Path == "/devices/query" {
			return iothub.ErrThrottling
		}
		return nil
	}
	b.refuse.Store(&refuse)
	b.startDashboard()
	eventually(t, func() bool { return b.fleet.Status().Err != nil }, "the fleet is told to slow down")
	p := b.get("/h/local/devices?q=pump&conn=online").wantStatus(http.StatusOK)
	p.want("[data-testid=chip]", "“pump” online")
	p.wantPart("[data-testid=devices-notice]", "The hub asks to slow down. Trying again")
	p.wantPart("[data-testid=devices-notice]", "Try now")
	p.wantPart("#devices-facets", "online")
	p.want("#devices-facets .number", "") // nothing is known, which is not none
	if len(p.all("[data-testid=devices-reading]")) != 1 || len(p.all("[data-testid=empty]")) != 0 {
		t.Error("a list that is being read says that nothing matches")
	}
	b.refuse.Store(nil)
	b.device("pump-07", `{}`, `{}`)
	b.known(1)
}

// TestDevicesUnread: when reading failed before anything was known, list and
// overview say what, why and what to do, and neither promise rows nor count
// none. They fill by themselves when the hub answers.
func TestDevicesUnread(t *testing.T) {
	b := &board{t: t, person: newPerson(t)}
	b.startHub()
	refuse := func(r *http.Request) *iothub.Error {
		if r.URL.Path == "/devices/query" {
			return iothub.ErrUnauthorizedAccess
		}
		return nil
	}
	b.refuse.Store(&refuse)
	b.startDashboard()
	b.device("pump-07", `{}`, `{}`)
	eventually(t, func() bool { return b.fleet.Status().Err != nil }, "the fleet is refused")
	filled := map[*tab]string{}
	for path, part := range map[string]string{"/h/local/devices?q=pump": `id="device-pump-07"`, "/h/local": "Nothing is wanted of it yet."} {
		p := b.get(path).wantStatus(http.StatusOK)
		p.wantPart(".lead", "No device of this hub could be read yet.")
		p.wantPart("[data-testid=hub-unread]", text.T(text.With(t.Context(), "en"), "error.wrong-key.do"))
		p.wantPart("[data-testid=hub-unread]", "Trying again")
		if n := len(p.all(".skeleton, #devices-facets, [data-testid=empty]")); n != 0 {
			t.Errorf("%s still holds the place of rows, or counts none", path)
		}
		live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
		live.next()
		filled[live] = part
	}
	b.refuse.Store(nil)
	form := b.get("/h/local/devices?q=pump").form("[data-testid=hub-unread] form")
	if got := form.Get("back"); got != "/h/local/devices?q=pump" {
		t.Errorf("trying leads to %s", got)
	}
	form.press("").wantStatus(http.StatusOK)
	for live, part := range filled {
		live.waitFor(part)
	}
}

func TestDevicesPages(t *testing.T) {
	b := newBoard(t)
	var want []string
	for i := range 2*devicesPerPage + 3 {
		id := fmt.Sprintf("d-%03d", i)
		if _, err := b.client.CreateDevice(t.Context(), iothub.Device{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	b.known(len(want))
	first := b.get("/h/local/devices")
	first.wantIDs(want[:25]...)
	first.want("[data-testid=pager-count]", "1–25 of 53 devices")
	second := b.get(first.href("a[rel=next]"))
	second.wantIDs(want[25:50]...)
	second.want("[data-testid=pager-count]", "26–50 of 53 devices")
	third := b.get(second.href("a[rel=next]"))
	third.wantIDs(want[50:]...)
	if len(third.all("a[rel=next]")) != 0 {
		t.Error("there is a page after the last")
	}
	b.get(third.href("a[rel=prev]")).wantIDs(want[25:50]...)

	_, body := b.body(http.MethodGet, "/h/local/devices", map[string]string{"Accept": "application/json"})
	var data listData
	if err := json.Unmarshal([]byte(body), &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Devices) != 25 || data.Total != 53 || data.OfHub != 53 || !data.Complete || !data.Live || data.Devices[0].DeviceID != "d-000" {
		t.Errorf("JSON: %d devices, %+v", len(data.Devices), data.Devices[0])
	}
	if _, body = b.body(http.MethodGet, data.Next, nil); !strings.Contains(body, `"deviceId": "d-025"`) {
		t.Errorf("the next page as JSON: %.200s", body)
	}
	_, body = b.body(http.MethodGet, "/h/local/devices?format=csv&q=d-0", nil)
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(rows) != 54 || rows[0][0] != "deviceId" || rows[53][0] != "d-052" {
		t.Errorf("CSV holds %d rows, %v", len(rows), err)
	}
}

func TestDevicesUnknownToTheList(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	b.known(1)
	p := b.get("/h/local/devices?q=pump-99")
	if got := p.href("[data-testid=open-directly] a"); got != "/h/local/devices/pump-99" {
		t.Errorf("opens %s", got)
	}
	if p := b.get("/h/local/devices?q=pump-07"); len(p.all("[data-testid=open-directly]")) != 0 {
		t.Error("a known device is offered as unknown")
	}
	if p := b.get("/h/local/devices?q=no+id+at+all"); len(p.all("[data-testid=open-directly]")) != 0 {
		t.Error("a text that is no id is offered")
	}
	missing := b.get("/h/local/devices/pimp-07?view=identity").wantStatus(http.StatusNotFound)
	missing.want("h1", "No device pimp-07")
	var ways []string
	for _, a := range missing.all("[data-testid=error] a") {
		ways = append(ways, attr(a, "href"))
	}
	if want := []string{"/h/local/devices/pump-07", "/h/local/devices"}; !slices.Equal(ways, want) {
		t.Errorf("the ways on are %v, want the nearest device and the list: %v", ways, want)
	}
}

func TestDevicesNone(t *testing.T) {
	b := newBoard(t)
	b.known(0)
	p := b.get("/h/local/devices")
	p.wantPart("[data-testid=empty]", "No devices yet.")
	if got := attr(p.all("[data-testid=empty] a")[0], "href"); got != "/h/local/add-device" {
		t.Errorf("the first way on is %s", got)
	}
}

func TestDevicesWhileTheHubIsAway(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	b.known(1)
	b.stopHub()
	eventually(t, func() bool { return b.fleet.Status().Err != nil }, "the fleet notices")
	p := b.get("/h/local/devices").wantStatus(http.StatusOK)
	p.wantIDs("pump-07")
	p.wantPart("[data-testid=devices-notice]", "The local hub does not run.")
	p.wantPart("[data-testid=devices-notice]", "The list shows what was known just now. Trying again")
	live := openTab(t, b.url+attr(p.all("body")[0], "data-live"), nil)
	live.next()
	live.waitFor(`id="devices-notice"`, "Trying again in 1 s.")
}

// oddIDs are allowed and mean something in addresses or HTML.
var oddIDs = []string{"100%", "a?b", "O'Neil", "pump.json", "a#b", ".", "..", "...", "a+b", "a=b,c;d", "a:b@c", "$x(y)!", "*", "%41", "new", "edit"}

func TestOddIDs(t *testing.T) {
	b := newBoard(t)
	for _, id := range oddIDs {
		p := b.post("/h/local/add-device", map[string]string{"id": id}).wantStatus(http.StatusOK)
		p.want("h1", id)
		p.wantPart("#flashes", id+" was added.")
		b.get(b.server.hubs[0].devicePath(id)).wantStatus(http.StatusOK).want("h1", id)
	}
	b.known(len(oddIDs))
	list := b.get("/h/local/devices")
	for _, id := range oddIDs {
		link := list.href(fmt.Sprintf("[id=%q] a.row-link", "device-"+id))
		b.get(link).wantStatus(http.StatusOK).want("h1", id)
		identity := b.get(link + "?view=identity").wantStatus(http.StatusOK)
		secret := attr(identity.all("form[data-secret]")[0], "action")
		if _, got := b.body(http.MethodPost, secret, nil); !strings.Contains(got, "DeviceId="+id+";") {
			t.Errorf("%s: its connection string is %q", id, got)
		}
		form := b.get(link + "/delete").form("main form")
		form.Set("confirm", id)
		form.press("").wantStatus(http.StatusOK).wantPart("#flashes", id+" was deleted.")
	}
	b.known(0)
}

func TestDeviceAdd(t *testing.T) {
	b := newBoard(t)
	b.device("taken", `{"keep":true}`, `{}`)
	for name, c := range map[string]struct{ id, message string }{
		"a space":       {"pump 07", "The character U+0020 is not possible in a device name."},
		"an accent":     {"válvula", "The character á is not possible"},
		"a slash":       {"a/b", "The character / is not possible"},
		"too long":      {strings.Repeat("x", 129), "The name has 129 characters. A device name has at most 128."},
		"taken already": {"taken", "The hub already has a device taken."},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.post("/h/local/add-device", map[string]string{"id": c.id}).wantStatus(http.StatusUnprocessableEntity)
			p.wantPart("#add-page-id-error", c.message)
			if field := p.all("#add-page-id")[0]; attr(field, "value") != c.id || attr(field, "aria-describedby") != "add-page-id-error add-page-id-hint" {
				t.Errorf("what was typed is lost, or not described: %v", field.Attr)
			}
		})
	}
	wantDocument(t, "the device that has the name", b.twin("taken").Tags, `{"keep":true}`)
	t.Run("in the dialog", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/h/local/add-device",
			strings.NewReader("prefix=add-dialog-&id=pump+07"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("HX-Request", "true")
		resp, err := b.person.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		p := readPage(t, b.person, b.url, resp).wantStatus(http.StatusUnprocessableEntity)
		p.wantPart("#add-dialog-id-error", "U+0020")
		if strings.Contains(p.body, "<html") {
			t.Error("the dialog got a whole page")
		}
	})
	t.Run("no name makes one up", func(t *testing.T) {
		p := b.post("/h/local/add-device", map[string]string{"id": "  "}).wantStatus(http.StatusOK)
		if !regexp.MustCompile(`^device-[0-9a-f]{6}$`).MatchString(p.text("h1")) {
			t.Errorf("the name is %q", p.text("h1"))
		}
	})
	t.Run("the next page says what to do", func(t *testing.T) {
		p := b.post("/h/local/add-device", map[string]string{"id": " pump-07 "}).wantStatus(http.StatusOK)
		if got := attr(p.all("[data-testid=next-steps] a")[0], "href"); got != "/h/local/devices/pump-07" {
			t.Errorf("leads to %s", got)
		}
		if len(b.get(p.path).all(".flash")) != 0 {
			t.Error("the message is shown twice")
		}
	})
}

func TestDevicesLive(t *testing.T) {
	b := newBoard(t)
	for _, id := range []string{"b", "c", "d"} {
		b.device(id, `{}`, `{}`)
	}
	b.known(3)
	list := b.get("/h/local/devices?lang=es")
	tab := openTab(t, b.url+attr(list.all("body")[0], "data-live"), nil)
	if f := tab.next(); f.event != "version" {
		t.Fatalf("first event %+v", f)
	}
	b.write("c", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)})
	tab.waitFor(`id="device-c"`, "Esperando al dispositivo", "0 de 1")
	if err := b.client.DeleteDevice(t.Context(), "d", nil); err != nil {
		t.Fatal(err)
	}
	tab.waitFor(`id="device-d"`, "eliminado")
	b.device("a", `{}`, `{}`)
	tab.waitFor(`id="devices-order"`, "Un dispositivo cambió de lugar", `href="/h/local/devices"`)
	b.get("/h/local/devices").wantIDs("a", "b", "c")
}

// waitFor takes frames until one holds all parts, in any order.
func (tab *tab) waitFor(parts ...string) {
	tab.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	var last string
	for time.Now().Before(deadline) {
		last = tab.next().data
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(last, part) }) {
			return
		}
	}
	tab.t.Fatalf("no frame with %q; the last was\n%s", parts, last)
}

func TestEveryPageSpeaksBothLanguages(t *testing.T) {
	b := newBoard(t)
	fillSix(b)
	id := regexp.MustCompile(`\b(devices|identity|error|layout|nav|state|device-id|connection|action|form|pager|limit|twin|modules|messages|methods|trace)\.[a-z][a-z.-]*\b`)
	english := regexp.MustCompile(`\b(the|device|and|with)\b`)
	for _, path := range []string{
		"/h/local/devices", "/h/local/devices?q=none&state=rejected,waiting&conn=offline", "/h/local/add-device",
		"/h/local/devices/gate-01?view=identity&added=1", "/h/local/devices/gate-01/delete", "/h/local/devices/gate-01/disable",
		"/h/local/devices/gate-99?view=identity", "/h/local/devices/gate-01?view=modules", "/h/local/devices/gate-01?view=messages", "/h/local/devices/gate-01?view=methods",
		"/h/local/devices/gate-01/modules/none", "/h/none/devices", "/nowhere",
	} {
		for _, lang := range text.Languages() {
			p := b.get(path + map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "lang=" + lang)
			words := p.text("body") + p.text("title")
			for _, code := range p.all("pre") { // what is typed elsewhere has no language
				words = strings.ReplaceAll(words, strings.Join(wordsOf(code), " "), "")
			}
			if found := id.FindString(words); found != "" {
				t.Errorf("%s in %s shows the message id %s", path, lang, found)
			}
			if found := english.FindString(words); lang == "es" && found != "" {
				t.Errorf("%s in es says %q", path, found)
			}
		}
	}
}

func TestMoved(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []uint32
		want int
	}{
		"the same":              {[]uint32{1, 2, 3}, []uint32{1, 2, 3}, 0},
		"one new at the top":    {[]uint32{1, 2, 3}, []uint32{9, 1, 2}, 1},
		"one gone, none after":  {[]uint32{1, 2, 3}, []uint32{1, 3}, 1},
		"one up":                {[]uint32{1, 2, 3, 4}, []uint32{4, 1, 2, 3}, 1},
		"turned around":         {[]uint32{1, 2, 3}, []uint32{3, 2, 1}, 2},
		"all others":            {[]uint32{1, 2}, []uint32{3, 4}, 2},
		"the first device ever": {nil, []uint32{1}, 1},
	} {
		if got := moved(c.a, c.b); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestRowsAreReadAgain is about a hub that tells nothing by itself: the rows that
// somebody looks at are read by id between two readings of the whole hub.
func TestRowsAreReadAgain(t *testing.T) {
	b := newCrawledBoard(t, time.Hour)
	complete := func(n int) {
		t.Helper()
		eventually(t, func() bool { s := b.fleet.Status(); return s.Complete && s.Known == n }, fmt.Sprintf("%d devices are read", n))
	}
	complete(0)
	b.devices("d", 30)
	var all []string
	for i := range 30 {
		all = append(all, fmt.Sprintf("d%03d", i))
	}
	if _, err := b.fleet.Refresh(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	complete(30)
	var read sync.Map
	b.refuse.Store(new(func(r *http.Request) *iothub.Error {
		if id, twin := strings.CutPrefix(r.URL.Path, "/twins/"); twin && r.Method == http.MethodGet {
			read.Store(id, true)
		}
		return noChangeFeed(r)
	}))
	tab := b.open("/h/local/devices")
	b.write("d003", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)})
	b.write("d029", iothub.TwinPatch{Desired: document(t, `{"interval":30}`)})
	if err := b.client.DeleteDevice(t.Context(), "d004", nil); err != nil {
		t.Fatal(err)
	}
	tab.until("device-d003", "waiting-offline")
	tab.until("device-d004", "deleted")
	tab.waitFor("these rows")
	seen := 0
	read.Range(func(any, any) bool { seen++; return true })
	if _, hidden := read.Load("d029"); seen != devicesPerPage || hidden {
		t.Errorf("%d devices were read, one of another page: %v", seen, hidden)
	}
	if d, _ := b.fleet.Get("d029"); d.Wanted != 0 {
		t.Error("the row of another page is up to date, so something else has read it")
	}
}
