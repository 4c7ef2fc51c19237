package p9client

import (
	"context"
	"time"
)

// past is a deadline that makes whoever reads or writes stop at once.
var past = time.Unix(1, 0)

// send gives cl a tag and writes it, followed by payload, or leaves a copy of a
// small message to whoever is writing. An error means that cl is not in flight.
// After send has returned, payload is not looked at any more.
func (c *conn) send(ctx context.Context, cl *call, payload []byte) error {
	cl.bytes = len(cl.data) + len(payload)
	c.mu.Lock()
	if !c.gate.enter(cl) {
		c.mu.Unlock()
		c.push() // those that are left there may have the tags
		if err := c.waitForTag(ctx, cl); err != nil {
			return err
		}
		c.mu.Lock()
	}
	if c.err != nil {
		c.mu.Unlock()
		return &lostError{cause: c.err, unsent: true}
	}
	c.slots[cl.tag] = slot{
		inFlight: true, want: cl.want, kind: cl.kind, bytes: cl.bytes, newFid: cl.newFid, since: time.Now(), cl: cl, after: cl.after,
	}
	cl.enc.finish(cl.tag, len(payload))
	if cl.more {
		c.outbox.put(cl.tag, cl.enc.b, payload)
		c.mu.Unlock()
		return nil
	}
	if len(cl.enc.b)+len(payload) <= smallMessage {
		return c.sendSmallLocked(cl, payload)
	}
	return c.sendLargeLocked(ctx, cl, payload)
}

// waitForTag waits for the turn of a call that is in line for a tag.
func (c *conn) waitForTag(ctx context.Context, cl *call) (err error) {
	select {
	case <-cl.turn:
		return nil
	case <-c.lost:
		err = &lostError{cause: c.err, unsent: true}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gate.leave(cl) {
		<-cl.turn
		c.gate.exit(cl.tag, cl.kind, cl.bytes)
	}
	return err
}

// sendSmallLocked never waits for the socket: what does not go at once is copied.
func (c *conn) sendSmallLocked(cl *call, payload []byte) error {
	if c.penTaken || c.raw == nil {
		c.postLocked(cl.tag, cl.enc.b, payload)
		c.mu.Unlock()
		return nil
	}
	c.penTaken = true
	c.mu.Unlock()
	n, err := c.pen.now.run(c.raw, cl.enc.b, payload)
	switch {
	case err != nil:
		return c.sendFailed(cl, n > 0, err)
	case n == len(cl.enc.b)+len(payload):
		c.putPenDown()
	case n == 0: // not begun, so it can still be taken back
		c.mu.Lock()
		c.outbox.put(cl.tag, cl.enc.b, payload)
		c.toWriterLocked()
		c.mu.Unlock()
	default:
		c.pen.copyRest(cl.enc.b, payload, n)
		c.toWriter()
	}
	return nil
}

// sendLargeLocked waits for the pen, and for the socket, until ctx ends. A message
// of which something was written is completed from a copy.
func (c *conn) sendLargeLocked(ctx context.Context, cl *call, payload []byte) error {
	err := c.takePenLocked(ctx, cl)
	if err != nil {
		return c.notBegun(cl, err)
	}
	if c.raw == nil {
		c.pen.copyRest(cl.enc.b, payload, 0)
		c.toWriter()
		return nil
	}
	total := len(cl.enc.b) + len(payload)
	n, err := c.pen.now.run(c.raw, cl.enc.b, payload)
	if err == nil && n < total {
		n, err = c.writeRest(ctx, cl, payload, n)
	}
	switch {
	case err == nil:
		c.putPenDown()
		return nil
	case err != errInterrupted:
		return c.sendFailed(cl, n > 0, err)
	case n == 0:
		c.putPenDown()
		return c.notBegun(cl, context.Cause(ctx))
	}
	c.pen.copyRest(cl.enc.b, payload, n)
	c.toWriter()
	c.flush(cl)
	if c.abandon(cl, false) {
		return context.Cause(ctx)
	}
	return nil // its end has come, or is about to
}

// sendFailed gives the connection up. It returns nil if that ends cl as well.
func (c *conn) sendFailed(cl *call, begun bool, err error) error {
	if !begun {
		err = c.notBegun(cl, &lostError{cause: err, unsent: true})
	}
	c.lose(err)
	if begun {
		return nil
	}
	return err
}

// notBegun takes a call back of which nothing was written. It returns err.
func (c *conn) notBegun(cl *call, err error) error {
	if !c.abandon(cl, true) {
		<-cl.done
	}
	return err
}
