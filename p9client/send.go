package p9client

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that makes whoever reads or writes stop at once.
var past = time.Unix(1, 0)

// takeTag returns a free tag.
func (c *conn) takeTag(ctx context.Context) (uint16, error) {
	select {
	case tag := <-c.tags:
		return tag, nil
	default:
	}
	select {
	case tag := <-c.tags:
		return tag, nil
	case <-c.lost:
		return 0, &lostError{cause: c.err, unsent: true}
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// send gives cl a tag and writes it, followed by payload. An error means that cl
// is not in flight. After send has returned, payload is not looked at any more.
func (c *conn) send(ctx context.Context, cl *call, payload []byte) error {
	tag, err := c.takeTag(ctx)
	if err != nil {
		return err
	}
	cl.tag = tag
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return &lostError{cause: c.err, unsent: true}
	}
	c.slots[tag] = slot{inFlight: true, want: cl.want, since: time.Now(), cl: cl, after: cl.after}
	c.mu.Unlock()
	cl.enc.finish(tag, len(payload))
	begun, err := c.write(ctx, cl.enc.b, payload)
	switch {
	case err == nil, isLost(err) && begun: // the loss ends cl too
		return nil
	case !begun:
		if !c.abandon(cl, true) {
			<-cl.done
		}
		return err
	case cl.after != nil: // a Tclunk is not flushed
		return nil
	}
	if c.beginFlush(cl) {
		c.spawn(func() { c.flush(context.Background(), tag) })
	}
	if c.abandon(cl, false) {
		return err
	}
	return nil // its end has come, or is about to
}

// write writes a message, or nothing of it: if ctx ends in the middle, another
// goroutine writes a copy of the rest. begun tells whether anything was written.
func (c *conn) write(ctx context.Context, header, payload []byte) (begun bool, err error) {
	select {
	case c.pen <- struct{}{}:
	default:
		select {
		case c.pen <- struct{}{}:
		case <-c.lost:
			return false, &lostError{cause: c.err, unsent: true}
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	if c.whole {
		return c.writeWhole(ctx, header, payload)
	}
	n, err := 0, error(nil)
	if c.raw != nil {
		n, err = c.now.run(c.raw, header, payload)
	}
	total := len(header) + len(payload)
	if err == nil && n < total {
		n, err = c.writeRest(ctx, header, payload, n)
	}
	if err == nil {
		<-c.pen
		return true, nil
	}
	if n > 0 && errors.Is(err, errInterrupted) {
		rest := make([]byte, 0, total-n)
		for _, b := range after(header, payload, n) {
			rest = append(rest, b...)
		}
		if c.spawn(func() { c.finishWrite(rest) }) {
			return true, context.Cause(ctx) // with the pen
		}
		err = c.err
	}
	<-c.pen
	if errors.Is(err, errInterrupted) {
		return false, context.Cause(ctx)
	}
	c.lose(err)
	return n > 0, &lostError{cause: err, unsent: n == 0}
}

// finishWrite writes what an interrupted caller left, and gives his pen back.
func (c *conn) finishWrite(rest []byte) error {
	_, err := c.nc.Write(rest)
	<-c.pen
	if err != nil {
		c.lose(err)
	}
	return err
}

var errInterrupted = errors.New("interrupted")

// writeRest writes a message of which n bytes were written. It waits for the
// socket until ctx ends, and returns how many bytes of the message were written.
func (c *conn) writeRest(ctx context.Context, header, payload []byte, n int) (int, error) {
	if ctx.Err() != nil {
		return n, errInterrupted
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.nc.SetWriteDeadline(past)
		close(fired)
	})
	bufs := after(header, payload, n)
	k, err := bufs.WriteTo(c.nc)
	if !stop() {
		<-fired
		c.nc.SetWriteDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errInterrupted
		}
	}
	return n + int(k), err
}

// after returns what follows the first n bytes of a message.
func after(header, payload []byte, n int) net.Buffers {
	if n >= len(header) {
		return net.Buffers{payload[n-len(header):]}
	}
	if len(payload) == 0 {
		return net.Buffers{header[n:]}
	}
	return net.Buffers{header[n:], payload}
}

// An attempt writes as much as the socket takes without waiting. That is mostly
// all, and then no watch on the context is needed.
type attempt struct {
	fn   func(fd uintptr) bool // write; made once
	bufs [2][]byte
	n    int
	err  error
}

func (a *attempt) run(raw syscall.RawConn, header, payload []byte) (int, error) {
	a.bufs = [2][]byte{header, payload}
	err := raw.Write(a.fn)
	a.bufs = [2][]byte{}
	if err != nil {
		return 0, err
	}
	return a.n, a.err
}

func (a *attempt) write(fd uintptr) bool {
	for {
		if len(a.bufs[1]) == 0 {
			a.n, a.err = unix.Write(int(fd), a.bufs[0])
		} else {
			a.n, a.err = unix.Writev(int(fd), a.bufs[:])
		}
		if a.err != unix.EINTR {
			break
		}
	}
	a.n = max(a.n, 0)
	if a.err == unix.EAGAIN {
		a.err = nil
	}
	return true // do not wait
}
