package p9client

import (
	"context"
	"fmt"
	"syscall"
)

// readdir asks again where a server says that an entry has just gone, as
// nfs-ganesha does of a directory that others change.
func (d dotL) readdir(ctx context.Context, at *standing, offset uint64, count int) (l []Dirent, next uint64, err error) {
	for range 8 {
		l, next, err = d.treaddir(ctx, at, offset, count)
		if errno := errnoOf(err); errno != syscall.ENOENT && errno != syscall.EAGAIN {
			break
		}
	}
	return l, next, err
}

func (dotL) treaddir(ctx context.Context, at *standing, offset uint64, count int) (l []Dirent, next uint64, err error) {
	cl := newCall(treaddir)
	cl.enc.u32(at.num)
	cl.enc.u64(offset)
	cl.enc.u32(uint32(count))
	next = offset
	err = at.c.ask(ctx, cl, func(d *decoder) {
		if n := d.u32(); int64(n) != int64(len(d.b)) || int(n) > count {
			d.fail(fmt.Errorf("%d bytes of entries in a body of %d, %d were asked for", n, len(d.b), count))
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
			d.fail(fmt.Errorf("it does not advance from offset %d", offset))
		}
	})
	return l, next, err
}

func (d dotL) makeNode(ctx context.Context, at *standing, typ, utyp uint8, elem string, fields func(e *encoder)) (q Qid, err error) {
	cl, owner := d.owned(ctx, typ, utyp)
	cl.enc.u32(at.num)
	cl.enc.str(elem)
	fields(&cl.enc)
	owner(&cl.enc)
	err = at.c.ask(ctx, cl, func(d *decoder) { q = d.qid() })
	return q, err
}

func (d dotL) mkdir(ctx context.Context, at *standing, elem string, perm, gid uint32) (Qid, error) {
	return d.makeNode(ctx, at, tmkdir, tumkdir, elem, func(e *encoder) { e.u32(perm & 07777); e.u32(gid) })
}

func (d dotL) symlink(ctx context.Context, at *standing, elem, target string, gid uint32) (Qid, error) {
	return d.makeNode(ctx, at, tsymlink, tusymlink, elem, func(e *encoder) { e.str(target); e.u32(gid) })
}

func (d dotL) mknod(ctx context.Context, at *standing, elem string, mode, major, minor, gid uint32) (Qid, error) {
	return d.makeNode(ctx, at, tmknod, tumknod, elem, func(e *encoder) { e.u32(mode); e.u32(major); e.u32(minor); e.u32(gid) })
}

func (dotL) readlink(ctx context.Context, at *standing) (target string, err error) {
	cl := newCall(treadlink)
	cl.enc.u32(at.num)
	err = at.c.ask(ctx, cl, func(d *decoder) { target = d.str() })
	return target, err
}

func (dotL) link(ctx context.Context, at, target *standing, elem string) error {
	cl := newCall(tlink)
	cl.enc.u32(at.num)
	cl.enc.u32(target.num)
	cl.enc.str(elem)
	return at.c.ask(ctx, cl, nil)
}

// unsupported reports whether an error means that the server lacks the verb.
func unsupported(err error) bool {
	e, ok := err.(*Error)
	return ok && (e.Errno == syscall.EOPNOTSUPP || e.Errno == syscall.ENOSYS)
}

func (dotL) unlink(ctx context.Context, at *standing, elem string, flags uint32) error {
	cl := newCall(tunlinkat)
	cl.enc.u32(at.num)
	cl.enc.str(elem)
	cl.enc.u32(flags)
	err := at.c.ask(ctx, cl, nil)
	if unsupported(err) {
		return at.remove(ctx, elem, flags)
	}
	return err
}

// remove is unlinkat(2) by Tremove, which makes no difference between files and
// directories.
func (at *standing) remove(ctx context.Context, elem string, flags uint32) error {
	num, qid, err := at.c.walk(ctx, at.num, []string{elem})
	if err != nil {
		return unsent(err)
	}
	switch isDir := qid.Type&QTDIR != 0; {
	case isDir && flags&atRemoveDir == 0:
		err = syscall.EISDIR
	case !isDir && flags&atRemoveDir != 0:
		err = syscall.ENOTDIR
	}
	if err != nil {
		at.c.clunk(num)
		return err
	}
	return at.c.tremove(ctx, num)
}

// tremove removes the file of a fid. The fid is clunked whatever the answer is.
func (c *conn) tremove(ctx context.Context, num uint32) error {
	cl := newCall(tremove)
	cl.enc.u32(num)
	answered, err := c.rpc(ctx, cl, nil)
	if answered {
		c.freeFid(num)
	}
	cl.free()
	return named(err, tremove)
}

func (dotL) rename(ctx context.Context, at *standing, oldElem string, to *standing, newElem, _ string, _ bool) error {
	cl := newCall(trenameat)
	cl.enc.u32(at.num)
	cl.enc.str(oldElem)
	cl.enc.u32(to.num)
	cl.enc.str(newElem)
	err := at.c.ask(ctx, cl, nil)
	if !unsupported(err) {
		return err
	}
	num, _, err := at.c.walk(ctx, at.num, []string{oldElem})
	if err != nil {
		return unsent(err)
	}
	defer at.c.clunk(num)
	cl = newCall(trename)
	cl.enc.u32(num)
	cl.enc.u32(to.num)
	cl.enc.str(newElem)
	return at.c.ask(ctx, cl, nil)
}

func (dotL) tidy(context.Context, *standing, string, string) error { return nil }

// walkAttr is Twalkgetattr, of gVisor's version 2.
func (d dotL) walkAttr(ctx context.Context, c *conn, from, newfid uint32, names []string) (qids []Qid, a Attr, ok bool, err error) {
	if d.google < 2 || len(names) > maxWalkNames {
		return nil, a, false, nil
	}
	cl := newCall(twalkgetattr)
	cl.enc.walk(from, newfid, names)
	cl.newFid = newfid
	err = c.ask(ctx, cl, func(d *decoder) {
		valid := d.u64()
		a = d.attrFields()
		a.Valid = valid
		if qids = d.qids(len(names)); len(qids) > 0 {
			a.Qid = qids[len(qids)-1]
		}
	})
	if e, refused := err.(*Error); refused {
		e.Op = "Twalkgetattr"
	}
	return qids, a, true, err
}
