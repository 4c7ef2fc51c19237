package pagecache

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestMissesCollapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := open(t, 64<<10, noAhead)
		m.delay = time.Second
		const readers = 20
		for range readers {
			go expect(t, f, m, 4096, 4096)
		}
		synctest.Wait()
		if s := f.c.Stats(); s.Misses != 1 || s.Joined != readers-1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(t, f, m, 4096, 4096)
		if n := m.count(); n != 1 {
			t.Errorf("%d reads of the backend, want 1", n)
		}
	})
}

func TestInterruptedReaderLeavesAndTheFillGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := open(t, 64<<10, noAhead)
		m.delay = time.Second
		ctx, cancel := context.WithCancelCause(t.Context())
		first := make(chan error)
		go func() {
			_, err := f.ReadAt(ctx, make([]byte, 8192), 0)
			first <- err
		}()
		synctest.Wait()
		second := make(chan struct{})
		go func() { expect(t, f, m, 0, 8192); close(second) }()
		synctest.Wait()
		cause := errors.New("a signal")
		cancel(cause)
		if err := <-first; err != cause {
			t.Errorf("the interrupted reader got %v", err)
		}
		<-second
		if n := m.count(); n != 1 {
			t.Errorf("%d reads of the backend, want 1", n)
		}
	})
}

// A page that ends with the file is no reason to ask for its rest twice.
func TestReadAcrossTheEndAsksOnce(t *testing.T) {
	f, m := open(t, 5000, noAhead)
	expect(t, f, m, 0, 8192)
	if n := m.count(); n != 1 {
		t.Errorf("the first read asked %d times", n)
	}
	expect(t, f, m, 0, 8192) // the file may have grown meanwhile
	if n := m.count(); n != 2 {
		t.Errorf("two reads asked %d times, want 2", n)
	}
	m.set(func(m *memory) { m.mem = pattern(0, 9000, 0) })
	expect(t, f, m, 0, 8192)
	expect(t, f, m, 0, 8192)
	if n := m.count(); n != 3 {
		t.Errorf("after growth %d reads, want 3", n)
	}
}

func TestJoinedShortFillAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := open(t, 1000, noAhead)
		looked, goOn := make(chan struct{}), make(chan struct{})
		m.after = func(int64, int64) { close(looked); <-goOn }
		go func() {
			p := make([]byte, 4096)
			if n, err := f.ReadAt(t.Context(), p, 0); n != 1000 || err != io.EOF {
				t.Errorf("the first reader got %d, %v", n, err)
			}
		}()
		<-looked
		m.set(func(m *memory) { m.mem, m.after = pattern(0, 4096, 0), nil })
		joined := make(chan struct{})
		go func() { expect(t, f, m, 0, 4096); close(joined) }()
		synctest.Wait()
		close(goOn)
		<-joined
		if n := m.count(); n != 2 {
			t.Errorf("%d reads of the backend, want 2", n)
		}
	})
}

func TestFailedFillIsAskedAgainByTheNextRead(t *testing.T) {
	f, m := open(t, 64<<10, noAhead)
	m.refuse = func(int64, int64) error { return errRefused }
	for range 3 {
		if n, err := f.ReadAt(t.Context(), make([]byte, 4096), 0); n != 0 || err != errRefused {
			t.Fatalf("ReadAt = %d, %v", n, err)
		}
	}
	m.set(func(m *memory) { m.refuse = nil })
	expect(t, f, m, 0, 4096)
	if n := m.count(); n != 4 {
		t.Errorf("%d reads of the backend, want 4", n)
	}
}

// Whoever waited for a fill of another that failed asks for itself.
func TestFailedFillIsTheAnswerToItsReaderOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := open(t, 64<<10, noAhead)
		m.delay = time.Second
		once := make(chan struct{}, 1)
		once <- struct{}{}
		m.refuse = func(int64, int64) error {
			select {
			case <-once:
				return errRefused
			default:
				return nil
			}
		}
		first := make(chan error)
		go func() {
			_, err := f.ReadAt(t.Context(), make([]byte, 4096), 0)
			first <- err
		}()
		synctest.Wait()
		for range 5 {
			go expect(t, f, m, 0, 4096)
		}
		if err := <-first; err != errRefused {
			t.Errorf("the first reader got %v", err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := m.count(); n != 2 {
			t.Errorf("%d reads of the backend, want 2", n)
		}
	})
}

// A reader that waits for a read-ahead that fails asks for itself, and gets the
// answer to that.
func TestFailedReadAheadFailsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, size = 16 << 10, 1 << 20
		f, m := open(t, size, Options{Fill: n})
		m.delay = time.Millisecond
		asked := map[int64]int{}
		m.refuse = func(off, _ int64) error { // what is asked for the first time, but for the first read
			m.mu.Lock()
			defer m.mu.Unlock()
			if asked[off]++; off >= 2*n && asked[off] == 1 {
				return errRefused
			}
			return nil
		}
		for off := int64(0); off < size; off += n {
			expect(t, f, m, off, n)
		}
		if s := f.c.Stats(); s.AheadBytes < size-2*n {
			t.Errorf("only %d bytes were asked for ahead", s.AheadBytes)
		}
	})
}

func TestReadsGoPastAClosedCache(t *testing.T) {
	f, m := open(t, 64<<10, noAhead)
	expect(t, f, m, 0, 4096)
	f.c.Close()
	expect(t, f, m, 0, 16384)
	expect(t, f, m, 60<<10, 8192)
	f.Close()
	if s := f.c.Stats(); s.Bytes != 0 {
		t.Errorf("%d bytes are left", s.Bytes)
	}
}

func TestCloseEndsFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, m := open(t, 64<<10, noAhead)
		m.delay = 24 * time.Hour
		got := make(chan error)
		go func() {
			_, err := f.ReadAt(t.Context(), make([]byte, 4096), 0)
			got <- err
		}()
		synctest.Wait()
		start := time.Now()
		go f.c.Close()
		if err := <-got; !errors.Is(err, context.Canceled) || time.Since(start) > time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestReadOfNothingAsksNothing(t *testing.T) {
	f, m := open(t, 64<<10, Options{})
	for range 5 {
		if n, err := f.ReadAt(t.Context(), nil, 0); n != 0 || err != nil {
			t.Errorf("ReadAt(nil) = %d, %v", n, err)
		}
	}
	p := make([]byte, 10)
	if n, err := f.ReadAt(t.Context(), p, 1<<63-5); n != 0 || err == nil {
		t.Errorf("ReadAt at the end of all offsets = %d, %v", n, err)
	}
	if n := m.count(); n > 1 {
		t.Errorf("%d reads of the backend", n)
	}
}
