package writeback

import (
	"context"
	"math"
	"syscall"
	"time"

	errjournal "p9mapfs/errors"
)

// A truncation is what the server has agreed to cut and no Tfsync covers yet.
// Extents stored later are laid over the result, so that sending it again before
// them restores the file.
type truncation struct {
	cuts   []cut  // in the order in which the server agreed to them
	gen    uint64 // generation of the connection that brought the last Rsetattr
	resend bool   // the server may have forgotten it; no extent is unstable then
	err    error  // the server refused it when it was sent again
	rec    uint64 // the journal's line, 0 if there is none
}

// A cut set the file's size to size.
type cut struct {
	size  int64
	ack   uint64 // serial of its Rsetattr
	epoch uint64 // of the file when it was asked for
}

// least is the smallest size that the file had on the way.
func (t *truncation) least() int64 {
	least := t.cuts[0].size
	for _, c := range t.cuts {
		least = min(least, c.size)
	}
	return least
}

func (t *truncation) last() int64 { return t.cuts[len(t.cuts)-1].size }

// durable drops the cuts that a Tfsync has covered, and reports whether none are
// left. A cut that stayed behind would, sent again, wipe out bytes which were
// stored after it and are durable.
func (t *truncation) durable(cover uint64) bool {
	for len(t.cuts) > 0 && t.cuts[0].ack <= cover {
		t.cuts = t.cuts[1:]
	}
	return len(t.cuts) == 0
}

// within reports whether all that t may have cut lies there, and all of t was
// asked for up to epoch.
func (t *truncation) within(there reach, epoch uint64) bool {
	return there.off <= t.least() && there.end == math.MaxInt64 && t.cuts[len(t.cuts)-1].epoch <= epoch
}

// send repeats what t amounts to: to cut the file to its least size and to
// extend it to the last.
func (*truncation) send(ctx context.Context, r Remote, least, last int64) error {
	if least < last {
		if err := r.Truncate(ctx, least); err != nil {
			return err
		}
	}
	return r.Truncate(ctx, last)
}

// resendingLocked reports whether the truncation will be sent again, and the
// server's file is therefore not to be believed beyond its least size.
func (f *File) resendingLocked(link Link) bool {
	t := f.trunc
	return t != nil && (t.resend || !link.Up || t.gen != link.Generation)
}

// resendLocked has the truncation sent again. That may cut off what the server
// has acknowledged since, and what a read under way finds there.
func (f *File) resendLocked() {
	f.trunc.resend = true
	f.redone++
	f.redoUnstableLocked()
}

// Truncate sets the file's size, on the server first: it returns nil when the
// server has agreed, and then the extents beyond size, stored before the call,
// are gone. It waits for Twrites in flight beyond size and holds later ones
// back meanwhile.
func (f *File) Truncate(ctx context.Context, size int64) error {
	select {
	case f.truncating <- struct{}{}:
		defer func() { <-f.truncating }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f.mu.Lock()
	f.cutting = &size
	epoch := f.newEpochLocked()
	f.mu.Unlock()
	generation, sent, err := f.askTruncate(ctx, size)

	f.mu.Lock()
	defer f.fl.kick()
	defer f.mu.Unlock()
	f.cutting = nil
	f.landed++
	beyond := func(e *extent) bool { return e.epoch <= epoch }
	switch {
	case err == nil:
		f.goneLocked(f.set.cut(size, math.MaxInt64, beyond), false)
		if !f.fl.o.Trust {
			f.agreedLocked(cut{size: size, epoch: epoch}, generation)
		}
	case sent:
		// It may have happened. What the server had acknowledged beyond size it
		// may have cut off.
		var l []*extent
		f.set.overlapping(size, math.MaxInt64, func(e *extent) bool {
			if e.state == unstable {
				l = append(l, e)
			}
			return true
		})
		f.redoLocked(l)
	}
	f.changedLocked()
	return err
}

// agreedLocked keeps a cut that the server has made, until it is durable.
func (f *File) agreedLocked(c cut, generation uint64) {
	if f.trunc == nil {
		f.trunc = new(truncation)
	}
	f.acks++
	c.ack = f.acks
	f.trunc.cuts = append(f.trunc.cuts, c)
	f.trunc.gen = generation
	if !f.currentLocked(generation) {
		f.resendLocked()
	}
}

// askTruncate sends Tsetattr until the server has answered one, and returns the
// generation of the connection that brought the answer. sent reports whether the
// server may have obeyed one that was not answered.
func (f *File) askTruncate(ctx context.Context, size int64) (generation uint64, sent bool, err error) {
	for {
		if err := f.awaitLanded(ctx, reach{size, math.MaxInt64}); err != nil {
			return 0, sent, err
		}
		if generation, err = f.fl.awaitUp(ctx); err != nil {
			return 0, sent, err
		}
		err = f.remote.Truncate(f.fl.o.Pin(ctx, generation), size)
		switch {
		case err == nil:
			return generation, true, nil
		case ctx.Err() != nil:
			return 0, true, err
		case !disconnected(err):
			return 0, sent, err
		}
		sent = true
		f.fl.suspect(generation)
	}
}

// awaitLanded waits until neither a Twrite there nor a truncation is in flight.
func (f *File) awaitLanded(ctx context.Context, there reach) error {
	for {
		f.mu.Lock()
		busy := false
		for _, w := range f.flights {
			busy = busy || w.trunc != nil || there.overlaps(w.off, w.end())
		}
		news := f.newsLocked()
		f.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.fl.ctx.Done():
			return syscall.ENOTCONN
		}
	}
}

// truncated is told what became of a truncation that was sent again.
func (f *File) truncated(w *flight, err error) {
	lost := err != nil && (disconnected(err) || f.fl.ctx.Err() != nil)
	if lost {
		f.fl.suspect(w.generation)
	}
	f.mu.Lock()
	defer f.fl.kick()
	defer f.mu.Unlock()
	f.landLocked(w)
	if t := f.trunc; t != nil && t == w.trunc {
		switch {
		case err == nil && f.currentLocked(w.generation):
			f.acks++
			f.landed++
			epoch := t.cuts[len(t.cuts)-1].epoch
			t.cuts = []cut{{t.least(), f.acks, epoch}, {t.last(), f.acks, epoch}}
			t.resend, t.gen = false, w.generation
		case err != nil && !lost:
			f.truncRefusedLocked("Tsetattr", err)
		}
	}
	f.changedLocked()
}

// truncRefusedLocked keeps a truncation that the server has refused, for a
// later retry; the file's extents wait for it.
func (f *File) truncRefusedLocked(op string, err error) {
	t := f.trunc
	t.err = err
	f.resendLocked()
	entry := errjournal.Entry{
		State: errjournal.Failed, Op: op, Off: t.least(), Errno: errnoOf(err), Msg: err.Error(), Tries: 1, Time: time.Now(),
	}
	if t.rec == 0 {
		t.rec = f.log.Record(entry)
	} else {
		f.log.Update(t.rec, func(j *errjournal.Entry) {
			j.State, j.Errno, j.Msg = entry.State, entry.Errno, entry.Msg
			j.Tries++
		})
	}
	f.holdOffLocked(err)
}

// forgetTruncationLocked drops the truncation, whose matter ended in state st.
func (f *File) forgetTruncationLocked(st errjournal.State) {
	if f.trunc.rec != 0 {
		f.log.Update(f.trunc.rec, func(j *errjournal.Entry) { j.State = st })
	}
	f.trunc = nil
}
