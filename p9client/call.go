package p9client

import (
	"strings"
	"sync"
	"syscall"
)

// A call is one T-message and what came back for it.
type call struct {
	enc    encoder // the T-message without its payload
	want   uint8   // type of the R-message
	tag    uint16
	data   []byte // of Tread: where the reader of the connection puts the payload
	newFid uint32 // of Twalk: the fid that it makes, if it is another
	more   bool   // it stays in the outbox: others follow at once, and then push sends all
	after  func() // if not nil, called when the request has ended, by its reply or Rflush

	// Its way onto the connection.
	kind           kind
	bytes          int           // of data that it asks for or carries
	turn           chan struct{} // capacity 1: the call has what it waited for
	in             *line         // where it waits, with its neighbours
	before, behind *call

	// The reply, valid after done was told.
	done  chan struct{} // capacity 1
	n     int           // bytes of data that are valid
	body  []byte        // of other replies, without the header
	err   error
	small [160]byte // room for short bodies, up to that of Rgetattr
}

var callPool = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1), turn: make(chan struct{}, 1)} }}

// newCall begins a T-message.
func newCall(typ uint8) *call {
	cl := callPool.Get().(*call)
	cl.want = typ + 1
	cl.kind = kindOf(typ)
	cl.enc.begin(typ)
	return cl
}

// end tells the caller how the call went.
func (cl *call) end(err error) {
	cl.err = err
	cl.done <- struct{}{}
}

// free gives a call back that has ended and whose reply was used up.
func (cl *call) free() {
	if cap(cl.enc.b) > 4096 {
		cl.enc.b = nil
	}
	*cl = call{enc: cl.enc, done: cl.done, turn: cl.turn}
	callPool.Put(cl)
}

// errorReply makes an Error of an Rlerror's or Rerror's body. That of Rerror is a
// string; 9P2000.u adds an errno, and servers exist that send nothing but an errno.
func errorReply(typ uint8, body []byte) error {
	d := decoder{b: body}
	if typ == rerror {
		s := d.str()
		switch left := len(d.b); {
		case d.err == nil && left == 0 && !strings.Contains(s, "\x00"):
			return &Error{Errno: enameErrno(s), Ename: s}
		case d.err == nil && left == 4:
			errno := serverErrno(d.u32())
			if errno == syscall.EIO { // the words may know better
				errno = enameErrno(s)
			}
			return &Error{Errno: errno, Ename: s}
		}
		d = decoder{b: body}
	}
	errno := serverErrno(d.u32())
	if d.end() != nil {
		return protocolError("%s of %d bytes", errorNames[typ], len(body))
	}
	return &Error{Errno: errno, Ename: errno.Error()}
}

var errorNames = map[uint8]string{rlerror: "Rlerror", rerror: "Rerror"}
