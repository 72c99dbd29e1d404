package web

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"twinboard/hubclient/iothub"
)

// answers makes the device answer each direct method by its name; others it
// leaves alone.
func (b *board) answers(id string, by map[string]func(payload string) (status int, answer string)) {
	b.t.Helper()
	client := b.dial(id)
	b.wait(client.Subscribe(iothub.FilterMethods, 0, func(_ mqtt.Client, m mqtt.Message) {
		name, rid, ok := strings.Cut(strings.TrimPrefix(m.Topic(), "$iothub/methods/POST/"), "/?$rid=")
		if answer := by[name]; ok && answer != nil {
			status, text := answer(string(m.Payload()))
			client.Publish(fmt.Sprintf("$iothub/methods/res/%d/?$rid=%s", status, rid), 0, false, text)
		}
	}))
}

func (b *board) calls(path, method, payload string, more map[string]string) *page {
	b.t.Helper()
	fields := map[string]string{"name": method, "payload": payload, "response": "30", "connect": "0"}
	maps.Copy(fields, more)
	return b.post(path+"/methods", fields)
}

// last is the newest call of the page.
func (p *page) last() string {
	p.t.Helper()
	calls := p.all("[data-testid=method-call]")
	if len(calls) == 0 {
		return ""
	}
	return attr(calls[0], "data-state") + ": " + strings.Join(wordsOf(calls[0]), " ")
}

func (b *board) becomes(path, want string) {
	b.t.Helper()
	var last string
	eventually(b.t, func() bool {
		last = b.get(path + "?view=methods").last()
		return strings.Contains(last, want)
	}, "the last call becomes "+want)
}

func TestMethodsPage(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.known(1)
	p := b.get(pump + "?view=methods").wantStatus(http.StatusOK)
	p.wantPart("[data-testid=methods-notice]", "pump-07 is offline. A call fails at once")
	p.wantPart("[data-testid=empty]", "No method called yet")
	b.calls(pump, "reboot", "", nil).wantStatus(http.StatusOK)
	b.becomes(pump, "offline: reboot")

	release := make(chan struct{})
	b.answers("pump-07", map[string]func(string) (int, string){
		"echo":   func(payload string) (int, string) { return 200, payload },
		"refuse": func(string) (int, string) { return 403, `{"reason":"<b>no</b>"}` },
		"garble": func(string) (int, string) { return 200, "not JSON" },
		"slow":   func(string) (int, string) { <-release; return 200, "1" },
	})
	p = b.heard(pump+"?view=methods", "pump-07 is online")
	if p.form("[data-testid=method-form]").Get("name") != "reboot" {
		t.Error("the form does not hold the last call")
	}
	b.calls(pump, "echo", `{"a": [1,2.50]}`, nil)
	b.becomes(pump, `Answered 200 after 0.0 s. { "a": [ 1, 2.50 ] }`)
	b.calls(pump, "refuse", "", nil)
	b.becomes(pump, `refused: refuse`)
	b.get(pump+"?view=methods").wantPart("[data-testid=method-call]", `pump-07 refused with 403 after 0.0 s. { "reason": "<b>no</b>" }`)
	b.calls(pump, "garble", "", nil)
	b.becomes(pump, "failed: garble")

	tab := b.open(pump + "?view=methods")
	b.calls(pump, "slow", `{"n":1}`, nil)
	tab.waitFor(`data-state="running"`, "Running for")
	b.ahead.Add(int64(20 * time.Second))
	tab.waitFor(`-state"`, "Running for 2", " seconds, of at most 30 seconds.")
	close(release)
	tab.waitFor(`data-state="answered"`)

	names := b.get(pump + "?view=methods").all("#method-names option")
	if len(names) != 5 || attr(names[0], "value") != "echo" {
		t.Errorf("%d names are offered", len(names))
	}
	status, body := b.body(http.MethodGet, pump+"?view=methods&format=json", nil)
	if status != http.StatusOK || !strings.Contains(body, `"error": "DeviceNotOnline"`) || !strings.Contains(body, `"status": 403`) {
		t.Errorf("as JSON: %d\n%s", status, body)
	}
	again := b.get(pump + "?view=methods").all("[data-testid=method-call] a")
	if f := b.get(attr(again[len(again)-1], "href")).form("[data-testid=method-form]"); f.Get("name") != "reboot" {
		t.Errorf("the first call again fills in %q", f.Get("name"))
	}
}

func TestMethodFormMistakes(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	for name, c := range map[string]struct {
		method, payload, response, connect string
		field, want                        string
	}{
		"no name":               {"", "", "30", "0", methodNameField, "Give the method a name."},
		"a name with a space":   {"re boot", "", "30", "0", methodNameField, "U+0020"},
		"a long name":           {strings.Repeat("x", 129), "", "30", "0", methodNameField, "at most 128"},
		"no JSON":               {"m", "{\n \"a\": x}", "30", "0", methodPayloadField, "Line 2, column 7"},
		"too much":              {"m", `"` + strings.Repeat("x", iothub.MaxMethodBytes) + `"`, "30", "0", methodPayloadField, "The limit is 128 KB"},
		"too short a time":      {"m", "", "4", "0", methodResponseField, "5 to 300"},
		"no time":               {"m", "", "soon", "0", methodResponseField, "5 to 300"},
		"a negative time":       {"m", "", "30", "-1", methodConnectField, "0 to 300"},
		"longer than the other": {"m", "", "30", "31", methodConnectField, "Not longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.calls(pump, c.method, c.payload, map[string]string{"response": c.response, "connect": c.connect}).wantStatus(http.StatusUnprocessableEntity)
			p.wantPart("#"+c.field+"-error", c.want)
			p.wantPart("[data-testid=errors] a[href='#"+c.field+"']", c.want)
			if f := p.form("[data-testid=method-form]"); f.Get("name") != c.method || strings.ReplaceAll(f.Get("payload"), "\r\n", "\n") != c.payload {
				t.Error("the form does not hold what was typed")
			}
		})
	}
	if p := b.get(pump + "?view=methods"); p.last() != "" {
		t.Errorf("a call was made: %s", p.last())
	}
}

// TestMethodOfModule calls a method of a module on the page that devices have.
func TestMethodOfModule(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.module("pump-07", "cam")
	b.calls(pump+"/modules/cam", "zoom", "", nil).wantStatus(http.StatusOK).want("h1", "cam")
	b.becomes(pump+"/modules/cam", "offline: zoom")
	if p := b.get(pump + "?view=methods"); p.last() != "" {
		t.Errorf("the device shows its module's call: %s", p.last())
	}
}

// TestMethodEndsWithTheDashboard closes the dashboard while a call waits.
func TestMethodEndsWithTheDashboard(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", "{}", "{}")
	b.calls(pump, "slow", "", map[string]string{"response": "300", "connect": "300"})
	b.get(pump+"?view=methods").wantPart("[data-testid=method-call]", "of at most 10 minutes")
	began := time.Now()
	if err := b.server.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("closing took %s", d)
	}
}
