package export

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// memDir is a directory in memory where there is one, for tests with so many files
// that a disk would take long. (TestListingResumesAnywhere is on the usual one.)
func memDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "export-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fill makes n empty files.
func fill(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		if err := unix.Mknod(filepath.Join(dir, fmt.Sprintf("file-%05d", i)), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// listAll reads a directory to its end, count bytes at a time.
func listAll(t *testing.T, d p9.File, count uint32, each func(p9.Dirent)) {
	t.Helper()
	for off, calls := uint64(0), 0; ; calls++ {
		es, err := d.Readdir(off, count)
		if err != nil || calls > 1_000_000 {
			t.Fatalf("Readdir at %d, call %d: %v", off, calls, err)
		}
		if len(es) == 0 {
			return
		}
		size := 0
		for _, e := range es {
			size += direntSize + len(e.Name)
			each(e)
		}
		if size > int(count) {
			t.Fatalf("Readdir of %d bytes returned %d", count, size)
		}
		off = es[len(es)-1].Offset
	}
}

// TestListingSurvivesRemovals: 20,000 entries, half of them removed while they are
// listed, others come: each that stays is listed exactly once.
func TestListingSurvivesRemovals(t *testing.T) {
	const n = 20_000
	dir := memDir(t)
	fill(t, dir, n)
	_, sock := serve(t, dir, Options{})
	root := mount(t, sock)
	d := open(t, walk(t, root), p9.ReadOnly)

	victim := 0
	remover := background(func() {
		if victim < n {
			os.Remove(filepath.Join(dir, fmt.Sprintf("file-%05d", victim)))
			os.WriteFile(filepath.Join(dir, fmt.Sprintf("later-%05d", victim)), nil, 0o600)
			victim += 2
		} else {
			runtime.Gosched()
		}
	})
	seen := make(map[string]int, n)
	listAll(t, d, 4096, func(e p9.Dirent) { seen[e.Name]++ })
	remover.end()
	for i := 1; i < n; i += 2 {
		if name := fmt.Sprintf("file-%05d", i); seen[name] != 1 {
			t.Fatalf("%s is listed %d times (%d removals meanwhile)", name, seen[name], victim/2)
		}
	}
	for name, times := range seen {
		if times > 1 {
			t.Errorf("%s is listed %d times", name, times)
		}
	}
	t.Logf("%d removals while listing", victim/2)
	// A removed directory's fid goes on, and a new pass from 0 is a fresh one.
	fresh := 0
	listAll(t, d, 1<<16, func(p9.Dirent) { fresh++ })
	if names, _ := os.ReadDir(dir); fresh != len(names) {
		t.Errorf("second pass: %d entries of %d", fresh, len(names))
	}
}

// TestListingResumesAnywhere: every Offset returned is one to go on from, also by
// another fid, out of order, and whatever the message size.
func TestListingResumesAnywhere(t *testing.T) {
	dir := t.TempDir()
	const n = 500
	fill(t, dir, n)
	root := raw(t, dir, Options{})
	var all []p9.Dirent
	listAll(t, open(t, walk(t, root), p9.ReadOnly), 1<<20, func(e p9.Dirent) { all = append(all, e) })
	if len(all) != n {
		t.Fatalf("%d entries", len(all))
	}
	for _, count := range []uint32{34, 60, 100, 511, 4096, 1 << 31} {
		var got []string
		listAll(t, open(t, walk(t, root), p9.ReadOnly), count, func(e p9.Dirent) { got = append(got, e.Name) })
		if len(got) != n {
			t.Errorf("by %d bytes: %d entries", count, len(got))
		}
	}
	other := open(t, walk(t, root), p9.ReadOnly)
	for i := n - 2; i >= 0; i -= 7 {
		es, err := other.Readdir(all[i].Offset, 200)
		if err != nil || len(es) == 0 || es[0].Name != all[i+1].Name {
			t.Fatalf("from entry %d: %v %v", i, es, err)
		}
	}
	_, err := other.Readdir(0, 20)
	wantErrno(t, "Readdir with no room for one entry", err, linux.EINVAL)
}

func TestListingTakesConstantMemory(t *testing.T) {
	dir := memDir(t)
	fill(t, dir, 3000)
	d := open(t, walk(t, raw(t, dir, Options{})), p9.ReadOnly)
	es, err := d.Readdir(0, 1<<31)
	if err != nil || len(es) == 0 || len(es) > getdentsMax/24 {
		t.Errorf("one Readdir of 2 GiB: %d entries, %v", len(es), err)
	}
}

func TestCutDirentTakesAnyBytes(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 18), make([]byte, 19), make([]byte, 64)} {
		if _, _, ok := cutDirent(b); ok {
			t.Errorf("%d zero bytes are a record", len(b))
		}
	}
	long := make([]byte, 24)
	long[16] = 25
	if _, _, ok := cutDirent(long); ok {
		t.Error("a record longer than the buffer")
	}
}
