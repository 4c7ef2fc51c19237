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

// The pen is the writing side of the socket. Who sends a message takes it if it is
// free, and writes himself; nothing then is copied and nobody else has to run.
//
//   - Small messages that find it taken are copied to the outbox. Whoever puts the
//     pen down writes them first, all at once.
//   - Large ones stand in line. One of them is next after each outbox, so neither
//     waits for more than one of the other.
//   - What does not fit into the socket is left to a goroutine, the writer, which
//     has the pen as long as it waits.
//
// Its fields belong to whoever has the pen.
type pen struct {
	now   attempt
	rest  net.Buffers   // what the writer has to write first
	bufs  [2][]byte     // room for rest
	own   []byte        // room for copies
	batch []byte        // what was in the outbox
	whose *call         // who wants the pen back when rest was written
	err   error         // of writing rest
	work  chan struct{} // capacity 1: the writer has the pen
}

// takePenLocked waits for the pen, in line behind others. It unlocks c.mu.
func (c *conn) takePenLocked(ctx context.Context, cl *call) (err error) {
	if !c.penTaken {
		c.penTaken = true
		c.mu.Unlock()
		return nil
	}
	c.large.push(cl)
	c.mu.Unlock()
	select {
	case <-cl.turn:
		return nil
	case <-c.lost:
		err = &lostError{cause: c.err, unsent: true}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.mu.Lock()
	mine := !c.large.remove(cl)
	c.mu.Unlock()
	if mine {
		<-cl.turn
		c.putPenDown()
	}
	return err
}

// postLocked puts a small message into the outbox.
func (c *conn) postLocked(tag uint16, header, payload []byte) {
	c.outbox.put(tag, header, payload)
	if !c.penTaken {
		c.penTaken = true
		c.toWriterLocked()
	}
}

// push sends what was left in the outbox by calls with more.
func (c *conn) push() {
	c.mu.Lock()
	if c.penTaken || c.outbox.empty() {
		c.mu.Unlock()
		return
	}
	c.penTaken = true
	if c.raw == nil {
		c.toWriterLocked()
	}
	c.mu.Unlock()
	if c.raw != nil {
		c.putPenDown()
	}
}

// putPenDown writes what is in the outbox, if it can without waiting, and passes
// the pen on.
func (c *conn) putPenDown() {
	c.mu.Lock()
	if c.outbox.empty() || c.raw == nil {
		c.passPenLocked()
		c.mu.Unlock()
		return
	}
	c.pen.batch = c.outbox.take(c.pen.batch)
	c.mu.Unlock()
	n, err := c.pen.now.run(c.raw, c.pen.batch, nil)
	if err != nil {
		c.lose(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < len(c.pen.batch) {
		c.pen.setRest(c.pen.batch[n:], nil)
		c.toWriterLocked()
		return
	}
	c.passPenLocked()
}

// passPenLocked gives the pen to the large message that has waited longest, else
// to the writer if there is something in the outbox, else to nobody.
func (c *conn) passPenLocked() {
	if cl := c.large.pop(); cl != nil {
		cl.turn <- struct{}{}
	} else if !c.outbox.empty() {
		c.toWriterLocked()
	} else {
		c.penTaken = false
	}
}

// toWriter gives the pen to the writer. After the loss nobody has it.
func (c *conn) toWriter() {
	c.mu.Lock()
	c.toWriterLocked()
	c.mu.Unlock()
}

func (c *conn) toWriterLocked() bool {
	if c.err != nil {
		return false
	}
	c.pen.work <- struct{}{}
	return true
}

// writeRest lets the writer write what follows the first n bytes of cl's message,
// until ctx ends, and takes the pen back. It returns how many bytes of the message
// were written.
func (c *conn) writeRest(ctx context.Context, cl *call, payload []byte, n int) (int, error) {
	if ctx.Err() != nil {
		return n, errInterrupted
	}
	c.pen.setRest(after(cl.enc.b, payload, n))
	c.pen.whose = cl
	c.mu.Lock()
	ok := c.toWriterLocked()
	c.mu.Unlock()
	if !ok {
		return n, c.err
	}
	select {
	case <-cl.turn:
	case <-ctx.Done():
		c.nc.SetWriteDeadline(past)
		<-cl.turn
		c.nc.SetWriteDeadline(time.Time{})
		if errors.Is(c.pen.err, os.ErrDeadlineExceeded) {
			c.pen.err = errInterrupted
		}
	}
	n = len(cl.enc.b) + len(payload)
	for _, b := range c.pen.rest {
		n -= len(b)
	}
	return n, c.pen.err
}

var errInterrupted = errors.New("interrupted")

// writeWhatWaits is the writer. It ends with the connection; nobody gives it the
// pen after that.
func (c *conn) writeWhatWaits() {
	for {
		select {
		case <-c.pen.work:
			c.write()
		case <-c.lost:
			select {
			case <-c.pen.work:
				c.write()
			default:
			}
			return
		}
	}
}

// write writes the rest, gives the pen back to who wants it, or else writes what
// is in the outbox and passes it on.
func (c *conn) write() {
	_, err := c.pen.rest.WriteTo(c.nc)
	if cl := c.pen.whose; cl != nil {
		c.pen.whose, c.pen.err = nil, err
		cl.turn <- struct{}{}
		return
	}
	for err == nil {
		if c.raw != nil { // what was not begun may be taken back as long as the socket is full
			if err = c.raw.Write(writable); err != nil {
				break
			}
		}
		c.mu.Lock()
		if c.outbox.empty() {
			c.passPenLocked()
			c.mu.Unlock()
			return
		}
		c.pen.batch = c.outbox.take(c.pen.batch)
		c.mu.Unlock()
		if _, err = c.nc.Write(c.pen.batch); err == nil && c.passedToLarge() {
			return
		}
	}
	c.lose(err)
}

func (c *conn) passedToLarge() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.large.pop()
	if cl != nil {
		cl.turn <- struct{}{}
	}
	return cl != nil
}

// writable tells whether the socket has room; to RawConn.Write it says so by not
// asking to be called again.
func writable(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// after returns what follows the first n bytes of a message.
func after(header, payload []byte, n int) (a, b []byte) {
	if n >= len(header) {
		return payload[n-len(header):], nil
	}
	return header[n:], payload
}

func (p *pen) setRest(a, b []byte) {
	p.bufs = [2][]byte{a, b}
	p.rest = p.bufs[:]
}

// copyRest makes rest a copy of what follows the first n bytes of a message.
func (p *pen) copyRest(header, payload []byte, n int) {
	a, b := after(header, payload, n)
	p.own = append(append(p.own[:0], a...), b...)
	p.setRest(p.own, nil)
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
