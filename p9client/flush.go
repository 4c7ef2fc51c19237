package p9client

import (
	"context"
	"errors"
)

// How a call ends without a reply. Both mean that its context has ended.
var (
	errFlushed = errors.New("flushed")  // Rflush came
	errGivenUp = errors.New("given up") // in the middle of its reply
)

// rpc sends cl and waits for its reply; see wait.
func (c *conn) rpc(ctx context.Context, cl *call, payload []byte) (answered bool, err error) {
	if err := c.send(ctx, cl, payload); err != nil {
		return false, err
	}
	return c.wait(ctx, cl)
}

// wait waits for the reply to cl. If ctx ends first, the request is flushed; a
// reply that comes meanwhile is accepted all the same. After wait has returned,
// the connection knows cl and cl.data no more. answered is false if ctx ended the
// call, and so the server may still obey it.
func (c *conn) wait(ctx context.Context, cl *call) (answered bool, err error) {
	select {
	case <-cl.done:
		return ended(ctx, cl)
	case <-ctx.Done():
	}
	fctx, cancel := context.WithTimeout(context.Background(), flushWait)
	defer cancel()
	return c.interrupt(ctx, fctx, cl)
}

// waitAll waits for calls whose replies nobody wants, with one flushWait for all.
func (c *conn) waitAll(ctx context.Context, calls []*call) {
	var fctx context.Context
	for _, cl := range calls {
		select {
		case <-cl.done:
		case <-ctx.Done():
			if fctx == nil {
				var cancel context.CancelFunc
				fctx, cancel = context.WithTimeout(context.Background(), flushWait)
				defer cancel()
			}
			c.interrupt(ctx, fctx, cl)
		}
		cl.free()
	}
}

// interrupt is wait after the end of ctx: until fctx ends too.
func (c *conn) interrupt(ctx, fctx context.Context, cl *call) (answered bool, err error) {
	if c.flush(cl) {
		return false, context.Cause(ctx)
	}
	select {
	case <-cl.done:
	case <-fctx.Done():
		if c.abandon(cl, false) {
			return false, context.Cause(ctx)
		}
		<-cl.done
	}
	return ended(ctx, cl)
}

func ended(ctx context.Context, cl *call) (answered bool, err error) {
	if cl.err == errFlushed || cl.err == errGivenUp {
		return false, context.Cause(ctx)
	}
	return true, cl.err
}

// flush sends a Tflush of cl's tag, which is not used again before the answer to
// it. A request that was not written yet is taken back instead, and flush reports
// true.
func (c *conn) flush(cl *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.slots[cl.tag]
	if s.cl != cl || s.flushing || c.err != nil {
		return false
	}
	if c.outbox.remove(cl.tag) {
		s.cl, s.inFlight = nil, false
		c.freeTagLocked(cl.tag)
		return true
	}
	s.flushing = true
	c.sendFlushLocked(cl.tag, cl.tag|flushBit)
	return false
}

func (c *conn) sendFlushLocked(oldtag, tag uint16) {
	var e encoder
	e.begin(tflush)
	e.u16(oldtag)
	e.finish(tag, 0)
	c.postLocked(tag, e.b, nil)
}

// flushAnswer reports whether a reply may be one to a Tflush.
func flushAnswer(typ uint8) bool { return typ == tflush+1 || typ == rlerror || typ == rerror }

// flushed takes the answer to a Tflush. Only Rflush means that no reply will
// come; an error does not.
func (c *conn) flushed(tag uint16, typ uint8) error {
	if !flushAnswer(typ) {
		return protocolError("reply of type %d to a Tflush", typ)
	}
	c.mu.Lock()
	if tag >= maxCalls || !c.slots[tag].flushing || c.outbox.has(tag|flushBit) {
		c.mu.Unlock()
		return protocolError("reply to a Tflush of tag %d, which was not sent", tag)
	}
	s := &c.slots[tag]
	s.flushing = false
	if typ != tflush+1 || !s.inFlight {
		c.freeTagLocked(tag)
		c.mu.Unlock()
		return nil
	}
	cl := s.cl
	s.cl = nil
	after := c.endedLocked(tag)
	c.mu.Unlock()
	if cl != nil {
		cl.end(errFlushed)
	}
	if after != nil {
		after()
	}
	return nil
}

// whenItEnds calls f when the request that may still make the fid num has ended.
// It reports false if there is none: a Tclunk that the server obeys before a Twalk
// would leave the number to two files.
func (c *conn) whenItEnds(num uint32, f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; c.adrift > 0 && i < maxCalls; i++ {
		if s := &c.slots[i]; s.adrift && s.newFid == num {
			s.after = f
			return true
		}
	}
	return false
}

// abandon takes cl back from the connection: its reply will be dropped. unsent
// tells that the server was not even asked. It reports false if cl.done has been
// told or will be in a moment.
func (c *conn) abandon(cl *call, unsent bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.slots[cl.tag]
	if s.cl != cl {
		return false
	}
	if s.receiving {
		// The reader may be stuck in the middle of the reply. See receive.
		s.giveUp = true
		c.nc.SetReadDeadline(past)
		return false
	}
	s.cl = nil
	switch {
	case unsent:
		s.inFlight = false
		c.freeTagLocked(cl.tag)
	case s.newFid != 0:
		s.adrift = true
		c.adrift++
	}
	return true
}
