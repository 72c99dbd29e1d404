package localhub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childVariable makes the test binary a program of its own: what it does, and
// its data folder.
const childVariable = "TWINBOARD_TEST_CHILD"

// children are these programs.
var children = map[string]func(data string) error{
	"serve": func(data string) error { return serveUntilLeft(data, func(string) {}) },
	"open":  openOnly,
}

// openOnly opens a folder and serves nothing.
func openOnly(data string) error {
	h, err := New(Options{Data: data})
	if err == nil {
		err = h.Close(context.Background())
	}
	return err
}

func TestMain(m *testing.M) {
	if what := os.Getenv(childVariable); what != "" {
		if err := children[what](os.Getenv(childVariable + "_DATA")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serveUntilLeft is a hub like any other. It says on standard output when it
// serves, hands on the lines of standard input, and ends with it: with the test,
// however that ends.
func serveUntilLeft(data string, heard func(line string)) error {
	h, err := New(Options{Data: data, HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	if err := h.Start(context.Background()); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		heard(lines.Text())
	}
	return errors.New("the test has ended")
}

// child is a running program of these.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Writer
	out   *bufio.Reader
	kill  func()
	timer *time.Timer
}

func childCommand(what, data string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+what, childVariable+"_DATA="+data)
	return cmd
}

func startChild(t *testing.T, what, data string) *child {
	t.Helper()
	return startChildFor(t, what, data, 30*time.Second)
}

// startChildFor starts a child that ends after the time given, even one that
// hangs.
func startChildFor(t *testing.T, what, data string, most time.Duration) *child {
	t.Helper()
	cmd := childCommand(what, data)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	c.kill = sync.OnceFunc(func() { _ = cmd.Process.Kill() })
	c.timer = time.AfterFunc(most, c.kill)
	t.Cleanup(func() { // of a test that failed
		c.kill()
		_ = cmd.Wait()
	})
	return c
}

// ready waits until the child serves; false means that it was killed before.
func (c *child) ready() bool {
	c.t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil && err != io.EOF {
		c.t.Fatal(err)
	}
	return line == "ready\n"
}

// killWithin kills the child at a random moment.
func (c *child) killWithin(most time.Duration) {
	time.AfterFunc(rand.N(most), c.kill)
}

// killed waits for the end of a child that was killed.
func (c *child) killed() {
	c.t.Helper()
	err := c.cmd.Wait()
	c.timer.Stop()
	if err == nil || c.cmd.ProcessState.ExitCode() != -1 {
		c.t.Fatalf("the hub was not killed: %v", err)
	}
}
