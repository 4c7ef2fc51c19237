package p9client

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// failoverOptions make reconnects quick and dials patient.
func failoverOptions(fallback ...Address) Options {
	return Options{Fallback: fallback, BackoffMin: time.Millisecond, BackoffMax: 10 * time.Millisecond, DialTimeout: 3 * time.Second}
}

func dialOrFail(t *testing.T, a Address, o Options) *Session {
	t.Helper()
	x, err := Dial(t.Context(), a, o)
	check(t, err)
	t.Cleanup(func() { x.Close() })
	return x
}

// atAddress waits until a session uses an address.
func atAddress(t *testing.T, x *Session, a Address) {
	t.Helper()
	soon(t, "the session is at "+a.String(), func() bool { l := x.Link(); return l.Up && l.Address == a })
	_, err := x.Root().GetAttr(t.Context())
	check(t, err)
}

// The first address that has a server is used: at first, and at every reconnect.
func TestFailoverGoesOnAndComesBack(t *testing.T) {
	t.Parallel()
	one, two := startServer(t), startServer(t)
	a, b := Address{"unix", one.path}, Address{"unix", two.path}
	one.stop()
	x := dialOrFail(t, a, failoverOptions(b))
	atAddress(t, x, b)
	one.listen()
	two.cut()
	atAddress(t, x, a)
	one.stop()
	atAddress(t, x, b)
	two.stop()
	soon(t, "down", func() bool { return !x.Link().Up })
	if l := x.Link(); l.Address != b || l.Cause == nil {
		t.Errorf("the link forgets where it was: %+v", l)
	}
	one.listen()
	atAddress(t, x, a)
}

// muteServer accepts, and answers nothing.
func muteServer(t *testing.T) Address {
	t.Helper()
	return Address{"tcp", listenTCP(t).Addr().String()} // its backlog accepts
}

// blackhole is where a connection is neither made nor refused: its backlog is full.
func blackhole(t *testing.T) Address {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	check(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(t, unix.Listen(fd, 0))
	sa, err := unix.Getsockname(fd)
	check(t, err)
	at := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: sa.(*unix.SockaddrInet4).Port}
	for range 64 {
		nc, err := net.DialTimeout("tcp", at.String(), 300*time.Millisecond)
		if err != nil {
			return Address{"tcp", at.String()}
		}
		t.Cleanup(func() { nc.Close() })
	}
	t.Fatal("the backlog takes everything")
	return Address{}
}

// An address that hangs takes its share of DialTimeout and no more.
func TestFailoverFromAddressesThatHang(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	last := Address{"unix", s.path}
	x := dialOrFail(t, muteServer(t), failoverOptions(blackhole(t), last))
	atAddress(t, x, last)
	g := x.Link().Generation
	s.cut()
	soon(t, "a later generation", func() bool { return x.Link().Generation > g })
	atAddress(t, x, last)
}

// When all addresses fail, each is named with what it failed by.
func TestFailoverErrorNamesEachAddress(t *testing.T) {
	t.Parallel()
	dead := listenTCP(t)
	dead.Close()
	s := startServer(t)
	s.stop()
	o := failoverOptions(Address{"unix", s.path}, muteServer(t), Address{"exec", "/no/such/command"})
	_, err := Dial(t.Context(), Address{"tcp", dead.Addr().String()}, o)
	if err == nil {
		t.Fatal("it connects")
	}
	parts := strings.SplitN(err.Error(), "; ", -1)
	for _, say := range []string{
		`tcp!127\.0\.0\.1!\d+: .*refused`, `unix!` + s.path + `: .*no such file`, `tcp!127\.0\.0\.1!\d+: no answer to Tversion \(.*deadline`, `exec!/no/such/command: .*no such file`,
	} {
		mustSay(t, err, say)
	}
	if len(parts) < 4 || !errors.Is(err, syscall.ECONNREFUSED) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%q", parts)
	}
}

// What Dial is given ends the dialing of all.
func TestFailoverEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{DialTimeout: time.Hour, Fallback: []Address{muteServer(t), muteServer(t)}}
	l := listenTCP(t)
	done := make(chan error, 1)
	go func() { _, err := Dial(ctx, Address{"tcp", l.Addr().String()}, o); done <- err }()
	nc, err := l.Accept()
	check(t, err)
	defer nc.Close()
	cancel()
	if err := within(t, patience, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// An inherited descriptor serves once. When it is lost and there is no other
// address, calls that would wait for ever are told at once, and why.
func TestLossOfAnInheritedDescriptorIsPermanent(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.add("f", 0, "hello")
	a := Address{"fd", itoa(inheritSocket(t, s.path))}
	var log logBuffer
	o := failoverOptions()
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	x := dialOrFail(t, a, o)
	f := open(t, x, syscall.O_RDWR, "f")
	held := make(chan error, 1)
	s.once(tgetattr, func(p *peer, _ msg) { p.nc.Close() })
	go func() { _, err := f.GetAttr(t.Context()); held <- err }() // in flight at the loss
	for _, err := range []error{within(t, patience, held), f.Sync(t.Context(), false)} {
		if !disconnected(err) || !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	}
	_, err := f.GetAttr(t.Context())
	mustSay(t, err, "lost", a.String(), "cannot be dialed again")
	l := x.Link()
	if l.Up || l.Generation != 1 || l.Address != a {
		t.Errorf("%+v", l)
	}
	mustSay(t, l.Cause, a.String(), "cannot be dialed again")
	select {
	case <-x.LinkChanged():
		t.Error("the link has changed")
	case <-time.After(50 * time.Millisecond): // many times BackoffMax
	}
	if out := log.String(); strings.Contains(out, "reconnect") || strings.Count(out, "\n") != 1 {
		t.Errorf("somebody goes on trying:\n%s", out)
	}
	closed := make(chan error, 1)
	go func() { closed <- x.Close() }()
	check(t, within(t, patience, closed))
}

// After a descriptor comes the next address, and never the descriptor again.
func TestFailoverFromAnInheritedDescriptor(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	a, b := Address{"fd", itoa(inheritSocket(t, s.path))}, Address{"unix", s.path}
	x := dialOrFail(t, a, failoverOptions(b))
	atAddress(t, x, a)
	for range 2 {
		g := x.Link().Generation
		s.cut()
		soon(t, "a later generation", func() bool { return x.Link().Generation > g })
		atAddress(t, x, b)
	}
}
