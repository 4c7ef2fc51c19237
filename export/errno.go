package export

import (
	"errors"
	"syscall"

	"github.com/hugelgupf/p9/linux"
)

// again repeats f while a signal interrupts it.
func again(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

// wire turns an error of the host into the errno type that the core sends
// unchanged. Package syscall's own would be widened on the way: it "is"
// os.ErrPermission for EPERM and os.ErrExist for ENOTEMPTY.
func wire(err error) error {
	if err == nil {
		return nil
	}
	return errnoOf(err)
}

// errnoOf returns the errno in err, EIO if there is none.
func errnoOf(err error) linux.Errno {
	var l linux.Errno
	if errors.As(err, &l) {
		return l
	}
	var s syscall.Errno
	if errors.As(err, &s) && s != 0 {
		return linux.Errno(s)
	}
	return linux.EIO
}
