package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"twinboard/hubclient/iothub"
)

// commitsInChild is how many commits the traced process makes.
const commitsInChild = 20

// TestMain turns the test binary into the process that is traced.
func TestMain(m *testing.M) {
	if path := os.Getenv("TWINBOARD_TEST_COMMIT_INTO"); path != "" {
		if err := commitAndTell(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// commitAndTell says "answered" on standard output after each commit.
func commitAndTell(path string) error {
	s, err := Open(context.Background(), path)
	if err != nil {
		return err
	}
	r := plain("d")
	if err := s.Commit(&Batch{Insert: []*Record{r}}); err != nil {
		return err
	}
	for i := range commitsInChild {
		b := &Batch{}
		if i%2 == 0 {
			b.Insert = []*Record{plain(fmt.Sprint("d", i))}
		} else {
			r = b.edit(r, Edit{Tags: iothub.Document{"n": fmt.Sprint(i)}}, noon)
		}
		if err := s.Commit(b); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "answered", i)
	}
	return s.Close()
}

// TestSyncComesBeforeTheAnswer watches the system calls of a process that
// commits: each answer must be preceded by a write to the WAL and then by a
// sync of it, because kill -9 alone cannot show a missing sync: the kernel
// still has what was written. Without a working strace the proof is
// TestEveryConnectionProvesItsPragmas.
func TestSyncComesBeforeTheAnswer(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Log("strace is not installed; the pragmas alone vouch for the sync")
		return
	}
	if out, err := exec.Command(strace, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Logf("strace may not trace here; the pragmas alone vouch for the sync: %v %s", err, out)
		return
	}
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	cmd := exec.Command(strace, "-f", "-y", "-s", "32", "-e", "trace=write,pwrite64,fsync,fdatasync", "-o", trace, os.Args[0])
	cmd.Env = append(os.Environ(), "TWINBOARD_TEST_COMMIT_INTO="+filepath.Join(dir, "hub.db"))
	if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "answered") != commitsInChild {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkTrace(t, bufio.NewScanner(f))
}

var (
	// With -f, a call may be split in two lines; its end is "resumed".
	walWritten = regexp.MustCompile(`(write|pwrite64)\(\d+<[^>]*hub\.db-wal>`)
	walSynced  = regexp.MustCompile(`(fsync|fdatasync)\(\d+<[^>]*hub\.db-wal>`)
	answered   = regexp.MustCompile(`write\(\d+<[^>]*>, "answered`)
)

func checkTrace(t *testing.T, lines *bufio.Scanner) {
	t.Helper()
	var wrote, synced bool
	answers := 0
	for lines.Scan() {
		switch line := lines.Text(); {
		case walWritten.MatchString(line):
			wrote, synced = true, false
		case walSynced.MatchString(line):
			synced = true
		case answered.MatchString(line):
			if !wrote || !synced {
				t.Errorf("answer %d: WAL written %v, then synced %v", answers, wrote, synced)
			}
			answers++
			wrote, synced = false, false
		}
	}
	if answers != commitsInChild {
		t.Errorf("%d answers in the trace, want %d", answers, commitsInChild)
	}
}
