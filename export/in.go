package export

import (
	"io"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
)

// Read hands requests to the core, message by message. The core calls it from one
// goroutine at a time, and not again after EOF, which it is told only between
// messages.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.front) == 0 {
		growStack()
	}
	for len(c.front) == 0 {
		if err := c.next(); err != nil {
			if err != io.EOF { // at the end, what is being served is still answered
				c.end(err)
			}
			close(c.over)
			return 0, io.EOF
		}
	}
	n := copy(p, c.front)
	c.front = c.front[n:]
	return n, nil
}

// whole is for reads within a message, where the end is no orderly one.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// forget ends a request that the core will never see as a whole.
func (c *conn) forget(tag uint16) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.settleLocked(tag)
}

// next reads one request, and either sets front, or answers it itself.
func (c *conn) next() error {
	if err := c.awaitTurn(); err != nil {
		return err
	}
	var hb [headerSize]byte
	if _, err := io.ReadFull(c.in, hb[:]); err != nil {
		return err
	}
	h := parseHeader(hb[:])
	if h.size < headerSize || h.size > c.limit() {
		return broken("message of %d bytes, type %d", h.size, h.typ)
	}
	if err := c.admit(h); err != nil {
		return err
	}
	take := c.take
	if h.typ == twrite {
		take = c.takeWrite
	}
	err := take(h)
	if err != nil {
		c.forget(h.tag)
	}
	return whole(err)
}

// take reads the rest of a request, and sends it on its way.
func (c *conn) take(h header) error {
	msg := make([]byte, h.size)
	le.PutUint32(msg, h.size)
	msg[4] = h.typ
	le.PutUint16(msg[5:], h.tag)
	if _, err := io.ReadFull(c.in, msg[headerSize:]); err != nil {
		return err
	}
	return c.route(h, msg)
}

// takeWrite is take for a Twrite, whose data go into a buffer of their own.
func (c *conn) takeWrite(h header) error {
	if h.size < writeHeader {
		return broken("message of type %d is cut short", h.typ)
	}
	fixed, err := c.in.Peek(writeHeader - headerSize)
	if err != nil {
		return err
	}
	b := &body{b: fixed}
	fid, off, count := b.u32(), b.u64(), b.u32()
	if count != h.size-writeHeader {
		return broken("a Twrite of %d bytes in a message of %d", count, h.size)
	}
	if c.setsXattr(fid) { // that the core does well
		return c.take(h)
	}
	c.in.Discard(len(fixed))
	c.hold(h.tag, count)
	buf := takeBuffer(int(count))
	if _, err := io.ReadFull(c.in, *buf); err != nil {
		return err
	}
	c.divert(h, fid, writeDetour(off, buf))
	return nil
}

func (c *conn) limit() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.msize
}

// route decides which way a request takes: to the core as it is or amended, to
// the core on a detour, or straight back as a reply.
func (c *conn) route(h header, msg []byte) error {
	b := &body{b: msg[headerSize:]}
	switch h.typ {
	default:
		return c.answer(errorFrame(h.tag, linux.EOPNOTSUPP))
	case twrite, tstatfs, tsymlink, tmknod, trename, treadlink, tgetattr, tlink, tmkdir, trenameat, tunlinkat, tauth, tumkdir, tumknod, tusymlink:
	case tflush:
		return c.flush(h, b)
	case tversion:
		if b.u32() < minMsize {
			return c.answer(frame(tversion+1, h.tag, appendString(le.AppendUint32(nil, 0), "unknown")))
		}
		c.fence()
	case tattach:
		msg = c.amendAttach(h, b)
	case twalk, twalkgetattr:
		if b.take(8); !walkable(b) {
			return c.answer(errorFrame(h.tag, linux.EINVAL))
		}
	case tlcreate, tucreate:
		amendCreate(b)
	case tread:
		fid, off, count := b.u32(), b.u64(), min(b.u32(), c.limit()-readHeader)
		if value, ok := c.xattr(fid); ok {
			return c.answer(readXattr(h.tag, value, off, count))
		}
		if !b.short {
			c.hold(h.tag, count)
			c.divert(h, fid, readDetour(off, count))
			return nil
		}
	case tclunk, tremove:
		if c.clunkXattr(b.u32()) {
			return c.answer(frame(h.typ+1, h.tag, nil))
		}
	case txattrcreate:
		c.note(h.tag, b.u32())
		b.str()
		if b.u64() > xattrMax {
			return c.answer(errorFrame(h.tag, linux.E2BIG))
		}
	case tlock:
		if b.u32(); b.u8() > byte(p9.Unlock) {
			return c.answer(errorFrame(h.tag, linux.EINVAL))
		}
	case tlopen, treaddir, tsetattr, tfsync, tgetlock, txattrwalk:
		fid := b.u32()
		if run := c.detour(h.typ, b); !b.short {
			c.divert(h, fid, &detour{run: run})
			return nil
		}
	}
	if b.short {
		return broken("message of type %d is cut short", h.typ)
	}
	c.front = msg
	return nil
}

// walkable tells whether the names of a Twalk are names; the rest it leaves to the
// core, whose EINVAL then has one meaning (see finish).
func walkable(b *body) bool {
	n := b.u16()
	for range min(n, maxWelem) {
		if name := b.str(); !b.short && validName(name) != nil {
			return false
		}
	}
	return n <= maxWelem
}

// amendAttach keeps aname and n_uname for Attach, which the core does not tell
// them, and asks the core for the root: with an aname it would answer the root's
// qid for another file. One attach at a time.
func (c *conn) amendAttach(h header, b *body) []byte {
	fid, afid, uname, aname, uid := b.u32(), b.u32(), b.str(), b.str(), b.u32()
	c.fence()
	c.mu.Lock()
	c.attach = attach{aname: aname, uid: uid}
	c.mu.Unlock()
	m := le.AppendUint32(nil, fid)
	m = le.AppendUint32(m, afid)
	m = appendString(m, uname)
	m = appendString(m, "")
	return frame(tattach, h.tag, le.AppendUint32(m, uid))
}

// amendCreate moves the setuid and setgid bits from the mode, where the core
// drops them, into the flags.
func amendCreate(b *body) {
	b.u32()
	b.str()
	if len(b.b) < 8 {
		b.short = true
		return
	}
	flags, mode := le.Uint32(b.b)&^(flagSetuid|flagSetgid), le.Uint32(b.b[4:])
	if mode&0o4000 != 0 {
		flags |= flagSetuid
	}
	if mode&0o2000 != 0 {
		flags |= flagSetgid
	}
	le.PutUint32(b.b, flags)
}

// answer replies to a request that the core need not see.
func (c *conn) answer(reply []byte) error {
	return c.deliver(parseHeader(reply).tag, func(*request) ([]byte, []byte, error) { return reply, nil, nil })
}

// flush answers a Tflush behind the reply to the old request, or at once if there
// is none to come. The core may answer it before, and waits for ever when two
// flushes name each other.
func (c *conn) flush(h header, b *body) error {
	old := b.u16()
	if b.short {
		return broken("message of type %d is cut short", h.typ)
	}
	c.mu.Lock()
	r := c.pending[old]
	wait := r != nil && old != h.tag
	if wait {
		r.flushes = append(r.flushes, h.tag)
	}
	c.mu.Unlock()
	if wait {
		return nil
	}
	return c.answer(frame(tflush+1, h.tag, nil))
}
