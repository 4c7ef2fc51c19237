package pagecache

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dawdle lets others run for a while, seldom for long.
func dawdle(off, n int64) {
	if (off+n)%16 == 0 {
		time.Sleep(100 * time.Microsecond)
		return
	}
	for range off % 7 {
		runtime.Gosched()
	}
}

// TestModel compares a file behind a cache with a slice of bytes, after random
// stores, truncations, invalidations, reads and failures, while other readers
// keep fills under way.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limit = 40 << 10
		m := &memory{before: dawdle, after: dawdle}
		c := New(Options{Budget: rapid.Int64Range(1, 80<<10).Draw(t, "budget"), Fill: rapid.Int64Range(1000, 32<<10).Draw(t, "fill")})
		f := c.Open(m)
		ctx, cancel := context.WithCancel(context.Background())
		var readers sync.WaitGroup
		for i := range uint64(2) {
			readers.Go(func() {
				rnd := rand.New(rand.NewPCG(2, i))
				for ctx.Err() == nil {
					_, _ = f.ReadAt(ctx, make([]byte, 1+rnd.IntN(8<<10)), rnd.Int64N(limit))
					time.Sleep(200 * time.Microsecond)
				}
			})
		}
		defer func() { cancel(); readers.Wait(); c.Close() }()

		var want []byte
		size := rapid.Int64Range(0, limit)
		length := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1, 20<<10))
		for step := range 30 {
			off, n := size.Draw(t, "off"), length.Draw(t, "n")
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); op {
			case 0, 1, 2:
				p := pattern(off, n, byte(step+1))
				if _, err := f.WriteAt(ctx, p, off); err != nil {
					t.Fatal(err)
				}
				want = append(want, make([]byte, max(0, off+int64(n)-int64(len(want))))...)
				copy(want[off:], p)
			case 3:
				if err := f.Truncate(ctx, off); err != nil {
					t.Fatal(err)
				}
				want = append(bytes.Clone(want[:min(off, int64(len(want)))]), make([]byte, max(0, off-int64(len(want))))...)
			case 4:
				f.Invalidate(off, int64(n))
			case 5:
				f.SetEnd(off) // a belief, which may be wrong
			case 6:
				m.set(func(m *memory) { m.refuse = func(int64, int64) error { return errRefused } })
				_, _ = f.ReadAt(ctx, make([]byte, n), off)
				m.set(func(m *memory) { m.refuse = nil })
			default:
				p := make([]byte, n)
				k, err := f.ReadAt(ctx, p, off)
				for tries := 0; err == errRefused && tries < 3; tries++ { // begun while it refused
					k, err = f.ReadAt(ctx, p, off)
				}
				expect := want[min(off, int64(len(want))):min(off+int64(n), int64(len(want)))]
				if !bytes.Equal(p[:k], expect) || k < n && err != io.EOF || k == n && err != nil {
					t.Fatalf("step %d: ReadAt(%d, %d) = %d, %v; want %d bytes, equal: %t", step, n, off, k, err, len(expect), bytes.Equal(p[:k], expect))
				}
			}
		}
	})
}

// TestReadersSeeNoByteOlderThanTheirRead lets readers and writers meet: each
// byte read must be of a store that was under way during the read, or of the last
// one that was done before.
func TestReadersSeeNoByteOlderThanTheirRead(t *testing.T) {
	const chunk, chunks = 512, 256
	const size = chunk * chunks
	f, m := open(t, size, Options{Budget: 64 << 10, Fill: 16 << 10})
	m.before, m.after, m.storing = dawdle, dawdle, runtime.Gosched
	copy(m.mem, make([]byte, size))
	var begun, done [chunks]atomic.Int32 // versions, which are the bytes
	var wg sync.WaitGroup
	for w := range 2 { // each writes chunks of its own
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(w)))
			for range 1000 {
				i := rnd.IntN(chunks/2)*2 + w
				v := begun[i].Add(1)
				if _, err := f.WriteAt(t.Context(), bytes.Repeat([]byte{byte(v)}, chunk), int64(i)*chunk); err != nil {
					t.Error(err)
				}
				done[i].Store(v)
			}
		})
	}
	for r := range 3 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(4, uint64(r)))
			for range 1000 {
				var oldest [chunks]int32
				for i := range done {
					oldest[i] = done[i].Load()
				}
				off := rnd.IntN(size)
				p := make([]byte, 1+rnd.IntN(min(10<<10, size-off)))
				if n, err := f.ReadAt(t.Context(), p, int64(off)); n != len(p) || err != nil {
					t.Errorf("ReadAt(%d, %d) = %d, %v", len(p), off, n, err)
					return
				}
				for len(p) > 0 {
					k := off / chunk
					part := p[:min(len(p), (k+1)*chunk-off)]
					lo, hi := int32(slices.Min(part)), int32(slices.Max(part))
					if newest := begun[k].Load(); lo < oldest[k] || hi > newest {
						t.Errorf("chunk %d has bytes of stores %d to %d, want %d to %d", k, lo, hi, oldest[k], newest)
						return
					}
					p, off = p[len(part):], off+len(part)
				}
			}
		})
	}
	wg.Wait()
	expect(t, f, m, 0, size)
}
