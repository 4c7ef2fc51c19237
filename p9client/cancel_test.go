package p9client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestCancelInTheMiddleOfAnRread(t *testing.T) {
	t.Parallel()
	for name, rig := range rigs {
		for _, got := range []int{0, 2, 4, 500} { // bytes of the body
			t.Run(fmt.Sprint(name, got), func(t *testing.T) {
				t.Parallel()
				c, srv := rig(t)
				cancelInTheMiddle(t, c, srv, got)
			})
		}
	}
}

func cancelInTheMiddle(t *testing.T, c *conn, srv net.Conn, got int) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	buf := make([]byte, 1000)
	go func() { done <- request(ctx, c, tread, buf) }()
	m := recv(t, srv)
	full := frame(tread+1, m.tag, append([]byte{0xe8, 3, 0, 0}, bytes.Repeat([]byte{7}, 1000)...)...)
	srv.Write(full[:headerLen+got])
	cancel()
	f := recv(t, srv)
	if err := within(t, 3*time.Second, done); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	clear(buf)
	srv.Write(full[headerLen+got:])
	srv.Write(frame(tflush+1, f.tag))
	eventually(t, "the tag is free", idle(c))
	if !bytes.Equal(buf, make([]byte, 1000)) {
		t.Error("the buffer was written to after its call had ended")
	}
	go func() { done <- getattr(t.Context(), c) }() // and the connection lives
	srv.Write(frame(tgetattr+1, recv(t, srv).tag))
	if err := within(t, 3*time.Second, done); err != nil {
		t.Error(err)
	}
}

// What was not written because the socket is full is taken back: its tags are
// free at once, and the server never hears of it.
func TestCancelWhileTheServerReadsNothing(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 5)
	full := fill(t, c, done)
	for range 2 {
		go func() { done <- getattr(ctx, c) }()                               // small
		go func() { done <- request(ctx, c, twrite, make([]byte, 60_000)) }() // large
	}
	eventually(t, "all have tags", func() bool { return freeTags(c) == maxCalls-5 })
	cancel()
	for range 4 {
		if err := within(t, 3*time.Second, done); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if n := freeTags(c); n != maxCalls-1 {
		t.Errorf("%d tags are free, though nothing was sent", n)
	}
	go func() { done <- getattr(t.Context(), c) }()
	if m := recv(t, srv); m.typ != twrite || len(m.body) != full {
		t.Errorf("type %d, %d bytes", m.typ, len(m.body))
	} else {
		srv.Write(frame(twrite+1, m.tag))
	}
	m := recv(t, srv)
	if m.typ != tgetattr {
		t.Errorf("type %d was sent", m.typ)
	}
	srv.Write(frame(tgetattr+1, m.tag))
	for range 2 {
		if err := within(t, 3*time.Second, done); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "all tags are free", idle(c))
}

// fill sends a Twrite that fills the socket, and returns its size.
func fill(t *testing.T, c *conn, done chan<- error) int {
	t.Helper()
	const size = 8 << 20
	taken := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.penTaken
	}
	eventually(t, "the pen is free", func() bool { return !taken() })
	go func() { done <- request(context.Background(), c, twrite, make([]byte, size)) }()
	eventually(t, "a Twrite fills the socket", taken)
	return size
}

// request sends a Tread for, or a Twrite of, p, or something small.
func request(ctx context.Context, c *conn, typ uint8, p []byte) error {
	cl := newCall(typ)
	if typ == tread {
		cl.data, p = p, nil
	}
	_, err := c.rpc(ctx, cl, p)
	return err
}

// socketRig is rig with a unix socket, which has a buffer and takes writev.
func socketRig(t *testing.T) (*conn, net.Conn) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return rigOn(t, a, b)
}

// A Twrite of which a part was sent is completed from a copy: its caller may use
// the payload for something else, and the frames after it stay whole.
func TestCancelInTheMiddleOfATwrite(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	c.msize = 1 << 24
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	p := bytes.Repeat([]byte{7}, 8<<20)
	go func() {
		cl := newCall(twrite)
		_, err := c.rpc(ctx, cl, p)
		done <- err
	}()
	first := make([]byte, 1000)
	io.ReadFull(srv, first) // so it has begun
	cancel()
	if err := within(t, 3*time.Second, done); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	clear(p)
	rest := make([]byte, headerLen+len(p)-len(first))
	srv.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(srv, rest); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rest, bytes.Repeat([]byte{7}, len(rest))) {
		t.Error("bytes were sent that the caller stored after the end of his call")
	}
	f := recv(t, srv)
	if f.typ != tflush {
		t.Fatalf("not flushed: %+v", f)
	}
	srv.Write(frame(tflush+1, f.tag))
	eventually(t, "the tag is free", idle(c))
}

// walks are the requests that make a fid, and the bodies of their replies.
var walks = map[string]struct {
	call  func(ctx context.Context, c *conn) error
	reply []byte
}{
	"Twalk": {func(ctx context.Context, c *conn) error {
		_, _, err := c.walk(ctx, 1, []string{"a"})
		return err
	}, append([]byte{1, 0}, qidBytes(Qid{})...)},
	"Twalkgetattr": {func(ctx context.Context, c *conn) error {
		num := c.newFid()
		_, _, _, err := dotL{google: 2}.walkAttr(ctx, c, 1, num, []string{"a"})
		c.nofid(ctx, num)
		return err
	}, bytesOf(make([]byte, 140), []byte{1, 0}, qidBytes(Qid{}))},
	"Txattrwalk": {func(ctx context.Context, c *conn) error {
		_, _, err := dotL{}.xattrwalk(ctx, &standing{c: c, num: 1}, "user.a")
		return err
	}, make([]byte, 8)},
}

// The number of a fid that a request may still make is not given up before that
// request has ended: a Tclunk that the server obeys first would leave the number
// to two files.
func TestNoTclunkOvertakesATwalk(t *testing.T) {
	t.Parallel()
	for name, walk := range walks {
		for _, answered := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", answered: ", answered), func(t *testing.T) {
				t.Parallel()
				noTclunkOvertakes(t, walk.call, walk.reply, answered)
			})
		}
	}
}

func noTclunkOvertakes(t *testing.T, walk func(ctx context.Context, c *conn) error, reply []byte, answered bool) {
	c, srv := socketRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- walk(ctx, c) }()
	m := recv(t, srv)
	cancel()
	f := recv(t, srv)
	if err := within(t, 3*time.Second, done); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() { done <- getattr(t.Context(), c) }()
	g := recv(t, srv)
	if g.typ != tgetattr {
		t.Fatalf("type %d is sent before the end of the walk", g.typ)
	}
	srv.Write(frame(tgetattr+1, g.tag))
	if err := within(t, 3*time.Second, done); err != nil {
		t.Error(err)
	}
	if answered {
		srv.Write(frame(m.typ+1, m.tag, reply...))
	}
	srv.Write(frame(tflush+1, f.tag))
	cl := recv(t, srv)
	if cl.typ != tclunk || !bytes.Equal(cl.body, m.body[4:8]) {
		t.Fatalf("not a Tclunk of the fid: %+v", cl)
	}
	srv.Write(frame(tclunk+1, cl.tag))
	eventually(t, "all is free", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.gate.n == maxCalls && c.adrift == 0 && len(c.freeFids) == int(c.fids)
	})
}
