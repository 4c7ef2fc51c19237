package test

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A server's file cannot hide the journal, however it is found: READDIRPLUS looks
// names up, too.
func TestJournalIsNotHiddenByAFileOfItsName(t *testing.T) {
	servers(t, func(r *rig) {
		r.put(".errors", []byte("a file of the server's"))
		for range 2 {
			out, err := exec.CommandContext(r.ctx, "ls", "-la", r.Path).CombinedOutput()
			if err != nil {
				r.t.Fatalf("%v: %s", err, out)
			}
			if b, err := os.ReadFile(filepath.Join(r.Path, ".errors")); err != nil || len(b) > 0 {
				r.t.Errorf("the journal is %q, %v", b, err)
			}
		}
	}, "--attr-timeout", "0")
}

// A directory of 9P2000 tells attributes along with names, so nothing is asked
// about the files when it is listed with them.
func TestPlainDirectoryIsListedWithoutAskingForItsFiles(t *testing.T) {
	r := newLegacyRig(t, nil, "--attr-timeout", "1m")
	for i := range 50 {
		r.put(fmt.Sprint("f", i), []byte("text"))
	}
	asked := func() int { return r.Proxy.Count("Twalk") + r.Proxy.Count("Tstat") }
	before := asked()
	out, err := exec.CommandContext(r.ctx, "ls", "-l", r.Path).CombinedOutput()
	if lines := strings.Count(string(out), "\n"); err != nil || lines != 51 {
		r.t.Fatalf("%d lines, %v: %s", lines, err, out)
	}
	if n := asked() - before; n > 25 {
		r.t.Errorf("%d questions for 50 files", n)
	}
}

// A place in a directory is good for reading on from there.
func TestDirectoryIsReadOnFromEachOfItsPlaces(t *testing.T) {
	servers(t, func(r *rig) {
		for i := range 20 {
			r.put(fmt.Sprint("f", i), nil)
		}
		dir, err := os.Open(r.Path)
		r.ok(err)
		defer dir.Close()
		fd := int(dir.Fd())
		names, places := r.entries(fd)
		if len(names) != 22 {
			r.t.Fatalf("names: %q", names)
		}
		for i := len(places) - 1; i >= -1; i-- {
			place := int64(0) // the start
			if i >= 0 {
				place = places[i]
			}
			_, err := unix.Seek(fd, place, unix.SEEK_SET)
			r.ok(err)
			if got, _ := r.entries(fd); !slices.Equal(got, names[i+1:]) {
				r.t.Errorf("after entry %d: %q, want %q", i, got, names[i+1:])
			}
		}
	})
}

// entries reads a directory to its end: the names, and the place after each.
func (r *rig) entries(fd int) (names []string, places []int64) {
	r.t.Helper()
	b := make([]byte, 256)
	for range 1000 {
		n, err := unix.Getdents(fd, b)
		r.ok(err)
		if n == 0 {
			return names, places
		}
		for d := b[:n]; len(d) > 0; d = d[binary.NativeEndian.Uint16(d[16:]):] {
			name, _, _ := strings.Cut(string(d[19:binary.NativeEndian.Uint16(d[16:])]), "\x00")
			names, places = append(names, name), append(places, int64(binary.NativeEndian.Uint64(d[8:])))
		}
	}
	r.t.Fatal("no end of the directory")
	return nil, nil
}
