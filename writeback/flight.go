package writeback

import (
	"time"

	errjournal "p9mapfs/errors"
)

// A flight is one errand of a worker: a Twrite of adjacent extents, or a
// truncation that has to be sent again.
type flight struct {
	file       *File
	generation uint64
	off, n     int64
	parts      [][]byte    // adjacent, n bytes together; they do not change
	trunc      *truncation // not nil: send this instead, cutting to off and extending to end
}

func (fl *flight) end() int64 { return fl.off + fl.n }

// worker does I/O and nothing else. Its buffer is outside the budget, so that
// memory which is full of dirty bytes can still be sent.
func (fl *Flusher) worker() {
	buf := make([]byte, 0, fl.o.MaxWrite)
	for {
		select {
		case <-fl.ctx.Done():
			return
		case w := <-fl.work:
			ctx := fl.o.Pin(fl.ctx, w.generation)
			if w.trunc != nil {
				w.file.truncated(w, w.trunc.send(ctx, w.file.remote, w.off, w.end()))
				continue
			}
			p := w.parts[0]
			if len(w.parts) > 1 {
				p = buf[:0]
				for _, part := range w.parts {
					p = append(p, part...)
				}
			}
			_, err := w.file.remote.WriteAt(ctx, p, w.off)
			w.file.answered(w, err)
		}
	}
}

// answered is told what became of a Twrite.
func (f *File) answered(w *flight, err error) {
	lost := err != nil && (disconnected(err) || f.fl.ctx.Err() != nil)
	if lost {
		f.fl.suspect(w.generation)
	}
	if err == nil {
		f.fl.acknowledged(w.n)
	}
	f.mu.Lock()
	defer f.fl.kick()
	defer f.mu.Unlock()
	f.landLocked(w)
	var mine []*extent
	for _, e := range f.set.list(w.off, w.end()) {
		if e.fl == w {
			mine = append(mine, e)
		}
	}
	switch {
	case err == nil && f.fl.o.Trust:
		f.landed++
		f.durableLocked(mine)
	case err == nil && f.currentLocked(w.generation) && (f.trunc == nil || !f.trunc.resend):
		f.acks++
		f.landed++
		for _, e := range mine {
			f.set.setState(e, unstable)
			e.ack, e.gen = f.acks, w.generation
		}
	case err == nil || lost:
		f.landed++
		f.redoLocked(mine)
	default:
		f.refusedLocked("Twrite", err, mine)
	}
	f.changedLocked()
}

// durableLocked lets go of extents that the server will not lose.
func (f *File) durableLocked(l []*extent) {
	for _, e := range l {
		f.set.remove(e)
	}
	f.goneLocked(l, true)
	if f.set.bytes[failed] == 0 {
		f.retryWait = 0
	}
}

// currentLocked reports whether the connection is still the one of that
// generation. SetLink changes the link first and then goes through the files, so
// an answer that is taken for current here is undone by connectionLost if it was
// not.
func (f *File) currentLocked(generation uint64) bool {
	link, _ := f.fl.link()
	return link.Up && link.Generation == generation
}

func (f *File) landLocked(w *flight) {
	for i, x := range f.flights {
		if x == w {
			f.flights = append(f.flights[:i], f.flights[i+1:]...)
			return
		}
	}
}

func (f *File) redoUnstableLocked() {
	var l []*extent
	f.set.all(func(e *extent) bool {
		if e.state == unstable {
			l = append(l, e)
		}
		return true
	})
	f.redoLocked(l)
}

// redoLocked makes extents dirty again which the server may not have.
func (f *File) redoLocked(l []*extent) {
	if len(l) > 0 {
		f.redone++
	}
	for _, e := range l {
		f.set.setState(e, dirty)
		e.born = time.Time{}
	}
}

// refusedLocked keeps extents that the server refused, for a later retry.
func (f *File) refusedLocked(op string, err error, l []*extent) {
	if len(l) == 0 {
		return
	}
	for _, e := range l {
		f.set.setState(e, failed)
		e.refused = true
	}
	f.troubledLocked(op, errjournal.Failed, err, l)
	f.holdOffLocked(err)
}

// holdOffLocked sets the time of the next attempt after a refusal.
func (f *File) holdOffLocked(err error) {
	f.refusal = err
	if f.retryAt.IsZero() { // else it is one of several refusals in one attempt
		f.retryAt = time.Now().Add(max(f.retryWait, f.fl.o.Retry))
	}
}

// retryLocked makes everything that was refused dirty again. The interval until
// the next attempt doubles, up to eightfold, while nobody asks for one.
func (f *File) retryLocked(asked bool) {
	f.retryAt = time.Time{}
	if asked {
		f.retryWait = 0
	} else {
		f.retryWait = min(2*max(f.retryWait, f.fl.o.Retry), 8*f.fl.o.Retry)
	}
	if f.trunc != nil && f.trunc.err != nil {
		f.trunc.err = nil
	}
	if f.set.bytes[failed] == 0 {
		return
	}
	var l []*extent
	f.set.all(func(e *extent) bool {
		if e.state == failed {
			l = append(l, e)
		}
		return true
	})
	f.redoLocked(l)
}

// Retry sends what the server refused once more, without waiting for it.
func (f *File) Retry() {
	f.mu.Lock()
	f.retryLocked(true)
	f.changedLocked()
	f.mu.Unlock()
	f.fl.kick()
}

// connectionLost makes all that was acknowledged, and is not durable, dirty
// again: the server may have crashed and forgotten it.
func (f *File) connectionLost() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.redoUnstableLocked()
	if f.trunc != nil {
		f.resendLocked()
	}
	f.changedLocked()
}

// Abandon forgets everything of a file that nobody can ask for any more: it has
// neither a name nor a handle.
func (f *File) Abandon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.goneLocked(f.set.cut(0, 1<<63-1, nil), false)
	if f.trunc != nil {
		f.forgetTruncationLocked(errjournal.Superseded)
	}
	f.changedLocked()
}
