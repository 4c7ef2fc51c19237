package fusefs

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

// Offsets of the entries that 9P servers are not asked for. The kernel takes
// offsets for signed numbers, so these are the largest but one: that is the end of
// a directory on ext4 and btrfs, and servers pass it on.
const (
	dotOff    = 1<<63 - 3
	dotDotOff = 1<<63 - 2
)

// A dirHandle is an open directory, read entry by entry.
type dirHandle struct {
	n     *node
	fid   *p9client.Fid
	next  uint64 // where the server goes on after buf
	buf   []p9client.Dirent
	last  p9client.Dirent // that Readdirent gave
	asked time.Time       // when the server was asked for buf, and last
	dots  int             // of "." and "..", how many are still to come
	end   bool
}

var (
	_ = (fs.FileReaddirenter)((*dirHandle)(nil))
	_ = (fs.FileLookuper)((*dirHandle)(nil))
	_ = (fs.FileSeekdirer)((*dirHandle)(nil))
	_ = (fs.FileReleasedirer)((*dirHandle)(nil))
	_ = (fs.FileFsyncdirer)((*dirHandle)(nil))
)

func (n *node) OpendirHandle(ctx context.Context, _ uint32) (fs.FileHandle, uint32, syscall.Errno) {
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	fid, err := n.f.openFid(ctx, syscall.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil {
		return nil, 0, toErrno(err)
	}
	return &dirHandle{n: n, fid: fid, dots: 2}, 0, 0
}

// maxName is FUSE_NAME_MAX: one longer name, and the kernel fails the whole
// READDIR. No program could use it.
const maxName = 1024

// readdirCount is how many bytes of entries are asked for at a time.
const readdirCount = 64 << 10

func (d *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	switch d.dots {
	case 2:
		d.dots--
		return &fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: ino(p9client.Qid{Path: d.n.f.key.path}), Off: dotOff}, 0
	case 1:
		d.dots--
		return &fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR, Off: dotDotOff}, 0
	}
	ctx, done := d.n.fsys.interruptible(ctx)
	defer done()
	for len(d.buf) == 0 && !d.end {
		if ctx.Err() != nil { // a server may send names without end that cannot be shown
			return nil, syscall.EINTR
		}
		asked := time.Now()
		l, next, err := d.fid.ReadDir(ctx, d.next, readdirCount)
		if err != nil {
			return nil, toErrno(err)
		}
		d.end, d.asked = next == d.next, asked
		d.buf, d.next = slices.DeleteFunc(l, d.hidden), next
	}
	if len(d.buf) == 0 {
		return nil, 0
	}
	e := d.buf[0]
	d.buf, d.last = d.buf[1:], e
	return &fuse.DirEntry{Name: e.Name, Mode: uint32(e.Type) << 12, Ino: ino(e.Qid), Off: e.Offset}, 0
}

// hidden reports whether a name cannot be shown.
func (d *dirHandle) hidden(e p9client.Dirent) bool {
	if d.n.magicFile(e.Name) != nil {
		d.n.shadowed(e.Name)
		return true
	}
	return len(e.Name) > maxName
}

// Lookup is LOOKUP for READDIRPLUS. Where the dialect tells attributes along with
// names, the server need not be asked again.
func (d *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if e := d.last; e.Name == name && e.Attr != nil {
		if fid, err := d.n.f.fid.Entry(e); err == nil {
			ctx, done := d.n.fsys.interruptible(ctx)
			defer done()
			return d.n.child(ctx, fid, e.Attr, d.asked, out)
		}
	}
	return d.n.Lookup(ctx, name, out)
}

func (d *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	d.buf, d.end, d.dots, d.next = nil, false, 0, off
	switch off {
	case 0:
		d.dots = 2
	case dotOff:
		d.dots, d.next = 1, 0
	case dotDotOff:
		d.next = 0
	}
	return 0
}

func (d *dirHandle) Releasedir(context.Context, uint32) { d.fid.Clunk() }

// Fsyncdir asks the server to make the directory durable; one that cannot says
// so, and is then as durable as it gets.
func (d *dirHandle) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	ctx, done := d.n.fsys.interruptible(ctx)
	defer done()
	switch errno := toErrno(d.fid.Sync(ctx, flags&1 != 0)); errno {
	case syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.EBADF:
		return 0
	default:
		return errno
	}
}
