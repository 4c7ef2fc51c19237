package writeback_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/writeback"
)

// A slow server needs time for a Twrite and for a Tfsync. It keeps nothing.
type slow struct {
	write, sync   time.Duration
	running, most *atomic.Int32 // Tfsyncs at once, of all files
	mine, twice   atomic.Int32
	syncs         atomic.Int64
}

func (s *slow) ReadAt(context.Context, []byte, int64) (int, error) { return 0, io.EOF }
func (s *slow) Truncate(context.Context, int64) error              { return nil }

func (s *slow) WriteAt(_ context.Context, p []byte, _ int64) (int, error) {
	time.Sleep(s.write)
	return len(p), nil
}

func (s *slow) Sync(context.Context) error {
	if n := s.running.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	if s.mine.Add(1) > 1 {
		s.twice.Add(1)
	}
	time.Sleep(s.sync)
	s.mine.Add(-1)
	s.running.Add(-1)
	s.syncs.Add(1)
	return nil
}

// stream stores 32 MiB as fast as they are taken and returns the most bytes that
// were unstable, the number of Tfsyncs, and how long it took.
func stream(t *testing.T, sync time.Duration) (peak int64, syncs int64, took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, writeback.Options{
			Budget: 4 << 20, MaxWrite: 64 << 10, Workers: 4, SyncAge: time.Hour,
			Unstable: 256 << 10, UnstableMost: 64 << 20,
		})
		s := &slow{write: 10 * time.Millisecond, sync: sync, running: new(atomic.Int32), most: new(atomic.Int32)}
		f := r.fl.Open(s, errjournal.New(errjournal.Options{}).Log(1, "f"), nil)
		p := pattern(64<<10, 1)
		start := time.Now()
		for i := range int64(512) {
			if _, err := f.WriteAt(t.Context(), p, i*(64<<10)); err != nil {
				t.Fatal(err)
			}
			_, _, acked := r.fl.Held()
			peak = max(peak, acked)
		}
		took = time.Since(start)
		syncs = s.syncs.Load()
		if s.twice.Load() > 0 {
			t.Error("two Tfsyncs of one file at once")
		}
		r.fl.Close()
	})
	return peak, syncs, took
}

// A link that takes 25 MiB/s, where a Tfsync takes 100 ms, may have 5 MiB
// unstable; were it the constant 256 KiB, the stores would wait for Tfsyncs.
func TestUnstableBytesMayBeWhatArrivesDuringTwoTfsyncs(t *testing.T) {
	peak, syncs, took := stream(t, 100*time.Millisecond)
	t.Logf("slow Tfsync: at most %d KiB unstable, %d Tfsyncs, %v", peak>>10, syncs, took)
	if peak < 2<<20 || peak > 15<<20 {
		t.Errorf("%d KiB were unstable at most; want about 5 MiB, never thrice that", peak>>10)
	}
	if wire := 32 << 20 * 10 * time.Millisecond / (4 * 64 << 10); took > wire*3/2 {
		t.Errorf("took %v, the wire alone %v: the stores waited for Tfsyncs", took, wire)
	}
	peak, syncs, took = stream(t, 0)
	t.Logf("fast Tfsync: at most %d KiB unstable, %d Tfsyncs, %v", peak>>10, syncs, took)
	if peak > 3<<19 {
		t.Errorf("with a fast Tfsync %d KiB were unstable; want 256, and what was held at that", peak>>10)
	}
}

func TestSeveralFilesAreSyncedAtOnceButNotAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, writeback.Options{Age: time.Millisecond, SyncAge: time.Second})
		running, most := new(atomic.Int32), new(atomic.Int32)
		var files []*slow
		for i := range 10 {
			s := &slow{sync: time.Minute, running: running, most: most}
			f := r.fl.Open(s, r.journal.Log(uint64(i), "x"), nil)
			if _, err := f.WriteAt(t.Context(), pattern(10, 1), 0); err != nil {
				t.Fatal(err)
			}
			files = append(files, s)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for i, s := range files {
			if n := s.syncs.Load(); n != 1 || s.twice.Load() != 0 {
				t.Errorf("file %d: %d Tfsyncs", i, n)
			}
		}
		if n := most.Load(); n != 4 {
			t.Errorf("%d Tfsyncs at once", n)
		}
	})
}

// Bytes that a Tfsync under way is about need no other: a file whose bytes are
// young is left alone for them.
func TestTfsyncUnderWayIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, writeback.Options{Age: time.Millisecond, SyncAge: time.Hour, Unstable: 256 << 10})
		var files []*slow
		for i, n := range []int{300 << 10, 100 << 10} {
			s := &slow{sync: time.Minute, running: new(atomic.Int32), most: new(atomic.Int32)}
			f := r.fl.Open(s, r.journal.Log(uint64(i), "x"), nil)
			if _, err := f.WriteAt(t.Context(), pattern(n, 1), 0); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			files = append(files, s)
		}
		time.Sleep(30 * time.Second)
		if a, b := files[0].most.Load(), files[1].most.Load(); a != 1 || b != 0 {
			t.Errorf("%d Tfsyncs of the first file and %d of the second, want 1 and 0", a, b)
		}
	})
}

// Only what waits for a line of the journal to be closed hurries a Tfsync.
func TestTroubleThatIsOverHurriesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, writeback.Options{Age: time.Millisecond, SyncAge: time.Minute, Retry: time.Hour})
		r.set(func() { r.refuse = refuseWith(syscall.ENOSPC, "Twrite") })
		r.write(0, pattern(10, 1))
		if err := r.sync(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Sync = %v", err)
		}
		r.set(func() { r.refuse = nil })
		r.f.Retry()
		time.Sleep(time.Second)
		r.set(func() {
			if r.syncs != 1 {
				t.Errorf("%d Tfsyncs a second after the retry, want 1", r.syncs)
			}
		})
		r.write(0, pattern(10, 2))
		time.Sleep(30 * time.Second)
		r.set(func() {
			if r.syncs != 1 {
				t.Errorf("%d Tfsyncs before the bytes are old", r.syncs)
			}
		})
	})
}
