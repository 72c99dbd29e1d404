//go:build peers && linux

package localhub

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// postgres is a server of our own on a temporary folder, reached through a
// socket in it.
type postgres struct {
	*testing.T
	dir string
}

// startPostgres returns nil, and says so, when it is not installed. Settings are
// the defaults, which sync each commit, but for room in memory for all twins.
func startPostgres(t *testing.T, p *peers) *postgres {
	t.Helper()
	initdb := program("initdb", "/usr/lib/postgresql/*/bin/initdb")
	if initdb == "" || program("pgbench", "") == "" || program("psql", "") == "" {
		p.note("PostgreSQL is not installed (initdb, psql, pgbench): nothing to compare queries and updates with")
		return nil
	}
	pg := &postgres{t, folder(t)} // removed after the server has stopped
	data := filepath.Join(pg.dir, "data")
	run(t, unprivileged(exec.CommandContext(t.Context(), initdb, "-D", data, "-A", "trust", "-U", "postgres")))
	server := unprivileged(exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data,
		"-k", pg.dir, "-c", "listen_addresses=", "-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB", "-c", "synchronous_commit=on"))
	start(t, server, func() bool {
		return exec.CommandContext(t.Context(), "psql", "-h", pg.dir, "-U", "postgres", "-c", "select 1").Run() == nil
	})
	p.note("PostgreSQL %s; index: GIN with jsonb_path_ops, the faster of the two; asked over a local socket by pgbench, statements prepared",
		strings.TrimSpace(pg.psql("show server_version", "-t")))
	return pg
}

func program(name, pattern string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob(pattern) // the pattern is well formed
	if len(found) == 0 {
		return ""
	}
	return slices.Max(found)
}

// folder is one that an unprivileged server may use.
func folder(t *testing.T) string {
	t.Helper()
	dir := must(os.MkdirTemp("", "peers")) // others may not look into t.TempDir
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if u := unprivilegedUser(); u != nil {
		if err := os.Chown(dir, int(u.Uid), int(u.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// unprivileged runs a command as nobody when we are root: PostgreSQL refuses
// root.
func unprivileged(c *exec.Cmd) *exec.Cmd {
	if u := unprivilegedUser(); u != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: u}
	}
	return c
}

func unprivilegedUser() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	u := must(user.Lookup("nobody"))
	id := func(s string) uint32 { return uint32(must(strconv.ParseUint(s, 10, 32))) }
	return &syscall.Credential{Uid: id(u.Uid), Gid: id(u.Gid)}
}

func run(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", c, err, out)
	}
	return string(out)
}

// start runs a server until the context of its command, the test's, ends. It is
// asked to stop: a killed PostgreSQL leaves its processes to themselves.
func start(t *testing.T, c *exec.Cmd, ready func() bool) {
	t.Helper()
	log := must(os.Create(filepath.Join(t.TempDir(), "log")))
	c.Stdout, c.Stderr = log, log
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) }
	c.WaitDelay = 30 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Wait() // it was interrupted
		log.Close()
	})
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); !ready(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer:\n%s", c, must(os.ReadFile(log.Name())))
		}
	}
}

func (pg *postgres) psql(command string, options ...string) string {
	pg.Helper()
	args := append([]string{"-h", pg.dir, "-U", "postgres", "-qAX", "-v", "ON_ERROR_STOP=1", "-c", command}, options...)
	return run(pg.T, exec.CommandContext(pg.Context(), "psql", args...))
}

// load stores the twins as the hub prints them, once with a GIN index and once
// without.
func (pg *postgres) load(p *peers) {
	pg.Helper()
	docs := filepath.Join(pg.TempDir(), "docs")
	f := must(os.Create(docs))
	for _, row := range p.bench.rows("SELECT * FROM devices", 100) {
		fmt.Fprintln(f, row)
	}
	p.bench.check(f.Close())
	for _, table := range []string{"twins", "plain"} {
		pg.psql("create table " + table + " (id bigserial primary key, device_id text, doc jsonb not null)")
		// Quotation mark and delimiter are characters that no document has.
		pg.psql(`\copy ` + table + ` (doc) from '` + docs + `' with (format csv, quote e'\x01', delimiter e'\x02')`)
		pg.psql("update " + table + " set device_id = doc->>'deviceId'")
		pg.psql("create unique index on " + table + " (device_id)")
	}
	pg.psql("create index on twins using gin (doc jsonb_path_ops)")
	pg.psql("vacuum full analyze")
	pg.psql("checkpoint")
	pg.psql("select pg_stat_reset()")
}

var latency = regexp.MustCompile(`latency average = ([0-9.]+) ms`)
var throughput = regexp.MustCompile(`tps = ([0-9.]+)`)

// query returns the mean in milliseconds of a query for a second.
func (pg *postgres) query(text string) float64 {
	pg.Helper()
	return pg.pgbench(latency, text, "-T", "1")
}

// updates returns how many a second 16 writers make.
func (pg *postgres) updates(table string) float64 {
	pg.Helper()
	return pg.pgbench(throughput, fmt.Sprintf(`\set id random(0, 999)
\set level random(%d, %d)
update %s set doc = jsonb_set(doc, '{properties,desired,power_level}', to_jsonb(:level::int))
  where device_id = 'device-' || lpad((:id)::text, 6, '0')`, firstLevel, firstLevel+levels-1, table),
		"-c", strconv.Itoa(writers), "-j", "2", "-T", strconv.Itoa(int(roundTime.Seconds())))
}

// indexed returns the percentage of a table's updates since load that its indexes
// had to follow: none of those that changed no indexed value.
func (pg *postgres) indexed(table string) string {
	pg.Helper()
	return strings.TrimSpace(pg.psql("select round(100 - 100.0 * n_tup_hot_upd / n_tup_upd, 1) from pg_stat_user_tables where relname = '"+table+"'", "-t"))
}

func (pg *postgres) pgbench(figure *regexp.Regexp, script string, options ...string) float64 {
	pg.Helper()
	file := filepath.Join(pg.TempDir(), "script")
	if err := os.WriteFile(file, []byte(script+";\n"), 0o600); err != nil {
		pg.Fatal(err)
	}
	args := append([]string{"-h", pg.dir, "-U", "postgres", "-n", "-M", "prepared", "-f", file}, options...)
	out := run(pg.T, exec.CommandContext(pg.Context(), "pgbench", append(args, "postgres")...))
	found := figure.FindStringSubmatch(out)
	if found == nil {
		pg.Fatalf("pgbench says\n%s", out)
	}
	return must(strconv.ParseFloat(found[1], 64))
}

// mosquitto is a broker of our own with a publisher and a subscriber.
type mosquitto struct{ from, to *thing }

func startMosquitto(t *testing.T, p *peers) *mosquitto {
	t.Helper()
	path := program("mosquitto", "/usr/sbin/mosquitto")
	if path == "" {
		p.note("mosquitto is not installed: nothing to compare the delivery of patches with")
		return nil
	}
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	address := ln.Addr().String()
	p.bench.check(ln.Close())
	_, port, _ := net.SplitHostPort(address) // of a listener
	start(t, unprivileged(exec.CommandContext(t.Context(), path, "-p", port)), func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	client := func(id string) *thing {
		d := newThing(t, must(net.Dial("tcp", address)))
		d.send(connect{protocol: "MQTT", level: 4, flags: 2, keepAlive: 600, id: id}.bytes())
		d.next(packets.Connack)
		return d
	}
	m := &mosquitto{client("from"), client("to")}
	m.to.send(subscribe(1, 0, "patches"))
	m.to.next(packets.Suback)
	return m
}

// publish sends a message and waits for it at the subscriber.
func (m *mosquitto) publish() {
	m.from.send(publish(0, 0, "patches", []byte(`{"n":1,"$version":2}`)))
	m.to.next(packets.Publish)
}

// syncOnce writes a page and has it on the disk.
func syncOnce(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Fdatasync(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}
