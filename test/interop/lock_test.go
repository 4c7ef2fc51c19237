package interop

import (
	"path/filepath"
	"syscall"
	"time"

	"p9mapfs/p9client"
)

// lockClient is the client_id of locks: ganesha asks the resolver for it.
const lockClient = "127.0.0.1"

var lockCases = []testCase{
	{name: "a lock keeps another client out until it is given back", verbs: "Tlock", needs: locks, run: func(r *rig) {
		r.put("file", "content")
		mine, theirs := r.open("file", syscall.O_RDWR), r.openElsewhere("file")
		whole := p9client.Lock{Type: p9client.LockWrite, ProcID: 1, ClientID: lockClient}
		other := p9client.Lock{Type: p9client.LockWrite, ProcID: 2, ClientID: lockClient}
		r.locks(mine, whole, p9client.LockSuccess)
		r.locks(theirs, other, p9client.LockBlocked)
		whole.Type = p9client.LockUnlock
		r.locks(mine, whole, p9client.LockSuccess)
		r.locks(theirs, other, p9client.LockSuccess)
		if r.deviates(lockEnds) {
			other.Type = p9client.LockUnlock
			r.locks(theirs, other, p9client.LockSuccess)
		}
		theirs.Clunk() // ends it
		whole.Type = p9client.LockWrite
		r.lockComes(mine, whole)
	}, refused: lockAttempt},
	{name: "getlock tells what is in the way", verbs: "Tgetlock", needs: locks, run: func(r *rig) {
		r.put("file", "content")
		mine, theirs := r.open("file", syscall.O_RDWR), r.openElsewhere("file")
		lock := p9client.Lock{Type: p9client.LockWrite, ProcID: 1, ClientID: lockClient}
		wanted := p9client.Lock{Type: p9client.LockWrite, ProcID: 2, ClientID: lockClient}
		r.locks(mine, lock, p9client.LockSuccess)
		got, err := theirs.GetLock(r.ctx, wanted)
		if r.ok(err); got.Type != p9client.LockWrite {
			r.Errorf("in the way is %+v", got)
		}
		lock.Type = p9client.LockUnlock
		r.locks(mine, lock, p9client.LockSuccess)
		got, err = theirs.GetLock(r.ctx, wanted)
		if r.ok(err); (got.Type == p9client.LockUnlock) == r.deviates(lockTold) {
			r.Errorf("still in the way is %+v", got)
		}
	}, refused: func(r *rig) func() error {
		r.put("file", "content")
		f := r.open("file", syscall.O_RDWR)
		return func() error {
			return ignore(f.GetLock(r.ctx, p9client.Lock{Type: p9client.LockWrite, ProcID: 1, ClientID: lockClient}))
		}
	}},
	{name: "read locks are shared, write locks are not", verbs: "Tlock", needs: locks, run: func(r *rig) {
		r.put("file", "content")
		mine, theirs := r.open("file", syscall.O_RDWR), r.openElsewhere("file")
		lock := p9client.Lock{Type: p9client.LockRead, ProcID: 1, ClientID: lockClient}
		other := p9client.Lock{Type: p9client.LockRead, ProcID: 2, ClientID: lockClient}
		r.locks(mine, lock, p9client.LockSuccess)
		r.locks(theirs, other, p9client.LockSuccess)
		other.Type = p9client.LockWrite
		r.locks(theirs, other, p9client.LockBlocked)
	}, refused: lockAttempt},
	{name: "locks of ranges that do not meet do not meet", verbs: "Tlock", needs: rangeLocks, run: func(r *rig) {
		r.put("file", "content")
		mine, theirs := r.open("file", syscall.O_RDWR), r.openElsewhere("file")
		lock := p9client.Lock{Type: p9client.LockWrite, Start: 0, Length: 100, ProcID: 1, ClientID: lockClient}
		other := p9client.Lock{Type: p9client.LockWrite, Start: 100, Length: 100, ProcID: 2, ClientID: lockClient}
		r.locks(mine, lock, p9client.LockSuccess)
		r.locks(theirs, other, p9client.LockSuccess)
		other.Start = 99
		r.locks(theirs, other, p9client.LockBlocked)
	}, refused: func(r *rig) func() error {
		if r.lacks(locks) {
			return lockAttempt(r)
		}
		r.put("file", "content")
		mine, theirs := r.open("file", syscall.O_RDWR), r.openElsewhere("file")
		r.locks(mine, p9client.Lock{Type: p9client.LockWrite, Length: 100, ProcID: 1, ClientID: lockClient}, p9client.LockSuccess)
		return func() error {
			st, err := theirs.Lock(r.ctx, p9client.Lock{Type: p9client.LockWrite, Start: 100, Length: 100, ProcID: 2, ClientID: lockClient})
			if err == nil && st == p9client.LockBlocked {
				err = syscall.EAGAIN
			}
			return err
		}
	}},
}

// openElsewhere opens a file through a session of its own, as another client.
func (r *rig) openElsewhere(name string) *p9client.Fid {
	r.Helper()
	s := dial(r.T, r.peer, rootUser(r.peer))
	f := r.walkFrom(s.Root(), filepath.Base(r.dir), name)
	r.ok(f.Open(r.ctx, syscall.O_RDWR))
	return f
}

func (r *rig) locks(f *p9client.Fid, l p9client.Lock, want p9client.LockStatus) {
	r.Helper()
	if st, err := f.Lock(r.ctx, l); err != nil || st != want {
		r.Errorf("lock %+v: status %d, %v, want %d", l, st, err, want)
	}
}

// lockComes waits for a lock that another fid's Tclunk, under way, is to free.
func (r *rig) lockComes(f *p9client.Fid, l p9client.Lock) {
	r.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		st, err := f.Lock(r.ctx, l)
		r.ok(err)
		if st == p9client.LockSuccess {
			return
		}
	}
	r.Errorf("lock %+v does not come", l)
}

func lockAttempt(r *rig) func() error {
	r.put("file", "content")
	f := r.open("file", syscall.O_RDWR)
	return func() error {
		return ignore(f.Lock(r.ctx, p9client.Lock{Type: p9client.LockWrite, ProcID: 1, ClientID: lockClient}))
	}
}
