package export

import (
	"errors"
	"io"
	"math"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

// Lock takes or gives back a POSIX byte-range lock for this fid: an OFD lock, so
// that it holds against other fids and against programs on the server's host,
// and ends with the fid. length 0 reaches to the end of the file, however it
// grows. It never waits: a conflict is LockStatusBlocked, with or without the
// block flag, and the client asks again. EBADF when f is not open or cannot be
// opened for the kind of lock; EINVAL for ranges beyond 2^63.
func (f *File) Lock(pid int, typ p9.LockType, flags p9.LockFlags, start, length uint64, client string) (p9.LockStatus, error) {
	if typ == detourLock && f.conn != nil {
		return f.conn.takeDetour(f, uint16(start))
	}
	l, err := flockOf(typ, start, length)
	if err != nil {
		return p9.LockStatusError, wire(err)
	}
	err = f.flock(unix.F_OFD_SETLK, &l)
	switch {
	case err == nil:
		return p9.LockStatusOK, nil
	case errors.Is(err, linux.EAGAIN), errors.Is(err, linux.EACCES):
		return p9.LockStatusBlocked, nil
	}
	return p9.LockStatusError, err
}

// getLock tells which lock would be in the way; Unlock if none.
func (f *File) getLock(typ p9.LockType, start, length uint64) (p9.LockType, unix.Flock_t, error) {
	l, err := flockOf(typ, start, length)
	if err == nil && typ == p9.Unlock {
		err = unix.EINVAL
	}
	if err != nil {
		return 0, l, wire(err)
	}
	if err := f.flock(unix.F_OFD_GETLK, &l); err != nil {
		return 0, l, err
	}
	switch l.Type {
	case unix.F_RDLCK:
		return p9.ReadLock, l, nil
	case unix.F_WRLCK:
		return p9.WriteLock, l, nil
	}
	return p9.Unlock, l, nil
}

func flockOf(typ p9.LockType, start, length uint64) (l unix.Flock_t, err error) {
	switch typ {
	case p9.ReadLock:
		l.Type = unix.F_RDLCK
	case p9.WriteLock:
		l.Type = unix.F_WRLCK
	case p9.Unlock:
		l.Type = unix.F_UNLCK
	default:
		return l, unix.EINVAL
	}
	if start > math.MaxInt64 {
		return l, unix.EINVAL
	}
	if length > math.MaxInt64-start {
		if length < math.MaxInt64 {
			return l, unix.EOVERFLOW
		}
		length = 0 // "everything": some clients say 2^63-1 or 2^64-1
	}
	l.Whence, l.Start, l.Len = io.SeekStart, int64(start), int64(length)
	return l, nil
}

// flock works on a descriptor of its own, writable if possible: a write lock on a
// fid that was opened for reading is what flock(2) of a client comes as.
func (f *File) flock(cmd int, l *unix.Flock_t) error {
	o, err := f.ioFile()
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lockFD < 0 {
		if l.Type == unix.F_UNLCK {
			return nil
		}
		fd, err := f.openForLocks(o)
		if err != nil {
			return wire(err)
		}
		o.lockFD = fd
	}
	return wire(again(func() error { return unix.FcntlFlock(uintptr(o.lockFD), cmd, l) }))
}

func (f *File) openForLocks(o *openFile) (int, error) {
	const common = unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	if !f.srv.o.ReadOnly && f.node.st.typ == unix.S_IFREG {
		if fd, err := unix.Open(procPath(o.fd), unix.O_RDWR|common, 0); err == nil {
			return fd, nil
		}
	}
	if o.access == unix.O_WRONLY {
		return unix.Open(procPath(o.fd), unix.O_WRONLY|common, 0)
	}
	return unix.Open(procPath(o.fd), unix.O_RDONLY|common, 0)
}
