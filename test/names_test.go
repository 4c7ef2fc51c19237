package test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	errjournal "p9mapfs/errors"
	"p9mapfs/test/p9test/pattern"
)

// A server may know a fid by its path only, as diod does. What is renamed, or
// loses one of its names, must be found all the same.
func TestFilesAreFoundAfterRenames(t *testing.T) {
	servers(t, func(r *rig) {
		p := func(elem ...string) string { return filepath.Join(append([]string{r.Path}, elem...)...) }
		stat := func(name string, size int64) {
			t.Helper()
			if st, err := os.Stat(p(name)); err != nil || st.Size() != size {
				r.t.Errorf("stat %s: %v, %v", name, st, err)
			}
		}
		r.ok(os.MkdirAll(p("d/sub"), 0o755))
		r.ok(os.WriteFile(p("d/sub/f"), []byte("12345"), 0o644))
		stat("d/sub/f", 5)
		r.ok(os.Rename(p("d/sub/f"), p("d/sub/g")))
		stat("d/sub/g", 5)
		r.ok(os.Chmod(p("d/sub/g"), 0o600))
		r.ok(os.Rename(p("d"), p("e")))
		stat("e/sub/g", 5)
		r.ok(os.WriteFile(p("e/sub/new"), []byte("1"), 0o644))
		r.ok(os.Truncate(p("e/sub/g"), 3))
		stat("e/sub/g", 3)
		if err := os.Link(p("e/sub/g"), p("other")); r.plain() {
			r.fails(err, syscall.EPERM)
			r.fails(os.Rename(p("e/sub/g"), p("other")), syscall.EXDEV)
			r.ok(os.WriteFile(p("other"), []byte("123"), 0o644))
		} else {
			r.ok(err)
		}
		r.ok(os.Remove(p("e/sub/g")))
		stat("other", 3)
		r.ok(os.WriteFile(p("other"), []byte("1234567"), 0o644))
		stat("other", 7)
		r.ok(os.WriteFile(p("over"), []byte("x"), 0o644))
		r.ok(os.Rename(p("over"), p("other")))
		stat("other", 1)
		r.ok(os.Remove(p("e/sub/new")))
		r.ok(os.Remove(p("e/sub")))
		r.ok(os.Mkdir(p("e/sub"), 0o700)) // the qid.path may be the old one
		if !r.plain() {                   // there a directory has no length
			stat("e", statSize(t, filepath.Join(r.Dir, "e")))
		}
	})
}

func statSize(t *testing.T, path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

func TestNamesHeldBytesOutliveOneOfTwoNames(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		if r.plain() { // which has no second names
			r.fails(os.Link(filepath.Join(r.Path, "f"), filepath.Join(r.Path, "other")), syscall.EPERM)
			return
		}
		r.ok(os.Link(filepath.Join(r.Path, "f"), filepath.Join(r.Path, "other")))
		f := r.open("f", "rw")
		r.rules("Twrite reply=ENOSPC")
		_, err := f.Pwrite(r.ctx, 0, []byte("held"))
		r.ok(err)
		r.fails(f.Close(r.ctx), syscall.ENOSPC)
		r.ok(os.Remove(filepath.Join(r.Path, "f")))
		g := r.open("other", "rw")
		r.fails(g.Fsync(r.ctx), syscall.ENOSPC)
		r.Proxy.Clear()
		r.ok(g.Fsync(r.ctx))
		r.serverHas("other", 0, []byte("held"))
	}, "--retry-interval", "1h")
}

func TestNamesHeldBytesOfARemovedFileGoWithItsLastHandle(t *testing.T) {
	servers(t, func(r *rig) {
		r.put("f", make([]byte, 4096))
		f := r.open("f", "rw")
		r.rules("Twrite reply=ENOSPC")
		_, err := f.Pwrite(r.ctx, 0, []byte("held"))
		r.ok(err)
		r.ok(os.Remove(filepath.Join(r.Path, "f")))
		r.fails(f.Fsync(r.ctx), syscall.ENOSPC) // it can still ask
		r.fails(f.Close(r.ctx), syscall.ENOSPC)
		r.await("nothing to be held", func() bool { return !slices.ContainsFunc(r.states(), errjournal.State.Open) })
		if status := r.Unmount(); status != 0 {
			r.t.Errorf("exit status %d for bytes that nobody can ask for", status)
		}
	}, "--retry-interval", "1h")
}

// Somebody else cuts the file where a mapping of ours is dirty. To be told of the
// smaller size makes the kernel throw the page away without a WRITE.
func TestSizeOfOthersIsToldOnlyWhenDirtyPagesWereCollected(t *testing.T) {
	servers(t, func(r *rig) {
		const size = 8 << 20
		r.put("f", make([]byte, size))
		f := r.mapped("f")
		asker := r.open("f", "r") // on a thread of its own
		_, err := f.Go("touch", 0, size, 4096).Wait(r.ctx)
		r.ok(err)
		for round := range 5 {
			seed := uint64(round + 1)
			time.Sleep(20 * time.Millisecond) // another tick of the server's clock
			r.ok(f.Fill(r.ctx, 1<<20, size-1<<20, seed))
			r.ok(os.Truncate(filepath.Join(r.Dir, "f"), 10_000))
			for range 50 {
				_, err := asker.Size(r.ctx)
				r.ok(err)
			}
			r.ok(f.Msync(r.ctx))
			r.serverHas("f", 1<<20, pattern.Bytes(1<<20, size-1<<20, seed))
			r.ok(f.Check(r.ctx, 1<<20, size-1<<20, seed))
		}
	}, "--attr-timeout", "0")
}
