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
