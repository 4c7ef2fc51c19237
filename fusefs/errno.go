package fusefs

import (
	"context"
	"errors"
	"syscall"
)

// toErrno is what the kernel is told of err.
func toErrno(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		switch errno {
		case 0, syscall.EPROTO:
			return syscall.EIO
		}
		return errno
	case errors.Is(err, context.Canceled):
		return syscall.EINTR
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	}
	return syscall.EIO
}

// readErrno is what the kernel is told of a failed READ. Trouble with the
// connection is EIO there: programs expect no other word from a read.
func readErrno(err error) syscall.Errno {
	if disconnected(err) {
		return syscall.EIO
	}
	return toErrno(err)
}

func disconnected(err error) bool {
	var d interface{ Disconnected() bool }
	return errors.As(err, &d) && d.Disconnected()
}
