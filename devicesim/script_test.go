package devicesim_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// A patch that came before the twin was read is old if the twin holds it, and
// applied if not. A patch of a version already known is ignored.
func TestPatchesAroundTheTwinRead(t *testing.T) {
	s := scripted(t, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) {
			if topic.Kind == iothub.TopicTwinGet {
				p.publish(iothub.DesiredTopic(4), `{"old":true,"$version":4}`)
				p.publish(iothub.DesiredTopic(6), `{"a":{"y":null,"z":3},"$version":6}`)
			}
			p.accept(topic, `{"a":{"x":1.0,"y":2},"$version":5}`)
			if topic.Kind == iothub.TopicReported {
				p.publish(iothub.DesiredTopic(6), `{"again":true,"$version":6}`)
				p.publish(iothub.DesiredTopic(7), `{"b":[1],"$version":7}`)
			}
		})
	})
	f := s.fleet(t, devicesim.Options{})
	events := follow(t, f)
	start(t, f, dev1)
	if e := events.next(devicesim.KindTwinRead); e.Version != 5 {
		t.Errorf("read version %d", e.Version)
	}
	for _, version := range []int64{6, 7} {
		if e := events.next(devicesim.KindPatch); e.Version != version {
			t.Errorf("patch %d, want %d", e.Version, version)
		}
	}
	status := device(t, f, "dev1")
	if got := compact(t, status.Desired); got != `{"a":{"x":1.0,"z":3},"b":[1]}` {
		t.Errorf("desired is %s", got)
	}
	if status.DesiredVersion != 7 || status.Patches != 2 || compact(t, status.LastPatch.Payload) != `{"b":[1]}` {
		t.Errorf("status is %+v", status)
	}
}

// A gap in the versions means that something was missed: the twin is read again.
func TestGapReadsTheTwinAgain(t *testing.T) {
	reads := 0
	s := scripted(t, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) {
			if topic.Kind == iothub.TopicTwinGet {
				reads++
			}
			if reads == 1 {
				p.accept(topic, `{"$version":1}`)
			} else {
				p.accept(topic, `{"missed":2,"late":3,"$version":3}`)
			}
			if topic.Kind == iothub.TopicReported {
				p.publish(iothub.DesiredTopic(3), `{"late":3,"$version":3}`)
			}
		})
	})
	f := s.fleet(t, devicesim.Options{})
	events := follow(t, f)
	start(t, f, dev1)
	if e := events.next(devicesim.KindTwinRead); e.Version != 1 {
		t.Errorf("first read version %d", e.Version)
	}
	if e := events.next(devicesim.KindPatch); e.Version != 3 {
		t.Errorf("patch %d", e.Version)
	}
	if e := events.next(devicesim.KindTwinRead); e.Version != 3 || compact(t, e.Payload) != `{"late":3,"missed":2}` {
		t.Errorf("second read %d %v", e.Version, e.Payload)
	}
}

// What is not a patch must not be merged; the twin says what is true.
func TestNonsenseReadsTheTwinAgain(t *testing.T) {
	reads := 0
	s := scripted(t, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) {
			if topic.Kind == iothub.TopicTwinGet {
				reads++
			}
			p.accept(topic, `{"$version":1}`)
			if topic.Kind == iothub.TopicReported {
				p.publish(iothub.DesiredTopic(2), `[]`)
			}
		})
	})
	f := s.fleet(t, devicesim.Options{})
	events := follow(t, f)
	start(t, f, dev1)
	events.next(devicesim.KindTwinRead)
	if e := events.next(devicesim.KindError); !strings.Contains(e.Text, "not a desired patch") {
		t.Errorf("error is %q", e.Text)
	}
	events.next(devicesim.KindTwinRead)
}

// A refused report leaves the connection standing.
func TestReportRefused(t *testing.T) {
	s := scripted(t, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) {
			if topic.Kind == iothub.TopicReported {
				p.publish(iothub.TwinResponseTopic(429, topic.RequestID, 0), `{"errorCode":429001,"message":"slow down"}`)
				return
			}
			p.accept(topic, `{"$version":1}`)
		})
	})
	f := s.fleet(t, devicesim.Options{})
	events := follow(t, f)
	wantError(t, f.Start(t.Context(), dev1), iothub.ErrThrottling)
	if e := events.next(devicesim.KindReportRefused); !strings.Contains(e.Text, "slow down") {
		t.Errorf("event is %+v", e)
	}
	if state := device(t, f, "dev1").State; state != devicesim.Online {
		t.Errorf("state is %s", state)
	}
	wantError(t, f.SetConnectivity(t.Context(), "dev1", "wifi"), iothub.ErrThrottling)
	if got := device(t, f, "dev1"); got.State != devicesim.Online || got.Connectivity != "wifi" || got.ConnectivityVersion != 0 {
		t.Errorf("status is %+v", got)
	}
}

// Connections that do not last are tried ever more slowly, though each began
// well: two clients with one id would otherwise drop each other for ever.
func TestShortConnectionsSlowDown(t *testing.T) {
	t.Parallel()
	s := scripted(t, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) {
			p.accept(topic, `{"$version":1}`)
			if topic.Kind == iothub.TopicReported {
				p.conn.Close()
			}
		})
	})
	f := s.fleet(t, devicesim.Options{})
	events := follow(t, f)
	if err := f.Start(t.Context(), dev1); err != nil {
		t.Log("the end was faster than the answer:", err)
	}
	for _, full := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
		if e := events.next(devicesim.KindRetry); e.Wait < full/2 || e.Wait > full {
			t.Errorf("waits %s, want %s to %s", e.Wait, full/2, full)
		}
	}
}

// Each way in which a hub can fail a device has its own problem.
func TestHubFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  devicesim.Problem
		serve func(*peer)
	}{
		{"connack 3", devicesim.Unavailable, func(p *peer) { p.read(); p.connack(3) }},
		{"connack 5", devicesim.Refused, func(p *peer) { p.read(); p.connack(5) }},
		{"closed without connack", devicesim.Closed, func(p *peer) { p.read() }},
		{"silent", devicesim.Timeout, func(p *peer) { p.read(); p.read() }},
		{"subscription refused", devicesim.TwinRefused, func(p *peer) { p.serve(0x80, func(iothub.Topic) {}) }},
		{"no answer to the twin read", devicesim.Timeout, func(p *peer) { p.serve(1, func(iothub.Topic) {}) }},
		{"closed at the twin read", devicesim.Closed, func(p *peer) { p.serve(1, func(iothub.Topic) { p.conn.Close() }) }},
		{"twin refused", devicesim.TwinRefused, func(p *peer) {
			p.serve(1, func(topic iothub.Topic) { p.publish(iothub.TwinResponseTopic(500, topic.RequestID, 0), "") })
		}},
		{"twin is nonsense", devicesim.TwinRefused, func(p *peer) {
			p.serve(1, func(topic iothub.Topic) { p.accept(topic, `7`) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := scripted(t, c.serve).fleet(t, devicesim.Options{Timeout: 300 * time.Millisecond})
			wantProblem(t, f.Start(t.Context(), dev1), c.want)
			status := device(t, f, "dev1")
			if status.State != devicesim.Backoff || status.Problem == nil || status.Problem.Kind != c.want || status.RetryAt.IsZero() {
				t.Errorf("status is %+v", status)
			}
		})
	}
}

func TestCertificateProblems(t *testing.T) {
	good, _ := certificate(t, "localhost", time.Now().Add(30*time.Minute))
	_, stranger := certificate(t, "localhost", time.Now().Add(30*time.Minute))
	named, namedPool := certificate(t, "elsewhere", time.Now().Add(30*time.Minute))
	old, oldPool := certificate(t, "localhost", time.Now().Add(-time.Minute))
	for _, c := range []struct {
		name string
		cert tls.Certificate
		pool *x509.CertPool
		want devicesim.Problem
	}{
		{"authority", good, stranger, devicesim.TLSUnknownAuthority},
		{"name", named, namedPool, devicesim.TLSName},
		{"expired", old, oldPool, devicesim.TLSTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := play(t, c.cert, c.pool, func(p *peer) { p.read() }).fleet(t, devicesim.Options{})
			wantProblem(t, f.Start(t.Context(), dev1), c.want)
		})
	}
}

// A port that speaks no TLS, and one that accepts and stays silent.
func TestPortWithoutTLS(t *testing.T) {
	for _, c := range []struct {
		name  string
		greet string
		want  devicesim.Problem
	}{
		{"plain text", "SSH-2.0-OpenSSH_9.2\r\n", devicesim.TLSFailed},
		{"silent", "", devicesim.Timeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				if _, err := conn.Write([]byte(c.greet)); err != nil {
					t.Error(err)
				}
				buffer := make([]byte, 1024)
				for err == nil {
					_, err = conn.Read(buffer)
				}
			}()
			f := newFleet(t, devicesim.Options{MQTTAddr: ln.Addr().String(), Timeout: 300 * time.Millisecond})
			wantProblem(t, f.Start(t.Context(), dev1), c.want)
			if err := f.Close(t.Context()); err != nil {
				t.Error(err)
			}
			ln.Close()
			<-over
		})
	}
}

// Stop ends everything even while the hub sends as fast as it can; a reader
// left behind is found when the tests end.
func TestStopInAFlood(t *testing.T) {
	t.Parallel()
	s := scripted(t, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) {
			p.accept(topic, `{"$version":1}`)
			if topic.Kind != iothub.TopicReported {
				return
			}
			patch := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			for version := int64(2); ; version++ {
				patch.TopicName, patch.Payload = iothub.DesiredTopic(version), []byte(`{"n":1}`)
				if patch.Write(p.conn) != nil {
					return
				}
			}
		})
	})
	f := s.fleet(t, devicesim.Options{})
	start(t, f, dev1)
	began := time.Now()
	if err := f.Stop(t.Context(), "dev1"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

// Who starts a device may stop waiting; the device goes on.
func TestStartStopsWaiting(t *testing.T) {
	t.Parallel()
	f := scripted(t, func(p *peer) { p.read(); p.read() }).fleet(t, devicesim.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantError(t, f.Start(ctx, dev1), context.DeadlineExceeded)
	if s := device(t, f, "dev1"); s.State != devicesim.Connecting {
		t.Errorf("status is %+v", s)
	}
}

// A certificate must be for the name of the hub, or of the gateway in front of
// it, whatever address is dialled.
func TestCertificateName(t *testing.T) {
	cert, pool := certificate(t, "elsewhere", time.Now().Add(30*time.Minute))
	s := play(t, cert, pool, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) { p.accept(topic, `{"$version":1}`) })
	})
	named, gateway := dev1, dev1
	named.ConnectionString.HostName = "elsewhere"
	gateway.ConnectionString.GatewayHostName = "elsewhere"
	for _, spec := range []devicesim.Spec{named, gateway} {
		f := s.fleet(t, devicesim.Options{})
		start(t, f, spec)
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A patch that comes while the device does something else is no part of that.
func TestTraceOfPatchAmidAnAction(t *testing.T) {
	s := scripted(t, func(p *peer) {
		p.serve(1, func(topic iothub.Topic) {
			if topic.Kind == iothub.TopicReported {
				p.publish(iothub.DesiredTopic(2), `{"$version":2}`)
			}
			p.accept(topic, `{"$version":1}`)
		})
	})
	trace := feed.New[iothub.WireEntry](100)
	f := s.fleet(t, devicesim.Options{Trace: trace})
	if err := f.Start(iothub.WithAction(t.Context(), "begin"), dev1); err != nil {
		t.Fatal(err)
	}
	for _, item := range trace.Recent(100, nil) {
		want := "begin"
		if item.Value.Topic == iothub.DesiredTopic(2) {
			want = ""
		}
		if item.Value.Action != want {
			t.Errorf("%s %s is part of %q", item.Value.Packet, item.Value.Topic, item.Value.Action)
		}
	}
}

// A hub that reads nothing must not hold up Stop.
func TestStopIsQuickWhateverTheHubDoes(t *testing.T) {
	connected := make(chan struct{}, 1)
	s := scripted(t, func(p *peer) {
		p.read()
		connected <- struct{}{}
		p.read()
	})
	f := s.fleet(t, devicesim.Options{})
	result := make(chan error, 1)
	go func() { result <- f.Start(t.Context(), dev1) }()
	<-connected
	began := time.Now()
	if err := f.Stop(t.Context(), "dev1"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
	wantError(t, <-result, devicesim.ErrNotRunning)
}

// TestDevicesContinueSessions has devices connect one after the other: all but
// the first go on with a session of the fleet, which spares both ends most of a
// handshake.
func TestDevicesContinueSessions(t *testing.T) {
	seen := make(chan tls.ConnectionState, 3)
	s := scripted(t, func(p *peer) {
		p.read()
		seen <- p.conn.(*tls.Conn).ConnectionState()
	})
	f := s.fleet(t, devicesim.Options{})
	for i := range cap(seen) {
		if err := f.Start(t.Context(), devicesim.Spec{ConnectionString: iothub.DeviceConnectionString{
			HostName: "localhost", DeviceID: fmt.Sprint("dev", i), SharedAccessKey: "a2V5",
		}}); err == nil {
			t.Fatal("a device is ready on a hub that ends its connection")
		}
		state := <-seen
		if state.Version != tls.VersionTLS12 || state.DidResume != (i > 0) {
			t.Errorf("connection %d: %s, continued: %v", i, tls.VersionName(state.Version), state.DidResume)
		}
		if err := f.Stop(t.Context(), fmt.Sprint("dev", i)); err != nil {
			t.Fatal(err)
		}
	}
}
