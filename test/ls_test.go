package test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"p9mapfs/test/p9test"
)

// list does what `ls -l` does, and returns how many names there are and the sum of the sizes.
func (r *rig) list(dir string) (names int, size int64) {
	r.t.Helper()
	l, err := os.ReadDir(filepath.Join(r.Path, dir))
	r.ok(err)
	for _, e := range l {
		i, err := e.Info()
		r.ok(err)
		size += i.Size()
	}
	return len(l), size
}

// On 9P2000 the Tread of a directory tells everything that `ls -l` shows: no file is asked for.
func TestLongListingOf10000FilesAsksForNoFile(t *testing.T) {
	const files = 10_000
	r := newRig(t, p9test.Legacy, "--attr-timeout", "60s")
	r.ok(os.Mkdir(filepath.Join(r.Dir, "d"), 0o755))
	size := int64(0)
	for i := range files {
		name := fmt.Sprintf("d/%05d", i)
		r.ok(syscall.Mknod(filepath.Join(r.Dir, name), syscall.S_IFREG|0o644, 0))
		if i%100 == 0 {
			r.put(name, make([]byte, i))
			size += int64(i)
		}
	}
	for _, which := range []string{"first", "second"} { // in the second the files are known already
		walks, stats := r.Proxy.Count("Twalk"), r.Proxy.Count("Tstat")
		if n, got := r.list("d"); n != files || got != size {
			t.Errorf("%s listing: %d names, %d bytes", which, n, got)
		}
		walks, stats = r.Proxy.Count("Twalk")-walks, r.Proxy.Count("Tstat")-stats
		if walks > 10 || stats > 10 {
			t.Errorf("%s listing: %d Twalk, %d Tstat", which, walks, stats)
		}
	}
}

// What a listing tells of a file that is known is not older than what the program did to it.
func TestListingTellsWhatTheProgramDid(t *testing.T) {
	r := newRig(t, p9test.Legacy, "--attr-timeout", "60s")
	r.put("f", []byte("old"))
	r.list("")
	for i, change := range []func() error{
		func() error { return os.WriteFile(filepath.Join(r.Path, "f"), []byte("longer"), 0o644) },
		func() error { return os.Truncate(filepath.Join(r.Path, "f"), 1) },
		func() error { return os.Truncate(filepath.Join(r.Path, "f"), 5) },
		func() error { return os.Chmod(filepath.Join(r.Path, "f"), 0o400) },
	} {
		r.ok(change())
		r.list("")
		got, err := os.Stat(filepath.Join(r.Path, "f"))
		r.ok(err)
		want, err := os.Stat(filepath.Join(r.Dir, "f"))
		r.ok(err)
		if got.Size() != want.Size() || got.Mode() != want.Mode() {
			t.Errorf("change %d: %v, %d bytes; the server has %v, %d", i, got.Mode(), got.Size(), want.Mode(), want.Size())
		}
	}
	r.put("f", []byte("somebody else's"))
	r.await("what somebody else did", func() bool { _, size := r.list(""); return size == 15 })
}

// Attributes that the server told before a program changed them are not told after that.
func TestListingUnderWayDoesNotTakeAChmodBack(t *testing.T) {
	r := newRig(t, p9test.Legacy, "--attr-timeout", "60s")
	for i := range 60 { // more than one READDIRPLUS takes, less than one Tread
		r.ok(os.Mkdir(filepath.Join(r.Dir, fmt.Sprint("d", i)), 0o755))
	}
	dir, err := os.Open(r.Path)
	r.ok(err)
	defer dir.Close()
	l, err := dir.ReadDir(0)
	r.ok(err)
	first, last := l[0].Name(), l[len(l)-1].Name()
	_, err = os.Stat(filepath.Join(r.Path, last))
	r.ok(err)
	_, err = dir.Seek(0, 0)
	r.ok(err)
	buf := make([]byte, 512)
	for n := 1; n > 0; {
		n, err = syscall.ReadDirent(int(dir.Fd()), buf)
		r.ok(err)
		if first != "" {
			_, err = os.Stat(filepath.Join(r.Path, first)) // so the kernel goes on with READDIRPLUS
			r.ok(err)
			r.ok(os.Chmod(filepath.Join(r.Path, last), 0o700))
			first = ""
		}
	}
	i, err := os.Stat(filepath.Join(r.Path, last))
	r.ok(err)
	if i.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %v", last, i.Mode())
	}
}
