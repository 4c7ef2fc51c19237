package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/writeback"
)

func TestSyncMakesDurable(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour})
	want := pattern(300<<10, 1)
	r.write(0, want)
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.disk, want) {
		t.Fatal("the disk has other bytes")
	}
	if !r.f.Clean() {
		t.Error("extents are left after Sync")
	}
}

func TestAgeSendsWithoutBeingAsked(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Millisecond, SyncAge: time.Millisecond})
	r.write(0, pattern(100, 1))
	r.await("a clean file", r.f.Clean)
	if len(r.disk) != 100 {
		t.Errorf("disk has %d bytes", len(r.disk))
	}
}

func TestAdjacentExtentsShareATwrite(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour, MaxWrite: 64 << 10})
	for _, i := range []int{3, 1, 0, 2, 7, 6, 5, 4} {
		for k := range 16 {
			r.write(int64(i*64<<10+k*4096), pattern(4096, byte(i)))
		}
	}
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if want := slices.Repeat([]int{64 << 10}, 8); !slices.Equal(r.writes, want) {
		t.Errorf("Twrites of %v bytes", r.writes)
	}
}

func TestSmallWritesBecomeOneExtent(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour})
	want := pattern(10000, 3)
	for off := 0; off < len(want); off += 10 {
		r.write(int64(off), want[off:off+10])
	}
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if len(r.writes) != 1 || !bytes.Equal(r.disk, want) {
		t.Errorf("%d Twrites, right bytes: %v", len(r.writes), bytes.Equal(r.disk, want))
	}
}

func TestRefusedBytesAreKeptAndSaidEveryTime(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Millisecond, Retry: 10 * time.Millisecond})
	r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Twrite") })
	want := pattern(5000, 1)
	r.write(0, want)
	for range 3 {
		if err := r.sync(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Sync = %v", err)
		}
		if err := r.f.Drain(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Drain = %v", err)
		}
	}
	got := make([]byte, 5000)
	if n, err := r.f.ReadAt(t.Context(), got, 0); n != 5000 || err != nil || !bytes.Equal(got, want) {
		t.Fatalf("ReadAt = %d, %v", n, err)
	}
	l := r.journal.Entries("")
	if len(l) != 1 || l[0].State != errjournal.Failed || l[0].Errno != syscall.ENOSPC || l[0].Len != 5000 || l[0].Tries < 3 {
		t.Fatalf("journal: %v", l)
	}
	r.set(func() { r.refuse = nil })
	r.await("the bytes to be sent by themselves", r.f.Clean)
	if !bytes.Equal(r.disk, want) {
		t.Error("the disk has other bytes")
	}
	if st := r.states(); !slices.Equal(st, []errjournal.State{errjournal.Resolved}) {
		t.Errorf("journal states %v", st)
	}
}

func TestRetryNeverResurrectsOlderBytes(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour, Retry: time.Hour})
	r.set(func() { r.refuse = refuseWith(syscall.EIO, "Twrite") })
	r.write(0, pattern(8192, 1))
	if err := r.sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Sync = %v", err)
	}
	newer := pattern(8192, 2)
	r.write(0, newer)
	if st := r.states(); !slices.Equal(st, []errjournal.State{errjournal.Superseded}) {
		t.Errorf("journal states %v", st)
	}
	r.set(func() { r.refuse = nil })
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.disk, newer) {
		t.Error("older bytes came back")
	}
}

func TestOverlapWaitsForTheTwriteInFlight(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Millisecond})
	release := make(chan struct{})
	started := make(chan struct{}, 10)
	first := true
	r.set(func() {
		r.refuse = func(op string, off int64, n int) error {
			if op == "Twrite" && first {
				first = false
				r.mu.Unlock()
				started <- struct{}{}
				<-release
				r.mu.Lock()
			}
			return nil
		}
	})
	r.write(0, pattern(4096, 1))
	<-started
	r.write(1000, pattern(100, 9))
	want := pattern(4096, 1)
	copy(want[1000:], pattern(100, 9))
	got := make([]byte, 4096)
	if _, err := r.f.ReadAt(t.Context(), got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the newest bytes are not read: %v", err)
	}
	time.Sleep(10 * time.Millisecond) // age passes; nothing may be sent
	r.set(func() {
		if len(r.writes) != 0 {
			t.Errorf("Twrites %v while an older one was in flight", r.writes)
		}
	})
	close(release)
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.disk, want) {
		t.Error("the disk has other bytes")
	}
}

func TestCrashLosesNothingThatWasAcknowledged(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Millisecond, SyncAge: time.Hour})
	want := pattern(200<<10, 1)
	r.write(0, want)
	r.await("Rwrites", func() bool { _, _, u := r.f.Held(); return u == 200<<10 })
	r.cut(true, time.Hour)
	done := make(chan error)
	go func() { done <- r.sync() }()
	r.await("pending", func() bool { return slices.Contains(r.states(), errjournal.Pending) })
	r.heal()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.disk, want) {
		t.Error("acknowledged bytes were lost in the crash")
	}
	for _, s := range r.states() {
		if s != errjournal.Resolved {
			t.Errorf("journal states %v", r.states())
		}
	}
}

func TestFailedTfsyncSendsTheBytesAgain(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Millisecond, Retry: time.Hour, SyncAge: time.Hour})
	once := true
	r.set(func() {
		r.refuse = func(op string, _ int64, _ int) error {
			if op == "Tfsync" && once { // and the server forgets, and says 0 ever after
				once = false
				r.mem = nil
				return syscall.EIO
			}
			return nil
		}
	})
	want := pattern(10000, 1)
	r.write(0, want)
	if err := r.sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Sync = %v", err)
	}
	if st := r.states(); !slices.Equal(st, []errjournal.State{errjournal.Failed}) {
		t.Errorf("journal states %v", st)
	}
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.disk, want) {
		t.Error("Sync returned nil though the bytes were lost")
	}
}

func TestHoldTimeIsCountedOnceFromTheLoss(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour})
	r.cut(false, 50*time.Millisecond)
	r.write(0, pattern(10, 1))
	for i := range 2 {
		start := time.Now()
		if err := r.sync(); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Fatalf("Sync = %v", err)
		}
		if d := time.Since(start); i == 1 && d > 40*time.Millisecond {
			t.Errorf("after the hold time Sync still waited %v", d)
		}
	}
	if st := r.states(); !slices.Equal(st, []errjournal.State{errjournal.Pending}) {
		t.Errorf("journal states %v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cut(false, time.Hour)
	cancel()
	if err := r.f.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Sync = %v", err)
	}
}

func TestBackPressure(t *testing.T) {
	r := newRig(t, writeback.Options{Budget: 4 << 20, Age: time.Hour})
	r.cut(false, time.Hour)
	for off := int64(0); off < 4<<20; off += 1 << 20 {
		r.write(off, pattern(1<<20, 1))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.f.WriteAt(ctx, pattern(4096, 9), 8<<20); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("WriteAt beyond the budget = %v", err)
	}
	last := r.journal.Entries("")
	if e := last[len(last)-1]; e.State != errjournal.Dropped || e.Off != 8<<20 || e.Sum == "" {
		t.Errorf("journal: %v", e)
	}
	if len(r.dropped) != 1 || r.dropped[0] != [2]int64{8 << 20, 4096} {
		t.Errorf("dropped was told %v", r.dropped)
	}
	done := make(chan error)
	go func() { _, err := r.f.WriteAt(t.Context(), pattern(4096, 9), 8<<20); done <- err }()
	r.heal()
	if err := <-done; err != nil {
		t.Errorf("WriteAt after the link came back: %v", err)
	}
}

func TestRefusedFileDoesNotStarveOthers(t *testing.T) {
	r := newRig(t, writeback.Options{Budget: 4 << 20, Age: time.Millisecond, Retry: time.Hour})
	other := &server{}
	g := r.fl.Open(other, r.journal.Log(2, "g"), nil)
	r.set(func() { r.refuse = refuseWith(syscall.EDQUOT, "Twrite") })
	r.write(0, pattern(1<<20, 1))
	r.await("refusal", func() bool { _, refused, _ := r.f.Held(); return refused == 1<<20 })
	if _, err := r.f.WriteAt(t.Context(), pattern(4096, 1), 2<<20); !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("WriteAt beyond the file's share = %v", err)
	}
	r.write(4096, pattern(4096, 2)) // replaces refused bytes
	for off := int64(0); off < 8<<20; off += 1 << 20 {
		if _, err := g.WriteAt(t.Context(), pattern(1<<20, 1), off); err != nil {
			t.Fatalf("another file: %v", err)
		}
	}
	if err := g.Sync(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTruncate(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour, SyncAge: time.Hour})
	r.write(0, pattern(10000, 1))
	if err := r.f.Truncate(t.Context(), 4000); err != nil {
		t.Fatal(err)
	}
	if got := r.f.Size(int64(len(r.mem))); got != 4000 {
		t.Errorf("size %d", got)
	}
	r.write(5000, pattern(10, 1))
	want := append(pattern(10000, 1)[:4000:4000], make([]byte, 1000)...)
	want = append(want, pattern(10, 1)...)
	got := make([]byte, 6000)
	if n, _ := r.f.ReadAt(t.Context(), got, 0); !bytes.Equal(got[:n], want) {
		t.Errorf("read %d bytes, or other ones", n)
	}
	// A crash before the Tfsync forgets the truncation too; it is sent again.
	r.set(func() { r.disk = pattern(20000, 5) })
	r.cut(true, time.Hour)
	if n, _ := r.f.ReadAt(t.Context(), got[:4000], 0); n != 4000 {
		t.Errorf("held bytes are not read while the link is down: %d", n)
	}
	if size := r.f.Size(20000); size != 5010 {
		t.Errorf("size %d before the truncation is sent again", size)
	}
	r.heal()
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.disk, want) {
		t.Errorf("disk has %d bytes", len(r.disk))
	}
}

func TestRefusedTruncationChangesNothing(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour})
	r.write(0, pattern(100, 1))
	r.set(func() { r.refuse = refuseWith(syscall.EPERM, "Tsetattr") })
	if err := r.f.Truncate(t.Context(), 10); !errors.Is(err, syscall.EPERM) {
		t.Fatalf("Truncate = %v", err)
	}
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if len(r.disk) != 100 {
		t.Errorf("disk has %d bytes", len(r.disk))
	}
}

func TestAbandonForgetsInSilence(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour})
	r.write(0, pattern(100, 1))
	r.f.Abandon()
	if !r.f.Clean() || len(r.states()) != 0 {
		t.Errorf("clean %v, journal %v", r.f.Clean(), r.states())
	}
}
