package faultproxy

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a 9P server of a few lines: Tread is answered with as many bytes as asked for, Twrite
// with its count, everything else with an empty reply. It keeps what it got.
type peer struct {
	ln net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	got   []message
	conns []net.Conn
	ends  chan error // how each connection ended
}

func startPeer(t *testing.T, network, addr string) *peer {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &peer{ln: ln, ends: make(chan error, 1000)}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			s.wg.Go(func() { s.ends <- s.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *peer) serve(c net.Conn) error {
	defer c.Close()
	for {
		m, err := readMessage(c)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.got = append(s.got, m)
		s.mu.Unlock()
		reply := newMessage(m.typ()+1, m.tag(), 0)
		switch m.typ() {
		case tread:
			n := binary.LittleEndian.Uint32(m[countAtT:])
			reply = newMessage(rread, m.tag(), 4+int(n))
			binary.LittleEndian.PutUint32(reply[countAtR:], n)
			for i := range reply[countAtR+4:] {
				reply[countAtR+4+i] = byte(i)
			}
		case twrite:
			reply = newMessage(rwrite, m.tag(), 4)
			copy(reply[countAtR:], m[countAtT:countAtT+4])
		}
		if _, err := c.Write(reply); err != nil {
			return err
		}
	}
}

func (s *peer) messages(name string) (out []message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.got {
		if names(name, m.typ()) {
			out = append(out, m)
		}
	}
	return out
}

func newMessage(typ uint8, tag uint16, body int) message {
	m := make(message, headerSize+body)
	m.setSize(uint32(len(m)))
	m[4] = typ
	m.setTag(tag)
	return m
}

func newTread(tag uint16, count int) message {
	m := newMessage(tread, tag, 16)
	binary.LittleEndian.PutUint32(m[countAtT:], uint32(count))
	return m
}

func newTwrite(tag uint16, data string) message {
	m := newMessage(twrite, tag, 16)
	binary.LittleEndian.PutUint32(m[countAtT:], uint32(len(data)))
	m = append(m, data...)
	m.setSize(uint32(len(m)))
	return m
}

func newT(t *testing.T, name string, tag uint16) message {
	typ, err := parseName(name)
	if err != nil {
		t.Fatal(err)
	}
	return newMessage(typ, tag, 4)
}

func readMessage(r io.Reader) (message, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n < headerSize || n > maxMessage {
		return message(size[:]), errors.New("bad frame")
	}
	m := make(message, n)
	copy(m, size[:])
	if _, err := io.ReadFull(r, m[4:]); err != nil {
		return nil, err
	}
	return m, nil
}

// bench is a client, a proxy and a server.
type bench struct {
	*testing.T
	p *Proxy
	s *peer
	c net.Conn
}

// newBench starts all three; rules are there before the client connects.
func newBench(t *testing.T, rules ...string) *bench {
	t.Helper()
	s := startPeer(t, "tcp", "127.0.0.1:0")
	p, err := Start("tcp", s.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, p: p, s: s}
	t.Cleanup(func() {
		if b.c != nil {
			b.c.Close()
		}
		p.Close()
		if t.Failed() {
			t.Log("proxy:\n" + strings.Join(p.Log(), "\n"))
		}
	})
	b.add(rules...)
	b.dial()
	return b
}

func (b *bench) add(rules ...string) {
	b.Helper()
	if err := b.p.Add(rules...); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) dial() {
	b.Helper()
	c, err := net.Dial(b.p.Network(), b.p.Addr())
	if err != nil {
		b.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	b.c = c
}

func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	b.Cleanup(cancel)
	return ctx
}

func (b *bench) send(ms ...message) {
	b.Helper()
	for _, m := range ms {
		if _, err := b.c.Write(m); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) receive() message {
	b.Helper()
	m, err := readMessage(b.c)
	if err != nil {
		b.Fatalf("receive: %v (% x)", err, []byte(m))
	}
	return m
}

// expect receives messages named so, with these tags, in this order.
func (b *bench) expect(name string, tags ...uint16) {
	b.Helper()
	for _, tag := range tags {
		if m := b.receive(); nameOf[m.typ()] != name || m.tag() != tag {
			b.Fatalf("received %v, want %s tag %d", m, name, tag)
		}
	}
}

// silent asserts that nothing comes before an answer to a Tclunk, by which the link is proved alive.
func (b *bench) silent() {
	b.Helper()
	b.send(newT(b.T, "Tclunk", 999))
	b.expect("Rclunk", 999)
}

func socketPath(t *testing.T, name string) string {
	dir, err := os.MkdirTemp("", "fp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, name)
}

func contextAfter(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
