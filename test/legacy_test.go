package test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test"
)

func newLegacyRig(t *testing.T, serveFlags []string, flags ...string) *rig {
	return newRigWith(t, []p9test.Option{p9test.WithServer(p9test.Legacy), p9test.ServeFlags(serveFlags...)}, flags...)
}

// Many servers of 9P2000 know an open fid by its path, and none of them need know
// the null Twstat.
func TestLegacyServerThatGoesByPathsAndCannotSync(t *testing.T) {
	r := newLegacyRig(t, []string{"--path-based", "--no-sync"})
	r.put("f", make([]byte, 8192))
	f := r.mapped("f")
	r.ok(f.Store(r.ctx, 0, []byte("before")))
	r.ok(f.Msync(r.ctx))
	r.serverHas("f", 0, []byte("before"))
	r.ok(f.Store(r.ctx, 4096, []byte("dirty")))
	r.ok(os.Rename(filepath.Join(r.Path, "f"), filepath.Join(r.Path, "g")))
	r.ok(f.Store(r.ctx, 100, []byte("after")))
	r.ok(f.Msync(r.ctx))
	r.serverHas("g", 4096, []byte("dirty"))
	r.serverHas("g", 100, []byte("after"))
	r.ok(os.Rename(filepath.Join(r.Dir, "g"), filepath.Join(r.Dir, "h"))) // by somebody else
	r.ok(f.Store(r.ctx, 200, []byte("lost")))
	r.fails(f.Msync(r.ctx), syscall.ENOENT) // and no other file is written
	r.ok(os.Rename(filepath.Join(r.Dir, "h"), filepath.Join(r.Dir, "g")))
	r.ok(f.Msync(r.ctx))
	r.serverHas("g", 200, []byte("lost"))
}

// Nor is the file written that has taken its name from one that is open.
func TestReplacedFileOfAServerThatGoesByPathsIsStale(t *testing.T) {
	r := newLegacyRig(t, []string{"--path-based"})
	r.put("f", []byte("old content"))
	r.put("g", []byte("new content"))
	f := r.open("f", "rw")
	_, err := f.Pwrite(r.ctx, 0, []byte("OLD"))
	r.ok(err)
	r.ok(f.Fsync(r.ctx))
	r.ok(os.Rename(filepath.Join(r.Path, "g"), filepath.Join(r.Path, "f")))
	_, err = f.Pwrite(r.ctx, 4, []byte("XXX"))
	r.ok(err)
	r.fails(f.Fsync(r.ctx), syscall.ESTALE)
	r.serverHas("f", 0, []byte("new content"))
}

// Where the server only appends, what is sent twice is there twice.
func TestAppendOnlyFilesAreWrittenThroughAndNeverTwice(t *testing.T) {
	r := newLegacyRig(t, nil, "--hold-timeout", "20s")
	r.appendOnly("log")
	f := r.open("log", "rw")
	for _, s := range []string{"one ", "two "} {
		_, err := f.Pwrite(r.ctx, 0, []byte(s))
		r.ok(err)
	}
	r.serverHas("log", 0, []byte("one two ")) // without fsync
	r.ok(f.Fsync(r.ctx))
	got, err := f.Pread(r.ctx, 0, 100)
	r.ok(err)
	if string(got) != "one two " {
		r.t.Errorf("read %q", got)
	}
	r.fails(f.Map(r.ctx, 0, 4096), syscall.ENODEV)

	r.rules("Rwrite cut count=1")
	_, err = f.Pwrite(r.ctx, 0, []byte("three "))
	r.fails(err, syscall.EIO)
	r.ok(r.Proxy.WaitConns(r.ctx, 1))
	_, err = f.Pwrite(r.ctx, 0, []byte("four"))
	r.ok(err)
	b, err := os.ReadFile(filepath.Join(r.Dir, "log"))
	r.ok(err)
	if !bytes.Equal(b, []byte("one two three four")) {
		r.t.Errorf("the server has %q", b)
	}
	l := r.journal()
	if len(l) != 1 || l[0].State != errjournal.Dropped || !strings.Contains(l[0].Msg, "ambiguous") {
		r.t.Errorf("journal:\n%s", r.journalText())
	}
}

// What was appended is seen in the file's size at once, and is not cut off when the connection comes back:
// a truncation is not sent twice either.
func TestAppendOnlyFilesTellTheirSizeAndAreCutOnce(t *testing.T) {
	r := newLegacyRig(t, nil, "--attr-timeout", "0s")
	r.appendOnly("log")
	path := filepath.Join(r.Path, "log")
	size := func(want int64) {
		t.Helper()
		i, err := os.Stat(path)
		r.ok(err)
		if i.Size() != want {
			t.Errorf("%d bytes, want %d", i.Size(), want)
		}
	}
	f := r.open("log", "rw")
	for i := range 20 {
		_, err := f.Pwrite(r.ctx, 0, []byte("line "))
		r.ok(err)
		size(int64(i+1) * 5)
	}
	r.ok(os.Truncate(path, 5))
	size(5)
	_, err := f.Pwrite(r.ctx, 0, []byte("two "))
	r.ok(err)
	r.lost()
	r.heal()
	_, err = f.Pwrite(r.ctx, 0, []byte("three"))
	r.ok(err)
	size(14)
	b, err := os.ReadFile(filepath.Join(r.Dir, "log"))
	r.ok(err)
	if string(b) != "line two three" {
		t.Errorf("the server has %q", b)
	}
}
