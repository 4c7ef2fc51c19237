package p9client

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestJudgementOfTheServer(t *testing.T) {
	const timeout = 8 * time.Second
	now := time.Now()
	ago := func(s float64) time.Time { return now.Add(-time.Duration(s * float64(time.Second))) }
	var none time.Time
	for _, test := range []struct {
		name                  string
		heard, oldest, probed time.Time
		want                  judgement
	}{
		{"just now", ago(0), none, none, alive},
		{"idle, not long", ago(7.9), none, none, alive},
		{"idle for long", ago(8), none, none, doubtful},
		{"idle for long, asked", ago(11), none, ago(3), alive},
		{"idle for long, asked long ago", ago(12), none, ago(4), silent},
		{"idle again, asked in an earlier silence", ago(8), none, ago(20), doubtful},
		{"a request after a long idleness", ago(7), ago(1), none, alive},
		{"a request waits, others are answered", ago(1), ago(1000), none, alive},
		{"a request waits, halfway", ago(4), ago(5), none, doubtful},
		{"a request waits, asked", ago(7), ago(7), ago(3), alive},
		{"a request waits, the probe was answered", ago(2), ago(30), ago(3), alive},
		{"a request waits, the probe was answered, then silence", ago(4), ago(30), ago(5), doubtful},
		{"a request waits, silence", ago(8), ago(8), ago(4), silent},
		{"a request comes while an idle peer is silent", ago(12), ago(1), ago(4), silent},
		{"we were stopped for an hour, idle", ago(3600), none, none, doubtful},
		{"we were stopped for an hour, a request waits", ago(3600), ago(3600), none, doubtful},
		{"the clock was set back", ago(-100), none, none, alive},
	} {
		if got := judge(now, test.heard, test.oldest, test.probed, timeout); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// A request may take as long as it likes while the server answers others: nobody
// probes, and nobody gives the connection up.
func TestAStuckRequestLivesWhileOthersFlow(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.add("f", 0, "hello")
	const timeout = 800 * time.Millisecond
	x := s.dial(Options{RequestTimeout: timeout, HoldTimeout: -1})
	f := open(t, x, syscall.O_RDONLY, "f")
	stuck := make(chan func(), 1)
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != tread {
			return false
		}
		stuck <- func() { p.obey(m) }
		return true
	})
	done := make(chan error, 1)
	go func() { _, err := f.ReadAt(t.Context(), make([]byte, 5), 0); done <- err }()
	answer := <-stuck
	for began := time.Now(); time.Since(began) < 2*timeout; {
		check(t, getAttr(t.Context(), x.Root()))
		time.Sleep(timeout / 100)
	}
	s.mu.Lock()
	answer()
	s.mu.Unlock()
	if err := within(t, 3*time.Second, done); err != nil || x.Link().Generation != 1 {
		t.Errorf("%v, generation %d", err, x.Link().Generation)
	}
}

// An idle connection to a server that lives stays, however long it is idle.
func TestAnIdleConnectionIsKept(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	x := s.dial(Options{RequestTimeout: time.Second})
	for n := 1; n <= 2; n++ {
		eventually(t, "the server was probed", func() bool { return s.count(tflush) >= n })
	}
	if g := x.Link().Generation; g != 1 {
		t.Errorf("generation %d", g)
	}
}

// A proxy hands bytes on between a client and the server, until it swallows them
// all: so looks a peer that lost power, or a router that forgot the connection.
type proxy struct {
	path, server string
	l            net.Listener
	wg           sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns []net.Conn
	hole  bool // what was accepted so far swallows everything
	made  int
}

func startProxy(t *testing.T, server string) *proxy {
	p := &proxy{path: filepath.Join(t.TempDir(), "proxy"), server: server}
	l, err := net.Listen("unix", p.path)
	check(t, err)
	p.l = l
	p.wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("unix", server)
			if err != nil {
				a.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, a, b)
			first := p.made == 0
			p.made++
			p.mu.Unlock()
			p.wg.Go(func() { p.carry(a, b, first) })
			p.wg.Go(func() { p.carry(b, a, first) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, nc := range p.conns {
			nc.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// carry hands bytes on. The end of one side is not told to the other.
func (p *proxy) carry(to, from net.Conn, first bool) {
	b := make([]byte, 4096)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		swallow := first && p.hole
		p.mu.Unlock()
		if swallow {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil && err != io.EOF {
			return
		}
	}
}

// A peer that vanished without a word is noticed while the connection is idle, and
// before the next request has to wait for it.
func TestAVanishedPeerIsNoticedWhileIdle(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := startProxy(t, s.path)
	const timeout = 400 * time.Millisecond
	x, err := Dial(t.Context(), Address{Network: "unix", Addr: p.path}, Options{
		RequestTimeout: timeout, BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond,
	})
	check(t, err)
	t.Cleanup(func() { x.Close() })
	p.mu.Lock()
	p.hole = true
	p.mu.Unlock()
	eventually(t, "a new connection", func() bool { l := x.Link(); return l.Up && l.Generation > 1 })
	check(t, getAttr(t.Context(), x.Root()))
}
