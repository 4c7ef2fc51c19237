package errjournal

import "syscall"

// A Cursor is one handle's place among the losses of its file.
type Cursor struct {
	log  *Log
	seen uint64 // the losses its handle has been told, or that others were told before it; guarded by log.j.mu
}

// Cursor returns a new cursor, to be made at open(2). It stands at now, unless
// there is a loss that no cursor was ever told: then it stands before that one.
func (l *Log) Cursor() *Cursor {
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	l = l.j.attachLocked(l)
	return &Cursor{log: l, seen: l.told}
}

// Check returns nil, or the syscall.Errno of the newest loss if its handle was
// not told of it yet. It then has been, of that one and all before it.
func (c *Cursor) Check() error {
	l := c.log
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	if c.seen == l.losses {
		return nil
	}
	c.seen, l.told = l.losses, l.losses
	return l.lossErrno
}

func (l *Log) loseLocked(errno syscall.Errno) {
	if errno == 0 {
		errno = syscall.EIO
	}
	l.losses++
	l.lossErrno = errno
}
