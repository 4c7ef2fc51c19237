package p9client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// soon waits for a condition that must come.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}

// init makes the test binary a command that speaks 9P on its standard input and
// output, by relaying a unix socket.
func init() {
	path := os.Getenv("P9CLIENT_RELAY")
	if path == "" {
		return
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
	relay(nc, os.Stdin, os.Stdout)
	os.Exit(0)
}

// relay copies both ways until one of them ends.
func relay(nc net.Conn, in io.Reader, out io.Writer) {
	done := make(chan struct{}, 2)
	go func() { io.Copy(out, nc); done <- struct{}{} }()
	go func() { io.Copy(nc, in); done <- struct{}{} }()
	<-done
	nc.Close()
}

// relayCommand is the address of a command that relays the socket at path.
func relayCommand(path string) Address {
	return Address{"exec", fmt.Sprintf("env GORACE=atexit_sleep_ms=0 P9CLIENT_RELAY='%s' '%s'", path, os.Args[0])}
}

// accept serves on one more listener until the test ends.
func (s *server) accept(l net.Listener) {
	s.t.Cleanup(func() { l.Close() })
	s.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{s: s, nc: nc, fids: map[uint32]*node{}, place: map[uint32]spot{}}
			s.mu.Lock()
			s.peers[p] = true
			s.mu.Unlock()
			s.wg.Go(p.serve)
		}
	})
}

// listenTCP listens where little fits into the socket of a peer that reads nothing.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10) })
		return errors.Join(cerr, err)
	}}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// A way leads to a server.
type way struct {
	name  string
	reach func(t *testing.T, s *server) (Address, Options)
}

func ways() []way {
	return []way{
		{"unix", func(_ *testing.T, s *server) (Address, Options) { return Address{"unix", s.path}, Options{} }},
		{"tcp", func(t *testing.T, s *server) (Address, Options) {
			l := listenTCP(t)
			s.accept(l)
			return Address{"tcp", l.Addr().String()}, Options{}
		}},
		{"tls", func(t *testing.T, s *server) (Address, Options) {
			ca := newAuthority(t)
			l := listenTCP(t)
			s.accept(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", false)}}))
			return Address{"tls", l.Addr().String()}, Options{TLS: &tls.Config{RootCAs: ca.pool}}
		}},
		{"exec", func(_ *testing.T, s *server) (Address, Options) { return relayCommand(s.path), Options{} }},
		{"fd", func(t *testing.T, s *server) (Address, Options) {
			return Address{"fd", fmt.Sprint(inheritSocket(t, s.path))}, Options{Fallback: []Address{{"unix", s.path}}}
		}},
		{"fd pipes", func(t *testing.T, s *server) (Address, Options) {
			r, w := inheritPipes(t, s.path)
			return Address{"fd", fmt.Sprintf("%d,%d", r, w)}, Options{Fallback: []Address{{"unix", s.path}}}
		}},
		// What vsock's connections are to us, without the system calls: net.Conn.
		{"any net.Conn", func(_ *testing.T, s *server) (Address, Options) {
			return Address{"vsock", "2:564"}, Options{Dial: func(ctx context.Context, a Address) (net.Conn, error) {
				if a.String() != "vsock!2!564" {
					return nil, fmt.Errorf("asked for %v", a)
				}
				nc, err := net.Dial("unix", s.path)
				return struct{ net.Conn }{nc}, err
			}}
		}},
		{"a TLS net.Conn", func(t *testing.T, s *server) (Address, Options) {
			ca := newAuthority(t)
			l := listenTCP(t)
			s.accept(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "127.0.0.1", false)}}))
			return Address{"tcp", l.Addr().String()}, Options{Dial: func(ctx context.Context, a Address) (net.Conn, error) {
				d := tls.Dialer{Config: &tls.Config{RootCAs: ca.pool}}
				return d.DialContext(ctx, a.Network, a.Addr)
			}}
		}},
	}
}

// inheritSocket returns a descriptor as a parent leaves it: of a connected
// socket, blocking, known to nothing in this process.
func inheritSocket(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	check(t, err)
	check(t, unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
	return fd
}

// inheritPipes returns descriptors of two pipes that lead to the server at path.
func inheritPipes(t *testing.T, path string) (r, w int) {
	t.Helper()
	var down, up [2]int
	check(t, unix.Pipe(down[:]))
	check(t, unix.Pipe(up[:]))
	for _, fd := range []int{down[1], up[0]} {
		check(t, unix.SetNonblock(fd, true))
	}
	nc, err := net.Dial("unix", path)
	check(t, err)
	in, out := os.NewFile(uintptr(up[0]), "up"), os.NewFile(uintptr(down[1]), "down")
	done := make(chan struct{})
	go func() { defer close(done); relay(nc, in, out); in.Close(); out.Close() }()
	t.Cleanup(func() { nc.Close(); <-done })
	return down[0], up[1]
}

// Whatever leads to the server, a session on it reads, writes, is interrupted,
// loses the connection and finds the next one, and leaves nothing behind.
func TestEveryTransportCarriesASession(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("on", func(t *testing.T) {
		for _, w := range ways() {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				carrySession(t, w)
			})
		}
	})
	soon(t, "no goroutine is left", func() bool { return goleak.Find(before) == nil })
}

func carrySession(t *testing.T, w way) {
	s := startServer(t)
	s.add("f", 0, "")
	addr, o := w.reach(t, s)
	o.BackoffMin, o.BackoffMax = time.Millisecond, 10*time.Millisecond
	x, err := Dial(t.Context(), addr, o)
	check(t, err)
	defer x.Close()
	if l := x.Link(); l.Address != addr || !l.Up || l.Generation != 1 {
		t.Fatalf("link %+v", l)
	}
	f, err := x.Root().Walk(t.Context(), "f")
	check(t, err)
	check(t, f.Open(t.Context(), syscall.O_RDWR))
	manyInFlight(t, f, 8)
	interruptedCall(t, s, f)
	interruptedWrites(t, s, f)
	if l := x.Link(); l.Generation != 1 || !l.Up {
		t.Fatalf("an interrupt has cost the connection: %+v", l)
	}
	manyInFlight(t, f, 4)
	lossAndReconnect(t, s, x, f)
	x.mu.Lock()
	nc := x.conn.nc
	x.mu.Unlock()
	check(t, x.Close())
	if c, ok := nc.(*execConn); ok {
		noProcess(t, c.cmd.Process.Pid)
	}
}

// payload is 1 MiB that no other n has.
func payload(n int) []byte {
	return bytes.Repeat([]byte{byte(n), byte(n >> 8), 7, byte(n * 31)}, 1<<18)
}

// manyInFlight writes n MiB and reads them back, all at once.
func manyInFlight(t *testing.T, f *Fid, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			p, off := payload(i), int64(i)<<20
			if n, err := f.WriteAt(t.Context(), p, off); n != len(p) || err != nil {
				t.Errorf("write %d: %d, %v", i, n, err)
			}
			for range 8 {
				if _, err := f.GetAttr(t.Context()); err != nil {
					t.Error(err)
				}
			}
			b := make([]byte, len(p))
			if n, err := f.ReadAt(t.Context(), b, off); n != len(b) || err != nil || !bytes.Equal(b, p) {
				t.Errorf("read %d: %d, %v; other bytes: %v", i, n, err, !bytes.Equal(b, p))
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// interruptedCall ends a call whose reply never comes.
func interruptedCall(t *testing.T, s *server, f *Fid) {
	t.Helper()
	asked := make(chan struct{})
	s.once(tgetattr, func(*peer, msg) { close(asked) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := f.GetAttr(ctx); done <- err }()
	<-asked
	cancel()
	want(t, within(t, patience, done), syscall.EINTR)
	_, err := f.GetAttr(t.Context())
	check(t, err)
}

// interruptedWrites ends calls in the middle of writing, while the server reads
// nothing. What they had begun must be completed, or else the server takes what
// comes behind it for the rest of a payload.
func interruptedWrites(t *testing.T, s *server, f *Fid) {
	t.Helper()
	stalled, goOn := make(chan struct{}), make(chan struct{})
	s.once(twrite, func(p *peer, m msg) { close(stalled); <-goOn; p.obey(m) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const calls = 8
	done := make(chan error, calls)
	for i := range calls {
		go func() {
			p := payload(99)
			_, err := f.WriteAt(ctx, p, int64(i)<<20)
			clear(p) // it is the caller's again
			done <- err
		}()
	}
	<-stalled
	cancel()
	for range calls {
		if err := within(t, patience, done); !errors.Is(err, syscall.EINTR) {
			t.Errorf("interrupted write: %v", err)
		}
	}
	close(goOn)
	_, err := f.GetAttr(t.Context())
	check(t, err)
	s.setHook(nil)
	// Each MiB is as before, or has the new bytes; never what the callers stored afterwards.
	b := make([]byte, 1<<20)
	for i := range calls {
		_, err := f.ReadAt(t.Context(), b, int64(i)<<20)
		check(t, err)
		if !bytes.Equal(b, payload(99)) && !bytes.Equal(b, payload(i)) {
			t.Errorf("MiB %d has bytes of neither", i)
		}
	}
}

func lossAndReconnect(t *testing.T, s *server, x *Session, f *Fid) {
	t.Helper()
	s.cut()
	b := make([]byte, 1<<20)
	done := make(chan error, 1)
	go func() { _, err := f.ReadAt(t.Context(), b, 3<<20); done <- err }()
	check(t, within(t, patience, done))
	if !bytes.Equal(b, payload(3)) {
		t.Error("other bytes after the reconnect")
	}
	soon(t, "generation 2", func() bool { l := x.Link(); return l.Up && l.Generation >= 2 })
}

// noProcess waits until neither pid nor its process group is there.
func noProcess(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	soon(t, "its group is gone", func() bool { return unix.Kill(-pid, 0) == unix.ESRCH })
}

func TestTCPHasKeepAliveAndNoDelay(t *testing.T) {
	l := listenTCP(t)
	nc, err := Address{"tcp", l.Addr().String()}.Dial(t.Context(), Options{})
	check(t, err)
	defer nc.Close()
	raw, err := nc.(syscall.Conn).SyscallConn()
	check(t, err)
	raw.Control(func(fd uintptr) {
		for name, opt := range map[string][2]int{"keep-alive": {unix.SOL_SOCKET, unix.SO_KEEPALIVE}, "no delay": {unix.IPPROTO_TCP, unix.TCP_NODELAY}} {
			if v, err := unix.GetsockoptInt(int(fd), opt[0], opt[1]); v != 1 || err != nil {
				t.Errorf("%s: %d, %v", name, v, err)
			}
		}
	})
}

// There is no vsock where tests run, or nobody listens; either is told.
func TestVsockErrorNamesAddressAndRemedy(t *testing.T) {
	t.Parallel()
	_, err := Dial(t.Context(), Address{"vsock", "1:4294967294"}, Options{DialTimeout: patience})
	if err == nil {
		t.Fatal("something answers")
	}
	mustSay(t, err, "vsock!1!4294967294", "vsock |virtual machine")
}

// bare has a socket inside, and does something to the bytes.
type bare struct{ *net.UnixConn }

func (b bare) Write(p []byte) (int, error) { return b.UnixConn.Write(p) }

func TestOnlyPlainSocketsAreWrittenToDirectly(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	check(t, err)
	defer l.Close()
	nc, err := net.Dial("unix", l.Addr().String())
	check(t, err)
	defer nc.Close()
	if rawConn(nc) == nil {
		t.Error("a unix socket is not")
	}
	if rawConn(bare{nc.(*net.UnixConn)}) != nil || rawConn(tls.Client(nc, nil)) != nil || rawConn(&tlsConn{tls.Client(nc, nil)}) != nil {
		t.Error("something around a socket is")
	}
}
