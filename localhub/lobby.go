package localhub

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lobbySize is how many connections of one port may not have shown yet who
	// they are. More wait with the operating system. Few at a time are let in
	// sooner, each of them, than many: the processor bounds what they take.
	lobbySize = 256
	// How long each of them may take while others wait: one that has said nothing,
	// and one that has. The time-outs of the protocols, which are longer, hold when
	// nobody waits.
	lobbySilence  = 5 * time.Second
	lobbyPatience = 20 * time.Second
)

// lobby bounds what strangers can hold of a port: connections that say nothing,
// or send a request byte by byte, cost only those who come as strangers too, and
// these only a short wait.
type lobby struct {
	size              int
	silence, patience time.Duration
	freed             chan struct{}

	mu     sync.Mutex
	guests *list.List // of *guest, the oldest first
}

// guest is a connection in a lobby, or one that has left it.
type guest struct {
	net.Conn
	lobby *lobby
	since time.Time
	place *list.Element
	spoke atomic.Bool
	left  atomic.Bool
}

func newLobby() *lobby {
	return &lobby{size: lobbySize, silence: lobbySilence, patience: lobbyPatience, freed: make(chan struct{}, 1), guests: list.New()}
}

// enter waits until there is room for a connection and returns nil when stop is
// closed before.
func (l *lobby) enter(c net.Conn, stop <-chan struct{}) *guest {
	for {
		g, wait := l.admit(c)
		if g != nil {
			return g
		}
		late := time.NewTimer(wait)
		select {
		case <-l.freed:
		case <-late.C:
		case <-stop:
			late.Stop()
			return nil
		}
		late.Stop()
	}
}

// admit takes a connection in. For want of room it ends the one whose time is
// up first, or says how long that one still has.
func (l *lobby) admit(c net.Conn) (*guest, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.guests.Len() >= l.size {
		first := l.first()
		if left := first.deadline().Sub(now); left > 0 {
			return nil, left
		}
		l.guests.Remove(first.place)
		_ = first.Conn.Close()
	}
	g := &guest{Conn: c, lobby: l, since: now}
	g.place = l.guests.PushBack(g)
	return g, 0
}

// first is the guest whose time is up first: the oldest silent one or the oldest
// of the others.
func (l *lobby) first() *guest {
	first := l.guests.Front().Value.(*guest)
	for e := first.place; e != nil; e = e.Next() {
		if g := e.Value.(*guest); !g.spoke.Load() {
			if g.deadline().Before(first.deadline()) {
				return g
			}
			break
		}
	}
	return first
}

func (g *guest) deadline() time.Time {
	if g.spoke.Load() {
		return g.since.Add(g.lobby.patience)
	}
	return g.since.Add(g.lobby.silence)
}

// Read notes that the other end says something.
func (g *guest) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if n > 0 && !g.spoke.Load() {
		g.spoke.Store(true)
	}
	return n, err
}

// leave makes room for another one; it may be called again, as each request does.
func (g *guest) leave() {
	if g.left.Swap(true) {
		return
	}
	g.lobby.mu.Lock()
	g.lobby.guests.Remove(g.place)
	g.lobby.mu.Unlock()
	select {
	case g.lobby.freed <- struct{}{}:
	default: // whoever waits is awake already
	}
}

// Close ends the connection.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}

// known says that whoever is behind a connection has shown who it is.
func known(c net.Conn) {
	if g, ok := c.(*guest); ok {
		g.leave()
	}
}

// lobbyListener leads every connection it accepts through a lobby.
type lobbyListener struct {
	net.Listener
	lobby *lobby
	stop  chan struct{}
	once  sync.Once
}

func newLobbyListener(ln net.Listener, l *lobby) *lobbyListener {
	return &lobbyListener{Listener: ln, lobby: l, stop: make(chan struct{})}
}

// Accept returns a connection there is room for.
func (ln *lobbyListener) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if g := ln.lobby.enter(c, ln.stop); g != nil {
		return g, nil
	}
	_ = c.Close()
	return nil, net.ErrClosed
}

// Close ends Accept too where it waits for room.
func (ln *lobbyListener) Close() error {
	ln.once.Do(func() { close(ln.stop) })
	return ln.Listener.Close()
}
