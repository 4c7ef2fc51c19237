package fusefs

import (
	"context"
	"errors"
	"math"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

// fillAttr turns attributes into FUSE's. Their size is what attr returned.
func fillAttr(out *fuse.Attr, f *file, a p9client.Attr) {
	out.Ino = ino(p9client.Qid{Path: f.key.path})
	out.Size = uint64(a.Size)
	out.Blocks = max(a.Blocks, 0)
	out.Mode = a.Mode
	out.Nlink = uint32(min(a.Nlink, math.MaxUint32))
	out.Uid, out.Gid = a.UID, a.GID
	out.Rdev = uint32(a.Rdev)
	out.Blksize = uint32(min(max(a.Blksize, 512), 1<<20))
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
}

// maxAsks is how often attributes are asked for while our own writes change them
// at the same time.
const maxAsks = 3

// attr returns f's attributes, with the size that programs must see. While the
// connection is lost they are those that the server gave last: who looks for
// .errors then must find his way there.
func (f *file) attr(ctx context.Context) (p9client.Attr, error) {
	f.mu.Lock()
	last, known := f.last, f.told.set
	f.mu.Unlock()
	if known {
		ctx = p9client.WithoutHold(ctx)
	}
	if a, err := f.ask(ctx); !known || !disconnected(err) {
		return a, err
	}
	if f.wb != nil { // what was written since is known here only
		f.mu.Lock()
		last.Size = max(f.toldSize, f.wb.Size(0))
		f.mu.Unlock()
	}
	return last, nil
}

// maxEntryAge is how long after the server was asked for a directory's entries their
// attributes are still told to the kernel: programs may read a directory slowly.
const maxEntryAge = time.Second

// attrTold is attr for a file that was just found, with attributes that came along
// with its name, for which the server was asked at the time asked. They are good if
// nothing newer is known, and nothing of ours has changed the file since what was
// known before.
func (f *file) attrTold(ctx context.Context, a *p9client.Attr, asked time.Time) (p9client.Attr, error) {
	f.mu.Lock()
	was := f.told
	newest := a != nil && was.at.Before(asked) && time.Since(asked) < maxEntryAge
	if newest && f.wb == nil {
		f.last, f.told.set, f.told.at = *a, true, time.Now()
	}
	f.mu.Unlock()
	if !newest {
		return f.attr(ctx)
	}
	if f.wb == nil {
		return *a, nil
	}
	sending := f.wb.Sending() // and if not, what has landed is counted in Changes
	size := f.wb.Size(a.Size)
	if sending || f.wb.Changes() != was.changes {
		return f.attr(ctx)
	}
	b := *a
	b.Size = f.observe(b, size, was.changes)
	return b, nil
}

// ask asks the server for f's attributes.
func (f *file) ask(ctx context.Context) (a p9client.Attr, err error) {
	if f.wb == nil {
		a, err := f.fid.GetAttr(ctx)
		if err == nil {
			f.mu.Lock()
			f.last, f.told.set, f.told.at = a, true, time.Now()
			f.mu.Unlock()
		}
		return a, err
	}
	for range maxAsks {
		before := f.wb.Changes()
		f.mu.Lock()
		fid, nameless, last := f.fid, f.nameless, f.last
		if f.nameless && f.wr != nil {
			fid = f.wr
		} else if f.nameless && f.rd != nil {
			fid = f.rd
		}
		f.mu.Unlock()
		if a, err = fid.GetAttr(ctx); err != nil {
			if errno := toErrno(err); nameless && (errno == syscall.ENOENT || errno == syscall.ESTALE) {
				// The server asks by path. What is open can be used all the same.
				last.Nlink, last.Size = 0, f.wb.Size(last.Size)
				return last, nil
			}
			if !nameless && f.refound(ctx, err) {
				continue
			}
			return a, err
		}
		size := f.wb.Size(a.Size)
		if f.wb.Changes() == before {
			a.Size = f.observe(a, size, before)
			return a, nil
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a.Size = max(f.toldSize, f.wb.Size(a.Size)) // never smaller by mistake
	return a, nil
}

// observe compares attributes with what was known. size is theirs with our
// extents over it. It returns the size to tell the kernel: the old one, however
// often it asks, while the kernel has not yet been made to let go of its pages. Of
// an append-only file it has none.
func (f *file) observe(a p9client.Attr, size int64, changes uint64) int64 {
	now := validity{set: true, at: time.Now(), version: a.Qid.Version, size: a.Size, mtime: a.Mtime, ctime: a.Ctime, changes: changes, nlink: a.Nlink}
	f.mu.Lock()
	was := f.told
	ours := was.changes != changes || f.wb.Sending()
	theirs := was.set && !f.appendOnly() && (!ours && !was.same(now) || size < f.size) // no write of ours makes a file shorter
	f.last, f.told, f.size = a, now, size
	if theirs {
		f.stale++
	}
	if f.stale == f.cleared {
		f.toldSize = size
	}
	told := f.toldSize
	f.outdated = f.outdated || told != size
	f.mu.Unlock()
	if theirs {
		f.pages.Invalidate(0, math.MaxInt64)
	}
	f.pages.SetEnd(size)
	if theirs {
		f.fsys.noticeLater(notice{f: f, stale: true})
	}
	return told
}

func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	a, err := n.f.attr(ctx)
	if err != nil {
		return toErrno(err)
	}
	fillAttr(&out.Attr, n.f, a)
	return 0
}

func (n *node) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	if in.Valid&fuse.FATTR_KILL_SUIDGID != 0 {
		if err := n.f.dropSetIDs(ctx); err != nil {
			return toErrno(err)
		}
	}
	if size, ok := in.GetSize(); ok {
		if errno := n.f.truncate(ctx, size); errno != 0 {
			return errno
		}
	}
	set := setAttr(in)
	if set.Valid != 0 {
		if n.f.wb != nil && !n.f.wb.Clean() {
			// Twrites that are sent later would change the times again. A
			// refusal is fsync's to tell.
			if err := n.f.wb.Drain(ctx); err != nil && errors.Is(err, context.Canceled) {
				return syscall.EINTR
			}
		}
		err := n.f.fid.SetAttr(ctx, set)
		if n.f.refound(ctx, err) {
			err = n.f.fid.SetAttr(ctx, set)
		}
		if err == nil && set.Valid&(p9client.SetUID|p9client.SetGID) != 0 && set.Valid&p9client.SetMode == 0 {
			err = n.f.dropSetIDs(ctx)
		}
		if err != nil {
			return toErrno(err)
		}
	}
	a, err := n.f.attr(ctx)
	if err != nil {
		return toErrno(err)
	}
	fillAttr(&out.Attr, n.f, a)
	return 0
}

// truncate sets the file's size in bytes.
func (f *file) truncate(ctx context.Context, size uint64) syscall.Errno {
	switch {
	case f.pages == nil:
		return syscall.EISDIR
	case size > math.MaxInt64:
		return syscall.EFBIG
	case f.appendOnly(): // sent later once more, it would cut off what was appended since
		return toErrno(f.fid.Truncate(ctx, int64(size)))
	}
	if err := f.pages.Truncate(ctx, int64(size)); err != nil {
		return toErrno(err)
	}
	f.mu.Lock()
	f.size, f.toldSize = int64(size), int64(size)
	f.mu.Unlock()
	return 0
}

// setAttr turns FUSE's request, its size excepted, into a Tsetattr's fields.
func setAttr(in *fuse.SetAttrIn) (s p9client.SetAttr) {
	if mode, ok := in.GetMode(); ok {
		s.Valid |= p9client.SetMode
		s.Mode = mode & 07777
	}
	if uid, ok := in.GetUID(); ok {
		s.Valid |= p9client.SetUID
		s.UID = uid
	}
	if gid, ok := in.GetGID(); ok {
		s.Valid |= p9client.SetGID
		s.GID = gid
	}
	if in.Valid&fuse.FATTR_ATIME != 0 {
		s.Valid |= p9client.SetAtime
		if t, ok := in.GetATime(); ok && in.Valid&fuse.FATTR_ATIME_NOW == 0 {
			s.Valid |= p9client.SetAtimeTo
			s.Atime = t
		}
	}
	if in.Valid&fuse.FATTR_MTIME != 0 {
		s.Valid |= p9client.SetMtime
		if t, ok := in.GetMTime(); ok && in.Valid&fuse.FATTR_MTIME_NOW == 0 {
			s.Valid |= p9client.SetMtimeTo
			s.Mtime = t
		}
	}
	return s
}
