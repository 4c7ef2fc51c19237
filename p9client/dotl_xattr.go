package p9client

import "context"

// xattrwalk makes a fid from which the value of an attribute can be read, or for
// the name "" the list of names; size is how many bytes that is.
func (dotL) xattrwalk(ctx context.Context, at *standing, name string) (num uint32, size uint64, err error) {
	num = at.c.newFid()
	cl := newCall(txattrwalk)
	cl.enc.u32(at.num)
	cl.enc.u32(num)
	cl.newFid = num
	cl.enc.str(name)
	if err = at.c.ask(ctx, cl, func(d *decoder) { size = d.u64() }); err != nil {
		at.c.nofid(ctx, num)
	}
	return num, size, err
}

// xattrcreate makes of the fid num one to which size bytes of a value are
// written; Tclunk sets it.
func (dotL) xattrcreate(ctx context.Context, c *conn, num uint32, name string, size uint64, flags uint32) error {
	cl := newCall(txattrcreate)
	cl.enc.u32(num)
	cl.enc.str(name)
	cl.enc.u64(size)
	cl.enc.u32(flags)
	return c.ask(ctx, cl, nil)
}

func (e *encoder) lockRange(l Lock) {
	e.u64(l.Start)
	e.u64(l.Length)
	e.u32(l.ProcID)
	e.str(l.ClientID)
}

func (dotL) lock(ctx context.Context, at *standing, l Lock) (st LockStatus, err error) {
	cl := newCall(tlock)
	cl.enc.u32(at.num)
	cl.enc.u8(uint8(l.Type))
	cl.enc.u32(l.Flags)
	cl.enc.lockRange(l)
	err = at.c.ask(ctx, cl, func(d *decoder) { st = LockStatus(d.u8()) })
	return st, err
}

func (dotL) getlock(ctx context.Context, at *standing, l Lock) (r Lock, err error) {
	cl := newCall(tgetlock)
	cl.enc.u32(at.num)
	cl.enc.u8(uint8(l.Type))
	cl.enc.lockRange(l)
	err = at.c.ask(ctx, cl, func(d *decoder) {
		r = Lock{Type: LockType(d.u8()), Start: d.u64(), Length: d.u64(), ProcID: d.u32(), ClientID: d.str()}
	})
	return r, err
}
