package p9client

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A server that sends a byte now and then holds nobody for longer than one that
// sends nothing; and whoever waits for a reply that stops in its middle is told why.
func TestSilenceIsJudgedByMessages(t *testing.T) {
	for name, drip := range map[string]time.Duration{"a byte now and then": 10 * time.Millisecond, "nothing after half of it": time.Hour} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			s := startServer(t)
			s.add("f", 0, "hello")
			x := s.dial(Options{RequestTimeout: 100 * time.Millisecond})
			f, err := x.Root().Walk(t.Context(), "f")
			check(t, err)
			stop := make(chan struct{})
			t.Cleanup(func() { close(stop) })
			s.once(tgetattr, func(p *peer, m msg) {
				reply := frame(tgetattr+1, m.tag, make([]byte, 153)...)
				p.nc.Write(reply[:80])
				for _, b := range reply[80:] {
					select {
					case <-time.After(drip):
					case <-stop:
						return
					}
					if _, err := p.nc.Write([]byte{b}); err != nil {
						return
					}
				}
			})
			done := make(chan error, 1)
			go func() { _, err := f.GetAttr(WithoutHold(t.Context())); done <- err }()
			err = within(t, 10*time.Second, done)
			want(t, err, syscall.ETIMEDOUT)
			if !disconnected(err) {
				t.Errorf("%v does not say that the connection is lost", err)
			}
		})
	}
}

// On 9P2000 a directory is read by the verb for files, so the client has to know
// which is which.
func TestReadDirOfWhatIsNoOpenDirectory(t *testing.T) {
	s := startServer(t)
	s.add("f", 0, strings.Repeat("x", 100))
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	_, _, err := x.Root().ReadDir(t.Context(), 0, 4096)
	want(t, err, syscall.EBADF)
	_, _, err = open(t, x, syscall.O_RDONLY, "f").ReadDir(t.Context(), 0, 4096)
	want(t, err, syscall.ENOTDIR)
	if g := x.Link().Generation; g != 1 {
		t.Errorf("that cost %d connections", g-1)
	}
}

// A directory without end is read no longer than its reader wants.
func TestDirectoryWithoutEndEndsWithItsReader(t *testing.T) {
	noLeak(t)
	s := startServer(t)
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	dir, err := x.Root().Walk(t.Context())
	check(t, err)
	check(t, dir.Open(t.Context(), syscall.O_RDONLY))
	entry := s.add("f", 0, "").stat("f", false)
	s.always(tread, func(p *peer, m msg) {
		p.reply(m, append(binary.LittleEndian.AppendUint32(nil, uint32(len(entry))), entry...)...)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { _, _, err := dir.ReadDir(ctx, 1<<60, 4096); done <- err }()
	want(t, within(t, 10*time.Second, done), syscall.ETIMEDOUT)
}

// A connection that ends under Tversion may have ended for any reason: a worse
// dialect is the answer only to a server that does it again.
func TestFlappingDoesNotLowerTheDialect(t *testing.T) {
	s := startServer(t)
	var dials atomic.Int32
	x, err := Dial(t.Context(), Address{"unix", s.path}, Options{Dial: func(ctx context.Context, a Address) (net.Conn, error) {
		if dials.Add(1) == 1 {
			a, b := net.Pipe()
			go func() { io.ReadFull(b, make([]byte, 7)); b.Close() }()
			return a, nil
		}
		var d net.Dialer
		return d.DialContext(ctx, a.Network, a.Addr)
	}})
	check(t, err)
	defer x.Close()
	if !strings.HasPrefix(x.Dialect(), DotL) {
		t.Errorf("after a flap the session speaks %s", x.Dialect())
	}
}

// A server may have a small table of fids. The client keeps within it, whatever
// MaxFids says.
func TestFidsKeepWithinTheServersTable(t *testing.T) {
	noLeak(t)
	const table, files = 64, 400
	s := startServer(t)
	for i := range files {
		s.add(fmt.Sprint(i), 0, "hello")
	}
	var refused atomic.Int32
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == twalk && binary.LittleEndian.Uint32(m.body[4:]) >= table {
			refused.Add(1)
			p.fail(m, syscall.ERANGE)
			return true
		}
		return false
	})
	x := s.dial(Options{})
	var fids []*Fid
	for i := range files {
		f, err := x.Root().Walk(t.Context(), fmt.Sprint(i))
		check(t, err)
		fids = append(fids, f)
	}
	done := make(chan error, files)
	for _, f := range fids {
		go func() { _, err := f.GetAttr(t.Context()); done <- err }()
	}
	for range fids {
		check(t, within(t, 20*time.Second, done))
	}
	if n := refused.Load(); n == 0 || n > files {
		t.Errorf("%d walks were refused", n)
	}
}

// chmod changes what chmod(2) can say, and nothing else of stat(5)'s mode.
func TestChmodKeepsBitsThatLinuxDoesNotKnow(t *testing.T) {
	const dmTmp = 0x04000000
	for _, dialect := range []string{Plain, DotU} {
		s := startServer(t)
		n := s.add("f", 0, "")
		n.mode = dmTmp | dmAppend | 0600
		s.speak(dialect)
		x := s.dial(Options{Dialect: dialect})
		f, err := x.Root().Walk(t.Context(), "f")
		check(t, err)
		check(t, f.SetAttr(t.Context(), SetAttr{Valid: SetMode, Mode: 0440}))
		s.others(func() {
			if n.mode != dmTmp|dmAppend|0440 {
				t.Errorf("%s: mode %#o", dialect, n.mode)
			}
		})
	}
}

// What is not a directory is not opened as one, on 9P2000 either, where a Topen
// that succeeded could not be undone.
func TestOpenOfAFileAsADirectoryLeavesTheFidUsable(t *testing.T) {
	s := startServer(t)
	s.add("f", 0, "hello")
	s.speak(Plain)
	x := s.dial(Options{Dialect: Plain})
	f, err := x.Root().Walk(t.Context(), "f")
	check(t, err)
	want(t, f.Open(t.Context(), syscall.O_RDONLY|syscall.O_DIRECTORY), syscall.ENOTDIR)
	check(t, f.Open(t.Context(), syscall.O_RDONLY))
	if n := s.count(topen); n != 1 {
		t.Errorf("%d Topens", n)
	}
}

// The answer to the watchdog's question has to be one.
func TestProbeIsAnsweredByRflushOnly(t *testing.T) {
	s := startServer(t)
	x := s.dial(Options{RequestTimeout: 100 * time.Millisecond})
	s.once(tflush, func(p *peer, m msg) { p.nc.Write(frame(twalk+1, m.tag, 0, 0)) })
	eventually(t, "the connection is lost for it", func() bool { return x.Link().Generation > 1 })
}
