package p9client

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Descriptors of the wrong kind are refused by name and left alone.
func TestDescriptorsThatCannotServe(t *testing.T) {
	t.Parallel()
	var pipe, pair, dgram [2]int
	check(t, unix.Pipe(pipe[:]))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	check(t, err)
	dgram, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	check(t, err)
	file, err := unix.Open(filepath.Join(t.TempDir(), "f"), unix.O_CREAT|unix.O_RDWR, 0600)
	check(t, err)
	null, err := unix.Open(os.DevNull, unix.O_RDWR, 0)
	check(t, err)
	all := []int{pipe[0], pipe[1], pair[0], pair[1], dgram[0], dgram[1], file, null}
	r, w := itoa(pipe[0]), itoa(pipe[1])
	for addr, why := range map[string]string{
		"1000000":             "descriptor 1000000 is not open",
		r + ",1000000":        "descriptor 1000000 is not open",
		r:                     "descriptor " + r + " is a pipe; name one to read and one to write",
		w + "," + r:           "descriptor " + w + " has the wrong direction; the one to read comes first",
		r + "," + itoa(file):  "neither a stream socket nor a pipe",
		itoa(file):            "neither a stream socket nor a pipe",
		itoa(null):            "neither a stream socket nor a pipe",
		itoa(dgram[0]):        "not a stream socket",
		itoa(dgram[0]) + ",1": "not a stream socket",
	} {
		_, err := Address{"fd", addr}.Dial(t.Context(), Options{})
		if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "fd!"+addr) || !strings.Contains(err.Error(), "inherited") {
			t.Errorf("fd!%s: %v", addr, err)
		}
	}
	for _, fd := range all {
		if err := unix.Close(fd); err != nil {
			t.Errorf("descriptor %d: %v", fd, err)
		}
	}
}

// A descriptor that is used belongs to the connection: its number is free, and
// no child gets it.
func TestDescriptorsAreTaken(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	check(t, err)
	check(t, unix.SetNonblock(pair[1], true))
	other := os.NewFile(uintptr(pair[1]), "other")
	defer other.Close()
	nc, err := Address{"fd", itoa(pair[0])}.Dial(t.Context(), Options{})
	check(t, err)
	if rawConn(nc) == nil {
		t.Error("it is not written to directly")
	}
	if _, err := nc.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	b := make([]byte, 2)
	if n, err := other.Read(b); n != 1 || err != nil {
		t.Error(n, err)
	}
	check(t, nc.Close())
	check(t, other.SetReadDeadline(time.Now().Add(patience)))
	if n, err := other.Read(b); n != 0 || err != io.EOF {
		t.Errorf("a descriptor of it is left open: %d, %v", n, err)
	}
}
