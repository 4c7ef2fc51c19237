package p9client

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// legacy is 9P2000, as section 5 of Plan 9's manual has it, and with unix
// 9P2000.u, which adds numeric ids, symbolic and hard links and devices to it.
type legacy struct {
	unix bool
	ids  *ids
}

func (l legacy) String() string {
	if l.unix {
		return DotU
	}
	return Plain
}

// lacks is the answer to what the dialect cannot say.
func (l legacy) lacks(what string) error {
	return &Error{Errno: syscall.EOPNOTSUPP, Ename: fmt.Sprintf("%v has no %s", l, what)}
}

func (l legacy) attach(ctx context.Context, c *conn, o Options) (Qid, error) {
	return attach(ctx, c, o, l.unix)
}

// Modes of open(5).
const (
	oread  = 0
	oexec  = 3
	otrunc = 0x10
)

// openMode turns flags of open(2) into a mode of open(5), whose access modes have
// the same numbers. What else open(2) knows is the caller's to do.
func openMode(flags uint32) uint8 {
	m := uint8(flags & accessFlags)
	if m == oexec { // O_ACCMODE: neither read nor written, as for ioctl(2)
		m = oread
	}
	if flags&syscall.O_TRUNC != 0 {
		m |= otrunc
	}
	return m
}

func (legacy) open(ctx context.Context, c *conn, num, flags uint32) (q Qid, iounit uint32, err error) {
	cl := newCall(topen)
	cl.enc.u32(num)
	cl.enc.u8(openMode(flags))
	err = c.ask(ctx, cl, func(d *decoder) { q, iounit = d.qid(), d.u32() })
	return q, iounit, err
}

// tcreate makes elem below at, and opens it.
func (l legacy) tcreate(ctx context.Context, at *standing, elem string, perm uint32, mode uint8, extension string) (o opened, err error) {
	o.num, _, err = at.c.walk(ctx, at.num, nil)
	if err != nil {
		return o, unsent(err)
	}
	cl := newCall(tcreate)
	cl.enc.u32(o.num)
	cl.enc.str(elem)
	cl.enc.u32(perm)
	cl.enc.u8(mode)
	if l.unix {
		cl.enc.str(extension)
	}
	if err = at.c.ask(ctx, cl, func(d *decoder) { o.qid, o.iounit = d.qid(), d.u32() }); err != nil {
		at.c.clunk(o.num)
	}
	return o, err
}

// create looks before it makes a file: what Tcreate does with a name that exists
// differs from server to server. Between the two, somebody else may have made it.
func (l legacy) create(ctx context.Context, at *standing, elem string, flags, perm, _ uint32) (o opened, err error) {
	for range 3 {
		num, _, err := at.c.walk(ctx, at.num, []string{elem})
		if err == nil {
			if flags&syscall.O_EXCL != 0 {
				at.c.clunk(num)
				return o, &Error{Op: "Tcreate", Errno: syscall.EEXIST}
			}
			o.num = num
			if o.qid, o.iounit, err = l.open(ctx, at.c, num, flags); err != nil {
				at.c.clunk(num)
			}
			return o, unsent(err)
		}
		if errnoOf(err) != syscall.ENOENT {
			return o, unsent(err)
		}
		p, err := l.permission(perm)
		if err != nil {
			return o, err
		}
		o, err = l.tcreate(ctx, at, elem, p, openMode(flags), "")
		if errnoOf(err) != syscall.EEXIST || flags&syscall.O_EXCL != 0 {
			return o, err
		}
	}
	return o, &Error{Op: "Tcreate", Errno: syscall.EAGAIN, Ename: "the file comes and goes"}
}

// permission turns the bits of chmod(2) in mode into those of stat(5). Linux
// refuses with EPERM those that a file system cannot keep.
func (l legacy) permission(mode uint32) (uint32, error) {
	p := mode & 0777
	for _, b := range unixBits {
		switch {
		case mode&b.mode == 0:
		case !l.unix:
			return 0, l.refuses("setuid, setgid and sticky bits")
		default:
			p |= b.dm
		}
	}
	return p, nil
}

// permissionBits are those of stat(5)'s mode that chmod(2) changes.
func (l legacy) permissionBits() uint32 {
	if l.unix {
		return 0777 | dmSetuid | dmSetgid | dmSetvtx
	}
	return 0777
}

// tstat asks for the stat of a fid.
func (l legacy) tstat(ctx context.Context, at *standing) (s stat, err error) {
	cl := newCall(tstat)
	cl.enc.u32(at.num)
	err = at.c.ask(ctx, cl, func(d *decoder) {
		if n := int(d.u16()); n != len(d.b) {
			d.fail(fmt.Errorf("a stat of %d bytes in a body of %d", n, len(d.b)))
			return
		}
		if s = d.stat(l.unix); d.err == nil {
			d.fail(s.check())
		}
	})
	return s, err
}

func (l legacy) getattr(ctx context.Context, at *standing) (Attr, error) {
	s, err := l.tstat(ctx, at)
	if err != nil {
		return Attr{}, err
	}
	return s.attr(l.ids, l.unix), nil
}

func (l legacy) twstat(ctx context.Context, c *conn, num uint32, s stat) error {
	cl := newCall(twstat)
	cl.enc.u32(num)
	start := len(cl.enc.b)
	cl.enc.u16(0)
	cl.enc.stat(s, l.unix)
	n := len(cl.enc.b) - start - 2
	cl.enc.b[start], cl.enc.b[start+1] = byte(n), byte(n>>8)
	return c.ask(ctx, cl, nil)
}

// setattr changes all that is asked for, or nothing: one Twstat is atomic.
// 9P2000 forbids to change the time of access; it is sent all the same, because
// many servers can, and left out when the server refuses and there is more to do,
// as a file system without times of access would.
func (l legacy) setattr(ctx context.Context, at *standing, a SetAttr) error {
	s := dontTouch()
	now := time.Now()
	if a.Valid&SetMode != 0 {
		was, err := l.tstat(ctx, at) // the other bits of mode are not to change
		if err != nil {
			return err
		}
		p, err := l.permission(a.Mode)
		if err != nil {
			return err
		}
		s.mode = was.mode&^l.permissionBits() | p
	}
	if a.Valid&SetUID != 0 {
		s.uidNumber, s.uid = a.UID, l.ids.uname(a.UID)
	}
	if a.Valid&SetGID != 0 {
		s.gidNumber, s.gid = a.GID, l.ids.gname(a.GID)
	}
	if a.Valid&SetSize != 0 {
		s.length = uint64(a.Size)
	}
	if a.Valid&SetMtime != 0 {
		s.mtime = seconds(a.Mtime, now, a.Valid&SetMtimeTo != 0)
	}
	if a.Valid&SetAtime == 0 {
		return l.twstat(ctx, at.c, at.num, s)
	}
	with := s
	with.atime = seconds(a.Atime, now, a.Valid&SetAtimeTo != 0)
	err := l.twstat(ctx, at.c, at.num, with)
	if _, refused := err.(*Error); refused && a.Valid&^uint32(SetAtime|SetAtimeTo) != 0 {
		return l.twstat(ctx, at.c, at.num, s)
	}
	return err
}

// seconds is a time on the wire: t, or now. The last second that 32 bits can say
// stands for later ones, less one: all bits set mean "don't touch".
func seconds(t, now time.Time, given bool) uint32 {
	if !given {
		t = now
	}
	return uint32(min(max(t.Unix(), 0), 1<<32-2))
}

func (l legacy) statfs(context.Context, *standing) (StatFS, error) {
	return StatFS{}, l.lacks("statfs")
}

// sync is the null Twstat: stat(5) promises that it returns when the file is on
// stable storage. A server that does not know it takes it for a change, and
// refuses that in its own way; one that could not write says EIO or ENOSPC.
func (l legacy) sync(ctx context.Context, at *standing, _ bool) error {
	err := l.twstat(ctx, at.c, at.num, dontTouch())
	switch errnoOf(err) {
	case syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSYS, syscall.EOPNOTSUPP:
		return &Error{Op: "Twstat", Errno: syscall.EOPNOTSUPP, Ename: "the server has no null wstat to sync by: " + err.Error()}
	}
	return err
}

func (l legacy) readlink(ctx context.Context, at *standing) (string, error) {
	if !l.unix {
		return "", l.lacks("symbolic links")
	}
	s, err := l.tstat(ctx, at)
	if err == nil && s.mode&dmSymlink == 0 {
		err = &Error{Op: "Tstat", Errno: syscall.EINVAL, Ename: "not a symbolic link"}
	}
	return s.extension, err
}

func (legacy) walkAttr(context.Context, *conn, uint32, uint32, []string) ([]Qid, Attr, bool, error) {
	return nil, Attr{}, false, nil
}

func (l legacy) xattrwalk(context.Context, *standing, string) (uint32, uint64, error) {
	return 0, 0, l.lacks("extended attributes")
}

func (l legacy) xattrcreate(context.Context, *conn, uint32, string, uint64, uint32) error {
	return l.lacks("extended attributes")
}

func (l legacy) lock(context.Context, *standing, Lock) (LockStatus, error) {
	return 0, l.lacks("locks")
}

func (l legacy) getlock(context.Context, *standing, Lock) (Lock, error) {
	return Lock{}, l.lacks("locks")
}
