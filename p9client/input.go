package p9client

import (
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inputSize is how much is read ahead of the message that is wanted: enough for
// many small replies, little beside a large one, whose payload does not pass
// through here.
const inputSize = 16 << 10

// An input is the reading side of a connection. Payloads go from the socket to
// where they belong, and what has come behind them is fetched by the same readv.
type input struct {
	nc    net.Conn
	raw   syscall.RawConn     // of nc; nil if it is not a socket
	heard func(now time.Time) // called when bytes come
	room  []byte
	b     []byte // the part of room that was read and not taken yet

	fn   func(fd uintptr) bool // readv; made once
	bufs [2][]byte             // what readv fills
	n    int
	err  error
}

func newInput(nc net.Conn, raw syscall.RawConn, heard func(time.Time)) *input {
	in := &input{nc: nc, raw: raw, heard: heard, room: make([]byte, inputSize)}
	in.fn = in.readv
	return in
}

// peek returns the next n bytes, at most inputSize, without taking them.
func (in *input) peek(n int) ([]byte, error) {
	for len(in.b) < n {
		k := copy(in.room, in.b)
		got, err := in.read(in.room[k:], nil)
		if err != nil {
			in.b = in.room[:k]
			return nil, err
		}
		in.b = in.room[:k+got]
	}
	return in.b[:n], nil
}

// skip takes n bytes which peek has returned.
func (in *input) skip(n int) { in.b = in.b[n:] }

// readFull fills p. n < len(p) only with an error.
func (in *input) readFull(p []byte) (n int, err error) {
	n = copy(p, in.b)
	in.b = in.b[n:]
	for n < len(p) {
		got, err := in.read(p[n:], in.room)
		if err != nil {
			return n, err
		}
		if over := got - (len(p) - n); over > 0 {
			in.b = in.room[:over]
			got -= over
		}
		n += got
	}
	return n, nil
}

// discard drops n bytes.
func (in *input) discard(n int) error {
	for n > 0 {
		if len(in.b) == 0 {
			if _, err := in.peek(1); err != nil {
				return err
			}
		}
		k := min(n, len(in.b))
		in.skip(k)
		n -= k
	}
	return nil
}

// read waits for bytes and puts them into p, and what does not fit into more.
func (in *input) read(p, more []byte) (n int, err error) {
	if in.raw == nil {
		n, err = in.nc.Read(p)
	} else {
		in.bufs = [2][]byte{p, more}
		err = in.raw.Read(in.fn)
		in.bufs = [2][]byte{}
		if err == nil {
			n, err = in.n, in.err
		}
		if n == 0 && err == nil {
			err = io.EOF
		}
	}
	if n > 0 {
		in.heard(time.Now())
		return n, nil // an error will come again
	}
	return 0, err
}

func (in *input) readv(fd uintptr) bool {
	for {
		if len(in.bufs[1]) == 0 {
			in.n, in.err = unix.Read(int(fd), in.bufs[0])
		} else {
			in.n, in.err = unix.Readv(int(fd), in.bufs[:])
		}
		if in.err != unix.EINTR {
			break
		}
	}
	in.n = max(in.n, 0)
	return in.err != unix.EAGAIN
}
