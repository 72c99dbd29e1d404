package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait; a green run needs a fraction of it.
const patience = 60 * time.Second

// hub is what the SDKs need to know.
type hub struct {
	connectionString string
	deviceString     func(t *testing.T) string // of the test's device, made if need be
	environment      []string                  // how the SDKs trust its CA
}

// suite is a file of tests in testdata, run over one transport where it connects
// devices.
type suite struct{ name, file, transport string }

// leastAssertions is how many different lines of the suites must assert
// something of a hub.
const leastAssertions = 500

func TestNodeSDK(t *testing.T) {
	suites := []suite{
		{"registry", "registry", ""},
		{"twins", "twins", ""},
		{"query", "query", ""},
		{"modules", "modules", ""},
		{"bulk", "bulk", ""},
		{"device", "device", "mqtt"},
		{"device-websocket", "device", "websocket"},
		{"connection", "connection", "mqtt"},
		{"connection-websocket", "connection", "websocket"},
		{"methods", "methods", "mqtt"},
		{"methods-websocket", "methods", "websocket"},
		{"jobs", "jobs", ""},
	}
	h := startHub(t)
	places, ran := map[string]bool{}, 0
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			ran++
			for _, place := range h.runSuite(t, s) {
				places[place] = true
			}
		})
	}
	t.Logf("%d assertions", len(places))
	if ran == len(suites) && len(places) < leastAssertions {
		t.Errorf("%d assertions, want at least %d", len(places), leastAssertions)
	}
}

// TestNodeThrottling asks more of a hub than its tier allows, which one does to
// one's own hub only.
func TestNodeThrottling(t *testing.T) {
	if os.Getenv("HUB_CONNECTION_STRING") == "" {
		startHub(t, "--throttle", "F1").runSuite(t, suite{"throttling", "throttling", ""})
	}
}

// runSuite returns the lines that asserted something.
func (h hub) runSuite(t *testing.T, s suite) (places []string) {
	t.Helper()
	counted := filepath.Join(t.TempDir(), "assertions.json")
	p := h.node(t, "--test", "--test-reporter=spec", "testdata/"+s.file+".test.js")
	p.cmd.Env = append(p.cmd.Env, "TRANSPORT="+s.transport, "ASSERTIONS="+counted)
	t.Log(p.run(t))
	text, err := os.ReadFile(counted)
	if err == nil {
		err = json.Unmarshal(text, &places)
	}
	if err != nil {
		t.Fatal(err)
	}
	return places
}

// TestNodeTutorial runs the tutorial's two programs, unmodified, in its order.
func TestNodeTutorial(t *testing.T) {
	h := startHub(t)
	id, deviceString := deviceOf(t), h.deviceString(t)

	first := h.node(t, "testdata/add-tags-and-query.js").run(t)
	want(t, first, "in the plant: "+id+"\n", "in the plant on cellular: none\n")

	device := h.node(t, "testdata/report-connectivity.js")
	device.cmd.Env = append(device.cmd.Env, "DEVICE_CONNECTION_STRING="+deviceString)
	lines := device.start(t)
	lines.waitFor(t, "twin read: desired version 2")
	lines.waitFor(t, "reported: cellular")

	second := h.node(t, "testdata/add-tags-and-query.js").run(t)
	want(t, second, "in the plant: "+id+"\n", "in the plant on cellular: "+id+"\n")
	lines.waitFor(t, "desired version 3: power_level 1")
}

func want(t *testing.T, output string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(output, part) {
			t.Errorf("the output lacks %q:\n%s", part, output)
		}
	}
}

// program is one run of Node.
type program struct{ cmd *exec.Cmd }

func (h hub) node(t *testing.T, args ...string) program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // what cleans up may run too
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), h.environment...)
	cmd.Env = append(cmd.Env, "HUB_CONNECTION_STRING="+h.connectionString, "DEVICE_ID="+deviceOf(t))
	return program{cmd}
}

// started makes the device ids of a run unique: the suite can run against a hub
// that has devices.
var started = time.Now().UnixNano()

// deviceOf names the device that the programs of a test share.
func deviceOf(t *testing.T) string {
	return fmt.Sprintf("conformance-%s-%d", strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-"), started)
}

func (p program) run(t *testing.T) string {
	t.Helper()
	output, err := p.cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", strings.Join(p.cmd.Args[1:], " "), err, output)
	}
	return string(output)
}

// lines follows what a running program prints.
type lines struct {
	c    chan string
	seen []string
}

func (p program) start(t *testing.T) *lines {
	t.Helper()
	reader, writer := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &lines{c: make(chan string, 100)}
	go func() {
		for s := bufio.NewScanner(reader); s.Scan(); {
			l.c <- s.Text()
		}
		close(l.c)
	}()
	t.Cleanup(func() {
		p.cmd.Cancel()
		p.cmd.Wait()
		writer.Close()
	})
	return l
}

func (l *lines) waitFor(t *testing.T, line string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got, ok := <-l.c:
			if !ok {
				t.Fatalf("the program ended without printing %q; it printed:\n%s", line, strings.Join(l.seen, "\n"))
			}
			l.seen = append(l.seen, got)
			if got == line {
				return
			}
		case <-deadline:
			t.Fatalf("no line %q within %s; the program printed:\n%s", line, patience, strings.Join(l.seen, "\n"))
		}
	}
}

// startHub starts this project's hub on the standard ports, which Microsoft's
// Node service SDK insists on, or uses the one in HUB_CONNECTION_STRING.
func startHub(t *testing.T, options ...string) hub {
	t.Helper()
	if s := os.Getenv("HUB_CONNECTION_STRING"); s != "" {
		return otherHub(s)
	}
	binary, data := build(t), t.TempDir()
	cmd := exec.Command(binary, append([]string{"hub", "--standard-ports", "--data", data, "--log-level", "warn"}, options...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the hub did not stop cleanly: %v\n%s", err, stderr.String())
		}
	})
	var ready struct{ CA string }
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
		t.Fatalf("the hub did not start on ports 443 and 8883, which these tests need free and allowed (root, or net.ipv4.ip_unprivileged_port_start=443): %v\n%s", err, stderr.String())
	}
	return hub{
		connectionString: ask(t, binary, "connection-string", "--data", data),
		deviceString: func(t *testing.T) string {
			return ask(t, binary, "connection-string", "--data", data, "--device", deviceOf(t), "--create")
		},
		environment: []string{"NODE_EXTRA_CA_CERTS=" + ready.CA, "LOCAL_HUB=1"},
	}
}

func ask(t *testing.T, binary string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), binary, args...).Output()
	if err != nil {
		t.Fatalf("twinboard %s: %v", args[0], err)
	}
	return strings.TrimSpace(string(output))
}

// build makes the program once for all tests.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "twinboard")
	output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "twinboard/cmd/twinboard").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	return binary
}

// otherHub is a hub that is there already. Its devices are made with its own
// service API, by the SDK.
func otherHub(connectionString string) hub {
	h := hub{connectionString: connectionString}
	h.deviceString = func(t *testing.T) string {
		t.Cleanup(func() { h.node(t, "testdata/delete-device.js").run(t) })
		return strings.TrimSpace(h.node(t, "testdata/create-device.js").run(t))
	}
	return h
}
