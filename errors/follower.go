package errjournal

import (
	"context"
	"fmt"
)

// A Follower is one reader's place among the changes of a Journal: it is given
// every record and every change of one, in order, or told how many it missed. It
// holds nothing: one that is never asked again costs nothing, and needs no Close.
type Follower struct {
	j  *Journal
	at uint64 // serial of the last change that it was given; guarded by j.mu
}

// Follow returns a Follower of what happens from now on.
func (j *Journal) Follow() *Follower {
	return &Follower{j: j, at: j.Serial()}
}

// Ready returns a channel that is closed when Take has something to give. It is
// good for one wait; ask again after Take.
func (f *Follower) Ready() <-chan struct{} {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	if f.at < f.j.mu.serial {
		return closed
	}
	return f.j.changedLocked()
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Take returns what happened since the last Take, or nothing, without waiting:
// the entries as they were issued, oldest first, File being the name at that time,
// at most Options.Events of them; and missed, the number of changes before the
// first of these which are remembered no more.
func (f *Follower) Take() (entries []Entry, missed uint64) {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	entries, f.at, missed = f.j.sinceLocked(f.at)
	return entries, missed
}

// Next waits until something happens, and takes it. Its error is the cause of
// ctx's end; nothing is taken then.
func (f *Follower) Next(ctx context.Context) (entries []Entry, missed uint64, err error) {
	for {
		select {
		case <-f.Ready():
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
		if entries, missed = f.Take(); len(entries) > 0 {
			return entries, missed, nil
		}
	}
}

// AppendGap appends the comment line that tells a reader of lines that he missed
// so many changes; nothing if that is 0. It belongs before the entries that came
// with it.
func AppendGap(b []byte, missed uint64) []byte {
	if missed == 0 {
		return b
	}
	return fmt.Appendf(b, "# %d changes missed: they came faster than they were read\n", missed)
}
