package pagecache

// A stream is a reader that was seen to go through a file in order. Three
// numbers describe it:
//
//	   read already        read ahead          nothing yet
//	------------------|------------------|------------------------
//	                 next              edge
//	                  |<------- window ------->|
//
// Fills are begun when window reaches a fill's length, or half of its own, beyond
// edge. It begins with a few of the reader's own reads, so that two random reads
// which happen to be neighbours cost little, and doubles whenever the reader has
// caught up with the network and had to wait: it so grows to what the link holds
// in flight, and no further.
type stream struct {
	next, edge, window int64
	order              int    // reads seen in order; the first make it no stream yet
	used               uint64 // when a read last belonged to it
}

// nstreams readers of a file can be told apart. They belong to the file, not to
// a handle: many threads reading through one descriptor look random there.
const nstreams = 8

type streams struct {
	s     [nstreams]stream
	clock uint64
}

// A read is what a plan is made from.
type read struct {
	off, n           int64
	missing, filling bool // some of it was not in the cache; some was being filled
}

// plan tells which bytes to read ahead because of r, in a file that ends at end.
// fill is the length of one fill, limit bounds the window.
func (t *streams) plan(r read, end, fill, limit int64) (s *stream, from, to int64) {
	t.clock++
	s = t.find(r)
	s.used = t.clock
	switch {
	case r.off == s.next:
		s.order += 2
	case s.order > 0:
		s.order++
	}
	s.next = max(s.next, r.off+r.n)
	if s.order < 2 {
		return s, 0, 0
	}
	limit = max(limit, fill)
	switch {
	case s.window == 0:
		s.window = min(8*r.n, limit)
	case r.missing || r.filling:
		s.window = min(2*s.window, limit)
	}
	if r.missing { // what was read ahead was evicted meanwhile
		s.edge = s.next
	}
	s.edge = max(s.edge, s.next)
	from, to = s.edge, s.next+s.window
	if to < end {
		to -= max(0, to-from) % max(1, min(fill, s.window/2))
	}
	to = max(from, min(to, end))
	s.edge = to
	return s, from, to
}

// refused tells the stream that nothing was read ahead from at on, for want of
// memory.
func (s *stream) refused(at, fill int64) {
	s.edge = at
	s.window = min(s.window, max(s.window/2, fill))
}

// find returns the stream that r goes on with, or a new one in place of the
// least used. Reads of one stream arrive out of order, because the kernel sends
// several and we serve them at the same time.
func (t *streams) find(r read) *stream {
	var best, oldest *stream
	near := 16 * r.n
	for i := range t.s {
		s := &t.s[i]
		if oldest == nil || s.used < oldest.used {
			oldest = s
		}
		d := r.off - s.next
		if d < 0 {
			d = -d
		}
		if s.used > 0 && d <= near {
			near, best = d, s
		}
	}
	if best == nil {
		best = oldest
		*best = stream{next: -1}
	}
	return best
}
