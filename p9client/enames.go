package p9client

import (
	"strings"
	"syscall"
)

// enames are words that file servers send in Rerror, in lower case, besides those
// of Linux' strerror(3). They come from Plan 9's kernel (port/error.h), lib9p,
// fossil, kfs and cwfs, from 9front's hjfs and gefs, and from u9fs and plan9port.
var enames = map[syscall.Errno][]string{
	syscall.ENOENT: {
		"file does not exist", "does not exist", "file not found", "not found", "file or directory does not exist",
		"directory entry not found", "file or directory not found", "directory entry is not allocated",
		"phase error -- directory entry not allocated", "file has been removed", "no such file",
	},
	syscall.EACCES: {
		"permission denied", "access permission denied", "access denied", "authentication failed", "authentication required",
		"attach -- unknown user", "attach -- bad user", "unknown user", "stat prohibited", "write prohibited", "read prohibited", "open prohibited",
		"not a member of proposed group", "no access to special file", "mounted directory forbids creation",
	},
	syscall.EPERM: {
		"not owner", "wstat -- not owner", "wstat -- not in group", "only owner can change group in wstat", "create prohibited", "remove prohibited",
		"wstat prohibited", "cannot remove root", "only the owner may do that", "wstat can't change uid", "wstat can't change atime",
		"wstat cannot change type", "wstat cannot change dev", "wstat cannot change qid", "wstat cannot change muid", "wstat can't change extension",
	},
	syscall.EEXIST: {
		"file already exists", "file or directory already exists", "already exists", "create/wstat -- file exists", "create -- file exists",
		"name already exists", "directory entry already exists",
	},
	syscall.ENOTDIR: {
		"walk in non-directory", "walk -- in a non-directory", "create in non-directory", "create -- in a non-directory", "file is not a directory",
		"not directory",
	},
	syscall.EISDIR: {
		"file is a directory", "open/create -- directory", "is a directory -- cannot be written", "wstat can't convert between files and directories",
	},
	syscall.ENOTEMPTY: {
		"directory is not empty", "directory not empty", "remove -- directory not empty", "remove -- not empty",
	},
	syscall.ENOSPC: {
		"file system full", "file system is full", "filesystem full", "disk full", "disk is full", "no space", "no free blocks", "no space on device",
		"no more space", "out of space", "device full",
	},
	syscall.EDQUOT: {"quota exceeded", "over quota"},
	syscall.EROFS: {
		"file system read only", "file system is read only", "read only file system", "file system is read-only", "read-only filesystem", "read only",
		"snapshots are read only",
	},
	syscall.EFBIG:        {"file too big", "file is too large", "maximum file size exceeded"},
	syscall.ENAMETOOLONG: {"name too long", "create/wstat -- name too long", "file name is too long"},
	syscall.EINVAL: {
		"bad arg in system call", "bad offset in directory read", "bad use of fid", "bad character in file name", "file name syntax",
		"create/wstat -- bad character in file name", "illegal use of . or .. in path", "illegal name", "illegal mode", "illegal offset", "bad directory in wstat",
		"malformed stat buffer", "bogus wstat buffer", "wstat -- attempt to change qid", "wstat -- attempt to change type", "wstat -- attempt to change dev",
		"negative i/o offset", "bad offset", "bad count", "unknown bits in mode", "bad process or channel control request", "unknown control request", "unknown group", "inappropriate use of fd",
	},
	syscall.EBADF: {
		"unknown fid", "fid unknown or out of range", "fid not open", "file not open for i/o", "fd out of range or not open", "file not open", "fid not in use",
		"not open for read", "not open for write", "duplicate open", "clone of open fid",
	},
	syscall.EBUSY: {
		"device or object already in use", "file in use", "file is in use", "exclusive use file already open", "exclusive lock", "file is exclusive use and already open",
		"device busy", "fid already in use", "duplicate fid", "is a mount point",
	},
	syscall.ESTALE:       {"stale fid", "exclusive lock expired", "file has been removed and is open"},
	syscall.EINTR:        {"interrupted", "flushed"},
	syscall.ETIMEDOUT:    {"timed out", "timeout"},
	syscall.ENOMEM:       {"out of memory", "no memory", "kernel allocate failed", "virtual memory allocation failed"},
	syscall.EMFILE:       {"no free file descriptors", "too many open files"},
	syscall.ENODEV:       {"no free devices", "unknown device in # filename", "device shut down", "not mounted"},
	syscall.ECONNREFUSED: {"connection refused"},
	syscall.EPIPE:        {"i/o on hungup channel", "write on closed pipe", "process exited"},
	syscall.ESPIPE:       {"seek on a stream"},
	syscall.EMSGSIZE:     {"read or write too large", "i/o count too large", "i/o count too small"},
	syscall.EXDEV:        {"cannot move between directories", "cross-device link"},
	syscall.EPROTO:       {"9p protocol botch", "protocol botch", "mount rpc error", "bad message type"},
	syscall.EOPNOTSUPP:   {"not supported", "operation not supported", "not implemented", "no such operation", "unknown message", "bad fcall type"},
	syscall.EIO:          {"i/o error", "corrupted file", "block damaged"},
}

// ename2errno is enames the other way round, with strerror's words.
var ename2errno = func() map[string]syscall.Errno {
	m := make(map[string]syscall.Errno)
	for n := syscall.Errno(1); n <= maxErrno; n++ {
		if s := n.Error(); !strings.HasPrefix(s, "errno ") {
			m[strings.ToLower(s)] = n
		}
	}
	for errno, l := range enames {
		for _, words := range l {
			m[words] = errno
		}
	}
	return m
}()

// maxWords is how many bytes of an Rerror are looked at, at either end.
const maxWords = 256

// enameErrno turns an Rerror's string into an errno: EIO if its words are not
// well known. Servers put the name of a file, or of the call that failed, before
// the words, or after them and a colon.
func enameErrno(s string) syscall.Errno {
	s = strings.ToLower(strings.TrimSpace(s))
	for rest := s[max(0, len(s)-maxWords):]; ; {
		if errno, ok := ename2errno[rest]; ok {
			return errno
		}
		i := strings.IndexAny(rest, " :'\"")
		if i < 0 {
			break
		}
		rest = strings.TrimLeft(rest[i+1:], " :'\"")
	}
	s = s[:min(len(s), maxWords)]
	for i := strings.LastIndexByte(s, ':'); i > 0; i = strings.LastIndexByte(s[:i], ':') {
		if errno, ok := ename2errno[s[:i]]; ok {
			return errno
		}
	}
	return syscall.EIO
}
