package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// The load of BenchmarkTabs: every row that the tabs show changes forty times a
// second.
const (
	tabsOpen    = 200
	tabsDevices = 25
	tabsRate    = 1000
	tabsTime    = 10 * time.Second
)

// BenchmarkTabs writes a thousand tags a second over REST for ten seconds, first
// with nobody looking and then with 200 tabs that show the devices written to, all
// over HTTP and on the same processors. The latency of a write says whether a
// writer waits for readers. A row is painted at most once a second, so the value
// that a tab gets may be as old.
func BenchmarkTabs(b *testing.B) {
	for _, tabs := range []int{0, tabsOpen} {
		b.Run(fmt.Sprintf("tabs=%d", tabs), func(b *testing.B) {
			p := serve(b)
			hub := p.client(b, "iothubowner")
			for n := range tabsDevices {
				if _, err := hub.CreateDevice(b.Context(), iothub.Device{DeviceID: tabsID(n)}); err != nil {
					b.Fatal(err)
				}
			}
			p.lists(b, tabsDevices)
			for b.Loop() {
				newMarks(b, p, hub).measure(tabs)
			}
		})
	}
}

func tabsID(n int) string { return fmt.Sprintf("shown-%02d", n%tabsDevices) }

// marks are the tags written, each with a number of its own.
type marks struct {
	b       *testing.B
	p       *program
	hub     *hubclient.Client
	written []time.Time // by number, before the write

	mu      sync.Mutex
	took    []float64 // ms, of each write
	seen    []float64 // ms, from a write to the tab that shows it
	frames  int
	dropped int
	behind  int // tabs that never saw the last value of some device
}

func newMarks(b *testing.B, p *program, hub *hubclient.Client) *marks {
	return &marks{b: b, p: p, hub: hub, written: make([]time.Time, tabsRate*int(tabsTime.Seconds()))}
}

func (m *marks) measure(tabs int) {
	address := m.address()
	ctx, closeAll := context.WithCancel(m.b.Context())
	var open, reading sync.WaitGroup
	for range tabs {
		open.Add(1)
		reading.Go(func() { m.look(ctx, address, sync.OnceFunc(open.Done)) })
	}
	open.Wait()
	begin, used := time.Now(), processorTime()
	m.write()
	took := time.Since(begin)
	m.b.ReportMetric((processorTime()-used).Seconds()/took.Seconds(), "processors")
	finished := time.AfterFunc(patience, closeAll) // for tabs that never see the last values
	if tabs == 0 {
		closeAll()
	}
	reading.Wait()
	finished.Stop()
	closeAll()

	m.b.ReportMetric(float64(len(m.took))/took.Seconds(), "writes/s")
	quantiles(m.b, m.took, "ms-write")
	m.b.ReportMetric(slices.Max(m.took), "ms-write-max")
	if tabs > 0 {
		quantiles(m.b, m.seen, "ms-seen")
		m.b.ReportMetric(float64(m.frames)/took.Seconds()/float64(tabs), "frames/s/tab")
		m.b.ReportMetric(float64(m.dropped), "dropped")
		m.b.ReportMetric(float64(m.behind), "behind")
	}
}

func quantiles(b *testing.B, values []float64, unit string) {
	slices.Sort(values)
	b.ReportMetric(values[len(values)/2], unit+"-p50")
	b.ReportMetric(values[len(values)*99/100], unit+"-p99")
}

// address is the event stream of the list with the tag as a column.
func (m *marks) address() string {
	root, err := html.Parse(bytes.NewReader(m.p.page(m.b, "/h/local/devices?col=tags.mark")))
	if err != nil {
		m.b.Fatal(err)
	}
	for n := range root.Descendants() {
		if live := attribute(n, "data-live"); live != "" {
			return m.p.Dashboard + live
		}
	}
	m.b.Fatal("the list has no event stream")
	return ""
}

// write keeps the rate: a write that is late is made up for.
func (m *marks) write() {
	const writers = 16
	var next atomic.Int64
	begin := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(m.written); n = int(next.Add(1)) - 1 {
				<-time.After(time.Until(begin.Add(time.Duration(n) * time.Second / tabsRate)))
				m.set(n)
			}
		})
	}
	wg.Wait()
}

func (m *marks) set(n int) {
	start := time.Now()
	m.mu.Lock()
	m.written[n] = start
	m.mu.Unlock()
	patch := iothub.TwinPatch{Tags: iothub.Document{"mark": fmt.Sprintf("mark-%d.", n)}}
	if _, err := m.hub.UpdateTwin(m.b.Context(), tabsID(n), patch, nil); err != nil {
		m.b.Error(err)
	}
	took := time.Since(start)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = append(m.took, milliseconds(took))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

var markShown = regexp.MustCompile(`mark-(\d+)\.`)

// look is a tab: it reads its stream, coming back when it is dropped, until it
// has seen the last value of every device.
func (m *marks) look(ctx context.Context, address string, opened func()) {
	defer opened()
	missing := map[int]bool{}
	for n := len(m.written) - tabsDevices; n < len(m.written); n++ {
		missing[n] = true
	}
	for cursor := ""; len(missing) > 0; {
		last, err := m.stream(ctx, address, cursor, opened, missing)
		if ctx.Err() != nil {
			m.mu.Lock()
			m.behind++
			m.mu.Unlock()
			return
		}
		if err != nil {
			m.b.Error(err)
			return
		}
		if len(missing) > 0 {
			m.mu.Lock()
			m.dropped++
			m.mu.Unlock()
		}
		cursor = last
	}
}

// stream reads one connection to its end, or until nothing is missing, and
// returns the cursor of the last frame.
func (m *marks) stream(ctx context.Context, address, cursor string, opened func(), missing map[int]bool) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Last-Event-ID", cursor)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("event stream: %s", resp.Status)
	}
	opened()
	shown, known := map[int]bool{}, map[int]bool{}
	for lines := bufio.NewReader(resp.Body); len(missing) > 0; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return cursor, nil // the program ended it
		}
		switch {
		case len(line) > 4 && line[:4] == "id: ":
			cursor = line[4 : len(line)-1]
		case line == "\n":
			m.frame(shown)
			for n := range shown {
				delete(missing, n)
				known[n] = true
			}
			clear(shown)
		default:
			for _, found := range markShown.FindAllStringSubmatch(line, -1) {
				if n, _ := strconv.Atoi(found[1]); !known[n] { // digits
					shown[n] = true
				}
			}
		}
	}
	return cursor, nil
}

func (m *marks) frame(shown map[int]bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frames++
	for n := range shown {
		m.seen = append(m.seen, milliseconds(now.Sub(m.written[n])))
	}
}
