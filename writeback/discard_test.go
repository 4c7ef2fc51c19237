package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/writeback"
)

func (r *rig) discard(off, n, want int64) {
	r.t.Helper()
	if got, err := r.f.Discard(r.t.Context(), off, n); got != want || err != nil {
		r.t.Fatalf("Discard(%d, %d) = %d, %v; want %d", off, n, got, err, want)
	}
}

// lines are the journal's lines in short.
func (r *rig) lines() string {
	var l []string
	for _, e := range r.journal.Entries("") {
		l = append(l, fmt.Sprintf("%d %s %s %d+%d", e.Seq, e.State, e.Op, e.Off, e.Len))
	}
	return strings.Join(l, "; ")
}

func (r *rig) cursor() *errjournal.Cursor { return r.journal.Log(1, "f").Cursor() }

func toldOnce(t *testing.T, c *errjournal.Cursor) {
	t.Helper()
	if err := c.Check(); err != syscall.EIO {
		t.Errorf("the handle is told %v, want EIO", err)
	}
	if err := c.Check(); err != nil {
		t.Errorf("the handle is told again: %v", err)
	}
}

func TestDiscardOfRefusedBytesIsToldOnceAndThenAllIsClean(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour, Retry: time.Hour})
	handle := r.cursor()
	r.set(func() { r.disk, r.mem = pattern(9000, 7), pattern(9000, 7) })
	r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Twrite") })
	p := pattern(8192, 1)
	r.write(0, p)
	if err := r.sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Sync = %v", err)
	}
	r.discard(0, -1, 8192)
	toldOnce(t, handle)
	for range 2 {
		if err := errors.Join(r.f.Verdict(), r.f.Drain(t.Context()), r.sync()); err != nil {
			t.Errorf("a verdict after the discard: %v", err)
		}
	}
	l := r.journal.Entries("")
	if len(l) != 1 || l[0].Seq != 1 || l[0].State != errjournal.Dropped || l[0].Sum != errjournal.Checksum(p) ||
		l[0].Len != 8192 || l[0].Tries != 1 || l[0].Msg != "discarded: "+syscall.ENOSPC.Error() {
		t.Errorf("journal: %v", l)
	}
	if !slices.Equal(r.dropped, [][2]int64{{0, 8192}}) {
		t.Errorf("dropped was told %v", r.dropped)
	}
	if held, refused, acked := r.fl.Held(); held+refused+acked != 0 || !r.f.Clean() {
		t.Errorf("still counted: %d held, %d refused, %d unstable", held, refused, acked)
	}
	got := make([]byte, 9000)
	if _, err := r.f.ReadAt(t.Context(), got, 0); err != nil || !bytes.Equal(got, r.disk) {
		t.Errorf("what is read is not the server's: %v", err)
	}
	if err := r.cursor().Check(); err != nil {
		t.Errorf("a handle opened later is told %v", err)
	}
}

func TestDiscardOfAPartKeepsTheRest(t *testing.T) {
	for _, c := range []struct {
		name   string
		off, n int64
		want   int64
		lines  string
		after  string
		told   [][2]int64
	}{
		{"before", 0, 1000, 0, "1 failed Twrite 1000+3000", "1 resolved Twrite 1000+3000", nil},
		{"behind", 4000, -1, 0, "1 failed Twrite 1000+3000", "1 resolved Twrite 1000+3000", nil},
		{"nothing", 1500, 0, 0, "1 failed Twrite 1000+3000", "1 resolved Twrite 1000+3000", nil},
		{"head", 0, 2000, 1000, "1 failed Twrite 1000+3000; 2 dropped Twrite 1000+1000",
			"1 resolved Twrite 1000+3000; 2 dropped Twrite 1000+1000", [][2]int64{{1000, 1000}}},
		{"middle", 2000, 500, 500, "1 failed Twrite 1000+3000; 2 dropped Twrite 2000+500",
			"1 resolved Twrite 1000+3000; 2 dropped Twrite 2000+500", [][2]int64{{2000, 500}}},
		{"tail", 3999, math.MaxInt64, 1, "1 failed Twrite 1000+3000; 2 dropped Twrite 3999+1",
			"1 resolved Twrite 1000+3000; 2 dropped Twrite 3999+1", [][2]int64{{3999, 1}}},
		{"all", 1000, 3000, 3000, "1 dropped Twrite 1000+3000", "1 dropped Twrite 1000+3000", [][2]int64{{0, 4000}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, writeback.Options{Age: time.Hour, Retry: time.Hour})
			want := make([]byte, 5000)
			r.set(func() { r.disk, r.mem = make([]byte, 5000), make([]byte, 5000) })
			r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Twrite") })
			copy(want[1000:], pattern(3000, 1))
			r.write(1000, pattern(3000, 1))
			if err := r.sync(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Sync = %v", err)
			}
			r.discard(c.off, c.n, c.want)
			for _, d := range c.told {
				clear(want[d[0] : d[0]+d[1]])
			}
			if got := r.lines(); got != c.lines || !slices.Equal(r.dropped, c.told) {
				t.Errorf("journal: %s; dropped was told %v", got, r.dropped)
			}
			r.set(func() { r.refuse = nil })
			if err := r.sync(); err != nil {
				t.Fatal(err)
			}
			r.set(func() { checkDisk(t, r.disk, want) })
			if got := r.lines(); got != c.after {
				t.Errorf("journal at the end: %s", got)
			}
		})
	}
}

// A record whose middle was stored again is discarded as two runs, and the new
// bytes as one between them.
func TestDiscardLeavesNoLineOpenAndNoRunUntold(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour, Retry: time.Hour})
	r.set(func() { r.refuse = refuseWith(syscall.EDQUOT, "Twrite") })
	p := pattern(3000, 1)
	r.write(0, p)
	if err := r.sync(); !errors.Is(err, syscall.EDQUOT) {
		t.Fatalf("Sync = %v", err)
	}
	r.write(1000, pattern(1000, 2))
	r.discard(0, -1, 3000)
	want := "1 dropped Twrite 2000+1000; 2 dropped Twrite 0+1000; 3 dropped Twrite 1000+1000"
	if got := r.lines(); got != want {
		t.Errorf("journal: %s\n   want: %s", got, want)
	}
	sums := map[int64]string{0: errjournal.Checksum(p[:1000]), 1000: errjournal.Checksum(pattern(1000, 2)), 2000: errjournal.Checksum(p[2000:])}
	for _, e := range r.journal.Entries("") {
		if e.Sum != sums[e.Off] {
			t.Errorf("wrong checksum: %v", e)
		}
	}
}

func TestDiscardIsSaidThoughTheJournalForgotTheLine(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour, Retry: time.Hour})
	r.journal = errjournal.New(errjournal.Options{PerFile: 1})
	log := r.journal.Log(1, "f")
	r.f = r.fl.Open(r.server, log, nil)
	handle := r.cursor()
	r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Twrite") })
	r.write(0, pattern(1000, 1))
	if err := r.sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Sync = %v", err)
	}
	log.Record(errjournal.Entry{State: errjournal.Failed, Op: "Twrite", Off: 5000, Len: 1})
	at := r.journal.Serial()
	r.discard(0, -1, 1000)
	l, _, _ := r.journal.Since(at)
	if len(l) != 1 || l[0].Seq != 3 || l[0].State != errjournal.Dropped || l[0].Len != 1000 {
		t.Errorf("a follower of the journal sees %v", l)
	}
	toldOnce(t, handle)
}

// While a Twrite is in flight the discard waits for it, keeps no other from being
// accepted, and drops what was stored before it and nothing newer.
func TestDiscardAgainstAWriteThatRacesIt(t *testing.T) {
	for _, answer := range []error{nil, syscall.ENOSPC, lostError{}} {
		t.Run(fmt.Sprint(answer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { discardRace(t, answer) })
		})
	}
}

func discardRace(t *testing.T, answer error) {
	r := newRig(t, writeback.Options{Age: time.Millisecond, Retry: time.Hour, SyncAge: time.Hour})
	release := make(chan struct{})
	first := true
	r.set(func() {
		r.refuse = func(op string, _ int64, _ int) error {
			if op != "Twrite" || !first {
				return nil
			}
			first = false
			r.mu.Unlock()
			<-release
			r.mu.Lock()
			return answer
		}
	})
	r.write(0, pattern(4096, 1))
	time.Sleep(10 * time.Millisecond)
	synctest.Wait() // the Twrite is in flight
	r.write(4096, pattern(1000, 2))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := r.f.Discard(ctx, 0, -1); n != 0 || !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled Discard = %d, %v", n, err)
	}
	done := make(chan int64, 1)
	go func() {
		n, err := r.f.Discard(t.Context(), 0, -1)
		if err != nil {
			t.Errorf("Discard: %v", err)
		}
		done <- n
	}()
	synctest.Wait()
	r.write(5096, pattern(904, 3)) // grows what is to be dropped
	r.write(100, []byte("newer"))
	time.Sleep(time.Second) // nothing is sent while the discard waits
	r.set(func() {
		if len(r.writes) != 0 {
			t.Errorf("Twrites %v", r.writes)
		}
	})
	select {
	case n := <-done:
		t.Fatalf("Discard did not wait for the Twrite: %d", n)
	default:
	}
	close(release)
	if n := <-done; n != 4096-5+1000 {
		t.Errorf("dropped %d bytes", n)
	}
	if errors.As(answer, new(lostError)) {
		r.heal()
	}
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 6000)
	if answer == nil {
		copy(want, pattern(4096, 1)) // the server had it; we only do not vouch for it
	}
	copy(want[100:], "newer")
	copy(want[5096:], pattern(904, 3))
	r.set(func() { checkDisk(t, r.disk, want) })
}

func TestDiscardEndsTheWaitOfSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, writeback.Options{Age: time.Hour})
		handle := r.cursor()
		r.cut(false, -1) // hold for ever
		r.write(0, pattern(1000, 1))
		synced := make(chan error, 1)
		go func() { synced <- r.sync() }()
		synctest.Wait()
		if len(synced) != 0 {
			t.Fatal("Sync did not wait")
		}
		r.discard(0, -1, 1000)
		if err := <-synced; err != nil {
			t.Errorf("Sync = %v", err)
		}
		toldOnce(t, handle)
		if got := r.lines(); got != "1 dropped Twrite 0+1000" {
			t.Errorf("journal: %s", got)
		}
		r.heal()
		if err := r.sync(); err != nil || len(r.disk) != 0 {
			t.Errorf("Sync = %v, the disk has %d bytes", err, len(r.disk))
		}
	})
}

// Whoever finds that nothing is held finds the loss in the journal too: an fsync
// that falls between the two would answer 0.
func TestDiscardTellsTheJournalNoLaterThanItLetsGo(t *testing.T) {
	for range 200 {
		r := newRig(t, writeback.Options{Age: time.Hour})
		handle := r.cursor()
		r.write(0, pattern(10, 1))
		told := make(chan error)
		go func() {
			for !r.f.Clean() {
				continue
			}
			told <- handle.Check()
		}()
		r.discard(0, -1, 10)
		if err := <-told; err != syscall.EIO {
			t.Fatalf("the bytes were gone and the handle is told %v", err)
		}
		r.fl.Close()
	}
}

// Bytes that the server has acknowledged may still be lost in a crash, and nobody
// would send them again.
func TestDiscardOfAcknowledgedBytesIsALoss(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Millisecond, SyncAge: time.Hour})
	handle := r.cursor()
	r.write(0, pattern(1000, 1))
	r.await("the Rwrite", func() bool { _, _, acked := r.f.Held(); return acked == 1000 })
	r.discard(0, -1, 1000)
	toldOnce(t, handle)
	l := r.journal.Entries("")
	if len(l) != 1 || l[0].State != errjournal.Dropped || !strings.Contains(l[0].Msg, "acknowledged") {
		t.Errorf("journal: %v", l)
	}
}

func TestDiscardOfATruncation(t *testing.T) {
	refused := refuseWith(syscall.EIO, "Tsetattr")
	for _, c := range []struct {
		name   string
		refuse func(string, int64, int) error
		up     bool
		off, n int64
		kept   bool
	}{
		{"from the cut on, link down", nil, false, 100, -1, false},
		{"all, link down", nil, false, 0, -1, false},
		{"all, link up", nil, true, 0, -1, false},
		{"all, refused", refused, true, 0, -1, false},
		{"behind the cut", nil, false, 101, -1, true},
		{"not up to the end", nil, false, 0, 1 << 40, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, writeback.Options{Age: time.Hour, SyncAge: time.Hour, Retry: time.Hour})
			handle := r.cursor()
			r.set(func() { r.disk, r.mem = pattern(5000, 1), pattern(5000, 1) })
			for _, size := range []int64{100, 300} {
				if err := r.f.Truncate(t.Context(), size); err != nil {
					t.Fatal(err)
				}
			}
			r.cut(true, time.Hour)
			if c.up {
				r.set(func() { r.refuse = c.refuse })
				r.heal()
				if err := r.f.Drain(t.Context()); (err != nil) != (c.refuse != nil) {
					t.Fatalf("Drain = %v", err)
				}
			}
			r.discard(c.off, c.n, 0)
			if kept := r.f.Truncations() != nil; kept != c.kept {
				t.Fatalf("truncations afterwards: %v", r.f.Truncations())
			}
			if c.kept {
				if len(r.journal.Entries("")) != 0 || handle.Check() != nil || r.dropped != nil {
					t.Errorf("journal: %s", r.lines())
				}
				return
			}
			toldOnce(t, handle)
			if got := r.lines(); got != "1 dropped Tsetattr 100+0" {
				t.Errorf("journal: %s", got)
			}
			if !slices.Equal(r.dropped, [][2]int64{{100, math.MaxInt64 - 100}}) {
				t.Errorf("dropped was told %v", r.dropped)
			}
			if !c.up {
				r.heal()
			}
			if err := r.sync(); err != nil {
				t.Errorf("Sync = %v", err)
			}
			want := pattern(5000, 1)
			if c.up && c.refuse == nil {
				want = resize(want[:100], 300) // sent again before the discard
			}
			r.set(func() { checkDisk(t, r.disk, want) })
		})
	}
}

// What lies between the end of what is left and a dropped extent was a hole of the
// file, which a cache has as zeros; it is no part of the file any more.
func TestDiscardTellsOfTheHoleInFront(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour})
	r.write(100, pattern(10, 1))
	r.write(500, pattern(10, 1))
	r.write(900, pattern(10, 1))
	r.discard(400, -1, 20)
	last := r.dropped[len(r.dropped)-1]
	if last != [2]int64{110, 800} || r.f.Size(0) != 110 {
		t.Errorf("dropped was told %v, size %d", r.dropped, r.f.Size(0))
	}
}

func TestDiscardRefusesANegativeOffset(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour})
	r.write(0, pattern(10, 1))
	if n, err := r.f.Discard(t.Context(), -1, -1); n != 0 || err != syscall.EINVAL || r.f.Clean() {
		t.Errorf("Discard(-1) = %d, %v; clean %v", n, err, r.f.Clean())
	}
}

// Neither hangs when the flusher is closed with a Twrite that no worker took.
func TestDiscardEndsWithTheFlusher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, writeback.Options{Age: time.Millisecond, Workers: 1})
		release := make(chan struct{})
		r.set(func() {
			r.refuse = func(string, int64, int) error { r.mu.Unlock(); <-release; r.mu.Lock(); return io.ErrUnexpectedEOF }
		})
		r.write(0, pattern(10, 1))
		r.write(100, pattern(10, 1))
		time.Sleep(time.Second)
		done := make(chan error, 1)
		go func() { _, err := r.f.Discard(t.Context(), 100, -1); done <- err }()
		synctest.Wait()
		go close(release)
		r.fl.Close()
		if err := <-done; err != nil && err != syscall.ENOTCONN {
			t.Errorf("Discard = %v", err)
		}
	})
}
