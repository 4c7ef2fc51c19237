package p9client

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// maxErrno is the largest errno that programs know (EHWPOISON); a server that sends
// another one means EIO to us. Those from 512 on are the kernel's own: given to it,
// some would make a call start again for ever.
const maxErrno = 133

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
