package p9client

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	flushBit  = 0x8000                 // of a Tflush's tag: the rest is the tag that it flushes
	probeTag  = noTag - 1              // of the watchdog's Tflush
	flushWait = 400 * time.Millisecond // how long an interrupted caller waits for Rflush
)

// A conn is one connection to the server, from Tversion to its loss.
type conn struct {
	nc         net.Conn
	addr       Address         // what was dialed; set before the session sees the connection
	raw        syscall.RawConn // of nc; nil if it is not a socket
	generation uint64
	msize      int
	say        dialect // set before anything is sent
	root       uint32  // fid of the attach
	rootQid    Qid     // set before the session sees the connection
	timeout    time.Duration
	born       time.Time
	lost       chan struct{}   // closed when the connection is given up
	fidFreed   chan struct{}   // capacity 1: one of freeFids may be had
	crowded    func(limit int) // told that the server takes only so many fids; nil: nobody
	wg         sync.WaitGroup
	heard      atomic.Int64 // when the server last showed that it lives, UnixNano

	pen pen

	mu       sync.Mutex // guards what follows
	gate     gate
	slots    [maxCalls]slot
	penTaken bool   // somebody writes to nc, or is about to
	outbox   outbox // small messages that wait for the pen
	large    line   // calls that wait for it, with messages that are not small
	adrift   int    // requests with a newFid that were given up and may still be obeyed
	freeFids []uint32
	fidLimit uint32 // the least number that the server has refused; 0: none
	fids     uint32
	err      error // why it was lost
}

// A slot is what a tag stands for. The tag is free again when the reply has come,
// or the Rflush that says that none will, and no Tflush of it is unanswered.
type slot struct {
	inFlight  bool // the reply has not come yet, or not all of it
	flushing  bool // the answer to Tflush has not come yet
	receiving bool // the reader of the connection is filling cl
	giveUp    bool // the caller wants cl back although it is being filled
	adrift    bool // it was given up and may still make newFid
	want      uint8
	kind      kind
	bytes     int
	newFid    uint32 // 0: none
	since     time.Time
	cl        *call  // nil: nobody waits. Whoever makes it nil ends the call
	after     func() // called when it is not in flight any more
}

func newConn(nc net.Conn, generation uint64, msize int, timeout time.Duration) *conn {
	c := &conn{
		nc: nc, generation: generation, msize: msize, timeout: timeout, born: time.Now(),
		lost: make(chan struct{}), fidFreed: make(chan struct{}, 1), pen: pen{work: make(chan struct{}, 1)},
	}
	c.gate.init()
	limitUnsent(nc)
	c.raw = rawConn(nc)
	c.pen.now.fn = c.pen.now.write
	c.heard.Store(time.Now().UnixNano())
	c.wg.Go(c.read)
	c.wg.Go(c.writeWhatWaits)
	c.wg.Go(c.watch)
	return c
}

// maxUnsent is how many bytes may wait in the socket of a TCP connection, besides
// those that are on their way: what is there is ahead of every small message. Its
// buffer alone could hold megabytes.
const maxUnsent = 256 << 10

func limitUnsent(nc net.Conn) {
	if t, ok := nc.(*net.TCPConn); ok {
		if raw, err := t.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
			})
		}
	}
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
	var unsent, orphans []*call
	for i := range c.slots {
		if s := &c.slots[i]; s.cl != nil && !s.receiving { // else the reader ends it
			if c.outbox.remove(uint16(i)) {
				unsent = append(unsent, s.cl)
			} else {
				orphans = append(orphans, s.cl)
			}
			s.cl = nil
		}
	}
	c.mu.Unlock()
	if l, ok := c.nc.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	c.nc.Close()
	for _, cl := range unsent {
		cl.end(&lostError{cause: cause, unsent: true})
	}
	for _, cl := range orphans {
		cl.end(&lostError{cause: cause})
	}
}

func (c *conn) isLost() bool {
	select {
	case <-c.lost:
		return true
	default:
		return false
	}
}

// cause is why the connection was lost.
func (c *conn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// close gives the connection up and joins its goroutines.
func (c *conn) close(cause error) {
	c.lose(cause)
	c.wg.Wait()
	hangUp(c.nc)
}

// spawn runs f in a goroutine that close joins. After the loss it does nothing
// and reports false.
func (c *conn) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	c.wg.Go(f)
	return true
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
	if c.fidLimit == 0 || fid < c.fidLimit {
		c.freeFids = append(c.freeFids, fid)
	}
	c.mu.Unlock()
	select {
	case c.fidFreed <- struct{}{}:
	default:
	}
}

// fidWait is how long a walk waits for a number that the server takes.
const fidWait = 5 * time.Second

// refused is told that the server takes no fid with that number: there are servers
// with a table of them, and so with room for fewer than it. It has others given up
// and reports whether there is a number to try again with.
func (c *conn) refused(ctx context.Context, num uint32) bool {
	c.mu.Lock()
	if c.fidLimit == 0 || num < c.fidLimit {
		c.fidLimit = num
		c.fids = min(c.fids, num-1)
		c.freeFids = slices.DeleteFunc(c.freeFids, func(n uint32) bool { return n >= num })
	}
	limit := int(c.fidLimit)
	c.mu.Unlock()
	if c.crowded != nil {
		c.crowded(limit)
	}
	t := time.NewTimer(fidWait)
	defer t.Stop()
	for {
		c.mu.Lock()
		free := len(c.freeFids)
		c.mu.Unlock()
		if free > 0 {
			return true
		}
		select {
		case <-c.fidFreed:
		case <-t.C:
			return false
		case <-ctx.Done():
			return false
		case <-c.lost:
			return false
		}
	}
}

// freeTagLocked gives the tag back unless an answer is still to come.
func (c *conn) freeTagLocked(tag uint16) {
	if s := &c.slots[tag]; !s.inFlight && !s.flushing {
		c.gate.exit(tag, s.kind, s.bytes)
	}
}
