package p9client

import (
	"context"
	"fmt"
	"syscall"
)

// ReadDir returns the entries of an open directory that follow offset, at most
// count bytes of them as the server packs them; none at the end. Entries "." and
// "..", and names that could not be a file's, are left out; so the result may be
// empty with next != offset before the end: go on at next.
func (f *Fid) ReadDir(ctx context.Context, offset uint64, count int) (l []Dirent, next uint64, err error) {
	count = min(count, f.MaxIO())
	err = f.do(ctx, "Treaddir", func(at *standing) error {
		l, next = nil, offset
		cl := newCall(treaddir)
		cl.enc.u32(at.num)
		cl.enc.u64(offset)
		cl.enc.u32(uint32(count))
		return at.roundTrip(ctx, cl, func(d *decoder) {
			if n := d.u32(); int64(n) != int64(len(d.b)) || int(n) > count {
				d.err = fmt.Errorf("Rreaddir of %d bytes in a body of %d, %d were asked for", n, len(d.b), count)
				return
			}
			for len(d.b) > 0 && d.err == nil {
				e := Dirent{Qid: d.qid(), Offset: d.u64(), Type: d.u8(), Name: d.str()}
				if d.err != nil {
					return
				}
				next = e.Offset
				if validName(e.Name) {
					l = append(l, e)
				}
			}
			if len(l) > 0 && next == offset {
				d.err = fmt.Errorf("Rreaddir does not advance from offset %d", offset)
			}
		})
	})
	return l, next, err
}

// makeNode runs a request that makes elem below f and returns its qid.
func (f *Fid) makeNode(ctx context.Context, op string, typ uint8, elem string, fields func(e *encoder)) (Qid, error) {
	var qid Qid
	if !validName(elem) {
		return qid, &Error{Op: op, Path: f.Path(), Errno: syscall.EINVAL, Ename: fmt.Sprintf("%q cannot be a file's name", elem)}
	}
	err := f.once(ctx, op, func(at *standing) error {
		cl := newCall(typ)
		cl.enc.u32(at.num)
		cl.enc.str(elem)
		fields(&cl.enc)
		return at.roundTrip(ctx, cl, func(d *decoder) { qid = d.qid() })
	}, func(ctx context.Context) (fate, error) {
		return f.look(ctx, elem, func(Qid) fate { return unknown }, not)
	})
	return qid, err
}

// Mkdir makes a directory below f.
func (f *Fid) Mkdir(ctx context.Context, elem string, perm, gid uint32) (Qid, error) {
	return f.makeNode(ctx, "Tmkdir", tmkdir, elem, func(e *encoder) { e.u32(perm & 07777); e.u32(gid) })
}

// Symlink makes a symbolic link below f.
func (f *Fid) Symlink(ctx context.Context, elem, target string, gid uint32) (Qid, error) {
	return f.makeNode(ctx, "Tsymlink", tsymlink, elem, func(e *encoder) { e.str(target); e.u32(gid) })
}

// Mknod makes a device, a fifo or a socket below f; mode as in mknod(2).
func (f *Fid) Mknod(ctx context.Context, elem string, mode, major, minor, gid uint32) (Qid, error) {
	return f.makeNode(ctx, "Tmknod", tmknod, elem, func(e *encoder) { e.u32(mode); e.u32(major); e.u32(minor); e.u32(gid) })
}

// Link gives target the name elem below f too.
func (f *Fid) Link(ctx context.Context, target *Fid, elem string) error {
	const op = "Tlink"
	if !validName(elem) {
		return &Error{Op: op, Path: f.Path(), Errno: syscall.EINVAL}
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
		cl := newCall(tlink)
		cl.enc.u32(at.num)
		cl.enc.u32(to.num)
		cl.enc.str(elem)
		return at.roundTrip(ctx, cl, nil)
	}, func(ctx context.Context) (fate, error) {
		return f.look(ctx, elem, func(q Qid) fate {
			if q.same(target.qid) {
				return obeyed
			}
			return unknown // somebody else's, made before or after
		}, not)
	})
}

// unsupported reports whether an error means that the server lacks the verb.
func unsupported(err error) bool {
	e, ok := err.(*Error)
	return ok && (e.Errno == syscall.EOPNOTSUPP || e.Errno == syscall.ENOSYS)
}

// Unlink removes elem below f: a directory if flags are AT_REMOVEDIR, anything
// else if they are 0.
func (f *Fid) Unlink(ctx context.Context, elem string, flags uint32) error {
	const op = "Tunlinkat"
	if !validName(elem) {
		return &Error{Op: op, Path: f.Path(), Errno: syscall.EINVAL}
	}
	err := f.once(ctx, op, func(at *standing) error {
		cl := newCall(tunlinkat)
		cl.enc.u32(at.num)
		cl.enc.str(elem)
		cl.enc.u32(flags)
		err := at.roundTrip(ctx, cl, nil)
		if unsupported(err) {
			err = at.remove(ctx, elem)
		}
		return err
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

// remove is Tunlinkat for servers that lack it. Tremove clunks its fid whatever
// it answers.
func (at *standing) remove(ctx context.Context, elem string) error {
	num, _, err := at.c.walk(ctx, at.num, []string{elem})
	if err != nil {
		return err
	}
	cl := newCall(tremove)
	cl.enc.u32(num)
	answered, err := at.c.rpc(ctx, cl, nil)
	if answered {
		at.c.freeFid(num)
	}
	return err
}

// Rename moves oldElem below f to newElem below dir, replacing what is there.
func (f *Fid) Rename(ctx context.Context, oldElem string, dir *Fid, newElem string) error {
	const op = "Trenameat"
	if !validName(oldElem) || !validName(newElem) {
		return &Error{Op: op, Path: f.Path(), Errno: syscall.EINVAL}
	}
	ctx, done := f.renaming(ctx, oldElem, dir)
	defer done()
	src, known := f.childQid(oldElem)
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
		cl := newCall(trenameat)
		cl.enc.u32(at.num)
		cl.enc.str(oldElem)
		cl.enc.u32(to.num)
		cl.enc.str(newElem)
		err = at.roundTrip(ctx, cl, nil)
		if unsupported(err) {
			err = at.rename(ctx, oldElem, to, newElem)
		}
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
	if err == nil {
		f.s.mu.Lock()
		f.name.renameLocked(oldElem, dir.name, newElem)
		f.s.moves.Add(1)
		f.s.mu.Unlock()
	}
	return err
}

// rename is Trenameat for servers that lack it.
func (at *standing) rename(ctx context.Context, oldElem string, to *standing, newElem string) error {
	num, _, err := at.c.walk(ctx, at.num, []string{oldElem})
	if err != nil {
		return err
	}
	defer at.c.clunk(num)
	cl := newCall(trename)
	cl.enc.u32(num)
	cl.enc.u32(to.num)
	cl.enc.str(newElem)
	return at.roundTrip(ctx, cl, nil)
}
