package p9client

import "context"

// A LockType is that of fcntl(2)'s F_RDLCK, F_WRLCK and F_UNLCK, numbered as on
// the wire.
type LockType uint8

const (
	LockRead LockType = iota
	LockWrite
	LockUnlock
)

// Bits of Lock.Flags.
const (
	LockBlock   = 1 // the caller is willing to wait: servers answer LockBlocked all the same
	LockReclaim = 2
)

// A Lock is an advisory lock on a range of an open file. Its owner is ClientID
// and ProcID together.
type Lock struct {
	Type          LockType
	Flags         uint32
	Start, Length uint64 // bytes; a length of 0 reaches to the end of the file
	ProcID        uint32
	ClientID      string
}

// A LockStatus is an Rlock's answer.
type LockStatus uint8

const (
	LockSuccess LockStatus = iota
	LockBlocked            // somebody else has it: ask again later
	LockError
	LockGrace // the server has just started and waits for reclaims
)

// Lock sets or removes a lock on the open fid; it does not wait for its owner.
// Like every lock of a connection it is gone with that: who holds it has to take
// it again after a reconnect. EOPNOTSUPP where the dialect has no locks.
func (f *Fid) Lock(ctx context.Context, l Lock) (st LockStatus, err error) {
	err = f.do(ctx, "Tlock", func(at *standing) error {
		st, err = at.c.say.lock(ctx, at, l)
		return err
	})
	return st, err
}

// GetLock returns a lock that stands in the way of l, or l with the type
// LockUnlock if there is none.
func (f *Fid) GetLock(ctx context.Context, l Lock) (r Lock, err error) {
	err = f.do(ctx, "Tgetlock", func(at *standing) error {
		r, err = at.c.say.getlock(ctx, at, l)
		return err
	})
	return r, err
}
