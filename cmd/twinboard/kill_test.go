package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childArgs, when set, makes TestChild the program itself, with these arguments.
const childArgs = "CHILD_OF_TWINBOARD_TEST"

func TestChild(t *testing.T) {
	args := os.Getenv(childArgs)
	if args == "" {
		t.Skip("not a child")
	}
	if err := run(context.Background(), strings.Split(args, "\n"), os.Stdout, os.Stderr); err != nil {
		t.Fatal(err)
	}
}

// killable is the program in a process of its own.
type killable struct {
	program
	process *exec.Cmd
}

func serveKillable(t *testing.T, data string) *killable {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0", "--data", data, "--quiet"}
	k := &killable{process: exec.CommandContext(t.Context(), self, "-test.run=^TestChild$")}
	k.process.Env = append(os.Environ(), childArgs+"="+strings.Join(args, "\n"))
	stdout, err := k.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.kill)
	if err := json.NewDecoder(stdout).Decode(&k.readyLine); err != nil {
		t.Fatalf("no ready line: %v", err)
	}
	go io.Copy(io.Discard, stdout)
	return k
}

// kill ends the program without a word, as a power cut does; it may be called
// twice.
func (k *killable) kill() {
	_ = k.process.Process.Kill() // fails when it is dead
	_ = k.process.Wait()         // always says that it was killed
}

// send posts a form and returns where that leads.
func (p *program) send(t *testing.T, path string, form url.Values) string {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Dashboard+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s answers %s", path, resp.Status)
	}
	return resp.Header.Get("Location")
}

// bulkState is how far a change of many devices is, as its page says as JSON.
type bulkState struct {
	Phase                                 string
	Total, Waiting, Done, Already, Failed int
}

func (p *program) state(t *testing.T, path string) (b bulkState) {
	t.Helper()
	if err := json.Unmarshal(p.page(t, path+"?format=json"), &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBulkOutlivesAKill kills the program while it adds many devices. The one that
// is started after it knows what was done, and goes on to the end.
func TestBulkOutlivesAKill(t *testing.T) {
	data, total := t.TempDir(), 4000
	first := serveKillable(t, data)
	path := first.send(t, "/h/local/import", url.Values{"by": {"pattern"}, "pattern": {"pump-{0001..4000}"}})
	first.send(t, path+"/start", url.Values{"confirm": {"4000"}})
	for deadline := time.Now().Add(patience); first.state(t, path).Done == 0; {
		if time.Now().After(deadline) {
			t.Fatal("none is added")
		}
	}
	first.kill()

	second := serveKillable(t, data)
	b := second.state(t, path)
	if b.Phase != "interrupted" || b.Total != total || b.Done == 0 || b.Done+b.Waiting != total {
		t.Fatalf("%+v", b)
	}
	second.send(t, path+"/retry", url.Values{"retry": {"waiting"}})
	second.until(t, path, "it is done", func([]byte) bool { b = second.state(t, path); return b.Phase != "running" })
	if b.Done != total || b.Failed != 0 || b.Phase != "done" {
		t.Errorf("%+v", b)
	}
	second.lists(t, total)
}
