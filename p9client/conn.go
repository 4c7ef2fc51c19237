package p9client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxCalls  = 256                    // requests in flight on a connection
	probeTag  = noTag - 1              // never given to a call
	flushWait = 500 * time.Millisecond // how long an interrupted caller waits for Rflush
)

// A conn is one connection to the server, from Tversion to its loss.
type conn struct {
	nc         net.Conn
	generation uint64
	msize      int
	root       uint32 // fid of the attach
	timeout    time.Duration
	slots      chan struct{} // one for each request in flight
	lost       chan struct{} // closed when the connection is given up
	wg         sync.WaitGroup
	heard      atomic.Int64 // when bytes came last, UnixNano

	wmu sync.Mutex // the writing side of nc

	mu       sync.Mutex // guards what follows
	calls    map[uint16]*call
	freeTags []uint16
	tags     uint16 // given out so far
	freeFids []uint32
	fids     uint32
	err      error // why it was lost
}

func newConn(nc net.Conn, generation uint64, msize int, timeout time.Duration) *conn {
	c := &conn{
		nc: nc, generation: generation, msize: msize, timeout: timeout,
		slots: make(chan struct{}, maxCalls), lost: make(chan struct{}), calls: make(map[uint16]*call),
	}
	c.heard.Store(time.Now().UnixNano())
	c.wg.Go(c.read)
	c.wg.Go(c.watch)
	return c
}

// lose gives the connection up. It is closed with a reset: what a stalled server
// has not read yet must not be applied later, after newer bytes.
func (c *conn) lose(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = cause
	close(c.lost)
	var orphans []*call
	for tag, cl := range c.calls {
		if !cl.receiving { // else its reader ends it
			delete(c.calls, tag)
			orphans = append(orphans, cl)
		}
	}
	c.mu.Unlock()
	if l, ok := c.nc.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	c.nc.Close()
	for _, cl := range orphans {
		c.answer(cl, &lostError{cause: cause})
	}
}

// close gives the connection up and joins its goroutines.
func (c *conn) close(cause error) {
	c.lose(cause)
	c.wg.Wait()
}

// newFid returns a number that no fid of this connection has.
func (c *conn) newFid() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.freeFids); n > 0 {
		fid := c.freeFids[n-1]
		c.freeFids = c.freeFids[:n-1]
		return fid
	}
	c.fids++
	return c.fids
}

func (c *conn) freeFid(fid uint32) {
	c.mu.Lock()
	c.freeFids = append(c.freeFids, fid)
	c.mu.Unlock()
}

// send gives cl a tag and writes it, followed by payload. An error means that cl
// is not in flight.
func (c *conn) send(ctx context.Context, cl *call, payload []byte) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.lost:
		return &lostError{cause: c.err, unsent: true}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	cl.started = time.Now()
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		<-c.slots
		return &lostError{cause: c.err, unsent: true}
	}
	if n := len(c.freeTags); n > 0 {
		cl.tag = c.freeTags[n-1]
		c.freeTags = c.freeTags[:n-1]
	} else {
		cl.tag = c.tags
		c.tags++
	}
	c.calls[cl.tag] = cl
	c.mu.Unlock()
	cl.enc.finish(cl.tag, len(payload))
	if err := c.write(cl.enc.b, payload); err != nil {
		c.lose(err) // ends cl too
	}
	return nil
}

func (c *conn) write(header, payload []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if len(payload) == 0 {
		_, err := c.nc.Write(header)
		return err
	}
	bufs := net.Buffers{header, payload}
	_, err := bufs.WriteTo(c.nc)
	return err
}

// wait waits for the reply to cl. If ctx ends first, the request is flushed; a
// reply that comes meanwhile is accepted all the same. After wait has returned,
// nothing is written to cl.data. If cl was not answered it must not be freed.
func (c *conn) wait(ctx context.Context, cl *call) (answered bool, err error) {
	select {
	case <-cl.done:
		return true, cl.err
	case <-ctx.Done():
	}
	flush := newCall(tflush)
	flush.enc.u16(cl.tag)
	fctx, cancel := context.WithTimeout(context.Background(), flushWait)
	defer cancel()
	if c.send(fctx, flush, nil) != nil {
		flush = nil
	}
	var flushed <-chan struct{}
	if flush != nil {
		flushed = flush.done
	}
	select {
	case <-cl.done:
		if flush != nil {
			c.abandon(flush, nil)
		}
		return true, cl.err
	case <-flushed:
		// Rflush: no reply will come. An error does not mean that.
		if flush.err == nil && c.forget(cl) {
			return false, context.Cause(ctx)
		}
	case <-fctx.Done():
		if flush != nil {
			c.abandon(flush, nil)
		}
	}
	if c.abandon(cl, nil) {
		return false, context.Cause(ctx)
	}
	<-cl.done // it is being received, or was
	return true, cl.err
}

// forget frees the tag of a flushed call. It reports false if its reply has come
// or is coming.
func (c *conn) forget(cl *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[cl.tag] != cl || cl.receiving {
		return false
	}
	delete(c.calls, cl.tag)
	c.freeTags = append(c.freeTags, cl.tag)
	<-c.slots
	return true
}

// abandon leaves a call to the reader of the connection, which frees its tag when
// the reply arrives. It reports false if the reply has come or is coming.
func (c *conn) abandon(cl *call, after func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[cl.tag] != cl || cl.receiving {
		return false
	}
	cl.abandoned, cl.after, cl.data = true, after, nil
	return true
}

// rpc sends cl and waits for its reply. freeable reports whether cl may be freed.
func (c *conn) rpc(ctx context.Context, cl *call, payload []byte) (freeable bool, err error) {
	if err := c.send(ctx, cl, payload); err != nil {
		return true, err
	}
	return c.wait(ctx, cl)
}

// answer ends a call that is no longer in c.calls.
func (c *conn) answer(cl *call, err error) {
	<-c.slots
	cl.err = err
	if cl.abandoned {
		if cl.after != nil {
			cl.after()
		}
		return
	}
	cl.done <- struct{}{}
}

// read is the goroutine that reads from the connection until it is lost.
func (c *conn) read() {
	r := bufio.NewReaderSize(&listener{c}, 4096)
	for {
		if err := c.readMessage(r); err != nil {
			c.lose(err)
			return
		}
	}
}

// A listener notes when bytes come.
type listener struct{ c *conn }

func (l *listener) Read(p []byte) (int, error) {
	n, err := l.c.nc.Read(p)
	if n > 0 {
		l.c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

func (c *conn) readMessage(r *bufio.Reader) error {
	h, err := r.Peek(headerLen)
	if err != nil {
		return err
	}
	size := int(binary.LittleEndian.Uint32(h))
	typ, tag := h[4], binary.LittleEndian.Uint16(h[5:])
	r.Discard(headerLen)
	if size < headerLen || size > c.msize {
		return protocolError("frame of %d bytes, msize is %d", uint32(size), c.msize)
	}
	size -= headerLen
	if tag == probeTag {
		_, err := r.Discard(size)
		return err
	}
	c.mu.Lock()
	cl := c.calls[tag]
	if cl == nil {
		c.mu.Unlock()
		return protocolError("reply of type %d with tag %d, which is not in flight", typ, tag)
	}
	if typ != cl.want && typ != rlerror && typ != rerror {
		c.mu.Unlock()
		return protocolError("reply of type %d to a request that wants %d", typ, cl.want)
	}
	cl.receiving = !cl.abandoned
	discard := cl.abandoned
	c.mu.Unlock()

	var replyErr error
	switch {
	case discard:
		_, err = r.Discard(size)
	case typ == tread+1 && cl.want == typ:
		err = c.readData(r, cl, size)
	default:
		cl.body = cl.small[:0]
		if size > len(cl.small) {
			cl.body = make([]byte, 0, size)
		}
		cl.body = cl.body[:size]
		if _, err = io.ReadFull(r, cl.body); err == nil && typ != cl.want {
			replyErr = errorReply(typ, cl.body)
			var bad *Error
			if !errors.As(replyErr, &bad) {
				err = replyErr
			}
		}
	}
	if err != nil {
		replyErr = &lostError{cause: err}
	}
	c.mu.Lock()
	still := c.calls[tag] == cl // lose may have ended an abandoned one
	if still {
		delete(c.calls, tag)
		c.freeTags = append(c.freeTags, tag)
	}
	c.mu.Unlock()
	if still {
		c.answer(cl, replyErr)
	}
	return err
}

// readData reads an Rread's payload from the socket into the caller's buffer.
func (c *conn) readData(r *bufio.Reader, cl *call, size int) error {
	if size < 4 {
		return errShort
	}
	h, err := r.Peek(4)
	if err != nil {
		return err
	}
	count := int64(binary.LittleEndian.Uint32(h))
	r.Discard(4)
	if count != int64(size-4) || count > int64(len(cl.data)) {
		return protocolError("Rread of %d bytes in a body of %d, %d were asked for", count, size, len(cl.data))
	}
	cl.n, err = io.ReadFull(r, cl.data[:count])
	return err
}

// watch gives the connection up when the server has been silent for timeout
// though a request is in flight. A request that merely takes long does not end
// it: halfway, the server is asked for a sign of life.
func (c *conn) watch() {
	t := time.NewTicker(max(c.timeout/8, time.Millisecond))
	defer t.Stop()
	var probed time.Time
	for {
		select {
		case <-c.lost:
			return
		case now := <-t.C:
			oldest := c.oldest()
			heard := time.Unix(0, c.heard.Load())
			switch {
			case oldest.IsZero() || now.Sub(oldest) < c.timeout/2 || now.Sub(heard) < c.timeout/2:
			case probed.Before(heard) || probed.Before(oldest):
				probed = now
				c.wg.Go(c.probe) // the socket may be full
			case now.Sub(heard) > c.timeout && now.Sub(oldest) > c.timeout:
				c.lose(fmt.Errorf("%w: the server has been silent for %v", syscall.ETIMEDOUT, c.timeout))
			}
		}
	}
}

// probe asks for a reply that costs nothing: the flush of a request that does
// not exist.
func (c *conn) probe() {
	var e encoder
	e.begin(tflush)
	e.u16(probeTag)
	e.finish(probeTag, 0)
	if err := c.write(e.b, nil); err != nil {
		c.lose(err)
	}
}

// oldest returns when the oldest request in flight was sent.
func (c *conn) oldest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var t time.Time
	for _, cl := range c.calls {
		if t.IsZero() || cl.started.Before(t) {
			t = cl.started
		}
	}
	return t
}
