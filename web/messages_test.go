package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

// sends publishes a message as the device.
func (b *board) sends(id string, properties url.Values, body string) {
	b.t.Helper()
	client := b.dial(id)
	b.wait(client.Publish(iothub.TelemetryTopic(id, "", properties), 1, false, body))
	client.Disconnect(0)
}

// heard waits until the dashboard has heard of so many messages.
func (b *board) heard(path, part string) *page {
	b.t.Helper()
	var p *page
	eventually(b.t, func() bool {
		p = b.get(path).wantStatus(http.StatusOK)
		return strings.Contains(p.text("main"), part)
	}, "the page shows "+part)
	return p
}

func TestMessagesPage(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.device("other", "{}", "{}")
	b.known(2)
	const path = pump + "?view=messages"
	p := b.get(path + "&show=methods").wantStatus(http.StatusOK)
	p.wantPart(".feed-empty", "that this filter shows")
	p.wantPart("#messages-send", "azure-iot-device")

	const wild = "<b>\u202e4 KB</b>"
	b.sends("other", nil, `{"not":"mine"}`)
	b.sends("pump-07", url.Values{"alert": {wild}, "$.ct": {"application/json"}}, `{"temperature":21.5,"nested":{"a":[1,2]}}`)
	b.sends("pump-07", nil, "plain")
	b.sends("pump-07", nil, "\xff\xfe")
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":60}`)})
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":30,"mode":"eco"}`)})
	b.write("pump-07", iothub.TwinPatch{Desired: document(t, `{"interval":null}`)})
	p = b.heard(path, "version 5")
	text := p.text("[data-feed]")
	for _, want := range []string{
		"Registered. by iothubowner", "Connected.", "Disconnected.",
		`{"temperature":21.5,"nested":{"a":[1,2]}} 41 bytes`, "→ Message plain", "not text, shown as base64 //4=",
		"Wanted, version 4: interval 60 → 30 mode eco by iothubowner", "interval 30 → removed",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "mine") {
		t.Error("the page shows another device's message")
	}
	p.want(".message-more .facts dd bdi", "application/json "+wild)
	p.wantPart(".message-text", "\"nested\": { \"a\": [ 1, 2 ] }")

	long := strings.Repeat("lorem ", 2000)
	b.sends("pump-07", nil, long)
	p = b.heard(path, "Read the whole message, 11.7 KB")
	status, body := b.body(http.MethodGet, p.href(".message-more a"), nil)
	if status != http.StatusOK || body != long {
		t.Errorf("the whole message: %d, %d bytes", status, len(body))
	}
	b.get("/h/local/messages/none").wantStatus(http.StatusNotFound).wantPart("main", "keeps long messages for a while only")

	p = b.get(path + "&show=telemetry&q=TEMPER")
	if n := len(p.all("[data-testid=message]")); n != 1 {
		t.Errorf("%d lines with the text among messages, want 1", n)
	}
	if n := len(p.all("[name=show][checked]")); n != 1 {
		t.Errorf("%d kinds are ticked, want 1", n)
	}
	status, body = b.body(http.MethodGet, path+"&show=telemetry&format=json", nil)
	if status != http.StatusOK || strings.Count(body, `"kind": "telemetry"`) != 4 || strings.Contains(body, "desired") {
		t.Errorf("as JSON: %d\n%s", status, body)
	}
	b.get("/h/local/devices/nobody?view=messages").wantStatus(http.StatusNotFound)
}

func TestMessagesAreLive(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.known(1)
	tab := b.open(pump + "?view=messages&show=telemetry")
	b.sends("pump-07", nil, `{"n":1}`)
	tab.waitFor(`data-append="messages-feed"`, `{&#34;n&#34;:1}`)
	tab = b.open(pump + "?view=messages")
	client := b.dial("pump-07")
	tab.waitFor(`id="twin-connection"`, "online")
	client.Disconnect(0)
	tab.waitFor(`id="twin-connection"`, "offline")
}

// TestMessagesTellGaps has the hub forget its feed: whatever happened meanwhile
// is unknown, and the page says so where it was.
func TestMessagesTellGaps(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.known(1)
	stream := attr(b.get(pump + "?view=messages").all("body")[0], "data-live")
	at, err := url.Parse(stream)
	if err != nil {
		t.Fatal(err)
	}
	q := at.Query()
	q.Set("after", "of-another-run")
	tab := openTab(t, b.url+at.Path+"?"+q.Encode(), nil)
	tab.waitFor(`data-kind="gap"`, "Something may be missing here")
}

// TestCloudHubSaysWhatIsNotVisible shows pages of a hub without a change feed:
// messages and deliveries are not there, and the pages say so.
func TestCloudHubSaysWhatIsNotVisible(t *testing.T) {
	b := &board{t: t}
	noFeed := func(r *http.Request) *iothub.Error {
		if r.URL.Path == "/changes" {
			return iothub.ErrResourceNotFound
		}
		return nil
	}
	b.refuse.Store(&noFeed)
	b.start()
	b.device("pump-07", "{}", `{"interval":30}`)
	eventually(t, func() bool { return b.fleet.Status().NoFeed }, "the dashboard knows that there is no feed")
	p := b.get(pump + "?view=messages").wantStatus(http.StatusOK)
	p.wantPart("[data-testid=messages-hidden]", "Messages are not visible on this hub")
	p.wantPart("#messages-monitor", "az iot hub monitor-events")
	if n := len(p.all("[data-feed]")); n != 0 {
		t.Error("the page listens to what nobody tells")
	}
	p = b.get(pump)
	p.wantPart(p.settingRow("interval")+" [data-testid=trace]", "On its way to the device: not visible on this hub")
}
