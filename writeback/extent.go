package writeback

import (
	"slices"
	"time"

	"github.com/tidwall/btree"
)

// state is where an extent is in its life; doc.go has the picture.
type state uint8

const (
	dirty state = iota
	inFlight
	failed
	unstable
	nstates
)

var stateNames = [nstates]string{"dirty", "in flight", "failed", "unstable"}

func (s state) String() string { return stateNames[s] }

// An extent is a run of bytes that the server has not made durable.
// Its data is never changed in place once it left the dirty state; a dirty
// extent may grow at its end.
type extent struct {
	off     int64
	data    []byte
	state   state
	epoch   uint64    // of the file when stored: what a Sync waits for, a Truncate cuts, a Discard drops
	born    time.Time // when stored; the zero time is due at once
	fl      *flight   // state inFlight: the Twrite that carries it
	ack     uint64    // state unstable: serial of its Rwrite
	gen     uint64    // state unstable: generation of the connection that brought it
	refused bool      // the server has refused it at least once
	rec     *record   // the journal's line about it, nil if there was no trouble
}

func (e *extent) end() int64 { return e.off + int64(len(e.data)) }

// extents is the ordered set of a file's extents; no two overlap. It keeps the
// sums that budget, drain and scheduler need. It has no lock of its own.
type extents struct {
	tree  btree.Map[int64, *extent]
	bytes [nstates]int64
	// By epoch, the bytes that are dirty or in flight, and the unstable ones.
	waiting, acked map[uint64]int64
}

func (s *extents) account(e *extent, sign int64) {
	n := sign * int64(len(e.data))
	s.bytes[e.state] += n
	if s.waiting == nil {
		s.waiting, s.acked = make(map[uint64]int64), make(map[uint64]int64)
	}
	var m map[uint64]int64
	switch e.state {
	case dirty, inFlight:
		m = s.waiting
	case unstable:
		m = s.acked
	default:
		return
	}
	if m[e.epoch] += n; m[e.epoch] == 0 {
		delete(m, e.epoch)
	}
}

func (s *extents) add(e *extent) {
	s.tree.Set(e.off, e)
	s.account(e, +1)
}

func (s *extents) remove(e *extent) {
	s.tree.Delete(e.off)
	s.account(e, -1)
}

func (s *extents) setState(e *extent, st state) {
	s.account(e, -1)
	e.state = st
	if st != inFlight {
		e.fl = nil
	}
	s.account(e, +1)
}

// held is the sum of bytes that count against the budget.
func (s *extents) held() int64 { return s.bytes[dirty] + s.bytes[inFlight] + s.bytes[failed] }

// settled reports whether no extent stored in epoch or earlier is dirty or in
// flight.
func (s *extents) settled(epoch uint64) bool { return noneUpTo(s.waiting, epoch) }

// durable reports whether, besides, none of them is unstable.
func (s *extents) durable(epoch uint64) bool {
	return noneUpTo(s.waiting, epoch) && noneUpTo(s.acked, epoch)
}

func noneUpTo(m map[uint64]int64, epoch uint64) bool {
	for at := range m {
		if at <= epoch {
			return false
		}
	}
	return true
}

// overlapping calls f for each extent that shares a byte with [off, end), in
// order, until f returns false. f must not change the set.
func (s *extents) overlapping(off, end int64, f func(*extent) bool) {
	if off >= end {
		return
	}
	start := off
	s.tree.Descend(off, func(_ int64, e *extent) bool {
		if e.end() > off {
			start = e.off
		}
		return false
	})
	s.tree.Ascend(start, func(_ int64, e *extent) bool {
		return e.off < end && f(e)
	})
}

// list returns the extents that share a byte with [off, end).
func (s *extents) list(off, end int64) []*extent {
	var l []*extent
	s.overlapping(off, end, func(e *extent) bool { l = append(l, e); return true })
	return l
}

// all calls f for every extent, in order; f must not change the set.
func (s *extents) all(f func(*extent) bool) {
	s.tree.Scan(func(_ int64, e *extent) bool { return f(e) })
}

// split cuts e in two at the file offset at, which lies inside it, and returns
// the second part.
func (s *extents) split(e *extent, at int64) *extent {
	k := at - e.off
	tail := *e
	tail.off, tail.data = at, e.data[k:]
	s.account(e, -1)
	e.data = e.data[:k:k]
	s.account(e, +1)
	s.add(&tail)
	if e.rec != nil {
		e.rec.pieces++
	}
	return &tail
}

// cut removes [off, end) from every extent for which which returns true,
// splitting those that reach beyond it, and returns the removed parts.
func (s *extents) cut(off, end int64, which func(*extent) bool) []*extent {
	hit := s.list(off, end)
	gone := hit[:0]
	for _, e := range hit {
		if which != nil && !which(e) {
			continue
		}
		was := len(e.data)
		if e.end() > end {
			s.split(e, end).shrinkToFit(was)
		}
		if e.off < off {
			head := e
			e = s.split(e, off)
			head.shrinkToFit(was)
		}
		s.remove(e)
		gone = append(gone, e)
	}
	return gone
}

// nextRun finds the next run of adjacent dirty extents that are not blocked and of
// which one is due. The run starts in [from, to) and has at most full bytes; n is
// 0 if there is none.
func (s *extents) nextRun(from, to, full int64, blocked func(off, end int64) bool, due func(*extent) bool) (off, n int64) {
	now := false // something of the run is due
	s.tree.Ascend(from, func(_ int64, e *extent) bool {
		usable := e.state == dirty && !blocked(e.off, e.end())
		if n > 0 && (!usable || e.off != off+n || n >= full) {
			if now {
				return false
			}
			n = 0
		}
		if n == 0 {
			if e.off >= to {
				return false
			}
			if !usable {
				return true
			}
			off, now = e.off, false
		}
		n += int64(len(e.data))
		now = now || due(e)
		return true
	})
	if !now {
		return 0, 0
	}
	return off, min(n, full)
}

// runs parts l, which is in order, into runs of adjacent extents that belong
// together.
func runs(l []*extent, together func(a, b *extent) bool) [][]*extent {
	var parts [][]*extent
	from := 0
	for i := 1; i <= len(l); i++ {
		if i == len(l) || l[i].off != l[i-1].end() || !together(l[i-1], l[i]) {
			parts = append(parts, l[from:i])
			from = i
		}
	}
	return parts
}

// shrinkToFit gives a small remainder of was bytes a buffer of its own, lest 4 KiB
// that are left of a 1 MiB store keep all of it in memory.
func (e *extent) shrinkToFit(was int) {
	if was > 4*len(e.data) && len(e.data) < 64<<10 {
		e.data = slices.Clone(e.data)
	}
}

// A span is a piece of memory at a place in a file.
type span struct {
	off  int64
	data []byte
}

// overlay copies what spans hold of [off, off+len(p)) into p, of which the
// first n bytes are valid, and returns how many are valid then: a hole between
// n and a span, or below end, reads as zero.
func overlay(p []byte, off int64, n int, spans []span, end int64) int {
	valid := max(n, int(min(int64(len(p)), max(0, end-off))))
	clear(p[n:valid])
	for _, s := range spans {
		if s.off < off {
			copy(p, s.data[off-s.off:])
		} else {
			copy(p[s.off-off:], s.data)
		}
	}
	return valid
}
