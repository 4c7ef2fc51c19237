package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWithoutRulesEverythingPassesUnchangedAndIsCounted(t *testing.T) {
	b := newBench(t)
	go b.c.Write(slices.Concat(newTread(1, 10), newTwrite(2, strings.Repeat("x", 3<<20)), newTread(3, 5<<20), newT(t, "Tclunk", 4)))
	b.expect("Rread", 1)
	b.expect("Rwrite", 2)
	m := b.receive()
	if len(m) != 11+5<<20 {
		t.Errorf("size %d", len(m))
	}
	for i, c := range m[11:] {
		if c != byte(i) {
			t.Fatalf("byte %d is %d", i, c)
		}
	}
	b.expect("Rclunk", 4)
	if got := b.s.messages("Twrite")[0]; !bytes.Equal(got, newTwrite(2, strings.Repeat("x", 3<<20))) {
		t.Error("Twrite arrived changed")
	}
	for name, want := range map[string][]int{
		"Tread": {10, 5 << 20}, "Rread": {10, 5 << 20}, "Twrite": {3 << 20}, "Rwrite": {3 << 20}, "Tclunk": {4},
	} {
		if got := b.p.Sizes(name); !reflect.DeepEqual(got, want) {
			t.Errorf("Sizes(%s) = %v, want %v", name, got, want)
		}
	}
	if n := b.p.Count("T*"); n != 4 {
		t.Errorf("Count(T*) = %d", n)
	}
}

func TestSetUpstreamServesTheNextConnection(t *testing.T) {
	b := newBench(t)
	b.silent()
	b.s.ln.Close()
	other := startPeer(t, "unix", socketPath(t, "other"))
	b.p.SetUpstream("unix", other.ln.Addr().String())
	b.silent()
	b.p.Cut()
	b.c.Close()
	b.dial()
	b.silent()
	if n := len(other.messages("Tclunk")); n != 1 {
		t.Errorf("the other server got %d messages", n)
	}
}

func TestWithoutUpstreamTheClientIsReset(t *testing.T) {
	b := newBench(t)
	b.p.SetUpstream("unix", socketPath(t, "nobody"))
	c, err := net.Dial("tcp", b.p.Addr())
	if err == nil {
		defer c.Close()
		_, err = readMessage(c)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}

func TestEndOfFileLetsWhatIsUnderWayArrive(t *testing.T) {
	b := newBench(t, "link rtt=20ms", "Rread delay=50ms")
	b.send(newTread(1, 1000))
	b.c.(*net.TCPConn).CloseWrite()
	b.expect("Rread", 1)
	if _, err := readMessage(b.c); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

func TestWhatIsNot9PPassesRaw(t *testing.T) {
	for _, first := range []string{"GET / HTTP/1.0\r\n\r\n", "\x02\x00\x00\x00 too short to be", "ab"} {
		t.Run(first, func(t *testing.T) {
			got := make(chan string, 1)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				c, err := ln.Accept()
				if err != nil {
					got <- err.Error()
					return
				}
				defer c.Close()
				all, _ := io.ReadAll(c)
				got <- string(all)
			}()
			p, err := Start("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Add("T* drop"); err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, first)
			c.(*net.TCPConn).CloseWrite()
			if s := <-got; s != first {
				t.Errorf("%q arrived", s)
			}
		})
	}
}

func TestWaitsEndWithTheirContext(t *testing.T) {
	b := newBench(t)
	ctx, cancel := contextAfter(30 * time.Millisecond)
	defer cancel()
	if err := b.p.WaitCount(ctx, "Twrite", 1); err == nil || !strings.Contains(err.Error(), "0 came") {
		t.Error(err)
	}
	if err := b.p.WaitFired(ctx, "Twrite drop", 1); err == nil {
		t.Error("no error")
	}
}

func TestLogIsBounded(t *testing.T) {
	var j Proxy
	for range journalLines + 10 {
		j.journal.printf("line")
	}
	if l := j.Log(); len(l) != journalLines+1 || !strings.Contains(l[0], "10 older") {
		t.Errorf("%d lines, first %q", len(l), l[0])
	}
}

func TestCloseEndsEverythingWhateverIsHeldDelayedOrStalled(t *testing.T) {
	b := newBench(t, "Tread delay=1h", "Twrite hold", "link rtt=1h", "stall")
	b.send(newTread(1, 1), newTwrite(2, "x"), newT(t, "Tclunk", 3))
	if err := b.p.WaitCount(b.ctx(), "Tclunk", 1); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	b.p.Close()
	b.p.Close()
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("Close took %v", d)
	}
}

// BenchmarkForward is the reason for readBuffer: big replies through the proxy, no rules.
func BenchmarkForward(b *testing.B) {
	const size = 1 << 20
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	m := newMessage(rread, 1, size)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		for {
			if _, err := c.Write(m); err != nil {
				return
			}
		}
	}()
	p, err := Start("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, len(m))
	b.SetBytes(int64(len(m)))
	for b.Loop() {
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}
