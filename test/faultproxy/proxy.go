package faultproxy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"p9mapfs/test/faultproxy/loopback"
)

const dialTimeout = 5 * time.Second

// Proxy forwards connections to an upstream server and obeys rules. Its methods may be called
// from any goroutine. Close ends it.
type Proxy struct {
	// constants
	port     *loopback.Port // nil with unixPath
	unixPath string
	wg       sync.WaitGroup // every goroutine

	// for each message, without a lock
	watching atomic.Bool               // there is a message rule
	counting atomic.Bool               // there is a conn rule
	shape    atomic.Pointer[Rule]      // the link rule
	stalled  atomic.Pointer[stallGate] // nil: no stall

	journal journal
	traffic traffic

	mu struct {
		sync.Mutex
		upNetwork, upAddr string
		ln                net.Listener // nil while refusing
		links             map[*link]struct{}
		lastID            int
		rules             []*active
		fired             map[string]int // by sentence, also of rules that are gone
		held              []heldMessage
		random            *rand.Rand
		closed            bool
	}
}

// stallGate is what a stalled lane waits at.
type stallGate struct{ open chan struct{} }

// Option changes what Start does.
type Option func(*Proxy)

// ListenUnix makes the proxy listen on a unix socket at path instead of a TCP port.
func ListenUnix(path string) Option { return func(p *Proxy) { p.unixPath = path } }

// Seed seeds the random bytes of garbage; without it the seed is 1. The log tells it.
func Seed(n uint64) Option {
	return func(p *Proxy) {
		p.mu.random = rand.New(rand.NewPCG(n, 9))
		p.journal.printf("seed %d", n)
	}
}

// Start listens on a free port of 127.0.0.1 (or see ListenUnix) and forwards each
// connection to the server at upAddr; upNetwork is "tcp" or "unix". The server need not be there yet.
func Start(upNetwork, upAddr string, opts ...Option) (*Proxy, error) {
	p := &Proxy{}
	p.journal.started = time.Now()
	p.mu.upNetwork, p.mu.upAddr = upNetwork, upAddr
	p.mu.links = make(map[*link]struct{})
	p.mu.fired = make(map[string]int)
	p.mu.random = rand.New(rand.NewPCG(1, 9))
	for _, o := range opts {
		o(p)
	}
	if p.unixPath == "" {
		var err error
		if p.port, err = loopback.Reserve(); err != nil {
			return nil, fmt.Errorf("fault proxy: %w", err)
		}
	}
	if err := p.Accept(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Network is "tcp" or "unix", for net.Dial with Addr.
func (p *Proxy) Network() string {
	if p.unixPath != "" {
		return "unix"
	}
	return "tcp"
}

// Addr is host:port, or the path of the socket.
func (p *Proxy) Addr() string {
	if p.unixPath != "" {
		return p.unixPath
	}
	return p.port.String()
}

// Close resets all connections, stops listening and waits for every goroutine. It may be
// called again.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.mu.closed = true
	p.mu.Unlock()
	p.Refuse()
	for _, l := range p.links() {
		l.close("proxy closed")
	}
	p.wg.Wait()
	if p.port != nil {
		p.port.Close()
	}
	if p.unixPath != "" {
		os.Remove(p.unixPath)
	}
}

// Accept ends Refuse: the same address takes connections again. The error is that of listen(2).
func (p *Proxy) Accept() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.ln != nil {
		return nil
	}
	if p.mu.closed {
		return fmt.Errorf("fault proxy: %w", net.ErrClosed)
	}
	ln, err := p.listen()
	if err != nil {
		return fmt.Errorf("fault proxy: %w", err)
	}
	p.mu.ln = ln
	p.wg.Go(func() { p.serve(ln) })
	p.journal.printf("listening on %s", p.Addr())
	return nil
}

func (p *Proxy) listen() (net.Listener, error) {
	if p.port != nil {
		return p.port.Listen()
	}
	// The file stays while we refuse, so that connecting fails with ECONNREFUSED as on TCP.
	if err := os.Remove(p.unixPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.unixPath, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	return ln, nil
}

// Refuse closes the listener: connecting fails with ECONNREFUSED, connections that
// exist stay, and the address stays ours.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	ln := p.mu.ln
	p.mu.ln = nil
	p.mu.Unlock()
	if ln != nil {
		ln.Close()
		p.journal.printf("refusing")
	}
}

func (p *Proxy) serve(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return // closed by Refuse
		}
		p.mu.Lock()
		upNetwork, upAddr, closed := p.mu.upNetwork, p.mu.upAddr, p.mu.closed
		if !closed {
			p.wg.Go(func() { p.connect(c, upNetwork, upAddr) })
		}
		p.mu.Unlock()
		if closed {
			reset(c)
		}
	}
}

// connect dials the server for c and forwards until one of them is gone.
func (p *Proxy) connect(c net.Conn, upNetwork, upAddr string) {
	s, err := net.DialTimeout(upNetwork, upAddr, dialTimeout)
	if err != nil {
		p.journal.printf("no upstream: %v", err)
		reset(c)
		return
	}
	l := p.newLink(c, s)
	if l == nil {
		reset(c)
		reset(s)
		return
	}
	l.run()
}

// links returns the connections there are.
func (p *Proxy) links() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*link, 0, len(p.mu.links))
	for l := range p.mu.links {
		out = append(out, l)
	}
	return out
}

// Conns is the number of client connections that are forwarded now.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.mu.links {
		select {
		case <-l.dead:
		default:
			n++
		}
	}
	return n
}

// Accepted is the number of client connections that were ever forwarded.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.lastID
}

// SetUpstream says where the server is for connections to come; those there are stay.
func (p *Proxy) SetUpstream(network, addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.upNetwork, p.mu.upAddr = network, addr
	p.journal.printf("upstream is %s!%s", network, addr)
}
