package p9client

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sockets returns the two ends of a connection over a unix socket.
func sockets(t *testing.T) (a, b net.Conn) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	check(t, err)
	defer l.Close()
	a, err = net.Dial("unix", l.Addr().String())
	check(t, err)
	b, err = l.Accept()
	check(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// However the bytes come and however they are taken, they are all there, once, in
// order; then comes the end.
func TestInputLosesNoByte(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(t *testing.T) (a, b net.Conn){
		"unix": sockets,
		"pipe": func(*testing.T) (a, b net.Conn) { return net.Pipe() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			a, b := ends(t)
			rnd := rand.New(rand.NewPCG(seed, 0))
			sent := make([]byte, 8<<20)
			for i := range sent {
				sent[i] = byte(rnd.Uint32())
			}
			done := make(chan error, 1)
			go func() {
				rnd := rand.New(rand.NewPCG(seed, 1))
				for p := sent; len(p) > 0; {
					n := min(len(p), 1+rnd.IntN(1<<rnd.IntN(18)))
					if _, err := b.Write(p[:n]); err != nil {
						done <- err
						return
					}
					p = p[n:]
				}
				done <- b.Close()
			}()
			c := &conn{nc: a}
			if sc, ok := a.(syscall.Conn); ok {
				c.raw, _ = sc.SyscallConn()
			}
			heard := 0
			in := newInput(a, c.raw, func(time.Time) { heard++ })
			takeAll(t, in, sent, rnd)
			if _, err := in.peek(1); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
			check(t, within(t, 10*time.Second, done))
			if heard == 0 {
				t.Error("nobody was told that bytes come")
			}
		})
	}
}

// takeAll takes what was sent, in random ways.
func takeAll(t *testing.T, in *input, sent []byte, rnd *rand.Rand) {
	t.Helper()
	for off := 0; off < len(sent); {
		n := min(len(sent)-off, 1+rnd.IntN(1<<rnd.IntN(18)))
		var got []byte
		var err error
		switch rnd.IntN(3) {
		case 0:
			n = min(n, inputSize)
			if got, err = in.peek(n); err == nil && bytes.Equal(got, sent[off:off+n]) {
				in.skip(n)
			}
		case 1:
			got = make([]byte, n)
			var k int
			if k, err = in.readFull(got); k != n {
				t.Fatalf("readFull(%d) at %d: %d, %v", n, off, k, err)
			}
		default:
			err = in.discard(n)
			got = sent[off : off+n]
		}
		if err != nil || !bytes.Equal(got, sent[off:off+n]) {
			t.Fatalf("%d bytes at %d are others: %v", n, off, err)
		}
		off += n
	}
}

// A deadline takes nothing away: what had come before it is still there.
func TestInputGoesOnAfterADeadline(t *testing.T) {
	t.Parallel()
	a, b := sockets(t)
	raw, err := a.(syscall.Conn).SyscallConn()
	check(t, err)
	in := newInput(a, raw, func(time.Time) {})
	b.Write([]byte("12345"))
	p := make([]byte, 6)
	if n, err := in.readFull(p[:4]); n != 4 || err != nil || string(p[:4]) != "1234" {
		t.Fatalf("%d %v %q", n, err, p)
	}
	b.Write([]byte("abcd")) // behind what was read ahead
	if p, err := in.peek(5); err != nil || string(p) != "5abcd" {
		t.Fatalf("%q %v", p, err)
	}
	in.skip(1)
	a.SetReadDeadline(past)
	if _, err := in.peek(5); !os.IsTimeout(err) {
		t.Error(err)
	}
	if n, err := in.readFull(p); n != 4 || !os.IsTimeout(err) {
		t.Error(n, err)
	}
	a.SetReadDeadline(time.Time{})
	b.Write([]byte("efgh"))
	if n, err := in.readFull(p[4:]); n != 2 || err != nil || string(p) != "abcdef" {
		t.Errorf("%d %v %q", n, err, p)
	}
	if p, err := in.peek(2); err != nil || string(p) != "gh" {
		t.Errorf("%q %v", p, err)
	}
}
