package p9client

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// maxErrno is the largest errno that Linux has; a server that sends another one
// means EIO to us.
const maxErrno = 4095

// serverErrno turns the number of an Rlerror into an errno.
func serverErrno(n uint32) syscall.Errno {
	if n == 0 || n > maxErrno {
		return syscall.EIO
	}
	return syscall.Errno(n)
}

// enames are the words of Rerror strings that are well known: those of Linux's
// errno, as servers on top of it send them, and Plan 9's.
var enames = []struct {
	words string // in lower case
	errno syscall.Errno
}{
	{"no such file or directory", syscall.ENOENT},
	{"file not found", syscall.ENOENT},
	{"does not exist", syscall.ENOENT},
	{"file does not exist", syscall.ENOENT},
	{"permission denied", syscall.EACCES},
	{"operation not permitted", syscall.EPERM},
	{"not owner", syscall.EPERM},
	{"file exists", syscall.EEXIST},
	{"file already exists", syscall.EEXIST},
	{"not a directory", syscall.ENOTDIR},
	{"is a directory", syscall.EISDIR},
	{"file is a directory", syscall.EISDIR},
	{"directory not empty", syscall.ENOTEMPTY},
	{"directory is not empty", syscall.ENOTEMPTY},
	{"no space left on device", syscall.ENOSPC},
	{"file system is full", syscall.ENOSPC},
	{"disk quota exceeded", syscall.EDQUOT},
	{"read-only file system", syscall.EROFS},
	{"file too large", syscall.EFBIG},
	{"file name too long", syscall.ENAMETOOLONG},
	{"invalid argument", syscall.EINVAL},
	{"operation not supported", syscall.EOPNOTSUPP},
	{"function not implemented", syscall.ENOSYS},
	{"stale file handle", syscall.ESTALE},
	{"input/output error", syscall.EIO},
	{"i/o error", syscall.EIO},
}

// enameErrno turns an Rerror's string into an errno: EIO if its words are not
// well known.
func enameErrno(s string) syscall.Errno {
	s = strings.ToLower(strings.TrimSpace(s))
	for _, e := range enames {
		if s == e.words || strings.HasSuffix(s, ": "+e.words) {
			return e.errno
		}
	}
	return syscall.EIO
}

// causeErrno is the errno that the loss of a connection, or the failure to make
// one, amounts to.
func causeErrno(err error) syscall.Errno {
	var errno syscall.Errno
	var netErr net.Error
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return syscall.ECONNRESET
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return syscall.ETIMEDOUT
	}
	return syscall.EIO
}
