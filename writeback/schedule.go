package writeback

import (
	"time"
)

// schedule owns the queue: it decides what the workers send, and when.
func (fl *Flusher) schedule() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w, next := fl.next(time.Now())
		if w != nil {
			select {
			case fl.work <- w:
				continue
			case <-fl.ctx.Done():
				return
			}
		}
		if next.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(max(time.Until(next), 0))
		}
		select {
		case <-fl.kicked:
		case <-timer.C:
		case <-fl.ctx.Done():
			return
		}
	}
}

// next returns the next errand, giving each file its turn, or else the time at
// which there will be one, if that is known.
func (fl *Flusher) next(now time.Time) (*flight, time.Time) {
	var wake time.Time
	fl.mu.Lock()
	turns := len(fl.mu.queue)
	pressed := fl.mu.held-fl.mu.failed > fl.o.Background
	hurry := fl.mu.unstable > fl.o.Unstable
	link := fl.mu.link
	fl.mu.Unlock()
	for range turns {
		fl.mu.Lock()
		f := fl.mu.queue[0]
		fl.mu.queue = append(fl.mu.queue[1:], f)
		fl.mu.Unlock()
		w, at := f.take(link, now, pressed, hurry)
		if w != nil {
			return w, time.Time{}
		}
		if !at.IsZero() && (wake.IsZero() || at.Before(wake)) {
			wake = at
		}
	}
	return nil, wake
}

// unqueueLocked takes f, which is last in the queue, out of it. Only the
// scheduler calls it.
func (f *File) unqueueLocked() {
	fl := f.fl
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for i, x := range fl.mu.queue {
		if x == f {
			fl.mu.queue = append(fl.mu.queue[:i], fl.mu.queue[i+1:]...)
			break
		}
	}
	f.queued = false
}

// take removes one errand from f's due, or says when there will be one.
func (f *File) take(link Link, now time.Time, pressed, hurry bool) (*flight, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.emptyLocked() {
		f.released = false
		f.unqueueLocked()
		return nil, time.Time{}
	}
	wake := earliest{}
	// While somebody drains, what is refused stays refused until he was told.
	if f.urgent == 0 && !f.retryAt.IsZero() && (f.set.bytes[failed] > 0 || f.trunc != nil && f.trunc.err != nil) {
		if now.Before(f.retryAt) {
			wake.add(f.retryAt)
		} else {
			f.retryLocked(false)
		}
	}
	if !link.Up {
		f.pendLocked(link, now)
		f.nextDueLocked(&wake, now)
		return nil, wake.t
	}
	if t := f.trunc; t != nil && t.resend {
		if t.err != nil || len(f.flights) > 0 || f.cutting != nil {
			return nil, wake.t // the extents wait for it
		}
		w := &flight{file: f, generation: link.Generation, trunc: t, off: t.least(), n: t.last() - t.least()}
		f.flights = append(f.flights, w)
		return w, time.Time{}
	}
	if f.set.bytes[dirty] > 0 {
		if w := f.takeRunLocked(now, pressed); w != nil {
			w.generation = link.Generation
			return w, time.Time{}
		}
		f.nextDueLocked(&wake, now)
	}
	f.commitIfDueLocked(&wake, link, now, hurry)
	return nil, wake.t
}

// dueLocked reports whether a dirty extent has waited long enough.
func (f *File) dueLocked(e *extent, now time.Time) bool {
	return f.urgent > 0 || e.rec != nil || now.Sub(e.born) >= f.fl.o.Age
}

func (f *File) nextDueLocked(wake *earliest, now time.Time) {
	f.set.all(func(e *extent) bool {
		if e.state == dirty && e.rec == nil && !f.dueLocked(e, now) {
			wake.add(e.born.Add(f.fl.o.Age))
		}
		return true
	})
}

// takeRunLocked puts the next run of adjacent dirty extents in flight, at most
// one Twrite's worth of it, going round the file from the cursor.
func (f *File) takeRunLocked(now time.Time, pressed bool) *flight {
	w := f.runFromLocked(f.cursor, 1<<63-1, now, pressed)
	if w == nil && f.cursor > 0 {
		w = f.runFromLocked(0, f.cursor, now, pressed)
	}
	if w == nil {
		return nil
	}
	for _, e := range f.set.list(w.off, w.end()) {
		f.set.setState(e, inFlight)
		e.fl = w
		w.parts = append(w.parts, e.data)
	}
	f.flights = append(f.flights, w)
	f.cursor = w.end()
	return w
}

// runFromLocked finds a run that starts in [from, to).
func (f *File) runFromLocked(from, to int64, now time.Time, pressed bool) *flight {
	var w *flight
	full := int64(f.fl.o.MaxWrite)
	due := false
	f.set.tree.Ascend(from, func(_ int64, e *extent) bool {
		usable := e.state == dirty && !f.blockedLocked(e.off, e.end())
		if w != nil && (!usable || e.off != w.end() || w.n >= full) {
			if due || pressed {
				return false
			}
			w = nil
		}
		if w == nil {
			if e.off >= to {
				return false
			}
			if !usable {
				return true
			}
			w, due = &flight{file: f, off: e.off}, false
		}
		w.n += int64(len(e.data))
		due = due || f.dueLocked(e, now)
		return true
	})
	if w == nil || !due && !pressed {
		return nil
	}
	if w.n > full {
		w.n = full
		last := f.set.list(w.end()-1, w.end())[0]
		if last.end() > w.end() {
			f.set.split(last, w.end())
		}
	}
	return w
}

// blockedLocked reports whether [off, end) has to wait: for a Twrite in flight
// that overlaps it, or for a truncation being asked for.
func (f *File) blockedLocked(off, end int64) bool {
	if f.cutting != nil && end > *f.cutting {
		return true
	}
	for _, w := range f.flights {
		if off < w.end() && w.off < end {
			return true
		}
	}
	return false
}

// earliest collects the earliest of several times.
type earliest struct{ t time.Time }

func (e *earliest) add(t time.Time) {
	if e.t.IsZero() || t.Before(e.t) {
		e.t = t
	}
}
