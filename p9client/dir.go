package p9client

import (
	"context"
	"syscall"
)

// ReadDir returns the entries of an open directory that follow offset, at most
// count bytes of them as the server packs them; none at the end. Entries "." and
// "..", and names that could not be a file's, are left out; so the result may be
// empty with next != offset before the end: go on at next.
func (f *Fid) ReadDir(ctx context.Context, offset uint64, count int) (l []Dirent, next uint64, err error) {
	count = min(count, f.MaxIO())
	err = f.do(ctx, "Treaddir", func(at *standing) error {
		l, next, err = at.c.say.readdir(ctx, at, offset, count)
		return err
	})
	return l, next, err
}

// makeNode runs a request that makes elem below f and returns its qid.
func (f *Fid) makeNode(ctx context.Context, op, elem string, request func(at *standing) (Qid, error)) (qid Qid, err error) {
	if err := f.checkNames(op, elem); err != nil {
		return qid, err
	}
	err = f.once(ctx, op, func(at *standing) error {
		qid, err = request(at)
		return err
	}, func(ctx context.Context) (fate, error) {
		return f.look(ctx, elem, func(Qid) fate { return unknown }, not)
	})
	return qid, err
}

// Mkdir makes a directory below f.
func (f *Fid) Mkdir(ctx context.Context, elem string, perm, gid uint32) (Qid, error) {
	return f.makeNode(ctx, "Tmkdir", elem, func(at *standing) (Qid, error) { return at.c.say.mkdir(ctx, at, elem, perm, gid) })
}

// Symlink makes a symbolic link below f.
func (f *Fid) Symlink(ctx context.Context, elem, target string, gid uint32) (Qid, error) {
	return f.makeNode(ctx, "Tsymlink", elem, func(at *standing) (Qid, error) { return at.c.say.symlink(ctx, at, elem, target, gid) })
}

// Mknod makes a device, a fifo or a socket below f; mode as in mknod(2).
func (f *Fid) Mknod(ctx context.Context, elem string, mode, major, minor, gid uint32) (Qid, error) {
	return f.makeNode(ctx, "Tmknod", elem, func(at *standing) (Qid, error) {
		return at.c.say.mknod(ctx, at, elem, mode, major, minor, gid)
	})
}

// Link gives target the name elem below f too.
func (f *Fid) Link(ctx context.Context, target *Fid, elem string) error {
	const op = "Tlink"
	if err := f.checkNames(op, elem); err != nil {
		return err
	}
	target.pins.Add(1)
	defer target.pins.Add(-1)
	return f.once(ctx, op, func(at *standing) error {
		to, err := target.stand(ctx)
		if err == nil && to.c != at.c {
			err = &lostError{cause: errNoConnection, unsent: true}
		}
		if err != nil {
			return unsent(err)
		}
		// If it is there already, a success could not be told later from that.
		if _, found, err := at.find(ctx, elem); err != nil {
			return unsent(err)
		} else if found {
			return &Error{Errno: syscall.EEXIST}
		}
		return at.c.say.link(ctx, at, to, elem)
	}, func(ctx context.Context) (fate, error) {
		return f.look(ctx, elem, func(q Qid) fate {
			if q.same(target.qid) {
				return obeyed
			}
			return unknown // somebody else's, made before or after
		}, not)
	})
}

const atRemoveDir = 0x200 // AT_REMOVEDIR

// Unlink removes elem below f: a directory if flags are AT_REMOVEDIR, anything
// else if they are 0.
func (f *Fid) Unlink(ctx context.Context, elem string, flags uint32) error {
	const op = "Tunlinkat"
	if err := f.checkNames(op, elem); err != nil {
		return err
	}
	err := f.once(ctx, op, func(at *standing) error {
		return at.c.say.unlink(ctx, at, elem, flags)
	}, func(ctx context.Context) (fate, error) {
		// It was there when the request was sent: the caller had looked it up.
		// What is there now may be somebody else's, made afterwards.
		return f.look(ctx, elem, func(q Qid) fate {
			if was, known := f.childQid(elem); known && !q.same(was) {
				return unknown
			}
			return not
		}, obeyed)
	})
	if err == nil {
		f.s.mu.Lock()
		f.name.removeLocked(elem)
		f.s.moves.Add(1)
		f.s.mu.Unlock()
	}
	return err
}

// Rename moves oldElem below f to newElem below dir, replacing what is there.
func (f *Fid) Rename(ctx context.Context, oldElem string, dir *Fid, newElem string) error {
	const op = "Trenameat"
	if err := f.checkNames(op, oldElem, newElem); err != nil {
		return err
	}
	ctx, done := f.renaming(ctx, oldElem, dir)
	defer done()
	src, known := f.childQid(oldElem)
	aside := asideName()
	tried := false
	cut := false // something may have been set aside, and is still there
	err := f.once(ctx, op, func(at *standing) error {
		to, err := dir.stand(ctx)
		if err == nil && to.c != at.c {
			err = &lostError{cause: errNoConnection, unsent: true}
		}
		if err != nil {
			return unsent(err)
		}
		if !known { // no fid is there: learn what moves, to find it again after a loss
			qid, found, err := at.find(ctx, oldElem)
			if err == nil && !found {
				err = &Error{Errno: syscall.ENOENT}
			}
			if err != nil {
				return unsent(err)
			}
			src, known = qid, true
		}
		tried = true
		err = at.c.say.rename(ctx, at, oldElem, to, newElem, aside, f.qid.same(dir.qid))
		cut = cut || isLost(err)
		return err
	}, func(ctx context.Context) (fate, error) {
		// The old name was there when the request was sent. If it is gone, the new
		// one tells whether it was this request that moved it.
		isSrc := func(yes fate) func(Qid) fate {
			return func(q Qid) fate {
				if q.same(src) {
					return yes
				}
				return unknown
			}
		}
		const gone = fate(-1)
		was, err := f.look(ctx, oldElem, isSrc(not), gone)
		if was == gone {
			return dir.look(ctx, newElem, isSrc(obeyed), unknown)
		}
		return was, err
	})
	switch {
	case tried && (isLost(err) || err != nil && ctx.Err() != nil):
		f.tidyLater(aside, newElem)
	case cut:
		f.tidyNow(ctx, aside, newElem)
	}
	if err == nil {
		f.s.mu.Lock()
		f.name.renameLocked(oldElem, dir.name, newElem)
		f.s.moves.Add(1)
		f.s.mu.Unlock()
	}
	return err
}
