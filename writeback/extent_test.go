package writeback

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
)

// newSet makes a set of a drawing: each letter is a byte, equal neighbours are one
// extent, '.' is a hole. Lower case is dirty, upper case failed; digits are in
// flight; ! is unstable. The epoch is the letter's.
func newSet(drawing string) *extents {
	s := new(extents)
	for off := 0; off < len(drawing); {
		c := drawing[off]
		end := off
		for end < len(drawing) && drawing[end] == c {
			end++
		}
		if c != '.' {
			s.add(&extent{off: int64(off), data: bytes.Repeat([]byte{c}, end-off), state: stateOf(c), epoch: uint64(c)})
		}
		off = end
	}
	return s
}

func stateOf(c byte) state {
	switch {
	case c >= 'a' && c <= 'z':
		return dirty
	case c >= 'A' && c <= 'Z':
		return failed
	case c >= '0' && c <= '9':
		return inFlight
	}
	return unstable
}

// draw is the set's drawing again; | parts extents.
func draw(s *extents) string {
	var b strings.Builder
	at := int64(0)
	s.all(func(e *extent) bool {
		b.WriteString(strings.Repeat(".", int(e.off-at)))
		if e.off == at && at > 0 {
			b.WriteByte('|')
		}
		b.Write(e.data)
		at = e.end()
		return true
	})
	return b.String()
}

// check fails if the sums are not those of the extents, or two overlap.
func (s *extents) check(t *testing.T) {
	t.Helper()
	var want extents
	var end int64
	s.all(func(e *extent) bool {
		if e.off < end || len(e.data) == 0 {
			t.Errorf("extent at %d of %d bytes after one that ends at %d", e.off, len(e.data), end)
		}
		end = e.end()
		want.add(e)
		return true
	})
	if want.bytes != s.bytes || !maps.Equal(want.waiting, s.waiting) || !maps.Equal(want.acked, s.acked) {
		t.Errorf("sums %v %v %v, want %v %v %v", s.bytes, s.waiting, s.acked, want.bytes, want.waiting, want.acked)
	}
}

func TestCutSupersedesWhatLiesInTheRangeAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		set      string
		off, end int64
		want     string
		gone     int64
	}{
		{"aaaa", 0, 4, "", 4},
		{"aaaa", 1, 3, "a..a", 2},
		{"aaaa", 0, 1, ".aaa", 1},
		{"aaaa", 3, 9, "aaa", 1},
		{"aaaa", 4, 9, "aaaa", 0},
		{"aaaa", 2, 2, "aaaa", 0},
		{"aaaa", 3, 2, "aaaa", 0},
		{".aaa", 0, 1, ".aaa", 0},
		{"aabbcc", 1, 5, "a....c", 4},
		{"aa..cc", 1, 5, "a....c", 2},
		{"aaBB11!!", 1, 7, "a......!", 6},
		{"aaBB11!!", 5, math.MaxInt64, "aa|BB|1", 3},
	} {
		s := newSet(c.set)
		var gone int64
		for _, e := range s.cut(c.off, c.end, nil) {
			gone += int64(len(e.data))
			if e.off < c.off || e.end() > c.end {
				t.Errorf("%s cut [%d, %d): [%d, %d) is gone", c.set, c.off, c.end, e.off, e.end())
			}
		}
		if got := draw(s); got != c.want || gone != c.gone {
			t.Errorf("%s cut [%d, %d) = %s, %d gone; want %s, %d", c.set, c.off, c.end, got, gone, c.want, c.gone)
		}
		s.check(t)
	}
}

func TestCutLeavesWhatIsNotMeant(t *testing.T) {
	s := newSet("aabbcc")
	s.cut(1, 5, func(e *extent) bool { return e.epoch <= 'a' || e.epoch >= 'c' })
	if got := draw(s); got != "a.bb.c" {
		t.Errorf("left %s", got)
	}
	s.check(t)
}

func TestCutCountsThePiecesOfARecord(t *testing.T) {
	s := newSet("AAAA")
	r := &record{pieces: 1}
	s.all(func(e *extent) bool { e.rec = r; return true })
	s.cut(1, 2, nil)
	if r.pieces != 3 { // one of them in the caller's hand
		t.Errorf("%d pieces", r.pieces)
	}
}

func TestCutLetsGoOfABigBuffer(t *testing.T) {
	const size = 1 << 20
	s := new(extents)
	buf := make([]byte, size)
	s.add(&extent{data: buf})
	s.cut(4096, size-4096, nil)
	n := 0
	s.all(func(e *extent) bool {
		if n++; len(e.data) != 4096 || &e.data[0] == &buf[e.off] {
			t.Errorf("the %d bytes left at %d keep the whole buffer in memory", len(e.data), e.off)
		}
		return true
	})
	if n != 2 {
		t.Errorf("%d extents are left", n)
	}
}

func TestOverlappingFindsWhatSharesAByte(t *testing.T) {
	s := newSet("aab..ccd")
	for _, c := range []struct {
		off, end int64
		want     string
	}{
		{0, 8, "abcd"}, {0, 1, "a"}, {1, 2, "a"}, {1, 3, "ab"}, {3, 5, ""}, {4, 6, "c"}, {2, 6, "bc"}, {7, 99, "d"}, {8, 99, ""}, {1, 1, ""}, {6, 6, ""},
	} {
		got := ""
		for _, e := range s.list(c.off, c.end) {
			got += string(e.data[:1])
		}
		if got != c.want {
			t.Errorf("[%d, %d) = %q, want %q", c.off, c.end, got, c.want)
		}
	}
}

func TestSettledAndDurableLookOnlyAtOlderEpochs(t *testing.T) {
	for _, c := range []struct {
		set     string
		epoch   byte
		settled bool
		durable bool
	}{
		{"", 'z', true, true},
		{"b", 'a', true, true},
		{"b", 'b', false, false},
		{"b", 'c', false, false},
		{"1", '1', false, false},
		{"A", 'z', true, true}, // refused: that is the verdict's matter
		{"!", 'a', true, false},
		{"!", 0, true, true},
	} {
		s := newSet(c.set)
		if a, b := s.settled(uint64(c.epoch)), s.durable(uint64(c.epoch)); a != c.settled || b != c.durable {
			t.Errorf("%q up to %q: settled %v, durable %v", c.set, c.epoch, a, b)
		}
	}
}

func TestNextRun(t *testing.T) {
	for _, c := range []struct {
		set      string
		from, to int64
		full     int64
		blocked  string // a range that is blocked
		due      string
		off, n   int64
	}{
		{"aabbcc", 0, 99, 99, "", "a", 0, 6},
		{"aabbcc", 0, 99, 99, "", "c", 0, 6}, // what is not due goes along
		{"aabbcc", 0, 99, 99, "", "", 0, 0},
		{"aabbcc", 0, 99, 3, "", "a", 0, 3}, // cut to one Twrite
		{"aabbcc", 0, 99, 4, "", "c", 4, 2}, // the first four are not due
		{"aa.bbcc", 0, 99, 99, "", "b", 3, 4},
		{"aa.bbcc", 0, 99, 99, "", "ab", 0, 2},
		{"aaBBcc", 0, 99, 99, "", "ac", 0, 2}, // refused bytes end a run
		{"11aa!!bb", 0, 99, 99, "", "ab", 2, 2},
		{"11aa!!bb", 4, 99, 99, "", "ab", 6, 2},
		{"aabb", 2, 99, 99, "", "ab", 2, 2},
		{"aabb", 0, 2, 99, "", "b", 0, 4}, // starts below to, ends beyond it
		{"aa.bb", 0, 3, 99, "", "b", 0, 0},
		{"aabbcc", 0, 99, 99, "..x", "abc", 0, 2},
		{"aabbcc", 0, 99, 99, "x", "abc", 2, 4},
		{"aabbcc", 0, 99, 99, "......", "a", 0, 6},
	} {
		s := newSet(c.set)
		blocked := func(off, end int64) bool {
			at := int64(strings.IndexByte(c.blocked, 'x'))
			return at >= 0 && off <= at && at < end
		}
		due := func(e *extent) bool { return strings.IndexByte(c.due, e.data[0]) >= 0 }
		off, n := s.nextRun(c.from, c.to, c.full, blocked, due)
		if n != c.n || n > 0 && off != c.off {
			t.Errorf("%s from %d to %d, blocked %q, due %q: [%d, +%d), want [%d, +%d)", c.set, c.from, c.to, c.blocked, c.due, off, n, c.off, c.n)
		}
	}
}

func TestRunsAreAdjacentAndBelongTogether(t *testing.T) {
	for set, want := range map[string]string{
		"": "", "aa": "[0,2)", "aabb": "[0,4)", "aa.bb": "[0,2)[3,5)", "aaBBCCdd": "[0,2)[2,6)[6,8)", "aaBB.CC": "[0,2)[2,4)[5,7)",
	} {
		got := ""
		for _, run := range runs(newSet(set).list(0, 99), func(a, b *extent) bool { return a.state == b.state }) {
			got += fmt.Sprintf("[%d,%d)", run[0].off, run[len(run)-1].end())
		}
		if got != want {
			t.Errorf("%s: %s, want %s", set, got, want)
		}
	}
}

func TestOverlay(t *testing.T) {
	for _, c := range []struct {
		server string // what the server has at off
		off    int64
		set    string
		end    int64 // of the file, as the extents have it
		want   string
	}{
		{"ssssss", 0, ".ab", 0, "sabsss"},
		{"ss", 0, "...a", 4, "ss\x00a"},
		{"", 0, "", 3, "\x00\x00\x00"},
		{"", 2, "aaaa", 4, "aa"},
		{"ssssss", 2, "aaab", 4, "abssss"},
		{"s", 9, "aaaa", 4, "s"},
		{"ss", 4, "....aaaaaaaaaa", 14, "aaaaaa"},
	} {
		p := bytes.Repeat([]byte{'?'}, 6)
		n := copy(p, c.server)
		var spans []span
		for _, e := range newSet(c.set).list(c.off, c.off+6) {
			spans = append(spans, span{e.off, e.data})
		}
		if got := string(p[:overlay(p, c.off, n, spans, c.end)]); got != c.want {
			t.Errorf("%q at %d under %q, end %d: %q, want %q", c.server, c.off, c.set, c.end, got, c.want)
		}
	}
}

func TestTruncationArithmetic(t *testing.T) {
	all := int64(math.MaxInt64)
	for _, c := range []struct {
		sizes       []int64 // with ack and epoch 1, 2, ...
		least, last int64
		there       reach
		epoch       uint64
		within      bool
		cover       uint64
		left        int
	}{
		{[]int64{5}, 5, 5, reach{0, all}, 1, true, 1, 0},
		{[]int64{5}, 5, 5, reach{5, all}, 1, true, 0, 1},
		{[]int64{5}, 5, 5, reach{6, all}, 1, false, 9, 0},
		{[]int64{5}, 5, 5, reach{0, 99}, 1, false, 9, 0},
		{[]int64{9, 2, 7}, 2, 7, reach{2, all}, 3, true, 2, 1},
		{[]int64{9, 2, 7}, 2, 7, reach{2, all}, 2, false, 1, 2}, // one came later
	} {
		tr := new(truncation)
		for i, size := range c.sizes {
			tr.cuts = append(tr.cuts, cut{size, uint64(i + 1), uint64(i + 1)})
		}
		if tr.least() != c.least || tr.last() != c.last || tr.within(c.there, c.epoch) != c.within {
			t.Errorf("%v: least %d, last %d, within %v up to %d: %v", c.sizes, tr.least(), tr.last(), c.there, c.epoch, !c.within)
		}
		if done := tr.durable(c.cover); len(tr.cuts) != c.left || done != (c.left == 0) {
			t.Errorf("%v: a Tfsync up to %d leaves %v", c.sizes, c.cover, tr.cuts)
		}
	}
}
