package errjournal

import (
	"io"
	"syscall"
)

// A Log is the journal of one file. It outlives inodes and handles; see
// [Journal.Log].
type Log struct {
	j   *Journal
	qid uint64

	// The rest is guarded by j.mu.

	path     string
	nameless bool // the file has lost path
	replaced bool // qid means another file now
	refs     int

	order  *shelf       // the remembered entries
	counts [nStates]int // of them, by state
	last   *record      // the newest, nil if it is not remembered
	cut    Evicted      // what the bounds made us forget

	losses    uint64        // so far
	told      uint64        // of those, the newest that any cursor was told
	lossErrno syscall.Errno // of the newest
}

// A record is an Entry as it is remembered, less its File, which is the log's.
type record struct {
	Entry
	log   *Log
	links [2]link // in the shelf of the mount, and of the file
}

func (r *record) entryLocked() Entry {
	e := r.Entry
	e.File = r.log.path
	return e
}

// Counts says how many remembered entries of a file are open.
type Counts struct {
	Pending, Failed, Conflict int
}

// Open is the sum of them.
func (c Counts) Open() int { return c.Pending + c.Failed + c.Conflict }

// Record remembers e as a new entry and returns its Seq. The log gives Seq and
// File, and Time if it is zero; long words are cut. State Dropped is a loss, to
// be told to cursors as e.Errno, or EIO if that is 0.
//
// A Fault like the newest entry of the file (same Op, range and Errno) is
// counted there, in Tries, and that entry's Seq returned.
func (l *Log) Record(e Entry) uint64 {
	if e.Time.IsZero() {
		e.Time = l.j.stamp()
	}
	e.Time = millis(e.Time)
	e.clip()
	j := l.j
	j.mu.Lock()
	defer j.mu.Unlock()
	l = j.attachLocked(l)
	if r := l.last; r != nil && sameFault(&r.Entry, &e) {
		r.Tries += max(e.Tries, 1)
		r.Time, r.Msg = e.Time, e.Msg
		j.refreshLocked(r)
		j.announceLocked(r.entryLocked())
		return r.Seq
	}
	j.mu.seq++
	e.Seq, e.File = j.mu.seq, ""
	if e.State == Fault {
		e.Tries = max(e.Tries, 1)
	}
	r := &record{Entry: e, log: l}
	l.last = r
	j.keepLocked(r)
	if e.State == Dropped {
		l.loseLocked(e.Errno)
	}
	j.announceLocked(r.entryLocked())
	j.boundLocked(l)
	return e.Seq
}

func sameFault(a, b *Entry) bool {
	return a.State == Fault && b.State == Fault && a.Op == b.Op && a.Off == b.Off && a.Len == b.Len && a.Errno == b.Errno
}

// Update lets change alter the entry seq and issues it again under the same
// Seq with the present time. A change to state Dropped is a loss, told as the
// Errno that the entry then has (discard sets EIO), or EIO if that is 0.
//
// It returns false if the bounds have dropped the entry meanwhile; whoever
// wants a line then has to Record one. A loss is counted even so, and change
// is for that purpose given an entry with nothing but Seq and File.
//
// change runs under the journal's lock: it must not block or call the journal.
func (l *Log) Update(seq uint64, change func(*Entry)) bool {
	now := l.j.stamp()
	j := l.j
	j.mu.Lock()
	defer j.mu.Unlock()
	l = j.attachLocked(l)
	r := j.mu.records[seq]
	if r == nil {
		if seq == 0 || seq > j.mu.seq {
			return false
		}
		e := Entry{Seq: seq, File: l.path}
		change(&e)
		if e.State == Dropped {
			l.loseLocked(e.Errno)
		}
		return false
	}
	if r.log != l {
		return false
	}
	e := r.entryLocked()
	change(&e)
	e.Seq, e.File, e.Time = seq, "", now
	e.clip()
	if e.State == Dropped && r.State != Dropped {
		l.loseLocked(e.Errno)
	}
	j.alterLocked(r, e)
	j.announceLocked(r.entryLocked())
	return true
}

// Close gives back a reference taken by Journal.Log. The Log and its cursors
// must not be used through that reference any more.
func (l *Log) Close() {
	j := l.j
	j.mu.Lock()
	defer j.mu.Unlock()
	l.refs = max(l.refs-1, 0)
	j.pruneLocked(l)
}

// Path returns the path by which the file is known, or was last.
func (l *Log) Path() string {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	return l.path
}

// Counts returns the number of open entries.
func (l *Log) Counts() Counts {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	return Counts{Pending: l.counts[Pending], Failed: l.counts[Failed], Conflict: l.counts[Conflict]}
}

// WriteTo writes the lines of this file as WriteBelow does, and returns the
// number of bytes written. Errors are those of w. It implements io.WriterTo.
func (l *Log) WriteTo(w io.Writer) (int64, error) {
	l.j.mu.Lock()
	entries := make([]Entry, 0, l.order.len())
	for r := range l.order.all() {
		entries = append(entries, r.entryLocked())
	}
	cut := l.cut
	l.j.mu.Unlock()
	sortBySeq(entries)
	return writeLines(w, cut.appendComment(nil, l.j), entries)
}
