package fusefs

import (
	"context"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"p9mapfs/p9client"
)

// A node is a file that the kernel knows.
type node struct {
	fs.Inode
	fsys *FS
	f    *file
}

var (
	_ = (fs.NodeLookuper)((*node)(nil))
	_ = (fs.NodeGetattrer)((*node)(nil))
	_ = (fs.NodeSetattrer)((*node)(nil))
	_ = (fs.NodeOnForgetter)((*node)(nil))
	_ = (fs.NodeOpener)((*node)(nil))
	_ = (fs.NodeCreater)((*node)(nil))
	_ = (fs.NodeOpendirHandler)((*node)(nil))
	_ = (fs.NodeMkdirer)((*node)(nil))
	_ = (fs.NodeMknoder)((*node)(nil))
	_ = (fs.NodeSymlinker)((*node)(nil))
	_ = (fs.NodeReadlinker)((*node)(nil))
	_ = (fs.NodeLinker)((*node)(nil))
	_ = (fs.NodeUnlinker)((*node)(nil))
	_ = (fs.NodeRmdirer)((*node)(nil))
	_ = (fs.NodeRenamer)((*node)(nil))
	_ = (fs.NodeStatfser)((*node)(nil))
	_ = (fs.NodeGetxattrer)((*node)(nil))
	_ = (fs.NodeListxattrer)((*node)(nil))
	_ = (fs.NodeSetxattrer)((*node)(nil))
	_ = (fs.NodeRemovexattrer)((*node)(nil))
)

// ino is the inode number of a qid. go-fuse keeps 0 and the largest number to
// itself.
func ino(q p9client.Qid) uint64 {
	if q.Path == 0 || q.Path == ^uint64(0) {
		return 1<<63 - 1
	}
	return q.Path
}

// Lookup finds a name on the server, or a magic file.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if m := n.magicFile(name); m != nil {
		return n.magic(ctx, m, out), 0
	}
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	if c, known := n.childNode(name); known {
		return n.lookupAgain(ctx, name, c, out)
	}
	asked := time.Now()
	fid, a, err := n.f.fid.WalkAttr(ctx, name)
	if err != nil {
		return nil, toErrno(err)
	}
	return n.child(ctx, fid, &a, asked, out)
}

// lookupAgain is Lookup for a name that the kernel knows to be c. While the
// connection is lost it is still that.
func (n *node) lookupAgain(ctx context.Context, name string, c *node, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	fid, err := n.f.fid.Walk(p9client.WithoutHold(ctx), name)
	if err == nil { // its attributes may have to be asked for more than once
		return n.child(ctx, fid, nil, time.Time{}, out)
	}
	if !disconnected(err) {
		return nil, toErrno(err)
	}
	a, err := c.f.attr(ctx)
	if err != nil {
		return nil, toErrno(err)
	}
	fillAttr(&out.Attr, c.f, a)
	return c.EmbeddedInode(), 0
}

// child makes the node of a fid that was walked, and fills out. told are the
// attributes that came with it, if any did, asked for at the time asked.
func (n *node) child(ctx context.Context, fid *p9client.Fid, told *p9client.Attr, asked time.Time, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	f := n.fsys.file(fid.Qid(), fid)
	a, err := f.attrTold(ctx, told, asked)
	if err != nil {
		n.fsys.unused(f)
		return nil, toErrno(err)
	}
	fillAttr(&out.Attr, f, a)
	n.fsys.mu.Lock()
	defer n.fsys.mu.Unlock()
	delete(n.fsys.idle, f)
	f.known = true
	if f.node != nil {
		return f.node.EmbeddedInode(), 0
	}
	f.node = &node{fsys: n.fsys, f: f}
	return n.NewInode(context.Background(), f.node, fs.StableAttr{Mode: a.Mode & syscall.S_IFMT, Ino: out.Ino}), 0
}

// OnForget is told that the kernel does not know the node any more.
func (n *node) OnForget() {
	n.fsys.mu.Lock()
	n.f.known, n.f.node = false, nil
	n.fsys.mu.Unlock()
	n.fsys.unused(n.f)
}

// Mkdir and its like make something on the server and look it up.

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, out, func(ctx context.Context, gid uint32) error {
		_, err := n.f.fid.Mkdir(ctx, name, mode, gid)
		return err
	})
}

func (n *node) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, out, func(ctx context.Context, gid uint32) error {
		major, minor := (dev>>8)&0xfff, dev&0xff|(dev>>12)&0xfff00
		_, err := n.f.fid.Mknod(ctx, name, mode, major, minor, gid)
		return err
	})
}

func (n *node) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.make(ctx, name, out, func(ctx context.Context, gid uint32) error {
		_, err := n.f.fid.Symlink(ctx, name, target, gid)
		return err
	})
}

func (n *node) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	t, ok := target.(*node)
	if !ok {
		return nil, syscall.EPERM // a magic file
	}
	return n.make(ctx, name, out, func(ctx context.Context, _ uint32) error {
		return n.f.fid.Link(ctx, t.f.fid, name)
	})
}

func (n *node) make(ctx context.Context, name string, out *fuse.EntryOut, request func(ctx context.Context, gid uint32) error) (*fs.Inode, syscall.Errno) {
	if n.magicFile(name) != nil {
		return nil, syscall.EEXIST
	}
	as, gid := creator(ctx)
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	if err := request(as(ctx), gid); err != nil {
		return nil, toErrno(err)
	}
	asked := time.Now()
	fid, a, err := n.f.fid.WalkAttr(ctx, name)
	if err != nil {
		return nil, toErrno(err)
	}
	return n.child(ctx, fid, &a, asked, out)
}

// creator returns who a new file is to belong to: a context in which the server is
// told his uid, if he is not the user who mounted and whom it knows, and his group.
func creator(ctx context.Context) (as func(context.Context) context.Context, gid uint32) {
	c, ok := fuse.FromContext(ctx)
	if !ok {
		c = &fuse.Caller{Owner: fuse.Owner{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}}
	}
	if c.Uid == uint32(os.Getuid()) {
		return func(ctx context.Context) context.Context { return ctx }, c.Gid
	}
	return func(ctx context.Context) context.Context { return p9client.WithOwner(ctx, c.Uid) }, c.Gid
}

func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	s, err := n.f.fid.Readlink(ctx)
	return []byte(s), toErrno(err)
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.remove(ctx, name, 0)
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.remove(ctx, name, 0x200) // AT_REMOVEDIR
}

func (n *node) remove(ctx context.Context, name string, flags uint32) syscall.Errno {
	if n.magicFile(name) != nil {
		return syscall.EPERM
	}
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	c, known := n.childNode(name)
	if known && c.f.linksUnknown() {
		// It may have other names, where what is held of it belongs: send that
		// while there is a name to send it by. A refusal is fsync's to tell.
		if err := c.f.wb.Drain(ctx); toErrno(err) == syscall.EINTR {
			return syscall.EINTR
		}
	}
	if err := n.f.fid.Unlink(ctx, name, flags); err != nil {
		return toErrno(err)
	}
	n.fsys.journal.Removed(path.Join(n.f.fid.Path(), name))
	if known {
		c.f.lostName()
	}
	return 0
}

// childNode returns the node that the kernel knows under a name.
func (n *node) childNode(name string) (*node, bool) {
	i := n.GetChild(name)
	if i == nil {
		return nil, false
	}
	c, ok := i.Operations().(*node)
	return c, ok
}

func (n *node) Rename(ctx context.Context, name string, newParent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := newParent.(*node)
	switch {
	case !ok || n.magicFile(name) != nil || to.magicFile(newName) != nil:
		return syscall.EPERM
	case flags != 0: // 9P has neither RENAME_EXCHANGE nor RENAME_NOREPLACE
		return syscall.EINVAL
	}
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	moved, known := n.childNode(name)
	if known && moved.f.wb != nil && !moved.f.wb.Clean() {
		// Data before metadata: who replaces a file by a new one must not find
		// an empty one after a crash. A refusal is fsync's to tell.
		if err := moved.f.wb.Drain(ctx); err != nil && toErrno(err) == syscall.EINTR {
			return syscall.EINTR
		}
	}
	oldPath, newPath := path.Join(n.f.fid.Path(), name), path.Join(to.f.fid.Path(), newName)
	replaced, replaces := to.childNode(newName)
	if err := n.f.fid.Rename(ctx, name, to.f.fid, newName); err != nil {
		return toErrno(err)
	}
	n.fsys.journal.Rename(oldPath, newPath)
	if replaces && (!known || replaced.f != moved.f) {
		replaced.f.lostName()
		replaced.f.verify(ctx)
	}
	return 0
}

// linksUnknown reports whether bytes are held of a file of which the dialect does
// not tell how many names it has.
func (f *file) linksUnknown() bool {
	if f.wb == nil || f.wb.Clean() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told.set && f.last.Valid&p9client.AttrNlink == 0
}

// lostName notes that a name of f is gone. If it was the last one, nobody can
// ask for what is held of f once its handles are released.
func (f *file) lostName() {
	if f.wb == nil {
		return
	}
	f.mu.Lock()
	last := f.told.nlink <= 1
	if last {
		f.nameless = true
	} else {
		f.told.nlink--
	}
	abandon := last && f.handles == 0
	f.mu.Unlock()
	if abandon {
		f.wb.Abandon()
	}
}

// verify gives up what f is open by if that leads to the file that has replaced f.
// The next use of f tells.
func (f *file) verify(ctx context.Context) {
	_, rd, wr := (*remote)(f).fids()
	for _, fid := range []*p9client.Fid{rd, wr} {
		if fid != nil {
			fid.Verify(p9client.WithoutHold(ctx))
		}
	}
}

func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	ctx, done := n.fsys.interruptible(ctx)
	defer done()
	s, err := n.f.fid.StatFS(ctx)
	if toErrno(err) == syscall.EOPNOTSUPP { // the dialect cannot say; v9fs answers so too
		s, err = p9client.StatFS{BlockSize: 4096, NameLen: 255}, nil
	}
	if err != nil {
		return toErrno(err)
	}
	out.Blocks, out.Bfree, out.Bavail = s.Blocks, s.BlocksFree, s.BlocksAvl
	out.Files, out.Ffree = s.Files, s.FilesFree
	out.Bsize, out.Frsize = s.BlockSize, s.BlockSize
	out.NameLen = s.NameLen
	return 0
}
