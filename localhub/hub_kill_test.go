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

	"twinboard/hubclient/iothub"
)

const (
	killRounds  = 50
	killWriters = 4
)

// TestMain turns the test binary into the hub that is killed.
func TestMain(m *testing.M) {
	if data := os.Getenv("TWINBOARD_TEST_WRITE_INTO"); data != "" {
		fmt.Fprintln(os.Stderr, writeForever(data))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever updates a twin for each writer and says on standard output what
// was answered.
func writeForever(data string) error {
	ctx := context.Background()
	h, err := New(Options{Data: data})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range killWriters {
		go func() { failed <- h.registry.countUp(ctx, fmt.Sprint("d", w)) }()
	}
	return <-failed
}

func (r *registry) countUp(ctx context.Context, id string) error {
	if _, err := r.createDevice(ctx, owner, iothub.Device{DeviceID: id}); err != nil && !errors.Is(err, iothub.ErrDeviceAlreadyExists) {
		return err
	}
	for {
		twin, err := r.twin(ctx, dev(id))
		if err != nil {
			return err
		}
		n := fmt.Sprint(twin.Version + 1)
		p := iothub.TwinPatch{Tags: iothub.Document{"version": n}, Desired: iothub.Document{"version": n}}
		if twin, err = r.updateTwin(ctx, owner, dev(id), p, twin.ETag); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, id, twin.Version)
	}
}

// TestKillLosesNothingAnswered kills a hub in the middle of a stream of updates
// again and again, and looks whether what it had answered is there.
func TestKillLosesNothingAnswered(t *testing.T) {
	data := t.TempDir()
	answered := map[string]int64{}
	started := time.Now()
	for round := range killRounds {
		killOnce(t, data, answered)
		checkAnswered(t, data, answered)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	total := int64(0)
	for _, version := range answered {
		total += version
	}
	t.Logf("%d rounds, %d answered updates, %v", killRounds, total, time.Since(started).Round(time.Second))
	if len(answered) != killWriters || total < killRounds {
		t.Errorf("too few updates to prove anything: %v", answered)
	}
}

func killOnce(t *testing.T, data string, answered map[string]int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TWINBOARD_TEST_WRITE_INTO="+data)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var armed sync.Once
	kill := func() { cmd.Process.Kill() } // too late it does nothing
	// A round in which nothing is heard ends all the same.
	defer time.AfterFunc(20*time.Second, kill).Stop()
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // half a line was not answered yet
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var id string
		var version int64
		if _, err := fmt.Sscan(line, &id, &version); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		answered[id] = version
		// The end comes at a random moment after the first answer.
		armed.Do(func() { time.AfterFunc(time.Duration(rand.Int64N(int64(200*time.Millisecond))), kill) })
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
		t.Fatalf("the hub was not killed: %v", err)
	}
}

func checkAnswered(t *testing.T, data string, answered map[string]int64) {
	t.Helper()
	h, err := New(Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer closeHub(t, h)
	for id, version := range answered {
		twin, err := h.registry.twin(t.Context(), dev(id))
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		if twin.Version < version {
			t.Errorf("%s is at version %d, %d was answered", id, twin.Version, version)
		}
		if n := fmt.Sprint(twin.Version); twin.Version > 2 && (twin.Tags["version"] != n || twin.Properties.Desired.Value["version"] != n) {
			t.Errorf("%s at version %s holds %v and %v", id, n, twin.Tags, twin.Properties.Desired.Value)
		}
	}
}
