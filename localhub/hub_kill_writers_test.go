package localhub

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// besieger writes to a hub over the network until it is gone. Errors of the
// connection are the end that is expected; only wrong answers fail the test.
type besieger struct {
	*siege
	at       Endpoints
	tls      *tls.Config
	http     *http.Client
	answered func()
}

func (s *siege) trust() *tls.Config {
	s.Helper()
	pem, err := os.ReadFile(CAFile(s.data))
	if err != nil {
		s.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

func (w *besieger) dial() {
	w.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: w.tls, MaxIdleConnsPerHost: 16}}
}

// call is ask for what must not be refused.
func (w *besieger) call(method, path, body, ifMatch string) (status int, answer []byte) {
	if status, answer = w.ask(method, path, body, ifMatch); status >= 300 {
		w.Errorf("%s %s: %d %s", method, path, status, answer)
		return 0, nil
	}
	return status, answer
}

// ask returns status 0 when there was no whole answer.
func (w *besieger) ask(method, path, body, ifMatch string) (status int, answer []byte) {
	req, err := http.NewRequestWithContext(w.Context(), method, "https://"+w.at.HTTPS+path+"?api-version="+iothub.APIVersion, strings.NewReader(body))
	if err != nil {
		w.Error(err)
		return 0, nil
	}
	req.Header.Set("Authorization", w.token)
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	res, err := w.http.Do(req)
	if err != nil {
		return 0, nil
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(res.Body); err != nil {
		return 0, nil
	}
	return res.StatusCode, answer
}

// note counts an answer; f keeps what it was.
func (w *besieger) note(f func()) {
	w.mu.Lock()
	f()
	w.answers++
	w.mu.Unlock()
	w.answered()
}

// patchTwin writes the version it makes into tags and desired at once.
func (w *besieger) patchTwin(id string, d *besieged) {
	etag, version := d.etag, d.version
	for {
		version++
		body := fmt.Sprintf(`{"tags":{"n":"%[1]d"},"properties":{"desired":{"n":"%[1]d"}}}`, version)
		status, answer := w.call(http.MethodPatch, "/twins/"+id, body, etag.Header())
		if status == 0 {
			return
		}
		var twin iothub.Twin
		if err := json.Unmarshal(answer, &twin); err != nil || twin.Properties.Desired.Version != version {
			w.Errorf("%s: %s, %v instead of version %d", id, answer, err, version)
			return
		}
		etag = twin.ETag
		w.note(func() { d.answered = twin.Version })
	}
}

// report sends one reported patch after the other, each on the condition that
// it makes the version it carries.
func (w *besieger) report(id string, d *besieged) {
	line, err := w.connectDevice(id, d)
	if err != nil {
		return // the hub is gone
	}
	defer line.conn.Close()
	for version := d.reported; w.reportOne(line, d, version); version++ {
	}
}

func (w *besieger) connectDevice(id string, d *besieged) (*thing, error) {
	password, err := iothub.Sign("localhost/devices/"+id, d.key, "", time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	conn, err := tls.Dial("tcp", w.at.MQTT, w.tls)
	if err != nil {
		return nil, err
	}
	line := &thing{T: w.T, conn: conn, r: bufio.NewReader(conn), patience: time.Minute}
	hello := connect{protocol: "MQTT", level: 4, flags: 0xc2, keepAlive: 60, id: id, user: "localhost/" + id + "/?api-version=2021-04-12", password: password}
	_, err = conn.Write(hello.bytes())
	var ack packets.Packet
	if err == nil {
		ack, err = line.read()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	if ack.FixedHeader.Type != packets.Connack || ack.ReasonCode != 0 {
		w.Errorf("%s: CONNACK %d", id, ack.ReasonCode)
	}
	return line, nil
}

func (w *besieger) reportOne(line *thing, d *besieged, base int64) bool {
	rid := fmt.Sprint(base)
	body := fmt.Sprintf(`{"n":"%d"}`, base+1)
	if _, err := line.conn.Write(publish(0, 0, iothub.ReportedTopic(rid)+"&$version="+rid, []byte(body))); err != nil {
		return false
	}
	answer, err := line.read()
	if err != nil {
		return false
	}
	if want := iothub.TwinResponseTopic(http.StatusNoContent, rid, base+1); answer.TopicName != want {
		w.Errorf("got %s %s instead of %s", answer.TopicName, answer.Payload, want)
		return false
	}
	w.note(func() { d.acknowledged = base + 1 })
	return true
}

// makeAndDelete makes devices and deletes every second one.
func (w *besieger) makeAndDelete(writer int) {
	for i := 0; ; i++ {
		id := fmt.Sprintf("made-%d-%d-%d", writer, time.Now().UnixNano(), i)
		if status, _ := w.call(http.MethodPut, "/devices/"+id, "{}", ""); status == 0 {
			return
		}
		w.note(func() { w.identities[id] = true })
		if i%2 == 0 {
			continue
		}
		w.mu.Lock()
		delete(w.identities, id) // unknown until it is answered
		w.mu.Unlock()
		if status, _ := w.call(http.MethodDelete, "/devices/"+id, "", "*"); status == 0 {
			return
		}
		w.note(func() { w.identities[id] = false })
	}
}
