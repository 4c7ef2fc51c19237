package faultproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

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

func TestWrongRuleAddsNothing(t *testing.T) {
	b := newBench(t)
	if err := b.p.Add("T* drop", "Tnone drop"); err == nil {
		t.Fatal("no error")
	}
	b.silent()
}
