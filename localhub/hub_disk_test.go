//go:build unix

package localhub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// init adds what only these systems can do.
func init() {
	children["full"] = serveOnFullDisk
	children["open as nobody"] = func(data string) error {
		if err := becomeNobody(); err != nil {
			return err
		}
		return openOnly(data)
	}
}

// serveOnFullDisk is a hub whose files may not grow any more after the line
// "full" on standard input, and may after "space". The limit is the kernel's for
// this process, so it takes no rights and holds for root too.
func serveOnFullDisk(data string) error {
	signal.Ignore(syscall.SIGXFSZ) // the write fails instead
	return serveUntilLeft(data, func(line string) {
		if err := limitFiles(data, line == "full"); err != nil {
			fmt.Fprintln(os.Stdout, err)
		}
		fmt.Fprintln(os.Stdout, line)
	})
}

func limitFiles(data string, full bool) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if full {
		info, err := os.Stat(storeFile(data) + "-wal")
		if err != nil {
			return err
		}
		limit.Cur = uint64(info.Size())
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// say sends a line and waits for its echo.
func (c *child) say(line string) {
	c.t.Helper()
	fmt.Fprintln(c.in, line)
	if got, err := c.out.ReadString('\n'); err != nil || got != line+"\n" {
		c.t.Fatalf("the child says %q, %v", got, err)
	}
}

// TestAFullDiskStopsWritesAlone takes a hub's space away and gives it back.
func TestAFullDiskStopsWritesAlone(t *testing.T) {
	data := t.TempDir()
	s := &siege{T: t, data: data, devices: map[string]*besieged{"d": {}}, identities: map[string]bool{}}
	s.check() // makes the folder and the device
	c := startChild(t, "full", data)
	if !c.ready() {
		t.Fatal("the hub does not start")
	}
	at, err := ReadEndpoints(data)
	if err != nil {
		t.Fatal(err)
	}
	w := &besieger{siege: s, at: at, tls: s.trust()}
	w.dial()
	defer w.http.CloseIdleConnections()
	d := s.devices["d"]
	line, err := w.connectDevice("d", d)
	if err != nil {
		t.Fatal(err)
	}
	w.patches("d", 2, http.StatusOK)
	c.say("full")
	w.patches("d", 3, http.StatusInternalServerError)
	if status, answer := w.ask(http.MethodPut, "/devices/new", "{}", ""); status != http.StatusInternalServerError || !strings.Contains(string(answer), "ErrorCode:ServerError") {
		t.Errorf("a device was made on a full disk: %d %s", status, answer)
	}
	// Reads, of services and devices, go on, and say what was stored last.
	for path, body := range map[string]string{"/twins/d": "", "/devices/query": `{"query":"SELECT * FROM devices WHERE tags.n = '2'"}`} {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		if status, answer := w.ask(method, path, body, ""); status != http.StatusOK || !strings.Contains(string(answer), `"n":"2"`) {
			t.Errorf("%s on a full disk: %d %s", path, status, answer)
		}
	}
	line.send(publish(1, 1, iothub.ReportedTopic("1"), []byte(`{"n":"2"}`)))
	line.next(packets.Puback)
	if answer := line.message("$iothub/twin/res/500/?$rid=1"); !strings.Contains(answer, `"errorCode":500`) {
		t.Errorf("a report on a full disk is answered %s", answer)
	}
	line.send(publish(0, 0, iothub.TwinGetTopic("2"), nil))
	line.sameJSON(line.message("$iothub/twin/res/200/?$rid=2"), `{"desired":{"n":"2","$version":2},"reported":{"$version":1}}`)
	c.say("space")
	w.patches("d", 3, http.StatusOK)
	line.send(publish(0, 0, iothub.ReportedTopic("3")+"&$version=1", []byte(`{"n":"2"}`)))
	line.message("$iothub/twin/res/204/?$rid=3&$version=2")
	d.answered, d.acknowledged = 5, 2
	c.kill()
	c.killed()
	s.check()
}

// patches writes a version of d's twin and expects a status.
func (w *besieger) patches(id string, version, want int) {
	w.Helper()
	body := fmt.Sprintf(`{"tags":{"n":"%[1]d"},"properties":{"desired":{"n":"%[1]d"}}}`, version)
	status, answer := w.ask(http.MethodPatch, "/twins/"+id, body, "")
	if status != want {
		w.Fatalf("version %d: %d %s instead of %d", version, status, answer, want)
	}
	if want == http.StatusOK {
		return
	}
	if text := string(answer); !strings.Contains(text, "did not store the change") || strings.Contains(text, w.data) {
		w.Errorf("the refusal does not help, or tells too much: %s", text)
	}
}

// TestDataThatIsNotOursIsLeftAlone opens folders in which something is wrong:
// each is refused with a sentence, and not a byte is changed.
func TestDataThatIsNotOursIsLeftAlone(t *testing.T) {
	overwrite := func(name, content string, at int64) func(*testing.T, string) {
		return func(t *testing.T, data string) {
			t.Helper()
			f, err := os.OpenFile(filepath.Join(data, name), os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte(content), at)
			}
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func(*testing.T, string)
		kind  store.Kind
	}{
		"a file that is no database":    {overwrite("hub.db", "not a database", 0), store.Corrupt},
		"a database cut short":          {func(t *testing.T, data string) { truncate(t, storeFile(data), 4096) }, store.Corrupt},
		"half a header":                 {func(t *testing.T, data string) { truncate(t, storeFile(data), 50) }, store.Corrupt},
		"a schema of the future":        {overwrite("hub.db", "\x00\x00\x00\x63", 60), store.Newer},
		"a database of another program": {overwrite("hub.db", "\x00\x00\x00\x07", 68), store.Foreign},
		"a CA that is none":             {overwrite("ca.pem", "garbage", 0), store.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			h, err := New(Options{Data: data})
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.registry.createDevice(t.Context(), owner, iothub.Device{DeviceID: "d"})
			if err = errors.Join(err, h.Close(context.Background())); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, data)
			before := contents(t, data)
			_, err = New(Options{Data: data})
			e, ok := errors.AsType[*DataError](err)
			if !ok || e.Kind != c.kind || !strings.Contains(e.Error(), data) {
				t.Errorf("%v instead of kind %s", err, c.kind)
			}
			if diff := cmp.Diff(before, contents(t, data)); diff != "" {
				t.Errorf("the folder was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// contents are the sums of the files in a folder. SQLite may leave an empty log
// and its index behind when it reads a file; they hold nothing.
func contents(t *testing.T, data string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if len(b) == 0 || strings.HasSuffix(path, "-shm") {
			return err
		}
		sums[filepath.Base(path)] = fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// becomeNobody gives up the rights of root, whom no mode of a file keeps out.
func becomeNobody() error {
	const nobody = 65534
	if os.Geteuid() != 0 {
		return nil
	}
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody))
}

// TestAFolderThatMayNotBeWritten opens folders without the rights it takes.
func TestAFolderThatMayNotBeWritten(t *testing.T) {
	for name, c := range map[string]struct{ folder, files fs.FileMode }{
		"a folder to read only":   {0o555, 0o444},
		"files to read only":      {0o777, 0o444},
		"a folder nobody may see": {0, 0o666},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			data := filepath.Join(top, "data")
			if err := openOnly(data); err != nil {
				t.Fatal(err)
			}
			before := contents(t, data)
			for path, mode := range map[string]fs.FileMode{filepath.Dir(top): 0o755, top: 0o755} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
			setModes(t, data, c.folder, c.files)
			start := time.Now()
			out, err := childCommand("open as nobody", data).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "cannot be opened. Check that you may read and write it") &&
				!strings.Contains(string(out), "cannot be written. Give yourself the right to write it") {
				t.Errorf("%v, %s", err, out)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			setModes(t, data, 0o700, 0o600)
			if diff := cmp.Diff(before, contents(t, data)); diff != "" {
				t.Errorf("the folder was changed (-before +after):\n%s", diff)
			}
			if err := openOnly(data); err != nil {
				t.Error(err)
			}
		})
	}
}

func setModes(t *testing.T, data string, folder, files fs.FileMode) {
	t.Helper()
	entries, err := os.ReadDir(data)
	if os.IsPermission(err) { // who is not root gets in first
		err = os.Chmod(data, 0o700)
		if err == nil {
			entries, err = os.ReadDir(data)
		}
	}
	for _, e := range entries {
		err = errors.Join(err, os.Chmod(filepath.Join(data, e.Name()), files))
	}
	if err = errors.Join(err, os.Chmod(data, folder)); err != nil {
		t.Fatal(err)
	}
}
