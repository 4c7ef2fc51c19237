package p9client

import (
	"errors"
	"io"
	"net"
	"os"
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
