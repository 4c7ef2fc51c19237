package export

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

const (
	// maxInFlight bounds the requests of one connection that are being served;
	// the core would start any number of goroutines.
	maxInFlight = 256
	// maxHeld bounds the bytes of their Treads and Twrites; one may exceed it.
	maxHeld = 64 << 20
	// minMsize is the least that carries every reply but names and data.
	minMsize = 4096
	// firstSize bounds messages before msize is agreed.
	firstSize = 8192
	// maxFids bounds the Files of one connection: its fids, the directories that
	// they were walked through, and one more for each that was created.
	maxFids = 1 << 20
	// maxXattrFids bounds values held between Txattrwalk and Tclunk, 64 KiB each.
	maxXattrFids = 256
)

// A conn stands between one connection and the core. The core reads requests
// through [conn.Read] and writes replies through [conn.Write]; it sees only
// well-formed requests, in a session that follows the rules, and only verbs that
// it does not spoil (see the package comment).
type conn struct {
	srv *Server
	rw  io.ReadWriteCloser
	in  *bufio.Reader

	over  chan struct{} // closed when the core is told the end of input
	files atomic.Int32  // not closed yet

	// Request being handed to the core; owned by its one reading goroutine.
	front []byte
	lock  [64]byte // room for the Tlock of a detour

	// Reply being taken from the core; owned by its one writing goroutine.
	reply   []byte
	replied bool // the first one is out

	wmu sync.Mutex // one frame to rw at a time

	mu      sync.Mutex
	changed sync.Cond // pending has shrunk, or err is set
	pending map[uint16]*request
	barrier bool // nothing is read until pending is empty
	msize   uint32
	agreed  bool  // a version was
	err     error // why the connection ends; set once
	attach  attach
	xattrs  xattrFids
	held    int64 // bytes of data that requests in pending have asked for or brought
}

// request is a T-message that waits for its reply.
type request struct {
	typ     byte
	detour  *detour
	fid     uint32   // a Txattrcreate's
	held    int64    // its part of conn.held
	flushes []uint16 // Tflushes to be answered behind the reply
}

// attach is what the Tattach being served asked for.
type attach struct {
	aname string
	uid   uint32
}

func newConn(s *Server, rw io.ReadWriteCloser) *conn {
	c := &conn{
		srv: s, rw: rw, in: bufio.NewReaderSize(rw, 16<<10), over: make(chan struct{}),
		pending: map[uint16]*request{}, msize: firstSize,
		xattrs: xattrFids{read: map[uint32][]byte{}, written: map[uint32]struct{}{}},
	}
	c.changed.L = &c.mu
	return c
}

// end closes the connection for the reason err; the first reason stays.
func (c *conn) end(err error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	if first {
		c.rw.Close()
	}
}

// Close is called by the core, once for each direction.
func (c *conn) Close() error {
	c.end(io.EOF)
	return nil
}

// Attach makes the root of the attach that is being served.
func (c *conn) Attach() (p9.File, error) {
	c.mu.Lock()
	a := c.attach
	c.mu.Unlock()
	c.srv.root.share()
	c.files.Add(1)
	f := &File{srv: c.srv, conn: c, node: c.srv.root, owner: a.uid}
	names := strings.FieldsFunc(a.aname, func(r rune) bool { return r == '/' })
	_, to, _, err := f.walk(names)
	f.Close()
	if err != nil {
		return nil, err
	}
	if to.node.st.typ == unix.S_IFLNK {
		to.Close()
		return nil, wire(unix.ELOOP)
	}
	return to, nil
}

// admit records a request, or says why the session cannot take it.
func (c *conn) admit(h header) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return c.err
	case h.typ == tversion && c.agreed:
		return broken("a second Tversion")
	case h.typ != tversion && !c.agreed:
		return broken("message of type %d before Tversion", h.typ)
	case h.tag == noTag && h.typ != tversion:
		return broken("message of type %d with NOTAG", h.typ)
	case c.pending[h.tag] != nil:
		return broken("tag %d is in use", h.tag)
	}
	c.pending[h.tag] = &request{typ: h.typ}
	return nil
}

// settleLocked takes a request out, and the Tflushes that wait for it: theirs are
// the tags returned. nil if there is no such request. The caller holds wmu; c.mu is
// taken here.
func (c *conn) settleLocked(tag uint16) (r *request, flushes []uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r = c.pending[tag]; r != nil {
		delete(c.pending, tag)
		flushes = r.flushes
		c.held -= r.held
	}
	for i := 0; i < len(flushes); i++ {
		flushes = append(flushes, c.pending[flushes[i]].flushes...)
		delete(c.pending, flushes[i])
	}
	if len(c.pending) == 0 {
		c.barrier = false
	}
	c.changed.Broadcast()
	return r, flushes
}

// awaitTurn waits until one more request may be read.
func (c *conn) awaitTurn() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && (c.barrier || len(c.pending) >= maxInFlight || c.held >= maxHeld) {
		c.changed.Wait()
	}
	return c.err
}

// hold counts the data of a request.
func (c *conn) hold(tag uint16, n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[tag].held += int64(n)
	c.held += int64(n)
}

// note keeps the fid of a request until its reply.
func (c *conn) note(tag uint16, fid uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[tag].fid = fid
}

// fence keeps the next request back until those admitted are answered.
func (c *conn) fence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.barrier = true
}

var errOddReply = errors.New("export: the core wrote something that is no reply")
