package p9client

import (
	"bytes"
	"context"
	"encoding/binary"
	"syscall"
	"testing"
	"time"
)

// fidOf is the fid of a message that begins with it.
func fidOf(m msg) uint32 { return binary.LittleEndian.Uint32(m.body) }

// A server that goes by the path does not know an open fid any more after a rename.
// Who finds that out first opens the file again; a WriteAt that is in the middle
// then must not go on with a number that another file has been given.
func TestNumberOfAStaleFidIsKeptForThoseWhoUseIt(t *testing.T) {
	noLeak(t)
	s := startServer(t)
	s.add("f", 0, "")
	g := s.add("g", 0, "")
	x := s.dial(Options{Msize: 4096})
	f := open(t, x, syscall.O_RDWR, "f")
	stale := f.at.Load().num
	first := make(chan func(), 1)
	gone := false
	s.setHook(func(p *peer, m msg) bool {
		switch {
		case m.typ != twrite || fidOf(m) != stale || p.fids[stale] == g:
			return false
		case len(first) == 0 && !gone:
			first <- func() { p.obey(m) }
		default:
			gone = true
			p.fail(m, syscall.ENOENT)
		}
		return true
	})
	data := bytes.Repeat([]byte("f"), 6000)
	long := make(chan error, 1)
	go func() { _, err := f.WriteAt(t.Context(), data, 0); long <- err }()
	eventually(t, "the first of two Twrites has come", func() bool { return len(first) == 1 })
	_, err := f.WriteAt(t.Context(), []byte("f"), 9000)
	check(t, err)
	check(t, isItself(x.ctx, f)) // a round trip: a Tclunk would have been answered
	open(t, x, syscall.O_RDWR, "g")
	s.others(<-first)
	check(t, within(t, 10*time.Second, long))
	if len(g.data) > 0 {
		t.Errorf("%d bytes of f were written into g", len(g.data))
	}
	if clunks := s.count(tclunk); clunks > 0 {
		t.Errorf("%d Tclunks", clunks)
	}
	f.Clunk()
	eventually(t, "both numbers of f are clunked", func() bool { return s.count(tclunk) >= 2 })
}

// Also where an Open was interrupted, and the fid's number is not to be used again.
func TestNumberOfAnInterruptedOpenIsKeptForThoseWhoUseIt(t *testing.T) {
	noLeak(t)
	s := startServer(t)
	s.add("f", 0, "")
	x := s.dial(Options{})
	f, err := x.Root().Walk(t.Context(), "f")
	check(t, err)
	answer := make(chan func(), 1)
	opening := make(chan struct{}, 1)
	s.setHook(func(p *peer, m msg) bool {
		switch m.typ {
		case tgetattr:
			answer <- func() { p.obey(m) }
		case tlopen:
			opening <- struct{}{}
		default:
			return false
		}
		return true
	})
	asked := make(chan error, 1)
	go func() { _, err := f.GetAttr(t.Context()); asked <- err }()
	eventually(t, "Tgetattr has come", func() bool { return len(answer) == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() { opened <- f.Open(ctx, syscall.O_RDONLY) }()
	<-opening
	cancel()
	want(t, within(t, 10*time.Second, opened), syscall.EINTR)
	_, err = x.Root().Walk(t.Context(), "f") // a round trip later
	check(t, err)
	if clunks := s.count(tclunk); clunks > 0 {
		t.Errorf("%d Tclunks while the fid is used", clunks)
	}
	s.setHook(nil)
	s.others(<-answer)
	check(t, within(t, 10*time.Second, asked))
	check(t, f.Open(t.Context(), syscall.O_RDONLY))
	f.Clunk()
	eventually(t, "both numbers are clunked", func() bool { return s.count(tclunk) == 2 })
}
