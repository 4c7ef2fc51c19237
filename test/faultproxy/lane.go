package faultproxy

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// One system call takes a good part of the usual 1 MiB message; 64 KiB was a quarter slower,
	// more than 1 MiB too.
	readBuffer  = 512 << 10
	wholeUpTo   = 8 << 10   // messages up to this size are looked at when they are complete
	wireChunk   = 64 << 10  // granularity of a shaped link
	wireAtMost  = 64 << 20  // bytes under way on a shaped link
	unknownSize = 1<<63 - 1 // a raw direction: everything passes
)

// lane is one direction of a link.
type lane struct {
	link     *link
	src, dst net.Conn
	up       bool      // from client to server
	delays   *schedule // messages waiting for their delay=
	wire     *schedule // bytes on the way of a shaped link

	mu       sync.Mutex // held while a message, or a part of it, goes to dst
	sentAt   time.Time  // when the last bit given to wire has left; guarded by mu
	inStream bool       // pump holds mu between the parts of a long message; pump's own
}

func newLane(l *link, src, dst net.Conn) *lane {
	return &lane{link: l, src: src, dst: dst, up: dst == l.server, delays: newSchedule(l.dead), wire: newSchedule(l.dead)}
}

// pump reads src to its end. Messages without a rule pass in the buffer they were read into.
func (o *lane) pump() {
	f := framer{lane: o, buf: make([]byte, readBuffer)}
	err := f.run()
	if o.inStream {
		o.inStream = false
		o.mu.Unlock()
	}
	switch {
	case errors.Is(err, errEnded):
	case errors.Is(err, io.EOF):
		// What is delayed or on the wire still arrives, then the end of file.
		if o.delays.waitIdle() && o.wire.waitIdle() && o.link.gate() == nil {
			closeWrite(o.dst)
		}
	default:
		o.link.reset("%s: %v", o.direction(), err)
	}
}

func (o *lane) direction() string {
	if o.up {
		return "from the client"
	}
	return "from the server"
}

// framer cuts what a lane reads into messages.
type framer struct {
	*lane
	buf     []byte
	r, w    int     // unread part of buf
	skip    int64   // bytes of a passing message that are still to come
	collect message // a message for a rule, incomplete while len(collect) < want
	want    int
	rule    Rule
}

func (f *framer) run() error {
	for {
		n, err := f.src.Read(f.buf[f.w:])
		f.w += n
		if perr := f.parse(); perr != nil {
			return perr
		}
		if err != nil {
			if f.w > f.r { // half a message: it passes as it is
				if perr := f.forward(f.buf[f.r:f.w], false); perr != nil {
					return perr
				}
			}
			return err
		}
	}
}

// parse consumes buf[r:w] but for an incomplete header or short message at its end.
func (f *framer) parse() error {
	pass := f.r // buf[pass:r] is to be forwarded as it is
	flush := func() error {
		b := f.buf[pass:f.r]
		pass = f.r
		if len(b) == 0 {
			return nil
		}
		return f.forward(b, f.skip > 0)
	}
	for f.r < f.w {
		have := f.w - f.r
		switch {
		case f.skip > 0:
			n := int(min(f.skip, int64(have)))
			f.r += n
			f.skip -= int64(n)
			continue
		case f.want > 0:
			n := min(f.want-len(f.collect), have)
			f.collect = append(f.collect, f.buf[f.r:f.r+n]...)
			f.r += n
			pass = f.r
			if len(f.collect) < f.want {
				continue
			}
			m := f.collect
			f.collect, f.want = nil, 0
			if err := f.obey(f.rule, m); err != nil {
				return err
			}
			continue
		case have < headerSize:
		default:
			head := message(f.buf[f.r:f.w])
			size := int64(binary.LittleEndian.Uint32(head))
			if size < headerSize || size > maxMessage {
				f.link.p.journal.printf("conn %d: raw %s, a message of size %d", f.link.id, f.direction(), size)
				f.skip = unknownSize
				continue
			}
			if size <= wholeUpTo && int64(have) < size {
				break
			}
			if rule, fires := f.arrive(head, int(size)); fires {
				if err := flush(); err != nil {
					return err
				}
				f.rule, f.want = rule, int(size)
			} else {
				f.skip = size
			}
			continue
		}
		break
	}
	if err := flush(); err != nil {
		return err
	}
	f.w = copy(f.buf, f.buf[f.r:f.w])
	f.r = 0
	return nil
}

// arrive counts the message and finds the rule that it fires.
func (f *framer) arrive(head message, size int) (Rule, bool) {
	p, typ, tag := f.link.p, head.typ(), head.tag()
	p.traffic.arrive(f.link.pending, typ, tag, payload(typ, size, head))
	if p.watching.Load() {
		if rule, ok := p.judge(f.link, head, size); ok {
			return rule, true
		}
	}
	if !f.up {
		p.traffic.answered(f.link.pending, tag)
	}
	return Rule{}, false
}

// forward sends bytes of whole messages, or, with more, up to somewhere inside a
// message; the lane then stays ours until its rest has been forwarded.
func (f *framer) forward(b []byte, more bool) error {
	if !f.inStream {
		f.mu.Lock()
		f.inStream = true
	}
	err := f.putLocked(b)
	if !more || err != nil {
		f.inStream = false
		f.mu.Unlock()
	}
	return err
}

// send sends one whole message.
func (o *lane) send(m message) error {
	if !o.up {
		o.link.p.traffic.answered(o.link.pending, m.tag())
	}
	return o.sendBytes(m)
}

func (o *lane) sendBytes(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.putLocked(b)
}

// putLocked gives bytes to dst, as far as conn rules allow.
func (o *lane) putLocked(b []byte) error {
	if o.link.p.counting.Load() {
		if n, cut := o.link.allowance(o, len(b)); cut {
			if err := o.carryLocked(b[:n]); err != nil {
				return err
			}
			o.link.cutBehind(o)
			return errEnded
		}
	}
	return o.carryLocked(b)
}

// carryLocked writes bytes to dst, now or, on a shaped link, when they have arrived.
func (o *lane) carryLocked(b []byte) error {
	shape := o.link.p.shape.Load()
	if shape == nil && o.wire.idle() {
		return o.write(b)
	}
	if shape == nil {
		shape = &Rule{} // it has been healed; what is on the way still comes first
	}
	for len(b) > 0 {
		chunk := append([]byte(nil), b[:min(len(b), wireChunk)]...)
		b = b[len(chunk):]
		if !o.wire.waitRoom(wireAtMost) {
			return errEnded
		}
		if now := time.Now(); o.sentAt.Before(now) {
			o.sentAt = now
		}
		if shape.Rate > 0 {
			o.sentAt = o.sentAt.Add(time.Duration(float64(len(chunk)) * 8e9 / float64(shape.Rate)))
		}
		o.wire.add(o.sentAt.Add(shape.RTT/2), len(chunk), func() { o.write(chunk) })
	}
	return nil
}

// write writes to dst; an error ends the link.
func (o *lane) write(b []byte) error {
	if err := o.link.gate(); err != nil {
		return err
	}
	if only := o.link.only.Load(); only != nil && only != o {
		return errEnded // else the answer to what is forwarded before a cut might slip through
	}
	if _, err := o.dst.Write(b); err != nil {
		o.link.reset("writing %s on: %v", o.direction(), err)
		return errEnded
	}
	return nil
}
