package writeback

import (
	"time"

	errjournal "p9mapfs/errors"
)

// A record is an entry of the journal that bytes of a file share. It stays open
// while any extent carries it.
type record struct {
	seq    uint64
	pieces int  // extents that carry it
	sent   bool // some of its bytes were made durable
}

// troubledLocked records that extents which belong together met err: those that
// carry a record already are one try further, the others get a new one.
func (f *File) troubledLocked(op string, st errjournal.State, err error, l []*extent) {
	errno := errnoOf(err)
	var fresh *record
	var from, to int64
	seen := make(map[*record]bool)
	for _, e := range l {
		if e.rec == nil {
			if fresh == nil {
				fresh, from = new(record), e.off
			}
			e.rec, to = fresh, e.end()
			fresh.pieces++
		} else if e.rec != fresh && !seen[e.rec] {
			seen[e.rec] = true
			f.log.Update(e.rec.seq, func(j *errjournal.Entry) {
				j.Op, j.State, j.Errno, j.Msg = op, st, errno, err.Error()
				j.Tries++
			})
		}
	}
	if fresh != nil {
		fresh.seq = f.log.Record(errjournal.Entry{
			State: st, Op: op, Off: from, Len: to - from, Errno: errno, Msg: err.Error(), Tries: 1,
		})
		f.records++
	}
}

// goneLocked closes the records of extents that are no longer in the set: their
// bytes are durable, or replaced.
func (f *File) goneLocked(l []*extent, durable bool) {
	for _, e := range l {
		if r := e.rec; r != nil {
			r.sent = r.sent || durable
			if r.pieces--; r.pieces == 0 {
				f.closeRecordLocked(r)
			}
		}
	}
}

func (f *File) closeRecordLocked(r *record) {
	st := errjournal.Superseded
	if r.sent {
		st = errjournal.Resolved
	}
	f.records--
	f.log.Update(r.seq, func(j *errjournal.Entry) { j.State = st })
}

// pendLocked records as pending what is due while the connection is lost.
func (f *File) pendLocked(link Link, now time.Time) {
	var l []*extent
	f.set.all(func(e *extent) bool {
		if e.state == dirty && e.rec == nil && f.dueLocked(e, now) {
			l = append(l, e)
		}
		return true
	})
	for _, run := range runs(l, func(_, _ *extent) bool { return true }) {
		f.troubledLocked("Twrite", errjournal.Pending, link.verdict(), run)
	}
}
