package errjournal

import "iter"

// A record stands on two shelves: that of the mount and that of its file.
const (
	ofMount = iota
	ofFile
)

// A link is a record's place in a queue.
type link struct{ prev, next *record }

// A queue holds records in the order in which to forget them. It is linked
// through the records, so that nothing is allocated or searched.
type queue struct {
	which      int // of record.links
	head, tail *record
	n          int
}

func (q *queue) push(r *record) {
	r.links[q.which] = link{prev: q.tail}
	if q.tail == nil {
		q.head = r
	} else {
		q.tail.links[q.which].next = r
	}
	q.tail = r
	q.n++
}

func (q *queue) remove(r *record) {
	at := r.links[q.which]
	if at.prev == nil {
		q.head = at.next
	} else {
		at.prev.links[q.which].next = at.next
	}
	if at.next == nil {
		q.tail = at.prev
	} else {
		at.next.links[q.which].prev = at.prev
	}
	r.links[q.which] = link{}
	q.n--
}

// A shelf keeps entries in the order in which to forget them: first settled ones,
// then losses, and open ones only when nothing else is left.
type shelf [3]queue

func newShelf(which int) *shelf {
	return &shelf{{which: which}, {which: which}, {which: which}}
}

// rank is the queue of a shelf in which entries of that state are.
func rank(s State) int {
	switch {
	case s.Open():
		return 2
	case s == Dropped:
		return 1
	}
	return 0
}

func (s *shelf) of(state State) *queue { return &s[rank(state)] }

func (s *shelf) len() int { return s[0].n + s[1].n + s[2].n }

// first is the record to forget first, nil if there is none.
func (s *shelf) first() *record {
	for i := range s {
		if s[i].head != nil {
			return s[i].head
		}
	}
	return nil
}

func (s *shelf) all() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for i := range s {
			for r := s[i].head; r != nil; r = r.links[s[i].which].next {
				if !yield(r) {
					return
				}
			}
		}
	}
}

func (j *Journal) keepLocked(r *record) {
	j.mu.records[r.Seq] = r
	j.mu.order.of(r.State).push(r)
	r.log.order.of(r.State).push(r)
	r.log.count(r.State, 1)
}

func (j *Journal) letGoLocked(r *record) {
	delete(j.mu.records, r.Seq)
	j.mu.order.of(r.State).remove(r)
	r.log.order.of(r.State).remove(r)
	r.log.count(r.State, -1)
}

// alterLocked gives r the content e. It keeps its place in the queues, unless
// it is settled, lost, or open again.
func (j *Journal) alterLocked(r *record, e Entry) {
	if rank(e.State) == rank(r.State) {
		r.log.count(r.State, -1)
		r.Entry = e
		r.log.count(r.State, 1)
		return
	}
	j.letGoLocked(r)
	r.Entry = e
	j.keepLocked(r)
}

// refreshLocked makes r the last of its kind to be forgotten.
func (j *Journal) refreshLocked(r *record) {
	j.letGoLocked(r)
	j.keepLocked(r)
}

func (l *Log) count(s State, d int) {
	if s < nStates {
		l.counts[s] += d
	}
}

// boundLocked forgets entries until l and the journal are within their bounds.
func (j *Journal) boundLocked(l *Log) {
	for l.order.len() > j.perFile {
		j.evictLocked(l.order.first())
	}
	for j.mu.order.len() > j.perMount {
		j.evictLocked(j.mu.order.first())
	}
}

func (j *Journal) evictLocked(r *record) {
	l := r.log
	j.letGoLocked(r)
	if l.last == r {
		l.last = nil
	}
	l.cut.Total++
	switch {
	case r.State.Open():
		l.cut.Open++
	case r.State == Dropped:
		l.cut.Losses++
	}
	j.pruneLocked(l)
}
