package fusefs

import (
	"context"
	"syscall"

	"p9mapfs/p9client"
)

// A remote is the file as writeback sees it: the fids that the inode owns.
type remote file

func (r *remote) fids() (base, rd, wr *p9client.Fid) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fid, r.rd, r.wr
}

func (r *remote) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	_, rd, _ := r.fids()
	if rd == nil { // opened for writing only; the kernel reads to fill up a page
		if err := (*file)(r).open(ctx, true, false); err != nil {
			return 0, err
		}
		_, rd, _ = r.fids()
	}
	n, err := rd.ReadAt(ctx, p, off)
	if n == 0 && (*file)(r).refound(ctx, err) {
		return rd.ReadAt(ctx, p, off)
	}
	return n, err
}

func (r *remote) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	_, _, wr := r.fids()
	if wr == nil {
		return 0, syscall.EBADF
	}
	n, err := wr.WriteAt(ctx, p, off)
	if n == 0 && (*file)(r).refound(ctx, err) {
		return wr.WriteAt(ctx, p, off)
	}
	return n, err
}

func (r *remote) Truncate(ctx context.Context, size int64) error {
	base, _, wr := r.fids()
	err := base.Truncate(ctx, size)
	if errno := toErrno(err); wr != nil && (errno == syscall.EACCES || errno == syscall.EPERM || errno == syscall.ENOENT || errno == syscall.ESTALE) {
		return wr.Truncate(ctx, size) // created 0444 and open for writing, or removed
	}
	return err
}

// Sync goes out on the fid that carried the Twrites.
func (r *remote) Sync(ctx context.Context) error {
	_, fid, wr := r.fids()
	if wr != nil {
		fid = wr
	}
	if fid == nil {
		return nil
	}
	err := fid.Sync(ctx, false)
	r.fsys.syncs.note(err)
	return err
}
