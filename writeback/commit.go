package writeback

import (
	"errors"
	"syscall"
	"time"

	errjournal "p9mapfs/errors"
)

// A commit is one Tfsync. Those who ask while one is running share the next.
type commit struct {
	done chan struct{} // closed when answered
	err  error         // valid after that
}

type commits struct{ running, next *commit }

// commit sends a Tfsync that covers everything acknowledged before the call. It
// is not bound to a caller's context: a server tells of a lost write once, and
// a cancelled Tfsync would tell it to nobody.
func (f *File) commit() *commit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commitLocked()
}

func (f *File) commitLocked() *commit {
	c := &f.commits
	switch {
	case c.running == nil:
		f.startLocked(&commit{done: make(chan struct{})})
		return c.running
	case c.next == nil:
		c.next = &commit{done: make(chan struct{})}
	}
	return c.next
}

func (f *File) startLocked(c *commit) {
	f.commits.running = c
	f.fl.wg.Go(func() { f.run(c) })
}

// run sends the Tfsync of c, and then has the next one sent if it was asked for.
func (f *File) run(c *commit) {
	fl := f.fl
	link, _ := fl.link()
	f.mu.Lock()
	cover := f.acks
	f.mu.Unlock()
	c.err = f.remote.Sync(fl.o.Pin(fl.ctx, link.Generation))
	if errors.Is(c.err, syscall.EOPNOTSUPP) || errors.Is(c.err, syscall.ENOSYS) {
		c.err = nil // a server without sync: acknowledged is all there is
	}
	if c.err != nil && (disconnected(c.err) || fl.ctx.Err() != nil) {
		fl.suspect(link.Generation)
	}
	f.committed(link.Generation, cover, c.err)
	close(c.done)
}

// committed is told what became of a Tfsync, which covered the Rwrites up to
// serial cover that came over a connection of the same generation.
func (f *File) committed(generation, cover uint64, err error) {
	f.mu.Lock()
	defer f.fl.kick()
	defer f.mu.Unlock()
	next := f.commits.next
	f.commits = commits{}
	if next != nil {
		f.startLocked(next)
	}
	var mine []*extent
	f.set.all(func(e *extent) bool {
		if e.state == unstable && e.ack <= cover && e.gen == generation {
			mine = append(mine, e)
		}
		return true
	})
	t := f.trunc
	if t != nil && (t.cuts[0].ack > cover || t.gen != generation || t.resend) {
		t = nil
	}
	f.unsyncedSince = time.Time{} // changedLocked starts the time anew if any are left
	switch {
	case err == nil:
		for _, e := range mine {
			f.set.remove(e)
		}
		f.goneLocked(mine, true)
		if t != nil && t.durable(cover) {
			f.forgetTruncationLocked(errjournal.Resolved)
		}
		if f.set.bytes[failed] == 0 {
			f.retryWait = 0
		}
	case disconnected(err) || f.fl.ctx.Err() != nil:
		f.redoLocked(mine)
		if t != nil {
			f.resendLocked()
		}
	default:
		f.refusedLocked("Tfsync", err, mine)
		if t != nil {
			f.truncRefusedLocked("Tfsync", err)
		}
	}
	f.changedLocked()
}

// commitIfDueLocked sends a Tfsync for bytes that nobody asked to be made
// durable: because they are old, because there are many, or because the journal
// has lines that wait for it.
func (f *File) commitIfDueLocked(wake *earliest, link Link, now time.Time, hurry bool) {
	if f.unsyncedSince.IsZero() || f.commits.running != nil {
		return
	}
	age := f.fl.o.SyncAge
	if f.released {
		age = min(age, f.fl.o.Age)
	}
	at := f.unsyncedSince.Add(age)
	told := (f.records > 0 || f.trunc != nil && f.trunc.rec != 0) && f.set.held() == 0
	if hurry || told || !now.Before(at) {
		f.commitLocked()
		return
	}
	wake.add(at)
}
