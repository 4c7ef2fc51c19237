package fusefs

import (
	"context"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A magic file is ours, not the server's. Directories do not list it, and a file
// of that name on the server cannot be seen.
type magicFile struct {
	name  string // after Options.MagicPrefix
	mode  uint32
	atTop bool // at the mount's root only
	// open is told who opens; its answers are those of fs.NodeOpener.
	open  func(m *magicNode, who caller, flags uint32) (fs.FileHandle, uint32, syscall.Errno)
	fresh bool // another inode for each LOOKUP
}

var magicFiles = []*magicFile{
	{name: "errors", mode: 0444, open: openErrors},
	{name: "events", mode: 0444, atTop: true, open: openEvents},
	{name: "ctl", mode: 0666, atTop: true, fresh: true, open: openCtl},
	{name: "stats", mode: 0444, atTop: true, open: openStats},
}

// magicFile returns the magic file that n has by that name, nil if it is none.
func (n *node) magicFile(name string) *magicFile {
	suffix, ok := strings.CutPrefix(name, n.fsys.o.MagicPrefix)
	if !ok {
		return nil
	}
	for _, m := range magicFiles {
		if suffix == m.name && (!m.atTop || n.IsRoot()) {
			return m
		}
	}
	return nil
}

// A magicNode is a magic file in a directory. Of .ctl each LOOKUP makes another:
// the kernel lets an open(2) with O_TRUNC wait for all write(2)s of the same
// inode, and one caller must be served while another's command waits.
type magicNode struct {
	fs.Inode
	dir  *node
	file *magicFile

	mu      sync.Mutex
	readers map[*errorsHandle]struct{} // open handles, for the size
}

var (
	_ = (fs.NodeGetattrer)((*magicNode)(nil))
	_ = (fs.NodeSetattrer)((*magicNode)(nil))
	_ = (fs.NodeOpener)((*magicNode)(nil))
)

func (n *node) magic(ctx context.Context, m *magicFile, out *fuse.EntryOut) *fs.Inode {
	c := &magicNode{dir: n, file: m}
	old := n.GetChild(n.fsys.o.MagicPrefix + m.name)
	if old != nil && !m.fresh {
		if o, ok := old.Operations().(*magicNode); ok {
			c = o
		}
	}
	c.fill(ctx, nil, &out.Attr)
	out.SetEntryTimeout(uncached)
	out.SetAttrTimeout(uncached)
	if old != nil && old.Operations() == fs.InodeEmbedder(c) {
		return old
	}
	return n.NewInode(ctx, c, fs.StableAttr{Mode: syscall.S_IFREG})
}

// uncached stands for a timeout of nothing, which go-fuse takes for the mount's
// default; rawFS puts that right.
const uncached = time.Nanosecond

func (m *magicNode) fill(ctx context.Context, h fs.FileHandle, a *fuse.Attr) {
	fsys := m.dir.fsys
	a.Mode, a.Nlink = syscall.S_IFREG|m.file.mode, 1
	a.Blksize = pageSize
	when := fsys.since
	if m.file.name == "errors" {
		size, changed := m.errorsAttr(ctx, h)
		a.Size = uint64(size)
		if changed.After(when) {
			when = changed
		}
	}
	a.SetTimes(&when, &when, &when)
}

func (m *magicNode) Getattr(ctx context.Context, h fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	m.fill(ctx, h, &out.Attr)
	out.SetTimeout(uncached)
	return 0
}

// Setattr lets a shell's > have its truncation. Nothing else can be changed.
func (m *magicNode) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if in.Valid&(fuse.FATTR_MODE|fuse.FATTR_UID|fuse.FATTR_GID) != 0 || m.file.mode&0222 == 0 {
		return syscall.EPERM
	}
	m.fill(ctx, h, &out.Attr)
	return 0
}

func (m *magicNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY && m.file.mode&0222 == 0 {
		return nil, 0, syscall.EACCES // root too
	}
	return m.file.open(m, m.dir.fsys.caller(ctx), flags)
}

// A text is a magic file whose contents are made when it is opened.
type text []byte

var _ = (fs.FileReader)((text)(nil))

func (t text) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	off = min(off, int64(len(t)))
	return fuse.ReadResultData(t[off:min(off+int64(len(dest)), int64(len(t)))]), 0
}

// shadows remembers for which files a line says that a magic file hides them.
type shadows struct {
	mu   sync.Mutex
	told map[string]bool
}

const maxShadows = 256

// shadowed logs, once, that the server has a file that cannot be seen.
func (n *node) shadowed(name string) {
	at := path.Join("/", n.f.fid.Path(), name)
	s := &n.fsys.shadows
	s.mu.Lock()
	known := s.told[at] || len(s.told) >= maxShadows
	if !known {
		if s.told == nil {
			s.told = make(map[string]bool)
		}
		s.told[at] = true
	}
	s.mu.Unlock()
	if !known {
		n.fsys.o.Log.Warn("a file of the server cannot be seen: a magic file has its name; see --magic-prefix", "file", at)
	}
}

// lookForShadows asks the server whether it has files of the names that are magic
// at the mount's root; elsewhere that is noticed when a directory is listed.
func (fsys *FS) lookForShadows(root *node) {
	for _, m := range magicFiles {
		name := fsys.o.MagicPrefix + m.name
		if fid, err := fsys.session.Root().Walk(fsys.ctx, name); err == nil {
			fid.Clunk()
			root.shadowed(name)
		}
	}
}
