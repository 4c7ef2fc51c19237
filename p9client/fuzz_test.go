package p9client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// fuzzMsize is small, so that what is long is soon too long.
const fuzzMsize = 4096

// pipeSession makes a session whose one connection is a pipe to the test.
func pipeSession(t *testing.T, say dialect) (*Session, net.Conn) {
	nc, srv := net.Pipe()
	c := newConn(nc, 1, fuzzMsize, time.Minute)
	c.say = say
	s := &Session{
		o: Options{Msize: fuzzMsize}.withDefaults(), msize: fuzzMsize, names: newIDs(1, 2), conn: c,
		link: Link{Up: true, Generation: 1}, news: make(chan struct{}), rewalks: make(chan struct{}, maxRewalks),
	}
	s.numbers.max = s.o.MaxFids
	s.numbers.begin(c)
	s.ctx, s.cancel = context.WithCancel(t.Context())
	s.root = &Fid{s: s, name: &name{refs: 1}, busy: make(chan struct{}, 1), isRoot: true}
	t.Cleanup(func() { srv.Close(); s.cancel(); c.close(io.EOF) })
	return s, srv
}

// hangs ends the process if the test has not ended in a minute, so that the input
// is known: the fuzzer itself waits for ever. Call what it returns at the end.
func hangs(input string) func() {
	t := time.AfterFunc(time.Minute, func() { panic("hangs: " + input) })
	return func() { t.Stop() }
}

var fuzzDialects = []dialect{dotL{google: 3}, legacy{ids: newIDs(1, 2)}, legacy{unix: true, ids: newIDs(1, 2)}}

// Whatever bytes a server sends, a connection ends or goes on; it never panics,
// nor hangs.
func FuzzReplies(f *testing.F) {
	for i := range fuzzDialects {
		f.Add(uint8(i), frame(tgetattr+1, 1, attrBody(&node{})...))
		f.Add(uint8(i), append(frame(rlerror, 0, 5, 0, 0, 0), frame(rerror, 1, 1, 0, 'x')...))
		f.Add(uint8(i), append(frame(tread+1, 2, 2, 0, 0, 0, 'a', 'b'), frame(tflush+1, 5|flushBit)...))
		f.Add(uint8(i), frame(tstat+1, 1, counted(len(stat5(i == 2, nil)), stat5(i == 2, nil))...))
	}
	for _, dialect := range []string{DotL, Plain, DotU} {
		for _, b := range goldens(f, dialect) {
			f.Add(uint8(0), b)
			f.Add(uint8(1), b)
		}
	}
	f.Fuzz(func(t *testing.T, say uint8, b []byte) {
		defer hangs(fmt.Sprintf("%d, %q", say, b))()
		s, srv := pipeSession(t, fuzzDialects[int(say)%len(fuzzDialects)])
		ctx := WithoutHold(s.ctx)
		calls := []func(context.Context, *Fid) error{getAttr, readAt, writeAt, walk, clone, fsync}
		done := make(chan struct{}, len(calls))
		sent := make(chan struct{}, len(calls))
		for _, call := range calls {
			go func() { call(ctx, s.root); done <- struct{}{} }()
		}
		go func() { // the server reads all and answers with b
			for range calls {
				if _, err := readMsg(srv); err != nil {
					break
				}
				sent <- struct{}{}
			}
			io.Copy(io.Discard, srv)
		}()
		for range calls {
			<-sent
		}
		srv.SetWriteDeadline(time.Now().Add(10 * time.Second))
		srv.Write(b)
		srv.Close()
		for range calls {
			select {
			case <-done:
			case <-time.After(20 * time.Second):
				t.Fatal("a call hangs")
			}
		}
	})
}

// fuzzVerbs make each request, and judge what a success is made of.
var fuzzVerbs = []func(ctx context.Context, f *Fid) error{
	getAttr, readAt, writeAt, walk, clone, fsync, statFS, readlink,
	func(ctx context.Context, f *Fid) error { return f.Truncate(ctx, 1) },
	func(ctx context.Context, f *Fid) error { _, err := f.Mkdir(ctx, "d", 0700, 0); return err },
	func(ctx context.Context, f *Fid) error { return ofNew(f.Create(ctx, "n", 2, 0600, 0)) },
	func(ctx context.Context, f *Fid) error { return f.Unlink(ctx, "n", 0) },
	func(ctx context.Context, f *Fid) error { return f.Rename(ctx, "a", f, "b") },
	func(ctx context.Context, f *Fid) error { g, _, err := f.WalkAttr(ctx, "a", "b"); return ofNew(g, err) },
	func(ctx context.Context, f *Fid) error { _, err := f.Lock(ctx, Lock{}); return err },
	func(ctx context.Context, f *Fid) error { _, err := f.GetLock(ctx, Lock{}); return err },
	func(ctx context.Context, f *Fid) error { _, err := f.ListXattr(ctx); return err },
	func(ctx context.Context, f *Fid) error {
		v, err := f.GetXattr(ctx, "user.a")
		if len(v) > maxXattr {
			return lie("%d bytes of an attribute", len(v))
		}
		return err
	},
	func(ctx context.Context, f *Fid) error {
		a, err := f.GetAttr(ctx)
		if err == nil && a.Size < 0 {
			return lie("a size of %d", a.Size)
		}
		return err
	},
	func(ctx context.Context, f *Fid) error {
		d, err := f.Walk(ctx)
		if err != nil {
			return err
		}
		defer d.Clunk()
		if err := d.Open(ctx, 0); err != nil {
			return err
		}
		l, next, err := d.ReadDir(ctx, 0, 2000)
		for _, e := range l {
			if !validName(e.Name) || e.Attr != nil && e.Attr.Size < 0 {
				return lie("entry %+v", e)
			}
		}
		if err == nil && len(l) > 0 && next == 0 {
			return lie("%d entries do not advance", len(l))
		}
		return err
	},
}

type lieError struct{ string }

func (e lieError) Error() string { return e.string }

func lie(format string, a ...any) error { return lieError{fmt.Sprintf(format, a...)} }

// Whatever is in the body of a reply, a call's success is one that can be true.
func FuzzAnswers(f *testing.F) {
	for i, dialect := range []string{DotL, Plain, DotU} {
		for _, b := range goldens(f, dialect) {
			for verb := range fuzzVerbs {
				f.Add(uint8(i), uint8(verb), b[headerLen:], b[headerLen:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, say, verb uint8, first, rest []byte) {
		defer hangs(fmt.Sprintf("%d, %d, %q, %q", say, verb, first, rest))()
		s, srv := pipeSession(t, fuzzDialects[int(say)%len(fuzzDialects)])
		served := make(chan struct{})
		go func() {
			defer close(served)
			body := first
			for range 100 { // a call that sends more than that has no end
				m, err := readMsg(srv)
				if err != nil {
					return
				}
				if _, err := srv.Write(frame(m.typ+1, m.tag, body...)); err != nil {
					return
				}
				body = rest
			}
			srv.Close()
		}()
		done := make(chan error, 1)
		go func() { done <- fuzzVerbs[int(verb)%len(fuzzVerbs)](WithoutHold(s.ctx), s.root) }()
		t.Logf("dialect %d, verb %d, %q, %q", say, verb, first, rest)
		err := within(t, 20*time.Second, done)
		if l, ok := err.(lieError); ok {
			t.Error(l)
		}
		srv.Close()
		<-served
	})
}

// Whatever answers Tversion, what is agreed on is within what was offered.
func FuzzVersion(f *testing.F) {
	for _, dialect := range []string{DotL, Plain, DotU} {
		f.Add(frame(tversion+1, noTag, bytesOf(le32(4096), str9(dialect))...))
		f.Add(bytesOf(frame(rlerror, noTag, 5, 0, 0, 0), frame(tversion+1, noTag, bytesOf(le32(4096), str9(dialect))...)))
	}
	f.Add(frame(tversion+1, noTag, bytesOf(le32(1<<31), str9("9P2000.L.Google.2"))...))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer hangs(fmt.Sprintf("%q", b))()
		nc, srv := net.Pipe()
		defer nc.Close()
		go io.Copy(io.Discard, srv)
		go func() { srv.Write(b); srv.Close() }()
		all, _ := offers("auto")
		version, msize, rest, err := agree(context.Background(), nc, fuzzMsize, all)
		if err == nil && (msize < minMsize || msize > fuzzMsize || version == "" || dialectOf(version, nil).String() != version) {
			t.Errorf("agreed on %q, %d", version, msize)
		}
		if len(rest) >= len(all) {
			t.Errorf("%d versions are left of %d", len(rest), len(all))
		}
	})
}

// Each decoder takes what is there, or says that it is not; a stat entry that it
// takes is written as it was.
func FuzzDecoders(f *testing.F) {
	f.Add(attrBody(&node{}))
	f.Add(stat5(false, nil))
	f.Add(stat5(true, nil))
	f.Add(bytesOf([]byte{2, 0}, make([]byte, 26)))
	f.Add([]byte{1, 0, 'x', 5, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{b: bytes.Clone(b)}
		a := d.attr()
		if err := d.end(); err == nil && (len(b) != len(attrBody(&node{})) || a.Size < 0) {
			t.Errorf("attributes from %d bytes: %+v", len(b), a)
		}
		for _, unix := range []bool{false, true} {
			d := decoder{b: bytes.Clone(b)}
			st := d.stat(unix)
			if d.err != nil {
				continue
			}
			var e encoder
			e.stat(st, unix)
			if !bytes.Equal(e.b, b[:len(b)-len(d.b)]) {
				t.Errorf("%x\nis written %x", b, e.b)
			}
			if a := st.attr(newIDs(1, 2), unix); st.check() == nil && a.Size < 0 {
				t.Errorf("%+v", a)
			}
		}
		d = decoder{b: bytes.Clone(b)}
		if l := d.qids(16); d.end() == nil && len(b) != 2+13*len(l) {
			t.Errorf("%d qids from %d bytes", len(l), len(b))
		}
		for _, typ := range []uint8{rlerror, rerror} {
			if e, ok := errorReply(typ, b).(*Error); ok && (e.Errno == 0 || e.Errno > maxErrno) {
				t.Errorf("errno %d", e.Errno)
			}
		}
	})
}
