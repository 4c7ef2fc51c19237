package export

import (
	"net"

	"github.com/hugelgupf/p9/linux"
)

// Write takes replies from the core, which writes each in pieces: the header, the
// body, and the payload last, from one goroutine at a time. Pieces are collected
// until the frame is complete; the last one is not copied. Then the goroutine has
// done its work, and the error makes it leave (see core.go).
func (c *conn) Write(p []byte) (int, error) {
	n := len(p)
	if len(c.reply) == 0 {
		c.reply, p = append(c.reply, p...), nil
	}
	switch {
	case len(c.reply) < headerSize || len(c.reply)+len(p) > int(le.Uint32(c.reply)):
		c.end(errOddReply)
	case len(c.reply)+len(p) < int(le.Uint32(c.reply)):
		c.reply = append(c.reply, p...)
		return n, nil
	default:
		c.finish(c.reply, p)
	}
	c.reply = c.reply[:0]
	if !c.replied {
		c.replied = true
		return n, errFirst
	}
	return n, errSent
}

// finish sends one complete reply of the core, amended where need be.
func (c *conn) finish(head, tail []byte) {
	h := parseHeader(head)
	if h.typ == tversion+1 {
		c.agree(append(head[headerSize:len(head):len(head)], tail...))
	}
	err := c.deliver(h.tag, func(r *request) ([]byte, []byte, error) {
		switch {
		case r == nil:
			// The core could not parse a request, and does not say which.
			return nil, nil, broken("malformed message")
		case r.detour != nil && h.typ == tlock+1:
			head, tail = r.detour.reply(r.typ+1, h.tag)
		case (r.typ == twalk || r.typ == twalkgetattr) && isError(h, tail, linux.EINVAL):
			return errorFrame(h.tag, linux.ENOTDIR), nil, nil
		case h.typ == txattrcreate+1:
			c.madeXattr(r.fid)
		}
		return head, tail, nil
	})
	if err != nil {
		c.end(err)
	}
}

func isError(h header, body []byte, e linux.Errno) bool {
	return h.typ == rlerror && len(body) == 4 && le.Uint32(body) == uint32(e)
}

// agree takes note of what an Rversion says.
func (c *conn) agree(rversion []byte) {
	b := body{b: rversion}
	msize, version := b.u32(), b.str()
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != "unknown" {
		c.msize, c.agreed = msize, true
	}
}

// deliver ends the request with the tag and writes the reply that make returns
// for it, then the Rflushes that wait behind it. The request ends before the reply
// is on the wire, since from then on the client may use the tag again; wmu is
// held over both, so that no Rflush gets in between.
func (c *conn) deliver(tag uint16, make func(*request) (head, tail []byte, err error)) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	r, flushes := c.settleLocked(tag)
	head, tail, err := make(r)
	if err == nil {
		err = c.writeLocked(head, tail)
	}
	if r != nil && r.detour != nil {
		r.detour.free()
	}
	for _, t := range flushes {
		if err == nil {
			err = c.writeLocked(frame(tflush+1, t, nil), nil)
		}
	}
	return err
}

// joinBelow is the size up to which two pieces are copied together rather than
// sent as a vector.
const joinBelow = 4096

// writeLocked writes one frame.
func (c *conn) writeLocked(head, tail []byte) error {
	if len(tail) == 0 {
		_, err := c.rw.Write(head)
		return err
	}
	if len(head)+len(tail) < joinBelow {
		_, err := c.rw.Write(append(head[:len(head):len(head)], tail...))
		return err
	}
	v := net.Buffers{head, tail}
	_, err := v.WriteTo(c.rw)
	return err
}
