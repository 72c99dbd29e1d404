//go:build peers && linux

package localhub

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// TestPeers measures the hub side by side with PostgreSQL and mosquitto, on the
// same documents, questions and messages, in turns within one run, and prints
// what becomes of the budgets. It fails when something cannot be measured, never
// for a figure: those depend on what else the machine does. `make bench-peers`
// runs it.
func TestPeers(t *testing.T) {
	p := &peers{wire: startWire(t)}
	p.http = &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(p.hub), MaxIdleConnsPerHost: writers}}
	p.bench = &bench{TB: t, registry: p.hub.registry}
	p.bench.fill(benchmarkTwins)
	t.Cleanup(p.print)
	p.note("%d twins of about 1 KB, %d processors, %s, %s/%s", benchmarkTwins, runtime.GOMAXPROCS(0), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	p.note("load average when it began: %s", strings.Fields(string(must(os.ReadFile("/proc/loadavg"))))[0])
	p.firstUse()
	if pg := startPostgres(t, p); pg != nil {
		p.queries(pg)
		p.updates(pg)
	}
	p.delivery()
}

const (
	rounds    = 3
	writers   = 16
	roundTime = 2 * time.Second

	firstLevel = 1000 // of those that updates set
	levels     = 9000
)

type peers struct {
	*wire
	bench *bench
	notes []string
	lines [][]string
}

func (p *peers) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// line adds a figure: ratio is how many times the budget's measure is met.
func (p *peers) line(what, ours, peer string, ratio, budget float64) {
	verdict := "met"
	if ratio < budget {
		verdict = "missed"
	}
	p.beside(what, ours, peer, ratio, fmt.Sprintf("≥ %.1f", budget), verdict)
}

// beside adds a figure; without a verdict, to know it: there is no budget for it.
func (p *peers) beside(what, ours, peer string, ratio float64, verdict ...string) {
	p.lines = append(p.lines, append([]string{what, ours, peer, fmt.Sprintf("%.2f", ratio)}, verdict...))
}

func (p *peers) print() {
	var b strings.Builder
	for _, n := range p.notes {
		fmt.Fprintln(&b, n)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nwhat\thub\tpeer\tratio\tbudget\t")
	for _, l := range p.lines {
		fmt.Fprintln(w, strings.Join(l, "\t"))
	}
	_ = w.Flush() // into memory
	p.Log("\n" + b.String())
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func ms(f float64) string { return fmt.Sprintf("%.3f ms", f) }

// each calls f again and again for a part of a round and returns the mean in
// milliseconds.
func each(f func()) float64 {
	f() // what is made once is made
	begin, n := time.Now(), 0
	for n < 3 || time.Since(begin) < roundTime/4 {
		f()
		n++
	}
	return milliseconds(time.Since(begin)) / float64(n)
}

func (p *peers) firstUse() {
	for _, q := range benchmarkQueries {
		var took, worked []float64
		for range rounds {
			p.bench.forgetColumns()
			before := processorTime()
			took = append(took, timed(func() { p.bench.ask(q.text) }))
			worked = append(worked, milliseconds(processorTime()-before))
		}
		m := median(took)
		p.line("first use of paths, "+q.name, fmt.Sprintf("%.0f ms, %.0f of work", m, median(worked)), "500 ms", 500/m, 1)
	}
}

// processorTime is what this process has used, which tells a slow machine from a
// busy one.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // the arguments are right
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// sql asks PostgreSQL what benchmarkQueries ask the hub, as its index likes it
// best.
var sql = map[string]string{
	"equality":      `select doc from TABLE where doc @> '{"tags":{"serial":"00009999"}}' limit 100`,
	"predicates":    `select doc from TABLE where doc @> '{"tags":{"location":{"plant":"plant-999"}},"properties":{"reported":{"connectivity":"cellular"}}}' limit 100`,
	"group":         `select doc->'properties'->'reported'->>'connectivity', count(*) from TABLE group by 1`,
	"negation-none": `select doc from TABLE where doc->'tags'->'location'->>'region' <> 'US' limit 100`,
	"negation-most": `select doc from TABLE where doc->'tags'->'location'->>'plant' <> 'plant-3' limit 100`,
}

// queries asks over REST twice: with a client that is as lean as pgbench is, one
// connection and a request put together once, and with Go's, which signs each
// request and takes as long over it as the hub. The budget is the lean one's. So
// does updates.
func (p *peers) queries(pg *postgres) {
	pg.load(p)
	for _, q := range benchmarkQueries {
		overREST := 0.5 // of the speed of PostgreSQL
		if q.name == "group" {
			overREST = 5
		}
		var inside, rest, lean, gin, plain []float64
		body := string(must(iothub.EncodeJSON(map[string]string{"query": q.text})))
		client := newLeanClient(p, p.hub, p.token("iothubowner"), http.MethodPost, "/devices/query", body)
		for range rounds {
			gin = append(gin, pg.query(strings.Replace(sql[q.name], "TABLE", "twins", 1)))
			inside = append(inside, each(func() { p.bench.ask(q.text) }))
			rest = append(rest, each(func() { p.mustCall(http.MethodPost, "/devices/query", body) }))
			lean = append(lean, each(func() { client.ask(http.StatusOK) }))
			plain = append(plain, pg.query(strings.Replace(sql[q.name], "TABLE", "plain", 1)))
		}
		peer := median(gin)
		p.line("query "+q.name+", inside", ms(median(inside)), "GIN "+ms(peer), peer/median(inside), 5)
		p.line("query "+q.name+", REST, lean client", ms(median(lean)), "GIN "+ms(peer), peer/median(lean), overREST)
		p.beside("query "+q.name+", REST, Go's client", ms(median(rest)), "GIN "+ms(peer), peer/median(rest))
		p.beside("query "+q.name+", inside", ms(median(inside)), "no index "+ms(median(plain)), median(plain)/median(inside))
	}
}

// updates has 16 writers change one desired property of some of 1,000 twins, to a
// value that it has not had lately: PostgreSQL leaves the index alone when nothing
// has changed.
func (p *peers) updates(pg *postgres) {
	things := make([]*thing, writers)
	for i := range things {
		id := fmt.Sprint("writer-", i)
		p.device(id)
		things[i], _ = p.online(p.deviceConnect(id))
		things[i].send(subscribe(1, 0, iothub.FilterTwinResponses))
		things[i].next(packets.Suback)
	}
	changes, patches := make([]string, levels), make([]iothub.TwinPatch, levels)
	for i := range changes {
		changes[i] = fmt.Sprintf(`{"properties":{"desired":{"power_level":%d}}}`, firstLevel+i)
		patches[i] = parsePatch(p, changes[i])
	}
	clients := make([]*leanClient, writers)
	for i := range clients {
		clients[i] = newLeanClient(p, p.hub, p.token("iothubowner"), http.MethodPatch, "/", "")
	}
	id := func(w, i int) string { return fmt.Sprintf("device-%06d", (w+writers*i)*7919%1000) }
	ways := []struct {
		name   string
		budget float64 // 0: none
		write  func(w, i int)
	}{
		{"inside", 3, func(w, i int) {
			_, err := p.hub.registry.updateTwin(context.Background(), owner, dev(id(w, i)), patches[i%levels], "")
			p.bench.check(err)
		}},
		{"REST, lean client", 1, func(w, i int) {
			clients[w].to("/twins/"+id(w, i), changes[i%levels])
			clients[w].ask(http.StatusOK)
		}},
		{"REST, Go's client", 0, func(w, i int) {
			p.mustCall(http.MethodPatch, "/twins/"+id(w, i), changes[i%levels])
		}},
		{"MQTT", 1, func(w, i int) {
			things[w].send(publish(0, 0, iothub.ReportedTopic("1"), fmt.Appendf(nil, `{"n":%d}`, i)))
			things[w].next(packets.Publish)
		}},
	}
	var gin, plain []float64
	ours, work := make([][]float64, len(ways)), make([][]float64, len(ways))
	for range rounds {
		gin = append(gin, pg.updates("twins"))
		for k, way := range ways {
			before := processorTime()
			rate, n := perSecond(way.write)
			ours[k] = append(ours[k], rate)
			work[k] = append(work[k], 1000*milliseconds(processorTime()-before)/float64(n))
		}
		plain = append(plain, pg.updates("plain"))
	}
	p.note("of PostgreSQL's updates, %s %% had to change the GIN index", pg.indexed("twins"))
	for k, way := range ways {
		got := median(ours[k])
		what, figure := "durable updates, 16 writers, "+way.name, fmt.Sprintf("%.0f/s, %.0f µs of work each", got, median(work[k]))
		if peer := fmt.Sprintf("GIN %.0f/s", median(gin)); way.budget > 0 {
			p.line(what, figure, peer, got/median(gin), way.budget)
		} else {
			p.beside(what, figure, peer, got/median(gin))
		}
		p.beside(what, figure, fmt.Sprintf("no index %.0f/s", median(plain)), got/median(plain))
	}
}

// perSecond has all writers write for a round and says how often they did.
func perSecond(write func(w, i int)) (rate float64, n int) {
	begin := time.Now()
	done := make([]int, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for ; time.Since(begin) < roundTime; done[w]++ {
				write(w, done[w])
			}
		})
	}
	wg.Wait()
	for _, d := range done {
		n += d
	}
	return float64(n) / time.Since(begin).Seconds(), n
}

// delivery compares the way from a service call to the patch at the device with
// what it cannot do without, measured in turns.
func (p *peers) delivery() {
	p.device("listener")
	d := p.listening("listener")
	broker := startMosquitto(p.T, p)
	if broker == nil {
		return
	}
	file := filepath.Join(p.TempDir(), "synced")
	f := must(os.Create(file))
	defer f.Close()
	const count = 300
	var synced, published, round, ours []float64
	for i := range count {
		synced = append(synced, timed(func() { syncOnce(p.T, f) }))
		published = append(published, timed(broker.publish))
		round = append(round, timed(func() { p.send(http.MethodGet, "/nothing", "") }))
		ours = append(ours, timed(func() {
			p.mustCall(http.MethodPatch, "/twins/listener", fmt.Sprintf(`{"properties":{"desired":{"n":%d}}}`, i))
			d.next(packets.Publish)
		}))
	}
	s, m, r, o := median(synced), median(published), median(round), median(ours)
	p.note("medians of %d: fdatasync %s, mosquitto publish to subscriber %s, HTTPS round trip %s", count, ms(s), ms(m), ms(r))
	budget := 2*(s+m) + r
	p.line("desired update → patch at the device, p50", ms(o), "at most "+ms(budget), budget/o, 1)
}

func timed(f func()) float64 {
	begin := time.Now()
	f()
	return milliseconds(time.Since(begin))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
