package pagecache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetHoldsOnceFillsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget, size = 1 << 20, 8 << 20
		f, m := open(t, size, Options{Budget: budget, Fill: 128 << 10})
		m.delay = time.Millisecond
		for i := range int64(16) { // at the same time, half a MiB each: not refused
			go expect(t, f, m, i*(512<<10), 512<<10)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := f.c.Stats(); s.Bytes > budget || s.Bytes == 0 {
			t.Errorf("%d bytes after the fills ended, budget %d", s.Bytes, budget)
		}
		f.Close()
		if s := f.c.Stats(); s.Bytes != 0 {
			t.Errorf("%d bytes are left", s.Bytes)
		}
	})
}

func TestRandomWorkStaysInBudgetAndLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const budget, size = 1 << 20, 2 << 20
		c := New(Options{Budget: budget, Fill: 64 << 10})
		defer c.Close()
		var files []*File
		var mems []*memory
		for range 3 {
			m := &memory{mem: pattern(0, size, 0), delay: 100 * time.Microsecond}
			f := c.Open(m)
			f.SetEnd(size)
			files, mems = append(files, f), append(mems, m)
		}
		var wg sync.WaitGroup
		for w := range uint64(6) {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, w))
				i := int(w) % len(files)
				for range 300 {
					off, n := rnd.Int64N(size), 1+rnd.IntN(1<<(1+rnd.IntN(18)))
					switch rnd.IntN(8) {
					case 0:
						_, err := files[i].WriteAt(t.Context(), pattern(off, n, byte(w)), off)
						if err != nil {
							t.Error(err)
						}
					case 1:
						files[i].Invalidate(off, int64(n))
					default:
						p := make([]byte, n)
						_, _ = files[i].ReadAt(t.Context(), p, off)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		s := c.Stats()
		if s.Bytes > budget {
			t.Errorf("%d bytes, budget %d", s.Bytes, budget)
		}
		consistent(t, files...)
		for i, f := range files {
			for off := int64(0); off < size; off += size / 8 {
				expect(t, f, mems[i], off, size/8)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, f := range files {
			f.Close()
		}
		if s := c.Stats(); s.Bytes != 0 || c.mu.takenBytes != 0 || c.mu.taken.Len()+c.mu.fresh.Len() != 0 || c.mu.optional != 0 {
			t.Errorf("after Close: %+v, takenBytes %d, optional %d", s, c.mu.takenBytes, c.mu.optional)
		}
	})
}

// consistent checks what must hold while nothing is under way.
func consistent(t *testing.T, files ...*File) {
	t.Helper()
	c := files[0].c
	held, taken, listed := map[*block]int32{}, int64(0), 0
	for _, f := range files {
		end := int64(0)
		f.pages.Scan(func(off int64, p *page) bool {
			if off != p.off || off < end || len(p.data) == 0 || p.filling || p.detached || p.place == nil {
				t.Errorf("page %d+%d after %d: filling %t, detached %t, listed %t", off, len(p.data), end, p.filling, p.detached, p.place != nil)
			}
			end = p.end()
			held[p.blk]++
			listed++
			if p.in == c.mu.taken {
				taken += int64(len(p.data))
			}
			return true
		})
	}
	var bytes int64
	for b, n := range held {
		bytes += int64(len(b.buf))
		if refs := b.refs.Load(); refs != n {
			t.Errorf("a block of %d pages has %d references", n, refs)
		}
	}
	if c.mu.bytes != bytes || c.mu.takenBytes != taken || c.mu.taken.Len()+c.mu.fresh.Len() != listed {
		t.Errorf("bytes %d, want %d; takenBytes %d, want %d; listed %d, want %d",
			c.mu.bytes, bytes, c.mu.takenBytes, taken, c.mu.taken.Len()+c.mu.fresh.Len(), listed)
	}
}

func TestRequiredFillsAreNeverRefused(t *testing.T) {
	f, m := open(t, 8<<20, Options{Budget: 64 << 10, Fill: 1 << 20})
	expect(t, f, m, 0, 8<<20)
	expect(t, f, m, 12345, 3<<20)
	if n := m.count(); n != 8+3 {
		t.Errorf("%d reads of the backend", n)
	}
}

// What was read ahead and is still to be asked for makes no room for more of it.
func TestReadAheadEvictsOnlyWhatWasTaken(t *testing.T) {
	const k = 64 << 10
	c := New(Options{Budget: 8 * k})
	defer c.Close()
	for _, x := range []struct{ bytes, taken, n int64 }{
		{0, 0, k}, {7 * k, 0, k}, {8 * k, k, k}, {8 * k, 8 * k, 8 * k}, // admitted
		{8 * k, 0, k}, {8 * k, k, 2 * k}, {10 * k, 2 * k, k}, {16 * k, 8 * k, k}, // refused
	} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			c.mu.bytes, c.mu.takenBytes = x.bytes, x.taken
			want := x.bytes+x.n-x.taken <= 8*k
			if got := c.roomLocked(x.n); got != want {
				t.Errorf("room %t, want %t", got, want)
			}
		})
	}
	c.mu.bytes, c.mu.takenBytes = 0, 0
}

func TestTakenPagesAreEvictedBeforeUnread(t *testing.T) {
	const n = 64 << 10
	f, m := open(t, 1<<20, Options{Budget: 4 * n, Fill: n, ReadAhead: -1})
	for i := range int64(4) {
		expect(t, f, m, i*n, n)
	}
	f.Invalidate(0, n)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for { // a page that nobody took
		if _, err := f.ReadAt(ctx, make([]byte, n), 0); err != nil {
			break
		}
		f.Invalidate(0, n) // the fill was quicker than the look at ctx
	}
	for i := range int64(8) {
		expect(t, f, m, (4+i)*n, n)
	}
	before := m.count()
	expect(t, f, m, 0, n)
	for i := range int64(3) { // the latest of those that were taken
		expect(t, f, m, (9+i)*n, n)
	}
	if k := m.count(); k != before {
		t.Errorf("they cost %d reads", k-before)
	}
	if s := f.c.Stats(); s.Evicted != 8*n || s.EvictedUnread != 0 {
		t.Errorf("%+v", s)
	}
}
