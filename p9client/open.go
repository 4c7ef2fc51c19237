package p9client

import (
	"context"
	"errors"
	"syscall"
)

// Open flags that act once, or would change what a Twrite means. O_APPEND is
// never sent: a server that keeps it ignores the offset of a Twrite.
const (
	neverSent   = syscall.O_APPEND
	actOnce     = syscall.O_TRUNC | syscall.O_CREAT | syscall.O_EXCL
	largeFile   = 0100000 // O_LARGEFILE of the protocol
	accessFlags = syscall.O_ACCMODE
)

// Open opens the fid for I/O, flags as in open(2). O_TRUNC acts on this call
// only, not when the fid is opened again after a reconnect.
func (f *Fid) Open(ctx context.Context, flags uint32) error {
	flags = flags &^ (neverSent | syscall.O_CREAT | syscall.O_EXCL)
	if flags&syscall.O_DIRECTORY != 0 && f.qid.Type&QTDIR == 0 { // 9P2000 would open it
		return &Error{Op: "Tlopen", Path: f.Path(), Errno: syscall.ENOTDIR}
	}
	return f.do(ctx, "Tlopen", func(at *standing) error {
		select {
		case f.busy <- struct{}{}:
			defer func() { <-f.busy }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if f.open {
			return syscall.EBADF
		}
		if now := f.at.Load(); now != nil && now.c == at.c {
			at = now // walked again meanwhile, to where a rename has put it
		}
		qid, iounit, err := at.c.say.open(ctx, at.c, at.num, flags)
		if err != nil {
			if ctx.Err() != nil { // it may be open now: this fid is not to be used again
				f.at.Store(nil)
				f.retire(at, 1)
			}
			return err
		}
		f.open, f.flags = true, flags&^uint32(actOnce)
		f.at.Store(openStanding(at.c, opened{at.num, qid, iounit}, at.moves))
		return nil
	})
}

// Create makes a regular file below f and returns it open. perm are permission
// bits, flags those of open(2); O_EXCL is obeyed.
func (f *Fid) Create(ctx context.Context, elem string, flags, perm, gid uint32) (*Fid, error) {
	const op = "Tlcreate"
	if err := f.checkNames(op, elem); err != nil {
		return nil, err
	}
	flags &^= neverSent
	var g *Fid
	keep := flags &^ uint32(actOnce)
	err := f.once(ctx, op, func(at *standing) error {
		o, err := at.c.say.create(ctx, at, elem, flags, perm, gid)
		if err != nil {
			return err
		}
		g = f.derive(at.c, []string{elem}, o.qid)
		g.open, g.flags = true, keep
		g.take(openStanding(at.c, o, 0))
		return nil
	}, func(ctx context.Context) (fate, error) {
		return f.look(ctx, elem, func(Qid) fate {
			if flags&syscall.O_EXCL != 0 {
				return unknown
			}
			return not // creating what exists opens it
		}, not)
	})
	return g, err
}

// look walks to elem to learn what became of a request: there decides if
// something has that name, missing if nothing has.
func (f *Fid) look(ctx context.Context, elem string, there func(Qid) fate, missing fate) (fate, error) {
	at, err := f.stand(ctx)
	if err != nil {
		return unknown, err
	}
	qid, found, err := at.find(ctx, elem)
	switch {
	case err != nil:
		return unknown, err
	case found:
		return there(qid), nil
	}
	return missing, nil
}

// find returns what elem below the fid is.
func (at *standing) find(ctx context.Context, elem string) (qid Qid, found bool, err error) {
	num, qid, err := at.c.walk(ctx, at.num, []string{elem})
	if errors.Is(err, syscall.ENOENT) {
		return Qid{}, false, nil
	}
	if err != nil {
		return Qid{}, false, err
	}
	at.c.clunk(num)
	return qid, true, nil
}

// unsent makes of a loss, before the request that matters was sent, one that
// leaves no doubt about it.
func unsent(err error) error {
	if l, ok := err.(*lostError); ok {
		return &lostError{cause: l.cause, unsent: true, tried: l.tried || !l.unsent}
	}
	return err
}
