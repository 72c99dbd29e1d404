package web

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/cascadia"
	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/net/html"

	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
	"twinboard/web/store"
)

// board is a dashboard on a real hub, and a person with a browser.
type board struct {
	t      *testing.T
	hub    *localhub.Hub
	client *hubclient.Client
	fleet  *fleet.Fleet
	url    string
	server *Server
	person *http.Client
	store  *store.Store
	// storePath is the store's file.
	storePath string
	ahead     atomic.Int64 // how far the dashboard's clock is ahead
	local     bool
	crawl     fleet.Crawl // of a hub without a change feed

	written sync.Map // device id → version of its twin after the last write
	// refuse answers requests of the dashboard in the hub's place; nil lets pass.
	refuse atomic.Pointer[func(*http.Request) *iothub.Error]
	// answered is called when the hub has answered, before the dashboard hears of
	// it.
	answered atomic.Pointer[func(*http.Request)]
}

// refusing is the transport between dashboard and hub.
type refusing struct {
	*http.Transport
	b *board
}

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	if refuse := r.b.refuse.Load(); refuse != nil {
		if e := (*refuse)(req); e != nil {
			return &http.Response{
				StatusCode: e.Status, Request: req, Body: http.NoBody,
				Header: http.Header{"Iothub-Errorcode": {e.Code}, "Retry-After": {"1"}},
			}, nil
		}
	}
	resp, err := r.Transport.RoundTrip(req)
	if answered := r.b.answered.Load(); answered != nil {
		(*answered)(req)
	}
	return resp, err
}

func newBoard(t *testing.T) *board { return newBoardOf(t, true) }

func newBoardOf(t *testing.T, local bool) *board {
	t.Helper()
	return (&board{t: t, local: local}).start()
}

// newCrawledBoard is a dashboard on a hub that has no change feed, as Azure's, and
// is read again and again in that rhythm.
func newCrawledBoard(t *testing.T, every time.Duration) *board {
	t.Helper()
	b := &board{t: t, crawl: fleet.Crawl{QueriesPerMinute: 6000, Every: every}}
	b.refuse.Store(new(noChangeFeed))
	return b.start()
}

func noChangeFeed(r *http.Request) *iothub.Error {
	if r.URL.Path == "/changes" {
		return iothub.ErrResourceNotFound
	}
	return nil
}

func (b *board) start() *board {
	t := b.t
	t.Helper()
	b.startHub()
	b.startDashboard()
	b.person = newPerson(t)
	return b
}

func newPerson(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

func (b *board) now() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }

func (b *board) startHub() {
	b.t.Helper()
	h, err := localhub.New(localhub.Options{Data: b.t.TempDir(), HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := h.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.hub = h
	b.t.Cleanup(b.stopHub)
}

func (b *board) stopHub() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.hub.Close(ctx); err != nil {
		b.t.Error("close hub:", err)
	}
}

func (b *board) startDashboard() {
	b.t.Helper()
	cs, err := b.hub.ConnectionString("iothubowner")
	if err != nil {
		b.t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: b.hub.RootCAs(), MinVersion: tls.VersionTLS12}}
	b.client, err = hubclient.New(cs, &hubclient.Options{HTTPClient: &http.Client{Transport: refusing{transport, b}}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(transport.CloseIdleConnections)
	b.fleet = fleet.New(b.client, fleet.Options{Crawl: b.crawl})
	b.fleet.Start(b.t.Context())
	b.storePath = filepath.Join(b.t.TempDir(), "dashboard.db")
	b.store = openStoreAt(b.t, b.storePath)
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.fleet.Close(ctx); err != nil {
			b.t.Error("close fleet:", err)
		}
	})
	b.serve()
}

// serve begins to serve what the store holds.
func (b *board) serve() {
	b.t.Helper()
	var err error
	b.server, err = New(Options{Store: b.store, Now: b.now, Hubs: []Hub{{
		Slug: "local", Name: "local", Local: b.local, HostName: b.client.Host(), Client: b.client, Fleet: b.fleet,
		DeviceHostName: b.hub.DeviceHostName(), CAFile: b.hub.CAFile(),
	}}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.server.Start(b.t.Context())
	web, server := httptest.NewServer(b.server.Handler()), b.server
	b.url = web.URL
	b.t.Cleanup(func() {
		closeServer(b.t, server)
		web.Close()
	})
}

func closeServer(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error("close dashboard:", err)
	}
}

// device registers a device with tags and desired, given as JSON.
func (b *board) device(id, tags, desired string) {
	b.t.Helper()
	if _, err := b.client.CreateDevice(b.t.Context(), iothub.Device{DeviceID: id}); err != nil {
		b.t.Fatal(err)
	}
	b.write(id, iothub.TwinPatch{Tags: document(b.t, tags), Desired: document(b.t, desired)})
}

// write is another program that changes the twin behind the person's back.
func (b *board) write(id string, p iothub.TwinPatch) {
	b.t.Helper()
	t, err := b.client.UpdateTwin(b.t.Context(), id, p, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.written.Store(id, t.Version)
}

func (b *board) twin(id string) *iothub.Twin {
	b.t.Helper()
	t, err := b.client.GetTwin(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

// dial connects as the device itself.
func (b *board) dial(id string) mqtt.Client {
	b.t.Helper()
	d, err := b.client.GetDevice(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	host := b.hub.DeviceHostName()
	token, err := iothub.Sign(host+"/devices/"+id, d.Authentication.SymmetricKey.Primary, "", time.Now().Add(time.Hour))
	if err != nil {
		b.t.Fatal(err)
	}
	o := mqtt.NewClientOptions().AddBroker("ssl://" + b.hub.MQTTAddr()).SetClientID(id).
		SetUsername(iothub.UserName{Host: host, DeviceID: id, APIVersion: iothub.APIVersion}.String()).SetPassword(token).
		SetTLSConfig(&tls.Config{RootCAs: b.hub.RootCAs(), ServerName: "localhost", MinVersion: tls.VersionTLS12}).
		SetAutoReconnect(false).SetProtocolVersion(4)
	client := mqtt.NewClient(o)
	b.wait(client.Connect())
	b.t.Cleanup(func() { client.Disconnect(0) })
	return client
}

// connect is the device itself: it returns a way to report.
func (b *board) connect(id string) (report func(patch string), disconnect func()) {
	b.t.Helper()
	client := b.dial(id)
	answers := make(chan string, 16)
	b.wait(client.Subscribe(iothub.FilterTwinResponses, 0, func(_ mqtt.Client, m mqtt.Message) { answers <- m.Topic() }))
	report = func(patch string) {
		b.t.Helper()
		b.wait(client.Publish(iothub.ReportedTopic("1"), 0, false, patch))
		select {
		case topic := <-answers:
			if got, err := iothub.ParseReceived(topic); err != nil || got.Status != http.StatusNoContent {
				b.t.Fatalf("report %s: %s", patch, topic)
			}
		case <-time.After(30 * time.Second):
			b.t.Fatal("the hub does not answer the device")
		}
	}
	return report, func() { client.Disconnect(0) }
}

func (b *board) wait(t mqtt.Token) {
	b.t.Helper()
	if !t.WaitTimeout(10*time.Second) || t.Error() != nil {
		b.t.Fatalf("MQTT: %v", t.Error())
	}
}

// page is what the person sees.
type page struct {
	t      *testing.T
	status int
	path   string
	body   string
	root   *html.Node
	from   *http.Client
	base   string
}

func (b *board) get(path string) *page { return b.getAs(b.person, path) }

func (b *board) getAs(who *http.Client, path string) *page {
	b.t.Helper()
	resp, err := who.Get(b.url + path)
	if err != nil {
		b.t.Fatal(err)
	}
	return readPage(b.t, who, b.url, resp)
}

func readPage(t *testing.T, who *http.Client, base string, resp *http.Response) *page {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, status: resp.StatusCode, path: resp.Request.URL.RequestURI(), body: string(body), root: root, from: who, base: base}
	p.noDuplicateIDs()
	if strings.Contains(p.body, "&lt;no value&gt;") {
		t.Errorf("%s: a message lacks a value", p.path)
	}
	return p
}

func (p *page) noDuplicateIDs() {
	p.t.Helper()
	seen := map[string]bool{}
	for _, n := range cascadia.QueryAll(p.root, cascadia.MustCompile("[id]")) {
		id := attr(n, "id")
		if seen[id] {
			p.t.Errorf("%s: id %q is there twice", p.path, id)
		}
		seen[id] = true
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func (p *page) all(selector string) []*html.Node {
	return cascadia.QueryAll(p.root, cascadia.MustCompile(selector))
}

// text is the words of what a selector finds, all in one line; "" for nothing.
func (p *page) text(selector string) string {
	var words []string
	for _, n := range p.all(selector) {
		words = append(words, wordsOf(n)...)
	}
	return strings.Join(words, " ")
}

func wordsOf(n *html.Node) []string {
	if n.Type == html.TextNode {
		return strings.Fields(n.Data)
	}
	var out []string
	for c := range n.ChildNodes() {
		out = append(out, wordsOf(c)...)
	}
	return out
}

// want checks the words at a selector.
func (p *page) want(selector, text string) {
	p.t.Helper()
	if got := p.text(selector); got != text {
		p.t.Errorf("%s: %s says %q, want %q", p.path, selector, got, text)
	}
}

// wantPart checks that the words at a selector contain some.
func (p *page) wantPart(selector, text string) {
	p.t.Helper()
	if got := p.text(selector); !strings.Contains(got, text) {
		p.t.Errorf("%s: %s says %q, want %q in it", p.path, selector, got, text)
	}
}

func (p *page) wantStatus(status int) *page {
	p.t.Helper()
	if p.status != status {
		p.t.Fatalf("%s: status %d, want %d:\n%s", p.path, p.status, status, p.text("main"))
	}
	return p
}

// sheet is a form filled in as a browser would send it.
type sheet struct {
	page   *page
	action string
	url.Values
}

// form collects the fields of a form, in their order.
func (p *page) form(selector string) sheet {
	p.t.Helper()
	found := p.all(selector)
	if len(found) != 1 {
		p.t.Fatalf("%s: %d of %s:\n%s", p.path, len(found), selector, p.text("main"))
	}
	f := sheet{page: p, action: attr(found[0], "action"), Values: url.Values{}}
	for _, n := range cascadia.QueryAll(found[0], cascadia.MustCompile("input[name], textarea[name], select[name]")) {
		if inTemplate(n) {
			continue
		}
		if value, ok := fieldValue(n); ok {
			f.Add(attr(n, "name"), value)
		}
	}
	return f
}

func inTemplate(n *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if n.Data == "template" {
			return true
		}
	}
	return false
}

func fieldValue(n *html.Node) (value string, ok bool) {
	switch n.Data {
	case "textarea":
		var b strings.Builder
		for c := range n.ChildNodes() {
			b.WriteString(c.Data)
		}
		return b.String(), true
	case "select":
		options := cascadia.QueryAll(n, cascadia.MustCompile("option"))
		for i, o := range options {
			if has(o, "selected") || i == 0 {
				value = attr(o, "value")
			}
		}
		return value, len(options) > 0
	}
	kind := attr(n, "type")
	if kind == "radio" || kind == "checkbox" {
		return attr(n, "value"), has(n, "checked")
	}
	return attr(n, "value"), true
}

// row sets the value of the row with a path.
func (f sheet) row(path, value string) {
	f.page.t.Helper()
	for i, p := range f.Values["path"] {
		if p == path {
			f.Values["value"][i] = value
			return
		}
	}
	f.page.t.Fatalf("no row %q in %v", path, f.Values["path"])
}

// rowOf is the number of the row with a path.
func (f sheet) rowOf(path string) int {
	f.page.t.Helper()
	for i, p := range f.Values["path"] {
		if p == path {
			return i
		}
	}
	f.page.t.Fatalf("no row %q in %v", path, f.Values["path"])
	return -1
}

// last fills the last row, a new one.
func (f sheet) last(path, kind, value string) {
	i := len(f.Values["path"]) - 1
	f.Values["path"][i], f.Values["kind"][i], f.Values["value"][i] = path, kind, value
}

// press sends the form with a button, and follows where it leads.
func (f sheet) press(do string) *page {
	f.page.t.Helper()
	v := url.Values{}
	for name, list := range f.Values {
		for _, value := range list {
			v.Add(name, strings.ReplaceAll(value, "\n", "\r\n"))
		}
	}
	v.Set("do", do)
	resp, err := f.page.from.PostForm(f.page.base+f.action, v)
	if err != nil {
		f.page.t.Fatal(err)
	}
	return readPage(f.page.t, f.page.from, f.page.base, resp)
}

// choose sends a form of method GET with a field set.
func (f sheet) choose(name, value string) *page {
	f.page.t.Helper()
	f.Set(name, value)
	resp, err := f.page.from.Get(f.page.base + f.action + "?" + f.Encode())
	if err != nil {
		f.page.t.Fatal(err)
	}
	return readPage(f.page.t, f.page.from, f.page.base, resp)
}

func wantDocument(t *testing.T, what string, got iothub.Document, want string) {
	t.Helper()
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != want {
		t.Errorf("%s is %s, want %s", what, b, want)
	}
}

// settingRow selects the line of a setting.
func (p *page) settingRow(path string) string {
	p.t.Helper()
	for _, n := range p.all("[data-testid=setting]") {
		if name := cascadia.Query(n, cascadia.MustCompile("th")); strings.Join(wordsOf(name), " ") == path {
			return fmt.Sprintf("#%s", attr(n, "id"))
		}
	}
	p.t.Fatalf("%s: no setting %q in:\n%s", p.path, path, p.text("[data-testid=compare]"))
	return ""
}

func jsonNumber(n int64) json.Number { return json.Number(fmt.Sprint(n)) }
