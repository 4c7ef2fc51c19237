package writeback

import (
	"cmp"
	"slices"
	"time"
)

// Tfsyncs that nobody asked for. Several files have theirs at once, so that one
// slow one does not stop the others; not all do, because a server's disk gains
// nothing by that.
const syncsAtOnce = 4

// While there are Twrites to send, the queue is looked through for files that
// need a Tfsync only so often.
const lookForSyncs = 20 * time.Millisecond

// An unsynced file has something that the server has acknowledged and not made
// durable, and no Tfsync under way.
type unsynced struct {
	f        *File
	released bool      // no handle is open
	at       time.Time // when a Tfsync is due
	bytes    int64
}

// startSyncs sends the Tfsyncs that are due, or needed because too many bytes are
// unstable, and adds to wake when the next will be due.
func (fl *Flusher) startSyncs(now time.Time, wake *earliest) {
	fl.mu.Lock()
	up := fl.mu.link.Up
	files := slices.Clone(fl.mu.queue)
	over, free := fl.overLocked(), syncsAtOnce-fl.mu.ours
	fl.mu.Unlock()
	if !up {
		return
	}
	var l []unsynced
	for _, f := range files {
		if u, ok := f.unsynced(now); ok {
			l = append(l, u)
			if u.at.After(now) {
				wake.add(u.at)
			}
		}
	}
	for _, u := range chooseSyncs(l, now, over, free) {
		u.f.startSync()
	}
}

// chooseSyncs returns those of l to send a Tfsync for, at most free: first the
// released, then what is due, the oldest first, then, while more than over bytes
// remain to be made durable, those with most. What is not due is chosen only
// while over is above zero.
func chooseSyncs(l []unsynced, now time.Time, over int64, free int) []unsynced {
	due := func(u unsynced) bool { return !u.at.After(now) }
	rank := func(u unsynced) int {
		switch {
		case u.released:
			return 0
		case due(u):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(l, func(a, b unsynced) int {
		if c := cmp.Compare(rank(a), rank(b)); c != 0 {
			return c
		}
		if due(a) && due(b) {
			return a.at.Compare(b.at)
		}
		return cmp.Compare(b.bytes, a.bytes)
	})
	var chosen []unsynced
	for _, u := range l {
		if len(chosen) >= free {
			break
		}
		if due(u) || over > 0 {
			chosen = append(chosen, u)
			over -= u.bytes
		}
	}
	return chosen
}

// unsynced says when f's next Tfsync is due, if f needs one: when its unstable
// bytes are old, at once when lines of the journal wait for nothing else.
func (f *File) unsynced(now time.Time) (u unsynced, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unsyncedSince.IsZero() || f.commits.running != nil || f.trunc != nil && f.trunc.resend {
		return unsynced{}, false
	}
	age := f.fl.o.SyncAge
	if f.released {
		age = min(age, f.fl.o.Age)
	}
	u = unsynced{f: f, released: f.released, at: f.unsyncedSince.Add(age), bytes: f.set.bytes[unstable]}
	if (f.records > 0 || f.trunc != nil && f.trunc.rec != 0) && f.set.held() == 0 {
		u.at = now
	}
	return u, true
}

// startSync sends a Tfsync unless one is under way by now.
func (f *File) startSync() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.commits.running == nil {
		f.startLocked(&commit{done: make(chan struct{}), ours: true})
	}
}

// syncing counts c among the Tfsyncs under way (+1), or no more (-1).
func (fl *Flusher) syncing(c *commit, sign int) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.mu.covered += int64(sign) * c.bytes
	if c.ours {
		fl.mu.ours += sign
	}
}

// overLocked is by how many bytes those which are unstable, and which no Tfsync
// under way is about, exceed their bound.
func (fl *Flusher) overLocked() int64 {
	return fl.mu.unstable - fl.mu.covered - fl.mu.pace.bound(fl.o)
}

// acknowledged and synced tell the flusher's pace what the server did.
func (fl *Flusher) acknowledged(n int64) {
	now := time.Now()
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.mu.pace.acknowledged(now, n)
}

func (fl *Flusher) synced(d time.Duration) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.mu.pace.synced(d)
}
