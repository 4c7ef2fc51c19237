package export

import (
	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// detourLock is the type of a Tlock that carries another verb past the core to
// File.Lock: Tlock is the one message for which the core looks the fid up, holds
// a reference, takes no lock, asks nothing, and passes the File's errno on.
// No client's Tlock of this type gets here (see route).
const detourLock p9.LockType = 0xd7

// A detour is a verb on its way round the core.
type detour struct {
	run   func(*File) (reply []byte, err error) // reply is the R-message's body
	reply []byte
}

// divert sends a verb that the core would spoil on its detour.
func (c *conn) divert(h header, b *body) error {
	fid := b.u32()
	d := &detour{}
	switch h.typ {
	case tsetattr:
		d.run = setattrDetour(b)
	case tfsync:
		datasync := len(b.b) >= 4 && b.u32() != 0 // absent in old clients
		d.run = func(f *File) ([]byte, error) { return nil, f.sync(datasync) }
	case tgetlock:
		d.run = getlockDetour(b)
	case txattrwalk:
		newfid, name := b.u32(), b.str()
		d.run = func(f *File) ([]byte, error) { return c.walkXattr(f, newfid, name) }
	}
	if b.short {
		return broken("message of type %d is cut short", h.typ)
	}
	c.mu.Lock()
	c.pending[h.tag].detour = d
	c.mu.Unlock()
	m := le.AppendUint32(nil, fid)
	m = append(m, byte(detourLock))
	m = le.AppendUint32(m, 0)
	m = le.AppendUint64(m, uint64(h.tag)) // start: which detour
	m = le.AppendUint64(m, 0)
	m = le.AppendUint32(m, 0)
	c.front = frame(tlock, h.tag, appendString(m, ""))
	return nil
}

// takeDetour runs the verb that hides behind the tag.
func (c *conn) takeDetour(f *File, tag uint16) (p9.LockStatus, error) {
	c.mu.Lock()
	r := c.pending[tag]
	c.mu.Unlock()
	if r == nil || r.detour == nil {
		return p9.LockStatusError, linux.EINVAL
	}
	reply, err := r.detour.run(f)
	if err != nil {
		return p9.LockStatusError, wire(err)
	}
	r.detour.reply = reply
	return p9.LockStatusOK, nil
}

// setattrDetour: the core would drop the setuid and setgid bits and refuse files
// that have no name any more.
func setattrDetour(b *body) func(*File) ([]byte, error) {
	v := b.u32()
	bit := func(n uint) bool { return v>>n&1 != 0 }
	valid := p9.SetAttrMask{
		Permissions: bit(0), UID: bit(1), GID: bit(2), Size: bit(3), ATime: bit(4), MTime: bit(5), CTime: bit(6),
		ATimeNotSystemTime: bit(7), MTimeNotSystemTime: bit(8),
	}
	a := p9.SetAttr{Permissions: p9.FileMode(b.u32()), UID: p9.UID(b.u32()), GID: p9.GID(b.u32()), Size: b.u64()}
	a.ATimeSeconds, a.ATimeNanoSeconds = b.u64(), b.u64()
	a.MTimeSeconds, a.MTimeNanoSeconds = b.u64(), b.u64()
	return func(f *File) ([]byte, error) { return nil, f.SetAttr(valid, a) }
}

// getlockDetour: the core does not know Tgetlock.
func getlockDetour(b *body) func(*File) ([]byte, error) {
	typ, start, length, pid, client := p9.LockType(b.u8()), b.u64(), b.u64(), b.u32(), b.str()
	return func(f *File) ([]byte, error) {
		found, l, err := f.getLock(typ, start, length)
		if err != nil {
			return nil, err
		}
		if found != p9.Unlock {
			start, length, pid, client = uint64(l.Start), uint64(l.Len), uint32(max(l.Pid, 0)), ""
		}
		m := le.AppendUint64([]byte{byte(found)}, start)
		m = le.AppendUint64(m, length)
		return appendString(le.AppendUint32(m, pid), client), nil
	}
}

// walkXattr reads an attribute, or the list of them, into newfid: a fid that only
// the conn knows. The core would answer every error with EINVAL and, at the
// clunk of newfid, drop references it does not have.
func (c *conn) walkXattr(f *File, newfid uint32, name string) ([]byte, error) {
	var value []byte
	var err error
	if name == "" {
		value, err = f.listXattrs()
	} else {
		value, err = f.GetXattr(name)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch _, used := c.xattrs[newfid]; {
	case used || newfid == noFid:
		return nil, unix.EINVAL
	case len(c.xattrs) >= maxXattrFids:
		return nil, unix.EMFILE
	}
	c.xattrs[newfid] = value
	return le.AppendUint64(nil, uint64(len(value))), nil
}

func (c *conn) xattr(fid uint32) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.xattrs[fid]
	return v, ok
}

func (c *conn) clunkXattr(fid uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.xattrs[fid]
	delete(c.xattrs, fid)
	return ok
}

// readXattr answers a Tread on an attribute's fid.
func readXattr(tag uint16, value []byte, off uint64, count uint32) []byte {
	value = value[min(off, uint64(len(value))):]
	value = value[:min(uint64(count), uint64(len(value)))]
	return frame(tread+1, tag, append(le.AppendUint32(nil, uint32(len(value))), value...))
}
