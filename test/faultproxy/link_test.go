package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestConnCutAfterCountsBothDirectionsOfEachConnection(t *testing.T) {
	b := newBench(t)
	b.send(newTread(1, 1000))
	b.expect("Rread", 1)
	b.add("conn cut after=500 count=1")
	b.send(newTread(2, 1000)) // 23 bytes one way, so 477 the other
	got, err := io.ReadAll(b.c)
	if len(got) != 477 || err != nil {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
	b.c.Close()
	b.dial()
	b.send(newTread(3, 1000))
	b.expect("Rread", 3)
	if n := b.p.Fired("conn cut after=500 count=1"); n != 1 {
		t.Errorf("fired %d times", n)
	}
}

func TestLinkHasARoundTripAndDoesNotDelayOneMessageAfterTheOther(t *testing.T) {
	b := newBench(t, "link rtt=60ms")
	start := time.Now()
	for tag := uint16(1); tag <= 50; tag++ {
		b.send(newTread(tag, 100))
	}
	for tag := uint16(1); tag <= 50; tag++ {
		b.expect("Rread", tag)
	}
	if d := time.Since(start); d < 60*time.Millisecond || d > 2*time.Second {
		t.Errorf("50 pipelined Treads took %v at rtt=60ms", d)
	}
}

func TestLinkRateIsKept(t *testing.T) {
	b := newBench(t, "link rate=80Mbit") // 10 MB/s
	start := time.Now()
	b.send(newTread(1, 2_000_000))
	b.expect("Rread", 1)
	if d := time.Since(start); d < 195*time.Millisecond || d > 10*time.Second {
		t.Errorf("2 MB at 10 MB/s took %v", d)
	}
	if err := b.p.Add("heal"); err != nil {
		t.Fatal(err)
	}
	b.silent()
}

func TestStallKeepsSocketsOpenAndResumeForwards(t *testing.T) {
	b := newBench(t)
	b.silent()
	b.add("stall")
	b.send(newTread(1, 1))
	if err := b.p.WaitCount(b.ctx(), "Tread", 1); err != nil {
		t.Fatal(err)
	}
	if n := b.p.Conns(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if n := len(b.s.messages("Tread")); n != 0 {
		t.Errorf("the server got %d Treads during the stall", n)
	}
	b.add("heal")
	b.expect("Rread", 1)
}

func TestWhatWasStalledOnAConnectionResetMeanwhileIsNotForwarded(t *testing.T) {
	b := newBench(t)
	b.silent()
	b.p.Stall()
	b.send(newTwrite(1, "old"))
	if err := b.p.WaitCount(b.ctx(), "Twrite", 1); err != nil {
		t.Fatal(err)
	}
	b.c.(*net.TCPConn).SetLinger(0)
	b.c.Close()
	b.dial()
	b.send(newTwrite(1, "new"))
	if err := b.p.WaitCount(b.ctx(), "Twrite", 2); err != nil {
		t.Fatal(err)
	}
	b.p.Resume()
	b.expect("Rwrite", 1)
	if err := b.p.WaitConns(b.ctx(), 1); err != nil {
		t.Fatal(err)
	}
	if got := b.s.messages("Twrite"); len(got) != 1 || !bytes.Equal(got[0], newTwrite(1, "new")) {
		t.Errorf("the server got %q", got)
	}
}

func TestRefuseKeepsConnectionsAndTheSameAddressComesBack(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			s := startPeer(t, "unix", socketPath(t, "up"))
			var opts []Option
			if network == "unix" {
				opts = append(opts, ListenUnix(socketPath(t, "proxy")))
			}
			p, err := Start("unix", s.ln.Addr().String(), opts...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			b := &bench{T: t, p: p, s: s}
			b.dial()
			b.silent()
			defer func(c net.Conn) { c.Close() }(b.c)
			b.add("refuse", "refuse")
			if c, err := net.Dial(p.Network(), p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("dial while refusing: %v, %v", c, err)
			}
			b.silent()
			addr := p.Addr()
			b.add("heal")
			if p.Addr() != addr {
				t.Errorf("was %s, is %s", addr, p.Addr())
			}
			b.dial()
			defer b.c.Close()
			b.silent()
		})
	}
}

func TestCutResetsBothSides(t *testing.T) {
	b := newBench(t)
	b.silent()
	b.p.Cut()
	if _, err := readMessage(b.c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("client: %v", err)
	}
	if err := <-b.s.ends; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("server: %v", err)
	}
}
