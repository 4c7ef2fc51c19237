package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/writeback"
)

func TestTrustTakesAnRwriteForDurable(t *testing.T) {
	r := newRig(t, writeback.Options{Trust: true, Age: time.Millisecond, SyncAge: time.Millisecond})
	r.set(func() { r.mem = pattern(9000, 9) })
	if err := r.f.Truncate(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	want := append(pattern(100, 9)[:100:100], pattern(5000, 1)...)
	r.write(100, pattern(5000, 1))
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	if !r.f.Clean() || r.f.Truncations() != nil {
		t.Error("something waits for a Tfsync")
	}
	sent := len(r.writes)
	r.cut(false, time.Hour)
	if err := r.sync(); err != nil {
		t.Errorf("Sync with nothing held and the link down = %v", err)
	}
	r.heal()
	if err := r.sync(); err != nil {
		t.Fatal(err)
	}
	r.set(func() {
		if r.syncs != 0 || len(r.writes) != sent || !bytes.Equal(r.mem, want) {
			t.Errorf("%d Tfsyncs, %d Twrites more, right bytes: %v", r.syncs, len(r.writes)-sent, bytes.Equal(r.mem, want))
		}
	})
}

func TestTrustStillKeepsWhatIsRefused(t *testing.T) {
	r := newRig(t, writeback.Options{Trust: true, Age: time.Hour, Retry: time.Hour})
	r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Twrite") })
	r.write(0, pattern(10, 1))
	for range 2 {
		if err := r.sync(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Sync = %v", err)
		}
	}
	r.set(func() { r.refuse = nil })
	if err := r.sync(); err != nil || !slices.Equal(r.states(), []errjournal.State{errjournal.Resolved}) {
		t.Errorf("Sync = %v, journal %v", err, r.states())
	}
}

func TestThroughWaitsForTheRwrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, writeback.Options{Through: true, Age: time.Hour, SyncAge: time.Hour, MaxWrite: 4096})
		r.set(func() { r.delay = func() time.Duration { return time.Second } })
		want := pattern(10000, 1)
		r.write(0, want)
		r.set(func() {
			if !bytes.Equal(r.mem, want) {
				t.Errorf("WriteAt returned when the server had %d bytes", len(r.mem))
			}
		})
		if _, _, acked := r.f.Held(); acked != 10000 {
			t.Errorf("%d bytes are kept until a Tfsync, want all", acked)
		}
	})
}

func TestThroughKeepsWhatTheServerDidNotTake(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		r := newRig(t, writeback.Options{Through: true, Age: time.Hour, Retry: time.Hour})
		r.set(func() { r.refuse = refuseWith(syscall.EDQUOT, "Twrite") })
		r.write(0, pattern(10, 1))
		if _, refused, _ := r.f.Held(); refused != 10 || !errors.Is(r.f.Verdict(), syscall.EDQUOT) {
			t.Errorf("%d bytes refused, verdict %v", refused, r.f.Verdict())
		}
	})
	t.Run("link down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, writeback.Options{Through: true, Age: time.Hour})
			r.cut(false, time.Minute)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if n, err := r.f.WriteAt(ctx, pattern(10, 1), 0); n != 10 || err != nil || time.Since(start) != 10*time.Second {
				t.Errorf("WriteAt = %d, %v after %v; want 10 s, as its context says", n, err, time.Since(start))
			}
			if n, err := r.f.WriteAt(t.Context(), pattern(10, 1), 10); n != 10 || err != nil || time.Since(start) != time.Minute {
				t.Errorf("WriteAt = %d, %v after %v; want a minute, the hold time", n, err, time.Since(start))
			}
			r.heal()
			if err := r.sync(); err != nil || len(r.disk) != 20 {
				t.Errorf("Sync = %v, the disk has %d bytes", err, len(r.disk))
			}
		})
	})
}

func TestExtentsAreASnapshot(t *testing.T) {
	r := newRig(t, writeback.Options{Age: time.Hour, SyncAge: time.Hour, Retry: time.Hour, MaxWrite: 1 << 20})
	for _, size := range []int64{50, 20, 70} {
		if err := r.f.Truncate(t.Context(), size); err != nil {
			t.Fatal(err)
		}
	}
	r.write(100, []byte("acked"))
	if err := r.f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.set(func() { r.refuse = refuseWith(syscall.EIO, "Twrite") })
	r.write(200, []byte("refused"))
	if err := r.f.Drain(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Drain = %v", err)
	}
	r.write(300, []byte("new"))
	l := r.f.Extents()
	r.write(303, []byte("er")) // grows the last one
	r.write(101, []byte("other"))
	check := func(i int, off int64, data, state string) {
		t.Helper()
		if e := l[i]; e.Off != off || string(e.Data) != data || e.State != state || i > 0 && e.Epoch <= l[i-1].Epoch {
			t.Errorf("extent %d: %d %q %s of epoch %d", i, e.Off, e.Data, e.State, e.Epoch)
		}
	}
	if len(l) != 3 {
		t.Fatalf("%d extents", len(l))
	}
	check(0, 100, "acked", "unstable")
	check(1, 200, "refused", "failed")
	check(2, 300, "new", "dirty")
	if sizes := r.f.Truncations(); !slices.Equal(sizes, []int64{50, 20, 70}) {
		t.Errorf("truncations %v", sizes)
	}
	_ = append(l[2].Data, 'X')
	if got := r.f.Extents(); string(got[len(got)-1].Data) != "newer" {
		t.Errorf("the file's own bytes are %q", got[len(got)-1].Data)
	}
	r.set(func() { r.refuse = nil })
	if err := r.sync(); err != nil || len(r.f.Extents()) != 0 || r.f.Truncations() != nil {
		t.Errorf("after Sync (%v): %v, %v", err, r.f.Extents(), r.f.Truncations())
	}
}
