package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"twinboard/localhub"
	"twinboard/views/text"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// program is the whole of Twinboard, running in this process on free ports.
type program struct {
	readyLine
	stop   func() error // as Ctrl-C does; returns what run returned
	stderr *syncBuffer
}

// startProgram runs a command line until it is ready.
func startProgram(t testing.TB, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	p := &program{stderr: &syncBuffer{}}
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, writer, p.stderr)
		writer.CloseWithError(io.EOF)
		done <- err
	}()
	p.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return context.DeadlineExceeded
		}
	})
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("the program did not stop cleanly: %v", err)
		}
	})
	if err := json.NewDecoder(reader).Decode(&p.readyLine); err != nil {
		t.Fatalf("no ready line: %v, run: %v\n%s", err, p.stop(), p.stderr)
	}
	go io.Copy(io.Discard, reader)
	return p
}

// serve starts the dashboard with a hub of its own on free ports.
func serve(t testing.TB, args ...string) *program {
	t.Helper()
	return startProgram(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0", "--data", t.TempDir(), "--log-level", "warn"}, args...)...)
}

// syncBuffer is a bytes.Buffer that two goroutines may use.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// refused runs a command line that must fail and returns its error.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	err := run(ctx, args, &stdout, &stderr)
	if err == nil {
		t.Fatalf("twinboard %s succeeded, printed %s", strings.Join(args, " "), stdout.String())
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is more than one line: %s", err)
	}
	return err.Error()
}

func TestServeStopsWithAnOpenEventStream(t *testing.T) {
	p := serve(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.Dashboard+"/live/h/local/devices", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("the event stream answers %s, %s", response.Status, got)
	}
	begin := time.Now()
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > stopTime {
		t.Errorf("stopping took %s", took)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Logf("the stream ended with %v", err)
	}
}

func TestReadyLine(t *testing.T) {
	p := serve(t)
	if _, err := os.Stat(p.CA); err != nil {
		t.Errorf("the CA is not there: %v", err)
	}
	for name, address := range map[string]string{"https": p.HTTPS, "mqtt": p.MQTT} {
		if !strings.HasPrefix(address, "localhost:") || strings.HasSuffix(address, ":0") {
			t.Errorf("%s = %q, want localhost and the port really bound", name, address)
		}
	}
	response, err := http.Get(p.Dashboard)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the dashboard answers %s", response.Status)
	}
}

func TestConnectionStringAndCA(t *testing.T) {
	data := t.TempDir()
	args := []string{"hub", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0", "--data", data, "--quiet"}
	p := startProgram(t, args...)
	port := p.HTTPS[strings.LastIndex(p.HTTPS, ":"):]
	device := ask(t, "connection-string", "--data", data, "--device", "d1", "--create")
	if !strings.HasPrefix(device, "HostName=localhost;DeviceId=d1;SharedAccessKey=") {
		t.Errorf("device: %s", device)
	}
	own := ask(t, "connection-string", "--data", data, "--policy", "mine", "--create", "--rights", "registryRead,serviceConnect")
	if !strings.HasPrefix(own, "HostName=localhost"+port+";SharedAccessKeyName=mine;SharedAccessKey=") {
		t.Errorf("a policy of one's own: %s", own)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if again := ask(t, "connection-string", "--data", data, "--policy", "mine"); again != own {
		t.Errorf("with the hub stopped the policy's string is %s, was %s", again, own)
	}
	for refusal, args := range map[string][]string{
		"commas":   {"--policy", "other", "--create", "--rights", "everything"},
		"--create": {"--policy", "other", "--rights", "registryRead"},
		"--policy": {"--rights", "registryRead", "--device", "d1", "--create"},
		"exists":   {"--policy", "mine", "--create", "--rights", "registryRead"},
		"letters":  {"--policy", "a b", "--create", "--rights", "registryRead"},
		"--device": {"--create"},
	} {
		if err := refused(t, append([]string{"connection-string", "--data", data}, args...)...); !strings.Contains(err, refusal) {
			t.Errorf("%v: %s", args, err)
		}
	}
	service := ask(t, "connection-string", "--data", data, "--policy", "serviceAndRegistryRead")
	if !strings.HasPrefix(service, "HostName=localhost"+port+";SharedAccessKeyName=serviceAndRegistryRead;SharedAccessKey=") {
		t.Errorf("service: %s", service)
	}
	if again := ask(t, "connection-string", "--data", data, "--device", "d1"); again != device {
		t.Errorf("with the hub stopped the device's string is %s, was %s", again, device)
	}
	if ca := ask(t, "ca", "--data", data); ca != p.CA {
		t.Errorf("ca prints %s, the ready line said %s", ca, p.CA)
	}
	if err := refused(t, "connection-string", "--data", data, "--policy", "nobody"); !strings.Contains(err, "nobody") {
		t.Errorf("unknown policy: %s", err)
	}
	if err := refused(t, "connection-string", "--data", data, "--device", "d2"); !strings.Contains(err, "d2") {
		t.Errorf("unknown device: %s", err)
	}
	if err := refused(t, "connection-string", "--data", data, "--device", "d2", "--create"); !strings.Contains(err, "running") {
		t.Errorf("--create with the hub stopped: %s", err)
	}
}

func ask(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	if err := run(ctx, args, &stdout, &stderr); err != nil {
		t.Fatalf("twinboard %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSuffix(stdout.String(), "\n")
}

func TestRefusals(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := []string{"--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0"}
	with := func(more ...string) []string {
		return append(append([]string{"serve", "--quiet"}, more...), free...)
	}

	p := serve(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"dashboard's port taken": {with("--data", t.TempDir(), "--listen", taken.Addr().String()), taken.Addr().String()},
		"hub's port taken":       {[]string{"hub", "--quiet", "--data", t.TempDir(), "--hub-https", taken.Addr().String(), "--hub-mqtt", "127.0.0.1:0"}, taken.Addr().String()},
		"data folder in use":     {with("--data", p.Data, "--listen", "127.0.0.1:0"), p.Data},
		"data folder is a file":  {with("--data", file, "--listen", "127.0.0.1:0"), file},
		"not loopback":           {with("--data", t.TempDir(), "--listen", "0.0.0.0:0"), "reverse proxy"},
		"bad connection string":  {[]string{"serve", "--quiet", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--hub", "HostName=h"}, "lacks SharedAccessKeyName"},
		"missing hub file":       {[]string{"serve", "--quiet", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--hub", "@" + file + "x"}, "filex cannot be read"},
		"bad shard":              {[]string{"simulate", "--shard", "3/2"}, "--shard"},
		"unknown flag":           {[]string{"serve", "--colour"}, "--colour"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refused(t, tt.args...); !strings.Contains(got, tt.want) {
				t.Errorf("error %q lacks %q", got, tt.want)
			}
		})
	}
}

func TestParseHub(t *testing.T) {
	const s = "HostName=plant.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=AAAA"
	file := filepath.Join(t.TempDir(), "hub.txt")
	if err := os.WriteFile(file, []byte(s+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for value, name := range map[string]string{s: "plant", "@" + file: "plant", "north=" + s: "north", "north-2=@" + file: "north-2"} {
		got, err := parseHub(value)
		if err != nil || got.name != name || got.connection.String() != s {
			t.Errorf("parseHub(%q) = %s, %v", value, got.name, err)
		}
	}
	for _, value := range []string{"", "x", "North=" + s, "a b=" + s} {
		if _, err := parseHub(value); err == nil {
			t.Errorf("parseHub(%q) is accepted", value)
		}
	}
}

func TestShardsDivideTheDevices(t *testing.T) {
	seen := map[numbered]int{}
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		c := simulateCommand{Count: 10, Prefix: "s-", Shard: shard}
		devices, err := c.devices()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range devices {
			seen[d]++
		}
	}
	if len(seen) != 10 {
		t.Errorf("three shards of ten devices hold %v", seen)
	}
	for d, n := range seen {
		if n != 1 {
			t.Errorf("%s is in %d shards", d.id, n)
		}
	}
}

func TestExplainSpeaksThePersonsLanguage(t *testing.T) {
	for lang, want := range map[string]string{"es_ES.UTF-8": "es", "en_US.UTF-8": "en", "C": "C", "": ""} {
		if got := language(func(name string) string { return map[string]string{"LANG": lang}[name] }); got != want {
			t.Errorf("LANG=%s: %q, want %q", lang, got, want)
		}
	}
	err := &localhub.DataError{Kind: "in-use", Path: "/data"}
	for lang, want := range map[string]string{"es": "Otro Twinboard usa la carpeta de datos /data.", "en": "The data folder /data is in use by another Twinboard.", "C": "The data folder /data is in use"} {
		got := explain(text.With(t.Context(), lang), fmt.Errorf("start: %w", err))
		if !strings.HasPrefix(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("%s: %v, want %s", lang, got, want)
		}
	}
}
