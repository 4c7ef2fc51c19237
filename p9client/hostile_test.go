package p9client

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// An outcome is what a server's behaviour comes to for the call under which it
// happens.
type outcome struct {
	errno      syscall.Errno // 0: the call succeeds with the right result
	lost       bool          // the call's Error says Disconnected
	generation uint64        // of the connection of later calls; at least, if the row's time is bounded by the watchdog
}

var (
	rightBytes    = outcome{0, false, 1}
	newConnection = outcome{syscall.EPROTO, true, 2}
)

// refused is a clear error; the connection goes on.
func refused(errno syscall.Errno) outcome { return outcome{errno, false, 1} }

// A wrong is one wrong behaviour of a server.
type wrong struct {
	server string // what the server does, as a sentence's end
	under  string // the operation
	typ    uint8  // the request at which it does it
	do     func(p *peer, m msg)
	want   outcome
	ever   bool // at each such request; else at the first only
	o      Options
}

// hostileMsize is small, so that a reply which makes the client allocate more
// shows.
const hostileMsize = 8192

// hostileBudget bounds what a call may allocate, in bytes, a new connection and
// the server's work included. One reply is not allowed more than msize.
const hostileBudget = 32 * hostileMsize

// Whatever one wrong reply comes to, the next call on the session is right, no
// goroutine is left, and neither time nor memory is the server's to choose.
func TestHostileServer(t *testing.T) {
	rows := allWrongs()
	if len(rows) < 60 {
		t.Errorf("%d rows are not a table", len(rows))
	}
	for _, w := range rows {
		t.Run(fmt.Sprintf("%s %s: the server %s", cmp.Or(w.o.Dialect, DotL), w.under, w.server), func(t *testing.T) { w.test(t) })
	}
}

func (w wrong) test(t *testing.T) {
	noLeak(t)
	s := startServer(t)
	s.addHostileTree()
	s.speak(w.o.Dialect)
	if w.o.Msize == 0 {
		w.o.Msize = hostileMsize
	}
	x := s.dial(w.o)
	f := open(t, x, syscall.O_RDWR, "f")
	behave := s.once
	if w.ever {
		behave = s.always
	}
	behave(w.typ, w.do)
	call, ok := operations[w.under]
	if !ok {
		t.Fatalf("no operation %q", w.under)
	}
	err := w.bounded(t, func() error { return call(WithoutHold(t.Context()), f) })
	if w.want.errno == 0 && err != nil || w.want.errno != 0 && !errors.Is(err, w.want.errno) || disconnected(err) != w.want.lost {
		t.Errorf("the call: %v (disconnected: %v), want %v, %v", err, disconnected(err), w.want.errno, w.want.lost)
	}
	s.setHook(nil)
	if a, err := f.GetAttr(t.Context()); err != nil || a.Size != 5 {
		t.Errorf("afterwards: %v", err)
	}
	if g := x.Link().Generation; g != w.want.generation && (w.o.RequestTimeout == 0 || g < w.want.generation) {
		t.Errorf("generation %d, want %d", g, w.want.generation)
	}
}

// bounded runs a call that has to end soon and to allocate little.
func (w wrong) bounded(t *testing.T, call func() error) error {
	t.Helper()
	var before, after runtime.MemStats
	done := make(chan error, 1)
	runtime.ReadMemStats(&before)
	go func() { done <- call() }()
	err := within(t, 20*time.Second, done)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > hostileBudget+4*uint64(w.o.Msize) {
		t.Errorf("%d bytes were allocated", n)
	}
	return err
}

// noLeak makes the test fail if it leaves goroutines. Call it before anything
// that is cleaned up.
func noLeak(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}

// addHostileTree makes f with "hello", the directories d and d/e, and d/e/g.
func (s *server) addHostileTree() {
	s.add("f", 0, "hello")
	s.add("l", QTSYMLINK, "").target = "f"
	d := s.add("d", QTDIR, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	d.kids["e"] = s.newNode(QTDIR)
	d.kids["e"].kids["g"] = s.newNode(0)
}

// always makes the server treat every request of a type in another way.
func (s *server) always(typ uint8, f func(p *peer, m msg)) {
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == typ {
			f(p, m)
		}
		return m.typ == typ
	})
}

// operations are the calls of the table, on an open fid of "f". Each tells if a
// success is a lie.
var operations = map[string]func(ctx context.Context, f *Fid) error{
	"getattr": func(ctx context.Context, f *Fid) error {
		a, err := f.GetAttr(ctx)
		if err == nil && a.Size != 5 {
			return fmt.Errorf("a size of %d", a.Size)
		}
		return err
	},
	"getattr by a caller who gives up": func(ctx context.Context, f *Fid) error {
		ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Millisecond, context.Canceled)
		defer cancel()
		return getAttr(ctx, f)
	},
	"read by a caller who gives up": func(ctx context.Context, f *Fid) error {
		ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Millisecond, context.Canceled)
		defer cancel()
		return readHello(ctx, f)
	},
	"read": readHello,
	"read to the end": func(ctx context.Context, f *Fid) error {
		p := make([]byte, 3*hostileMsize)
		n, err := f.ReadAt(ctx, p, 0)
		if err == io.EOF && n == 5 && string(p[:n]) == "hello" {
			return nil
		}
		return err
	},
	"write": func(ctx context.Context, f *Fid) error {
		n, err := f.WriteAt(ctx, []byte("HELLO"), 0)
		if err == nil && n != 5 {
			return fmt.Errorf("%d bytes", n)
		}
		return err
	},
	"write of more than a socket holds": func(ctx context.Context, f *Fid) error {
		_, err := f.WriteAt(ctx, make([]byte, 4<<20), 0)
		return err
	},
	"walk": func(ctx context.Context, f *Fid) error { return ofNew(f.s.root.Walk(ctx, "d", "e")) },
	"walk of 17 names": func(ctx context.Context, f *Fid) error {
		return ofNew(f.s.root.Walk(ctx, make17("d")...))
	},
	"clone": func(ctx context.Context, f *Fid) error { return ofNew(f.Walk(ctx)) },
	"open": func(ctx context.Context, f *Fid) error {
		g, err := f.s.root.Walk(ctx, "f")
		if err != nil {
			return err
		}
		defer g.Clunk()
		if err := g.Open(ctx, syscall.O_RDWR); err != nil {
			return err
		}
		if !g.Qid().same(f.Qid()) {
			return fmt.Errorf("qid %v", g.Qid())
		}
		return readHello(ctx, g)
	},
	"create":                           func(ctx context.Context, f *Fid) error { return ofNew(f.s.root.Create(ctx, "new", 2, 0600, 0)) },
	"mkdir":                            func(ctx context.Context, f *Fid) error { _, err := f.s.root.Mkdir(ctx, "new", 0700, 0); return err },
	"unlink":                           func(ctx context.Context, f *Fid) error { return f.s.root.Unlink(ctx, "l", 0) },
	"rename":                           func(ctx context.Context, f *Fid) error { return f.s.root.Rename(ctx, "l", f.s.root, "m") },
	"fsync":                            fsync,
	"truncate":                         func(ctx context.Context, f *Fid) error { return f.Truncate(ctx, 5) },
	"statfs":                           statFS,
	"readlink, whatever the target is": func(ctx context.Context, f *Fid) error { return readlink(ctx, f) },
	"readlink": func(ctx context.Context, f *Fid) error {
		l, err := f.s.root.Walk(ctx, "l")
		if err != nil {
			return err
		}
		defer l.Clunk()
		target, err := l.Readlink(ctx)
		if err == nil && target != "f" {
			return fmt.Errorf("target %.20q of %d bytes", target, len(target))
		}
		return err
	},
	"readdir": readDir,

	"readdir of a directory": readRoot,
}

func readHello(ctx context.Context, f *Fid) error {
	p := make([]byte, 5)
	n, err := f.ReadAt(ctx, p, 0)
	if err == nil && (n != 5 || string(p) != "hello") {
		return fmt.Errorf("%d bytes: %q", n, p)
	}
	return err
}

func ofNew(f *Fid, err error) error {
	if err == nil {
		f.Clunk()
	}
	return err
}

func make17(elem string) []string {
	l := make([]string, 17)
	for i := range l {
		l[i] = elem
	}
	return l
}

func getAttr(ctx context.Context, f *Fid) error { _, err := f.GetAttr(ctx); return err }
func readAt(ctx context.Context, f *Fid) error {
	_, err := f.ReadAt(ctx, make([]byte, 16), 0)
	return err
}
func writeAt(ctx context.Context, f *Fid) error {
	_, err := f.WriteAt(ctx, make([]byte, 16), 0)
	return err
}
func walk(ctx context.Context, f *Fid) error   { _, err := f.Walk(ctx, "a", "b"); return err }
func clone(ctx context.Context, f *Fid) error  { _, err := f.Walk(ctx); return err }
func fsync(ctx context.Context, f *Fid) error  { return f.Sync(ctx, false) }
func statFS(ctx context.Context, f *Fid) error { _, err := f.StatFS(ctx); return err }
func readlink(ctx context.Context, f *Fid) error {
	_, err := f.Readlink(ctx)
	return err
}
func readDir(ctx context.Context, f *Fid) error {
	l, next, err := f.ReadDir(ctx, 7, 4096)
	for _, e := range l {
		if !validName(e.Name) {
			return fmt.Errorf("name %q", e.Name)
		}
	}
	if err == nil && len(l) > 0 && next == 7 {
		return errors.New("entries that do not advance")
	}
	return err
}

// dirent is an entry of an Rreaddir.
func dirent(off uint64, name string) []byte {
	b := qidBytes(Qid{Path: 5})
	b = binary.LittleEndian.AppendUint64(b, off)
	return append(append(b, 8, byte(len(name)), byte(len(name)>>8)), name...)
}

func readdirBody(entries ...[]byte) []byte {
	b := bytesOf(entries...)
	return append(le32(uint32(len(b))), b...)
}

// bytesOf puts parts of a message together.
func bytesOf(parts ...[]byte) (all []byte) {
	for _, b := range parts {
		all = append(all, b...)
	}
	return all
}

// withSize overwrites a frame's size.
func withSize(b []byte, size uint32) []byte {
	binary.LittleEndian.PutUint32(b, size)
	return b
}
