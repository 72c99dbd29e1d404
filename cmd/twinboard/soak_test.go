package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// soakDevices run all the time.
const soakDevices = 100

// soak is the whole program in use: everything that people, devices and services
// do, at a rate that leaves the machine free.
type soak struct {
	t    *testing.T
	p    *program
	hub  *hubclient.Client
	http *http.Client
	// How often each of work was done, and how often it failed.
	done, failed [8]atomic.Int64
}

// mayFail is how many of a thousand may fail: on a machine that is busy with other
// things, a request now and then takes longer than anyone waits for it.
const mayFail = 5

// work is what is done at the same time, each in its own goroutine. n counts up.
var work = [...]struct {
	name  string
	every time.Duration
	do    func(s *soak, ctx context.Context, n int) error
}{
	{"changes of twins", 250 * time.Millisecond, (*soak).change},
	{"devices and modules made and deleted", time.Second, (*soak).comeAndGo},
	{"queries", time.Second, (*soak).ask},
	{"pages", 500 * time.Millisecond, (*soak).read},
	{"event streams", 2 * time.Second, (*soak).listen},
	{"devices stopped and started", 2 * time.Second, (*soak).reconnect},
	{"settings saved on a page", 5 * time.Second, (*soak).save},
	{"methods called", 10 * time.Second, (*soak).call},
}

// TestSoak runs the program under a modest load for TWINBOARD_TEST_SOAK, such as
// 1h, and fails when memory, goroutines, open files or the data folder grow after
// the first quarter. What is kept in memory and in the journal is bounded; it is
// filled before, so that what has not reached its bound is not taken for growth.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(cmp.Or(os.Getenv("TWINBOARD_TEST_SOAK"), "0"))
	if err != nil {
		t.Fatal(err)
	}
	if length == 0 {
		t.Skip("TWINBOARD_TEST_SOAK says for how long")
	}
	data := t.TempDir()
	fillJournal(t, data)
	p := startProgram(t, "serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0",
		"--data", data, "--demo", fmt.Sprint(soakDevices), "--log-level", "error")
	s := &soak{t: t, p: p, hub: p.client(t, "iothubowner"), http: &http.Client{
		Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	waitTagged(t, s.hub, soakID(soakDevices-1))
	s.fill()
	before := runtime.NumGoroutine()

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range work {
		running.Go(func() { s.repeat(ctx, i) })
	}
	s.watch(length)
	stop()
	running.Wait()

	for i, w := range work {
		done, failed := s.done[i].Load(), s.failed[i].Load()
		t.Logf("%s: %d, failed: %d", w.name, done, failed)
		if done == 0 || failed*1000 > done*mayFail {
			t.Errorf("%s: %d of %d failed", w.name, failed, done+failed)
		}
	}
	s.settles(before)
	if complaints := p.stderr.String(); complaints != "" {
		t.Errorf("the program complained:\n%s", complaints)
	}
}

// watch samples for as long as asked, and looks at the trend.
func (s *soak) watch(length time.Duration) {
	tick := time.NewTicker(min(30*time.Second, length/40))
	defer tick.Stop()
	warm, end := time.After(length/4), time.After(length)
	var list samples
	var used time.Duration
	var since time.Time
	for {
		select {
		case <-warm:
			list, used, since = samples{}, processorTime(), time.Now()
		case <-tick.C:
			list.take(s.t, s.p.Data)
		case <-end:
			s.t.Logf("after the warm-up:\n%s", list)
			s.t.Logf("busy: %.1f %% of one processor", 100*(processorTime()-used).Seconds()/time.Since(since).Seconds())
			list.check(s.t)
			return
		}
	}
}

// settles waits until what the load began is over: as many goroutines as before,
// but for a few connections that are kept open to be used again.
func (s *soak) settles(before int) {
	s.http.CloseIdleConnections()
	s.hub.Close()
	const keptOpen = 30
	deadline := time.Now().Add(3 * time.Minute)
	for tick := time.NewTicker(time.Second); ; <-tick.C {
		now := runtime.NumGoroutine()
		if now <= before+keptOpen {
			s.t.Logf("goroutines: %d before, %d after", before, now)
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			s.t.Fatalf("goroutines: %d before, %d after\n%s", before, now, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// repeat does one kind of work until ctx ends. What is under way then may fail.
func (s *soak) repeat(ctx context.Context, kind int) {
	w := work[kind]
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	var under sync.WaitGroup
	defer under.Wait()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		under.Go(func() {
			if err := w.do(s, ctx, n); err != nil && ctx.Err() == nil {
				s.failed[kind].Add(1)
				s.t.Logf("%s, number %d: %v", w.name, n, err)
				return
			}
			s.done[kind].Add(1)
		})
	}
}

func soakID(n int) string { return fmt.Sprintf("demo-%02d", 1+n%soakDevices) }

// change writes tags or desired properties, with values never used before.
func (s *soak) change(ctx context.Context, n int) error {
	patch := iothub.TwinPatch{Desired: iothub.Document{"interval": number(fmt.Sprint(n)), "label": fmt.Sprint("soak ", n)}}
	if n%4 == 0 {
		patch = iothub.TwinPatch{Tags: iothub.Document{"note": fmt.Sprint("note ", n)}}
	}
	_, err := s.hub.UpdateTwin(ctx, soakID(n*7), patch, nil)
	return err
}

// comeAndGo makes a device with a module, writes the twins of both and deletes it.
func (s *soak) comeAndGo(ctx context.Context, n int) error {
	id := fmt.Sprint("guest-", n)
	if _, err := s.hub.CreateDevice(ctx, iothub.Device{DeviceID: id}); err != nil {
		return err
	}
	if _, err := s.hub.CreateModule(ctx, iothub.Module{DeviceID: id, ModuleID: "m"}); err != nil {
		return err
	}
	patch := iothub.TwinPatch{Tags: iothub.Document{"site": id}, Desired: iothub.Document{"interval": number("1")}}
	for _, module := range []string{"", "m"} {
		if _, err := s.hub.UpdateModuleTwin(ctx, id, module, patch, nil); err != nil {
			return err
		}
	}
	return s.hub.DeleteDevice(ctx, id, nil)
}

func (s *soak) ask(ctx context.Context, n int) error {
	queries := []string{
		plantQuery, cellularQuery,
		fmt.Sprintf("SELECT deviceId FROM devices WHERE properties.desired.interval > %d", n),
		fmt.Sprintf("SELECT * FROM devices WHERE tags.note = 'note %d'", n),
		"SELECT properties.reported.connectivity, COUNT() AS n FROM devices GROUP BY properties.reported.connectivity",
		fmt.Sprintf("SELECT * FROM devices WHERE tags.path%d = 1", n), // a path nobody has
		"SELECT * FROM devices.modules",
	}
	token := ""
	for {
		page, err := s.hub.QueryPage(ctx, queries[n%len(queries)], token, 40)
		if err != nil || page.Continuation == "" {
			return err
		}
		token = page.Continuation
	}
}

// soakPages are read in turn; %s is a device.
var soakPages = []string{
	"/h/local", "/h/local/devices", "/h/local/devices?q=%s", "/h/local/devices?state=differs&sort=-tags.note", "/h/local/devices?format=csv",
	"/h/local/devices/%s", "/h/local/devices/%s?view=json", "/h/local/devices/%s?view=identity", "/h/local/devices/%s?view=messages",
	"/h/local/devices/%s?view=methods", "/h/local/devices/%s?view=modules", "/h/local/devices/%s?view=history", "/h/local/devices/%s?dock=simulator",
	"/h/local/devices/%s/edit/desired", "/h/local/changes", "/h/local/changes?device=%s", "/h/local/changes?device=%s&format=csv",
	"/h/local/query?q=SELECT+*+FROM+devices", "/h/local/query?q=SELECT+tags.note+FROM+devices+WHERE+deviceId='%s'", "/h/local/query?q=SELECT",
	"/h/local/simulator", "/h/local/learn/1", "/h/local/import", "/h/local/devices/nobody",
}

func soakPath(pages []string, n int) string {
	return strings.ReplaceAll(pages[n%len(pages)], "%s", soakID(n))
}

func (s *soak) read(ctx context.Context, n int) error {
	_, err := s.get(ctx, soakPath(soakPages, n))
	return err
}

// listen keeps an event stream open for a while and reads it.
func (s *soak) listen(ctx context.Context, n int) error {
	const open = 20 * time.Second
	pages := []string{"", "/devices", "/devices/%s", "/changes", "/devices/%s?view=messages", "/devices/%s?view=history", "/simulator", "/query?q=SELECT+*+FROM+devices"}
	ctx, cancel := context.WithTimeout(ctx, open)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.p.Dashboard+"/live/h/local"+soakPath(pages, n), nil)
	if err != nil {
		return err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	size, err := io.Copy(io.Discard, resp.Body)
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the stream ended early: %w", cmp.Or(err, io.EOF))
	}
	if size == 0 {
		return errors.New("the stream said nothing")
	}
	return nil
}

// reconnect takes a simulated device off the hub and brings it back.
func (s *soak) reconnect(ctx context.Context, n int) error {
	form := url.Values{"id": {soakID(n * 3)}, "confirm": {"yes"}, "as": {"this"}}
	if _, err := s.post(ctx, "/h/local/simulator/stop", form); err != nil {
		return err
	}
	_, err := s.post(ctx, "/h/local/simulator/device", form)
	return err
}

// save edits the settings of a device as a person does: form, review, apply.
// Somebody else may be quicker, which is answered with what differs.
func (s *soak) save(ctx context.Context, n int) error {
	path := "/h/local/devices/" + soakID(n*11) + "/edit/desired"
	body, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	form, err := formIn(body, "twin-edit")
	if err != nil {
		return err
	}
	form["value"][0] = fmt.Sprint(n)
	form.Set("do", "review")
	if body, err = s.post(ctx, path, form); err != nil {
		return err
	}
	if form, err = formIn(body, "twin-review"); err != nil {
		return err
	}
	form.Set("do", "apply")
	_, err = s.post(ctx, path, form)
	return err
}

// call calls a method of a device that is not there, which is answered at once.
func (s *soak) call(ctx context.Context, n int) error {
	const path = "/h/local/devices/absent/methods"
	if n == 0 {
		if _, err := s.hub.CreateDevice(ctx, iothub.Device{DeviceID: "absent"}); err != nil {
			return err
		}
	}
	_, err := s.post(ctx, path, url.Values{"name": {"reboot"}, "payload": {fmt.Sprint(n)}, "response": {"5"}, "connect": {"0"}})
	return err
}

func (s *soak) get(ctx context.Context, path string) ([]byte, error) {
	return s.send(ctx, http.MethodGet, path, nil)
}

func (s *soak) post(ctx context.Context, path string, form url.Values) ([]byte, error) {
	return s.send(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
}

// send returns the body of an answer that is no surprise: pages that say what is
// wrong with a query or a device's id are among those asked for.
func (s *soak) send(ctx context.Context, method, path string, form io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.p.Dashboard+path, form)
	if err != nil {
		return nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusSeeOther, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity:
		return body, nil
	}
	return nil, fmt.Errorf("%s %s: %s", method, path, resp.Status)
}

// formIn reads the form of an id as a browser would send it, without its buttons.
func formIn(page []byte, id string) (url.Values, error) {
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return nil, err
	}
	for n := range root.Descendants() {
		if n.Data == "form" && attribute(n, "id") == id {
			return fieldsOf(n), nil
		}
	}
	return nil, fmt.Errorf("the page has no form %s", id)
}

func fieldsOf(form *html.Node) url.Values {
	values := url.Values{}
	for n := range form.Descendants() {
		name := attribute(n, "name")
		switch {
		case name == "":
		case n.Data == "input" && attribute(n, "type") != "checkbox":
			values.Add(name, attribute(n, "value"))
		case n.Data == "textarea" && n.FirstChild != nil:
			values.Add(name, n.FirstChild.Data)
		case n.Data == "textarea":
			values.Add(name, "")
		case n.Data == "select":
			values.Add(name, chosen(n))
		}
	}
	return values
}

// chosen is the value of a select: what is marked, or else the first.
func chosen(list *html.Node) (value string) {
	first := true
	for n := range list.Descendants() {
		if n.Data == "option" && (first || hasAttribute(n, "selected")) {
			value, first = attribute(n, "value"), false
		}
	}
	return value
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if n.Type == html.ElementNode && a.Key == key {
			return a.Val
		}
	}
	return ""
}

func hasAttribute(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

// fillJournal writes as many changes as the dashboard keeps of a hub at most.
func fillJournal(t *testing.T, data string) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(data, "dashboard.db"))
	if err != nil {
		t.Fatal(err)
	}
	const own, others, batch = 20_000, 100_000, 5000
	at := time.Now().Add(-48 * time.Hour)
	for from := 0; from < own+others; from += batch {
		var entries []store.Entry
		for i := from; i < from+batch; i++ {
			e := store.Entry{
				Time: at.Add(time.Duration(i) * time.Second), Hub: "local", DeviceID: soakID(i), Section: store.Desired, Source: store.FromFeed,
				Patch: iothub.Document{"interval": number(fmt.Sprint(i)), "label": fmt.Sprint("soak ", i)},
				Old:   iothub.Document{"interval": number(fmt.Sprint(i - soakDevices)), "label": fmt.Sprint("soak ", i-soakDevices)},
				Who:   "iothubowner", ETag: iothub.ETag(fmt.Sprint("before-", i)), Version: int64(i),
			}
			if i < own {
				e.Source = store.FromDashboard
			}
			entries = append(entries, e)
		}
		if _, err := s.Observe(t.Context(), entries...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill does at once what takes the program's bounded memory to its bounds: more
// changes than any feed keeps, more queries and paths of queries than are kept
// ready, and as many deleted devices as the columns of queries bear. It mixes them
// as the load does, so that what a feed keeps in the end is as large as it will be.
func (s *soak) fill() {
	for round := range 25 {
		s.many(round, 480, (*soak).change)
		s.many(round, 160, (*soak).ask)
		s.many(round, 120, (*soak).comeAndGo)
		s.many(round, 60, (*soak).reconnect)
		s.many(round, 24, (*soak).save)
	}
}

// many does a piece of work so many times, some at a time, with numbers that
// neither another round nor the load reaches.
func (s *soak) many(round, count int, do func(*soak, context.Context, int) error) {
	const atOnce = 8
	before := 1_000_000 + round*count
	var wg sync.WaitGroup
	var next atomic.Int64
	for range atOnce {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= count; n = int(next.Add(1)) {
				if err := do(s, s.t.Context(), before+n); err != nil {
					s.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
