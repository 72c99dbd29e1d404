package localhub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// The seeds of these targets stand in testdata/fuzz.

// FuzzFrames holds that what a device sends is followed in the same way in
// however many pieces it comes, and that every packet let through is one.
func FuzzFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, sent []byte, cut uint) {
		var whole, pieces frames
		n, errWhole := whole.pass(sent)
		at := int(cut % uint(len(sent)+1))
		m, err := pieces.pass(sent[:at])
		if err == nil {
			var rest int
			rest, err = pieces.pass(sent[at:])
			m += rest
		}
		if m != n || (err == nil) != (errWhole == nil) || err == nil && pieces != whole {
			t.Fatalf("in one piece %d bytes and %v, cut at %d %d bytes and %v", n, errWhole, at, m, err)
		}
		checkFrames(t, sent[:n], errWhole)
	})
}

// checkFrames reads the packets anew. When something is wrong, the last one
// stops within its length.
func checkFrames(t *testing.T, passed []byte, wrong error) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(passed))
	for first := true; ; first = false {
		if _, err := r.ReadByte(); err != nil {
			return
		}
		length, size, err := packets.DecodeLength(r)
		if err != nil {
			return // the end of what was passed
		}
		if size > 4 || first && length > maxConnectPacket {
			t.Fatalf("a length of %d in %d bytes was passed", length, size)
		}
		if n, err := r.Discard(length); err != nil && wrong != nil {
			t.Fatalf("refused %v in the middle of a packet of %d bytes, after %d", wrong, length, n)
		}
	}
}

// FuzzDeviceBytes lets a device send anything after, or instead of, CONNECT. The
// hub answers in whole packets and ends the connection; it forgets nothing, and
// what was wanted of the device is as it was.
func FuzzDeviceBytes(f *testing.F) {
	w := fuzzedHub(f)
	hello := w.hello(f)
	f.Fuzz(func(t *testing.T, connect bool, sent []byte) {
		before := w.twin(t)
		near, far := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			w.mqtt.serve(far, far)
		}()
		heard := make(chan error, 1)
		go func() { heard <- hearPackets(near) }()
		_ = near.SetWriteDeadline(time.Now().Add(20 * time.Second))
		if connect {
			sent = append(append([]byte{}, hello...), sent...)
		}
		_, _ = near.Write(sent) // fails when the hub has had enough
		_, _ = near.Write([]byte{0xe0, 0})
		near.Close()
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
		select {
		case <-served:
		case <-time.After(20 * time.Second):
			t.Fatal("the connection is still served")
		}
		after := w.twin(t)
		if toJSON(t, after.Properties.Desired) != toJSON(t, before.Properties.Desired) || toJSON(t, after.Tags) != toJSON(t, before.Tags) {
			t.Fatalf("a device changed what is not its own: %+v", after)
		}
		if grown := after.Properties.Reported.Version - before.Properties.Reported.Version; grown < 0 || grown != after.Version-before.Version {
			t.Fatalf("reported went from version %d to %d", before.Properties.Reported.Version, after.Properties.Reported.Version)
		}
		if n := w.registry.connected(); n != 0 {
			t.Fatalf("%d devices are connected", n)
		}
	})
}

// hearPackets reads what a hub sends until the end and says what is no packet
// for a device.
func hearPackets(conn net.Conn) error {
	d := &thing{conn: conn, r: bufio.NewReader(conn)}
	for {
		pk, err := d.read()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
			return nil // the end
		case err != nil:
			return err
		case pk.FixedHeader.Type == packets.Publish:
			if _, err := iothub.ParseReceived(pk.TopicName); err != nil {
				return err
			}
			if len(pk.Payload) > 0 && !json.Valid(pk.Payload) {
				return errors.New("no JSON: " + string(pk.Payload))
			}
		}
	}
}

// fuzzed is a hub with a device d1 that is reached without a network.
type fuzzed struct{ *Hub }

func fuzzedHub(f *testing.F) *fuzzed {
	f.Helper()
	h, err := New(Options{Data: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			f.Error(err)
		}
	})
	w := &fuzzed{h}
	w.device(f)
	return w
}

// device is d1, made anew when it was deleted.
func (w *fuzzed) device(t testing.TB) iothub.Device {
	t.Helper()
	d, err := w.registry.device(t.Context(), "d1")
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		d, err = w.registry.createDevice(t.Context(), owner, iothub.Device{DeviceID: "d1"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *fuzzed) twin(t *testing.T) *iothub.Twin {
	t.Helper()
	w.device(t)
	twin, err := w.registry.twin(t.Context(), dev("d1"))
	if err != nil {
		t.Fatal(err)
	}
	return twin
}

func (w *fuzzed) hello(f *testing.F) []byte {
	f.Helper()
	password, err := iothub.Sign("localhost/devices/d1", w.device(f).Authentication.SymmetricKey.Primary, "", time.Now().Add(24*time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	return connect{
		protocol: "MQTT", level: 4, flags: 0xc0, keepAlive: 60, id: "d1", user: "localhost/d1/?api-version=2021-04-12", password: password,
	}.bytes()
}

// FuzzReported holds for any payload of a reported patch: it is refused and
// changes nothing, or the twin is what merging makes of it and survives the
// store.
func FuzzReported(f *testing.F) {
	w := fuzzedHub(f)
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := w.twin(t)
		s := newRecorder()
		w.registry.patchReported(dev("d1"), s, "r", payload, nil)
		answer := s.next(t)
		after := w.twin(t)
		if strings.Contains(answer, "error") {
			if toJSON(t, after) != toJSON(t, before) {
				t.Fatalf("%s, but the twin changed", answer)
			}
			if strings.Contains(answer, "ServerError") {
				t.Fatalf("%q is answered %s", payload, answer)
			}
			return
		}
		doc, err := parseReported(payload)
		if err != nil {
			t.Fatalf("accepted in spite of %v", err)
		}
		want := iothub.Merge(before.Properties.Reported.Value, doc)
		stored, err := w.store.Record(t.Context(), "d1", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []iothub.Document{after.Properties.Reported.Value, stored.Reported.Value} {
			if toJSON(t, got) != toJSON(t, want) {
				t.Fatalf("got %s, want %s", toJSON(t, got), toJSON(t, want))
			}
		}
		if after.Properties.Reported.Version != before.Properties.Reported.Version+1 || after.ETag != before.ETag {
			t.Fatalf("version %d, etag %s", after.Properties.Reported.Version, after.ETag)
		}
	})
}

// fuzzedRoutes are the operations that read a body.
var fuzzedRoutes = []struct{ method, path string }{
	{http.MethodPatch, "/twins/d1"},
	{http.MethodPut, "/twins/d1"},
	{http.MethodPut, "/devices/d1"},
	{http.MethodPut, "/devices/d1/modules/m1"},
	{http.MethodPost, "/devices"},
	{http.MethodPost, "/devices/query"},
	{http.MethodPost, "/twins/d1/methods"},
	{http.MethodPatch, "/twins/nobody"},
}

// FuzzBodies sends any body to every operation that reads one: the hub never
// fails, every answer is JSON, a refusal says its code twice and changes
// nothing, and a twin that is accepted is the one that is read afterwards.
func FuzzBodies(f *testing.F) {
	w := fuzzedHub(f)
	token, err := iothub.Sign("localhost", w.policies["iothubowner"].Primary, "iothubowner", time.Now().Add(24*time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, route uint, ifMatch string, body []byte) {
		r := fuzzedRoutes[route%uint(len(fuzzedRoutes))]
		before := toJSON(t, w.twin(t))
		calls := strings.HasSuffix(r.path, "/methods")
		ctx := t.Context()
		if calls { // they may wait for the device for minutes
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Second)
			defer cancel()
		}
		req := httptest.NewRequestWithContext(ctx, r.method, r.path+"?api-version="+iothub.APIVersion, bytes.NewReader(body))
		req.Header["Authorization"] = []string{token}
		req.Header["If-Match"] = []string{ifMatch}
		answer := httptest.NewRecorder()
		w.rest.http.Handler.ServeHTTP(answer, req)
		text := answer.Body.Bytes()
		if answer.Code >= 500 && !calls || answer.Code != http.StatusNoContent && !json.Valid(text) {
			t.Fatalf("%s %s %q: %d %s", r.method, r.path, body, answer.Code, text)
		}
		if answer.Code < 300 {
			if after := w.twin(t); strings.HasPrefix(r.path, "/twins/d1") && !calls && !bytes.Contains(text, []byte(toJSON(t, after.ETag))) {
				t.Fatalf("answered %s, read %+v", text, after)
			}
			return
		}
		code := answer.Header().Get(headerErrorCode)
		bulk := r.path == "/devices" && !bytes.Contains(text, []byte("ErrorCode:")) // tells of each device
		told := code
		if code == iothub.ErrModuleAlreadyExists.Code { // by its number, as the service does
			told = strconv.Itoa(iothub.ErrModuleAlreadyExists.Number)
		}
		if !bulk && (code == "" || !bytes.Contains(text, []byte(told)) && answer.Code != http.StatusNotFound) {
			t.Fatalf("%s %s: %d without its code %q: %s", r.method, r.path, answer.Code, code, text)
		}
		if after := toJSON(t, w.twin(t)); after != before && !bulk {
			t.Fatalf("refused with %d, but the twin changed:\n%s\n%s", answer.Code, before, after)
		}
	})
}
