package fusefs

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	errjournal "p9mapfs/errors"
	"p9mapfs/p9client"
)

// An appendHandle is an open file to which the server only appends, wherever a
// Twrite says it goes (QTAPPEND). What is sent twice is there twice, so nothing is
// held and sent later: each write(2) is one exchange with the server and gets its
// verdict at once. There is no cache, and no shared mapping.
type appendHandle struct {
	f   *file
	fid *p9client.Fid
}

var (
	_ = (fs.FileReader)((*appendHandle)(nil))
	_ = (fs.FileWriter)((*appendHandle)(nil))
	_ = (fs.FileFsyncer)((*appendHandle)(nil))
	_ = (fs.FileReleaser)((*appendHandle)(nil))
)

func (f *file) appendOnly() bool { return f.fid.Qid().Type&p9client.QTAPPEND != 0 }

func (f *file) openAppend(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	fid, err := f.openFid(ctx, flags&(syscall.O_ACCMODE|syscall.O_TRUNC))
	if err != nil {
		return nil, 0, toErrno(err)
	}
	return &appendHandle{f, fid}, fuse.FOPEN_DIRECT_IO, 0
}

func (h *appendHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := h.fid.ReadAt(h.f.fsys.ctx, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		h.f.fault(off, len(dest), err)
		return nil, readErrno(err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write sends one Twrite after the other. When the connection is lost under one,
// nobody can tell whether it was obeyed: the caller is told EIO, and the journal
// keeps a line.
func (h *appendHandle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	byRoot := privileged(ctx)
	ctx, done := h.f.fsys.interruptible(ctx)
	defer done()
	select {
	case h.f.opening <- struct{}{}:
		defer func() { <-h.f.opening }()
	case <-ctx.Done():
		return 0, syscall.EINTR
	}
	if err := h.f.fsys.session.WaitUp(ctx); err != nil {
		return 0, toErrno(err)
	}
	if !byRoot {
		if err := h.f.dropSetIDs(ctx); err != nil {
			return 0, toErrno(err)
		}
	}
	n, err := h.fid.WriteAt(ctx, data, off)
	if n > 0 {
		return uint32(n), 0 // what is missing is asked for again by the caller
	}
	if disconnected(err) || toErrno(err) == syscall.EINTR {
		h.f.log.Record(errjournal.Entry{
			State: errjournal.Dropped, Op: "Twrite", Off: off, Len: int64(len(data)), Errno: syscall.EIO,
			Msg: "ambiguous: " + err.Error() + "; an append-only file is not written twice", Sum: errjournal.Checksum(data), Tries: 1,
		})
		return 0, readErrno(err)
	}
	return 0, toErrno(err)
}

func (h *appendHandle) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	ctx, done := h.f.fsys.interruptible(ctx)
	defer done()
	errno := toErrno(h.fid.Sync(ctx, flags&1 != 0))
	if errno == syscall.EOPNOTSUPP || errno == syscall.ENOSYS {
		return 0 // a server without sync: acknowledged is all there is
	}
	return errno
}

func (h *appendHandle) Release(context.Context) syscall.Errno {
	h.fid.Clunk()
	h.f.release()
	return 0
}
