package localhub

import (
	"errors"
	"net"
	"testing"
	"time"
)

// entered leads a connection through a lobby and returns the client's end of it.
func entered(t *testing.T, l *lobby) (*guest, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	return l.enter(far, nil), near
}

func isOpen(c net.Conn) bool {
	err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

func TestALobbyHoldsOnlySoMany(t *testing.T) {
	l := newLobby()
	l.size, l.silence = 2, 100*time.Millisecond
	start := time.Now()
	_, first := entered(t, l)
	second, secondEnd := entered(t, l)
	_, third := entered(t, l) // when the first one has had its time
	if waited := time.Since(start); waited < l.silence {
		t.Errorf("the third came in after %v", waited)
	}
	if isOpen(first) || !isOpen(secondEnd) || !isOpen(third) {
		t.Error("not the oldest one made room")
	}
	second.leave()
	second.leave()
	l.silence = time.Hour
	entered(t, l) // comes in at once
	if n := l.guests.Len(); n != 2 {
		t.Errorf("%d are in the lobby", n)
	}
	if !isOpen(secondEnd) {
		t.Error("who had left the lobby was ended")
	}
}

func TestWhoSpeaksMayTakeLonger(t *testing.T) {
	l := newLobby()
	l.size, l.silence, l.patience = 2, 100*time.Millisecond, time.Hour
	g, first := entered(t, l)
	go first.Write([]byte("x"))
	if _, err := g.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, second := entered(t, l)
	entered(t, l)
	if !isOpen(first) || isOpen(second) {
		t.Error("not the silent one made room")
	}
	l.patience = 100 * time.Millisecond
	l.silence = time.Hour
	entered(t, l)
	if isOpen(first) {
		t.Error("one that spoke once may stay for ever")
	}
}

func TestWhoWaitsForALobbyGetsInOrGoes(t *testing.T) {
	l := newLobby()
	l.size = 1
	g, _ := entered(t, l)
	came := make(chan *guest)
	_, far := net.Pipe()
	defer far.Close()
	go func() { came <- l.enter(far, nil) }()
	g.Close() // makes room
	if next := <-came; next == nil || next.Conn != far {
		t.Error("nobody came in when there was room")
	}
	stop := make(chan struct{})
	go func() { came <- l.enter(far, stop) }()
	close(stop)
	if next := <-came; next != nil {
		t.Error("one came in where there is no room")
	}
}
