package writeback

import (
	"errors"
	"syscall"
	"time"

	errjournal "p9mapfs/errors"
)

// A commit is one Tfsync. Those who ask while one is running share the next.
type commit struct {
	done  chan struct{} // closed when answered
	err   error         // valid after that
	bytes int64         // unstable when it was started
	ours  bool          // nobody asked for it
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
	c.bytes = f.set.bytes[unstable]
	f.fl.syncing(c, +1)
	f.fl.wg.Go(func() { f.run(c) })
}

// run sends the Tfsync of c, and then has the next one sent if it was asked for.
func (f *File) run(c *commit) {
	fl := f.fl
	link, _ := fl.link()
	f.mu.Lock()
	cover := f.acks
	f.mu.Unlock()
	start := time.Now()
	c.err = f.remote.Sync(fl.o.Pin(fl.ctx, link.Generation))
	if c.err == nil && c.bytes > 0 {
		fl.synced(time.Since(start))
	}
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
		f.durableLocked(mine)
		if t != nil && t.durable(cover) {
			f.forgetTruncationLocked(errjournal.Resolved)
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
	was := f.commits
	f.fl.syncing(was.running, -1)
	f.commits = commits{}
	if was.next != nil {
		f.startLocked(was.next)
	}
}
