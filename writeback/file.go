package writeback

import (
	"sync"
	"time"

	errjournal "p9mapfs/errors"
)

// A File holds what the server lacks of one file.
type File struct {
	fl      *Flusher
	remote  Remote
	log     *errjournal.Log
	dropped func(off, n int64)

	truncating chan struct{} // capacity 1: held by the one Truncate at work

	mu            sync.Mutex // guards what follows
	set           extents
	epoch         uint64 // given to stores; each Sync, Drain, Truncate and Discard starts a new one
	acks          uint64 // serial of the last Rwrite or Rsetattr
	landed        uint64 // changes of the server's file by us; see Changes
	redone        uint64 // times that the server was found to lack what it had; see ReadAt
	flights       []*flight
	cutting       *int64      // size that a Truncate is asking the server for
	discarding    []*reach    // what calls of Discard are about to drop
	trunc         *truncation // agreed by the server, not durable
	commits       commits
	refusal       error     // why bytes are failed, the newest reason
	retryAt       time.Time // when failed extents become dirty again by themselves
	retryWait     time.Duration
	urgent        int           // drains waiting: everything is due
	cursor        int64         // where the scheduler goes on
	records       int           // records open in the journal
	unsyncedSince time.Time     // since when there are unstable bytes; zero: there are none
	news          chan struct{} // closed at the next change that a waiter may look for; nil if nobody waits
	published     struct{ held, unstable, failed int64 }
	queued        bool
	released      bool // no handle is open, and something was left then
}

// Held returns the bytes that the server has not acknowledged, those of them it
// refused, and those acknowledged but not durable.
func (f *File) Held() (held, refused, acked int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set.held(), f.set.bytes[failed], f.set.bytes[unstable]
}

// Clean reports whether nothing is left that the server might lack.
func (f *File) Clean() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.emptyLocked() && f.commits.running == nil
}

func (f *File) emptyLocked() bool { return f.set.tree.Len() == 0 && f.trunc == nil }

// Size returns the file's size as programs have to see it, given the size that
// the server reports.
func (f *File) Size(server int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	link, _ := f.fl.link()
	if f.resendingLocked(link) {
		server = f.trunc.last()
	}
	return max(server, f.endLocked(link))
}

// Changes returns a number that grows whenever the server's file was changed by
// us. A reply to Tgetattr can be compared with Size, or with an earlier reply,
// only if the number is the same.
func (f *File) Changes() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.landed
}

// Sending reports whether anything is on its way to the server, or waits to be.
func (f *File) Sending() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set.held() > 0 || f.cutting != nil || f.trunc != nil && f.trunc.resend
}

// Released tells that no handle is open. What is left is sent, and made durable,
// soon: later it might go over what others have written meanwhile.
func (f *File) Released() {
	f.mu.Lock()
	f.released = !f.emptyLocked()
	f.mu.Unlock()
	f.fl.kick()
}

// newsLocked returns a channel that is closed at the next change.
func (f *File) newsLocked() <-chan struct{} {
	if f.news == nil {
		f.news = make(chan struct{})
	}
	return f.news
}

// changedLocked wakes those who wait for f, tells the flusher f's new sums and
// queues f while it has anything to send.
func (f *File) changedLocked() {
	if f.news != nil {
		close(f.news)
		f.news = nil
	}
	if f.set.bytes[unstable] == 0 && f.trunc == nil {
		f.unsyncedSince = time.Time{}
	} else if f.unsyncedSince.IsZero() {
		f.unsyncedSince = time.Now()
	}
	was := f.published
	f.published.held = f.set.held()
	f.published.unstable = f.set.bytes[unstable]
	f.published.failed = f.set.bytes[failed]
	now := f.published
	fl := f.fl
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.mu.held += now.held - was.held
	fl.mu.unstable += now.unstable - was.unstable
	fl.mu.failed += now.failed - was.failed
	if (now.held < was.held || now.unstable < was.unstable) && fl.mu.room != nil {
		close(fl.mu.room)
		fl.mu.room = nil
	}
	if !f.queued && !f.emptyLocked() {
		f.queued = true
		fl.mu.queue = append(fl.mu.queue, f)
	}
}
