package export

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

func TestNonsenseEndsOnlyItsConnection(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	good := attached(t, sock, 8192)
	version := frame(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	attach := frame(tattach, 1, attachBody(0, "", noFid))
	getattr := append(u32s(0), make([]byte, 8)...)
	for what, bytes := range map[string][]byte{
		"text":                    []byte("GET / HTTP/1.1\r\n\r\n"),
		"size 6":                  {6, 0, 0, 0, tversion, 1, 0},
		"size 4 GiB":              {255, 255, 255, 255, tversion, 1, 0},
		"attach first":            attach,
		"a second version":        join(version, version),
		"larger than msize":       join(version, frame(tauth, 1, make([]byte, 9000))),
		"NOTAG":                   join(version, frame(tattach, noTag, attachBody(0, "", noFid))),
		"cut short attach":        join(version, frame(tattach, 1, u32s(1, noFid))),
		"cut short walk":          join(version, attach, frame(twalk, 2, walkBody(0, 1, "f")[:12])),
		"cut short read":          join(version, attach, frame(tread, 2, u32s(0))),
		"cut short setattr":       join(version, attach, frame(tsetattr, 2, u32s(0, 1))),
		"cut short create":        join(version, attach, frame(tlcreate, 2, appendString(u32s(0), "f"))),
		"cut short flush":         join(version, attach, frame(tflush, 2, nil)),
		"a Twrite with no header": join(version, attach, frame(twrite, 2, u32s(0))),
		"a Twrite of other size":  join(version, attach, frame(twrite, 2, append(le.AppendUint64(u32s(0), 0), u32s(99)...))),
	} {
		p := dial(t, sock)
		p.c.Write(bytes)
		n, err := io.Copy(io.Discard, p.c) // replies, then the end
		if isTimeout(err) {
			t.Errorf("%s: the connection goes on (after %d bytes)", what, n)
		}
	}
	good.ok(tgetattr, getattr)
}

func join(b ...[]byte) []byte { return bytes.Join(b, nil) }

func TestTagInUseIsNotAdmitted(t *testing.T) {
	c := newConn(nil, nil)
	c.agreed = true
	h := header{typ: tgetattr, tag: 5}
	if err := c.admit(h); err != nil {
		t.Fatal(err)
	}
	if err := c.admit(h); err == nil {
		t.Error("a tag twice at once")
	}
	c.settleLocked(5)
	if err := c.admit(h); err != nil {
		t.Errorf("a tag again: %v", err)
	}
}

func TestVersionIsAgreed(t *testing.T) {
	_, sock := serve(t, t.TempDir(), Options{})
	for _, c := range []struct {
		msize     uint32
		say, want string
		wantSize  uint32
	}{
		{8192, "9P2000.L", "9P2000.L", 8192},
		{1 << 30, "9P2000.L", "9P2000.L", 4 << 20},
		{8192, "9P2000", "unknown", 0},
		{8192, "9P2000.u", "unknown", 0},
		{8192, "rubbish", "unknown", 0},
		{8192, "", "unknown", 0},
		{100, "9P2000.L", "unknown", 0},
		{8192, "9P2000.L.Google.99", "9P2000.L.Google.7", 8192},
	} {
		p := dial(t, sock)
		h, r := p.call(tversion, noTag, appendString(u32s(c.msize), c.say))
		b := body{b: r}
		size, version := b.u32(), b.str()
		if h.typ != tversion+1 || h.tag != noTag || size != c.wantSize || version != c.want {
			t.Errorf("%d %q: %d %q", c.msize, c.say, size, version)
		}
		if c.want == "unknown" { // and may try again
			if _, r := p.call(tversion, noTag, appendString(u32s(8192), "9P2000.L")); !strings.HasSuffix(string(r), "9P2000.L") {
				t.Errorf("second try after %q: %q", c.say, r)
			}
			p.ok(tattach, attachBody(0, "", noFid))
		}
	}
}

func TestRepliesKeepToMsize(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "f"), strings.Repeat("x", 50_000))
	fill(t, dir, 500)
	_, sock := serve(t, dir, Options{})
	const msize = 4096
	p := attached(t, sock, msize)
	p.ok(twalk, walkBody(0, 1, "f"))
	p.ok(tlopen, u32s(1, 0))
	p.ok(twalk, walkBody(0, 2))
	p.ok(tlopen, u32s(2, 0))
	for _, count := range []uint32{msize - 11, msize - 7, msize, 1 << 20, 1<<32 - 1} {
		if r := p.ok(tread, append(le.AppendUint64(u32s(1), 0), u32s(count)...)); len(r) != msize-headerSize || le.Uint32(r) != msize-11 {
			t.Errorf("Tread of %d: a reply of %d bytes, count %d", count, len(r)+headerSize, le.Uint32(r))
		}
		if r := p.ok(treaddir, append(le.AppendUint64(u32s(2), 0), u32s(count)...)); len(r) > msize-headerSize || le.Uint32(r) == 0 {
			t.Errorf("Treaddir of %d: a reply of %d bytes", count, len(r)+headerSize)
		}
	}
	h, r := p.call(tread, 1, append(le.AppendUint64(u32s(1), 1<<63), u32s(1)...))
	if h.typ != rlerror || linux.Errno(le.Uint32(r)) != linux.EINVAL {
		t.Errorf("Tread at 2^63: %v % x", h, r)
	}
}

func TestEveryTypeOfMessageIsAnswered(t *testing.T) {
	_, sock := serve(t, t.TempDir(), Options{})
	p := attached(t, sock, 8192)
	for typ := range 256 {
		switch typ {
		case tversion, tflush, twrite: // their rules are tested elsewhere
			continue
		}
		h, r := p.call(byte(typ), 5, make([]byte, 200))
		if h.tag != 5 || typ%2 == 1 && (h.typ != rlerror || linux.Errno(le.Uint32(r)) != linux.EOPNOTSUPP) {
			t.Errorf("message %d of zeros: %+v % x", typ, h, r)
		}
	}
}

// TestSetuidSetgidAndRemovedFiles: what the core alone would lose or refuse.
func TestSetuidSetgidAndRemovedFiles(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	p := attached(t, sock, 8192)
	p.ok(twalk, walkBody(0, 1))
	p.ok(tlcreate, append(appendString(u32s(1), "f"), u32s(2|1<<30|1<<31, 0o4710, noFid)...))
	checkMode(t, filepath.Join(dir, "f"), unix.S_IFREG|0o4710)
	setattr := func(valid, mode uint32, size uint64) []byte {
		b := u32s(1, valid, mode, noFid, noFid)
		return append(le.AppendUint64(b, size), make([]byte, 32)...)
	}
	p.ok(tsetattr, setattr(1, 0o6755, 0))
	checkMode(t, filepath.Join(dir, "f"), unix.S_IFREG|0o6755)
	p.ok(tunlinkat, append(appendString(u32s(0), "f"), u32s(0)...))
	p.ok(tsetattr, setattr(1|8, 0o600, 77))
	r := p.ok(tgetattr, append(u32s(1), 0xff, 0xff, 0, 0, 0, 0, 0, 0))
	b := body{b: r}
	b.take(8 + 13)
	if mode := b.u32(); mode != unix.S_IFREG|0o600 {
		t.Errorf("mode of the removed file: %o", mode)
	}
	p.ok(tfsync, u32s(1, 1))
	p.ok(tfsync, u32s(1)) // without datasync
	p.fails(tfsync, u32s(0, 0), linux.EBADF)
	p.ok(twalk, walkBody(1, 2))
	p.ok(tlopen, u32s(2, 0))
	if r := p.ok(tread, append(le.AppendUint64(u32s(2), 0), u32s(99)...)); le.Uint32(r) != 77 {
		t.Errorf("read of the removed file: % x", r)
	}
}

func TestAttachHonoursAnameAndUid(t *testing.T) {
	dir := t.TempDir()
	mustMkdir(t, filepath.Join(dir, "a/b"))
	_, sock := serve(t, dir, Options{})
	p := dial(t, sock)
	p.call(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	for aname, want := range map[string]string{"": ".", "/": ".", "a/b": "a/b", "/a/b/": "a/b", "//a": "a"} {
		r := p.ok(tattach, attachBody(7, aname, 4321))
		var st unix.Stat_t
		unix.Stat(filepath.Join(dir, want), &st)
		if path := le.Uint64(r[5:]); path != st.Ino || r[0] != byte(p9.TypeDir) {
			t.Errorf("attach to %q: qid.path %d, inode %d", aname, path, st.Ino)
		}
		p.ok(tclunk, u32s(7))
	}
	// Attaches sent together are not mixed up.
	names := map[uint16]string{}
	var all []byte
	for i := range uint16(60) {
		names[i] = []string{"", "a", "a/b"}[i%3]
		all = append(all, frame(tattach, i, attachBody(100+uint32(i), names[i], 0))...)
	}
	p.c.Write(all)
	for range names {
		h, r := p.recv()
		var st unix.Stat_t
		unix.Stat(filepath.Join(dir, names[h.tag]), &st)
		if h.typ != tattach+1 || le.Uint64(r[5:]) != st.Ino {
			t.Fatalf("attach to %q among others: %+v % x, inode %d", names[h.tag], h, r, st.Ino)
		}
	}
	p.fails(tattach, attachBody(7, "a/none", 0), linux.ENOENT)
	p.ok(tattach, attachBody(7, "a", 4321))
	p.ok(tmkdir, append(appendString(u32s(7), "mine"), u32s(0o700, noFid)...))
	checkOwner(t, filepath.Join(dir, "a/mine"), 4321, os.Getegid())
	p.fails(tauth, append(u32s(8), make([]byte, 20)...), linux.ENOSYS)
}

// TestRflushComesAfterTheReply: else the client gets a reply under a tag that it
// may use again.
func TestRflushComesAfterTheReply(t *testing.T) {
	dir := t.TempDir()
	_, sock := serve(t, dir, Options{})
	p := attached(t, sock, 1<<20)
	p.ok(twalk, walkBody(0, 1))
	p.ok(tlcreate, append(appendString(u32s(1), "f"), u32s(2, 0o600, noFid)...))
	write := append(le.AppendUint64(u32s(1), 0), u32s(500_000)...)
	write = append(write, make([]byte, 500_000)...)
	for range 50 {
		p.c.Write(join(frame(twrite, 10, write), frame(tflush, 11, []byte{10, 0}), frame(tflush, 12, []byte{11, 0}), frame(tflush, 13, []byte{13, 0}), frame(tflush, 14, []byte{99, 0})))
		var order []uint16
		for range 5 {
			h, _ := p.recv()
			order = append(order, h.tag)
		}
		at := func(tag uint16) int {
			for i, x := range order {
				if x == tag {
					return i
				}
			}
			return -1
		}
		if at(10) < 0 || at(10) > at(11) || at(11) > at(12) || at(13) < 0 || at(14) < 0 {
			t.Fatalf("order of replies: %v", order)
		}
	}
}

// TestFloodIsBounded: a client that never reads its replies gets no more than
// maxInFlight goroutines, and all it asked once it reads.
func TestFloodIsBounded(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "f"), strings.Repeat("x", 100_000))
	s, sock := serve(t, dir, Options{})
	p := attached(t, sock, 128<<10)
	p.ok(twalk, walkBody(0, 1, "f"))
	p.ok(tlopen, u32s(1, 0))
	const n = 500
	var wg sync.WaitGroup
	wg.Go(func() {
		for tag := range uint16(n) {
			p.send(tread, tag, append(le.AppendUint64(u32s(1), 0), u32s(100_000)...))
		}
	})
	waitFor(t, "the flood to be held", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.mu.Lock()
			pending := len(c.pending)
			c.mu.Unlock()
			if pending > maxInFlight {
				t.Fatalf("%d in flight", pending)
			}
			return pending == maxInFlight
		}
		return false
	})
	seen := map[uint16]bool{}
	for range n {
		h, _ := p.recv()
		if h.typ != tread+1 || seen[h.tag] {
			t.Fatalf("reply %+v", h)
		}
		seen[h.tag] = true
	}
	wg.Wait()
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestCloseAndContextEndConnections(t *testing.T) {
	dir := t.TempDir()
	s, err := New(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	p := &peer{t, c}
	p.call(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	p.gone()

	// ServeConn over a pipe: its own context, then Close of the server.
	for _, stop := range []func(context.CancelFunc){func(c context.CancelFunc) { c() }, func(context.CancelFunc) { s.Close() }} {
		ctx, cancel := context.WithCancel(context.Background())
		ours, theirs := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- s.ServeConn(ctx, theirs) }()
		ours.SetDeadline(time.Now().Add(patience))
		p := &peer{t, ours}
		p.call(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
		p.ok(tattach, attachBody(0, "", noFid))
		stop(cancel)
		if err := <-served; !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) {
			t.Errorf("ServeConn: %v", err)
		}
		p.gone()
		ours.Close()
		cancel()
	}
	a, b := net.Pipe()
	defer a.Close()
	if err := s.ServeConn(context.Background(), b); err != ErrClosed {
		t.Errorf("ServeConn after Close: %v", err)
	}
}

// TestHalfClosedConnectionGetsItsReplies: a client that is done sending still hears.
func TestHalfClosedConnectionGetsItsReplies(t *testing.T) {
	_, sock := serve(t, t.TempDir(), Options{})
	p := attached(t, sock, 8192)
	for tag := range uint16(100) {
		p.send(tgetattr, tag, append(u32s(0), make([]byte, 8)...))
	}
	p.c.(*net.UnixConn).CloseWrite()
	for range 100 {
		if h, _ := p.recv(); h.typ != tgetattr+1 {
			t.Fatalf("reply %+v", h)
		}
	}
	p.gone()
}

func TestListenReplacesOnlyDeadSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	umask := unix.Umask(0)
	l, err := Listen("unix", path)
	unix.Umask(umask)
	if err != nil {
		t.Fatal(err)
	}
	checkMode(t, path, unix.S_IFSOCK|0o600)
	if _, err := Listen("unix", path); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a socket in use: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	l, err = Listen("unix", path)
	if err != nil {
		t.Fatalf("a dead socket: %v", err)
	}
	l.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
	mustWrite(t, path, "data")
	if _, err := Listen("unix", path); err == nil || !contains(err.Error(), path) {
		t.Errorf("a file: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "data" {
		t.Error("the file is gone")
	}
	os.Remove(path)
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := Listen("unix", path); err == nil {
		t.Error("a datagram socket in use was replaced")
	}
	if _, err := Listen("udp", "127.0.0.1:0"); err == nil {
		t.Error("udp")
	}
}

// TestPanicCostsOneRequest: the core answers EFAULT, the log says why, and the
// connection goes on.
func TestPanicCostsOneRequest(t *testing.T) {
	var log bytes.Buffer
	s, sock := serve(t, t.TempDir(), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	p := dial(t, sock)
	p.call(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	root := s.root
	s.root = nil
	p.fails(tattach, attachBody(0, "", noFid), linux.EFAULT)
	s.root = root
	p.ok(tattach, attachBody(0, "", noFid))
	if !strings.Contains(log.String(), "panic") {
		t.Errorf("log: %q", &log)
	}
}

// FuzzConn: no bytes of a client harm the process, or keep a connection from ending.
func FuzzConn(f *testing.F) {
	version := frame(tversion, noTag, appendString(u32s(8192), "9P2000.L"))
	attach := frame(tattach, 1, attachBody(0, "", noFid))
	session := join(version, attach,
		frame(twalk, 2, walkBody(0, 1)), frame(tlcreate, 3, append(appendString(u32s(1), "f"), u32s(2, 0o4600, noFid)...)),
		frame(twrite, 4, append(append(le.AppendUint64(u32s(1), 0), u32s(3)...), "abc"...)),
		frame(tread, 5, append(le.AppendUint64(u32s(1), 0), u32s(100)...)), frame(tfsync, 6, u32s(1, 0)),
		frame(tlock, 7, lockBody(1, 1, 0, 0)), frame(tgetlock, 8, getlockBody(1, 1, 0, 0)),
		frame(txattrwalk, 9, appendString(u32s(1, 5), "")), frame(tflush, 10, []byte{9, 0}), frame(tclunk, 11, u32s(1)))
	f.Add([]byte("GET / HTTP/1.0"))
	f.Add(session)
	f.Add(session[:len(session)-5])
	for i := 0; i < len(session); i += 11 {
		b := bytes.Clone(session)
		b[i] ^= 0xff
		f.Add(b)
	}
	dir := f.TempDir()
	s, err := New(dir, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, in []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.ServeConn(ctx, &script{r: bytes.NewReader(in)}); errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("the connection does not end")
		}
		os.Remove(filepath.Join(dir, "f"))
	})
}

// script is a connection that says its text and hears nothing.
type script struct{ r *bytes.Reader }

func (s *script) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s *script) Write(p []byte) (int, error) { return len(p), nil }
func (s *script) Close() error                { return nil }
