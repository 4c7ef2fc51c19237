package errjournal

import (
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// appendErrno appends the name of e, or its number where it has none.
func appendErrno(b []byte, e syscall.Errno) []byte {
	if name := unix.ErrnoName(e); name != "" {
		return append(b, name...)
	}
	return strconv.AppendUint(b, uint64(e), 10)
}

// errnoByName inverts unix.ErrnoName. MAX_ERRNO is 4095 on Linux.
var errnoByName = sync.OnceValue(func() map[string]syscall.Errno {
	m := map[string]syscall.Errno{
		// Second names of the same numbers.
		"EWOULDBLOCK": unix.EWOULDBLOCK,
		"EDEADLOCK":   unix.EDEADLOCK,
		"ENOTSUP":     unix.ENOTSUP,
	}
	for e := syscall.Errno(1); e <= 4095; e++ {
		if name := unix.ErrnoName(e); name != "" {
			m[name] = e
		}
	}
	return m
})

// parseErrno reads what appendErrno wrote.
func parseErrno(s string) (syscall.Errno, bool) {
	if e, ok := errnoByName()[s]; ok {
		return e, true
	}
	n, err := strconv.ParseUint(s, 10, strconv.IntSize)
	return syscall.Errno(n), err == nil
}
