package p9client

import (
	"encoding/binary"
	"errors"
	"os"
	"time"
)

// read is the goroutine that reads from the connection until it is lost.
func (c *conn) read() {
	r := newInput(c.nc, c.raw, func(now time.Time) { c.heard.Store(now.UnixNano()) })
	for {
		if err := c.readMessage(r); err != nil {
			c.lose(err)
			return
		}
		r.sign()
	}
}

func (c *conn) readMessage(r *input) error {
	h, err := r.peek(headerLen)
	if err != nil {
		return err
	}
	size := int64(binary.LittleEndian.Uint32(h))
	typ, tag := h[4], binary.LittleEndian.Uint16(h[5:])
	r.skip(headerLen)
	if size < headerLen || size > int64(c.msize) {
		return protocolError("frame of %d bytes, msize is %d", size, c.msize)
	}
	body := int(size) - headerLen
	if tag&flushBit == 0 {
		return c.receive(r, tag, typ, body)
	}
	if tag != probeTag {
		if err := c.flushed(tag&^flushBit, typ); err != nil {
			return err
		}
	} else if !flushAnswer(typ) {
		return protocolError("reply of type %d to a Tflush", typ)
	}
	return r.discard(body)
}

// receive reads the reply to a request. If the caller gives up in the middle, he
// gets his buffer back at once and the rest is dropped.
func (c *conn) receive(r *input, tag uint16, typ uint8, size int) error {
	c.mu.Lock()
	if tag >= maxCalls || !c.slots[tag].inFlight || c.waitsLocked(tag) {
		c.mu.Unlock()
		return protocolError("reply of type %d with tag %d, which is not in flight", typ, tag)
	}
	s := &c.slots[tag]
	if typ != s.want && typ != rlerror && typ != rerror {
		c.mu.Unlock()
		return protocolError("reply of type %d to a request that wants %d", typ, s.want)
	}
	cl := s.cl
	s.receiving = cl != nil
	c.mu.Unlock()

	left := size
	var replyErr, err error
	if cl != nil {
		left, replyErr, err = readBody(r, cl, typ, size)
		if errors.Is(err, os.ErrDeadlineExceeded) && c.letGo(tag) {
			err = nil
		}
	}
	if err == nil {
		err = r.discard(left)
	}
	if err != nil {
		c.lose(err)
		replyErr = &lostError{cause: c.cause()} // which may be another, and came first
	}
	c.received(tag, replyErr)
	return err
}

// endedLocked notes that a request is not in flight any more. It returns what is to
// be called then, without c.mu, or nil.
func (c *conn) endedLocked(tag uint16) (after func()) {
	s := &c.slots[tag]
	if s.adrift {
		c.adrift--
	}
	after = s.after
	s.inFlight, s.adrift, s.after = false, false, nil
	c.freeTagLocked(tag)
	return after
}

// waitsLocked tells whether the request of that tag was not even begun, but waits
// for the pen.
func (c *conn) waitsLocked(tag uint16) bool {
	cl := c.slots[tag].cl
	return cl != nil && cl.in == &c.large || c.outbox.has(tag)
}

// letGo ends a call that its caller gave up while it was being received.
func (c *conn) letGo(tag uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.slots[tag]
	if !s.giveUp {
		return false
	}
	cl := s.cl
	s.cl, s.receiving, s.giveUp = nil, false, false
	c.nc.SetReadDeadline(time.Time{})
	cl.end(errGivenUp)
	return true
}

// received ends the call whose reply has come.
func (c *conn) received(tag uint16, err error) {
	c.mu.Lock()
	s := &c.slots[tag]
	if s.giveUp { // too late
		c.nc.SetReadDeadline(time.Time{})
	}
	cl := s.cl
	s.receiving, s.giveUp, s.cl = false, false, nil
	after := c.endedLocked(tag)
	c.mu.Unlock()
	if cl != nil {
		cl.end(err)
	}
	if after != nil {
		after()
	}
}

// readBody reads the body of a reply into cl. left is what it has not read of it.
// replyErr is the server's error; err is a reason to give the connection up.
func readBody(r *input, cl *call, typ uint8, size int) (left int, replyErr, err error) {
	if typ == tread+1 {
		left, err = readData(r, cl, size)
		return left, nil, err
	}
	cl.body = cl.small[:0]
	if size > len(cl.small) {
		cl.body = make([]byte, 0, size)
	}
	cl.body = cl.body[:size]
	n, err := r.readFull(cl.body)
	if err != nil || typ == cl.want {
		return size - n, nil, err
	}
	replyErr = errorReply(typ, cl.body)
	if _, ok := replyErr.(*Error); !ok {
		return 0, nil, replyErr
	}
	return 0, replyErr, nil
}

// readData reads an Rread's payload from the socket into the caller's buffer.
func readData(r *input, cl *call, size int) (left int, err error) {
	if size < 4 {
		return size, protocolError("Rread: %w", errShort)
	}
	h, err := r.peek(4)
	if err != nil {
		return size, err
	}
	count := int64(binary.LittleEndian.Uint32(h))
	r.skip(4)
	left = size - 4
	if count != int64(left) || count > int64(len(cl.data)) {
		return left, protocolError("Rread of %d bytes in a body of %d, %d were asked for", count, size, len(cl.data))
	}
	cl.n, err = r.readFull(cl.data[:count])
	return left - cl.n, err
}
