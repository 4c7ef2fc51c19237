package writeback

import (
	"math"
	"time"
)

// schedule owns the queue: it decides what the workers send, and when.
func (fl *Flusher) schedule() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var looked time.Time // for files that need a Tfsync
	for {
		now := time.Now()
		w, wake := fl.next(now)
		if w == nil || now.Sub(looked) >= lookForSyncs {
			looked = now
			fl.startSyncs(now, &wake)
		}
		if w != nil {
			select {
			case fl.work <- w:
				continue
			case <-fl.ctx.Done():
				return
			}
		}
		if wake.t.IsZero() {
			timer.Reset(time.Hour)
		} else {
			timer.Reset(max(time.Until(wake.t), 0))
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
func (fl *Flusher) next(now time.Time) (w *flight, wake earliest) {
	fl.mu.Lock()
	turns := len(fl.mu.queue)
	pressed := fl.mu.held-fl.mu.failed > fl.o.Background
	link := fl.mu.link
	fl.mu.Unlock()
	for range turns {
		fl.mu.Lock()
		f := fl.mu.queue[0]
		fl.mu.queue = append(fl.mu.queue[1:], f)
		fl.mu.Unlock()
		if w = f.take(link, now, pressed, &wake); w != nil {
			return w, earliest{}
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

// take removes one errand from f's due, or adds the time to wake at which there
// will be one.
func (f *File) take(link Link, now time.Time, pressed bool, wake *earliest) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.emptyLocked() {
		f.released = false
		f.unqueueLocked()
		return nil
	}
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
		f.nextDueLocked(wake, now)
		return nil
	}
	if t := f.trunc; t != nil && t.resend {
		if t.err != nil || len(f.flights) > 0 || f.cutting != nil || len(f.discarding) > 0 {
			return nil // the extents wait for it
		}
		w := &flight{file: f, generation: link.Generation, trunc: t, off: t.least(), n: t.last() - t.least()}
		f.flights = append(f.flights, w)
		return w
	}
	if f.set.bytes[dirty] > 0 {
		if w := f.takeRunLocked(now, pressed); w != nil {
			w.generation = link.Generation
			return w
		}
		f.nextDueLocked(wake, now)
	}
	return nil
}

// dueLocked reports whether a dirty extent has waited long enough.
func (f *File) dueLocked(e *extent, now time.Time) bool {
	return f.urgent > 0 || f.fl.o.Through || e.rec != nil || now.Sub(e.born) >= f.fl.o.Age
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
	full := int64(f.fl.o.MaxWrite)
	due := func(e *extent) bool { return pressed || f.dueLocked(e, now) }
	off, n := f.set.nextRun(f.cursor, math.MaxInt64, full, f.blockedLocked, due)
	if n == 0 && f.cursor > 0 {
		off, n = f.set.nextRun(0, f.cursor, full, f.blockedLocked, due)
	}
	if n == 0 {
		return nil
	}
	w := &flight{file: f, off: off, n: n}
	l := f.set.list(w.off, w.end())
	if last := l[len(l)-1]; last.end() > w.end() {
		f.set.split(last, w.end())
	}
	for _, e := range l {
		f.set.setState(e, inFlight)
		e.fl = w
		w.parts = append(w.parts, e.data)
	}
	f.flights = append(f.flights, w)
	f.cursor = w.end()
	return w
}

// blockedLocked reports whether [off, end) has to wait: for a Twrite in flight
// that overlaps it, for a truncation being asked for, or for a Discard.
func (f *File) blockedLocked(off, end int64) bool {
	if f.cutting != nil && end > *f.cutting {
		return true
	}
	for _, w := range f.flights {
		if off < w.end() && w.off < end {
			return true
		}
	}
	for _, d := range f.discarding {
		if d.overlaps(off, end) {
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
