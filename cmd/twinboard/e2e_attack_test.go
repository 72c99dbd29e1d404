package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// hostile is text that would run, or deceive, on a page that lets it.
var hostile = []string{
	`<script>pwned=1</script>`,
	`"><img src=x onerror=pwned=1>`,
	`'><svg onload=pwned=1>`,
	`</script><script>pwned=1</script>`,
	`</textarea><script>pwned=1</script>`,
	`javascript:pwned=1`,
	`<form action=//evil.example><button>Apply</button></form>`,
	`{{constructor.constructor("pwned=1")()}}`,
	"\u202egnp.exe\u2066\u200f",
	"=HYPERLINK(\"//evil.example\")",
	strings.Repeat("<b>", 1300),
}

// attackerID is the hostile device's name.
const attackerID = `a'b%3Cb?c#d;(e)$*@,=!:.._`

// attacker is a device whose every text is hostile: its id as far as ids allow.
func attacker(t *testing.T) fixture {
	t.Helper()
	tags, desired, reported := map[string]any{}, map[string]any{}, map[string]any{}
	for i, text := range hostile {
		name := fmt.Sprintf("n%02d", i)
		if i != len(hostile)-1 {
			tags[name] = text
		}
		desired[name], reported[name] = text, text
		reported["own"+name] = text
	}
	for _, section := range []map[string]any{tags, desired, reported} {
		section[`<script>pwned=1</script>`] = "a name that is markup"
		section[`'onmouseover='pwned=1'`] = "a name that is an attribute"
	}
	reported["ack"] = map[string]any{"value": 1, "ac": 400, "av": 2, "ad": hostile[1]}
	desired["ack"] = 2
	return fixture{id: attackerID, tags: document(t, tags), desired: document(t, desired), reported: document(t, reported)}
}

func document(t *testing.T, v any) string {
	t.Helper()
	b, err := iothub.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pagesOf are the pages that show a device, and those it turns up on.
func pagesOf(id string) []string {
	device := "/h/local/devices/" + url.PathEscape(id)
	query := func(q string) string { return "/h/local/query?q=" + url.QueryEscape(q) }
	return []string{
		"/h/local", "/h/local/devices", "/h/local/devices?q=" + url.QueryEscape(hostile[0]), "/h/local/changes", "/h/local/simulator",
		device, device + "?view=json", device + "?view=identity", device + "?view=modules", device + "?view=history",
		device + "?view=messages", device + "?view=methods", device + "?dock=simulator", device + "?dock=learn",
		device + "/edit/desired", device + "/edit/tags?as=json", device + "/delete", device + "/disable",
		query("SELECT * FROM devices"), query("SELECT deviceId, tags FROM devices"), query("SELECT * FROM devices WHERE tags.x = '" + hostile[0] + "'"),
		query(hostile[1]), "/h/local/devices/" + url.PathEscape(hostile[0]), "/h/" + url.PathEscape(hostile[0]) + "/devices",
		"/h/local/query?as=json&q=" + url.QueryEscape("SELECT * FROM devices"),
	}
}

// TestE2EStoredMarkup opens every page of a device whose texts are hostile. What
// the content policy blocks complains on the console, which fails the test too.
func TestE2EStoredMarkup(t *testing.T) {
	t.Parallel()
	device := attacker(t)
	p := startProgram(t, "serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0",
		"--log-level", "error", "--data", prepare(t, device))
	b := startBrowser(t).tab(t, p.Dashboard)
	for _, path := range pagesOf(device.id) {
		b.open(path)
		b.until(path, `document.readyState === "complete"`)
		if b.is(`"pwned" in window`) {
			t.Errorf("%s ran what the device said", path)
		}
		if n := b.evaluateText(`String(document.querySelectorAll("img, svg[onload], form[action*=evil], main b, a[href^='javascript:' i], [onerror], [onmouseover]").length)`); n != "0" {
			t.Errorf("%s holds %s elements of the device's making", path, n)
		}
		if b.is(`document.documentElement.scrollWidth > innerWidth + 1`) {
			t.Errorf("%s scrolls sideways", path)
		}
	}
	// Sent by hand, whatever a person or a page types stays text as well.
	b.open("/h/local/add-device")
	b.fill("[name=id]", hostile[0])
	b.click(testid("add-form") + " .button-primary")
	b.see(".field-error")
	if b.is(`"pwned" in window`) || !b.is(`document.querySelector("[name=id]").value === `+string(quoted(hostile[0]))) {
		t.Error("the form did not keep what was typed as text")
	}
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // a text: never fails
	return b
}

// crawler reads pages as a script of another program would.
type crawler struct {
	t    *testing.T
	base string
	seen map[string]bool
	todo []string
	look func(path string, header http.Header, body []byte)
}

// crawl follows every link below the dashboard, in every form there is of a page.
func (c *crawler) crawl(most int) {
	for len(c.todo) > 0 && len(c.seen) < most {
		path := c.todo[0]
		c.todo = c.todo[1:]
		if c.seen[path] {
			continue
		}
		c.seen[path] = true
		body := c.read(path)
		node, err := html.Parse(bytes.NewReader(body))
		if err != nil {
			c.t.Errorf("%s: %v", path, err)
			continue
		}
		c.links(path, node)
	}
}

func (c *crawler) links(from string, n *html.Node) {
	for _, a := range n.Attr {
		if n.Type != html.ElementNode || a.Key != "href" && a.Key != "data-live" {
			continue
		}
		base, err := url.Parse(from)
		if err != nil {
			c.t.Fatal(err)
		}
		to, err := base.Parse(a.Val)
		if err != nil || to.Host != "" || to.Scheme != "" {
			continue
		}
		to.Fragment, to.RawFragment = "", ""
		c.todo = append(c.todo, to.String())
	}
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		c.links(from, child)
	}
}

// read gets a page; of an event stream, what comes within a moment.
func (c *crawler) read(path string) []byte {
	c.t.Helper()
	wait := 20 * time.Second
	if strings.HasPrefix(path, "/live/") {
		wait = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			c.t.Errorf("%s: %v", path, err)
		}
		return nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil && ctx.Err() == nil {
		c.t.Errorf("%s: %v", path, err)
	}
	c.look(path, resp.Header, body)
	return body
}

// TestSecretsAreNowhere reads every page, form and stream that links lead to and
// looks for the keys of devices and policies in answers and in the log.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	device := manyStates
	p := startProgram(t, "serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0",
		"--log-level", "debug", "--data", prepare(t, device), "--demo", "2")
	owner := p.client(t, "iothubowner")
	var secrets []string
	for _, policy := range []string{"iothubowner", "service", "device", "registryRead", "registryReadWrite", "serviceAndRegistryRead"} {
		cs, err := iothub.ParseServiceConnectionString(ask(t, "connection-string", "--data", p.Data, "--policy", policy))
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, cs.SharedAccessKey)
	}
	for _, id := range []string{device.id, "demo-01"} {
		d := eventualDevice(t, owner, id)
		secrets = append(secrets, d.Authentication.SymmetricKey.Primary, d.Authentication.SymmetricKey.Secondary)
	}
	find := func(where string, text []byte) {
		for _, secret := range secrets {
			for _, form := range []string{secret, url.QueryEscape(secret), strings.ReplaceAll(secret, "+", `\u002b`)} {
				if bytes.Contains(text, []byte(form)) {
					t.Errorf("%s holds the key %s…", where, secret[:6])
				}
			}
		}
		if bytes.Contains(text, []byte("SharedAccessSignature sr=")) && !bytes.Contains(text, []byte("sig=***")) {
			t.Errorf("%s holds a signature", where)
		}
	}
	c := &crawler{t: t, base: p.Dashboard, seen: map[string]bool{}, todo: []string{"/", "/h/local/learn/1"}}
	c.look = func(path string, header http.Header, body []byte) {
		find(path, body)
		for name, values := range header {
			find(path+" "+name, []byte(strings.Join(values, "\n")))
		}
	}
	c.crawl(400)
	for path := range c.seen {
		for _, format := range []string{"json", "csv"} {
			if !strings.HasPrefix(path, "/live/") && !strings.HasPrefix(path, "/static/") && !strings.Contains(path, "format=") {
				c.read(withFormat(path, format))
			}
		}
	}
	if len(c.seen) < 30 {
		t.Errorf("only %d pages were found", len(c.seen))
	}
	find("the log", []byte(p.stderr.String()))
}

func withFormat(path, format string) string {
	if strings.Contains(path, "?") {
		return path + "&format=" + format
	}
	return path + "?format=" + format
}

// TestTraversal asks for files and folders of the machine by every spelling.
func TestTraversal(t *testing.T) {
	p := serve(t)
	for _, path := range []string{
		"/static/../../hub.db", "/static/..%2f..%2fhub.db", "/static/%2e%2e/%2e%2e/ca.key", "/static/....//ca.key", "/static//etc/passwd",
		"/h/local/devices/..%2f..%2fetc%2fpasswd", "/h/..%2f/devices", "/static/%00", "/static/app.css%00.png", "/static/",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Dashboard, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = path // as it stands, uncleaned
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode < 400 || bytes.Contains(body, []byte("root:")) || bytes.Contains(body, []byte("SQLite format")) || bytes.Contains(body, []byte("PRIVATE KEY")) {
			t.Errorf("%s: status %d, %d bytes", path, resp.StatusCode, len(body))
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// eventualDevice reads an identity that is being made.
func eventualDevice(t *testing.T, c *hubclient.Client, id string) iothub.Device {
	t.Helper()
	deadline := time.After(patience)
	for {
		d, err := c.GetDevice(t.Context(), id)
		if err == nil {
			return d
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatalf("device %s: %v", id, err)
		}
	}
}
