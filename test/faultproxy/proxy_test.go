package faultproxy

import (
	"bytes"
	"encoding/binary"
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

func TestErrorRepliesComeInThreeDialectsAndAreNotForwarded(t *testing.T) {
	b := newBench(t, "Twrite nth=1 reply=ENOSPC", `Twrite nth=2 ename="file system full"`, "Twrite nth=3 rerror107=EDQUOT")
	b.send(newTwrite(1, "a"), newTwrite(2, "b"), newTwrite(3, "c"), newTwrite(4, "d"))
	for i, want := range []string{"\x0b\x00\x00\x00\x07\x01\x00\x1c\x00\x00\x00",
		"\x19\x00\x00\x00\x6b\x02\x00\x10\x00file system full",
		"\x0b\x00\x00\x00\x6b\x03\x00\x7a\x00\x00\x00"} {
		if m := b.receive(); string(m) != want {
			t.Errorf("answer %d is % x, want % x", i, []byte(m), want)
		}
	}
	b.expect("Rwrite", 4)
	if got := b.s.messages("Twrite"); len(got) != 1 || got[0].tag() != 4 {
		t.Errorf("the server got %v", got)
	}
	if n := b.p.Fired("T118 reply=28 nth=1"); n != 1 {
		t.Errorf("fired %d times", n)
	}
}

func TestFirstRuleThatFiresDecidesAndEveryRuleCounts(t *testing.T) {
	b := newBench(t, "Tread count=1 reply=EIO", "T* nth=2 reply=EPERM", "Tread reply=ENOENT")
	b.send(newTread(1, 1), newTread(2, 1), newTread(3, 1))
	for _, want := range []syscall.Errno{syscall.EIO, syscall.EPERM, syscall.ENOENT} {
		if m := b.receive(); binary.LittleEndian.Uint32(m[7:]) != uint32(want) {
			t.Errorf("got % x, want %v", []byte(m), want)
		}
	}
	b.p.Clear()
	b.send(newTread(4, 1))
	b.expect("Rread", 4)
	if n := b.p.Fired("Tread reply=ENOENT"); n != 1 {
		t.Errorf("after Clear, Fired = %d", n)
	}
}

func TestDelayDoesNotHoldUpOthersAndKeepsItsOwnOrder(t *testing.T) {
	b := newBench(t, "Tread delay=150ms")
	start := time.Now()
	b.send(newTread(1, 1), newTread(2, 1), newTread(3, 1), newTwrite(4, "x"))
	b.expect("Rwrite", 4)
	if d := time.Since(start); d > 140*time.Millisecond {
		t.Errorf("Rwrite took %v", d)
	}
	b.expect("Rread", 1, 2, 3)
	if d := time.Since(start); d < 150*time.Millisecond {
		t.Errorf("Rread came after %v", d)
	}
	if n := b.p.MaxInFlight("Tread"); n != 3 {
		t.Errorf("MaxInFlight = %d", n)
	}
}

func TestDelayedActionHappensLater(t *testing.T) {
	b := newBench(t, "Twrite delay=50ms reply=EIO")
	start := time.Now()
	b.send(newTwrite(1, "x"))
	b.expect("Rlerror", 1)
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("answered after %v", d)
	}
}

func TestDropSwallowsBothWays(t *testing.T) {
	b := newBench(t, "Tread drop", "Rwrite drop")
	b.send(newTread(1, 1), newTwrite(2, "x"))
	b.silent()
	if got := b.s.messages("T*"); len(got) != 2 || got[0].typ() != twrite {
		t.Errorf("the server got %v", got)
	}
	if n := b.p.MaxInFlight("T*"); n != 3 {
		t.Errorf("MaxInFlight = %d", n)
	}
}

func TestShortCutsCountAndPayload(t *testing.T) {
	b := newBench(t, "Rread short=3 count=1", "Rwrite short=0 count=1", "Rread short=100")
	b.send(newTread(1, 10), newTwrite(2, "hello"), newTread(3, 10))
	if m := b.receive(); string(m) != "\x0e\x00\x00\x00\x75\x01\x00\x03\x00\x00\x00\x00\x01\x02" {
		t.Errorf("Rread % x", []byte(m))
	}
	if m := b.receive(); string(m) != "\x0b\x00\x00\x00\x77\x02\x00\x00\x00\x00\x00" {
		t.Errorf("Rwrite % x", []byte(m))
	}
	if m := b.receive(); len(m) != 21 {
		t.Errorf("a short= beyond the count changed the message: % x", []byte(m))
	}
}

func TestTakeGivesTheServerOnlyAPart(t *testing.T) {
	b := newBench(t, "Twrite take=2")
	b.send(newTwrite(1, "hello"))
	if m := b.receive(); m.typ() != rwrite || m[7] != 2 {
		t.Errorf("answer % x", []byte(m))
	}
	if got := b.s.messages("Twrite")[0]; !bytes.Equal(got, newTwrite(1, "he")) {
		t.Errorf("the server got % x", []byte(got))
	}
}

func TestCutEndsTheConnectionWhereItSays(t *testing.T) {
	for _, test := range []struct {
		rule     string
		received int // whole messages at the client
		rest     int // bytes of the last one
		served   int // Treads that the server saw
	}{
		{"Tread nth=2 cut", 1, 0, 1},
		{"Tread nth=2 cut=mid", 1, 0, 1},
		{"Tread nth=2 cut=after", 1, 0, 2},
		{"Rread nth=2 cut", 1, 0, 2},
		{"Rread nth=2 cut=mid", 1, 50, 2},
		{"Rread nth=2 cut=after", 2, 0, 2},
	} {
		t.Run(test.rule, func(t *testing.T) {
			b := newBench(t, test.rule)
			b.send(newTread(1, 89))
			b.expect("Rread", 1)
			b.send(newTread(2, 89))
			got, err := io.ReadAll(b.c)
			if err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			if want := (test.received-1)*100 + test.rest; len(got) != want {
				t.Errorf("%d bytes came, want %d", len(got), want)
			}
			end := <-b.s.ends
			if want := strings.HasPrefix(test.rule, "Tread") && strings.Contains(test.rule, "mid"); errors.Is(end, io.ErrUnexpectedEOF) != want {
				t.Errorf("the server's connection ended with %v", end)
			}
			if n := len(b.s.messages("Tread")); n != test.served {
				t.Errorf("the server saw %d Treads, want %d", n, test.served)
			}
			if err := b.p.WaitConns(b.ctx(), 0); err != nil {
				t.Error(err)
			}
			b.c.Close()
			b.dial()
			b.silent()
		})
	}
}

func TestNonsenseIsNonsenseInOneFieldOnly(t *testing.T) {
	b := newBench(t, "Rread nth=1 garbage", "Rread nth=2 badtag", "Rread nth=3 badtype", "Rread nth=4 badtype=7",
		"Rread nth=5 dup", "Rread nth=6 badframe=3")
	for tag := uint16(1); tag <= 6; tag++ {
		b.send(newTread(tag, 4))
	}
	whole := message("\x0f\x00\x00\x00\x75\x01\x00\x04\x00\x00\x00\x00\x01\x02\x03")
	if m := b.receive(); !bytes.Equal(m[:7], whole[:7]) || bytes.Equal(m[7:11], whole[7:11]) {
		t.Errorf("garbage: % x", []byte(m))
	}
	if m := b.receive(); m.typ() != rread || m.tag() <= 6 || m.tag() == noTag {
		t.Errorf("badtag: %v", m)
	}
	if m := b.receive(); m.typ() != 119 || m.tag() != 3 || len(m) != len(whole) {
		t.Errorf("badtype: %v", m)
	}
	if m := b.receive(); m.typ() != 7 || m.tag() != 4 {
		t.Errorf("badtype=7: %v", m)
	}
	b.expect("Rread", 5, 5)
	m, err := readMessage(b.c)
	if err == nil || m[0] != 3 || m[1] != 0 {
		t.Errorf("badframe: % x, %v", []byte(m), err)
	}
}

func TestBadframeSaysTheLargestSizeByDefault(t *testing.T) {
	b := newBench(t, "Rread badframe")
	b.send(newTread(1, 4))
	if m, err := readMessage(b.c); err == nil || string(m) != "\xff\xff\xff\xff" {
		t.Errorf("% x, %v", []byte(m), err)
	}
}

func TestHoldKeepsUntilRelease(t *testing.T) {
	b := newBench(t, "Tread count=2 hold")
	b.send(newTread(1, 1), newTread(2, 1), newTread(3, 1))
	b.expect("Rread", 3)
	if n := b.p.Held(); n != 2 {
		t.Errorf("%d are held", n)
	}
	if n := b.p.Release(); n != 2 {
		t.Errorf("%d were released", n)
	}
	b.expect("Rread", 1, 2)
}

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
	if d := time.Since(start); d < 60*time.Millisecond || d > 600*time.Millisecond {
		t.Errorf("50 pipelined Treads took %v at rtt=60ms", d)
	}
}

func TestLinkRateIsKept(t *testing.T) {
	b := newBench(t, "link rate=80Mbit") // 10 MB/s
	start := time.Now()
	b.send(newTread(1, 2_000_000))
	b.expect("Rread", 1)
	if d := time.Since(start); d < 195*time.Millisecond || d > 2*time.Second {
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

func TestWrongRuleAddsNothing(t *testing.T) {
	b := newBench(t)
	if err := b.p.Add("T* drop", "Tnone drop"); err == nil {
		t.Fatal("no error")
	}
	b.silent()
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
	if d := time.Since(start); d > time.Second {
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
