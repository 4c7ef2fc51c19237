package p9client

import (
	"context"
	"fmt"
	"math"
	"syscall"
	"time"
)

// dotL is 9P2000.L, as diod's protocol.md and Linux' v9fs have it. google is the
// version of gVisor's extensions that the server offers, 0 for none.
type dotL struct{ google int }

func (d dotL) String() string {
	if d.google > 0 {
		return fmt.Sprintf("%s.Google.%d", DotL, d.google)
	}
	return DotL
}

func (dotL) attach(ctx context.Context, c *conn, o Options) (q Qid, err error) {
	return attach(ctx, c, o, true)
}

// attach makes the root fid of a connection. numeric tells whether Tattach has
// n_uname.
func attach(ctx context.Context, c *conn, o Options, numeric bool) (q Qid, err error) {
	cl := newCall(tattach)
	cl.enc.u32(c.root)
	cl.enc.u32(noFid)
	cl.enc.str(o.Uname)
	cl.enc.str(o.Aname)
	if numeric {
		cl.enc.u32(o.NUname)
	}
	err = c.ask(ctx, cl, func(d *decoder) { q = d.qid() })
	return q, err
}

func (dotL) open(ctx context.Context, c *conn, num, flags uint32) (q Qid, iounit uint32, err error) {
	cl := newCall(tlopen)
	cl.enc.u32(num)
	cl.enc.u32(flags | largeFile)
	err = c.ask(ctx, cl, func(d *decoder) { q, iounit = d.qid(), d.u32() })
	return q, iounit, err
}

func (d dotL) create(ctx context.Context, at *standing, elem string, flags, perm, gid uint32) (o opened, err error) {
	o.num, _, err = at.c.walk(ctx, at.num, nil)
	if err != nil {
		return o, unsent(err)
	}
	cl, owner := d.owned(ctx, tlcreate, tucreate)
	cl.enc.u32(o.num)
	cl.enc.str(elem)
	cl.enc.u32(flags | syscall.O_CREAT | largeFile)
	cl.enc.u32(perm & 07777)
	cl.enc.u32(gid)
	owner(&cl.enc)
	if err = at.c.ask(ctx, cl, func(d *decoder) { o.qid, o.iounit = d.qid(), d.u32() }); err != nil {
		at.c.clunk(o.num)
	}
	return o, err
}

func (dotL) getattr(ctx context.Context, at *standing) (a Attr, err error) {
	cl := newCall(tgetattr)
	cl.enc.u32(at.num)
	cl.enc.u64(attrAll)
	err = at.c.ask(ctx, cl, func(d *decoder) { a = d.attr() })
	return a, err
}

// attr takes an Rgetattr.
func (d *decoder) attr() Attr {
	valid, qid := d.u64(), d.qid()
	a := d.attrFields()
	a.Valid, a.Qid = valid, qid
	return a
}

// attrFields takes what Rgetattr and Rwalkgetattr have in common.
func (d *decoder) attrFields() (a Attr) {
	a.Mode, a.UID, a.GID = d.u32(), d.u32(), d.u32()
	a.Nlink, a.Rdev = d.u64(), d.u64()
	a.Size = d.size()
	a.Blksize, a.Blocks = d.u64(), d.u64()
	a.Atime, a.Mtime, a.Ctime, a.Btime = d.time(), d.time(), d.time(), d.time()
	a.Gen, a.DataVersion = d.u64(), d.u64()
	return a
}

// size takes a file's size.
func (d *decoder) size() int64 {
	n := d.u64()
	if n > math.MaxInt64 {
		d.fail(fmt.Errorf("a size of %d bytes", n))
	}
	return int64(n)
}

func (d *decoder) time() time.Time {
	sec, nsec := d.u64(), d.u64()
	if sec == 0 && nsec == 0 {
		return time.Time{}
	}
	if nsec >= 1e9 || sec > math.MaxInt64 && int64(sec) < -(1<<40) || int64(sec) > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(sec), int64(nsec))
}

func (dotL) setattr(ctx context.Context, at *standing, a SetAttr) error {
	cl := newCall(tsetattr)
	e := &cl.enc
	e.u32(at.num)
	e.u32(a.Valid)
	e.u32(a.Mode)
	e.u32(a.UID)
	e.u32(a.GID)
	e.u64(uint64(a.Size))
	e.time(a.Atime)
	e.time(a.Mtime)
	return at.c.ask(ctx, cl, nil)
}

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.u64(0)
		e.u64(0)
		return
	}
	e.u64(uint64(t.Unix()))
	e.u64(uint64(t.Nanosecond()))
}

func (dotL) statfs(ctx context.Context, at *standing) (s StatFS, err error) {
	cl := newCall(tstatfs)
	cl.enc.u32(at.num)
	err = at.c.ask(ctx, cl, func(d *decoder) {
		s.Type, s.BlockSize = d.u32(), d.u32()
		s.Blocks, s.BlocksFree, s.BlocksAvl = d.u64(), d.u64(), d.u64()
		s.Files, s.FilesFree, s.FSID = d.u64(), d.u64(), d.u64()
		s.NameLen = d.u32()
	})
	return s, err
}

func (dotL) sync(ctx context.Context, at *standing, datasync bool) error {
	cl := newCall(tfsync)
	cl.enc.u32(at.num)
	cl.enc.u32(b2u(datasync))
	return at.c.ask(ctx, cl, nil)
}

func b2u(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
