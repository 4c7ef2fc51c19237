package pagecache

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

const kib, mib = int64(1) << 10, int64(1) << 20

// A track drives streams over an imaginary file whose fills take no time, or
// until the next read.
type track struct {
	streams
	end, fill, limit int64
	have             map[int64]bool // blocks of 4 KiB that were asked for
	demand, ahead    int64          // bytes asked for
	missed           int            // reads that found something missing
}

func newTrack(end int64) *track {
	return &track{end: end, fill: 512 * kib, limit: 16 * mib, have: map[int64]bool{}}
}

func (t *track) get(from, to int64) (n int64) {
	for at := from &^ 4095; at < to; at += 4096 {
		if !t.have[at] {
			t.have[at] = true
			n += 4096
		}
	}
	return n
}

// read reads and returns what is read ahead because of it.
func (t *track) read(off, n int64, filling bool) (s *stream, from, to int64) {
	got := t.get(off, off+n)
	t.demand += got
	if got > 0 {
		t.missed++
	}
	s, from, to = t.plan(read{off, n, got > 0, filling}, t.end, t.fill, t.limit)
	t.ahead += t.get(from, to)
	return s, from, to
}

func TestSequentialReadsMissOnlyAtTheStart(t *testing.T) {
	for _, n := range []int64{4 * kib, 20 * kib, 128 * kib, mib} {
		x := newTrack(64 * mib)
		for off := int64(0); off < x.end; off += n {
			n := min(n, x.end-off)
			if _, from, to := x.read(off, n, false); to > x.end || to < from {
				t.Fatalf("reads of %d: at %d ahead [%d, %d)", n, off, from, to)
			}
		}
		if x.missed > 2 || x.demand+x.ahead != x.end {
			t.Errorf("reads of %d: %d missed; %d bytes asked for, want each once: %d", n, x.missed, x.demand+x.ahead, x.end)
		}
	}
}

func TestInterleavedStreamsAreToldApart(t *testing.T) {
	const n = 64 * kib
	x := newTrack(256 * mib)
	const streams = 4
	for i := range int64(500) {
		for k := range int64(streams) {
			x.read(k*64*mib+i*n, n, false)
		}
	}
	if x.missed > 2*streams {
		t.Errorf("%d reads missed, want 2 for each stream", x.missed)
	}
}

func TestRandomReadsAskForLittleMore(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		x := newTrack(64 * mib)
		for range 2000 {
			x.read(rnd.Int64N(x.end/4096)*4096, 4096, false)
		}
		if r := float64(x.demand+x.ahead) / float64(x.demand); r > 1.1 {
			t.Errorf("seed %d: %.2f bytes asked for each byte missing", seed, r)
		}
	}
}

// The kernel sends several reads of a scan at a time, and they arrive in any
// order.
func TestReorderedReadsAreAStream(t *testing.T) {
	const n = 128 * kib
	const depth = 16
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		x := newTrack(64 * mib)
		total := x.end / n
		for at := int64(0); at < total; at += depth {
			for _, i := range rnd.Perm(depth) {
				x.read((at+int64(i))*n, n, false)
			}
		}
		if x.missed > 4*depth || x.demand+x.ahead != x.end {
			t.Errorf("seed %d: %d of %d reads missed; %d bytes asked for", seed, x.missed, total, x.demand+x.ahead)
		}
	}
}

func TestWindowDoublesOnAStallAndIsBounded(t *testing.T) {
	const n = 128 * kib
	x := newTrack(1 << 40)
	last := int64(0)
	for i := range int64(200) {
		s, from, to := x.read(i*n, n, i%3 == 0)
		if s.window > x.limit || to-from > x.limit || to > s.next+x.limit {
			t.Fatalf("window %d, ahead [%d, %d) of next %d: beyond the limit %d", s.window, from, to, s.next, x.limit)
		}
		switch {
		case last == 0: // it begins
		case i%3 == 0 && s.window != min(2*last, x.limit):
			t.Fatalf("read %d stalled: window %d after %d", i, s.window, last)
		case i%3 != 0 && s.window != last:
			t.Fatalf("read %d did not stall: window %d after %d", i, s.window, last)
		}
		last = s.window
	}
	if last != x.limit {
		t.Errorf("the window came to %d", last)
	}
}

func TestReadAheadEndsWithTheFile(t *testing.T) {
	for _, end := range []int64{0, 1, 5000, 128 * kib, 300*kib + 1, 512 * kib, mib + 77, 3*mib - 1} {
		x := newTrack(end)
		for off := int64(0); off < end; off += 64 * kib {
			if _, from, to := x.read(off, min(64*kib, end-off), true); to > max(end, from) {
				t.Errorf("end %d: ahead [%d, %d)", end, from, to)
			}
		}
		if x.missed > 2 {
			t.Errorf("end %d: %d reads missed", end, x.missed)
		}
	}
}

func TestEvictionResetsTheEdge(t *testing.T) {
	const n = 128 * kib
	x := newTrack(64 * mib)
	off := int64(0)
	for ; off < 8*mib; off += n {
		x.read(off, n, true)
	}
	clear(x.have)
	s, from, _ := x.read(off, n, false)
	if from != off+n || s.next != off+n {
		t.Errorf("after eviction ahead from %d, want %d", from, off+n)
	}
}

func TestRefusedReadAheadIsPlannedAgainSmaller(t *testing.T) {
	const n = 128 * kib
	x := newTrack(64 * mib)
	var s *stream
	for off := int64(0); off < 4*mib; off += n {
		s, _, _ = x.read(off, n, true)
	}
	before := s.window
	s.refused(s.next+n, x.fill)
	if s.window >= before || s.window <= 0 {
		t.Errorf("window %d after %d was refused", s.window, before)
	}
	for range 64 { // and never so small that nothing can be planned
		s.refused(s.next, x.fill)
	}
	next := s.next
	if _, from, to := x.read(next, n, false); from != next+n || to <= from {
		t.Errorf("ahead [%d, %d) after refusals", from, to)
	}
}

func TestSequentialScanKeepsFillsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, size = 128 << 10, 16 << 20
		f, m := open(t, size, Options{Fill: 256 << 10})
		m.delay = 10 * time.Millisecond
		start := time.Now()
		for off := int64(0); off < size; off += n {
			expect(t, f, m, off, n)
		}
		serial := size / (256 << 10) * m.delay
		if took := time.Since(start); took > serial/5 || m.max < 8 {
			t.Errorf("%v for what takes %v one fill at a time; at most %d in flight", took, serial, m.max)
		}
		if s := f.c.Stats(); s.FillBytes+s.AheadBytes != size {
			t.Errorf("%d bytes asked for, want each once: %d", s.FillBytes+s.AheadBytes, size)
		}
	})
}
