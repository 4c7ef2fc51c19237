package pagecache

import (
	"testing"
	"testing/synctest"
)

func TestStoreDuringAFillLeavesNoOldBytes(t *testing.T) {
	for _, part := range []struct {
		name   string
		off, n int64
	}{{"head", 0, 4096}, {"middle", 8192, 100}, {"tail", 16000, 4096}, {"all", 0, 16384}} {
		t.Run(part.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, m := open(t, 64<<10, noAhead)
				looked, goOn := make(chan struct{}), make(chan struct{})
				m.after = func(int64, int64) { close(looked); <-goOn }
				waiter := make(chan struct{})
				go func() {
					defer close(waiter)
					if n, err := f.ReadAt(t.Context(), make([]byte, 16384), 0); n != 16384 || err != nil {
						t.Errorf("ReadAt = %d, %v", n, err)
					}
				}()
				<-looked
				m.set(func(m *memory) { m.after = nil })
				if _, err := f.WriteAt(t.Context(), pattern(part.off, int(part.n), 1), part.off); err != nil {
					t.Fatal(err)
				}
				expect(t, f, m, 0, 16384) // while the old fill is under way
				close(goOn)
				<-waiter
				synctest.Wait()
				expect(t, f, m, 0, 16384) // after it
				consistent(t, f)
			})
		})
	}
}

func TestReadDuringAStoreLeavesNoOldBytes(t *testing.T) {
	f, m := open(t, 64<<10, noAhead)
	m.storing = func() { expect(t, f, m, 0, 16384) }
	if _, err := f.WriteAt(t.Context(), pattern(4096, 4096, 1), 4096); err != nil {
		t.Fatal(err)
	}
	expect(t, f, m, 0, 16384)
	if err := f.Truncate(t.Context(), 5000); err != nil {
		t.Fatal(err)
	}
	expect(t, f, m, 0, 16384)
}

func TestCutKeepsBothRemainders(t *testing.T) {
	f, m := open(t, 64<<10, noAhead)
	expect(t, f, m, 0, 64<<10)
	if _, err := f.WriteAt(t.Context(), pattern(20000, 5000, 1), 20000); err != nil {
		t.Fatal(err)
	}
	f.Invalidate(40000, 1)
	before := m.count()
	for _, r := range []struct {
		off int64
		n   int
	}{{0, 20000}, {25000, 15000}, {40001, 64<<10 - 40001}, {19999, 1}, {25000, 1}} {
		expect(t, f, m, r.off, r.n)
	}
	if n := m.count(); n != before {
		t.Errorf("the remainders cost %d reads of the backend", n-before)
	}
	expect(t, f, m, 0, 64<<10)
	if n := m.count(); n != before+2 {
		t.Errorf("the two holes cost %d reads, want 2", n-before)
	}
	f.Close()
	if s := f.c.Stats(); s.Bytes != 0 {
		t.Errorf("%d bytes are left", s.Bytes)
	}
}

func TestTruncateForgetsWhatItConcerns(t *testing.T) {
	f, m := open(t, 64<<10, noAhead)
	expect(t, f, m, 0, 64<<10)
	for _, size := range []int64{50000, 60000, 100, 5000, 0, 9000} {
		if err := f.Truncate(t.Context(), size); err != nil {
			t.Fatal(err)
		}
		expect(t, f, m, 0, 64<<10)
	}
}
