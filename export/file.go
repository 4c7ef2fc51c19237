package export

import (
	"sync/atomic"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// A File is what a fid stands for: a node of the tree, and once it is open, the
// descriptor for I/O. The core calls its methods in parallel.
type File struct {
	srv   *Server
	conn  *conn // nil when not behind a connection (Server.Attach)
	node  *node
	owner uint32 // n_uname of the attach: whom new objects belong to

	opened atomic.Pointer[openFile]
	closed atomic.Bool
}

var _ p9.File = (*File)(nil)

// with runs fn on a descriptor of f: the open one if there is one, since that
// outlives removal, else the O_PATH one.
func (f *File) with(fn func(fd int) error) error {
	if f.closed.Load() {
		return wire(unix.EBADF)
	}
	if o := f.opened.Load(); o != nil {
		return wire(fn(o.fd))
	}
	fd, err := f.node.borrow()
	if err != nil {
		return wire(err)
	}
	defer f.node.giveBack()
	return wire(fn(fd))
}

// withPath is with for the system calls that take no O_PATH descriptor.
func (f *File) withPath(fn func(path string) error) error {
	return f.with(func(fd int) error { return again(func() error { return fn(procPath(fd)) }) })
}

// change is with for the verbs that alter a directory's entries: the name is
// checked, and a read-only export refuses.
func (f *File) change(name string, fn func(dir int) error) error {
	if f.srv.o.ReadOnly {
		return wire(unix.EROFS)
	}
	if err := validName(name); err != nil {
		return wire(err)
	}
	if f.node.st.typ != unix.S_IFDIR {
		return wire(unix.ENOTDIR)
	}
	return f.with(fn)
}

func (f *File) on(n *node) *File {
	if f.conn != nil {
		f.conn.files.Add(1)
	}
	return &File{srv: f.srv, conn: f.conn, node: n, owner: f.owner}
}

// Walk goes down names, each one component, without following symlinks; with no
// names it clones f. Errors: EINVAL for a name that is not one component,
// ENOTDIR, ENOENT, ESTALE, EMFILE when the connection has too many Files, and the
// host's own.
func (f *File) Walk(names []string) ([]p9.QID, p9.File, error) {
	qids, to, _, err := f.walk(names)
	if err != nil {
		return nil, nil, err
	}
	return qids, to, nil
}

// WalkGetAttr is Walk and the attributes of where it ended.
func (f *File) WalkGetAttr(names []string) ([]p9.QID, p9.File, p9.AttrMask, p9.Attr, error) {
	qids, to, s, err := f.walk(names)
	if err == nil && len(names) == 0 {
		if s, err = to.stat(); err != nil {
			to.Close()
		}
	}
	if err != nil {
		return nil, nil, p9.AttrMask{}, p9.Attr{}, err
	}
	mask, attr := attrOf(&s)
	return qids, to, mask, attr, nil
}

// walk returns no attributes for a clone.
func (f *File) walk(names []string) (qids []p9.QID, to *File, s unix.Statx_t, err error) {
	if f.closed.Load() {
		return nil, nil, s, wire(unix.EBADF)
	}
	if f.conn != nil && f.conn.files.Load() >= f.srv.maxFids {
		return nil, nil, s, wire(unix.EMFILE)
	}
	at := f.node
	at.share()
	for _, name := range names {
		var next *node
		next, s, err = at.child(name)
		at.drop()
		if err != nil {
			return nil, nil, s, wire(err)
		}
		qids = append(qids, qidOf(&s, f.srv.rootDev()))
		at = next
	}
	return qids, f.on(at), s, nil
}

// Renamed tells where the file is now; only a descriptor that was put away needs
// to know.
func (f *File) Renamed(newDir p9.File, newName string) {
	if d, ok := newDir.(*File); ok {
		f.node.moved(d.node, newName)
	}
}

// Close lets go of the descriptors and with them of the fid's locks.
func (f *File) Close() error {
	if f.closed.Swap(true) {
		return wire(unix.EBADF)
	}
	if f.conn != nil {
		f.conn.files.Add(-1)
	}
	f.node.drop()
	if o := f.opened.Load(); o != nil {
		return wire(o.close())
	}
	return nil
}
