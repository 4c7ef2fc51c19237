package p9client

import (
	"strings"
	"syscall"
	"testing"
)

func TestErrorTextsBecomeErrnos(t *testing.T) {
	for words, want := range map[string]syscall.Errno{
		"file does not exist":                     syscall.ENOENT, // Plan 9
		"'adm/users' file does not exist":         syscall.ENOENT,
		"file not found":                          syscall.ENOENT, // lib9p
		"directory entry not found":               syscall.ENOENT, // cwfs
		"No such file or directory":               syscall.ENOENT, // u9fs: strerror
		"open /srv/x: no such file or directory":  syscall.ENOENT, // Go
		"file does not exist: 'x'":                syscall.ENOENT,
		"permission denied":                       syscall.EACCES,
		"Operation not permitted":                 syscall.EPERM,
		"wstat -- not owner":                      syscall.EPERM,
		"file already exists":                     syscall.EEXIST,
		"create/wstat -- file exists":             syscall.EEXIST,
		"File exists":                             syscall.EEXIST,
		"not a directory":                         syscall.ENOTDIR,
		"walk in non-directory":                   syscall.ENOTDIR,
		"file is a directory":                     syscall.EISDIR,
		"directory is not empty":                  syscall.ENOTEMPTY,
		"Directory not empty":                     syscall.ENOTEMPTY,
		"file system full":                        syscall.ENOSPC,
		"No space left on device":                 syscall.ENOSPC,
		"Disk quota exceeded":                     syscall.EDQUOT,
		"file system read only":                   syscall.EROFS,
		"Read-only file system":                   syscall.EROFS,
		"File too large":                          syscall.EFBIG,
		"exclusive use file already open":         syscall.EBUSY,
		"unknown fid":                             syscall.EBADF,
		"fid unknown or out of range":             syscall.EBADF, // u9fs
		"Input/output error":                      syscall.EIO,
		"i/o error":                               syscall.EIO,
		"i/o on hungup channel":                   syscall.EPIPE,
		"interrupted":                             syscall.EINTR,
		"bad offset in directory read":            syscall.EINVAL,
		"Operation not supported":                 syscall.EOPNOTSUPP,
		"the cat sat on the mat":                  syscall.EIO,
		"this is not a directory of permission":   syscall.EIO,
		"":                                        syscall.EIO,
		":::'' \" ":                               syscall.EIO,
		strings.Repeat("a:", 20000) + "not found": syscall.ENOENT,
	} {
		if got := enameErrno(words); got != want {
			t.Errorf("%.60q: %v, want %v", words, got, want)
		}
	}
}

// No two errnos may claim the same words, or it would depend on the run.
func TestErrorTextsAreUnambiguous(t *testing.T) {
	seen := map[string]syscall.Errno{}
	for errno, l := range enames {
		for _, words := range l {
			if was, ok := seen[words]; ok {
				t.Errorf("%q is %v and %v", words, was, errno)
			}
			seen[words] = errno
			if words != strings.ToLower(words) {
				t.Errorf("%q is not in lower case", words)
			}
		}
	}
}

func TestErrorRepliesOfEveryKind(t *testing.T) {
	for _, row := range []struct {
		name  string
		typ   uint8
		body  string
		errno syscall.Errno
		words string
	}{
		{"Rlerror", rlerror, "\x1c\x00\x00\x00", syscall.ENOSPC, ""},
		{"Rerror with a bare errno", rerror, "\x02\x00\x00\x00", syscall.ENOENT, ""},
		{"Rerror", rerror, "\x10\x00file system full", syscall.ENOSPC, "file system full"},
		{"Rerror of 9P2000.u", rerror, "\x03\x00bad\x0d\x00\x00\x00", syscall.EACCES, "bad"},
		{"Rerror of 9P2000.u, whose words know better", rerror, "\x10\x00file system full\x05\x00\x00\x00", syscall.ENOSPC, "file system full"},
		{"Rerror of two letters", rerror, "\x02\x00no", syscall.EIO, "no"},
		{"Rerror of nothing", rerror, "\x00\x00", syscall.EIO, ""},
		{"Rlerror with a number that no errno has", rlerror, "\xff\xff\xff\xff", syscall.EIO, ""},
		{"Rlerror with 0", rlerror, "\x00\x00\x00\x00", syscall.EIO, ""},
	} {
		e, ok := errorReply(row.typ, []byte(row.body)).(*Error)
		if !ok || e.Errno != row.errno || row.words != "" && e.Ename != row.words {
			t.Errorf("%s: %v", row.name, e)
		}
	}
	for _, body := range []string{"", "\x01", "\x05\x00abc", "\x03\x00abcd", "\x03\x00abc\x00\x00"} {
		if _, ok := errorReply(rerror, []byte(body)).(*Error); ok {
			t.Errorf("Rerror %q was taken", body)
		}
	}
}
