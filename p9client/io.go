package p9client

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"syscall"
)

// readWindow is how many Treads one ReadAt keeps in flight.
const readWindow = 16

// ReadAt is io.ReaderAt with a context. It splits p by MaxIO, keeps several
// Treads in flight and asks again after a short Rread: n < len(p) means io.EOF,
// which only a Rread of no bytes says, or another error.
func (f *Fid) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, &Error{Op: "Tread", Path: f.Path(), Errno: syscall.EINVAL}
	}
	if len(p) == 0 {
		return 0, nil
	}
	eof := false
	err = f.do(ctx, "Tread", func(at *standing) error {
		k, end, err := at.readAt(ctx, p[n:], off+int64(n), at.maxIO())
		n += k
		eof = end
		return err
	})
	if err == nil && eof && n < len(p) {
		return n, io.EOF
	}
	return n, err
}

// readAt reads until p is full or the file ends. n bytes are valid also when
// there is an error.
func (at *standing) readAt(ctx context.Context, p []byte, off int64, size int) (n int, eof bool, err error) {
	if len(p) <= size {
		return at.readChunk(ctx, p, off, nil)
	}
	type chunk struct {
		cl *call
		p  []byte
	}
	var flight []chunk
	defer func() { // after an error or the end of the file: nobody wants these
		calls := make([]*call, len(flight))
		for i, c := range flight {
			calls[i] = c.cl
		}
		at.c.waitAll(ctx, calls)
	}()
	sent := 0
	for n < len(p) {
		for sent < len(p) && len(flight) < readWindow {
			part := p[sent:min(sent+size, len(p))]
			cl, err := at.sendRead(ctx, part, off+int64(sent))
			if err != nil {
				return n, false, err
			}
			flight = append(flight, chunk{cl, part})
			sent += len(part)
		}
		c := flight[0]
		flight = flight[1:]
		k, end, err := at.readChunk(ctx, c.p, off+int64(n), c.cl)
		n += k
		if err != nil || end {
			return n, end, err
		}
	}
	return n, false, nil
}

// readChunk reads p with one Tread, which may have been sent already, or more
// after short Rreads.
func (at *standing) readChunk(ctx context.Context, p []byte, off int64, cl *call) (n int, eof bool, err error) {
	for {
		if cl == nil {
			if cl, err = at.sendRead(ctx, p[n:], off+int64(n)); err != nil {
				return n, false, err
			}
		}
		_, err = at.c.wait(ctx, cl)
		k := cl.n
		cl.free()
		cl = nil
		if err != nil {
			return n, false, err
		}
		n += k
		if k == 0 || n == len(p) {
			return n, k == 0, nil
		}
	}
}

func (at *standing) sendRead(ctx context.Context, p []byte, off int64) (*call, error) {
	cl := newCall(tread)
	cl.enc.u32(at.num)
	cl.enc.u64(uint64(off))
	cl.enc.u32(uint32(len(p)))
	cl.data = p
	return cl, at.c.send(ctx, cl, nil)
}

// WriteAt sends p as Twrites and returns nil when the server has acknowledged
// all of it. A short Rwrite is followed by the rest; two in a row that took
// nothing are EIO. It never waits for a connection and never sends a byte again
// that may have been applied: when the connection is lost it fails as
// disconnected.
func (f *Fid) WriteAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	const op = "Twrite"
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, &Error{Op: op, Path: f.Path(), Errno: syscall.EFBIG}
	}
	at, err := f.stand(atOnce(ctx))
	if err != nil {
		return 0, fail(op, f.Path(), err)
	}
	size := at.maxIO()
	for refused := 0; n < len(p); {
		part := p[n:min(n+size, len(p))]
		k, err := at.writeChunk(ctx, part, off+int64(n))
		if err != nil {
			return n, fail(op, f.Path(), err)
		}
		n += k
		if k > 0 {
			refused = 0
		} else if refused++; refused == 2 {
			return n, &Error{Op: op, Path: f.Path(), Errno: syscall.EIO, Ename: "the server accepts no byte"}
		}
	}
	return n, nil
}

// atOnce returns ctx, or WithoutHold of it if it says nothing about waiting.
func atOnce(ctx context.Context) context.Context {
	if _, ok := ctx.Value(holdKey{}).(hold); ok {
		return ctx
	}
	return WithoutHold(ctx)
}

func (at *standing) writeChunk(ctx context.Context, p []byte, off int64) (int, error) {
	cl := newCall(twrite)
	cl.enc.u32(at.num)
	cl.enc.u64(uint64(off))
	cl.enc.u32(uint32(len(p)))
	defer cl.free()
	if _, err := at.c.rpc(ctx, cl, p); err != nil {
		return 0, err
	}
	if len(cl.body) != 4 {
		return 0, at.c.nonsense("Rwrite with a body of %d bytes", len(cl.body))
	}
	n := binary.LittleEndian.Uint32(cl.body)
	if int64(n) > int64(len(p)) {
		return 0, at.c.nonsense("Rwrite of %d bytes, %d were sent", n, len(p))
	}
	return int(n), nil
}

// Sync sends a Tfsync. It never waits for a connection, and one whose answer was
// lost is not repeated: what it would have said cannot be asked again.
func (f *Fid) Sync(ctx context.Context, datasync bool) error {
	const op = "Tfsync"
	at, err := f.stand(atOnce(ctx))
	if err != nil {
		return fail(op, f.Path(), err)
	}
	return fail(op, f.Path(), at.c.say.sync(ctx, at, datasync))
}
