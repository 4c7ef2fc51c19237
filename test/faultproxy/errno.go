package faultproxy

import (
	"fmt"
	"strconv"
	"syscall"
)

// errnos are the names that reply= and rerror107= take; any other errno is written as a number.
var errnos = map[string]syscall.Errno{
	"EPERM": syscall.EPERM, "ENOENT": syscall.ENOENT, "ESRCH": syscall.ESRCH, "EINTR": syscall.EINTR,
	"EIO": syscall.EIO, "ENXIO": syscall.ENXIO, "E2BIG": syscall.E2BIG, "EBADF": syscall.EBADF,
	"EAGAIN": syscall.EAGAIN, "ENOMEM": syscall.ENOMEM, "EACCES": syscall.EACCES, "EFAULT": syscall.EFAULT,
	"EBUSY": syscall.EBUSY, "EEXIST": syscall.EEXIST, "EXDEV": syscall.EXDEV, "ENODEV": syscall.ENODEV,
	"ENOTDIR": syscall.ENOTDIR, "EISDIR": syscall.EISDIR, "EINVAL": syscall.EINVAL, "ENFILE": syscall.ENFILE,
	"EMFILE": syscall.EMFILE, "ENOTTY": syscall.ENOTTY, "ETXTBSY": syscall.ETXTBSY, "EFBIG": syscall.EFBIG,
	"ENOSPC": syscall.ENOSPC, "ESPIPE": syscall.ESPIPE, "EROFS": syscall.EROFS, "EMLINK": syscall.EMLINK,
	"EPIPE": syscall.EPIPE, "EDOM": syscall.EDOM, "ERANGE": syscall.ERANGE, "EDEADLK": syscall.EDEADLK,
	"ENAMETOOLONG": syscall.ENAMETOOLONG, "ENOLCK": syscall.ENOLCK, "ENOSYS": syscall.ENOSYS,
	"ENOTEMPTY": syscall.ENOTEMPTY, "ELOOP": syscall.ELOOP, "ENODATA": syscall.ENODATA, "ETIME": syscall.ETIME,
	"ENOLINK": syscall.ENOLINK, "EPROTO": syscall.EPROTO, "EOVERFLOW": syscall.EOVERFLOW,
	"EOPNOTSUPP": syscall.EOPNOTSUPP, "ECONNABORTED": syscall.ECONNABORTED, "ECONNRESET": syscall.ECONNRESET,
	"ENOTCONN": syscall.ENOTCONN, "ETIMEDOUT": syscall.ETIMEDOUT, "ECONNREFUSED": syscall.ECONNREFUSED,
	"EHOSTDOWN": syscall.EHOSTDOWN, "EHOSTUNREACH": syscall.EHOSTUNREACH, "EALREADY": syscall.EALREADY,
	"ESTALE": syscall.ESTALE, "EREMOTEIO": syscall.EREMOTEIO, "EDQUOT": syscall.EDQUOT,
	"ECANCELED": syscall.ECANCELED, "EKEYEXPIRED": syscall.EKEYEXPIRED,
}

var errnoNames = func() map[uint32]string {
	m := make(map[uint32]string)
	for name, e := range errnos {
		m[uint32(e)] = name
	}
	return m
}()

func parseErrno(s string) (uint32, error) {
	if e, ok := errnos[s]; ok {
		return uint32(e), nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("no errno is called %q", s)
	}
	return uint32(n), nil
}

func errnoString(e uint32) string {
	if name, ok := errnoNames[e]; ok {
		return name
	}
	return strconv.FormatUint(uint64(e), 10)
}
