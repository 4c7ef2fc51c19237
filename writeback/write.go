package writeback

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	errjournal "p9mapfs/errors"
)

// WriteAt keeps p, which may be reused afterwards, and returns without waiting
// for the server. It waits for room in the budget: until ctx ends, or, while the
// connection is lost, until the hold time runs out. It fails, and p is dropped
// and recorded, only when no room came, or when the server refuses so much of
// this file that holding more would starve the others; the error is the server's
// then.
//
// With Options.Through it also waits until the server has acknowledged or refused
// p, and no longer than for room. It then returns nil
// whatever came: p is kept as ever.
func (f *File) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, fmt.Errorf("write of %d bytes at %d: beyond the largest offset", len(p), off)
	}
	n := int64(len(p))
	if err := f.reserve(ctx, n, off); err != nil {
		f.drop(p, off, err)
		return 0, err
	}
	f.mu.Lock()
	f.published.held += n // reserve has counted it
	idle := f.set.tree.Len() == 0
	f.insertLocked(p, off)
	epoch := f.epoch
	if f.fl.o.Through {
		f.newEpochLocked()
	}
	f.changedLocked()
	f.mu.Unlock()
	if idle || f.fl.o.Through || f.fl.pressed() {
		f.fl.kick()
	}
	if f.fl.o.Through {
		f.awaitAnswer(ctx, reach{off, off + n}, epoch)
	}
	return len(p), nil
}

// awaitAnswer waits until the server has acknowledged or refused what was stored
// there in epoch, the connection's hold time is over, or ctx ends. Whatever comes,
// the bytes are held, and Sync and Drain tell the verdict.
func (f *File) awaitAnswer(ctx context.Context, there reach, epoch uint64) {
	for {
		link, _ := f.fl.link()
		f.mu.Lock()
		waiting := false
		f.set.overlapping(there.off, there.end, func(e *extent) bool {
			waiting = e.epoch == epoch && !e.refused && (e.state == dirty || e.state == inFlight)
			return !waiting
		})
		if !waiting || f.trunc != nil && f.trunc.err != nil { // extents wait for the truncation
			f.mu.Unlock()
			return
		}
		if !link.Up {
			f.pendLocked(link, time.Now())
		}
		news := f.newsLocked()
		f.mu.Unlock()
		if f.fl.await(ctx, news) != nil {
			return
		}
	}
}

// insertLocked makes a copy of p the newest bytes at off.
func (f *File) insertLocked(p []byte, off int64) {
	end := off + int64(len(p))
	f.goneLocked(f.set.cut(off, end, nil), false)
	if f.appendLocked(p, off) {
		return
	}
	f.set.add(&extent{
		off: off, data: append([]byte(nil), p...), state: dirty,
		epoch: f.epoch, born: time.Now(),
	})
}

// appendLocked lets the extent that ends at off grow by p, so that a program
// which writes a few bytes at a time does not make an extent of each.
func (f *File) appendLocked(p []byte, off int64) bool {
	if len(p) >= f.fl.o.MaxWrite {
		return false
	}
	var prev *extent
	f.set.tree.Descend(off, func(_ int64, e *extent) bool { prev = e; return false })
	if prev == nil || prev.end() != off || prev.state != dirty || prev.rec != nil ||
		prev.epoch != f.epoch || len(prev.data)+len(p) > f.fl.o.MaxWrite {
		return false
	}
	f.set.account(prev, -1)
	prev.data = append(prev.data, p...)
	f.set.account(prev, +1)
	return true
}

// drop records that p, which a program has stored, is gone.
func (f *File) drop(p []byte, off int64, why error) {
	if errors.Is(why, context.Canceled) {
		return // a signal: write(2) tells its caller that nothing was stored
	}
	f.log.Record(errjournal.Entry{
		State: errjournal.Dropped, Op: "Twrite", Off: off, Len: int64(len(p)),
		Errno: errnoOf(why), Msg: why.Error(), Sum: errjournal.Checksum(p),
	})
	if f.dropped != nil {
		f.dropped(off, int64(len(p)))
	}
}

// reserve counts n bytes against the budget, waiting for room.
func (f *File) reserve(ctx context.Context, n, off int64) error {
	fl := f.fl
	for {
		if err := f.refusedTooMuch(n, off); err != nil {
			return err
		}
		fl.mu.Lock()
		if fl.roomLocked(n) {
			fl.mu.held += n
			fl.mu.Unlock()
			return nil
		}
		if fl.mu.room == nil {
			fl.mu.room = make(chan struct{})
		}
		room := fl.mu.room
		fl.mu.Unlock()
		fl.kick()
		if err := fl.await(ctx, room); err != nil {
			return err
		}
	}
}

// roomLocked reports whether n more bytes fit. One store always fits into an
// empty budget, however large it is.
func (fl *Flusher) roomLocked(n int64) bool {
	return fl.mu.held == 0 || fl.mu.held+n <= fl.o.Budget && fl.mu.unstable <= 2*fl.mu.pace.bound(fl.o)
}

// pressed reports whether extents have to be sent before their age.
func (fl *Flusher) pressed() bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.mu.held > fl.o.Background || fl.overLocked() > 0
}

// refusedTooMuch returns the server's refusal when n more bytes at off cannot be
// kept: refused bytes may take a quarter of the budget for one file and half of
// it for all. Bytes that replace refused ones always fit.
func (f *File) refusedTooMuch(n, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.set.bytes[failed] == 0 {
		return nil
	}
	f.fl.mu.Lock()
	all := f.fl.mu.failed
	f.fl.mu.Unlock()
	if f.set.bytes[failed] < f.fl.o.Budget/4 && all < f.fl.o.Budget/2 {
		return nil
	}
	end := off + n
	f.set.overlapping(off, end, func(e *extent) bool {
		n -= min(e.end(), end) - max(e.off, off)
		return true
	})
	if n <= 0 {
		return nil
	}
	return f.refusal
}
