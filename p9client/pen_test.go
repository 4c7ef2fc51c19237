package p9client

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"
)

// tcpRig is rig with a TCP connection, whose server has a small buffer.
func tcpRig(t *testing.T) (*conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	b.(*net.TCPConn).SetReadBuffer(64 << 10)
	return rigOn(t, a, b)
}

// rigs are the ways to reach a server that send in different ways.
var rigs = map[string]func(t *testing.T) (*conn, net.Conn){
	"unix": socketRig,
	"tcp":  tcpRig,
	"pipe": rig, // not a socket, as TLS
}

// inOutbox tells whether n messages wait in the outbox.
func inOutbox(c *conn, n int) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.outbox.msgs) == n
	}
}

// A small request is not stuck behind large ones: of 64 Twrites of 1 MiB, the
// server sees at most two before it.
func TestSmallMessagesPassLargeOnes(t *testing.T) {
	t.Parallel()
	for name, rig := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := rig(t)
			ctx, cancel := context.WithCancel(t.Context())
			done, gone := make(chan error, 100), make(chan error, 1)
			go func() { gone <- request(ctx, c, tread, make([]byte, 100)) }()
			recv(t, srv)
			for range 64 {
				go func() { done <- request(t.Context(), c, twrite, make([]byte, 1<<20)) }()
			}
			eventually(t, "Twrites wait for the pen and for tags", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.penTaken && c.large.first != nil && c.gate.in[writing].waiting.first != nil
			})
			small := []uint8{tgetattr, twalk, tlopen, tclunk}
			for i, typ := range small {
				go func() { done <- request(t.Context(), c, typ, nil) }()
				eventually(t, "they wait", inOutbox(c, i+1))
			}
			cancel()
			small = append(small, tflush)
			eventually(t, "the Tflush waits", inOutbox(c, len(small)))
			large, next := 0, 0
			for range 64 + len(small) {
				m := recv(t, srv)
				if m.typ == twrite {
					large++
				} else {
					if large > 2 || next == len(small) || m.typ != small[next] {
						t.Fatalf("type %d comes as small message %d after %d large ones", m.typ, next, large)
					}
					next++
				}
				srv.Write(frame(m.typ+1, m.tag, le32(1<<20)...))
			}
			for range 64 + len(small) - 1 {
				if err := within(t, 10*time.Second, done); err != nil {
					t.Error(err)
				}
			}
			if err := within(t, 10*time.Second, gone); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			eventually(t, "all tags are free", idle(c))
		})
	}
}

// Large messages go out in the order in which they came, and small ones, though
// there are always some, do not keep them back.
func TestLargeMessagesAreNotStarved(t *testing.T) {
	t.Parallel()
	for name, rig := range rigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := rig(t)
			const larges, size, smalls = 16, 300_000, 8
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, larges+smalls)
			for i := range larges {
				cl := newCall(twrite)
				cl.enc.u32(uint32(i))
				p := make([]byte, size)
				if i == 0 {
					p = make([]byte, 4<<20) // more than fits into the socket
				}
				go func() { _, err := c.rpc(t.Context(), cl, p); done <- err }()
				eventually(t, "it has a tag", func() bool { return freeTags(c) == maxCalls-1-i })
				if i > 0 {
					eventually(t, "it stands in line", func() bool {
						c.mu.Lock()
						defer c.mu.Unlock()
						return cl.in == &c.large
					})
				}
			}
			small := make(chan error, smalls)
			for range smalls {
				go func() {
					for ctx.Err() == nil {
						getattr(ctx, c)
					}
					small <- nil
				}()
			}
			eventually(t, "small ones wait", inOutbox(c, smalls))
			large, between := 0, 0
			for large < larges {
				m := recv(t, srv)
				if m.typ == twrite {
					if n := binary.LittleEndian.Uint32(m.body); int(n) != large {
						t.Fatalf("large message %d comes as number %d", n, large)
					}
					large++
					between = 0
				} else if between++; between > 4*smalls {
					t.Fatalf("%d small messages after large message %d", between, large)
				}
				srv.Write(frame(m.typ+1, m.tag, le32(size)...))
			}
			go func() { // the last of the small ones
				for {
					m, err := readMsg(srv)
					if err != nil {
						return
					}
					srv.Write(frame(m.typ+1, m.tag))
				}
			}()
			cancel()
			for range larges {
				if err := within(t, 10*time.Second, done); err != nil {
					t.Error(err)
				}
			}
			for range smalls {
				within(t, 10*time.Second, small)
			}
		})
	}
}

// However many Treads the server does not answer, there is a tag for the rest. And
// those who wait for a tag do not outlast the connection.
func TestOtherRequestsHaveTagsBesideTreads(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	reads := make(chan error, 300)
	for range 300 {
		go func() { reads <- request(t.Context(), c, tread, make([]byte, 8192)) }()
	}
	for range quotas[reading] {
		recv(t, srv)
	}
	done := make(chan error, 1)
	go func() { done <- getattr(t.Context(), c) }()
	m := recv(t, srv)
	if m.typ != tgetattr {
		t.Fatalf("type %d comes before the Tgetattr", m.typ)
	}
	srv.Write(frame(tgetattr+1, m.tag))
	if err := within(t, 3*time.Second, done); err != nil {
		t.Error(err)
	}
	srv.Close()
	unsent := 0
	for range 300 {
		var l *lostError
		if err := within(t, 10*time.Second, reads); !errors.As(err, &l) {
			t.Error(err)
		} else if l.unsent {
			unsent++
		}
	}
	if want := 300 - quotas[reading]; unsent != want {
		t.Errorf("%d were not sent, want %d", unsent, want)
	}
}

// A call whose message was waiting when the connection was lost is told that
// nothing of it was sent, so it may be sent again; others are not.
func TestLossTellsWhatWasNotSent(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	first, done := make(chan error, 1), make(chan error, 4)
	go func() { first <- getattr(t.Context(), c) }()
	recv(t, srv)
	begun := make(chan error, 1)
	fill(t, c, begun)
	for i := range 2 {
		go func() { done <- request(t.Context(), c, tmkdir, nil) }()
		go func() { done <- request(t.Context(), c, twrite, make([]byte, 100_000)) }()
		eventually(t, "they wait", func() bool { return freeTags(c) == maxCalls-4-2*i })
	}
	srv.Close()
	for range 4 {
		var l *lostError
		if err := within(t, 3*time.Second, done); !errors.As(err, &l) || !l.unsent {
			t.Errorf("%v, want that it was not sent", err)
		}
	}
	for _, ch := range []chan error{first, begun} {
		var l *lostError
		if err := within(t, 3*time.Second, ch); !errors.As(err, &l) || l.unsent {
			t.Errorf("%v, want that it was perhaps sent", err)
		}
	}
}

// While nothing else is being written, the caller's own system call sends his
// message: what the server reads is there when send returns.
func TestUncontendedMessagesAreNotHandedOver(t *testing.T) {
	t.Parallel()
	c, srv := socketRig(t)
	for typ, size := range map[uint8]int{tgetattr: 0, twrite: 10_000} {
		cl := newCall(typ)
		check(t, c.send(t.Context(), cl, make([]byte, size)))
		c.mu.Lock()
		if c.penTaken || !c.outbox.empty() || cap(c.pen.own)+cap(c.pen.batch)+cap(c.outbox.b) > 0 {
			t.Errorf("type %d was copied", typ)
		}
		c.mu.Unlock()
		srv.Write(frame(typ+1, recv(t, srv).tag))
		<-cl.done
	}
}
