package fusefs

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	errjournal "p9mapfs/errors"
	"p9mapfs/p9client"
)

// A handle is an open regular file.
type handle struct {
	f        *file
	writable bool
	losses   *errjournal.Cursor
}

var (
	_ = (fs.FileReader)((*handle)(nil))
	_ = (fs.FileWriter)((*handle)(nil))
	_ = (fs.FileFsyncer)((*handle)(nil))
	_ = (fs.FileFlusher)((*handle)(nil))
	_ = (fs.FileReleaser)((*handle)(nil))
)

// Open asks the server whether the file has changed since its pages were cached
// (close-to-open), and opens the inode's fids where that was not done before.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if n.f.wb == nil {
		return nil, 0, syscall.EISDIR
	}
	n.f.retain()
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	if n.f.appendOnly() {
		h, how, errno := n.f.openAppend(ctx, flags)
		if errno != 0 {
			n.f.release()
		}
		return h, how, errno
	}
	keep, err := n.f.revalidate(ctx)
	acc := flags & syscall.O_ACCMODE
	if err == nil {
		err = n.f.open(ctx, acc != syscall.O_WRONLY, acc != syscall.O_RDONLY)
	}
	if err != nil {
		n.f.release()
		return nil, 0, toErrno(err)
	}
	if keep {
		return n.f.handle(flags), fuse.FOPEN_KEEP_CACHE, 0
	}
	return n.f.handle(flags), 0, 0
}

// revalidate reports whether the kernel may keep the pages it has of f. If the
// file was changed by somebody else, it has the kernel hand over what is dirty
// and forget the rest.
func (f *file) revalidate(ctx context.Context) (keep bool, err error) {
	if _, err := f.attr(ctx); err != nil {
		return false, err
	}
	f.mu.Lock()
	// The LOOKUP before may have seen it, and may have told the old size after
	// the kernel was made to forget it.
	keep = f.stale == f.cleared && !f.outdated
	f.outdated = false
	f.mu.Unlock()
	if !keep {
		f.fsys.invalidateKernel(ctx, f)
	}
	return keep, nil
}

func (f *file) handle(flags uint32) *handle {
	return &handle{f: f, writable: flags&syscall.O_ACCMODE != syscall.O_RDONLY, losses: f.log.Cursor()}
}

// retain counts a handle.
func (f *file) retain() {
	f.mu.Lock()
	f.handles++
	f.mu.Unlock()
}

// release gives a handle back. What is held of a file without a name is
// forgotten with its last handle: nobody can ask for it.
func (f *file) release() {
	f.mu.Lock()
	f.handles--
	last := f.handles == 0
	abandon := last && f.nameless
	f.mu.Unlock()
	switch {
	case abandon:
		f.wb.Abandon()
	case last:
		f.wb.Released()
	}
	f.fsys.unused(f)
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if n.magicFile(name) != nil {
		return nil, nil, 0, syscall.EEXIST
	}
	as, gid := creator(ctx)
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	// Read access too: the kernel may have to fill up a page that was mapped.
	created, err := n.f.fid.Create(as(ctx), name, flags&^uint32(syscall.O_ACCMODE)|syscall.O_RDWR, mode, gid)
	if err != nil {
		return nil, nil, 0, toErrno(err)
	}
	asked := time.Now()
	fid, a, err := n.f.fid.WalkAttr(ctx, name)
	if err != nil {
		created.Clunk()
		return nil, nil, 0, toErrno(err)
	}
	child, errno := n.child(ctx, fid, &a, asked, out)
	if errno != 0 {
		created.Clunk()
		return nil, nil, 0, errno
	}
	f := child.Operations().(*node).f
	if f.wb == nil {
		created.Clunk()
		return nil, nil, 0, syscall.EISDIR
	}
	f.retain()
	f.adopt(created, syscall.O_RDWR)
	return child, f.handle(flags), fuse.FOPEN_KEEP_CACHE, 0
}

// Read answers a READ. It is not interrupted; see doc.go. While the connection
// is lost, a READ of several pages that is not in memory fails at once: the
// kernel then asks page by page, and only those wait.
func (h *handle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	ctx := h.f.fsys.ctx
	if len(dest) > pageSize && !h.f.fsys.session.Link().Up {
		ctx = p9client.WithoutHold(ctx)
	}
	n, err := h.f.pages.ReadAt(ctx, dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		h.f.fault(off, len(dest), err)
		return nil, readErrno(err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// pageSize is the kernel's.
const pageSize = 4096

// fault records a read that failed. A multi-page READ is not the last word.
func (f *file) fault(off int64, n int, err error) {
	if n > pageSize || f.fsys.ctx.Err() != nil {
		return
	}
	f.log.Record(errjournal.Entry{
		State: errjournal.Fault, Op: "Tread", Off: off, Len: int64(n), Errno: toErrno(err), Msg: err.Error(), Tries: 1,
	})
}

// Write answers a WRITE as soon as its bytes are held. One of the kernel's
// write-back waits for room a bounded time, for the kernel cannot interrupt it.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	byRoot := privileged(ctx)
	if c, ok := fuse.FromContext(ctx); ok && c.Pid == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(h.f.fsys.ctx, h.f.fsys.o.WritebackWait)
		defer cancel()
	} else {
		var done func()
		ctx, done = h.f.fsys.interruptible(ctx)
		defer done()
	}
	if !byRoot {
		if err := h.f.dropSetIDs(ctx); err != nil {
			return 0, toErrno(err)
		}
	}
	n, err := h.f.pages.WriteAt(ctx, data, off)
	if n > 0 {
		h.f.mu.Lock()
		h.f.size = max(h.f.size, off+int64(n))
		h.f.toldSize = max(h.f.toldSize, off+int64(n))
		h.f.mu.Unlock()
	}
	return uint32(n), toErrno(err)
}

// Fsync gives the verdict on everything stored so far, by anybody.
func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	ctx, done := h.f.fsys.interruptible(ctx)
	defer done()
	if err := h.f.wb.Sync(ctx); err != nil {
		return toErrno(err)
	}
	return toErrno(h.losses.Check())
}

// Flush gives close(2) a verdict: on what the server has acknowledged, not on
// what it has made durable.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	if !h.writable {
		return 0
	}
	ctx, done := h.f.fsys.interruptible(ctx)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, h.f.fsys.o.CloseTimeout)
	defer cancel()
	if err := h.f.wb.Drain(ctx); err != nil {
		return toErrno(err)
	}
	if err := h.f.takeNote(ctx); err != nil {
		return toErrno(err)
	}
	return toErrno(h.losses.Check())
}

// takeNote asks what the file looks like after our own writes, so that what
// somebody else changes later can be told from them.
func (f *file) takeNote(ctx context.Context) error {
	f.mu.Lock()
	noted := f.told.changes == f.wb.Changes()
	f.mu.Unlock()
	if noted {
		return nil
	}
	_, err := f.attr(ctx)
	if errno := toErrno(err); errno == syscall.ENOENT || errno == syscall.ESTALE {
		return nil // removed meanwhile, by somebody else
	}
	return err
}

func (h *handle) Release(context.Context) syscall.Errno {
	h.f.release()
	return 0
}
