package p9client

import (
	"encoding/binary"
	"sync"
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

// errorReply makes an Error of an Rlerror's or Rerror's body. Servers exist that
// send Rerror, with a bare errno instead of a string.
func errorReply(typ uint8, body []byte) error {
	if len(body) == 4 {
		errno := serverErrno(binary.LittleEndian.Uint32(body))
		return &Error{Errno: errno, Ename: errno.Error()}
	}
	if typ == rerror {
		d := decoder{b: body}
		if s := d.str(); d.end() == nil {
			return &Error{Errno: enameErrno(s), Ename: s}
		}
	}
	return protocolError("error reply of %d bytes", len(body))
}
