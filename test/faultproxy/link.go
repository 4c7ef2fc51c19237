package faultproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// lingerTime bounds how long the side that was promised bytes may take to read them after a cut.
const lingerTime = 2 * time.Second

// errEnded says that the connection has ended for a reason already logged.
var errEnded = errors.New("connection ended")

// link is one client connection with its connection to the server.
type link struct {
	p        *Proxy
	id       int
	client   net.Conn
	server   net.Conn
	up, down *lane

	dead chan struct{} // closed when it ends otherwise than by end of file on both sides
	end  sync.Once
	only atomic.Pointer[lane] // set by a cut: the one direction that still delivers
	rest chan struct{}        // set inside end, if ever: closed when cutBehind's other side has got everything

	passed  int64            // guarded by p.mu, counted only while there is a conn rule
	pending map[uint16]uint8 // T types by unanswered tag; guarded by p.traffic.mu
}

// newLink registers a link; nil if the proxy has been closed.
func (p *Proxy) newLink(client, server net.Conn) *link {
	l := &link{p: p, client: client, server: server, dead: make(chan struct{}), pending: make(map[uint16]uint8)}
	l.up = newLane(l, client, server)
	l.down = newLane(l, server, client)
	p.mu.Lock()
	if p.mu.closed {
		p.mu.Unlock()
		return nil
	}
	p.mu.lastID++
	l.id = p.mu.lastID
	p.mu.links[l] = struct{}{}
	p.mu.Unlock()
	p.journal.printf("conn %d: open", l.id)
	p.traffic.touch()
	return l
}

// run forwards until both directions have ended.
func (l *link) run() {
	var schedules sync.WaitGroup
	for _, s := range []*schedule{l.up.delays, l.up.wire, l.down.delays, l.down.wire} {
		schedules.Go(s.run)
	}
	var pumps sync.WaitGroup
	pumps.Go(l.up.pump)
	pumps.Go(l.down.pump)
	pumps.Wait()
	l.end.Do(func() {
		close(l.dead)
		l.p.journal.printf("conn %d: closed by both sides", l.id)
	})
	if l.rest != nil {
		<-l.rest
	}
	l.client.Close()
	l.server.Close()
	schedules.Wait()
	l.p.forget(l)
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	delete(p.mu.links, l)
	for _, a := range p.mu.rules {
		delete(a.base, l)
		delete(a.over, l)
	}
	p.mu.Unlock()
	p.traffic.abandon(l.pending)
}

// reset ends both sides at once, with a TCP reset.
func (l *link) reset(format string, args ...any) {
	l.end.Do(func() {
		close(l.dead)
		l.p.journal.printf("conn %d: "+format, append([]any{l.id}, args...)...)
		reset(l.client)
		reset(l.server)
		l.p.traffic.touch()
	})
}

// close is reset that also hurries a connection that is ending in another way.
func (l *link) close(why string) {
	l.reset("%s", why)
	l.client.Close()
	l.server.Close()
}

// cutBehind ends the link so that everything already given to o arrives, then end of file;
// the side it came from is reset.
func (l *link) cutBehind(o *lane) {
	if !o.wire.waitIdle() {
		return
	}
	l.end.Do(func() {
		close(l.dead)
		l.p.journal.printf("conn %d: cut", l.id)
		reset(o.src)
		closeWrite(o.dst)
		l.p.traffic.touch()
		// Closing a socket with unread bytes in it resets it and may take away what was just sent.
		o.dst.SetReadDeadline(time.Now().Add(lingerTime))
		l.rest = make(chan struct{})
		l.p.wg.Go(func() {
			defer close(l.rest)
			io.Copy(io.Discard, o.dst)
			o.dst.Close()
		})
	})
}

// gate waits out a stall. A link whose ends were reset meanwhile dies with what it had buffered.
func (l *link) gate() error {
	for {
		g := l.p.stalled.Load()
		select {
		case <-l.dead:
			return errEnded
		default:
		}
		if g == nil {
			return nil
		}
		select {
		case <-g.open:
		case <-l.dead:
			return errEnded
		}
		if wasReset(l.client) || wasReset(l.server) {
			l.reset("was reset during the stall")
			return errEnded
		}
	}
}

func wasReset(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	pendingErr := 0
	err = raw.Control(func(fd uintptr) {
		pendingErr, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
	})
	return err != nil || pendingErr != 0
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
}
