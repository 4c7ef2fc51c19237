package export

import (
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// detourLock is the type of a Tlock that carries another verb past the core to
// File.Lock: Tlock is the one message for which the core looks the fid up, holds
// a reference, takes no lock, asks nothing, and passes the File's errno on
// (p9/handlers.go:1111). No client's Tlock of this type gets here (see route).
const detourLock p9.LockType = 0xd7

// A detour is a verb on its way round the core. Its reply is body, with data
// behind it if it has any.
type detour struct {
	run        func(*File) (body, data []byte, err error)
	body, data []byte
	buf        *[]byte // that data is in, or the Twrite's; ours until the reply is out
}

// divert hands the core, for a verb on the fid, a Tlock with which its File is
// called back.
func (c *conn) divert(h header, fid uint32, d *detour) {
	c.mu.Lock()
	c.pending[h.tag].detour = d
	c.mu.Unlock()
	m := le.AppendUint32(c.lock[:0], headerSize+4+1+4+8+8+4+2)
	m = append(m, tlock)
	m = le.AppendUint16(m, h.tag)
	m = le.AppendUint32(m, fid)
	m = append(m, byte(detourLock))
	m = le.AppendUint32(m, 0)
	m = le.AppendUint64(m, uint64(h.tag)) // start: which detour
	m = le.AppendUint64(m, 0)
	m = le.AppendUint32(m, 0)
	m = le.AppendUint16(m, 0)
	c.front = m
}

// takeDetour runs the verb that hides behind the tag.
func (c *conn) takeDetour(f *File, tag uint16) (p9.LockStatus, error) {
	c.mu.Lock()
	r := c.pending[tag]
	c.mu.Unlock()
	if r == nil || r.detour == nil {
		return p9.LockStatusError, linux.EINVAL
	}
	body, data, err := r.detour.run(f)
	if err != nil {
		return p9.LockStatusError, wire(err)
	}
	r.detour.body, r.detour.data = body, data
	return p9.LockStatusOK, nil
}

// reply is the frame in two pieces.
func (d *detour) reply(typ byte, tag uint16) (head, tail []byte) {
	head = frame(typ, tag, d.body)
	le.PutUint32(head, uint32(len(head)+len(d.data)))
	return head, d.data
}

// free gives back what the detour borrowed.
func (d *detour) free() {
	if d.buf != nil {
		giveBuffer(d.buf)
	}
}

// detour parses a request behind its fid, and returns what is to be done.
func (c *conn) detour(typ byte, b *body) (run func(*File) (body, data []byte, err error)) {
	switch typ {
	case tlopen:
		return openDetour(b)
	case treaddir:
		return readdirDetour(b.u64(), min(b.u32(), c.limit()-readHeader))
	case tsetattr:
		return setattrDetour(b)
	case tfsync:
		datasync := len(b.b) >= 4 && b.u32() != 0 // absent in old clients
		return func(f *File) ([]byte, []byte, error) { return nil, nil, f.sync(datasync) }
	case tgetlock:
		return getlockDetour(b)
	case txattrwalk:
		newfid, name := b.u32(), b.str()
		return func(f *File) ([]byte, []byte, error) { return c.walkXattr(f, newfid, name) }
	}
	panic("export: no such detour")
}
