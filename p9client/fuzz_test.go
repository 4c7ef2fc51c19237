package p9client

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// Whatever a server sends, a connection ends or goes on; it never panics, hangs,
// or allocates more than a message.
func FuzzReplies(f *testing.F) {
	f.Add(frame(tgetattr+1, 1, attrBody(&node{})...))
	f.Add(append(frame(rlerror, 0, 5, 0, 0, 0), frame(rerror, 1, 1, 0, 'x')...))
	f.Add(append(frame(tread+1, 2, 2, 0, 0, 0, 'a', 'b'), frame(tflush+1, 5|flushBit)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		const msize = 4096
		nc, srv := net.Pipe()
		c := newConn(nc, 1, msize, time.Minute)
		c.say = dotL{}
		s := &Session{o: Options{Msize: msize}.withDefaults(), conn: c, link: Link{Up: true, Generation: 1}, news: make(chan struct{})}
		s.ctx, s.cancel = context.WithCancel(t.Context())
		defer s.cancel()
		s.root = &Fid{s: s, name: &name{refs: 1}, busy: make(chan struct{}, 1), isRoot: true}
		ctx := WithoutHold(s.ctx)
		done := make(chan struct{})
		calls := []func(context.Context, *Fid) error{getAttr, readAt, writeAt, walk, clone, fsync, statFS, readlink, readDir}
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
		srv.SetWriteDeadline(time.Now().Add(5 * time.Second))
		srv.Write(b)
		srv.Close()
		for range calls {
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("a call hangs")
			}
		}
		c.close(io.EOF)
	})
}

func FuzzDecodeAttr(f *testing.F) {
	f.Add(attrBody(&node{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{b: bytes.Clone(b)}
		d.attr()
		if d.end() == nil && len(b) != len(attrBody(&node{})) {
			t.Error("decoded from", len(b), "bytes")
		}
	})
}
