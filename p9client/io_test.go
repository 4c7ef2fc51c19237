package p9client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Replies may come in any order.
func TestRepliesOutOfOrder(t *testing.T) {
	s := startServer(t)
	data := strings.Repeat("0123456789abcdef", 64)
	s.add("f", 0, data)
	x := s.dial(Options{Msize: minMsize}) // so 5 Treads
	f := open(t, x, syscall.O_RDONLY, "f")
	var held []msg
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != tread || held == nil && len(m.body) == 0 {
			return false
		}
		if held = append(held, m); len(held) == 5 {
			for i := range held {
				p.obey(held[len(held)-1-i])
			}
		}
		return true
	})
	b := make([]byte, len(data))
	if n, err := f.ReadAt(t.Context(), b, 0); n != len(b) || err != nil || string(b) != data {
		t.Error(n, err)
	}
}

// A short Rread is followed by another Tread; one of no bytes is the end.
func TestShortRreads(t *testing.T) {
	s := startServer(t)
	s.add("f", 0, "hello, world")
	x := s.dial(Options{Msize: minMsize})
	f := open(t, x, syscall.O_RDONLY, "f")
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == tread && m.body[12] > 5 { // count
			copy(m.body[12:], le32(5))
		}
		return false
	})
	b := make([]byte, 12)
	if n, err := f.ReadAt(t.Context(), b, 0); n != 12 || err != nil || string(b) != "hello, world" {
		t.Errorf("%d %v %q", n, err, b)
	}
	b = make([]byte, 1000) // several Treads in flight
	if n, err := f.ReadAt(t.Context(), b, 1); n != 11 || err != io.EOF || string(b[:n]) != "ello, world" {
		t.Errorf("%d %v %q", n, err, b)
	}
}

func TestShortRwrites(t *testing.T) {
	s := startServer(t)
	file := s.add("f", 0, "")
	x := s.dial(Options{Msize: minMsize})
	f := open(t, x, syscall.O_WRONLY, "f")
	i := 0
	s.setHook(func(p *peer, m msg) bool {
		if m.typ != twrite {
			return false
		}
		i++
		if i%2 == 0 { // takes nothing, but never twice in a row
			p.reply(m, le32(0)...)
			return true
		}
		d := decoder{b: m.body[12:]}
		n := (d.u32() + 1) / 2
		m.body = append(append(m.body[:12:12], le32(n)...), d.b[:n]...)
		p.obey(m)
		return true
	})
	data := bytes.Repeat([]byte("0123456789"), 100)
	if n, err := f.WriteAt(t.Context(), data, 0); n != len(data) || err != nil {
		t.Error(n, err)
	}
	s.mu.Lock()
	if !bytes.Equal(file.data, data) {
		t.Error("the server has other bytes")
	}
	s.mu.Unlock()
	s.setHook(func(p *peer, m msg) bool {
		if m.typ == twrite {
			p.reply(m, le32(0)...)
		}
		return m.typ == twrite
	})
	n, err := f.WriteAt(t.Context(), data, 0)
	want(t, err, syscall.EIO)
	if n != 0 {
		t.Error(n)
	}
}

func TestErrorRepliesInAllForms(t *testing.T) {
	ename := func(s string) []byte { var e encoder; e.str(s); return e.b }
	for _, test := range []struct {
		typ   uint8
		body  []byte
		errno syscall.Errno
	}{
		{rlerror, le32(28), syscall.ENOSPC},
		{rerror, le32(28), syscall.ENOSPC}, // nfs-ganesha
		{rlerror, le32(0), syscall.EIO},
		{rlerror, le32(1 << 31), syscall.EIO},
		{rerror, ename("No such file or directory"), syscall.ENOENT},
		{rerror, ename("file not found"), syscall.ENOENT},
		{rerror, ename("open /x: permission denied"), syscall.EACCES},
		{rerror, ename("No space left on device"), syscall.ENOSPC},
		{rerror, ename("no coffee"), syscall.EIO},
		{rerror, ename("permission denied, or was it?"), syscall.EIO},
	} {
		s := startServer(t)
		x := s.dial(Options{HoldTimeout: -1})
		s.setHook(func(p *peer, m msg) bool {
			if m.typ == tgetattr {
				p.nc.Write(frame(test.typ, m.tag, test.body...))
			}
			return m.typ == tgetattr
		})
		_, err := x.Root().GetAttr(t.Context())
		if !errors.Is(err, test.errno) || disconnected(err) {
			t.Errorf("type %d %q: %v, want %v", test.typ, test.body, err, test.errno)
		}
		x.Close()
	}
}

// A server that is silent is lost; one that is slow but answers the watchdog's
// Tflush is not.
func TestSilenceAndSlowness(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	for _, silent := range []bool{true, false} {
		s := startServer(t)
		x := s.dial(Options{RequestTimeout: timeout, HoldTimeout: -1})
		var slow *msg
		s.setHook(func(p *peer, m msg) bool {
			switch {
			case m.typ == tgetattr:
				slow = &m
				return true
			case m.typ == tflush && m.tag == probeTag && !silent:
				if s.seen[len(s.seen)-4].typ == tflush { // four signs of life
					p.obey(*slow)
				}
			default:
				return silent
			}
			return false
		})
		began := time.Now()
		_, err := x.Root().GetAttr(t.Context())
		d := time.Since(began)
		if silent && (!errors.Is(err, syscall.ETIMEDOUT) || !disconnected(err) || d > 10*timeout) {
			t.Errorf("silent: %v after %v", err, d)
		}
		if !silent && (err != nil || d < timeout) {
			t.Errorf("slow: %v after %v", err, d)
		}
	}
}

// A ReadAt of many Treads that nobody answers ends soon after its context.
func TestCancelOfManyTreads(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.add("f", 0, "hello")
	x := s.dial(Options{Msize: minMsize})
	f := open(t, x, syscall.O_RDONLY, "f")
	s.setHook(func(p *peer, m msg) bool { return m.typ == tread || m.typ == tflush })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := f.ReadAt(ctx, make([]byte, 100_000), 0)
		done <- err
	}()
	eventually(t, "the window is full", func() bool { return s.count(tread) == readWindow })
	cancel()
	want(t, within(t, time.Second, done), syscall.EINTR)
}

// A fid that is found missing again and again is clunked once: a number that
// were free twice would be two files' at the same time.
func TestAStaleFidIsClunkedOnce(t *testing.T) {
	s := startServer(t)
	s.add("d", QTDIR, "")
	x := s.dial(Options{})
	d, err := x.Root().Walk(t.Context(), "d")
	check(t, err)
	g, err := d.Create(t.Context(), "f", syscall.O_RDWR, 0600, 0)
	check(t, err)
	g.Clunk()
	f, err := d.Walk(t.Context(), "f")
	check(t, err)
	s.mu.Lock()
	delete(s.root.kids["d"].kids, "f") // by others
	s.mu.Unlock()
	check(t, x.Root().Rename(t.Context(), "d", x.Root(), "e"))
	for range 3 {
		_, err := f.GetAttr(t.Context())
		want(t, err, syscall.ESTALE)
	}
	f.Clunk()
	d.Clunk()
	s.mu.Lock()
	c := x.conn
	s.mu.Unlock()
	eventually(t, "all is answered", idle(c))
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[uint32]bool{}
	for _, num := range c.freeFids {
		if seen[num] {
			t.Errorf("fid number %d is free twice", num)
		}
		seen[num] = true
	}
	if len(c.freeFids) != int(c.fids) {
		t.Errorf("%d of %d numbers are free", len(c.freeFids), c.fids)
	}
}

// The Treads of one ReadAt go out in one piece, not each by a system call of its
// own.
func TestTreadsOfOneReadAtGoTogether(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	at := &standing{c: c, num: 1}
	done := make(chan error, 1)
	go func() {
		_, _, err := at.readAt(t.Context(), make([]byte, 100*readWindow), 0, 100)
		done <- err
	}()
	for range readWindow {
		recv(t, srv)
	}
	eventually(t, "they were written together", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !c.penTaken && len(c.pen.batch) == readWindow*(headerLen+16)
	})
	srv.Close()
	within(t, 3*time.Second, done)
}

// Treads that are to go out together do so when there is no tag for the next one:
// it might be theirs.
func TestAWindowDoesNotWaitForItself(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	const left = 5 // tags
	n := quotas[reading] - left
	done := make(chan error, n+1)
	for range n {
		go func() { done <- request(ctx, c, tread, nil) }()
		recv(t, srv)
	}
	go func() {
		at := &standing{c: c, num: 1}
		_, _, err := at.readAt(ctx, make([]byte, 100*readWindow), 0, 100)
		done <- err
	}()
	for range left {
		if m := recv(t, srv); m.typ != tread {
			t.Fatalf("type %d", m.typ)
		}
	}
	cancel()
	for range n + 1 {
		if err := within(t, 10*time.Second, done); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// More ReadAts at once than there are tags for all their Treads: each gets on with
// those it has.
func TestMoreWindowsThanTags(t *testing.T) {
	t.Parallel()
	for name, rig := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := rig(t)
			go func() {
				for {
					m, err := readMsg(srv)
					if err != nil {
						return
					}
					srv.Write(frame(tread+1, m.tag, append(le32(100), make([]byte, 100)...)...))
				}
			}()
			const readers = 64
			done := make(chan error, readers)
			for range readers {
				go func() {
					at := &standing{c: c, num: 1}
					_, _, err := at.readAt(t.Context(), make([]byte, 100*3*readWindow), 0, 100)
					done <- err
				}()
			}
			for range readers {
				if err := within(t, 10*time.Second, done); err != nil {
					t.Error(err)
				}
			}
			eventually(t, "all tags are free", idle(c))
		})
	}
}
