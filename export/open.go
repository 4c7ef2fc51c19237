package export

import (
	"errors"
	"sync"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// openFile is the I/O side of a File.
type openFile struct {
	fd     int
	access int // O_RDONLY, O_WRONLY or O_RDWR

	mu     sync.Mutex // a directory's position, lockFD
	pos    uint64     // d_off at which fd stands
	lockFD int        // -1 until the first lock
}

func (o *openFile) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lockErr error
	if o.lockFD >= 0 {
		lockErr = unix.Close(o.lockFD)
	}
	return errors.Join(unix.Close(o.fd), lockErr)
}

// Flags of Tlopen and Tlcreate, which are Linux' on x86; other machines number
// some of them otherwise.
const (
	flagExcl      = 0o200
	flagTrunc     = 0o1000
	flagAppend    = 0o2000
	flagDsync     = 0o10000
	flagDirectory = 0o200000
	flagSync      = 0o4000000

	// The core keeps only mode bits 01777 of a Tlcreate. These two travel in
	// bits of the flags that mean nothing on the wire (see detour.go).
	flagSetuid = 1 << 30
	flagSetgid = 1 << 31
)

// hostFlags translates the flags that concern an open file. The others speak of
// the client's side (O_NONBLOCK, O_DIRECT, O_NOATIME...), or were dealt with.
func hostFlags(flags p9.OpenFlags) (int, error) {
	h := int(flags & p9.OpenFlagsModeMask)
	if h == 3 {
		return 0, unix.EINVAL
	}
	for _, f := range [...]struct {
		wire p9.OpenFlags
		host int
	}{
		{flagTrunc, unix.O_TRUNC}, {flagAppend, unix.O_APPEND}, {flagDsync, unix.O_DSYNC},
		{flagSync, unix.O_SYNC}, {flagDirectory, unix.O_DIRECTORY},
	} {
		if flags&f.wire == f.wire {
			h |= f.host
		}
	}
	return h | unix.O_CLOEXEC, nil
}

// writes tells whether opening so needs the right to alter the file.
func writes(host int) bool {
	return host&unix.O_ACCMODE != unix.O_RDONLY || host&unix.O_TRUNC != 0
}

// Open opens f for I/O with Linux flags. Only regular files and directories can
// be opened, others are ENXIO (a symlink ELOOP). On a read-only export writing
// and O_TRUNC are EROFS. The iounit returned is 0: as much as msize carries.
func (f *File) Open(flags p9.OpenFlags) (p9.QID, uint32, error) {
	host, err := hostFlags(flags)
	if err != nil {
		return p9.QID{}, 0, wire(err)
	}
	o, s, err := f.open(host)
	if err != nil {
		return p9.QID{}, 0, wire(err)
	}
	if !f.opened.CompareAndSwap(nil, o) {
		o.close()
		return p9.QID{}, 0, wire(unix.EBUSY)
	}
	return qidOf(&s, f.srv.rootDev()), 0, nil
}

func (f *File) open(host int) (*openFile, unix.Statx_t, error) {
	var s unix.Statx_t
	switch {
	case f.opened.Load() != nil:
		return nil, s, unix.EBUSY
	case f.srv.o.ReadOnly && writes(host):
		return nil, s, unix.EROFS
	case f.node.st.typ == unix.S_IFDIR && writes(host):
		return nil, s, unix.EISDIR
	case f.node.st.typ == unix.S_IFLNK:
		return nil, s, unix.ELOOP
	case f.node.st.typ != unix.S_IFREG && f.node.st.typ != unix.S_IFDIR:
		return nil, s, unix.ENXIO
	}
	fd := -1
	err := f.with(func(at int) (err error) {
		if s, err = stat(at); err != nil {
			return err
		}
		if qidType(&s) == p9.TypeAppendOnly && host&unix.O_ACCMODE != unix.O_RDONLY {
			host |= unix.O_APPEND // the only way to write such a file; its qid says so
		}
		// O_NONBLOCK: a lease held by a local program is EWOULDBLOCK, not a wait.
		return again(func() (err error) {
			fd, err = unix.Open(procPath(at), host|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
			return err
		})
	})
	if err == nil && host&unix.O_TRUNC != 0 {
		s, err = stat(fd)
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, s, err
	}
	return &openFile{fd: fd, access: host & unix.O_ACCMODE, lockFD: -1}, s, nil
}

// ioFile returns the open file for I/O; EBADF when f is not open.
func (f *File) ioFile() (*openFile, error) {
	o := f.opened.Load()
	if o == nil || f.closed.Load() {
		return nil, linux.EBADF
	}
	return o, nil
}
