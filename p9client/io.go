package p9client

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"slices"
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
	w := window{at: at, p: p, off: off, size: size}
	defer func() { // after an error or the end of the file: nobody wants these
		if w.n > 0 {
			at.c.waitAll(ctx, slices.Concat(w.calls[w.first:], w.calls[:w.first])[:w.n])
		}
	}()
	for n < len(p) {
		if err := w.fill(ctx); err != nil {
			return n, false, err
		}
		k, end, err := at.readChunk(ctx, p[n:min(n+size, len(p))], off+int64(n), w.pop())
		n += k
		if err != nil || end {
			return n, end, err
		}
	}
	return n, false, nil
}

// A window is the Treads that one ReadAt has in flight.
type window struct {
	at    *standing
	p     []byte
	off   int64             // of p
	size  int               // of each Tread
	sent  int               // bytes of p that were asked for
	calls [readWindow]*call // a ring
	first int
	n     int
}

// fill sends as many Treads as there is room for, together, unless the next reply
// is here already: those that are make room for more at once.
func (w *window) fill(ctx context.Context) error {
	if w.n > 0 && len(w.calls[w.first].done) > 0 {
		return nil
	}
	for w.sent < len(w.p) && w.n < readWindow {
		part := w.p[w.sent:min(w.sent+w.size, len(w.p))]
		cl, err := w.at.sendRead(ctx, part, w.off+int64(w.sent), true)
		if err != nil {
			return err
		}
		w.calls[(w.first+w.n)%readWindow] = cl
		w.n++
		w.sent += len(part)
	}
	w.at.c.push()
	return nil
}

// pop returns the Tread that was sent first.
func (w *window) pop() *call {
	cl := w.calls[w.first]
	w.first = (w.first + 1) % readWindow
	w.n--
	return cl
}

// readChunk reads p with one Tread, which may have been sent already, or more
// after short Rreads.
func (at *standing) readChunk(ctx context.Context, p []byte, off int64, cl *call) (n int, eof bool, err error) {
	for {
		if cl == nil {
			if cl, err = at.sendRead(ctx, p[n:], off+int64(n), false); err != nil {
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

// sendRead sends a Tread for p, or leaves it to push if more follow.
func (at *standing) sendRead(ctx context.Context, p []byte, off int64, more bool) (*call, error) {
	cl := newCall(tread)
	cl.more = more
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
	f.pins.Add(1) // at is used for more than one Twrite
	defer f.pins.Add(-1)
	at, err := f.standAtOnce(ctx)
	if err != nil {
		return 0, fail(op, f.Path(), err)
	}
	size := at.maxIO()
	for refused := 0; n < len(p); {
		part := p[n:min(n+size, len(p))]
		k, err := at.writeChunk(ctx, part, off+int64(n))
		if now, ok := f.afresh(ctx, at, err); ok {
			at = now
			k, err = at.writeChunk(ctx, part, off+int64(n))
		}
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

// standAtOnce is stand, without waiting for a connection.
func (f *Fid) standAtOnce(ctx context.Context) (*standing, error) {
	if _, told := ctx.Value(holdKey{}).(hold); told {
		return f.stand(ctx)
	}
	f.s.mu.Lock()
	c := f.s.conn
	f.s.mu.Unlock()
	if at := f.at.Load(); at != nil && at.opened && at.c == c && !c.isLost() {
		return at, nil // as nearly always: spares making a context
	}
	return f.stand(WithoutHold(ctx))
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
	f.pins.Add(1)
	defer f.pins.Add(-1)
	at, err := f.standAtOnce(ctx)
	if err != nil {
		return fail(op, f.Path(), err)
	}
	err = at.c.say.sync(ctx, at, datasync)
	if now, ok := f.afresh(ctx, at, err); ok {
		err = now.c.say.sync(ctx, now, datasync)
	}
	return fail(op, f.Path(), err)
}
