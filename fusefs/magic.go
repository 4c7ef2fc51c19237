package fusefs

import (
	"bytes"
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// errorsName is the magic file of every directory: the journal of everything at
// or below it. Directories do not list it; a file of that name on the server
// cannot be seen.
const errorsName = ".errors"

// An errorsNode is a directory's journal.
type errorsNode struct {
	fs.Inode
	dir *node
}

// An errorsHandle is the text as it was when the file was opened.
type errorsHandle struct{ text []byte }

var (
	_ = (fs.NodeGetattrer)((*errorsNode)(nil))
	_ = (fs.NodeOpener)((*errorsNode)(nil))
	_ = (fs.FileReader)((*errorsHandle)(nil))
)

func (n *node) magic(ctx context.Context, out *fuse.EntryOut) *fs.Inode {
	if old := n.GetChild(errorsName); old != nil {
		if _, ok := old.Operations().(*errorsNode); ok {
			old.Operations().(*errorsNode).fill(&out.Attr)
			return old
		}
	}
	m := &errorsNode{dir: n}
	m.fill(&out.Attr)
	return n.NewInode(ctx, m, fs.StableAttr{Mode: syscall.S_IFREG})
}

func (m *errorsNode) fill(a *fuse.Attr) { a.Mode, a.Nlink = syscall.S_IFREG|0444, 1 }

func (m *errorsNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	m.fill(&out.Attr)
	return 0
}

func (m *errorsNode) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EACCES
	}
	var b bytes.Buffer
	if err := m.dir.fsys.journal.WriteBelow(&b, m.dir.f.fid.Path()); err != nil {
		return nil, 0, toErrno(err)
	}
	return &errorsHandle{b.Bytes()}, fuse.FOPEN_DIRECT_IO, 0
}

func (h *errorsHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= int64(len(h.text)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(h.text[off:min(off+int64(len(dest)), int64(len(h.text)))]), 0
}
