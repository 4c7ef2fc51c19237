package writeback

import (
	"context"
	"math"
	"slices"
	"syscall"
	"time"

	errjournal "p9mapfs/errors"
)

// A reach is a range of a file that some call is at work on.
type reach struct{ off, end int64 }

func (r reach) overlaps(off, end int64) bool { return off < r.end && r.off < end }

// Discard drops what the server has not made durable of the n bytes at off (n < 0:
// up to the end, however far), as they were stored before the call, and returns
// how many bytes that were. What was acknowledged and not synced is among them;
// what is stored during the call is not. A truncation that is not durable is
// dropped with them when all that it may have cut is discarded.
//
// Each run of bytes gets a line in the journal, dropped with its checksum, or
// becomes the end of the line that told of its trouble; so each handle that is
// open now is told once, by its cursor. Sync and Drain have nothing more to say
// about them.
//
// Discard waits for Twrites in flight in the range, and keeps others from
// starting meanwhile; it does not wait for a lost connection. It fails with
// the cause of ctx's end, or ENOTCONN when the Flusher was closed, and then
// nothing was dropped; EINVAL means that off is negative.
func (f *File) Discard(ctx context.Context, off, n int64) (dropped int64, err error) {
	if off < 0 {
		return 0, syscall.EINVAL
	}
	there := &reach{off, math.MaxInt64}
	if n >= 0 && n < math.MaxInt64-off {
		there.end = off + n
	}
	f.mu.Lock()
	epoch := f.newEpochLocked()
	f.discarding = append(f.discarding, there)
	f.mu.Unlock()

	err = f.awaitLanded(ctx, *there)

	f.mu.Lock()
	f.discarding = slices.DeleteFunc(f.discarding, func(d *reach) bool { return d == there })
	var gone []reach
	if err == nil {
		gone, dropped = f.discardLocked(*there, epoch)
	}
	f.changedLocked()
	f.mu.Unlock()
	f.fl.kick()
	if f.dropped != nil {
		for _, r := range gone {
			f.dropped(r.off, r.end-r.off)
		}
	}
	return dropped, err
}

// discardLocked drops what was stored there up to epoch. The journal is told
// before the lock is released: whoever finds nothing held is to find the loss.
func (f *File) discardLocked(there reach, epoch uint64) (gone []reach, dropped int64) {
	link, _ := f.fl.link()
	end := f.endLocked(link)
	l := f.set.cut(there.off, there.end, func(e *extent) bool { return e.epoch <= epoch })
	together := func(a, b *extent) bool { return a.rec == b.rec && (a.state == unstable) == (b.state == unstable) }
	for _, run := range runs(l, together) {
		r := reach{run[0].off, run[len(run)-1].end()}
		f.discardedLocked(run, r)
		gone = append(gone, r)
		dropped += r.end - r.off
	}
	// Holes in front of a dropped extent end with it: the caches have them as zeros.
	if now := f.endLocked(link); now < end && len(gone) > 0 {
		last := &gone[len(gone)-1]
		last.off = min(last.off, now)
	}
	if t := f.trunc; t != nil && t.within(there, epoch) {
		r := reach{t.least(), math.MaxInt64}
		f.uncutLocked(r)
		gone = append(gone, r)
	}
	if f.set.bytes[failed] == 0 && (f.trunc == nil || f.trunc.err == nil) {
		f.retryAt, f.retryWait = time.Time{}, 0
	}
	return gone, dropped
}

// discardedLocked puts a run of extents that are no longer in the set, and that
// share a record, into the journal. The last run of a record ends its line.
func (f *File) discardedLocked(run []*extent, there reach) {
	var chunks [][]byte
	for _, e := range run {
		chunks = append(chunks, e.data)
	}
	entry := errjournal.Entry{
		State: errjournal.Dropped, Op: "Twrite", Off: there.off, Len: there.end - there.off,
		Errno: syscall.EIO, Msg: "discarded", Sum: errjournal.Checksum(chunks...),
	}
	if run[0].state == unstable {
		entry.Msg = "discarded: acknowledged, not made durable"
	}
	r := run[0].rec
	if r == nil {
		f.log.Record(entry)
		return
	}
	if r.pieces -= len(run); r.pieces > 0 {
		f.log.Record(entry)
		return
	}
	f.records--
	f.dropLine(r.seq, entry)
}

// uncutLocked forgets a truncation that concerned the bytes there.
func (f *File) uncutLocked(there reach) {
	entry := errjournal.Entry{
		State: errjournal.Dropped, Op: "Tsetattr", Off: there.off, Errno: syscall.EIO,
		Msg: "truncation discarded: not made durable", Sum: errjournal.Checksum(),
	}
	if f.trunc.rec == 0 {
		f.log.Record(entry)
	} else {
		f.dropLine(f.trunc.rec, entry)
	}
	f.trunc = nil
}

// dropLine makes the journal's line seq that of a loss, keeping what the server
// said. If the journal has forgotten the line, the loss gets one of its own.
func (f *File) dropLine(seq uint64, entry errjournal.Entry) {
	known := f.log.Update(seq, func(j *errjournal.Entry) {
		if j.Msg != "" {
			entry.Msg += ": " + j.Msg
		}
		if j.Op != "" {
			entry.Op = j.Op
		}
		entry.Tries = j.Tries
		*j = entry
	})
	if !known {
		f.log.Record(entry)
	}
}
