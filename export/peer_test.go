package export

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

const patience = time.Minute

// serve starts a server for dir on a unix socket and returns its path.
func serve(t testing.TB, dir string, o Options) (*Server, string) {
	t.Helper()
	s, err := New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, listen(t, s)
}

// listen serves s on a unix socket until the end of the test, and closes it.
func listen(t testing.TB, s *Server) (sock string) {
	t.Helper()
	sock = filepath.Join(t.TempDir(), "s")
	l, err := Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return sock
}

// mount attaches hugelgupf's own client.
func mount(t testing.TB, sock string) p9.File {
	t.Helper()
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	client, err := p9.NewClient(c, p9.WithMessageSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	root, err := client.Attach("/")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// raw is a File of its own server, with no connection in between.
func raw(t testing.TB, dir string, o Options) p9.File {
	t.Helper()
	s, err := New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f, err := s.Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func walk(t testing.TB, f p9.File, names ...string) p9.File {
	t.Helper()
	_, to, err := f.Walk(names)
	if err != nil {
		t.Fatalf("walk %q: %v", names, err)
	}
	t.Cleanup(func() { to.Close() })
	return to
}

func create(t testing.TB, dir p9.File, name string, flags p9.OpenFlags) p9.File {
	t.Helper()
	f, _, _, err := walk(t, dir).Create(name, flags, 0o644, p9.NoUID, p9.NoGID)
	if err != nil {
		t.Fatalf("create %q: %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func open(t testing.TB, f p9.File, flags p9.OpenFlags) p9.File {
	t.Helper()
	if _, _, err := f.Open(flags); err != nil {
		t.Fatalf("open: %v", err)
	}
	return f
}

func wantErrno(t testing.TB, what string, err error, want linux.Errno) {
	t.Helper()
	var got linux.Errno
	if want == 0 && err == nil {
		return
	}
	if !errors.As(err, &got) || got != want {
		t.Errorf("%s: got %v, want errno %d (%v)", what, err, want, want)
	}
}

// peer speaks 9P byte by byte: for what hugelgupf's client cannot say.
type peer struct {
	t testing.TB
	c net.Conn
}

func dial(t testing.TB, sock string) *peer {
	t.Helper()
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &peer{t, c}
}

// attached is a peer with 9P2000.L, the msize, and the root on fid 0.
func attached(t testing.TB, sock string, msize uint32) *peer {
	t.Helper()
	p := dial(t, sock)
	p.call(tversion, noTag, appendString(le.AppendUint32(nil, msize), "9P2000.L"))
	p.ok(tattach, attachBody(0, "", 0xffffffff))
	return p
}

func attachBody(fid uint32, aname string, uid uint32) []byte {
	b := le.AppendUint32(nil, fid)
	b = le.AppendUint32(b, noFid)
	b = appendString(appendString(b, "nobody"), aname)
	return le.AppendUint32(b, uid)
}

func walkBody(fid, newfid uint32, names ...string) []byte {
	b := le.AppendUint32(le.AppendUint32(nil, fid), newfid)
	b = le.AppendUint16(b, uint16(len(names)))
	for _, n := range names {
		b = appendString(b, n)
	}
	return b
}

func u32s(v ...uint32) (b []byte) {
	for _, x := range v {
		b = le.AppendUint32(b, x)
	}
	return b
}

func (p *peer) send(typ byte, tag uint16, body []byte) {
	p.t.Helper()
	if _, err := p.c.Write(frame(typ, tag, body)); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

func (p *peer) recv() (header, []byte) {
	p.t.Helper()
	var hb [headerSize]byte
	if _, err := io.ReadFull(p.c, hb[:]); err != nil {
		p.t.Fatalf("recv: %v", err)
	}
	h := parseHeader(hb[:])
	b := make([]byte, h.size-headerSize)
	if _, err := io.ReadFull(p.c, b); err != nil {
		p.t.Fatalf("recv: %v", err)
	}
	return h, b
}

func (p *peer) call(typ byte, tag uint16, b []byte) (header, []byte) {
	p.t.Helper()
	p.send(typ, tag, b)
	return p.recv()
}

// ok makes a call that must succeed.
func (p *peer) ok(typ byte, b []byte) []byte {
	p.t.Helper()
	h, r := p.call(typ, 1, b)
	if h.typ != typ+1 || h.tag != 1 {
		p.t.Fatalf("message %d: reply %d tag %d, % x", typ, h.typ, h.tag, r)
	}
	return r
}

// fails makes a call that must fail with want.
func (p *peer) fails(typ byte, b []byte, want linux.Errno) {
	p.t.Helper()
	h, r := p.call(typ, 1, b)
	if h.typ != rlerror || linux.Errno(le.Uint32(r)) != want {
		p.t.Errorf("message %d: reply %d % x, want errno %d", typ, h.typ, r, want)
	}
}

// gone waits for the server to close the connection.
func (p *peer) gone() {
	p.t.Helper()
	var b [1]byte
	if n, err := p.c.Read(b[:]); n != 0 || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		p.t.Errorf("the connection goes on: read %d bytes, %v", n, err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// stopper ends loops in the background of a test.
type stopper struct {
	stop atomic.Bool
	done chan struct{}
}

func background(fn func()) *stopper {
	s := &stopper{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		for !s.stop.Load() {
			fn()
		}
	}()
	return s
}

func (s *stopper) end() { s.stop.Store(true); <-s.done }
