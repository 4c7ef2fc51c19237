package legacy9p

import (
	"errors"
	"syscall"

	"9fans.net/go/plan9"
)

// enames are the words of Plan 9 for Unix's errors. The others are said as strerror(3) does, in lower case.
var enames = map[syscall.Errno]string{
	syscall.ENOENT:    "file does not exist",
	syscall.EACCES:    "permission denied",
	syscall.EPERM:     "permission denied",
	syscall.EEXIST:    "file already exists",
	syscall.ENOTDIR:   "not a directory",
	syscall.EISDIR:    "is a directory",
	syscall.ENOTEMPTY: "directory not empty",
	syscall.EROFS:     "read-only file system",
}

// errnos are the numbers that 9P2000.u sends with words that no errno stands for: ours and srv9p's.
var errnos = map[string]syscall.Errno{
	"directory entry not found":       syscall.ENOENT,
	"file does not exist":             syscall.ENOENT,
	"permission denied":               syscall.EACCES,
	"file already exists":             syscall.EEXIST,
	"not a directory":                 syscall.ENOTDIR,
	"is a directory":                  syscall.EISDIR,
	"directory not empty":             syscall.ENOTEMPTY,
	"read-only file system":           syscall.EROFS,
	"bad offset in directory read":    syscall.EINVAL,
	"bad character in file name":      syscall.EINVAL,
	"interrupted":                     syscall.EINTR,
	"exclusive use file already open": syscall.EBUSY,
	"unknown fid":                     syscall.EBADF,
	"duplicate fid":                   syscall.EBADF,
	"not open for read":               syscall.EBADF,
	"not open for write":              syscall.EBADF,
	"duplicate open":                  syscall.EBADF,
	"clone of open fid":               syscall.EBADF,
	"walk in non-directory":           syscall.ENOTDIR,
	"create in non-directory":         syscall.ENOTDIR,
	"wstat prohibited":                syscall.EPERM,
	"wstat can't change extension":    syscall.EPERM,
	"wstat cannot change type":        syscall.EPERM,
	"wstat cannot change dev":         syscall.EPERM,
	"wstat cannot change qid":         syscall.EPERM,
	"wstat cannot change muid":        syscall.EPERM,
	"wstat cannot change DMDIR bit":   syscall.EPERM,
	"unknown bits in mode":            syscall.EINVAL,
	"unknown group":                   syscall.EINVAL,
	"bad offset":                      syscall.EINVAL,
	"bad count":                       syscall.EINVAL,
	"duplicate tag":                   syscall.EINVAL,
	"wstat can't change uid":          syscall.EPERM,
	"wstat can't change atime":        syscall.EPERM,
	"authentication not required":     syscall.ECONNREFUSED,
}

// words turns an error into what Rerror says.
func words(err error) error {
	if err == nil {
		return nil
	}
	var e syscall.Errno
	if !errors.As(err, &e) {
		return err
	}
	if w, ok := enames[e]; ok {
		return errors.New(w)
	}
	return errors.New(e.Error())
}

// errnoOf is the number of an error that words has said.
func errnoOf(ename string) syscall.Errno {
	if e, ok := errnos[ename]; ok {
		return e
	}
	for e := syscall.Errno(1); e < 134; e++ {
		if e.Error() == ename {
			return e
		}
	}
	return syscall.EIO
}

// plan9Words replaces words of srv9p's own by those that file servers use.
func plan9Words(m []byte) []byte {
	f, err := plan9.UnmarshalFcall(m)
	if err != nil {
		return m
	}
	switch f.Ename {
	case "bad offset": // of a file it would have to be negative
		f.Ename = "bad offset in directory read"
	case "file not found":
		f.Ename = "file does not exist"
	default:
		return m
	}
	return rerror(m, f.Ename)
}
