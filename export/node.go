package export

import (
	"container/list"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A node is a place in the tree that some File stands on. It holds an O_PATH
// descriptor, so that neither rename nor a swap to a symlink moves it; clones of
// a File share it. When there are too many of them the descriptor is put away
// and opened again on use.
type node struct {
	paths *paths
	st    identity

	mu     sync.Mutex
	fd     int              // -1 while put away
	uses   int              // borrowed now: not put away meanwhile
	refs   int              // Files that stand here; none: closed
	parent *node            // nil: the root, never put away
	name   string           // below parent
	handle *unix.FileHandle // set when put away by one who may open by handle

	elem *list.Element // guarded by paths.mu
}

// identity tells whether an inode found again is the one it was.
type identity struct {
	dev, ino     uint64
	typ          uint32 // S_IFMT bits
	bsec         int64  // birth time, 0 where the file system has none
	bnsec        uint32
	sameDevAsDir bool
}

func identify(s *unix.Statx_t, rootDev uint64) identity {
	i := identity{dev: device(s), ino: s.Ino, typ: uint32(s.Mode) & unix.S_IFMT}
	i.sameDevAsDir = i.dev == rootDev
	if s.Mask&unix.STATX_BTIME != 0 {
		i.bsec, i.bnsec = s.Btime.Sec, s.Btime.Nsec
	}
	return i
}

// paths is the set of O_PATH descriptors of a Server, newest use in front.
type paths struct {
	mountFD int // any readable descriptor on DIR's file system, for file handles; -1: none
	rootDev uint64
	max     int // descriptors kept at once

	mu    sync.Mutex
	order list.List // of *node
}

const statxMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// stat reads the attributes behind a descriptor, O_PATH or not.
func stat(fd int) (s unix.Statx_t, err error) {
	err = again(func() error {
		return unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, statxMask, &s)
	})
	return s, err
}

// openPath looks one component up below dirfd; a symlink is opened itself.
func openPath(dirfd int, name string) (fd int, err error) {
	if err := validName(name); err != nil {
		return -1, err
	}
	err = again(func() error {
		fd, err = unix.Openat(dirfd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	switch err {
	case nil:
		return fd, nil
	case unix.EINVAL: // a name that this file system cannot have
		err = unix.ENOENT
	}
	return -1, err
}

// procPath names exactly the inode behind fd, for the calls that know no
// descriptors of the O_PATH kind. The link in /proc is a jump, not a text: what
// it leads to is not resolved again, so a symlink stays a symlink.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// node takes over fd, which is name below parent, and its attributes.
func (p *paths) node(fd int, s *unix.Statx_t, parent *node, name string) *node {
	n := &node{paths: p, st: identify(s, p.rootDev), fd: fd, refs: 1, parent: parent, name: name}
	if parent != nil {
		p.touch(n)
	}
	return n
}

// child walks one component.
func (n *node) child(name string) (*node, unix.Statx_t, error) {
	if n.st.typ != unix.S_IFDIR {
		return nil, unix.Statx_t{}, unix.ENOTDIR
	}
	dir, err := n.borrow()
	if err != nil {
		return nil, unix.Statx_t{}, err
	}
	defer n.giveBack()
	fd, err := openPath(dir, name)
	if err != nil {
		return nil, unix.Statx_t{}, err
	}
	s, err := stat(fd)
	if err != nil {
		unix.Close(fd)
		return nil, s, err
	}
	return n.paths.node(fd, &s, n, name), s, nil
}

// maxDepth bounds the way up that borrow may take: recorded parents can form a
// circle when others move directories on the host.
const maxDepth = 1024

// borrow returns the descriptor, valid until giveBack.
func (n *node) borrow() (int, error) { return n.borrowDeep(0) }

// borrowDeep is borrow for the way up, where a parent that no File stands on any
// more is opened for as long as it takes.
func (n *node) borrowDeep(depth int) (int, error) {
	n.mu.Lock()
	if n.refs == 0 && (depth == 0 || n.parent == nil) {
		n.mu.Unlock()
		return -1, unix.EBADF
	}
	if n.fd >= 0 {
		n.uses++
		fd := n.fd
		n.mu.Unlock()
		n.paths.touch(n)
		return fd, nil
	}
	handle, parent, name := n.handle, n.parent, n.name
	n.mu.Unlock()

	if depth > maxDepth {
		return -1, unix.ESTALE
	}
	fd, err := n.reopen(handle, parent, name, depth)
	if err != nil {
		return -1, err
	}
	n.mu.Lock()
	switch {
	case n.refs == 0 && depth == 0:
		n.mu.Unlock()
		unix.Close(fd)
		return -1, unix.EBADF
	case n.fd >= 0: // somebody else was faster
		unix.Close(fd)
		fd = n.fd
	default:
		n.fd = fd
	}
	n.uses++
	n.mu.Unlock()
	n.paths.touch(n)
	return fd, nil
}

// reopen finds the inode again after its descriptor was put away.
func (n *node) reopen(handle *unix.FileHandle, parent *node, name string, depth int) (int, error) {
	if handle != nil {
		fd, err := unix.OpenByHandleAt(n.paths.mountFD, *handle, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
		if err == nil {
			return n.same(fd)
		}
		if err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOMEM {
			return -1, err
		}
	}
	dir, err := parent.borrowDeep(depth + 1)
	if err != nil {
		return -1, err
	}
	defer parent.giveBack()
	fd, err := openPath(dir, name)
	if err == unix.ENOENT {
		err = unix.ESTALE
	}
	if err != nil {
		return -1, err
	}
	return n.same(fd)
}

// same passes fd on if it is the inode that n stands for.
func (n *node) same(fd int) (int, error) {
	s, err := stat(fd)
	if err == nil && identify(&s, n.paths.rootDev) != n.st {
		err = unix.ESTALE
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (n *node) giveBack() {
	n.mu.Lock()
	n.uses--
	fd := n.closableLocked()
	n.mu.Unlock()
	n.dispose(fd)
}

// share counts one more File on n.
func (n *node) share() {
	n.mu.Lock()
	n.refs++
	n.mu.Unlock()
}

// drop counts one File less; the last one closes the descriptor.
func (n *node) drop() {
	n.mu.Lock()
	n.refs--
	fd := n.closableLocked()
	n.mu.Unlock()
	n.dispose(fd)
}

// closableLocked takes the descriptor out if nobody needs it, else returns -1.
func (n *node) closableLocked() int {
	if n.refs > 0 || n.uses > 0 {
		return -1
	}
	fd := n.fd
	n.fd = -1
	return fd
}

func (n *node) dispose(fd int) {
	if fd < 0 {
		return
	}
	n.paths.forget(n)
	unix.Close(fd)
}

// moved records the place n was renamed to.
func (n *node) moved(parent *node, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.parent != nil && parent != n {
		n.parent, n.name = parent, name
	}
}

// touch puts n in front, and puts away the descriptors that are too many.
func (p *paths) touch(n *node) {
	if n.parentless() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.elem != nil {
		p.order.MoveToFront(n.elem)
		return
	}
	n.elem = p.order.PushFront(n)
	for e := p.order.Back(); e != nil && p.order.Len() > p.max; {
		victim, prev := e.Value.(*node), e.Prev()
		if victim != n && victim.putAway() {
			p.order.Remove(e)
			victim.elem = nil
		}
		e = prev
	}
}

func (p *paths) forget(n *node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.elem != nil {
		p.order.Remove(n.elem)
		n.elem = nil
	}
}

func (n *node) parentless() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parent == nil
}

// putAway closes the descriptor of a node at rest. It never waits for node.mu:
// the caller holds paths.mu.
func (n *node) putAway() bool {
	if !n.mu.TryLock() {
		return false
	}
	defer n.mu.Unlock()
	if n.uses > 0 {
		return false
	}
	if n.fd < 0 {
		return true
	}
	if n.handle == nil && n.st.sameDevAsDir {
		n.handle = handleOf(n.fd, n.paths.mountFD)
	}
	unix.Close(n.fd)
	n.fd = -1
	return true
}

// handleOf returns a file handle that this process may open again, or nil.
func handleOf(fd, mountFD int) *unix.FileHandle {
	h, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil
	}
	again, err := unix.OpenByHandleAt(mountFD, h, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC)
	if err != nil {
		return nil
	}
	unix.Close(again)
	return &h
}
