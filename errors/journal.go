package errjournal

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"time"
)

// Options bound a Journal. The zero value is useful; values below 1 mean the
// default.
type Options struct {
	PerFile  int              // entries remembered of one file; default 1024
	PerMount int              // entries remembered in all; default 16384
	Events   int              // changes that a follower may fall behind (Since); default 4096
	Now      func() time.Time // default time.Now
}

// A Journal remembers the errors of all files of one mount. Its methods, and
// those of its Logs and Cursors, may be called from many goroutines.
type Journal struct {
	perFile, perMount, events int
	now                       func() time.Time

	mu struct {
		sync.Mutex // guards the rest, and every Log and Cursor

		seq     uint64             // the last one given out
		records map[uint64]*record // remembered entries by seq
		order   *shelf             // the same, by the order in which to forget them
		logs    map[*Log]struct{}  // every Log with a reference, an entry or an unseen loss
		byQid   map[uint64]*Log    // those of logs that Log finds again
		cut     tally              // entries forgotten of Logs that are pruned

		serial  uint64        // changes so far
		ring    []Entry       // the newest changes; that of serial s at (s-1)%events
		changed chan struct{} // closed at the next change; nil while nobody asked
	}
}

// New returns an empty Journal.
func New(o Options) *Journal {
	j := &Journal{
		perFile:  orDefault(o.PerFile, 1024),
		perMount: orDefault(o.PerMount, 16384),
		events:   orDefault(o.Events, 4096),
		now:      o.Now,
	}
	if j.now == nil {
		j.now = time.Now
	}
	j.mu.records = make(map[uint64]*record)
	j.mu.order = newShelf(ofMount)
	j.mu.logs = make(map[*Log]struct{})
	j.mu.byQid = make(map[uint64]*Log)
	j.mu.cut = make(tally)
	return j
}

func orDefault(n, def int) int {
	if n < 1 {
		return def
	}
	return n
}

// Log finds the log of the file with that qid.path, or makes it, and takes a
// reference that Close gives back. The log is now known by path, which is
// relative to the mount's root; "" is the root itself.
func (j *Journal) Log(qidPath uint64, path string) *Log {
	path = trim(path)
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.mu.byQid[qidPath]
	if l == nil {
		l = &Log{j: j, qid: qidPath, order: newShelf(ofFile)}
	}
	l.path, l.nameless = path, false
	l.refs++
	return j.attachLocked(l)
}

// Replaced tells that the file of that qid.path is gone for good and that the
// number means another file from now on: the next Log makes a fresh log. The
// entries of the old one, and the verdicts of its handles, stay. A loss that no
// cursor of it was told stops being unseen, since nobody can open that file
// again. (It is not for FUSE's FORGET, which is a Log.Close.)
func (j *Journal) Replaced(qidPath uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if l := j.mu.byQid[qidPath]; l != nil {
		delete(j.mu.byQid, qidPath)
		l.replaced = true
		j.pruneLocked(l)
	}
}

// attachLocked makes l known to the journal, which it already is unless it was
// pruned, and returns the log to use in its place: a later one of the same
// file, if l was used after its Close and pruned meanwhile.
func (j *Journal) attachLocked(l *Log) *Log {
	if _, ok := j.mu.logs[l]; ok {
		return l
	}
	if !l.replaced {
		if later := j.mu.byQid[l.qid]; later != nil {
			return later
		}
		j.mu.byQid[l.qid] = l
	}
	j.mu.logs[l] = struct{}{}
	l.cut = j.mu.cut.takeBack(l.path, l.qid)
	return l
}

// pruneLocked lets go of l if nothing would be lost with it.
func (j *Journal) pruneLocked(l *Log) {
	unseen := l.losses > l.told && !l.replaced
	if l.refs > 0 || l.order.len() > 0 || unseen {
		return
	}
	delete(j.mu.logs, l)
	if j.mu.byQid[l.qid] == l {
		delete(j.mu.byQid, l.qid)
	}
	j.mu.cut.add(l.path, l.qid, l.cut)
	l.cut = Evicted{}
}

// Entries returns what is remembered of everything at or below dir, by Seq;
// "" is the root, and a file may be named too.
func (j *Journal) Entries(dir string) []Entry {
	entries, _ := j.snapshot(trim(dir))
	return entries
}

// Evicted tells how much the bounds have cut at or below dir.
func (j *Journal) Evicted(dir string) Evicted {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.evictedLocked(trim(dir))
}

// WriteBelow writes the lines of everything at or below dir, by Seq, preceded
// by a comment "# N older entries dropped" where the bounds cut some. It is a
// snapshot; no lock is held while w is written to. Errors are those of w.
func (j *Journal) WriteBelow(w io.Writer, dir string) error {
	entries, cut := j.snapshot(trim(dir))
	_, err := writeLines(w, cut.appendComment(nil, j), entries)
	return err
}

func (j *Journal) snapshot(dir string) ([]Entry, Evicted) {
	var entries []Entry
	j.mu.Lock()
	for _, r := range j.mu.records {
		if within(r.log.path, dir) {
			entries = append(entries, r.entryLocked())
		}
	}
	cut := j.evictedLocked(dir)
	j.mu.Unlock()
	sortBySeq(entries)
	return entries, cut
}

func (j *Journal) evictedLocked(dir string) Evicted {
	cut := j.mu.cut.sum(dir)
	for l := range j.mu.logs {
		if within(l.path, dir) {
			cut.plus(l.cut)
		}
	}
	return cut
}

func sortBySeq(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
}

// stamp is the time for a change. It is taken before the lock, because the
// clock is the caller's.
func (j *Journal) stamp() time.Time { return millis(j.now()) }
